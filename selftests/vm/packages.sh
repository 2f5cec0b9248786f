#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# packages.sh [COMMAND...]: install what building kernels and booting them needs,
# and these commands (of packages of that name), as root or through sudo;
# otherwise name it and stop.

. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

# command, or file, and the package that has it
needs='
gcc			gcc
flex			flex
bison			bison
bc			bc
perl			perl
python3			python3
cpio			cpio
rsync			rsync
xz			xz-utils
git			git
flock			util-linux
/usr/include/gelf.h	libelf-dev
/usr/include/openssl/ssl.h	libssl-dev
/usr/include/libmnl/libmnl.h	libmnl-dev
/usr/include/liburing.h	liburing-dev
qemu-system-x86_64	qemu-system-x86
mmdebstrap		mmdebstrap
sparse			sparse
clang-tidy		clang-tidy
spatch			coccinelle
spin			spin
gnuplot			gnuplot-nox
dpkg			dpkg
/usr/share/keyrings/debian-archive-keyring.gpg	debian-archive-keyring
'

for command; do
	needs+="$command $command"$'\n'
done
missing=
while read -r what package; do
	[ -n "$what" ] || continue
	case $what in
	/*) [ -e "$what" ] || missing="$missing $package" ;;
	*) command -v "$what" >/dev/null || missing="$missing $package" ;;
	esac
done <<<"$needs"
[ -n "$missing" ] || exit 0

command -v apt-get >/dev/null ||
	die "install these packages, then try again:$missing"
as_root=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null && sudo -n true 2>/dev/null ||
		die "not root, and no sudo without a password; install these" \
		    "packages, then try again:$missing"
	as_root="sudo -n"
fi
install() {
	$as_root apt-get update
	# shellcheck disable=SC2086
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y \
		--no-install-recommends $missing
}
quietly "installing$missing" "$BUILD/log/packages" install
