#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# fetch.sh source|rootfs: print the folder of the kernel source or of the
# guest's user land, after fetching it into the cache if it is not there yet.

. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

# apt with a root of its own, so that the machine's stays as it is.
private_apt() {
	local root=$CACHE/apt mirror

	mirror=$(debian_mirror)
	mkdir -p "$root/lists/partial" "$root/cache/archives/partial"
	printf 'deb [signed-by=%s] %s %s main\n' \
		/usr/share/keyrings/debian-archive-keyring.gpg \
		"$mirror" "$SUITE" >"$root/sources.list"
	apt-get -o Dir::Etc::sourcelist="$root/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::lists="$root/lists" \
		-o Dir::Cache="$root/cache" \
		-o Dir::State::status=/dev/null \
		-o APT::Sandbox::User= \
		-o Acquire::Languages=none -o Acquire::Retries=3 "$@"
}

download_source() {
	mkdir -p "$CACHE/download"
	cd "$CACHE/download"
	private_apt update
	private_apt download "linux-source-$KERNEL"
}

unpack_source() {
	local to=$1 part

	part=$CACHE/linux.part
	rm -rf "$part"
	mkdir -p "$part"
	dpkg -x "$(ls -t "$CACHE/download/linux-source-$KERNEL"_*.deb | head -n 1)" \
		"$part/deb"
	mv "$part/deb/usr/src/linux-source-$KERNEL.tar.xz" "$CACHE/download/"
	tar -C "$part" -xf "$CACHE/download/linux-source-$KERNEL.tar.xz"
	mv "$part/linux-source-$KERNEL" "$to"
	rm -rf "$part" "$CACHE/download/linux-source-$KERNEL"_*.deb
}

# Gigabytes: source, kernels, and what is built of them.
room_for() {
	local have

	have=$(df -Pk "$CACHE" | awk 'NR == 2 { print int($4 / 1048576) }')
	[ "$have" -ge "$1" ] ||
		die "$CACHE has $have GB of room, and $1 are needed: make room," \
		    "or set CACHE= to another folder"
}

get_source() {
	local to=$CACHE/linux-$KERNEL

	[ ! -e "$to/Makefile" ] || return 0
	room_for 6
	command -v dpkg >/dev/null ||
		die "dpkg is needed to unpack the kernel source; or name an" \
		    "unpacked source tree with LINUX=dir"
	quietly "downloading the source of Linux $KERNEL (153 MB)" \
		"$CACHE/log/download-source" download_source
	quietly "unpacking it" "$CACHE/log/unpack-source" unpack_source "$to"
}

# The machine's apt may know of a proxy, or a user's environment.
proxies() {
	local scheme proxy

	for scheme in http https; do
		proxy=
		eval "$(apt-config shell proxy "Acquire::$scheme::Proxy")"
		[ -z "$proxy" ] ||
			printf '%s\n' "--aptopt=Acquire::$scheme::Proxy \"$proxy\""
	done
}

get_rootfs() {
	local to=$1 part=$CACHE/rootfs.part options

	[ ! -e "$to/.complete" ] || return 0
	command -v mmdebstrap >/dev/null ||
		die "mmdebstrap is needed for the guest's user land: install it"
	rm -rf "$part"
	mkdir -p "$part"
	mapfile -t options < <(proxies)
	# Who is not root owns the files; in the guest that does not matter.
	[ "$(id -u)" = 0 ] || options+=(--mode=chrootless)
	# This variant extracts packages without running their scripts; the
	# links of a merged /usr come first, so that nothing hides them.
	quietly "fetching the guest's user land" "$CACHE/log/rootfs" \
		mmdebstrap --variant=extract --include="$GUEST_PACKAGES" \
		"${options[@]}" \
		--setup-hook='cd "$1" && mkdir -p usr/bin usr/sbin usr/lib usr/lib64 &&
			ln -s usr/bin usr/sbin usr/lib usr/lib64 .' \
		"$SUITE" "$part" "$(debian_mirror)"
	(cd "$part" && mkdir -p $GUEST_DIRS &&
		ln -sf busybox usr/bin/sh && install -m 755 "$VM_DIR/init" init &&
		touch .complete)
	rm -rf "$to"
	mv "$part" "$to"
}

case ${1:-} in
source)
	if [ -n "${LINUX:-}" ]; then
		[ -e "$LINUX/net/tls/Kconfig" ] ||
			die "LINUX=$LINUX holds no kernel source"
		(cd "$LINUX" && pwd)
	else
		with_lock source get_source
		echo "$CACHE/linux-$KERNEL"
	fi
	;;
rootfs)
	rootfs=$CACHE/rootfs-$SUITE-$(echo "$GUEST_PACKAGES" "$GUEST_DIRS" |
				      cat - "$VM_DIR/init" | sha256sum |
				      cut -c 1-12)
	with_lock rootfs get_rootfs "$rootfs"
	echo "$rootfs"
	;;
*)
	die "usage: fetch.sh source|rootfs"
	;;
esac
