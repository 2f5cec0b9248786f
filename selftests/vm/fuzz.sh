#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# fuzz.sh: build the fuzzer (selftests/fuzz) and run it in the guest.
# FUZZ_SECONDS= says how long, SEED= repeats a run, KFLAVOUR= is the kernel;
# FUZZ_ARGS='-n NUMBER' runs one sequence. Its TAP is in build/results too.

. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

seconds=${FUZZ_SECONDS:-120}
seed=${SEED:-$(date +%s)}
flavour=${KFLAVOUR:-debug}

kernel=$("$VM_DIR/build.sh" release)
uring=()
! echo '#include <liburing.h>' | "${CC:-gcc}" -fsyntax-only -x c - 2>/dev/null ||
	uring=(-luring)
mkdir -p "$BUILD/bin" "$BUILD/results"
quietly "building the fuzzer" "$BUILD/log/fuzz" \
	"${CC:-gcc}" -O2 -Wall -Werror -static -D_GNU_SOURCE= \
	-isystem "$TOP/include/uapi" -isystem "$kernel/usr/include" \
	-o "$BUILD/bin/fuzz" "$TOP"/selftests/fuzz/*.c "${uring[@]}" -lpthread
nic=$("$VM_DIR/nic.sh" ours "$flavour")

# What fails is shrunk: that takes its own time.
status=0
"$VM_DIR/run.sh" -k "$flavour" -n fuzz -t $((seconds + 900)) \
	"insmod /build/${nic#"$BUILD/"}/tlsnic.ko;" \
	"/build/bin/fuzz -s $seed -t $seconds ${FUZZ_ARGS:-}" |
	tee "$BUILD/results/fuzz" || status=$?
exit "$status"
