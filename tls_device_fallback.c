// SPDX-License-Identifier: GPL-2.0
/*
 * Encrypting, in software, a segment that was meant for a device: it leaves by
 * another one, or the device has lost its place.
 *
 * A segment may begin and end anywhere in a record. The text of its records is
 * taken from the record list, and encrypted from the record's beginning as far
 * as the segment needs it: GCM, CCM and ChaCha20 give the same bytes whatever
 * follows.
 */

#include <crypto/aead.h>
#include <linux/if_vlan.h>
#include <linux/refcount.h>
#include <linux/scatterlist.h>
#include <net/ip.h>
#if IS_ENABLED(CONFIG_NF_CONNTRACK)
#include <net/netfilter/nf_conntrack.h>
#endif
#include <net/ip6_checksum.h>
#include <net/ipv6.h>
#include <net/tcp.h>

#include "tls_device.h"

#define TLS_FALLBACK_PAGES \
	DIV_ROUND_UP(TLS_MAX_PAYLOAD_SIZE + 1 + TLS_TAG_SIZE, PAGE_SIZE)

/**
 * struct tls_fallback - a key for use in softirq
 * @refs: the direction's, and one for each call that encrypts
 * @aead: completes at once
 * @framing: how records are framed under it, but for their number
 */
struct tls_fallback {
	refcount_t refs;
	struct crypto_aead *aead;
	struct tls_framing framing;
};

/**
 * tls_fallback_new - a key for use in softirq
 * @key: the key
 * @gfp: for its memory
 *
 * Process context; sleeps.
 *
 * Return: the key, or NULL.
 */
struct tls_fallback *tls_fallback_new(const struct tls_key *key, gfp_t gfp)
{
	const struct tls_cipher *cipher = key->framing.cipher;
	struct tls_fallback *f = kzalloc(sizeof(*f), gfp);

	if (!f)
		return NULL;
	refcount_set(&f->refs, 1);
	f->framing = key->framing;
	f->aead = crypto_alloc_aead(cipher->alg, 0, CRYPTO_ALG_ASYNC);
	if (!IS_ERR(f->aead) &&
	    !crypto_aead_setkey(f->aead, key->secret, cipher->key_size) &&
	    !crypto_aead_setauthsize(f->aead, TLS_TAG_SIZE))
		return f;
	tls_fallback_put(f);
	return NULL;
}

struct tls_fallback *tls_fallback_get(struct tls_fallback *f)
{
	refcount_inc(&f->refs);
	return f;
}

/* Any context. */
void tls_fallback_put(struct tls_fallback *f)
{
	if (!f || !refcount_dec_and_test(&f->refs))
		return;
	if (!IS_ERR(f->aead))
		crypto_free_aead(f->aead);
	kfree_sensitive(f);
}

/* Scatterlist over @len bytes of a record after the first @skip. */
static void map_record(const struct tls_record_info *rec, size_t skip,
		       size_t len, struct scatterlist *sg)
{
	const skb_frag_t *frag = rec->frags;

	for (; len; frag++) {
		size_t size = skb_frag_size(frag), n;

		if (skip >= size) {
			skip -= size;
			continue;
		}
		n = min(len, size - skip);
		sg_set_page(sg++, skb_frag_page(frag), n,
			    skb_frag_off(frag) + skip);
		skip = 0;
		len -= n;
	}
	sg_mark_end(sg - 1);
}

/* The first @len bytes of a record's text, encrypted into @to; maybe a tag. */
static int encrypt_text(struct tls_fallback *f,
			const struct tls_record_info *rec, size_t text_len,
			size_t len, struct scatterlist *to)
{
	struct scatterlist src[1 + MAX_SKB_FRAGS];
	struct tls_framing framing = f->framing;
	unsigned int size = sizeof(struct aead_request) +
			    crypto_aead_reqsize(f->aead);
	u8 *header = skb_frag_address(&rec->frags[0]);
	u8 iv[TLS_MAX_IV_SIZE];
	struct aead_request *req;
	size_t aad_len;
	u8 type, *aad;
	int err;

	/* Of the stack, nothing may be in a scatterlist. */
	req = kmalloc(size + TLS_AAD_SPACE_SIZE, GFP_ATOMIC | __GFP_NOWARN);
	if (!req)
		return -ENOMEM;
	aad = (u8 *)req + size;
	framing.seq = rec->sn;
	tls_record_iv(&framing, header + TLS_HEADER_SIZE, iv);
	type = header[0];
	aad_len = tls_record_aad(&framing, type, text_len, aad);

	sg_init_table(src, ARRAY_SIZE(src));
	sg_set_buf(&src[0], aad, aad_len);
	sg_set_buf(&to[0], aad, aad_len);
	map_record(rec, framing.prepend, len, src + 1);
	aead_request_set_tfm(req, f->aead);
	aead_request_set_callback(req, 0, NULL, NULL);
	aead_request_set_ad(req, aad_len);
	aead_request_set_crypt(req, src, to, len, iv);
	err = crypto_aead_encrypt(req);
	aead_request_free(req);
	return err;
}

/*
 * Write @len bytes of the encrypted record, from its byte @from on, into @skb
 * at @offset.
 */
static int encrypt_part(struct tls_fallback *f,
			const struct tls_record_info *rec, size_t from,
			size_t len, struct sk_buff *skb, int offset)
{
	size_t prepend = f->framing.prepend;
	size_t text_len = rec->len - prepend - TLS_TAG_SIZE;
	struct scatterlist sg[1 + TLS_FALLBACK_PAGES];
	struct page *pages[TLS_FALLBACK_PAGES];
	size_t end = from + len, need, skip, n;
	unsigned int num = 0, i;
	int err = 0;

	/* The header stands in one piece, and is not encrypted. */
	if (from < prepend) {
		n = min(len, prepend - from);
		err = skb_store_bits(skb, offset,
				     skb_frag_address(&rec->frags[0]) + from,
				     n);
		from += n;
		offset += n;
		len -= n;
	}
	if (!len || err)
		return err;

	need = min(end - prepend, text_len);
	sg_init_table(sg, ARRAY_SIZE(sg));
	while (num < DIV_ROUND_UP(need + TLS_TAG_SIZE, PAGE_SIZE)) {
		pages[num] = alloc_page(GFP_ATOMIC | __GFP_NOWARN);
		if (!pages[num]) {
			err = -ENOMEM;
			goto out;
		}
		sg_set_page(&sg[1 + num], pages[num], PAGE_SIZE, 0);
		num++;
	}
	sg_mark_end(&sg[num]);
	err = encrypt_text(f, rec, text_len, need, sg);

	skip = from - prepend;
	for (i = skip / PAGE_SIZE; len && !err; i++) {
		size_t at = offset_in_page(skip);

		n = min_t(size_t, len, PAGE_SIZE - at);
		err = skb_store_bits(skb, offset, page_address(pages[i]) + at,
				     n);
		skip += n;
		offset += n;
		len -= n;
	}
out:
	while (num)
		__free_page(pages[--num]);
	return err;
}

/*
 * A segment with the headers of @skb, and room for its payload: @linear, as some
 * drivers insist on, or in pages, which are easier to get.
 */
static struct sk_buff *segment_alloc(const struct sk_buff *skb,
				     unsigned int headers, bool linear)
{
	unsigned int headroom = skb_headroom(skb);
	unsigned int len = skb->len - headers;
	unsigned int room = headers + (linear ? len : 0);
	struct sk_buff *to;
	int err;

	to = alloc_skb_with_frags(headroom + room, linear ? 0 : len,
				  PAGE_ALLOC_COSTLY_ORDER, &err,
				  GFP_ATOMIC | __GFP_NOWARN);
	if (!to)
		return NULL;
	skb_reserve(to, headroom);
	if (skb_copy_bits(skb, 0, skb_put(to, room), headers)) {
		kfree_skb(to);
		return NULL;
	}
	if (!linear) {
		to->data_len = len;
		to->len += len;
	}
	/* Offsets of headers count from the head: they are the same. */
	skb_copy_header(to, skb);
	to->decrypted = 0;
	/* Who waits to hear when it was sent waits for this one now. */
	skb_shinfo(to)->tx_flags |= skb_shinfo(skb)->tx_flags &
				    SKBTX_ANY_TSTAMP;
	skb_shinfo(to)->tskey = skb_shinfo(skb)->tskey;
	return to;
}

/* @to takes the place of @from in the socket's account. */
static void segment_replace(struct sk_buff *to, struct sk_buff *from)
{
	int more = to->truesize - from->truesize;
	struct sock *sk = from->sk;

	to->sk = sk;
	to->destructor = from->destructor;
	from->sk = NULL;
	from->destructor = NULL;
	/* Some queueing disciplines keep the socket, and not the account. */
	if (to->destructor == sock_efree)
		return;
	if (more > 0)
		refcount_add(more, &sk->sk_wmem_alloc);
	else if (more < 0)
		WARN_ON_ONCE(refcount_sub_and_test(-more, &sk->sk_wmem_alloc));
}

/* A segment that was summed already was so over its text: do it again. */
static int segment_checksum(struct sk_buff *skb)
{
	unsigned int len = skb->len - skb_transport_offset(skb);

	if (skb->ip_summed == CHECKSUM_PARTIAL)
		return 0;
	if (ip_hdr(skb)->version == 4)
		tcp_hdr(skb)->check = ~tcp_v4_check(len, ip_hdr(skb)->saddr,
						    ip_hdr(skb)->daddr, 0);
	else
		tcp_hdr(skb)->check = ~tcp_v6_check(len,
						    &ipv6_hdr(skb)->saddr,
						    &ipv6_hdr(skb)->daddr, 0);
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_transport_header(skb) - skb->head;
	skb->csum_offset = offsetof(struct tcphdr, check);
	return skb_checksum_help(skb);
}

/* As tls_encrypt_skb(); @linear: in one piece. */
static struct sk_buff *encrypt_segment(struct sk_buff *skb, bool linear)
{
	unsigned int headers = skb_tcp_all_headers(skb);
	u32 seq = ntohl(tcp_hdr(skb)->seq);
	size_t len = skb->len - headers, done = 0;
	struct sk_buff *to;

	if (!len || !skb_is_decrypted(skb))
		return skb;
	to = segment_alloc(skb, headers, linear);
	while (to && done < len) {
		struct tls_record_info rec;
		struct tls_fallback *f;
		u32 at = seq + done;
		size_t from, n;
		int err, i;

		f = tls_device_fallback(skb->sk, at, &rec);
		if (!f)
			goto drop;
		/* Sequence numbers have 32 bits, whatever a size_t has. */
		from = (u32)(at - tls_record_start_seq(&rec));
		n = min(len - done, rec.len - from);
		err = WARN_ON_ONCE(from >= rec.len) ? -EINVAL :
		      encrypt_part(f, &rec, from, n, to, headers + done);
		for (i = 0; i < rec.num_frags; i++)
			put_page(skb_frag_page(&rec.frags[i]));
		tls_fallback_put(f);
		if (err)
			goto drop;
		done += n;
	}
	if (!to || segment_checksum(to))
		goto drop;
	segment_replace(to, skb);
	/* The core finds the end of a list of packets there. */
	to->prev = to;
	consume_skb(skb);
	return to;
drop:
	kfree_skb(to);
	kfree_skb(skb);
	return NULL;
}

/**
 * tls_encrypt_skb - encrypt a segment that a device was to encrypt
 * @skb: the segment, consumed; may be of many (GSO), its data at any header
 *
 * Softirq or process context, from a driver.
 *
 * Return: the segment encrypted, in one piece; or NULL: for want of memory, or
 * because all of it is acknowledged. TCP sends again what matters.
 */
struct sk_buff *tls_encrypt_skb(struct sk_buff *skb)
{
	return encrypt_segment(skb, true);
}
EXPORT_SYMBOL_GPL(tls_encrypt_skb);

/* Netfilter may number what it forwards, or what its SYN proxy accepts, anew. */
static bool is_numbered_anew(const struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_NF_CONNTRACK)
	enum ip_conntrack_info info;
	const struct nf_conn *ct = nf_ct_get(skb, &info);

	return ct && test_bit(IPS_SEQ_ADJUST_BIT, &ct->status);
#else
	return false;
#endif
}

/* What a tunnel's device sends was asked about there. */
static bool is_cut_text(u8 protocol)
{
	return protocol != IPPROTO_UDP && protocol != IPPROTO_GRE;
}

/*
 * Text that cannot be told from ciphertext, or not be encrypted. IP loses the
 * mark when it cuts a segment into fragments: tls_device_keep_whole() sees to
 * it that it does not, unless somebody takes that mark away behind TCP. IPsec
 * and tunnels hide the TCP header. Without TCP's number, no record is found.
 */
static bool is_spoiled(const struct sk_buff *skb)
{
	bool text = skb_is_decrypted(skb);
	unsigned int offset = 0;
	unsigned short frag = 0;
	int protocol, flags = 0;

	switch (vlan_get_protocol(skb)) {
	case htons(ETH_P_IP):
		protocol = ip_hdr(skb)->protocol;
		if (ip_is_fragment(ip_hdr(skb)))
			return text || is_cut_text(protocol);
		break;
	case htons(ETH_P_IPV6):
		protocol = ipv6_hdr(skb)->nexthdr;
		if (protocol != IPPROTO_TCP)
			protocol = ipv6_find_hdr(skb, &offset, -1, &frag,
						 &flags);
		if (flags & IP6_FH_F_FRAG)
			return text || is_cut_text(protocol);
		break;
	default:
		return text;
	}
	return text && (protocol != IPPROTO_TCP || is_numbered_anew(skb));
}

/**
 * tls_validate_xmit_skb_sw - make a segment fit to leave by any device
 * @sk: its socket
 * @dev: the device
 * @skb: the segment, consumed
 *
 * Return: as tls_encrypt_skb().
 */
struct sk_buff *tls_validate_xmit_skb_sw(struct sock *sk,
					 struct net_device *dev,
					 struct sk_buff *skb)
{
	if (likely(!is_spoiled(skb)))
		return encrypt_segment(skb, false);
	kfree_skb(skb);
	return NULL;
}
EXPORT_SYMBOL_GPL(tls_validate_xmit_skb_sw);

/*
 * The device has gone, or the bond would not choose it any more. A bonding that
 * knows no other header than the kernel's sends all packets of an offloaded
 * socket to its device, encrypted ones and those without data too, and drops
 * them if it has none: so from now on the socket is none. What the device was
 * given before remains its to encrypt.
 */
static bool is_cut_off(struct net_device *dev, const struct net_device *netdev,
		       struct sock *sk)
{
	bool vlan = false;

	return !netdev || (netif_is_bond_master(dev) &&
			   tls_device_lowest(dev, sk, &vlan) != netdev);
}

/*
 * May text go on to @dev: is it the device that encrypts, or will this be asked
 * again behind it? Whoever sums the segment before the device does sums its
 * text.
 */
static bool may_have_text(const struct net_device *dev,
			  const struct net_device *netdev,
			  const struct sk_buff *skb)
{
	bool v4 = ip_hdr(skb)->version == 4;
	netdev_features_t features = dev->features;
	bool vlan = skb_vlan_tagged(skb);

	if (vlan)
		features = netdev_intersect_features(features,
						     dev->vlan_features);
	if (skb->ip_summed != CHECKSUM_PARTIAL ||
	    !can_checksum_protocol(features, htons(v4 ? ETH_P_IP : ETH_P_IPV6)))
		return false;
	/* Behind other headers, only a device that sums anything sums this. */
	if (!v4 && ipv6_hdr(skb)->nexthdr != IPPROTO_TCP &&
	    !(features & NETIF_F_HW_CSUM))
		return false;
	if (dev == netdev)
		return !vlan || dev->vlan_features & NETIF_F_HW_TLS_TX;
	return is_vlan_dev(dev) || netif_is_bond_master(dev);
}

/**
 * tls_validate_xmit_skb - may this segment leave by this device as it is?
 * @sk: its socket
 * @dev: the device
 * @skb: the segment, consumed
 *
 * Encrypted segments may leave by any device, text only by the one that will
 * encrypt it. A bond or a VLAN passes it on to another device, where this is
 * asked again. Under RCU-bh, from the core, for each device on the way.
 *
 * What IP has made of text does not leave: TCP sends it again, in segments that
 * need not be cut.
 *
 * Return: the segment; the same encrypted; or NULL as tls_encrypt_skb().
 */
struct sk_buff *tls_validate_xmit_skb(struct sock *sk, struct net_device *dev,
				      struct sk_buff *skb)
{
	const struct net_device *netdev;

	if (unlikely(is_spoiled(skb))) {
		kfree_skb(skb);
		return NULL;
	}
	netdev = rcu_dereference_bh(tls_get_ctx(sk)->netdev);
	if (unlikely(is_cut_off(dev, netdev, sk))) {
		/* Pairs with tls_is_skb_tx_device_offloaded(). */
		smp_store_release(&sk->sk_validate_xmit_skb,
				  tls_validate_xmit_skb_sw);
		return encrypt_segment(skb, false);
	}
	if (!skb_is_decrypted(skb))
		return skb;
	if (may_have_text(dev, netdev, skb) &&
	    tls_device_has(sk, ntohl(tcp_hdr(skb)->seq)))
		return skb;
	return encrypt_segment(skb, false);
}
EXPORT_SYMBOL_GPL(tls_validate_xmit_skb);
