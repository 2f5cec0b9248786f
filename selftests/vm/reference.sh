#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# reference.sh: build the TLS selftest that the kernel tree itself ships, where
# it stands, and print the program. The exit status is 4 when it does not
# compile: then it is the tree's fault, and its log says why.

. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

source=$("$VM_DIR/fetch.sh" source)
kernel=$("$VM_DIR/build.sh" release)
tests=$source/tools/testing/selftests
out=$BUILD/bin/reference
log=$BUILD/log/reference

mkdir -p "$BUILD/bin" "$BUILD/log"
# Emulation is slow: its tests get more than 30 seconds each.
printf '%s\n' "#include \"$tests/kselftest_harness.h\"" \
	'#undef TEST_TIMEOUT_DEFAULT' '#define TEST_TIMEOUT_DEFAULT 600' >"$BUILD/reference.h"
[ -e "$tests/net/tls.c" ] || exit 4

compile() {
	gcc -O2 -static -w -D_GNU_SOURCE= -include "$BUILD/reference.h" \
		-I"$tests" -isystem "$kernel/usr/include" -o "$out" \
		"$tests/net/tls.c" >"$log" 2>&1
}

# Some releases of 6.12 have its tests of key update, and not what these need:
# they call a function with one argument more than it has, which key it is.
number_keys() {
	cat >>"$BUILD/reference.h" <<'END'
#define tls_crypto_info_init(...) \
	INIT_AS(__VA_ARGS__, init_numbered, init_plain)(__VA_ARGS__)
#define INIT_AS(version, cipher, info, number, as, ...) as
#define init_plain(version, cipher, info) init_info(version, cipher, info)
#define init_numbered(version, cipher, info, number) do {		\
	init_info(version, cipher, info);				\
	memset((char *)(info) + sizeof(struct tls_crypto_info), number,	\
	       (info)->len - sizeof(struct tls_crypto_info));		\
} while (0)
END
}

compile || { number_keys && compile; } || exit 4
echo "$out"
