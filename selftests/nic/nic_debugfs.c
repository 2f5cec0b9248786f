// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/debug/tlsnic/NAME/, where NAME is what the device was called when
 * it was made:
 *
 *	counters	what the device has counted, "name value" a line
 *	lose		write anything: lose the place in every connection
 *	forget		write anything: lose the connections' state for good
 *	watch		write bytes: watch_hits counts how often they go out
 *	vlan		write 0 or 1: TLS over a VLAN, without and with
 *
 * and the knobs of struct nic_knobs.
 */

#include <linux/debugfs.h>
#include <linux/rtnetlink.h>
#include <linux/seq_file.h>

#include "nic.h"

static struct dentry *nic_root;

static const char * const counter_names[] = {
#define X(name) #name,
	NIC_COUNTERS(X)
#undef X
};

static int counters_show(struct seq_file *m, void *v)
{
	struct nic *nic = m->private;

	for (int i = 0; i < NIC_NUM_COUNTERS; i++)
		seq_printf(m, "%s %lld\n", counter_names[i],
			   atomic64_read(&nic->counters[i]));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(counters);

static ssize_t lose_write(struct file *file, const char __user *buf, size_t len,
			  loff_t *pos)
{
	nic_tls_lose(file->private_data, false);
	return len;
}

static const struct file_operations lose_fops = {
	.owner	= THIS_MODULE,
	.open	= simple_open,
	.write	= lose_write,
};

static ssize_t forget_write(struct file *file, const char __user *buf,
			    size_t len, loff_t *pos)
{
	nic_tls_lose(file->private_data, true);
	return len;
}

static const struct file_operations forget_fops = {
	.owner	= THIS_MODULE,
	.open	= simple_open,
	.write	= forget_write,
};

static ssize_t watch_write(struct file *file, const char __user *buf,
			   size_t len, loff_t *pos)
{
	struct nic *nic = file->private_data;
	struct nic_watch *watch;

	if (!len || len > NIC_WATCH_MAX)
		return -EINVAL;
	watch = kzalloc(sizeof(*watch), GFP_KERNEL);
	if (!watch)
		return -ENOMEM;
	if (copy_from_user(watch->bytes, buf, len)) {
		kfree(watch);
		return -EFAULT;
	}
	watch->len = len;
	watch = unrcu_pointer(xchg(&nic->watch, RCU_INITIALIZER(watch)));
	if (watch)
		kfree_rcu(watch, rcu);
	return len;
}

static const struct file_operations watch_fops = {
	.owner	= THIS_MODULE,
	.open	= simple_open,
	.write	= watch_write,
};

static int vlan_set(void *data, u64 on)
{
	struct nic *nic = data;

	/* Who removes the file has this lock, and waits for us. */
	if (!rtnl_trylock())
		return restart_syscall();
	if (on)
		nic->dev->vlan_features |= NIC_TLS_FEATURES;
	else
		nic->dev->vlan_features &= ~NIC_TLS_FEATURES;
	netdev_features_change(nic->dev);
	rtnl_unlock();
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(vlan_fops, NULL, vlan_set, "%llu\n");

static u32 count_watched(const struct nic_watch *w, const u8 *data, u32 len)
{
	u32 hits = 0;

	for (; len >= w->len; data++, len--) {
		const u8 *at = memchr(data, w->bytes[0], len - w->len + 1);

		if (!at)
			break;
		len -= at - data;
		data = at;
		hits += !memcmp(data, w->bytes, w->len);
	}
	return hits;
}

/**
 * nic_watch_frame() - look for the watched bytes in what goes onto the wire
 * @nic: the sending device
 * @conn: the connection that the frame was encrypted for, or NULL. With one,
 *	  bytes that are spread over two segments in a row are found too.
 * @frame: the frame
 *
 * Context: ndo_start_xmit.
 */
void nic_watch_frame(struct nic *nic, struct nic_conn *conn,
		     struct sk_buff *frame)
{
	int len = nic_tcp_payload(frame);
	const struct nic_watch *w;
	u8 joint[2 * NIC_WATCH_MAX];
	u32 hits, n, keep, seq;
	const u8 *data;

	if (len <= 0)
		return;
	nic_count(nic, NIC_wire_bytes, len);
	w = rcu_dereference(nic->watch);
	if (!w)
		return;
	data = frame->data + frame->len - len;
	hits = count_watched(w, data, len);
	if (conn) {
		seq = ntohl(tcp_hdr(frame)->seq);
		if (seq != conn->tail_seq)
			conn->tail_len = 0;
		/* Across the seam: not enough of either side for a whole one. */
		keep = min(conn->tail_len, w->len - 1);
		n = min_t(u32, len, w->len - 1);
		memcpy(joint, conn->tail + conn->tail_len - keep, keep);
		memcpy(joint + keep, data, n);
		hits += count_watched(w, joint, keep + n);

		keep = min_t(u32, len, sizeof(conn->tail));
		memcpy(conn->tail, data + len - keep, keep);
		conn->tail_len = keep;
		conn->tail_seq = seq + len;
	}
	nic_count(nic, NIC_watch_hits, hits);
}

int nic_debugfs_add(struct nic *nic)
{
	struct nic_knobs *k = &nic->knobs;
	struct dentry *dir = debugfs_create_dir(nic->dev->name, nic_root);

	if (IS_ERR(dir))
		return PTR_ERR(dir);
	nic->dir = dir;
	debugfs_create_file("counters", 0400, dir, nic, &counters_fops);
	debugfs_create_file("lose", 0200, dir, nic, &lose_fops);
	debugfs_create_file("forget", 0200, dir, nic, &forget_fops);
	debugfs_create_file("watch", 0200, dir, nic, &watch_fops);
	debugfs_create_file("vlan", 0200, dir, nic, &vlan_fops);
	debugfs_create_u32("table_size", 0600, dir, &k->table_size);
#ifdef TLSDEV_CAP_TLS_1_3
	debugfs_create_ulong("capabilities", 0600, dir,
			     &nic->ops.capabilities);
#endif
	debugfs_create_u32("add_error", 0600, dir, &k->add_error);
	debugfs_create_u32("add_delay_ms", 0600, dir, &k->add_delay_ms);
	debugfs_create_bool("tx_fallback", 0600, dir, &k->tx_fallback);
	debugfs_create_u32("rx_resync", 0600, dir, &k->rx_resync);
	debugfs_create_u32("rx_resync_late_ms", 0600, dir,
			   &k->rx_resync_late_ms);
	debugfs_create_bool("rx_resync_wrong", 0600, dir, &k->rx_resync_wrong);
	debugfs_create_bool("resync_mute", 0600, dir, &k->resync_mute);
	debugfs_create_u32("tx_spoil_tags", 0600, dir, &k->tx_spoil_tags);
	debugfs_create_u32("rx_spoil_tags", 0600, dir, &k->rx_spoil_tags);
	debugfs_create_u32("rx_mark_wrong", 0600, dir, &k->rx_mark_wrong);
	debugfs_create_u32("rx_mark_not", 0600, dir, &k->rx_mark_not);
	return 0;
}

/* Under RTNL; after it no file of the device is in use. */
void nic_debugfs_del(struct nic *nic)
{
	struct nic_watch *watch;

	debugfs_remove_recursive(nic->dir);
	nic->dir = NULL;
	watch = unrcu_pointer(xchg(&nic->watch, NULL));
	if (watch)
		kfree_rcu(watch, rcu);
}

int __init nic_debugfs_init(void)
{
	nic_root = debugfs_create_dir("tlsnic", NULL);
	return PTR_ERR_OR_ZERO(nic_root);
}

void nic_debugfs_exit(void)
{
	debugfs_remove_recursive(nic_root);
}
