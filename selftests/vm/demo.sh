#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# demo.sh: the first 100 MB of the kernel's source archive through OpenSSL
# over our tls.ko, in both versions and three ciphers. FILE= names another.

. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

file=${FILE:-}
mkdir -p "$BUILD/demo"
if [ -z "$file" ]; then
	LINUX='' "$VM_DIR/fetch.sh" source >/dev/null
	file=$BUILD/demo/linux-source-$KERNEL.tar.xz.part
	[ "$(stat -c %s "$file" 2>/dev/null)" = 100000000 ] ||
		head -c 100000000 \
			"$CACHE/download/linux-source-$KERNEL.tar.xz" >"$file"
else
	cp "$file" "$BUILD/demo/"
	file=$BUILD/demo/$(basename "$file")
fi
sum=$(sha256sum "$file" | cut -d' ' -f 1)
name=$(basename "$file")
say "$name: $(stat -c %s "$file") bytes, SHA-256 $sum"
start=$SECONDS
"$VM_DIR/run.sh" -n demo -t "${DEMO_LIMIT:-900}" \
	"cp '/build/demo/$name' /tmp/ &&
	 sh /host/selftests/demo.sh '/tmp/$name' $sum" || {
	status=$?
	say "demo failed; the guest's console: $BUILD/vm/demo-release/console"
	exit $status
}
say "all transfers went through our tls.ko both ways, and every byte arrived" \
    "($((SECONDS - start)) s)"
