// SPDX-License-Identifier: GPL-2.0
/*
 * TLS offload: what a driver does for the kernel, and what its device does with
 * segments.
 *
 * Sending. The kernel frames records and leaves room for the tag. A segment
 * that begins where the engine stands is encrypted, whatever it holds of
 * however many records. One that does not is dealt with as drivers do, by
 * choice of a knob:
 *
 *  - rebuild: tls_get_record() gives what the record holds in front of the
 *    segment; the engine starts over with it and stands right then. This is
 *    what mlx5 does.
 *  - fallback: tls_encrypt_skb() encrypts that segment. If it lies ahead, the
 *    kernel is asked to say where the next record begins. This is what nfp does.
 *
 * Segments from before the offload pass as they are. What cannot be encrypted
 * is dropped.
 *
 * Receiving. A segment is marked as decrypted when the engine has decrypted
 * every byte of text in it, and each tag that ends in it was right. Otherwise
 * all of it is delivered as the wire had it: a segment is never a mixture. The
 * tag of a record is in its last segment, so earlier ones have been delivered
 * decrypted when it turns out wrong; the kernel must then put the ciphertext
 * together again and come to the same result. This is what devices guarantee
 * that keep no segment back.
 *
 * A gap that ends within the record or at its end leaves the engine in its
 * place: what follows of that record stays encrypted. After any other gap it
 * has to find records again. Of the three kinds that drivers use, the knob
 * takes one when the connection is added:
 *
 *  - TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ: the device looks for bytes like a
 *    record's header, follows the lengths from there and has the kernel asked
 *    whether the guess was right. Guess and answer name the last byte of the
 *    header.
 *  - TLS_OFFLOAD_SYNC_TYPE_CORE_NEXT_HINT: it waits until the kernel, which
 *    sees encrypted records, says where the next begins.
 *  - TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ_ASYNC: as the first, but the device tells
 *    the driver after the segment has gone up; so the kernel is asked to note
 *    the headers of that segment before, and which one it was later. Guess and
 *    answer name the first byte of the header.
 */

#include <linux/delay.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/jhash.h>
#include <linux/skbuff_ref.h>
#include <linux/tcp.h>
#include <net/ip6_checksum.h>

#include "nic.h"

#define TRACK_MAX	64	/* records without an answer: guess again */

static struct nic_conn **driver_state(struct tls_context *ctx,
				      enum tls_offload_ctx_dir dir)
{
	return __tls_driver_ctx(ctx, dir);
}

static u32 flow_hash(const struct nic_flow *flow)
{
	return jhash(flow, sizeof(*flow), 0);
}

static struct nic_flow flow_of_sock(const struct sock *sk)
{
	struct nic_flow flow = {
		.sport = sk->sk_dport,
		.dport = htons(sk->sk_num),
	};

	if (sk->sk_family == AF_INET6) {
		flow.saddr = sk->sk_v6_daddr;
		flow.daddr = sk->sk_v6_rcv_saddr;
	} else {
		ipv6_addr_set_v4mapped(sk->sk_daddr, &flow.saddr);
		ipv6_addr_set_v4mapped(sk->sk_rcv_saddr, &flow.daddr);
	}
	return flow;
}

/**
 * nic_tcp_payload() - find TCP's payload in a frame, and set header offsets
 * @frame: linear, from its Ethernet header on
 *
 * Return: bytes of payload at the end of the frame (padding removed), or
 * -EINVAL if it is no TCP segment in plain IPv4 or IPv6.
 */
int nic_tcp_payload(struct sk_buff *frame)
{
	const struct ethhdr *eth = (void *)frame->data;
	u32 l3 = sizeof(*eth), l4, end;
	const struct tcphdr *th;

	if (frame->len < l3 + sizeof(struct iphdr))
		return -EINVAL;
	if (eth->h_proto == htons(ETH_P_IP)) {
		const struct iphdr *ip = (void *)frame->data + l3;

		if (ip->version != 4 || ip->ihl < 5 || ip_is_fragment(ip) ||
		    ip->protocol != IPPROTO_TCP)
			return -EINVAL;
		l4 = l3 + ip->ihl * 4;
		end = l3 + ntohs(ip->tot_len);
	} else if (eth->h_proto == htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip = (void *)frame->data + l3;

		if (frame->len < l3 + sizeof(*ip) || ip->version != 6 ||
		    ip->nexthdr != IPPROTO_TCP)
			return -EINVAL;
		l4 = l3 + sizeof(*ip);
		end = l4 + ntohs(ip->payload_len);
	} else {
		return -EINVAL;
	}
	if (end > frame->len || l4 + sizeof(*th) > end)
		return -EINVAL;
	th = (void *)frame->data + l4;
	if (th->doff < 5 || l4 + th->doff * 4 > end)
		return -EINVAL;

	skb_trim(frame, end);
	skb_set_network_header(frame, l3);
	skb_set_transport_header(frame, l4);
	return end - l4 - th->doff * 4;
}

/* The checksum over a segment and its pseudo header; 0 if it holds already. */
static __sum16 tcp_sum(const struct sk_buff *frame)
{
	u32 off = skb_transport_offset(frame), len = frame->len - off;
	__wsum sum = csum_partial(frame->data + off, len, 0);

	if (ip_hdr(frame)->version == 4)
		return csum_tcpudp_magic(ip_hdr(frame)->saddr,
					 ip_hdr(frame)->daddr, len,
					 IPPROTO_TCP, sum);
	return csum_ipv6_magic(&ipv6_hdr(frame)->saddr, &ipv6_hdr(frame)->daddr,
			       len, IPPROTO_TCP, sum);
}

/* After a change of the payload; frame as nic_tcp_payload() leaves it. */
void nic_tcp_checksum(struct sk_buff *frame)
{
	tcp_hdr(frame)->check = 0;
	tcp_hdr(frame)->check = tcp_sum(frame);
}

static u32 frame_seq(const struct sk_buff *frame)
{
	return ntohl(tcp_hdr(frame)->seq);
}

/*
 * Sending
 */

/*
 * The pieces of a record in front of @seq, with references; @sn its number.
 * Returns how many; -ENOENT when there is no such record any more, -ENODATA for
 * a segment from before the offload.
 */
static int record_front(struct tls_offload_context_tx *tx, u32 seq, u32 len,
			skb_frag_t *frags, u64 *sn)
{
	struct tls_record_info *rec;
	unsigned long flags;
	int n = 0, left;

	spin_lock_irqsave(&tx->lock, flags);
	rec = tls_get_record(tx, seq, sn);
	if (!rec) {
		n = -ENOENT;
	} else if (tls_record_is_start_marker(rec)) {
		n = after(seq + len, rec->end_seq) ? -ENOENT : -ENODATA;
	} else {
		left = seq - tls_record_start_seq(rec);
		if (left < 0)
			n = -ENOENT;
		for (; left > 0; left -= skb_frag_size(&frags[n]), n++) {
			frags[n] = rec->frags[n];
			if (skb_frag_size(&frags[n]) > left)
				skb_frag_size_set(&frags[n], left);
			__skb_frag_ref(&frags[n]);
		}
	}
	spin_unlock_irqrestore(&tx->lock, flags);
	return n;
}

/* Let the engine go over a piece of a record, and forget what it made of it. */
static int run_frag(struct nic_stream *s, const skb_frag_t *frag)
{
	u32 p_off, p_len, copied, part;
	struct page *p;
	u8 bytes[256];
	int ret = 0;

	skb_frag_foreach_page(frag, skb_frag_off(frag), skb_frag_size(frag),
			      p, p_off, p_len, copied) {
		const u8 *from = kmap_local_page(p);

		for (u32 i = 0; i < p_len && !ret; i += part) {
			part = min_t(u32, p_len - i, sizeof(bytes));
			memcpy(bytes, from + p_off + i, part);
			ret = nic_stream_run(s, bytes, part);
		}
		kunmap_local(from);
	}
	return ret;
}

/* Way of mlx5: stand at @seq again. Errors as record_front(). */
static int tx_rebuild(struct nic_conn *conn, struct tls_offload_context_tx *tx,
		      u32 seq, u32 len)
{
	skb_frag_t frags[MAX_SKB_FRAGS];
	u64 sn;
	int n = record_front(tx, seq, len, frags, &sn), ret = 0;

	if (n < 0)
		return n;
	nic_stream_start(&conn->stream, sn);
	for (int i = 0; i < n; i++) {
		if (!ret)
			ret = run_frag(&conn->stream, &frags[i]);
		__skb_frag_unref(&frags[i], false);
	}
	conn->seq = seq;
	conn->lost = ret;
	return ret;
}

/* Way of nfp. */
static struct sk_buff *tx_fallback(struct nic *nic, struct nic_conn *conn,
				   struct sk_buff *skb, u32 seq, bool pending)
{
	struct sock *sk = skb->sk;
	struct sk_buff *nskb = tls_encrypt_skb(skb);
	bool ahead;

	if (!nskb) {
		nic_count(nic, NIC_tx_tls_dropped, 1);
		return NULL;
	}
	if (nskb == skb) {
		nic_count(nic, NIC_tx_tls_passed, 1);
		return skb;
	}
	/* Drivers have no room for more descriptors by now. */
	if (skb_is_nonlinear(nskb)) {
		nic_count(nic, NIC_tx_tls_dropped, 1);
		kfree_skb(nskb);
		return NULL;
	}
	nic_count(nic, NIC_tx_tls_fallback, 1);

	spin_lock_bh(&conn->lock);
	ahead = !conn->dead && (conn->lost || after(seq, conn->seq));
	spin_unlock_bh(&conn->lock);
	if (ahead && !pending) {
		nic_count(nic, NIC_tx_tls_resync_req, 1);
		tls_offload_tx_resync_request(sk, seq, conn->seq);
	}
	return nskb;
}

/**
 * nic_tls_xmit() - what the driver does with a packet from the stack
 * @nic: the device
 * @skb: the packet, perhaps a large one that the device will cut
 * @offload: set to the connection that the device must encrypt it for, or NULL
 *
 * Context: ndo_start_xmit.
 * Return: the packet to send, or NULL if it was dropped.
 */
struct sk_buff *nic_tls_xmit(struct nic *nic, struct sk_buff *skb,
			     struct nic_conn **offload)
{
	struct net_device *netdev;
	struct tls_context *ctx;
	struct nic_conn *conn;
	bool pending, fallback;
	int len, ret;
	u32 seq;

	*offload = NULL;
	if (!tls_is_skb_tx_device_offloaded(skb))
		return skb;
	len = skb->len - skb_tcp_all_headers(skb);
	if (len <= 0)
		return skb;
	ctx = tls_get_ctx(skb->sk);
	netdev = rcu_dereference_bh(ctx->netdev);
	/* Another device's: the kernel has encrypted it on the way to us. */
	if (netdev && netdev != nic->dev)
		return skb;

	conn = *driver_state(ctx, TLS_OFFLOAD_CTX_DIR_TX);
	seq = ntohl(tcp_hdr(skb)->seq);
	pending = tls_offload_tx_resync_pending(skb->sk);
	spin_lock_bh(&conn->lock);
	if (!pending && !conn->lost && !conn->dead && seq == conn->seq) {
		*offload = conn;
		spin_unlock_bh(&conn->lock);
		return skb;
	}
	fallback = conn->dead || READ_ONCE(nic->knobs.tx_fallback);
	ret = fallback ? 0 : tx_rebuild(conn, tls_offload_ctx_tx(ctx), seq, len);
	spin_unlock_bh(&conn->lock);

	nic_count(nic, NIC_tx_tls_ooo, 1);
	if (fallback)
		return tx_fallback(nic, conn, skb, seq, pending);
	if (ret == -ENODATA) {
		nic_count(nic, NIC_tx_tls_passed, 1);
		return skb;
	}
	if (ret) {
		nic_count(nic, NIC_tx_tls_dropped, 1);
		kfree_skb(skb);
		return NULL;
	}
	nic_count(nic, NIC_tx_tls_rebuilt, 1);
	*offload = conn;
	return skb;
}

/**
 * nic_tls_encrypt() - what the device does with a segment that is to encrypt
 * @nic: the device
 * @conn: the connection
 * @frame: the segment; its checksum is wrong after it
 *
 * Return: false when it cannot; the segment must not go out then.
 */
bool nic_tls_encrypt(struct nic *nic, struct nic_conn *conn,
		     struct sk_buff *frame)
{
	int len = nic_tcp_payload(frame), ret = -EINVAL;
	u64 records;

	spin_lock_bh(&conn->lock);
	if (len >= 0 && !conn->lost && !conn->dead &&
	    frame_seq(frame) == conn->seq) {
		records = conn->stream.records;
		ret = nic_stream_run(&conn->stream,
				     frame->data + frame->len - len, len);
		conn->seq += len;
		conn->lost = ret;
		nic_count(nic, NIC_tx_tls_records,
			  conn->stream.records - records);
	}
	spin_unlock_bh(&conn->lock);
	if (ret)
		return false;
	nic_count(nic, NIC_tx_tls_encrypted_packets, 1);
	nic_count(nic, NIC_tx_tls_encrypted_bytes, len);
	return true;
}

/*
 * Receiving
 */

static void rx_tell(struct nic_conn *conn)
{
	u32 seq = conn->guess - READ_ONCE(conn->nic->knobs.rx_resync_wrong);

	if (conn->resync == TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ) {
		tls_offload_rx_resync_request(conn->sk,
					      htonl(seq + TLS_HEADER_SIZE - 1));
		nic_count(conn->nic, NIC_rx_tls_resync_req, 1);
	} else {
		tls_offload_rx_resync_async_request_end(&conn->async,
							htonl(seq));
		nic_count(conn->nic, NIC_rx_tls_resync_end, 1);
	}
}

static void rx_tell_work(struct work_struct *work)
{
	struct nic_conn *conn = container_of(to_delayed_work(work),
					     struct nic_conn, tell);

	spin_lock_bh(&conn->lock);
	if (conn->state == NIC_RX_TRACK)
		rx_tell(conn);
	spin_unlock_bh(&conn->lock);
}

/* A header has been guessed in the segment [@seq, @seq + @len). */
static void rx_ask(struct nic_conn *conn, u32 seq, u32 len)
{
	u32 late = READ_ONCE(conn->nic->knobs.rx_resync_late_ms);
	bool async = conn->resync == TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ_ASYNC;

	if (async) {
		tls_offload_rx_resync_async_request_start(&conn->async,
							  htonl(seq), len);
		nic_count(conn->nic, NIC_rx_tls_resync_start, 1);
		if (READ_ONCE(conn->nic->knobs.resync_mute))
			return;
	}
	if (async || late)
		mod_delayed_work(system_wq, &conn->tell, msecs_to_jiffies(late));
	else
		rx_tell(conn);
}

static void rx_lose(struct nic_conn *conn)
{
	if (conn->state == NIC_RX_SYNC)
		nic_count(conn->nic, NIC_rx_tls_lost, 1);
	conn->state = NIC_RX_SEARCH;
	conn->hinted = false;
}

/* Look for a header, and for a chain of them to the end of the segment. */
static void rx_search(struct nic_conn *conn, u8 *data, u32 len, u32 seq)
{
	struct nic_stream *s = &conn->stream;

	if (conn->resync == TLS_OFFLOAD_SYNC_TYPE_CORE_NEXT_HINT)
		return;
	for (u32 i = 0; i + TLS_HEADER_SIZE <= len; i++) {
		if (!nic_record_len(&conn->key, data + i))
			continue;
		nic_stream_start(s, 0);
		s->framing = true;
		if (nic_stream_run(s, data + i, len - i))
			continue;
		conn->state = NIC_RX_TRACK;
		conn->guess = seq + i;
		conn->seq = seq + len;
		rx_ask(conn, seq, len);
		return;
	}
}

/* The kernel has said where a record begins: is it here? */
static bool rx_hinted(struct nic_conn *conn, u32 seq, u32 len)
{
	if (!conn->hinted || before(seq + len - 1, conn->hint_seq))
		return false;
	conn->hinted = false;
	if (after(seq, conn->hint_seq)) {
		nic_count(conn->nic, NIC_rx_tls_resync_late, 1);
		return false;
	}
	nic_count(conn->nic, NIC_rx_tls_resync_ok, 1);
	nic_stream_start(&conn->stream, conn->hint_number);
	conn->seq = conn->hint_seq;
	conn->state = NIC_RX_SYNC;
	return true;
}

/*
 * One segment with payload, under the connection's lock. Return: whether @data
 * is decrypted now; if not it is as it was.
 */
static bool rx_segment(struct nic_conn *conn, u8 *data, u32 len, u32 seq)
{
	struct nic *nic = conn->nic;
	struct nic_stream *s = &conn->stream;
	u64 records = s->records;
	u32 skip;
	int ret;

	if (conn->state == NIC_RX_SEARCH && !rx_hinted(conn, seq, len)) {
		if (before(seq, conn->seen))
			return false;
		rx_search(conn, data, len, seq);
		return false;
	}

	/* Sent again: all of it has been here. */
	if (!after(seq + len, conn->seq))
		return false;
	if (after(seq, conn->seq)) {
		if (!nic_stream_skip(s, seq - conn->seq)) {
			rx_lose(conn);
			rx_search(conn, data, len, seq);
			return false;
		}
		conn->seq = seq;
	}
	skip = conn->seq - seq;
	memcpy(nic->scratch, data, len);
	s->passed = skip;
	ret = nic_stream_run(s, nic->scratch + skip, len - skip);
	conn->seq = seq + len;
	nic_count(nic, NIC_rx_tls_records, s->records - records);
	if (ret) {
		if (ret == -EBADMSG)
			nic_count(nic, NIC_rx_tls_bad_tag, 1);
		rx_lose(conn);
		if (ret == -EPROTO)
			rx_search(conn, data, len, seq);
		return false;
	}
	if (conn->state == NIC_RX_TRACK && s->number > TRACK_MAX)
		rx_lose(conn);
	if (s->passed)
		return false;
	memcpy(data, nic->scratch, len);
	return true;
}

static struct nic_conn *rx_find(struct nic *nic, const struct sk_buff *frame)
{
	const struct tcphdr *th = tcp_hdr(frame);
	struct nic_flow flow = { .sport = th->source, .dport = th->dest };
	struct nic_conn *conn;

	if (ip_hdr(frame)->version == 4) {
		ipv6_addr_set_v4mapped(ip_hdr(frame)->saddr, &flow.saddr);
		ipv6_addr_set_v4mapped(ip_hdr(frame)->daddr, &flow.daddr);
	} else {
		flow.saddr = ipv6_hdr(frame)->saddr;
		flow.daddr = ipv6_hdr(frame)->daddr;
	}
	hash_for_each_possible_rcu(nic->rx_conns, conn, hash, flow_hash(&flow))
		if (!memcmp(&conn->flow, &flow, sizeof(flow)))
			return conn;
	return NULL;
}

/**
 * nic_tls_receive() - a frame from the wire, before the stack sees it
 * @nic: the device
 * @frame: the frame; decrypted and marked so if the device can
 *
 * Context: NAPI.
 */
void nic_tls_receive(struct nic *nic, struct sk_buff *frame)
{
	int len = nic_tcp_payload(frame);
	bool decrypted, mark;
	struct nic_conn *conn;
	u8 *data;
	u32 seq;

	/* Segments with a wrong checksum are TCP's to drop. */
	if (len < 0 || tcp_sum(frame))
		return;
	if (nic->dev->features & NETIF_F_RXCSUM)
		frame->ip_summed = CHECKSUM_UNNECESSARY;
	if (!len)
		return;

	rcu_read_lock();
	conn = rx_find(nic, frame);
	if (!conn)
		goto out;
	seq = frame_seq(frame);
	data = frame->data + frame->len - len;

	spin_lock_bh(&conn->lock);
	decrypted = !conn->dead && rx_segment(conn, data, len, seq);
	if (after(seq + len, conn->seen))
		conn->seen = seq + len;
	spin_unlock_bh(&conn->lock);

	if (decrypted) {
		nic_count(nic, NIC_rx_tls_decrypted_packets, 1);
		nic_count(nic, NIC_rx_tls_decrypted_bytes, len);
		mark = !nic_take(&nic->knobs.rx_mark_not);
		frame->ip_summed = CHECKSUM_UNNECESSARY;
	} else {
		nic_count(nic, NIC_rx_tls_passed, 1);
		mark = nic_take(&nic->knobs.rx_mark_wrong);
	}
	frame->decrypted = mark;
out:
	rcu_read_unlock();
}

/*
 * The kernel's calls
 */

static int nic_dev_add(struct net_device *dev, struct sock *sk,
		       enum tls_offload_ctx_dir dir,
		       struct tls_crypto_info *info, u32 start)
{
	struct nic *nic = netdev_priv(dev);
	bool tx = dir == TLS_OFFLOAD_CTX_DIR_TX;
	struct nic_conn *conn;
	u64 number;
	int ret;

	BUILD_BUG_ON(sizeof(conn) > TLS_DRIVER_STATE_SIZE_RX);
	if (READ_ONCE(nic->knobs.add_delay_ms))
		msleep(READ_ONCE(nic->knobs.add_delay_ms));
	ret = -READ_ONCE(nic->knobs.add_error);
	if (ret)
		goto refused;

	ret = -ENOMEM;
	conn = kzalloc(sizeof(*conn), GFP_KERNEL);
	if (!conn)
		goto refused;
	conn->nic = nic;
	conn->sk = sk;
	conn->dir = dir;
	conn->seq = start;
	conn->seen = start;
	spin_lock_init(&conn->lock);
	INIT_DELAYED_WORK(&conn->tell, rx_tell_work);
	ret = nic_key_set(&conn->key, info, &number);
	if (!ret)
		ret = nic_stream_init(&conn->stream, &conn->key, tx);
	if (ret)
		goto free;
	nic_stream_start(&conn->stream, number);
	conn->stream.spoil = tx ? &nic->knobs.tx_spoil_tags :
				  &nic->knobs.rx_spoil_tags;
	if (!tx) {
		conn->resync = READ_ONCE(nic->knobs.rx_resync);
		conn->flow = flow_of_sock(sk);
		tls_offload_rx_resync_set_type(sk, conn->resync);
		if (conn->resync == TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ_ASYNC)
			tls_offload_ctx_rx(tls_get_ctx(sk))->resync_async =
				&conn->async;
	}
	*driver_state(tls_get_ctx(sk), dir) = conn;

	spin_lock_bh(&nic->lock);
	ret = nic->num_conns < nic->knobs.table_size ? 0 : -ENOSPC;
	if (!ret) {
		nic->num_conns++;
		list_add_tail(&conn->list, &nic->conns);
		if (!tx)
			hash_add_rcu(nic->rx_conns, &conn->hash,
				     flow_hash(&conn->flow));
	}
	spin_unlock_bh(&nic->lock);
	if (ret)
		goto free;
	nic_count(nic, tx ? NIC_tx_tls_add : NIC_rx_tls_add, 1);
	return 0;

free:
	nic_stream_free(&conn->stream);
	nic_key_clear(&conn->key);
	kfree(conn);
refused:
	nic_count(nic, NIC_add_refused, 1);
	return ret;
}

static void nic_dev_del(struct net_device *dev, struct tls_context *ctx,
			enum tls_offload_ctx_dir dir)
{
	struct nic *nic = netdev_priv(dev);
	struct nic_conn *conn = *driver_state(ctx, dir);
	bool tx = dir == TLS_OFFLOAD_CTX_DIR_TX;

	if (WARN_ON_ONCE(!conn))
		return;
	spin_lock_bh(&nic->lock);
	nic->num_conns--;
	list_del(&conn->list);
	if (!tx)
		hash_del_rcu(&conn->hash);
	spin_unlock_bh(&nic->lock);
	*driver_state(ctx, dir) = NULL;

	/* NAPI may be at it, and so ask the socket for resync. */
	synchronize_net();
	cancel_delayed_work_sync(&conn->tell);
	nic_stream_free(&conn->stream);
	nic_key_clear(&conn->key);
	kfree_sensitive(conn);
	nic_count(nic, tx ? NIC_tx_tls_del : NIC_rx_tls_del, 1);
}

/* The answer to rx_ask(), or a hint that nobody asked for. */
static void rx_answer(struct nic_conn *conn, u32 seq, u64 number)
{
	struct nic *nic = conn->nic;
	u32 guess = conn->guess;

	if (conn->resync == TLS_OFFLOAD_SYNC_TYPE_CORE_NEXT_HINT) {
		if (conn->state == NIC_RX_SYNC)
			return;
		conn->hinted = !before(seq, conn->seen);
		conn->hint_seq = seq;
		conn->hint_number = number;
		if (!conn->hinted)
			nic_count(nic, NIC_rx_tls_resync_late, 1);
		return;
	}
	if (conn->resync == TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ)
		guess += TLS_HEADER_SIZE - 1;
	if (conn->state != NIC_RX_TRACK || guess != seq) {
		nic_count(nic, NIC_rx_tls_resync_late, 1);
		return;
	}
	nic_count(nic, NIC_rx_tls_resync_ok, 1);
	conn->stream.number += number;
	conn->stream.framing = false;
	conn->stream.blind = conn->stream.at;
	conn->state = NIC_RX_SYNC;
}

/* Sending: may sleep, under the socket's lock. Receiving: must not sleep. */
static int nic_dev_resync(struct net_device *dev, struct sock *sk, u32 seq,
			  u8 *rcd_sn, enum tls_offload_ctx_dir dir)
{
	struct nic *nic = netdev_priv(dev);
	struct nic_conn *conn = *driver_state(tls_get_ctx(sk), dir);
	u64 number = get_unaligned_be64(rcd_sn);

	if (!conn)
		return -ENOENT;
	if (READ_ONCE(nic->knobs.resync_mute))
		return -EIO;
	spin_lock_bh(&conn->lock);
	if (dir == TLS_OFFLOAD_CTX_DIR_TX) {
		nic_stream_start(&conn->stream, number);
		conn->seq = seq;
		conn->lost = false;
		nic_count(nic, NIC_tx_tls_resync_res, 1);
	} else {
		rx_answer(conn, seq, number);
	}
	spin_unlock_bh(&conn->lock);
	return 0;
}

const struct tlsdev_ops nic_tlsdev_ops = {
	.tls_dev_add	= nic_dev_add,
	.tls_dev_del	= nic_dev_del,
	.tls_dev_resync	= nic_dev_resync,
#ifdef TLSDEV_CAP_TLS_1_3
	.capabilities	= TLSDEV_CAP_TLS_1_3,
#endif
};

/**
 * nic_tls_lose() - the device loses its place in every connection
 * @nic: the device
 * @for_good: it forgets them: resync does not help
 */
void nic_tls_lose(struct nic *nic, bool for_good)
{
	struct nic_conn *conn;

	spin_lock_bh(&nic->lock);
	list_for_each_entry(conn, &nic->conns, list) {
		spin_lock(&conn->lock);
		conn->dead |= for_good;
		if (conn->dir == TLS_OFFLOAD_CTX_DIR_TX)
			conn->lost = true;
		else
			rx_lose(conn);
		spin_unlock(&conn->lock);
	}
	spin_unlock_bh(&nic->lock);
}
