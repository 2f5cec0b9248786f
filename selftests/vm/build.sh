#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# build.sh release|debug|coverage|kcsan: print the build folder of that kernel,
# after building it into the cache if it is not there yet. The kernel is built
# from the untouched source, with its own net/tls as a module.

. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

flavour=${1:-}
configs=("$VM_DIR/kernel.config")
case $flavour in
release) ;;
debug|coverage|kcsan) configs+=("$VM_DIR/$flavour.config") ;;
*) die "usage: build.sh release|debug|coverage|kcsan" ;;
esac

source=$("$VM_DIR/fetch.sh" source)

configure() {
	local out=$1 line missing=0

	mkdir -p "$out"
	cat "${configs[@]}" >"$out/wanted.config"
	make -C "$source" O="$out" KCONFIG_ALLCONFIG="$out/wanted.config" \
		allnoconfig
	# An option that this kernel lacks would be dropped without a word.
	while read -r line; do
		grep -qxF -- "$line" "$out/.config" || {
			echo "not taken by Kconfig: $line"
			missing=1
		}
	done < <(grep '^CONFIG_' "$out/wanted.config" |
		 tac | sort -t= -k1,1 -u -s)
	return $missing
}

compile() {
	make -C "$source" O="$1" -j"$JOBS" bzImage modules headers
}

get_kernel() {
	local out=$1

	[ ! -e "$out/.complete" ] || return 0
	for tool in flex bison bc cpio rsync; do
		command -v "$tool" >/dev/null ||
			die "$tool is needed to build a kernel: install it"
	done
	quietly "configuring the $flavour kernel" \
		"$CACHE/log/configure-$flavour" configure "$out"
	quietly "building the $flavour kernel (some minutes on two cores)" \
		"$CACHE/log/build-$flavour" compile "$out"
	touch "$out/.complete"
}

version=$(make -s -C "$source" kernelversion)
# Another compiler, or another release's, cannot go on with what is there.
key=$({ cat "${configs[@]}" && gcc --version && cat /etc/os-release &&
	echo "${LINUX:+$source}"; } | sha256sum | cut -c 1-12)
out=$CACHE/kernel-$version-$flavour-$key
with_lock "kernel-$flavour" get_kernel "$out"
echo "$out"
