#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# programs.sh: build the test programs as the kernel tree would, statically where
# their libraries allow it, for the guest, and print their folder.

. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

source=$("$VM_DIR/fetch.sh" source)
kernel=$("$VM_DIR/build.sh" release)
stage=$BUILD/kselftest
out=$BUILD/bin

mkdir -p "$stage/net/tls/fuzz" "$out"
cp -u "$source"/tools/testing/selftests/*.{h,mk} "$stage/"
cp -u "$TOP"/selftests/{Makefile,*.c,*.h,*.awk} "$stage/net/tls/"
cp -u "$TOP"/selftests/fuzz/*.[ch] "$stage/net/tls/fuzz/"
quietly "building the test programs" "$BUILD/log/programs" \
	make -C "$stage/net/tls" -j"$JOBS" OUTPUT="$out" LDFLAGS=-static \
		top_srcdir="$source" TLS_RST="$TOP/Documentation/tls.rst" \
		KHDR_INCLUDES="-isystem $TOP/include/uapi -isystem $kernel/usr/include"
! grep -n 'warning:' "$BUILD/log/programs" | grep -v kselftest_harness >&2 ||
	die "the compiler warns: see above"
echo "$out"
