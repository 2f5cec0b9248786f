#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# nic.sh stock|ours [FLAVOUR [NAME]]: build the network device with TLS offload
# (selftests/nic) for a kernel of ours, against the net/tls that is named;
# print the folder that holds it. NAME is that of the module's build folder.

. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

tls=${1:-} flavour=${2:-release}
kernel=$("$VM_DIR/build.sh" "$flavour")
name=${3:-$flavour}
out=$BUILD/nic/$tls-$name
against=()
case $tls in
stock) ;;
ours)
	module=$("$VM_DIR/module.sh" "$kernel" "$name")
	against=(TLS_INCLUDE="$TOP/include"
		 KBUILD_EXTRA_SYMBOLS="$module/Module.symvers")
	;;
*) die "usage: nic.sh stock|ours [flavour [name]]" ;;
esac

mkdir -p "$out"
rsync -a "$TOP/selftests/nic/" "$out/"
quietly "building tlsnic.ko against the $tls tls.ko" \
	"$BUILD/log/nic-$tls-$name" \
	make -C "$kernel" M="$out" "${against[@]}" -j"$JOBS" ${KFLAGS:-} modules
! grep -n 'warning:' "$BUILD/log/nic-$tls-$name" >&2 ||
	die "the compiler warns: see above"
echo "$out"
