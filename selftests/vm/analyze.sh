#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# analyze.sh MODULES...: clang's static analyzer over the modules that were
# built in these folders, and the kernel tree's semantic patches over their
# sources; silent when well.

. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

source=$("$VM_DIR/fetch.sh" source)
kernel=$("$VM_DIR/build.sh" release)
commands=$BUILD/analyze/compile_commands.json
failed=0

# The tree's own tools for it; the kernel was built by gcc, and clang refuses
# what is only gcc's.
clang() {
	python3 "$source/scripts/clang-tools/gen_compile_commands.py" \
		-d "$kernel" -o "$commands" "$@" &&
	sed -i -E 's/ -(mpreferred-stack-boundary=[0-9]|mskip-rax-setup|falign-[a-z]+=[0-9]+|fno-allow-store-data-races|fconserve-stack|mno-fp-ret-in-387|ftrivial-auto-var-init=[a-z]+|W[a-z][^ ]*)//g' \
		"$commands" &&
	python3 "$source/scripts/clang-tools/run-clang-tools.py" \
		clang-analyzer "$commands"
}

# Left out: those that need an OCaml compiler, and one that wants a function
# which asks the allocator for a size that the caller knows.
coccinelle() {
	local patch options

	cd "$TOP"
	grep -rL --include='*.cocci' 'script:ocaml' \
		"$source/scripts/coccinelle" | sort | while read -r patch; do
		case $patch in */kfree_sensitive.cocci) continue ;; esac
		grep -q '^virtual report' "$patch" || continue
		options=$(sed -n 's#^///* *Options: *##p' "$patch" | head -n 1)
		# shellcheck disable=SC2086
		spatch -D report --no-show-diff --very-quiet $options \
			--cocci-file "$patch" ./*.c tests/*.c \
			selftests/kernel/*.c selftests/nic/*.c |
			sed "/./s#^#$(basename "$patch"): #" || return 1
	done
}

mkdir -p "$BUILD/analyze"
(quietly "clang's analyzer" "$BUILD/log/analyze-clang" clang "$@") || failed=1
(quietly "coccinelle" "$BUILD/log/analyze-cocci" coccinelle) || failed=1
! grep -E 'warning:|error:' "$BUILD/log/analyze-clang" >&2 || failed=1
! grep -E '^[a-z_]+\.cocci: ' "$BUILD/log/analyze-cocci" >&2 || failed=1
[ $failed = 0 ] || die "the analyzers found something: see above"
