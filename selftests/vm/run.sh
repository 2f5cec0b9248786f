#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# run.sh [-k release|debug] [-t SECONDS] [-m none|ours|stock] [-n NAME] [CMD]
#
# Boot a kernel in QEMU with our module loaded, run CMD in it, and exit with
# its status. Without CMD, a shell. The exit status is 99 when the guest did
# not finish, and 98 when the kernel reported a fault on its console.
#
# In the guest, /host is this checkout (read-only), /build its build folder,
# /kernel the kernel's, /module the folder of our tls.ko, /download what was
# fetched.
#
# ACCEL=kvm|tcg overrides what is found by trying; QEMU_ARGS= adds arguments.

. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

flavour=release limit=600 module=ours name=vm
while getopts k:t:m:n: opt; do
	case $opt in
	k) flavour=$OPTARG ;;
	t) limit=$OPTARG ;;
	m) module=$OPTARG ;;
	n) name=$OPTARG ;;
	*) die "usage: run.sh [-k kernel] [-t seconds] [-m module] [-n name]" \
	       "[command]" ;;
	esac
done
shift $((OPTIND - 1))

command -v qemu-system-x86_64 >/dev/null ||
	die "qemu-system-x86_64 is needed: install qemu-system-x86"

rootfs=$("$VM_DIR/fetch.sh" rootfs)
kernel=$("$VM_DIR/build.sh" "$flavour")
moddir=$BUILD
[ "$module" != ours ] ||
	moddir=$("$VM_DIR/module.sh" "$kernel" "$flavour")

work=$BUILD/vm/$name-$flavour
rm -rf "$work"
mkdir -p "$work" "$CACHE/download"

share() {
	printf '%s ' -virtfs \
		"local,path=$1,mount_tag=$2,security_model=none,multidevs=remap$3"
}

qemu() {
	local accel=$1 append=$2

	shift 2
	# shellcheck disable=SC2046
	exec qemu-system-x86_64 -M q35 -accel "$accel" -cpu max \
		-smp "${SMP:-2}" -m "${MEMORY:-2G}" -nodefaults -no-user-config \
		-display none -no-reboot -kernel "$kernel/arch/x86/boot/bzImage" \
		-append "console=ttyS0 reboot=t panic=-1 root=root ro \
rootfstype=9p rootflags=trans=virtio,version=9p2000.L,msize=262144,cache=loose \
init=/init quiet loglevel=5 no_timer_check kunit.enable=1 $append" \
		$(share "$rootfs" root ,readonly=on) \
		$(share "$TOP" host ,readonly=on) \
		$(share "$kernel" kernel ,readonly=on) \
		$(share "$moddir" module ,readonly=on) \
		$(share "$CACHE/download" download ,readonly=on) \
		$(share "$BUILD" build) \
		-device virtio-rng-pci ${QEMU_ARGS:-} "$@"
}

probe_kvm() {
	qemu kvm "vm.probe" -serial "file:$work/probe" -monitor none \
		</dev/null >/dev/null 2>&1 &
	local pid=$! i

	for i in $(seq 100); do
		! grep -q 'probe: ok' "$work/probe" 2>/dev/null || break
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	kill -9 "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	grep -q 'probe: ok' "$work/probe" 2>/dev/null
}

# A machine may have /dev/kvm and still not run an ordinary kernel with it.
find_accel() {
	local memo accel

	[ -z "${ACCEL:-}" ] || {
		case $ACCEL in
		kvm) echo kvm ;;
		icount) echo tcg,thread=single ;;
		*) echo tcg,thread=multi ;;
		esac
		return
	}
	memo=$CACHE/accel-$(cat /proc/sys/kernel/random/boot_id)
	if [ -e "$memo" ]; then
		cat "$memo"
		return
	fi
	accel=tcg,thread=multi
	if [ -w /dev/kvm ]; then
		say "trying /dev/kvm"
		! probe_kvm || accel=kvm
		rm -f "$CACHE"/accel-*
		echo "$accel" >"$work/accel"
		mv "$work/accel" "$memo"
		[ $accel = kvm ] ||
			say "  it does not run a kernel: emulating (ACCEL=kvm" \
			    "insists, without $memo it is tried again)"
	elif [ -e /dev/kvm ]; then
		say "/dev/kvm is there and you may not use it: emulating (join" \
		    "its group, kvm, and log in again)"
	fi
	echo "$accel"
}

accel=$(find_accel)
printf '%s\n' "$module" >"$work/module"
if [ $# -gt 0 ]; then
	printf '%s\n' "$*" >"$work/command"
	exec </dev/null
else
	limit=0
	[ ! -t 0 ] || {
		saved=$(stty -g)
		trap 'stty "$saved"' EXIT
		stty raw -echo
	}
fi

: >"$work/console"
export -f qemu share
export rootfs kernel moddir TOP BUILD CACHE
status=0
timeout -k 5 --foreground "$limit" bash -c 'qemu "$@"' qemu \
	"$accel" "vm.dir=vm/$name-$flavour" \
	-serial "file:$work/console" -monitor none \
	-device virtio-serial-pci -chardev stdio,id=out,signal=off \
	-device virtconsole,chardev=out || status=$?

[ "$status" != 124 ] ||
	say "error: the guest did not finish in $limit s; its console:" \
	    "$work/console"
if [ -e "$work/status" ]; then
	status=$(cat "$work/status")
else
	say "error: the guest died; the end of its console ($work/console):"
	tail -n 30 "$work/console" >&2
	status=99
fi
if grep -aE "$(tr '\n' '|' <"$VM_DIR/faults" | sed 's/|$//')" \
	"$work/console" >"$work/faults"; then
	say "error: the kernel reported a fault (whole console: $work/console):"
	head -n 40 "$work/faults" >&2
	status=98
fi
exit "$status"
