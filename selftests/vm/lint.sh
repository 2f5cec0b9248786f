#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# lint.sh: checkpatch --strict, sparse, W=1, clang's analyzer and coccinelle on
# the module, and spin on the models of its lockless protocols.

. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

source=$("$VM_DIR/fetch.sh" source)
kernel=$("$VM_DIR/build.sh" release)
failed=0

cd "$TOP"
# Left out: a rule about patches (new files), one about types in headers for
# the kernel alone, one that takes "#include <net/tls.h>" in tls.h for the
# file's name, one that wants tables constant (ours are made from those
# underneath when the first socket attaches), and one that wants a constant on
# the right where both sides are.
style() {
	"$source/scripts/checkpatch.pl" --no-tree --strict --terse \
		--show-types --no-summary \
		--ignore FILE_PATH_CHANGES,PREFER_KERNEL_TYPES \
		--ignore EMBEDDED_FILENAME,CONST_STRUCT,CONSTANT_COMPARISON \
		"$@" || failed=1
}
style -f ./*.c $(ls ./*.h | grep -v compat.h) tests/*.c include/net/*.h \
	include/uapi/linux/*.h selftests/kernel/*.[ch] \
	selftests/kernel/Makefile Kconfig Makefile
# What differs between kernels depends on the kernel's version, also by an
# argument more or less.
style --ignore LINUX_VERSION_CODE,SPACING,COMPLEX_MACRO -f compat.h
# The device's counters are a list that is expanded with a macro of one's own.
style --ignore COMPLEX_MACRO,MACRO_ARG_REUSE -f selftests/nic/*.[ch] \
	selftests/nic/Makefile

# The table of promises names tests that are there.
while read -r name; do
	grep -qrw --include='*.[ch]' --include='*.sh' -- "$name" selftests \
		tests || {
		echo "selftests/README.md names a test that is not there: $name"
		failed=1
	}
done < <(grep '^| ' selftests/README.md | grep -oE '`[a-z0-9_]{12,}`' |
	 tr -d '`' | grep -v '\.')

# In a folder of its own: guests may use what is built for them.
nic=$(KFLAGS="W=1 C=2" "$VM_DIR/nic.sh" ours release lint) || failed=1
"$VM_DIR/models.sh" || failed=1
"$VM_DIR/analyze.sh" "$BUILD/module/lint" "$nic" || failed=1
[ $failed = 0 ] || die "lint found something: see above"
say "lint: nothing found"
