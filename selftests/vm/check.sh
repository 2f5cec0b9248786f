#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check.sh: every test on both kernels. The last line counts them; the exit
# status is not 0 when one failed, a suite did not run to its end, or a kernel
# reported a fault.

. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

# KUnit suites: the module's own, and those that play users inside the kernel.
SUITES="tls_record tls_strp tls_device tls_user_send tls_user_recv tls_user_read_sock tls_user_memory
	tls_user_calls tls_user_life tls_user_async"
counts=$BUILD/results/counts

programs_of() {
	case $1 in
	debug) echo $PROGRAMS $DEBUG_PROGRAMS ;;
	*) echo $PROGRAMS $RELEASE_PROGRAMS ;;
	esac
}

# Guests run beside what is built: each result goes to one file.
count() {
	echo "$1 $2 $3" >>"$counts"
}

# Count the results of one suite's TAP: number planned, ok, not ok, skipped.
tally() {
	local name=$1 file=$2 plan ok bad skip

	plan=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$file" | head -n 1)
	ok=$(grep -c '^ok ' "$file" || true)
	skip=$(grep -ci '^ok .*# skip' "$file" || true)
	bad=$(grep -c '^not ok ' "$file" || true)
	if [ -z "$plan" ] || [ "$plan" = 0 ] ||
	   [ $((ok + bad)) != "$plan" ]; then
		say "FAIL $name: planned ${plan:-nothing}, ran $((ok + bad))"
		count 0 1 0
	fi
	grep -a '^not ok \|^# .*Expected' "$file" >&2 || true
	[ "$bad" = 0 ] || grep -a '^# ' "$file" | tail -n 20 >&2 || true
	say "$name: $((ok - skip)) passed, $bad failed, $skip skipped"
	count $((ok - skip)) "$bad" "$skip"
}

# One result that is not from a TAP file.
result() {
	if [ "$2" = 0 ]; then
		say "ok $1"
		count 1 0 0
	else
		say "FAIL $1"
		count 0 1 0
	fi
}

# Boot a kernel and run everything in it.
check_guest() {
	local flavour=$1 limit=$2 results=$BUILD/results/$1 status=0 p

	rm -rf "$results" "$BUILD/vm/check-$flavour"
	mkdir -p "$results"
	"$VM_DIR/nic.sh" ours "$flavour" >/dev/null
	say "booting the $flavour kernel"
	"$VM_DIR/run.sh" -k "$flavour" -n check -t "$limit" \
		"sh /host/selftests/vm/suite.sh /build/results/$flavour" \
		$(programs_of "$flavour") || status=$?
	# What failed in the suite is in its TAP, all of it; a fault is one more.
	[ $status -ge 97 ] || [ ! -e "$BUILD/vm/check-$flavour/status" ] ||
		status=0
	result "$flavour kernel: finished, and its console is clean" $status
	for p in $SUITES $(programs_of "$flavour") tlsnic module; do
		[ -e "$results/$p" ] || : >"$results/$p"
		tally "$flavour: $p" "$results/$p"
	done
}

# The TLS selftest of the kernel tree itself, as that tree has it. Each cipher
# is tested by all but its tests with many processes, which take very long under
# emulation: one cipher has those.
check_reference() {
	local results=$BUILD/results/reference status=0 name reason
	local many="even readers writers sendpage_even sendpage_readers
		sendpage_writers" all='' some='' test

	rm -rf "$results" "$BUILD/vm/vm-release"
	mkdir -p "$results"
	"$VM_DIR/reference.sh" >/dev/null || status=$?
	if [ $status = 4 ]; then
		say "SKIP the tree's own selftest does not compile in this" \
		    "release of it (log: $BUILD/log/reference)"
		count 0 0 1
		return
	fi
	for test in $many; do
		all="$all -T mutliproc_$test"
		some="$some -r tls.13_aes_gcm.mutliproc_$test"
	done
	say "booting the release kernel for the tree's own selftest"
	"$VM_DIR/run.sh" -n reference -t 1500 "
		cd /build/results/reference
		/build/bin/reference $all >all 2>&1
		/build/bin/reference $some >many 2>&1" || status=$?
	[ $status -ge 97 ] || [ ! -e "$BUILD/vm/vm-release/status" ] || status=0
	result "the tree's own selftest finished, and the console is clean" \
		$status
	# What it wants otherwise than we promise is named, with the reason.
	while read -r name reason; do
		case $name in ''|'#'*) continue ;; esac
		sed -i "s/^not \(ok [0-9]* $name\)\$/\1 # SKIP $reason/" \
			"$results"/*
	done <"$VM_DIR/reference.known"
	for name in all many; do
		[ -e "$results/$name" ] || : >"$results/$name"
		tally "the tree's own selftest: $name" "$results/$name"
	done
}

# Drivers of the tree that offload TLS compile against our header.
check_drivers() {
	local kernel=$1 tree=$2/linux out=$2/out-drivers status=0

	mkdir -p "$out"
	cat "$kernel/wanted.config" "$VM_DIR/drivers.config" \
		>"$out/wanted.config"
	(quietly "building the drivers that offload TLS" \
		"$BUILD/log/overlay-drivers" drivers_build "$tree" "$out") ||
		status=1
	! grep 'warning:' "$BUILD/log/overlay-drivers" >&2 || status=1
	result "overlay: mlx5, nfp, cxgb4, ch_ktls, funeth, bonding compile" \
		$status
}

drivers_build() {
	local net=drivers/net/ethernet

	make -C "$1" O="$2" KCONFIG_ALLCONFIG="$2/wanted.config" allnoconfig &&
	grep -q '^CONFIG_MLX5_EN_TLS=y' "$2/.config" &&
	grep -q '^CONFIG_NFP=' "$2/.config" &&
	grep -q '^CONFIG_CHELSIO_TLS_DEVICE=' "$2/.config" &&
	grep -q '^CONFIG_FUN_ETH=' "$2/.config" &&
	make -C "$1" O="$2" -j"$JOBS" prepare modules_prepare &&
	make -C "$1" O="$2" -j"$JOBS" \
		$net/mellanox/mlx5/core/en_accel/ktls{,_tx,_rx,_txrx,_stats}.o \
		$net/mellanox/mlx5/core/en_{tx,rx}.o \
		$net/netronome/nfp/crypto/tls.o \
		$net/netronome/nfp/nfp_net_common.o \
		$net/chelsio/cxgb4/cxgb4_main.o \
		$net/chelsio/inline_crypto/ch_ktls/ \
		$net/fungible/funeth/funeth_{tx,ktls,main}.o \
		drivers/net/bonding/bond_main.o
}

# A copy of the kernel tree with our files in it. It stays in the cache, with what
# was built of it: our files are new each time, and so is all that includes them.
check_tree() {
	local source kernel copy

	source=$("$VM_DIR/fetch.sh" source)
	kernel=$("$VM_DIR/build.sh" release)
	copy=$CACHE/overlay${kernel##*/kernel}
	mkdir -p "$copy"
	[ -e "$copy/.complete" ] ||
		quietly "copying the kernel source" "$BUILD/log/overlay-copy" \
			rsync -a --delete "$source/" "$copy/linux/"
	touch "$copy/.complete"
	check_overlay "$kernel" "$copy"
	check_drivers "$kernel" "$copy"
}

# The kernel tree, with our files in it, builds TLS as a module and built in.
check_overlay() {
	local kernel=$1 tree=$2/linux out=$2/out kind status=0

	"$VM_DIR/overlay.sh" "$tree" && "$VM_DIR/overlay.sh" "$tree" || status=1
	result "overlay: put into a tree, twice" $status
	for kind in m y; do
		status=0
		mkdir -p "$out-$kind"
		grep -v '^CONFIG_TLS' "$kernel/wanted.config" \
			>"$out-$kind/wanted.config"
		printf '%s\n' "CONFIG_TLS=$kind" "CONFIG_TLS_KUNIT_TEST=$kind" \
			>>"$out-$kind/wanted.config"
		# One of the two with offload to devices, the other without.
		[ $kind = y ] || {
			echo CONFIG_TLS_DEVICE=y
			cat "$VM_DIR/overlay.config"
		} >>"$out-$kind/wanted.config"
		(quietly "building the networking of that tree with TLS=$kind" \
			"$BUILD/log/overlay-$kind" \
			overlay_build "$tree" "$out-$kind") || status=1
		! grep 'warning:' "$BUILD/log/overlay-$kind" >&2 || status=1
		result "overlay: builds with TLS=$kind" $status
	done
	status=0
	(quietly "building NFS and NVMe over TCP of that tree" \
		"$BUILD/log/overlay-users" \
		overlay_users "$tree" "$out-m") || status=1
	! grep 'warning:' "$BUILD/log/overlay-users" >&2 || status=1
	result "overlay: users inside the kernel build with our headers" $status
	status=0
	(quietly "building the tree's own kselftest TARGETS=net/tls" \
		"$BUILD/log/overlay-kselftest" \
		make -C "$tree/tools/testing/selftests" -j"$JOBS" TARGETS=net/tls \
		O="$out-kselftest" LDFLAGS=-static \
		KHDR_INCLUDES="-isystem $TOP/include/uapi -isystem $kernel/usr/include" \
		all) || status=1
	[ -x "$out-kselftest/kselftest/net/tls/recv" ] || status=1
	result "overlay: the tree's kselftest builds our programs" $status
}

overlay_build() {
	make -C "$1" O="$2" KCONFIG_ALLCONFIG="$2/wanted.config" allnoconfig &&
	grep -q '^CONFIG_TLS_KUNIT_TEST=' "$2/.config" &&
	make -C "$1" O="$2" -j"$JOBS" prepare modules_prepare &&
	make -C "$1" O="$2" -j"$JOBS" net/core/ net/ipv4/ net/handshake/ \
		net/tls/
}

# After overlay_build: those who use TLS sockets inside the kernel.
overlay_users() {
	! grep -vxFf "$2/.config" "$VM_DIR/overlay.config" |
		grep '^CONFIG_' &&
	make -C "$1" O="$2" -j"$JOBS" net/sunrpc/ drivers/nvme/ &&
	ls -l "$2"/net/sunrpc/{svcsock,xprtsock}.o \
		"$2"/drivers/nvme/{host,target}/tcp.o
}

# One guest after the other: two at a time would be in each other's way.
guests() {
	set +m
	check_guest release 2700
	check_reference
	check_guest debug 4200
}

start=$SECONDS
mkdir -p "$BUILD/results"
: >"$counts"
"$VM_DIR/build.sh" release >/dev/null
"$VM_DIR/programs.sh" >/dev/null
# Guests go when this ends, however it does: they are a group of processes.
set -m
guests &
guests=$!
set +m
trap 'kill -- -$guests 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM
# The machine has time for compilers while the guests' tests wait.
status=0
"$VM_DIR/build.sh" debug >/dev/null || status=1
result "the debug kernel builds" $status
status=0
"$VM_DIR/lint.sh" || status=1
result "checkpatch, sparse, W=1, clang, coccinelle and spin are silent" $status
status=0
with_lock overlay check_tree || status=1
result "overlay: a kernel tree with our files was tried" $status
status=0
wait $guests || status=1
result "both kernels were tried" $status
say "took $((SECONDS - start)) s"
awk '{ passed += $1; failed += $2; skipped += $3 }
	END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
	      exit !passed || failed }' "$counts"
