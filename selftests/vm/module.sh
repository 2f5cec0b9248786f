#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# module.sh KDIR [NAME]: build tls.ko and its KUnit tests against a kernel
# build folder, with our headers in front of the kernel's, and the KUnit tests
# of its users in the kernel; print the folder that holds them. MAKEFLAGS of
# the kernel's build can be given in KFLAGS.

. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

kdir=${1:-}
[ -n "$kdir" ] || die "usage: module.sh KDIR [NAME]"
[ -e "$kdir/.config" ] ||
	die "KDIR=$kdir is no kernel build folder: it has no .config"
out=$BUILD/module/${2:-custom}

# Drivers find their state with inline functions of the header that they were
# built with, and the kernel's own is laid out in another way.
drivers=
! grep -q '^CONFIG_TLS_DEVICE=y' "$kdir/.config" ||
	drivers=$(sed -nE 's/^CONFIG_(MLX5_EN_TLS|CHELSIO_TLS_DEVICE|NFP|FUN_ETH)=[ym]$/\1/p' \
		"$kdir/.config" | tr '\n' ' ')
[ -z "$drivers" ] || [ "${DRIVERS:-}" = unused ] ||
	die "drivers of this kernel offload TLS and were built with its own" \
	    "header: ${drivers% }. With this module they would write over" \
	    "memory. Build both from one tree (make overlay LINUX=dir), or" \
	    "say DRIVERS=unused if none of them is ever loaded beside it"

kunit=
! grep -q '^CONFIG_KUNIT=' "$kdir/.config" || kunit=m

mkdir -p "$out"
rsync -a --delete --exclude='*.o' --exclude='.*.cmd' --exclude='*.ko' \
	--exclude='*.mod' --exclude='*.mod.c' --exclude='modules.order' \
	--exclude='Module.symvers' --exclude='.module*' \
	--include='/*.c' --include='/*.h' --include='/Makefile' \
	--include='/Kconfig' --include='/include/***' --include='/tests/***' \
	--exclude='*' "$TOP/" "$out/"
quietly "building tls.ko for $(make -s -C "$kdir" kernelrelease)" \
	"$BUILD/log/module-${2:-custom}" \
	make -C "$kdir" M="$out" CONFIG_TLS=m CONFIG_TLS_KUNIT_TEST=$kunit \
		-j"$JOBS" ${KFLAGS:-} modules
log=("$BUILD/log/module-${2:-custom}")
if [ -n "$kunit" ]; then
	log+=("$BUILD/log/users-${2:-custom}")
	rsync -a --include='*.[ch]' --include=Makefile --exclude='*' \
		"$TOP/selftests/kernel/" "$out/kernel/"
	quietly "building tls_user_kunit.ko" "${log[1]}" \
		make -C "$kdir" M="$out/kernel" -j"$JOBS" ${KFLAGS:-} modules
fi
! grep -n 'warning:' "${log[@]}" >&2 || die "the compiler warns: see above"
echo "$out"
