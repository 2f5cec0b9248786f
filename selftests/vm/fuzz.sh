#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# fuzz.sh: run the fuzzer (selftests/fuzz) in the guest.
# FUZZ_SECONDS= says how long, SEED= repeats a run, KFLAVOUR= is the kernel;
# FUZZ_ARGS='-n NUMBER' runs one sequence. Its TAP is in build/results too.

. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

seconds=${FUZZ_SECONDS:-120}
seed=${SEED:-$(date +%s)}
flavour=${KFLAVOUR:-debug}

mkdir -p "$BUILD/results"
"$VM_DIR/programs.sh" >/dev/null
nic=$("$VM_DIR/nic.sh" ours "$flavour")

# What fails is shrunk: that takes its own time.
status=0
"$VM_DIR/run.sh" -k "$flavour" -n fuzz -t $((seconds + 900)) \
	"insmod /build/${nic#"$BUILD/"}/tlsnic.ko;" \
	"/build/bin/fuzzer -s $seed -t $seconds ${FUZZ_ARGS:-}" |
	tee "$BUILD/results/fuzz" || status=$?
exit "$status"
