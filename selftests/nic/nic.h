/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A network device that offloads TLS, made of software, for tests of the
 * kernel's side of that offload.
 *
 * nic_main.c	 pairs of devices and the wire between the two of a pair
 * nic_tls.c	 what a driver does with connections, and what a device does
 * nic_record.c	 the device's cipher engine: records as a stream of bytes
 * nic_debugfs.c knobs, counters, the watch on the wire
 *
 * Locks, outermost first: the transmit queue's lock of the stack or nic.lock
 * (the table of connections), then nic_conn.lock, then the record list's lock
 * of net/tls.
 */

#ifndef _NIC_H
#define _NIC_H

#include <crypto/aes.h>
#include <crypto/chacha.h>
#include <crypto/hash.h>
#include <crypto/poly1305.h>
#include <linux/hashtable.h>
#include <linux/netdevice.h>
#include <net/tls.h>

#define NIC_NONCE		12
#define NIC_RECORD_MAX		(TLS_MAX_PAYLOAD_SIZE + 256)
#define NIC_WATCH_MAX		64
#define NIC_TLS_FEATURES	(NETIF_F_HW_TLS_TX | NETIF_F_HW_TLS_RX)

/* The key of one direction of one connection. */
struct nic_key {
	bool tls13;
	bool chacha;
	u8 explicit_nonce;	/* bytes of it in each record */
	u8 iv[NIC_NONCE];	/* salt and IV; TLS 1.2 GCM uses the salt */
	struct crypto_aes_ctx aes;
	u32 chacha_key[CHACHA_KEY_SIZE / 4];
	struct crypto_shash *ghash;
};

/**
 * struct nic_stream - where the engine is in a connection's records
 * @key: the connection's
 * @encrypt: direction
 * @number: record sequence number of the record that @at is in
 * @at: bytes of that record that went by
 * @len: bytes that it has in all; known once @at has passed its header
 * @framing: no record is decrypted, the engine follows their lengths
 * @blind: this record is not decrypted, for its beginning was not seen
 * @passed: set when a byte went by that was not decrypted; for the caller
 * @records: records whose tag was written, or found right
 * @spoil: how many tags to write or to judge wrongly; the device's knob
 * @head: the record's header and explicit nonce
 * @nonce: the record's
 * @key_bytes: the block of key stream that @at is in
 * @tag: the record's tag, once all of its text went by
 * @wrong: not 0 when the tag that was received differs
 * @poly: the authenticator of ChaCha20-Poly1305
 * @ghash: that of AES-GCM
 */
struct nic_stream {
	const struct nic_key *key;
	bool encrypt;
	u64 number;
	u32 at;
	u32 len;
	bool framing;
	bool blind;
	bool passed;
	u64 records;
	u32 *spoil;
	u8 head[TLS_HEADER_SIZE + 8];
	u8 nonce[NIC_NONCE];
	u8 key_bytes[CHACHA_BLOCK_SIZE];
	u8 tag[TLS_TAG_SIZE];
	u8 wrong;
	struct poly1305_desc_ctx poly;
	struct shash_desc *ghash;
};

int nic_key_set(struct nic_key *key, const struct tls_crypto_info *info,
		u64 *number);
void nic_key_clear(struct nic_key *key);
int nic_stream_init(struct nic_stream *s, const struct nic_key *key,
		    bool encrypt);
void nic_stream_free(struct nic_stream *s);
void nic_stream_start(struct nic_stream *s, u64 number);
int nic_stream_run(struct nic_stream *s, u8 *data, u32 len);
bool nic_stream_skip(struct nic_stream *s, u32 len);
u32 nic_record_len(const struct nic_key *key, const u8 *head);

/* What a device counts; the names are those in debugfs. */
#define NIC_COUNTERS(X)							\
	X(tx_tls_add)			/* connections taken */		\
	X(tx_tls_del)							\
	X(tx_tls_encrypted_packets)	/* segments */			\
	X(tx_tls_encrypted_bytes)					\
	X(tx_tls_records)						\
	X(tx_tls_ooo)			/* not the segment expected */	\
	X(tx_tls_rebuilt)		/* state made again for one */	\
	X(tx_tls_fallback)		/* encrypted by the kernel */	\
	X(tx_tls_passed)		/* from before the offload */	\
	X(tx_tls_dropped)		/* cannot be encrypted */	\
	X(tx_tls_resync_req)						\
	X(tx_tls_resync_res)						\
	X(rx_tls_add)							\
	X(rx_tls_del)							\
	X(rx_tls_decrypted_packets)					\
	X(rx_tls_decrypted_bytes)					\
	X(rx_tls_records)						\
	X(rx_tls_passed)		/* segments left encrypted */	\
	X(rx_tls_lost)			/* place in the stream lost */	\
	X(rx_tls_bad_tag)						\
	X(rx_tls_resync_req)		/* guesses told to the kernel */ \
	X(rx_tls_resync_start)		/* asynchronous ones begun */	\
	X(rx_tls_resync_end)						\
	X(rx_tls_resync_ok)						\
	X(rx_tls_resync_late)		/* answers for a place gone by */ \
	X(add_refused)							\
	X(wire_bytes)			/* TCP payload that left */	\
	X(wire_dropped)							\
	X(watch_hits)			/* the watched bytes went out */

enum nic_counter {
#define X(name) NIC_##name,
	NIC_COUNTERS(X)
#undef X
	NIC_NUM_COUNTERS
};

/* What a test sets; all of them files in debugfs. */
struct nic_knobs {
	u32 table_size;		/* connections, both directions together */
	u32 add_error;		/* errno that taking a connection fails with */
	u32 add_delay_ms;
	bool tx_fallback;	/* out of order: the kernel encrypts */
	u32 rx_resync;		/* enum tls_offload_sync_type, when added */
	u32 rx_resync_late_ms;	/* the kernel is told of a guess so much later */
	bool rx_resync_wrong;	/* it is told of a place where no record begins */
	bool resync_mute;	/* what the kernel says of resync is ignored */
	u32 tx_spoil_tags;	/* so many next tags are sent wrong */
	u32 rx_spoil_tags;	/* so many next tags are found wrong */
	u32 rx_mark_wrong;	/* so many next segments: not decrypted, marked */
	u32 rx_mark_not;	/* so many next segments: decrypted, not marked */
};

struct nic {
	struct net_device *dev;
	struct nic __rcu *peer;
	struct napi_struct napi;
	struct sk_buff_head wire;	/* frames that the peer has sent */
	u8 *scratch;			/* for one segment; only in NAPI */

	spinlock_t lock;		/* conns, num_conns, rx_conns' writers */
	struct list_head conns;
	u32 num_conns;
	DECLARE_HASHTABLE(rx_conns, 6);

	struct nic_knobs knobs;
	struct tlsdev_ops ops;		/* its capabilities are a knob too */
	atomic64_t counters[NIC_NUM_COUNTERS];
	struct dentry *dir;
	struct nic_watch __rcu *watch;
};

/* Bytes that must not appear on the wire. */
struct nic_watch {
	struct rcu_head rcu;
	u32 len;
	u8 bytes[NIC_WATCH_MAX];
};

struct nic_flow {
	struct in6_addr saddr, daddr;	/* IPv4 is mapped */
	__be16 sport, dport;
};

enum nic_rx_state {
	NIC_RX_SYNC,	/* decrypting */
	NIC_RX_SEARCH,	/* looking for a record's header, or waiting for help */
	NIC_RX_TRACK,	/* following lengths from a guess, asking the kernel */
};

/**
 * struct nic_conn - one direction of a connection, in the device's table
 * @list: in nic.conns
 * @hash: in nic.rx_conns, for receiving
 * @nic: whose
 * @sk: the socket; gone after tls_dev_del
 * @dir: direction
 * @key: keys stay when a place is lost
 * @flow: as received frames have it
 * @lock: all below
 * @stream: where the engine is
 * @seq: TCP sequence number of the byte that @stream expects
 * @dead: the device has forgotten the connection
 * @lost: sending: @seq means nothing until resync
 * @state: receiving
 * @seen: receiving: end of the latest segment
 * @guess: receiving: where the guessed header is, for NIC_RX_TRACK
 * @tracked: records followed since
 * @hint_seq: where the kernel says that the record @hint_number begins
 * @hint_number: see there
 * @hinted: that these are set
 * @async: what the kernel notes for an asynchronous request
 * @tell: tells the kernel of a guess, later
 * @tail: what went last onto the wire before @tail_seq, for the watch; under
 *	  the transmit queue's lock
 * @tail_len: bytes in it
 * @tail_seq: see there
 */
struct nic_conn {
	struct list_head list;
	struct hlist_node hash;
	struct nic *nic;
	struct sock *sk;
	enum tls_offload_ctx_dir dir;
	struct nic_key key;
	struct nic_flow flow;

	spinlock_t lock;	/* one segment of it at a time: what follows */
	struct nic_stream stream;
	u32 seq;
	bool dead;
	bool lost;

	enum nic_rx_state state;
	u32 seen;
	u32 guess;
	u32 tracked;
	u32 hint_seq;
	u64 hint_number;
	bool hinted;
	enum tls_offload_sync_type resync;
	struct tls_offload_resync_async async;
	struct delayed_work tell;

	u8 tail[NIC_WATCH_MAX];
	u32 tail_len;
	u32 tail_seq;
};

static inline void nic_count(struct nic *nic, enum nic_counter counter, s64 n)
{
	atomic64_add(n, &nic->counters[counter]);
}

/* Knobs that say how often: one less, and whether there was one. */
static inline bool nic_take(u32 *count)
{
	u32 n = count ? READ_ONCE(*count) : 0;

	while (n && !try_cmpxchg(count, &n, n - 1))
		;
	return n;
}

/* nic_tls.c */
extern const struct tlsdev_ops nic_tlsdev_ops;
struct sk_buff *nic_tls_xmit(struct nic *nic, struct sk_buff *skb,
			     struct nic_conn **conn);
bool nic_tls_encrypt(struct nic *nic, struct nic_conn *conn,
		     struct sk_buff *frame);
void nic_tls_receive(struct nic *nic, struct sk_buff *frame);
void nic_tls_lose(struct nic *nic, bool for_good);
int nic_tcp_payload(struct sk_buff *frame);
void nic_tcp_checksum(struct sk_buff *frame);

/* nic_debugfs.c */
int nic_debugfs_add(struct nic *nic);
void nic_debugfs_del(struct nic *nic);
void nic_watch_frame(struct nic *nic, struct nic_conn *conn,
		     struct sk_buff *frame);
int __init nic_debugfs_init(void);
void nic_debugfs_exit(void);

#endif /* _NIC_H */
