# SPDX-License-Identifier: GPL-2.0
# What the virtual machine's scripts share: places, versions, messages.
# Every variable here can be overridden from the environment or by make.

set -euo pipefail

# Under make, its flags are not for the makes that these scripts run.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

VM_DIR=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd -- "$VM_DIR/../.." && pwd)

# Downloads, kernels and the guest's user land are kept here between runs.
CACHE=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/net-tls}
# What belongs to this checkout: module builds, test programs, results.
BUILD=${BUILD:-$TOP/build}
mkdir -p "$CACHE" "$BUILD" || {
	echo "error: cannot write there: set CACHE= and BUILD= to other folders" >&2
	exit 1
}
CACHE=$(cd -- "$CACHE" && pwd)
BUILD=$(cd -- "$BUILD" && pwd)
# The Debian release that kernel source and guest user land come from.
SUITE=${SUITE:-trixie}
KERNEL=${KERNEL:-6.12}
JOBS=${JOBS:-$(nproc)}
# User land of the guest: real peers of the module.
GUEST_PACKAGES=openssl,gnutls-bin,iproute2,nginx-light,curl,ethtool,busybox,kmod,strace
GUEST_DIRS="dev proc sys run tmp root mnt var/log var/lib usr/lib/modules
	host build kernel module download"

say() {
	printf '%s %s\n' "[$(date +%H:%M:%S)]" "$*" >&2
}

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

case $TOP$CACHE$BUILD in
*[[:space:],:%]*)
	die "kbuild and QEMU take no space, comma, colon or percent sign in a" \
	    "path: move the checkout, or set CACHE= and BUILD="
	;;
esac

# The first address of what apt calls sites; a list of mirrors has one too.
first_mirror() {
	local site

	while read -r site; do
		case $site in
		http://*|https://*)
			printf '%s\n' "$site"
			return
			;;
		mirror+file:*)
			grep -om 1 -E '^https?://[^[:space:]]+' \
				"${site#mirror+file:}" 2>/dev/null && return
			;;
		esac
	done
}

# The mirror that this machine's own apt uses, unless MIRROR= names another.
debian_mirror() {
	local mirror=${MIRROR:-}

	[ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(SITE)' \
		'Created-By: Packages' 'Origin: Debian' 'Label: Debian' \
		2>/dev/null | first_mirror)
	# Where its lists of packages were removed, what it is told to use.
	[ -n "$mirror" ] || mirror=$(sed -nE \
		's/^(URIs:|deb( +\[[^]]*\])?) +([^ ]*debian(\.list)?)\/?( .*)?$/\3/p' \
		/etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
		first_mirror)
	[ -n "$mirror" ] ||
		die "no Debian mirror found in this machine's apt configuration:" \
		    "name one with MIRROR=http://..."
	printf '%s\n' "$mirror"
}

# In the background a program would not hear of Ctrl-C; a function does.
as_is() {
	"$@"
}

# One builder at a time for each thing in the cache.
with_lock() {
	local name=$1

	shift
	mkdir -p "$CACHE"
	(
		flock -n 9 || {
			say "waiting for another build of $name"
			flock 9
		}
		"$@"
	) 9>"$CACHE/$name.lock"
}

# Run a long command with its output in a log; a sign of life every 15 s.
quietly() {
	local what=$1 log=$2 pid start=$SECONDS last=$SECONDS

	shift 2
	mkdir -p "$(dirname "$log")"
	say "$what (log: $log)"
	as_is "$@" >"$log" 2>&1 9>&- </dev/null &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.5
		if [ $((SECONDS - last)) -ge 15 ]; then
			last=$SECONDS
			say "  ... $((SECONDS - start)) s: $(tail -n 1 "$log" | cut -c 1-70)"
		fi
	done
	wait "$pid" || {
		tail -n 25 "$log" >&2
		die "$what failed; the whole output is in $log"
	}
	say "  done in $((SECONDS - start)) s"
}

# The test programs, and those that only one of the kernels runs: it has what
# they need, or the time for them.
# Those that take long come early, for what runs beside them. NAME-nic is NAME
# with a device that offloads between its sockets.
PROGRAMS="peers attach send recv garbage offload losses peers-nic rekey more
	ways writers read uring backpressure diag counters trace examples
	classes keys"
RELEASE_PROGRAMS="send-nic recv-nic garbage-nic rekey-nic more-nic ways-nic
	read-nic uring-nic backpressure-nic limits"
DEBUG_PROGRAMS="inject rekey-nic fuzzer"
