#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# bench.sh: measure the stock module and ours in one boot of the release
# kernel. BENCH=quick|full chooses the rows. Under emulation the guest's clock
# counts instructions; with ACCEL=kvm it is real time, and the modules take
# turns RUNS times.

. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

kind=${BENCH:-quick}
case $kind in
quick) limit=3600 ;;
full) limit=28800 ;;
*) die "BENCH=$kind: quick or full" ;;
esac
export ACCEL=${ACCEL:-icount} SMP=1
case $ACCEL in
kvm)
	unit=ns
	runs=${RUNS:-9}
	[ "$runs" -ge 9 ] || die "RUNS=$runs: real time needs 9 or more"
	;;
*)
	ACCEL=icount
	unit=instructions
	runs=${RUNS:-1}
	# Without the fast string instructions, which one count would hide.
	export QEMU_ARGS="-icount shift=0,sleep=off,align=off \
-cpu max,-erms,-fsrm ${QEMU_ARGS:-}"
	;;
esac

kernel=$("$VM_DIR/build.sh" release)
"$VM_DIR/module.sh" "$kernel" release >/dev/null
mkdir -p "$BUILD/module/bench" "$BUILD/bin" "$BUILD/bench"
cp "$TOP"/selftests/bench/kernel/{Makefile,bench_aead.c} "$BUILD/module/bench/"
quietly "building bench_aead.ko" "$BUILD/log/bench-aead" \
	make -C "$kernel" M="$BUILD/module/bench" -j"$JOBS" modules
quietly "building the benchmark" "$BUILD/log/bench" \
	"${CC:-gcc}" -O2 -Wall -static -D_GNU_SOURCE= \
	-isystem "$TOP/include/uapi" -isystem "$kernel/usr/include" \
	-o "$BUILD/bin/bench" "$TOP/selftests/bench/bench.c"

"$VM_DIR/run.sh" -m none -n bench -t "${BENCH_LIMIT:-$limit}" \
	"sh /host/selftests/bench/guest.sh /build/bench $kind $runs"
python3 "$TOP/selftests/bench/report.py" "$BUILD/bench/data" --unit $unit \
	--json "$BUILD/bench.json" --points "$BUILD/bench/points" |
	tee "$BUILD/bench.txt"
gnuplot -e "points='$BUILD/bench/points'; unit='$unit'" \
	-e "output='$BUILD/bench.svg'" "$TOP/selftests/bench/plot.gp"
say "results: $BUILD/bench.txt $BUILD/bench.json $BUILD/bench.svg"
