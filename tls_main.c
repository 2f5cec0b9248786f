// SPDX-License-Identifier: GPL-2.0
/*
 * Kernel TLS as an upper layer protocol of TCP: attach, detach, socket
 * options, which operations a socket has, lifetime, socket diag.
 *
 * An attached socket has operation tables of ours, made from those it had.
 * While a direction has no key, they pass everything on unchanged.
 */

#include <asm/ioctls.h>
#include <linux/inet_diag.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/skmsg.h>
#include <linux/sockios.h>
#include <linux/splice.h>
#include <net/inet_common.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "compat.h"
#include "tls.h"
#include "trace.h"

/**
 * struct tls_ops - our operations of a socket, made from those underneath
 * @list: in tls_ops_list
 * @base: the socket's protocol operations underneath
 * @base_ops: its socket operations underneath
 * @proto: ours
 * @proto_ops: ours
 *
 * There is one for each of the few kinds of TCP socket (IPv4, IPv6, each also
 * as BPF changes them); it lives as long as the module.
 */
struct tls_ops {
	struct list_head list;
	struct proto *base;
	const struct proto_ops *base_ops;
	struct proto proto;
	struct proto_ops proto_ops;
};

static LIST_HEAD(tls_ops_list);
static DEFINE_SPINLOCK(tls_ops_lock);

/* ---- the operations ---- */

/*
 * The context, for who comes without the socket lock through one of our
 * operations. Pairs with tls_init(): seeing those, one sees this too.
 */
static struct tls_context *tls_ctx_lockless(const struct sock *sk)
{
	/* The operations were seen; now the context. */
	smp_rmb();
	return tls_get_ctx(sk);
}

static int tls_sendmsg_locked(struct sock *sk, struct msghdr *msg, size_t size)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	struct tls_tx *tx = ctx ? tls_tx(ctx) : NULL;

	return tx ? tx->ops->sendmsg(sk, tx, msg, size) :
		    tcp_sendmsg_locked(sk, msg, size);
}

static int tls_sendmsg(struct sock *sk, struct msghdr *msg, size_t size)
{
	const struct proto *base;
	struct tls_context *ctx;
	struct tls_tx *tx;
	int ret;

	/* Only with the lock is it certain that nothing goes in the clear. */
	lock_sock(sk);
	/*
	 * BPF's worker may come while the socket closes: then the context has
	 * gone, there never was a key, and the operations are not ours any more.
	 */
	ctx = tls_get_ctx(sk);
	tx = ctx ? tls_tx(ctx) : NULL;
	if (likely(tx)) {
		ret = tx->ops->sendmsg(sk, tx, msg, size);
	} else {
		base = ctx ? READ_ONCE(ctx->sk_proto) : READ_ONCE(sk->sk_prot);
		if (base->sendmsg != tcp_sendmsg) {
			release_sock(sk);
			return base->sendmsg(sk, msg, size);
		}
		ret = tcp_sendmsg_locked(sk, msg, size);
	}
	release_sock(sk);
	return ret;
}

static void tls_splice_eof(struct socket *sock)
{
	struct sock *sk = sock->sk;
	struct tls_context *ctx = tls_ctx_lockless(sk);
	struct tls_tx *tx = tls_tx(ctx);

	if (tx) {
		lock_sock(sk);
		tx->ops->splice_eof(sk, tx);
		release_sock(sk);
	}
	/* TCP may hold something back too. */
	ctx->sk_proto->splice_eof(sock);
}

static int tls_recvmsg(struct sock *sk, struct msghdr *msg, size_t len,
		       int flags ADDR_LEN_PARAM)
{
	struct tls_context *ctx = tls_ctx_lockless(sk);
	struct tls_rx *rx = tls_rx(ctx);

	if (!rx)
		return ctx->sk_proto->recvmsg(sk, msg, len, flags ADDR_LEN);
	if (unlikely(flags & MSG_ERRQUEUE))
		return inet_recv_error(sk, msg, len ADDR_LEN);
	if (unlikely(flags & MSG_OOB))
		return -EOPNOTSUPP;
	return rx->ops->recvmsg(sk, rx, msg, len, flags);
}

static ssize_t tls_splice_read(struct socket *sock, loff_t *ppos,
			       struct pipe_inode_info *pipe, size_t len,
			       unsigned int flags)
{
	struct sock *sk = sock->sk;
	struct tls_context *ctx = tls_ctx_lockless(sk);
	struct tls_rx *rx = tls_rx(ctx);

	if (!rx)
		return ctx->ops->base_ops->splice_read(sock, ppos, pipe, len,
						       flags);
	return rx->ops->splice_read(sk, rx, pipe, len,
				    sock->file->f_flags & O_NONBLOCK ||
				    flags & SPLICE_F_NONBLOCK, flags);
}

static int tls_read_sock(struct sock *sk, read_descriptor_t *desc,
			 sk_read_actor_t actor)
{
	struct tls_rx *rx = tls_rx(tls_get_ctx(sk));

	return rx ? rx->ops->read_sock(sk, rx, desc, actor) :
		    tcp_read_sock(sk, desc, actor);
}

/* TCP's own readers of raw bytes may not see records. */
static int tls_read_skb(struct sock *sk, skb_read_actor_t actor)
{
	struct tls_context *ctx = tls_ctx_lockless(sk);

	return tls_rx(ctx) ? -EOPNOTSUPP :
			     ctx->ops->base_ops->read_skb(sk, actor);
}

/* How much there is to read is not known before it is decrypted. */
static int tls_peek_len(struct socket *sock)
{
	struct tls_context *ctx = tls_ctx_lockless(sock->sk);

	return tls_rx(ctx) ? INT_MAX : ctx->ops->base_ops->peek_len(sock);
}

/* What TCP counts, and what stands between TCP and the application. */
static int tls_ioctl(struct sock *sk, int cmd, int *karg)
{
	struct tls_context *ctx = tls_ctx_lockless(sk);
	int ret = ctx->ops->base->ioctl(sk, cmd, karg);
	struct tls_tx *tx = tls_tx(ctx);
	struct tls_rx *rx = tls_rx(ctx);

	if (ret)
		return ret;
	if (rx && cmd == SIOCINQ) {
		lock_sock(sk);
		*karg += rx->ops->held(rx);
		release_sock(sk);
	}
	if (tx && (cmd == SIOCOUTQ || cmd == SIOCOUTQNSD))
		*karg += tx->ops->waiting(tx);
	return 0;
}

static __poll_t tls_poll(struct file *file, struct socket *sock,
			 struct poll_table_struct *wait)
{
	struct sock *sk = sock->sk;
	struct tls_context *ctx = tls_ctx_lockless(sk);
	__poll_t mask = ctx->ops->base_ops->poll(file, sock, wait);
	struct tls_tx *tx = tls_tx(ctx);
	struct tls_rx *rx = tls_rx(ctx);

	/* Writable means that a record would find a place. */
	if (tx && !(READ_ONCE(sk->sk_shutdown) & SEND_SHUTDOWN) &&
	    !tx->ops->failed(tx) && tx->ops->waiting(tx)) {
		set_bit(SOCK_NOSPACE, &sock->flags);
		/* Pairs with tcp_check_space(): the queue may have gone now. */
		smp_mb__after_atomic();
		if (tx->ops->waiting(tx))
			mask &= ~(EPOLLOUT | EPOLLWRNORM);
	}
	if (!rx)
		return mask;
	/* Bytes of a record that is not complete are nothing to read. */
	if (rx->ops->readable(rx))
		mask |= EPOLLIN | EPOLLRDNORM;
	else if (!(mask & EPOLLRDHUP))
		mask &= ~(EPOLLIN | EPOLLRDNORM);
	if (rx->ops->failed(rx))
		mask |= EPOLLERR;
	return mask;
}

static bool tls_is_readable(struct sock *sk)
{
	struct tls_context *ctx = tls_ctx_lockless(sk);
	const struct proto *base = READ_ONCE(ctx->sk_proto);
	struct tls_rx *rx = tls_rx(ctx);

	if (rx)
		return rx->ops->readable(rx);
	return base->sock_is_readable && base->sock_is_readable(sk);
}

/* A connected socket stays one: its keys belong to the connection. */
static int tls_disconnect(struct sock *sk, int flags)
{
	return -EOPNOTSUPP;
}

/* What was taken from the application goes out before the FIN. */
static int tls_shutdown(struct socket *sock, int how)
{
	struct sock *sk = sock->sk;
	struct tls_context *ctx = tls_ctx_lockless(sk);
	struct tls_tx *tx = tls_tx(ctx);

	if (tx && (how == SHUT_WR || how == SHUT_RDWR)) {
		int err = 0;

		lock_sock(sk);
		if (!(sk->sk_shutdown & SEND_SHUTDOWN))
			err = tx->ops->end(sk, tx);
		release_sock(sk);
		/* After a FIN, what is still here could never go. */
		if (err == -EAGAIN) {
			if (how == SHUT_RDWR)
				ctx->ops->base_ops->shutdown(sock, SHUT_RD);
			return err;
		}
	}
	return ctx->ops->base_ops->shutdown(sock, how);
}

/* Softirq, or the backlog of the process that owns the socket. */
static void tls_write_space(struct sock *sk)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	struct tls_tx *tx;

	/* Who has put a callback over ours may still call it while we close. */
	if (!ctx || !ctx->priv_ctx_tx)
		return;
	tx = ctx->priv_ctx_tx;
	if (tx->ops->write_space(sk, tx))
		ctx->sk_write_space(sk);
}

/**
 * tls_retry - TCP had no memory to send with, and may have some now
 * @sk: a socket that sends; its spinlock held, and owned by nobody
 *
 * Softirq.
 */
void tls_retry(struct sock *sk)
{
	struct tls_tx *tx = tls_get_ctx(sk)->priv_ctx_tx;

	/* Who has put a callback over ours need not call it. */
	if (tx->ops->write_space(sk, tx))
		sk->sk_write_space(sk);
}

/* ---- socket options ---- */

static int tls_set_tx(struct sock *sk, struct tls_context *ctx,
		      struct tls_key *key)
{
	struct tls_tx *tx = ctx->priv_ctx_tx;

	if (tx)
		return tx->ops->rekey(sk, tx, key);
	/* A writer that TCP holds would go on in the clear when it wakes. */
	if (sk->sk_write_pending)
		return -EBUSY;
	tx = tls_sw_tx_new(sk, key);
	if (!tx)
		return -ENOMEM;
	/* Pairs with tls_tx(). */
	smp_store_release(&ctx->priv_ctx_tx, tx);
	/* Pairs with tls_diag(). */
	smp_store_release(&ctx->tx_conf, tx->mode);
	ctx->sk_write_space = sk->sk_write_space;
	WRITE_ONCE(sk->sk_write_space, tls_write_space);
	tls_count(tx->counters, tx->mode == TLS_HW ? TLS_CURR_TX_DEVICE :
						     TLS_CURR_TX_SW, 1);
	tls_count(tx->counters, tx->mode == TLS_HW ? TLS_TX_DEVICE : TLS_TX_SW,
		  1);
	return 0;
}

static int tls_set_rx(struct sock *sk, struct tls_context *ctx,
		      struct tls_key *key)
{
	struct tls_rx *rx = ctx->priv_ctx_rx;

	if (rx)
		return rx->ops->rekey(sk, rx, key);
	rx = tls_sw_rx_new(sk, key);
	if (!rx)
		return -ENOMEM;
	/* Pairs with tls_rx(). */
	smp_store_release(&ctx->priv_ctx_rx, rx);
	rx->ops->start(sk, rx);
	/* Pairs with tls_diag(). */
	smp_store_release(&ctx->rx_conf, rx->mode);
	tls_count(rx->counters, rx->mode == TLS_HW ? TLS_CURR_RX_DEVICE :
						     TLS_CURR_RX_SW, 1);
	tls_count(rx->counters, rx->mode == TLS_HW ? TLS_RX_DEVICE : TLS_RX_SW,
		  1);
	return 0;
}

static void set_prot_info(struct tls_context *ctx,
			  const struct tls_framing *f)
{
	struct tls_prot_info *p = &ctx->prot_info;

	p->prepend_size = f->prepend;
	p->tag_size = TLS_TAG_SIZE;
	p->tail_size = f->tail;
	p->overhead_size = tls_framing_overhead(f);
	p->iv_size = f->cipher->iv_size;
	p->salt_size = f->cipher->salt_size;
	p->rec_seq_size = sizeof(f->seq);
	p->aad_size = f->tail ? TLS_HEADER_SIZE : TLS_AAD_SPACE_SIZE;
	WRITE_ONCE(p->version, f->version);
	/* Pairs with tls_diag(): a cipher goes with its version. */
	smp_store_release(&p->cipher_type, f->cipher->type);
}

/* BPF's hold on a socket ends only with ours, or before it: see tls_update(). */
static bool is_in_sockmap(const struct sock *sk)
{
	bool is;

	rcu_read_lock();
	is = sk_psock(sk);
	rcu_read_unlock();
	return is;
}

/* Somebody tried to replace the key of a direction. */
static void tx_updated(struct sock *sk, struct tls_tx *tx, int err)
{
	if (!err)
		tx->generation++;
	tls_count(tx->counters, err ? TLS_TX_REKEY_ERROR : TLS_TX_REKEY_OK,
		  1);
	trace_tls_key_update(sk, false, tx->generation,
			     tx->ops->key(tx)->framing.seq, err);
}

static void rx_updated(struct sock *sk, struct tls_rx *rx, int err)
{
	if (!err)
		rx->generation++;
	tls_count(rx->counters, err ? TLS_RX_REKEY_ERROR : TLS_RX_REKEY_OK,
		  1);
	trace_tls_key_update(sk, true, rx->generation,
			     rx->ops->key(rx)->framing.seq, err);
}

/* TLS_TX and TLS_RX; socket lock owned. */
static int tls_set_key(struct sock *sk, sockptr_t optval, unsigned int optlen,
		       bool tx)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	struct tls_prot_info *p = &ctx->prot_info;
	bool again = tx ? ctx->priv_ctx_tx : ctx->priv_ctx_rx;
	u8 info[TLS_MAX_INFO_SIZE];
	struct tls_crypto_info head;
	const struct tls_cipher *cipher;
	struct tls_key *key = NULL;
	int err;

	err = -EINVAL;
	if (is_in_sockmap(sk) || optlen < sizeof(head))
		goto out;
	err = -EFAULT;
	if (copy_from_sockptr(&head, optval, sizeof(head)))
		goto out;
	err = -EINVAL;
	cipher = tls_cipher_find(head.version, head.cipher_type);
	if (!cipher || optlen != cipher->info_size)
		goto out;
	if (p->cipher_type && (p->version != head.version ||
			       p->cipher_type != head.cipher_type))
		goto out;
	err = -EBUSY;
	if (again && head.version == TLS_1_2_VERSION)
		goto out;
	if (copy_from_sockptr(info, optval, cipher->info_size)) {
		err = -EFAULT;
		goto out;
	}

	key = tls_key_new(cipher, head.version, info, sk->sk_allocation);
	if (IS_ERR(key)) {
		err = PTR_ERR(key);
		goto out;
	}
	/* Drivers look at it when they are given the connection. */
	set_prot_info(ctx, &key->framing);
	err = tx ? tls_set_tx(sk, ctx, key) : tls_set_rx(sk, ctx, key);
	if (err) {
		tls_key_free(key);
		/* Without any key, the next may be of another cipher. */
		if (!ctx->priv_ctx_tx && !ctx->priv_ctx_rx)
			WRITE_ONCE(p->cipher_type, 0);
	}
out:
	memzero_explicit(info, sizeof(info));
	if (again && p->version == TLS_1_3_VERSION) {
		if (tx)
			tx_updated(sk, ctx->priv_ctx_tx, err);
		else
			rx_updated(sk, ctx->priv_ctx_rx, err);
	}
	return err;
}

static int tls_get_key(struct sock *sk, char __user *optval, int __user *optlen,
		       bool tx)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	u8 info[TLS_MAX_INFO_SIZE];
	const struct tls_key *key;
	int len, err = 0;

	if (get_user(len, optlen))
		return -EFAULT;
	if (len < (int)sizeof(struct tls_crypto_info))
		return -EINVAL;
	if (tx ? !ctx->priv_ctx_tx : !ctx->priv_ctx_rx)
		return -EBUSY;

	key = tx ? tls_tx(ctx)->ops->key(tls_tx(ctx)) :
		   tls_rx(ctx)->ops->key(tls_rx(ctx));
	if (len != sizeof(struct tls_crypto_info) &&
	    len != key->framing.cipher->info_size)
		return -EINVAL;
	tls_key_export(key, info);
	if (copy_to_user(optval, info, len))
		err = -EFAULT;
	memzero_explicit(info, sizeof(info));
	return err;
}

/* An int that is 0 or 1; @longer: zeros may follow, for what may come later. */
static int get_switch(sockptr_t optval, unsigned int optlen, bool longer)
{
	unsigned int value;
	int zeros;

	if (optlen < sizeof(value) || (optlen > sizeof(value) && !longer))
		return -EINVAL;
	if (copy_from_sockptr(&value, optval, sizeof(value)))
		return -EFAULT;
	zeros = check_zeroed_sockptr(optval, sizeof(value),
				     optlen - sizeof(value));
	if (zeros < 0)
		return zeros;
	return !zeros || value > 1 ? -EINVAL : value;
}

static int tls_set_max_payload(struct tls_context *ctx, sockptr_t optval,
			       unsigned int optlen)
{
	struct tls_tx *tx = ctx->priv_ctx_tx;
	u16 value;

	if (optlen != sizeof(value))
		return -EINVAL;
	if (copy_from_sockptr(&value, optval, sizeof(value)))
		return -EFAULT;
	/* RFC 8449, 4: at least 64; TLS 1.3 counts its content type in. */
	if (value < (ctx->prot_info.version == TLS_1_3_VERSION ? 63 : 64) ||
	    value > TLS_MAX_PAYLOAD_SIZE)
		return -EINVAL;
	if (tx && tx->ops->record_is_open(tx))
		return -EBUSY;
	WRITE_ONCE(ctx->tx_max_payload, value);
	return 0;
}

static int tls_setsockopt(struct sock *sk, int level, int optname,
			  sockptr_t optval, unsigned int optlen)
{
	struct tls_context *ctx = tls_ctx_lockless(sk);
	int ret;

	if (level != SOL_TLS) {
		ret = ctx->sk_proto->setsockopt(sk, level, optname, optval,
						optlen);
		if (level == SOL_IP && READ_ONCE(ctx->offload_tx))
			tls_device_keep_whole(sk);
		return ret;
	}

	lock_sock(sk);
	switch (optname) {
	case TLS_TX:
	case TLS_RX:
		ret = tls_set_key(sk, optval, optlen, optname == TLS_TX);
		break;
	case TLS_TX_ZEROCOPY_RO:
		ret = get_switch(optval, optlen, false);
		if (ret >= 0) {
			WRITE_ONCE(ctx->zerocopy_sendfile, ret);
			ret = 0;
		}
		break;
	case TLS_RX_EXPECT_NO_PAD:
		ret = get_switch(optval, optlen, true);
		if (ret >= 0 && (ctx->prot_info.version != TLS_1_3_VERSION ||
				 !ctx->priv_ctx_rx))
			ret = -EINVAL;
		if (ret >= 0) {
			WRITE_ONCE(ctx->rx_no_pad, ret);
			ret = 0;
		}
		break;
	case TLS_TX_MAX_PAYLOAD_LEN:
		ret = tls_set_max_payload(ctx, optval, optlen);
		break;
	default:
		ret = -ENOPROTOOPT;
	}
	release_sock(sk);
	return ret;
}

/*
 * Hand a value of @size bytes to user space; @longer: its buffer may be longer,
 * and it is told how much of it is used.
 */
static int put_value(char __user *optval, int __user *optlen,
		     const void *value, int size, bool longer)
{
	int len;

	if (get_user(len, optlen))
		return -EFAULT;
	if (len < size || (len > size && !longer))
		return -EINVAL;
	if (put_user(size, optlen) || copy_to_user(optval, value, size))
		return -EFAULT;
	return 0;
}

static int tls_getsockopt(struct sock *sk, int level, int optname,
			  char __user *optval, int __user *optlen)
{
	struct tls_context *ctx = tls_ctx_lockless(sk);
	int value, ret;

	if (level != SOL_TLS)
		return ctx->sk_proto->getsockopt(sk, level, optname, optval,
						 optlen);

	lock_sock(sk);
	switch (optname) {
	case TLS_TX:
	case TLS_RX:
		ret = tls_get_key(sk, optval, optlen, optname == TLS_TX);
		break;
	case TLS_TX_ZEROCOPY_RO:
		value = ctx->zerocopy_sendfile;
		ret = put_value(optval, optlen, &value, sizeof(value), false);
		break;
	case TLS_RX_EXPECT_NO_PAD:
		value = ctx->rx_no_pad;
		ret = put_value(optval, optlen, &value, sizeof(value), true);
		break;
	case TLS_TX_MAX_PAYLOAD_LEN:
		ret = put_value(optval, optlen, &ctx->tx_max_payload,
				sizeof(ctx->tx_max_payload), true);
		break;
	default:
		ret = -ENOPROTOOPT;
	}
	release_sock(sk);
	return ret;
}

/* ---- lifetime ---- */

/*
 * Give the socket back what it had. Socket lock owned, or nobody else has the
 * socket any more.
 */
static void tls_detach(struct sock *sk, struct tls_context *ctx)
{
	struct tls_tx *tx = ctx->priv_ctx_tx;
	struct tls_rx *rx = ctx->priv_ctx_rx;

	write_lock_bh(&sk->sk_callback_lock);
	if (sk->sk_prot == &ctx->ops->proto)
		WRITE_ONCE(sk->sk_prot, ctx->sk_proto);
	if (sk->sk_socket && sk->sk_socket->ops == &ctx->ops->proto_ops)
		WRITE_ONCE(sk->sk_socket->ops, ctx->ops->base_ops);
	if (tx && sk->sk_write_space == tls_write_space)
		WRITE_ONCE(sk->sk_write_space, ctx->sk_write_space);
	/* Segments that a device has to encrypt look for their context. */
	if (!ctx->device)
		rcu_assign_pointer(inet_csk(sk)->icsk_ulp_data, NULL);
	ctx->priv_ctx_tx = NULL;
	ctx->priv_ctx_rx = NULL;
	write_unlock_bh(&sk->sk_callback_lock);

	if (tx) {
		tls_count(tx->counters, tx->mode == TLS_HW ?
			  TLS_CURR_TX_DEVICE : TLS_CURR_TX_SW, -1);
		tx->ops->free(sk, tx);
	}
	if (rx) {
		tls_count(rx->counters, rx->mode == TLS_HW ?
			  TLS_CURR_RX_DEVICE : TLS_CURR_RX_SW, -1);
		rx->ops->free(sk, rx);
	}
	if (!ctx->device)
		kfree_rcu(ctx, rcu);
}

static void tls_close(struct sock *sk, long timeout)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	struct proto *base = ctx->sk_proto;
	struct tls_tx *tx = ctx->priv_ctx_tx;

	lock_sock(sk);
	if (tx && !(sk->sk_shutdown & SEND_SHUTDOWN) &&
	    tx->ops->end(sk, tx)) {
		/*
		 * The stream cannot be completed: a reset tells the peer, where
		 * a FIN would let it look complete.
		 */
		sock_set_flag(sk, SOCK_LINGER);
		sk->sk_lingertime = 0;
	}
	tls_detach(sk, ctx);
	release_sock(sk);
	base->close(sk, timeout);
}

/* The socket is gone, and was never closed through our operations. */
static void tls_release(struct sock *sk)
{
	struct tls_context *ctx = tls_get_ctx(sk);

	if (ctx && !ctx->device)
		tls_detach(sk, ctx);
}

static void make_proto_ops(struct proto_ops *to, const struct proto_ops *base)
{
	/* The owner stays: the socket counts on it, the ULP counts on us. */
	*to = *base;
	to->poll = tls_poll;
	to->shutdown = tls_shutdown;
	to->splice_read = tls_splice_read;
	to->read_sock = tls_read_sock;
	to->read_skb = tls_read_skb;
	to->sendmsg_locked = tls_sendmsg_locked;
	to->peek_len = tls_peek_len;
	/* Ciphertext is not for mapping, nor its offset for peeking. */
	to->mmap = sock_no_mmap;
	to->set_peek_off = NULL;
}

static void make_proto(struct proto *to, const struct proto *base)
{
	*to = *base;
	to->close = tls_close;
	to->disconnect = tls_disconnect;
	to->setsockopt = tls_setsockopt;
	to->getsockopt = tls_getsockopt;
	to->sendmsg = tls_sendmsg;
	to->recvmsg = tls_recvmsg;
	to->ioctl = tls_ioctl;
	to->splice_eof = tls_splice_eof;
	to->sock_is_readable = tls_is_readable;
#ifdef CONFIG_BPF_SYSCALL
	/* A sockmap would put its own operations in place of ours. */
	to->psock_update_sk_prot = NULL;
#endif
}

static struct tls_ops *tls_ops_find(const struct proto *base,
				    const struct proto_ops *base_ops)
{
	struct tls_ops *ops, *found = NULL;

	spin_lock_bh(&tls_ops_lock);
	list_for_each_entry(ops, &tls_ops_list, list) {
		if (ops->base == base && ops->base_ops == base_ops) {
			found = ops;
			break;
		}
	}
	spin_unlock_bh(&tls_ops_lock);
	return found;
}

/* The tables over these operations, made if there are none yet. */
static struct tls_ops *tls_ops_get(struct proto *base,
				   const struct proto_ops *base_ops)
{
	struct tls_ops *ops = tls_ops_find(base, base_ops);

	if (ops)
		return ops;
	ops = kzalloc(sizeof(*ops), GFP_ATOMIC);
	if (!ops)
		return NULL;
	ops->base = base;
	ops->base_ops = base_ops;
	make_proto(&ops->proto, base);
	make_proto_ops(&ops->proto_ops, base_ops);
	/* A second one of the same kind, made at the same time, does no harm. */
	spin_lock_bh(&tls_ops_lock);
	list_add(&ops->list, &tls_ops_list);
	spin_unlock_bh(&tls_ops_lock);
	return ops;
}

/*
 * TCP_ULP "tls"; socket lock owned.
 */
static int tls_init(struct sock *sk)
{
	struct inet_connection_sock *icsk = inet_csk(sk);
	struct tls_context *ctx;
	int err = 0;

	/*
	 * Also keeps every listener out, whose children would be born with
	 * our operations and no state.
	 */
	if (sk->sk_state != TCP_ESTABLISHED || !sk->sk_socket)
		return -ENOTCONN;

	ctx = kzalloc(sizeof(*ctx), sk->sk_allocation);
	if (!ctx)
		return -ENOMEM;
	ctx->sk_proto = sk->sk_prot;
	ctx->tx_conf = TLS_BASE;
	ctx->rx_conf = TLS_BASE;
	ctx->tx_max_payload = TLS_MAX_PAYLOAD_SIZE;
	ctx->ops = tls_ops_get(sk->sk_prot, sk->sk_socket->ops);
	if (!ctx->ops) {
		kfree(ctx);
		return -ENOMEM;
	}

	/*
	 * BPF programs change a socket's operations with only the spinlock
	 * held, a sockmap that goes with only the callback lock.
	 */
	spin_lock_bh(&sk->sk_lock.slock);
	write_lock(&sk->sk_callback_lock);
	if (sk->sk_prot == ctx->sk_proto) {
		rcu_assign_pointer(icsk->icsk_ulp_data, ctx);
		/*
		 * The context is there before any operation that looks for it:
		 * pairs with tls_ctx_lockless().
		 */
		smp_store_release(&sk->sk_prot, &ctx->ops->proto);
		/* The same, for those who come through the socket. */
		smp_store_release(&sk->sk_socket->ops, &ctx->ops->proto_ops);
	} else {
		err = -EBUSY;
	}
	write_unlock(&sk->sk_callback_lock);
	spin_unlock_bh(&sk->sk_lock.slock);
	if (err)
		kfree(ctx);
	return err;
}

/*
 * A BPF sockmap leaves the socket and gives back what it had replaced. It can
 * only have come before us, and so there is no key.
 */
static void tls_update(struct sock *sk, struct proto *base,
		       void (*write_space)(struct sock *sk))
{
	struct tls_context *ctx = tls_get_ctx(sk);
	struct tls_ops *ops = NULL;

	if (ctx) {
		ops = tls_ops_get(base, ctx->ops->base_ops);
		/*
		 * The core has just changed this in the table that the socket
		 * shares with others, as it would in a table of its own.
		 */
		WRITE_ONCE(ctx->ops->proto.unhash, ctx->ops->base->unhash);
	}
	WRITE_ONCE(sk->sk_write_space, write_space);
	if (!ops) {
		/* The base alone is safe; tls_release() frees the context. */
		sock_replace_proto(sk, base);
		return;
	}
	WRITE_ONCE(ctx->sk_proto, base);
	ctx->ops = ops;
	sock_replace_proto(sk, &ops->proto);
}

/* ---- socket diag; under RCU, without the socket lock ---- */

static int diag_mode(u8 conf)
{
	switch (conf) {
	case TLS_SW:
		return TLS_CONF_SW;
	case TLS_HW:
		return TLS_CONF_HW;
	default:
		return TLS_CONF_BASE;
	}
}

static int tls_diag(struct sock *sk, struct sk_buff *skb NET_ADMIN_PARAM)
{
	const struct tls_context *ctx;
	u16 cipher, tx_mode, rx_mode;
	struct nlattr *nest;

	nest = nla_nest_start_noflag(skb, INET_ULP_INFO_TLS);
	if (!nest)
		return -EMSGSIZE;

	rcu_read_lock();
	ctx = rcu_dereference(inet_csk(sk)->icsk_ulp_data);
	if (!ctx) {
		/* It has been closed, and only TCP goes on. */
		rcu_read_unlock();
		nla_nest_cancel(skb, nest);
		return 0;
	}
	/* What is seen first has been set last. Pairs with tls_set_tx(). */
	tx_mode = diag_mode(smp_load_acquire(&ctx->tx_conf));
	/* Pairs with tls_set_rx(). */
	rx_mode = diag_mode(smp_load_acquire(&ctx->rx_conf));
	/* Pairs with set_prot_info(). */
	cipher = smp_load_acquire(&ctx->prot_info.cipher_type);
	if (cipher &&
	    (nla_put_u16(skb, TLS_INFO_VERSION,
			 READ_ONCE(ctx->prot_info.version)) ||
	     nla_put_u16(skb, TLS_INFO_CIPHER, cipher)))
		goto full;
	if (nla_put_u16(skb, TLS_INFO_TXCONF, tx_mode) ||
	    nla_put_u16(skb, TLS_INFO_RXCONF, rx_mode))
		goto full;
	if (READ_ONCE(ctx->zerocopy_sendfile) &&
	    nla_put_flag(skb, TLS_INFO_ZC_RO_TX))
		goto full;
	if (READ_ONCE(ctx->rx_no_pad) && nla_put_flag(skb, TLS_INFO_RX_NO_PAD))
		goto full;
	if (nla_put_u16(skb, TLS_INFO_TX_MAX_PAYLOAD_LEN,
			READ_ONCE(ctx->tx_max_payload)))
		goto full;
	rcu_read_unlock();
	nla_nest_end(skb, nest);
	return 0;
full:
	rcu_read_unlock();
	nla_nest_cancel(skb, nest);
	return -EMSGSIZE;
}

static size_t tls_diag_size(const struct sock *sk NET_ADMIN_PARAM)
{
	const size_t number = nla_total_size(sizeof(u16));
	const size_t flag = nla_total_size(0);

	/* The nest; version, cipher, two modes, maximum payload; two flags. */
	return flag + 5 * number + 2 * flag;
}

static struct tcp_ulp_ops tls_ulp_ops __read_mostly = {
	.name		= "tls",
	.owner		= THIS_MODULE,
	.init		= tls_init,
	.update		= tls_update,
	.release	= tls_release,
	.get_info	= tls_diag,
	.get_info_size	= tls_diag_size,
};

static int __init tls_module_init(void)
{
	int err;

	err = tls_proc_init();
	if (err)
		return err;
	err = tls_device_init();
	if (err)
		goto no_device;
	err = tcp_register_ulp(&tls_ulp_ops);
	if (err)
		goto no_ulp;
	return 0;
no_ulp:
	tls_device_exit();
no_device:
	tls_proc_exit();
	return err;
}

static void __exit tls_module_exit(void)
{
	struct tls_ops *ops, *next;

	tcp_unregister_ulp(&tls_ulp_ops);
	list_for_each_entry_safe(ops, next, &tls_ops_list, list)
		kfree(ops);
	tls_sw_exit();
	tls_device_exit();
	tls_proc_exit();
}

module_init(tls_module_init);
module_exit(tls_module_exit);

MODULE_DESCRIPTION("Transport Layer Security as an upper layer of TCP");
MODULE_LICENSE("GPL");
MODULE_ALIAS_TCP_ULP("tls");
