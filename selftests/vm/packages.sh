#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# packages.sh [COMMAND...]: install what building kernels and booting them needs,
# and these commands, as root or through sudo; otherwise name it and stop.

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
dpkg			dpkg
/usr/share/keyrings/debian-archive-keyring.gpg	debian-archive-keyring
'

for command; do
	case $command in
	spatch) needs+="spatch coccinelle" ;;
	gnuplot) needs+="gnuplot gnuplot-nox" ;;
	*) needs+="$command $command" ;;
	esac
	needs+=$'\n'
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
as_root=()
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null &&
	{ sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }; } ||
		die "not root, and no sudo; install these packages, then try" \
		    "again:$missing"
	as_root=(sudo -n)
fi
install() {
	local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
		   ${http_proxy:+http_proxy="$http_proxy"}
		   ${https_proxy:+https_proxy="$https_proxy"}
		   ${no_proxy:+no_proxy="$no_proxy"} apt-get
		   -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)

	"${apt[@]}" update
	# shellcheck disable=SC2086
	"${apt[@]}" install -y --no-install-recommends $missing
}
quietly "installing$missing" "$BUILD/log/packages" install
