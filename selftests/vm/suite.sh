#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# suite.sh DIR PROGRAM...: in the guest, run KUnit and the programs; their TAP
# goes to DIR. A program that was not built is a script of the checkout, or is
# NAME-nic: NAME with a device that offloads between its sockets.

ALONE="trace limits"
dir=$1
shift
failed=0

modprobe tls_kunit || failed=1
for suite in tls_record tls_strp tls_device; do
	# KUnit indents a suite's own lines by four.
	sed -n 's/^    \(1\.\.\|ok \|not ok \|# \)/\1/p' \
		/sys/kernel/debug/kunit/$suite/results > "$dir/$suite"
done
rmmod tls_kunit

# Users inside the kernel: a module of their own plays them. Memory that it makes
# fail is no fault to tell of.
for verbose in /sys/kernel/debug/fail*/verbose; do
	[ ! -e "$verbose" ] || echo 0 > "$verbose"
done
insmod /module/kernel/tls_user_kunit.ko || failed=1
for results in /sys/kernel/debug/kunit/tls_user_*/results; do
	suite=${results%/results}
	sed -n 's/^    \(1\.\.\|ok \|not ok \|# \)/\1/p' "$results" \
		> "$dir/${suite##*/}"
done
rmmod tls_user_kunit

# A device that offloads, made of software, and its cipher engine's tests.
nic=/build/nic/ours-${dir##*/}
insmod $nic/tlsnic_kunit.ko || failed=1
sed -n 's/^    \(1\.\.\|ok \|not ok \|# \)/\1/p' \
	/sys/kernel/debug/kunit/tlsnic/results > "$dir/tlsnic"
rmmod tlsnic_kunit
insmod $nic/tlsnic.ko || failed=1
insmod /kernel/drivers/net/bonding/bonding.ko || failed=1

# The debug kernel is several times slower.
[ ! -e /sys/kernel/debug/kmemleak ] || export PEERS=short

# In the network namespace that we are in, or in one of its own.
run() {
	echo "$1"
	if [ "$1" = fuzzer ]; then
		# What it finds here, it finds again.
		$2 /build/bin/fuzzer -s 1 -t 120
	elif [ -x /build/bin/"$1" ]; then
		$2 /build/bin/"$1"
	elif [ -e /host/selftests/"$1".sh ]; then
		$2 sh /host/selftests/"$1".sh
	else
		TLS_TEST_NIC=1 $2 /build/bin/"${1%-nic}"
	fi > "$dir/$1" 2>&1
}

# One after the other, what nobody else has begun.
lane() {
	within=$1
	shift
	for program; do
		case " $ALONE " in *" $program "*) continue ;; esac
		mkdir /tmp/begun.$program 2>/dev/null || continue
		run $program "$within" || touch /tmp/failed
	done
}

# As many at a time as there are processors.
lanes() {
	for cpu in $(seq $(nproc)); do
		lane "$@" &
	done
	wait
}

# Counters are each network namespace's own.
lanes "unshare -n /host/selftests/vm/with_lo.sh" "$@"
# Tracing sees all namespaces.
for program; do
	case " $ALONE " in
	*" $program "*) run "$program" '' || touch /tmp/failed ;;
	esac
done

# Nobody uses the module any more: it stays while somebody does, and then it goes,
# and comes back by its alias.
{
	echo 1..2
	rmmod tlsnic bonding
	if /build/bin/attach -t module_stays_while_a_socket_uses_it \
		> /tmp/attach && [ -e /proc/net/tls_stat ]; then
		echo 'ok 1 module_stays_while_a_socket_uses_it'
	else
		sed 's/^/# /' /tmp/attach
		echo 'not ok 1 module_stays_while_a_socket_uses_it'
		failed=1
	fi
	# TCP may still be ending a connection whose program has gone.
	for second in $(seq 180); do
		! rmmod tls 2>/tmp/rmmod || break
		sleep 1
	done
	if [ ! -e /proc/net/tls_stat ] &&
	   modprobe tcp-ulp-tls && [ -e /proc/net/tls_stat ]; then
		echo "# it went after $second s"
		echo 'ok 2 module_unloads_and_loads_by_its_alias'
	else
		{
			cat /tmp/rmmod
			grep '^tls ' /proc/modules
			cat /proc/net/sockstat
			ss -tanoi
		} | sed 's/^/# /'
		echo 'not ok 2 module_unloads_and_loads_by_its_alias'
		failed=1
	fi
} > "$dir/module" 2>&1
[ ! -e /tmp/failed ] || failed=1
exit $failed
