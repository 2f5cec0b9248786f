#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# suite.sh DIR PROGRAM...: in the guest, run KUnit and the programs; their TAP
# goes to DIR. A program that was not built is a script of the checkout.

dir=$1
shift
failed=0

modprobe tls_kunit || failed=1
for suite in tls_record tls_strp; do
	# KUnit indents a suite's own lines by four.
	sed -n 's/^    \(1\.\.\|ok \|not ok \|# \)/\1/p' \
		/sys/kernel/debug/kunit/$suite/results > "$dir/$suite"
done
rmmod tls_kunit

# Users inside the kernel: a module of their own plays them.
insmod /module/kernel/tls_user_kunit.ko || failed=1
for results in /sys/kernel/debug/kunit/tls_user_*/results; do
	suite=${results%/results}
	sed -n 's/^    \(1\.\.\|ok \|not ok \|# \)/\1/p' "$results" \
		> "$dir/${suite##*/}"
done
rmmod tls_user_kunit

# The debug kernel is several times slower.
[ ! -e /sys/kernel/debug/kmemleak ] || export PEERS=short

run() {
	echo "$1"
	if [ -x /build/bin/"$1" ]; then
		/build/bin/"$1"
	else
		sh /host/selftests/"$1".sh
	fi > "$dir/$1" 2>&1
}

# Peers have a network namespace of their own, and so time for the others; but
# tracing sees what all namespaces do.
beside=
for program; do
	case $program in
	peers)
		run peers &
		beside=$!
		continue
		;;
	trace)
		[ -z "$beside" ] || wait $beside || failed=1
		beside=
		;;
	esac
	run "$program" || failed=1
done
[ -z "$beside" ] || wait $beside || failed=1

# Nobody uses the module any more: it goes, and comes back by its alias.
{
	echo 1..1
	if rmmod tls && [ ! -e /proc/net/tls_stat ] &&
	   modprobe tcp-ulp-tls && [ -e /proc/net/tls_stat ]; then
		echo 'ok 1 module_unloads_and_loads_by_its_alias'
	else
		echo 'not ok 1 module_unloads_and_loads_by_its_alias'
		failed=1
	fi
} > "$dir/module" 2>&1

# A device that offloads, made of software, and its cipher engine's tests.
nic=/build/nic/ours-${dir##*/}
insmod $nic/tlsnic_kunit.ko || failed=1
sed -n 's/^    \(1\.\.\|ok \|not ok \|# \)/\1/p' \
	/sys/kernel/debug/kunit/tlsnic/results > "$dir/tlsnic"
rmmod tlsnic_kunit
insmod $nic/tlsnic.ko || failed=1
insmod /kernel/drivers/net/bonding/bonding.ko || failed=1
for program in offload losses peers-nic; do
	run "$program" || failed=1
done
exit $failed
