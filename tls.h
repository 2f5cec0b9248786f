/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Kernel TLS: what the rooms of net/tls share.
 *
 * Calls go down only:
 *
 *	tls_main -> tls_sw_tx, tls_sw_rx -> tls_sw_open
 *		 -> tls_device -> tls_device_fallback
 *		 -> tls_sw, tls_strp, tls_queue
 *		 -> tls_record
 *
 * Locks and contexts
 * ------------------
 * state				protected by
 *  struct tls_context			socket lock; diag reads under RCU
 *  struct tls_tx, struct tls_queue	socket lock
 *  struct tls_rx, struct tls_strp	socket lock
 *  tls_rx.readable, tls_rx.err		written under the socket lock, read by
 *					poll without (READ_ONCE)
 *  TCP's receive queue			socket lock: nothing of it is kept by
 *					pointer while the lock is not held
 *  list of operation tables		tls_ops_lock
 *  what a driver has of a socket	tls_device_lock
 *  list of offloaded sockets		tls_devices_lock
 *  records that a device encrypts	tls_offload_context_tx.lock
 *  tls_context.netdev			tls_device_lock, read under RCU
 *
 * "Socket lock" is lock_sock() in process context, or bh_lock_sock() with no
 * owner in softirq. These run in either:
 *
 *	tls_data_ready, tls_write_space, tls_retry, tls_strp_next,
 *	tls_queue_push, tls_encrypt_skb, tls_validate_xmit_skb, tls_get_record
 *
 * All else runs in process context with the lock owned, and may sleep.
 * Ciphers run in process context only, and are waited for: no completion is
 * ever pending when the socket lock is released.
 */

#ifndef _TLS_INT_H
#define _TLS_INT_H

#include <crypto/aead.h>
#include <linux/bvec.h>
#include <linux/scatterlist.h>
#include <linux/skbuff.h>
#include <net/tls.h>
#include <net/tls_prot.h>

/* ---- tls_record.c: the wire format, pure functions on bytes ---- */

#define TLS_NONCE_SIZE		12	/* RFC 8446, 5.3; RFC 5288, 3 */
#define TLS_EXPLICIT_NONCE_SIZE	8	/* RFC 5288, 3 */
#define TLS_MAX_KEY_SIZE	32
#define TLS_MAX_INFO_SIZE	sizeof(struct tls12_crypto_info_aes_gcm_256)
/* The largest record that the protocol lets through, header and all. */
#define TLS_MAX_RECORD_SIZE	(TLS_HEADER_SIZE + TLS_EXPLICIT_NONCE_SIZE + \
				 TLS_MAX_PAYLOAD_SIZE + TLS_TAG_SIZE)

/**
 * struct tls_cipher - one row of the table of ciphers
 * @alg: its name in the crypto API
 * @type: its number, TLS_CIPHER_*
 * @info_size: bytes of its structure in the user ABI
 * @key_size: bytes of key
 * @salt_size: bytes of the nonce that are fixed with the key
 * @iv_size: bytes of the nonce after the salt
 * @explicit_nonce: TLS 1.2 sends @iv_size bytes of nonce with each record
 * @ccm: the AEAD wants its nonce in CCM's first block
 * @tls13: TLS 1.3 has this cipher
 */
struct tls_cipher {
	const char *alg;
	u16 type;
	u16 info_size;
	u8 key_size;
	u8 salt_size;
	u8 iv_size;
	bool explicit_nonce;
	bool ccm;
	bool tls13;
};

/**
 * struct tls_framing - how one direction frames its records under one key
 * @cipher: the cipher
 * @version: TLS_1_2_VERSION or TLS_1_3_VERSION
 * @prepend: bytes before the ciphertext: header and explicit nonce
 * @tail: bytes after the plaintext that are encrypted with it: inner type
 * @iv: salt and IV; TLS 1.2 with explicit nonces counts in its last 8 bytes
 * @seq: sequence number of the next record
 * @exhausted: the record numbered 2^64 - 1 has been framed
 */
struct tls_framing {
	const struct tls_cipher *cipher;
	u16 version;
	u8 prepend;
	u8 tail;
	u8 iv[TLS_NONCE_SIZE];
	u64 seq;
	bool exhausted;
};

/**
 * struct tls_record - what a record's header says, checked
 * @type: content type of the header: TLS 1.3 hides the real one inside
 * @full_len: bytes of the whole record, header and tag included
 * @text_len: bytes that the cipher turns into plaintext, without the tag
 */
struct tls_record {
	u8 type;
	u16 full_len;
	u16 text_len;
};

const struct tls_cipher *tls_cipher_find(u16 version, u16 type);
void tls_framing_init(struct tls_framing *f, const struct tls_cipher *cipher,
		      u16 version, const u8 *info);
void tls_framing_export(const struct tls_framing *f, u8 *info);
void tls_framing_advance(struct tls_framing *f);
void tls_framing_rewind(struct tls_framing *f);
const u8 *tls_info_key(const struct tls_cipher *cipher, const u8 *info);
void tls_record_iv(const struct tls_framing *f, const u8 *explicit_nonce,
		   u8 iv[TLS_MAX_IV_SIZE]);
size_t tls_record_aad(const struct tls_framing *f, u8 type, size_t text_len,
		      u8 aad[TLS_AAD_SPACE_SIZE]);
void tls_record_header(const struct tls_framing *f, u8 type, size_t text_len,
		       u8 *header);
int tls_record_parse(const struct tls_framing *f,
		     const u8 header[TLS_HEADER_SIZE], struct tls_record *rec);
size_t tls_padding_skip(const u8 *text, size_t len);

static inline size_t tls_framing_overhead(const struct tls_framing *f)
{
	return f->prepend + f->tail + TLS_TAG_SIZE;
}

/* ---- tls_proc.c: counters ---- */

enum tls_counter {
	TLS_CURR_TX_SW,
	TLS_CURR_RX_SW,
	TLS_CURR_TX_DEVICE,
	TLS_CURR_RX_DEVICE,
	TLS_TX_SW,
	TLS_RX_SW,
	TLS_TX_DEVICE,
	TLS_RX_DEVICE,
	TLS_DECRYPT_ERROR,
	TLS_RX_DEVICE_RESYNC,
	TLS_DECRYPT_RETRY,
	TLS_RX_NO_PAD_VIOLATION,
	TLS_TX_REKEY_OK,
	TLS_RX_REKEY_OK,
	TLS_TX_REKEY_ERROR,
	TLS_RX_REKEY_ERROR,
	TLS_RX_REKEY_RECEIVED,
	TLS_TX_RECORDS,
	TLS_RX_RECORDS,
	/* Directions that have failed for good, by reason. */
	TLS_ABORT_VERSION,	/* a header's version */
	TLS_ABORT_LENGTH,	/* a record too long, or too short */
	TLS_ABORT_TYPE,		/* TLS 1.3: a record that is not encrypted */
	TLS_ABORT_TAG,		/* a record that is not authentic */
	TLS_ABORT_PADDING,	/* TLS 1.3: nothing but padding */
	TLS_ABORT_TRUNCATED,	/* the stream ended within a record */
	TLS_ABORT_SEQUENCE,	/* record numbers have run out */
	TLS_ABORT_CIPHER,	/* the cipher itself */
	TLS_NUM_COUNTERS,
};

/**
 * struct tls_counters - what is counted, by one processor for one namespace
 * @value: by enum tls_counter
 */
struct tls_counters {
	unsigned long value[TLS_NUM_COUNTERS];
};

struct tls_counters __percpu *tls_counters(const struct sock *sk);

/**
 * tls_count - move a counter
 * @counters: of which namespace
 * @counter: which
 * @by: how far, may be negative
 *
 * Any context.
 */
static inline void tls_count(struct tls_counters __percpu *counters,
			     enum tls_counter counter, int by)
{
	this_cpu_add(counters->value[counter], by);
}

int tls_proc_init(void);
void tls_proc_exit(void);

/* ---- what a cipher reads and writes ---- */

/* A block of ChaCha20 is the largest that a cipher has. */
#define TLS_TEXT_ALIGN		64
/* So few bytes cost less to copy than to hold a page for. */
#define TLS_COPIED		256

/*
 * Scatterlists stand on the stack, and only the entries that are used are made
 * ready (so they are __uninitialized for the compiler): clearing whole tables
 * costs more than a small record's framing.
 */
static inline void tls_sg_clear(struct scatterlist *sg, unsigned int n)
{
	for (; n; n--, sg++) {
		sg->page_link = 0;
#ifdef CONFIG_NEED_SG_DMA_FLAGS
		/* For ciphers made of hardware. */
		sg->dma_flags = 0;
#endif
	}
}

/* ---- tls_queue.c: what TCP has not taken yet ---- */

/* Pages of the caller that one record is read from. */
#define TLS_IN_PLACE_PAGES	8
/*
 * Pieces that one record can be in: single pages of ours, or the caller's with
 * one before and one after them.
 */
#define TLS_RECORD_PIECES	MAX(DIV_ROUND_UP(TLS_MAX_RECORD_SIZE, \
					 PAGE_SIZE) + 1, \
				    TLS_IN_PLACE_PAGES + 2)
/* Records of one call are handed to TCP together, up to this many bytes. */
#define TLS_BATCH_BYTES		(SZ_64K)
/*
 * Of these, or as many pieces as leave room for one more record: memory comes
 * in few pieces, unless the kernel has only single pages.
 */
#define TLS_QUEUE_VECS		(2 * TLS_RECORD_PIECES + 2)

/**
 * struct tls_queue - records on their way to TCP, the open one last
 * @sk: the socket
 * @retry: asks TCP again when no acknowledgment will; holds the socket
 * @retried: it has been started
 * @first: index of the first piece that TCP has not taken whole
 * @sealed: vec[first] up to here are encrypted records
 * @end: from @sealed up to here is the room of the open record
 * @charged: bytes of the open record that are charged to the socket
 * @bytes: bytes in the encrypted records
 * @device: the first of them are text, for a device to encrypt
 * @flip: so many, then the rest are not what the first are; 0: all are alike
 * @pushing: TCP is being called: do not call it again from its callbacks
 * @shared: pages of others are among the pieces
 * @vec: pieces of pages; each holds a reference to its page
 */
struct tls_queue {
	struct sock *sk;
	struct timer_list retry;
	u16 first;
	u16 sealed;
	u16 end;
	bool pushing;
	bool device;
	bool shared;
	bool retried;
	unsigned int charged;
	size_t bytes;
	size_t flip;
	struct bio_vec vec[TLS_QUEUE_VECS];
};

/**
 * tls_queue_full - must finished records go to TCP before a record can begin?
 * @q: the queue
 */
static inline bool tls_queue_full(const struct tls_queue *q)
{
	return q->bytes >= TLS_BATCH_BYTES ||
	       q->end - q->first + TLS_RECORD_PIECES > TLS_QUEUE_VECS;
}

/**
 * enum tls_push - what follows the records that go to TCP
 * @TLS_PUSH_ALL: nothing now: TCP shall send them
 * @TLS_PUSH_MORE: the user said that more will come (MSG_MORE): TCP may wait
 * @TLS_PUSH_SOME: more of this call: their last byte stays here, so that TCP
 *	is told later where the data ends
 */
enum tls_push {
	TLS_PUSH_ALL,
	TLS_PUSH_MORE,
	TLS_PUSH_SOME,
};

void tls_queue_init(struct sock *sk, struct tls_queue *q);
int tls_queue_open(struct tls_queue *q, size_t len, size_t head);
int tls_queue_grow(struct tls_queue *q, size_t len);
int tls_queue_add(struct tls_queue *q, struct page *page, size_t offset,
		  size_t len);
int tls_queue_charge(struct tls_queue *q);
void tls_queue_seal(struct tls_queue *q, size_t len, bool device);
void tls_queue_abandon(struct tls_queue *q);
int tls_queue_push(struct tls_queue *q, enum tls_push how);
int tls_queue_force(struct tls_queue *q, bool last);
void tls_queue_later(struct tls_queue *q);
void tls_queue_purge(struct tls_queue *q);
size_t tls_queue_map(const struct tls_queue *q, size_t skip, size_t len,
		     struct scatterlist *sg);

/* ---- tls_strp.c: records in TCP's receive queue ---- */

/* Which of a record's segments a device has decrypted. */
enum tls_decrypted {
	TLS_ENCRYPTED,
	TLS_DECRYPTED,
	TLS_MIXED,
};

/**
 * struct tls_strp - where records begin and end in what TCP received
 * @sk: the socket
 * @seq: TCP sequence number up to where this has read
 * @head: what the header at @seq says
 * @head_known: it was looked at
 * @start: bytes of a header that TCP could not hold whole
 * @start_len: how many of them there are, while nothing is held
 * @held: bytes of a record that TCP could not hold whole, or NULL
 * @held_len: how many of them there are
 * @held_rec: what the header of the record in @held says
 * @held_charged: its memory is charged to the socket
 * @lowat: the user's SO_RCVLOWAT, while TCP has another; or 0
 * @device: a device may decrypt what comes
 * @held_plain: which bytes of @held a device has decrypted, if it may
 *
 * The record at the head is found anew each time, from TCP's own pointer into
 * the stream. Another reader may have moved it: then the stream has ended.
 */
struct tls_strp {
	struct sock *sk;
	u32 seq;
	struct tls_record head;
	bool head_known;
	u8 start[TLS_HEADER_SIZE];
	u8 start_len;
	struct sk_buff *held;
	unsigned int held_len;
	struct tls_record held_rec;
	bool held_charged;
	bool device;
	int lowat;
	unsigned long *held_plain;
};

/**
 * tls_rx_charge - charge what was received to its socket, if that can be
 * @sk: the socket; its lock held
 * @skb: memory of ours
 *
 * Any context.
 *
 * Return: whether it is charged: then sk_mem_uncharge() when it goes.
 */
static inline bool tls_rx_charge(struct sock *sk, struct sk_buff *skb)
{
	if (!sk_rmem_schedule(sk, skb, skb->truesize))
		return false;
	sk_mem_charge(sk, skb->truesize);
	return true;
}

void tls_strp_init(struct tls_strp *strp, struct sock *sk);
int tls_strp_next(struct tls_strp *strp, const struct tls_framing *f,
		  struct tls_record *rec, gfp_t gfp);
int tls_strp_copy(const struct tls_strp *strp, unsigned int offset, void *to,
		  unsigned int len);
int tls_strp_deliver(const struct tls_strp *strp, unsigned int offset,
		     unsigned int len, struct iov_iter *to);
int tls_strp_map(const struct tls_strp *strp, unsigned int offset,
		 unsigned int len, struct scatterlist *sg, int nents);
int tls_strp_hold(struct tls_strp *strp, const struct tls_record *rec,
		  gfp_t gfp);
void tls_strp_done(struct tls_strp *strp, const struct tls_record *rec);
enum tls_decrypted tls_strp_decrypted(const struct tls_strp *strp,
				      const struct tls_record *rec);
void tls_strp_restore(struct tls_strp *strp, const u8 *from,
		      unsigned int offset, unsigned int len);
int tls_strp_lowat(const struct tls_strp *strp);
u32 tls_strp_seq(const struct tls_strp *strp);
bool tls_strp_end(const struct tls_strp *strp, u32 *seq);
unsigned int tls_strp_held(const struct tls_strp *strp);
bool tls_strp_partial(const struct tls_strp *strp);
void tls_strp_purge(struct tls_strp *strp);

/* ---- tls_sw.c: the software engine's keys ---- */

struct tls_run;

/**
 * struct tls_key - one direction's key: framing and cipher
 * @framing: how records are framed under it
 * @tfm: the AEAD
 * @run: what encrypts or decrypts the current record, if it is there already
 * @secret: the key itself, for getsockopt()
 */
struct tls_key {
	struct tls_framing framing;
	struct crypto_aead *tfm;
	struct tls_run *run;
	u8 secret[TLS_MAX_KEY_SIZE];
};

struct tls_key *tls_key_new(const struct tls_cipher *cipher, u16 version,
			    const u8 *info, gfp_t gfp);
void tls_key_free(struct tls_key *key);
void tls_key_export(const struct tls_key *key, u8 *info);
int tls_key_prepare(struct tls_key *key, gfp_t gfp);
int tls_key_seal(struct tls_key *key, struct scatterlist *src,
		 struct scatterlist *dst, u8 type, size_t text_len, gfp_t gfp);
int tls_key_again(struct tls_key *key, struct scatterlist *src,
		  struct scatterlist *dst, const struct tls_record *rec,
		  const u8 *explicit_nonce, gfp_t gfp);
int tls_key_open(struct tls_key *key, struct scatterlist *src,
		 struct scatterlist *dst, const struct tls_record *rec,
		 const u8 *explicit_nonce, gfp_t gfp);
void tls_sw_exit(void);

/* ---- tls_device*.c: NIC offload ---- */

struct tls_device_tx;
struct tls_device_rx;
struct tls_fallback;

#ifdef CONFIG_TLS_DEVICE
int tls_device_init(void);
void tls_device_exit(void);

struct tls_device_tx *tls_device_tx_new(struct sock *sk,
					const struct tls_key *key);
void tls_device_tx_rekey(struct sock *sk, struct tls_device_tx *tx,
			 const struct tls_key *key);
int tls_device_tx_prepare(struct sock *sk, struct tls_device_tx *tx,
			  const struct tls_key *key, struct tls_queue *q);
void tls_device_tx_record(struct sock *sk, struct tls_device_tx *tx,
			  const struct tls_queue *q, u64 sn, size_t len);
void tls_device_fence(struct sock *sk);
void tls_device_keep_whole(struct sock *sk);
bool tls_device_has(const struct sock *sk, u32 seq);
struct tls_fallback *tls_device_fallback(const struct sock *sk, u32 seq,
					 struct tls_record_info *rec);

struct tls_fallback *tls_fallback_new(const struct tls_key *key, gfp_t gfp);
struct tls_fallback *tls_fallback_get(struct tls_fallback *f);
void tls_fallback_put(struct tls_fallback *f);

struct tls_device_rx *tls_device_rx_new(struct sock *sk,
					const struct tls_key *key);
void tls_device_rx_stop(struct sock *sk, struct tls_device_rx *rx);
void tls_device_rx_restart(struct sock *sk, struct tls_device_rx *rx,
			   const struct tls_key *key);
void tls_device_rx_record(struct sock *sk, struct tls_device_rx *rx, u32 seq,
			  u64 sn);
void tls_device_rx_done(struct sock *sk, struct tls_device_rx *rx,
			enum tls_decrypted how, u64 next_sn, bool more);
void tls_device_rx_ahead(struct sock *sk, struct tls_device_rx *rx, u32 seq,
			 u64 next_sn);
#else
static inline int tls_device_init(void)
{
	return 0;
}

static inline void tls_device_exit(void)
{
}

static inline struct tls_device_tx *
tls_device_tx_new(struct sock *sk, const struct tls_key *key)
{
	return NULL;
}

static inline void tls_device_tx_rekey(struct sock *sk,
				       struct tls_device_tx *tx,
				       const struct tls_key *key)
{
}

static inline int
tls_device_tx_prepare(struct sock *sk, struct tls_device_tx *tx,
		      const struct tls_key *key, struct tls_queue *q)
{
	return 0;
}

static inline void tls_device_tx_record(struct sock *sk,
					struct tls_device_tx *tx,
					const struct tls_queue *q, u64 sn,
					size_t len)
{
}

static inline void tls_device_fence(struct sock *sk)
{
}

static inline void tls_device_keep_whole(struct sock *sk)
{
}

static inline struct tls_device_rx *
tls_device_rx_new(struct sock *sk, const struct tls_key *key)
{
	return NULL;
}

static inline void tls_device_rx_stop(struct sock *sk,
				      struct tls_device_rx *rx)
{
}

static inline void tls_device_rx_restart(struct sock *sk,
					 struct tls_device_rx *rx,
					 const struct tls_key *key)
{
}

static inline void tls_device_rx_record(struct sock *sk,
					struct tls_device_rx *rx, u32 seq,
					u64 sn)
{
}

static inline void tls_device_rx_done(struct sock *sk,
				      struct tls_device_rx *rx,
				      enum tls_decrypted how, u64 next_sn,
				      bool more)
{
}

static inline void tls_device_rx_ahead(struct sock *sk,
				       struct tls_device_rx *rx, u32 seq,
				       u64 next_sn)
{
}
#endif

/* ---- the engines: what tls_main knows of them ---- */

struct tls_tx;
struct tls_rx;

/**
 * struct tls_tx_ops - an engine that sends; all with the socket lock owned
 * @sendmsg: sendmsg() of a socket
 * @splice_eof: no more data of this splice will come
 * @end: hand everything to TCP now, whatever its buffer says, and take no
 *	more; -EAGAIN when memory is short: then nothing has ended
 * @write_space: TCP has room again; may be in softirq; true: wake writers
 * @waiting: bytes of records that TCP has not taken; without the lock. While
 *	there are any, a send could not make progress
 * @failed: a send returns an error at once; without the lock
 * @record_is_open: MSG_MORE has left a record open
 * @rekey: install a further key (TLS 1.3)
 * @key: the current key
 * @free: forget the direction; nothing is in flight
 */
struct tls_tx_ops {
	int (*sendmsg)(struct sock *sk, struct tls_tx *tx, struct msghdr *msg,
		       size_t size);
	void (*splice_eof)(struct sock *sk, struct tls_tx *tx);
	int (*end)(struct sock *sk, struct tls_tx *tx);
	bool (*write_space)(struct sock *sk, struct tls_tx *tx);
	unsigned int (*waiting)(const struct tls_tx *tx);
	bool (*failed)(const struct tls_tx *tx);
	bool (*record_is_open)(const struct tls_tx *tx);
	int (*rekey)(struct sock *sk, struct tls_tx *tx, struct tls_key *key);
	const struct tls_key *(*key)(const struct tls_tx *tx);
	void (*free)(struct sock *sk, struct tls_tx *tx);
};

/**
 * struct tls_rx_ops - an engine that receives
 * @start: it is installed: announce what came before; socket lock owned
 * @recvmsg: recvmsg() of a socket; takes the socket lock
 * @splice_read: splice() from a socket; takes the socket lock
 * @read_sock: as tcp_read_sock(); with the socket lock owned
 * @readable: poll: a read would not block; without the lock
 * @failed: poll: reads return an error; without the lock
 * @held: bytes to read that TCP does not have any more; with the socket lock
 *	owned
 * @rekey: install a further key (TLS 1.3); with the socket lock owned
 * @key: the current key; with the socket lock owned
 * @free: forget the direction; with the socket lock owned
 */
struct tls_rx_ops {
	void (*start)(struct sock *sk, struct tls_rx *rx);
	int (*recvmsg)(struct sock *sk, struct tls_rx *rx, struct msghdr *msg,
		       size_t len, int flags);
	ssize_t (*splice_read)(struct sock *sk, struct tls_rx *rx,
			       struct pipe_inode_info *pipe, size_t len,
			       bool nonblock, unsigned int flags);
	int (*read_sock)(struct sock *sk, struct tls_rx *rx,
			 read_descriptor_t *desc, sk_read_actor_t actor);
	bool (*readable)(const struct tls_rx *rx);
	bool (*failed)(const struct tls_rx *rx);
	unsigned int (*held)(const struct tls_rx *rx);
	int (*rekey)(struct sock *sk, struct tls_rx *rx, struct tls_key *key);
	const struct tls_key *(*key)(const struct tls_rx *rx);
	void (*free)(struct sock *sk, struct tls_rx *rx);
};

/**
 * struct tls_tx - what every engine's state of sending begins with
 * @ops: its operations
 * @counters: those of the socket's network namespace
 * @mode: TLS_SW or TLS_HW: who encrypts
 * @generation: how often the key has been updated (RFC 8446, 7.2)
 */
struct tls_tx {
	const struct tls_tx_ops *ops;
	struct tls_counters __percpu *counters;
	u8 mode;
	u32 generation;
};

/**
 * struct tls_rx - what every engine's state of receiving begins with
 * @ops: its operations
 * @counters: those of the socket's network namespace
 * @mode: TLS_SW or TLS_HW: who decrypts
 * @generation: how often the key has been updated (RFC 8446, 7.2)
 */
struct tls_rx {
	const struct tls_rx_ops *ops;
	struct tls_counters __percpu *counters;
	u8 mode;
	u32 generation;
};

void tls_retry(struct sock *sk);

struct tls_tx *tls_sw_tx_new(struct sock *sk, struct tls_key *key);
struct tls_rx *tls_sw_rx_new(struct sock *sk, struct tls_key *key);

static inline struct tls_tx *tls_tx(const struct tls_context *ctx)
{
	/* Pairs with tls_set_tx(): the operations are seen complete. */
	return smp_load_acquire(&ctx->priv_ctx_tx);
}

static inline struct tls_rx *tls_rx(const struct tls_context *ctx)
{
	/* Pairs with tls_set_rx(). */
	return smp_load_acquire(&ctx->priv_ctx_rx);
}

#endif /* _TLS_INT_H */
