#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The first process of the guest, after /init has mounted /host.

export PATH=/usr/sbin:/usr/bin HOME=/root TERM=linux
busybox mkdir -p /dev/shm
busybox mount -t sysfs sysfs /sys
busybox mount -t debugfs debugfs /sys/kernel/debug
busybox mount -t tracefs tracefs /sys/kernel/tracing
for dir in /dev/shm /tmp /run /root /var/log /var/lib /usr/lib/modules; do
	busybox mount -t tmpfs tmpfs $dir
done
busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 build /build
for share in kernel module download; do
	busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose \
		$share /$share
done
busybox mkdir -p /tmp/.busybox && busybox --install -s /tmp/.busybox
export PATH=$PATH:/tmp/.busybox
echo /usr/sbin/modprobe > /proc/sys/kernel/modprobe
busybox mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up

dir=/build/$(sed 's/.*vm.dir=\([^ ]*\).*/\1/' /proc/cmdline)
modules=/usr/lib/modules/$(uname -r)
mkdir -p $modules
case $(cat $dir/module) in
ours)
	cp /module/tls.ko $modules/
	[ ! -e /module/tests/tls_kunit.ko ] ||
		cp /module/tests/tls_kunit.ko $modules/
	;;
stock)
	cp /kernel/net/tls/tls.ko $modules/
	;;
esac
depmod 2>/dev/null
finish() {
	sync
	echo "$1" > $dir/status
	poweroff -f
	sleep 60
}
if [ "$(cat $dir/module)" != none ] && ! modprobe tls; then
	echo "tls.ko cannot be loaded:" && dmesg | tail -n 5
	finish 97
fi

cd /tmp
if [ ! -e $dir/command ]; then
	echo "The module is loaded; this checkout is in /host. Leave with exit."
	setsid -c sh < /dev/hvc0 > /dev/hvc0 2>&1
	finish 0
fi
sh -c "$(cat $dir/command)" < /dev/null > /dev/hvc0 2>&1
status=$?

# Memory that nobody points to any more: an object must be some seconds old.
if [ -e /sys/kernel/debug/kmemleak ]; then
	sleep 6
	echo scan > /sys/kernel/debug/kmemleak
	sleep 1
	echo scan > /sys/kernel/debug/kmemleak
	cat /sys/kernel/debug/kmemleak > /dev/ttyS0
fi
finish $status
