#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# coverage.sh: run all tests on a kernel with CONFIG_GCOV_KERNEL and print the
# lines and branches of the module that ran, by file, and why the others did not
# (coverage.reasons); all of it is in coverage.txt of the build folder. It fails
# when a line has no reason.

. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

command -v gcovr >/dev/null || die "gcovr is needed: install it"
# Counters of two processors would lose what the other counts.
export KFLAGS=GCOV_PROFILE=y KCFLAGS=-fprofile-update=atomic PEERS=short
results=$BUILD/results/coverage
data=$BUILD/coverage
rm -rf "$results" "$data"
mkdir -p "$results" "$data"

kernel=$("$VM_DIR/build.sh" coverage)
"$VM_DIR/programs.sh" >/dev/null
"$VM_DIR/module.sh" "$kernel" coverage >/dev/null
"$VM_DIR/nic.sh" ours coverage >/dev/null
module=$BUILD/module/coverage
say "booting the coverage kernel"
# On one line: it is part of a command there.
programs=$(printf '%s\n' $PROGRAMS $RELEASE_PROGRAMS $DEBUG_PROGRAMS \
	inject-nic | awk '!seen[$0]++' | paste -sd ' ')
# What is unloaded keeps its figures (gcov_persist).
"$VM_DIR/run.sh" -k coverage -n coverage -t 7200 "
	sh /host/selftests/vm/suite.sh /build/results/coverage $programs
	cd /sys/kernel/debug/gcov$module && for f in *.gcda; do
		cat \$f > /build/coverage/\$f
	done" || say "  a test failed: see $results"
for f in "$data"/*.gcda; do
	[ -e "$f" ] || die "the guest left no figures: see $BUILD/vm"
	name=$(basename "$f" .gcda)
	cp "$module/$name.gcno" "$module/$name.c" "$data/"
done
cp "$module"/*.h "$data/"
cd "$data"
figures() {
	gcovr --root "$module" --object-directory "$data" \
		--exclude-throw-branches --filter "$module/[a-z_]*\.c" \
		--exclude '.*kunit.*' --exclude '.*\.mod\.c' "$@" "$data"
}

figures --json -o "$BUILD/coverage.json"
status=0
{
	figures
	figures --branches
	python3 "$VM_DIR/coverage.py" "$BUILD/coverage.json" \
		"$VM_DIR/coverage.reasons" "$module" || status=1
} >"$BUILD/coverage.txt"
cat "$BUILD/coverage.txt"
exit $status
