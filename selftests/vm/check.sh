#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check.sh: every test on both kernels. The last line counts them; the exit
# status is not 0 when one failed, a suite did not run to its end, or a kernel
# reported a fault.

. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

PROGRAMS="attach send recv garbage rekey more ways"
# KUnit suites that play users inside the kernel.
USERS="tls_user_send tls_user_recv tls_user_read_sock tls_user_memory
	tls_user_calls tls_user_life tls_user_async"
passed=0 failed=0 skipped=0

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
		failed=$((failed + 1))
	fi
	grep -a '^not ok \|^# .*Expected' "$file" >&2 || true
	say "$name: $((ok - skip)) passed, $bad failed, $skip skipped"
	passed=$((passed + ok - skip))
	failed=$((failed + bad))
	skipped=$((skipped + skip))
}

# One result that is not from a TAP file.
result() {
	if [ "$2" = 0 ]; then
		say "ok $1"
		passed=$((passed + 1))
	else
		say "FAIL $1"
		failed=$((failed + 1))
	fi
}

run_guest() {
	local flavour=$1 limit=$2 results=$BUILD/results/$1 status=0 p

	rm -rf "$results"
	mkdir -p "$results"
	say "booting the $flavour kernel"
	"$VM_DIR/run.sh" -k "$flavour" -n check -t "$limit" \
		"sh /host/selftests/vm/suite.sh /build/results/$flavour $PROGRAMS" ||
		status=$?
	# What failed in the suite is in its TAP, all of it; a fault is one more.
	[ $status -lt 97 ] && status=0
	result "$flavour kernel: finished, and its console is clean" $status
	tally "$flavour: KUnit tls_record" "$results/tls_record"
	tally "$flavour: KUnit tls_strp" "$results/tls_strp"
	for p in $USERS $PROGRAMS module; do
		[ -e "$results/$p" ] || : >"$results/$p"
		tally "$flavour: $p" "$results/$p"
	done
}

# The kernel tree, with our files in it, builds TLS as a module and built in.
check_overlay() {
	local source kernel tree=$BUILD/overlay/linux out=$BUILD/overlay/out
	local kind status

	source=$("$VM_DIR/fetch.sh" source)
	kernel=$("$VM_DIR/build.sh" release)
	mkdir -p "$BUILD/overlay"
	if [ ! -e "$tree/.complete" ]; then
		quietly "copying the kernel source" "$BUILD/log/overlay-copy" \
			rsync -a --delete "$source/" "$tree/"
		touch "$tree/.complete"
	fi
	status=0
	"$VM_DIR/overlay.sh" "$tree" && "$VM_DIR/overlay.sh" "$tree" || status=1
	result "overlay: put into a tree, twice" $status
	for kind in m y; do
		status=0
		mkdir -p "$out-$kind"
		grep -v '^CONFIG_TLS=' "$kernel/wanted.config" \
			>"$out-$kind/wanted.config"
		printf '%s\n' "CONFIG_TLS=$kind" "CONFIG_TLS_KUNIT_TEST=$kind" \
			>>"$out-$kind/wanted.config"
		(quietly "building the networking of that tree with TLS=$kind" \
			"$BUILD/log/overlay-$kind" \
			overlay_build "$tree" "$out-$kind") || status=1
		! grep 'warning:' "$BUILD/log/overlay-$kind" >&2 || status=1
		result "overlay: builds with TLS=$kind" $status
	done
	status=0
	(quietly "building the tree's own kselftest TARGETS=net/tls" \
		"$BUILD/log/overlay-kselftest" \
		make -C "$tree/tools/testing/selftests" TARGETS=net/tls \
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

start=$SECONDS
"$VM_DIR/programs.sh" >/dev/null
status=0
"$VM_DIR/lint.sh" || status=1
result "checkpatch --strict, sparse and W=1 are silent" $status
run_guest release 900
run_guest debug 2400
check_overlay
say "took $((SECONDS - start)) s"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ] && [ $passed -gt 0 ]
