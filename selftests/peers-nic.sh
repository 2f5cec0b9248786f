#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# peers-nic.sh [PATTERN]: OpenSSL, nginx and curl between two network namespaces
# joined by a device that offloads TLS (tlsnic, nic/, which must be loaded). TAP
# on standard output. PATTERN picks tests by their names.
#
# Every byte is compared, the module's counters must say that the device had
# each key, and nothing of what is sent may be seen on the wire.
#
# PEERS=short sends less, and a file under one cipher each: for slow kernels.

mark='No one may read!'
here=10.3.0.1
there=10.3.0.2
port=4433
clear_port=8080
# Seconds that a peer may live.
limit=240

skip() {
	echo "1..0 # SKIP $*"
	exit 4
}

for tool in openssl nginx curl ip tc timeout unshare nsenter mktemp stat cmp; do
	command -v $tool >/dev/null || skip "no $tool"
done
[ "$(id -u)" = 0 ] || skip "not root"
[ -d /sys/kernel/debug/tlsnic ] || skip "tlsnic is not loaded"

# The client's namespace is our own, the server's that of a process.
if [ -z "$PEERS_NETNS" ]; then
	export PEERS_NETNS=1
	exec unshare -n sh "$0" "$@"
fi
dir=$(mktemp -d) && cd "$dir" || exit 1
server='' web='' jobs=''
unshare -n sleep 100000 &
holder=$!
trap '' PIPE
trap 'exit 1' INT TERM
trap 'kill -9 $server $web $jobs $holder 2>/dev/null; cd /; rm -rf "$dir"' EXIT
at_server="nsenter --target $holder --net"

our_ns() {
	[ "$(readlink /proc/$holder/ns/net)" = \
		"$(readlink /proc/self/ns/net)" ]
}

while our_ns; do
	sleep 0.1
done

fail() {
	echo "$*" >>diagnostics
	return 1
}

# Little is under way: what goes down meanwhile does so in the midst.
join() {
	echo 4096 65536 262144 >/proc/sys/net/ipv4/tcp_rmem &&
	$at_server sh -c \
		'echo 4096 65536 262144 >/proc/sys/net/ipv4/tcp_wmem' &&
	ip link set lo up &&
	ip link add peers type tlsnic &&
	ip link set peersp netns $holder &&
	ip addr add $here/24 dev peers && ip link set peers up &&
	$at_server ip link set lo up &&
	$at_server ip addr add $there/24 dev peersp &&
	$at_server ip link set peersp up &&
	printf '%s' "$mark" >/sys/kernel/debug/tlsnic/peers/watch &&
	printf '%s' "$mark" >/sys/kernel/debug/tlsnic/peersp/watch
}

#
# Counting
#

# stat_of FILE NAME: in $value.
stat_of() {
	local name rest

	while read -r name value rest; do
		[ "$name" != "$2" ] || return 0
	done <$1
	value=none
}

# What all counters were when the test began.
note_counters() {
	cat /proc/net/tls_stat >client.stat
	cat /proc/$holder/net/tls_stat >server.stat
	cat /sys/kernel/debug/tlsnic/peers/counters >client.nic
	cat /sys/kernel/debug/tlsnic/peersp/counters >server.nic
}

# moved SIDE stat|nic NAME: by how much since, in $moved.
moved() {
	local before

	stat_of $1.$2 $3
	before=$value
	case $1.$2 in
	client.stat) stat_of /proc/net/tls_stat $3 ;;
	server.stat) stat_of /proc/$holder/net/tls_stat $3 ;;
	client.nic) stat_of /sys/kernel/debug/tlsnic/peers/counters $3 ;;
	server.nic) stat_of /sys/kernel/debug/tlsnic/peersp/counters $3 ;;
	esac
	moved=$((value - before))
}

# expect SIDE NAME BY...: counters of the module.
expect() {
	local side=$1

	shift
	while [ $# -gt 0 ]; do
		moved $side stat $1
		[ $moved = $2 ] ||
			fail "$side: $1 moved by $moved, not by $2" || return
		shift 2
	done
}

# by_device SIDE: one connection, both directions, and no key in software.
by_device() {
	expect $1 TlsTxDevice 1 TlsRxDevice 1 TlsTxSw 0 TlsRxSw 0 \
		TlsDecryptError 0
}

# sealed SIDE BYTES, opened SIDE BYTES: at least so many by the device.
sealed() {
	moved $1 nic tx_tls_encrypted_bytes
	[ $moved -ge $2 ] || fail "$1: the device encrypted $moved bytes only"
}

opened() {
	moved $1 nic rx_tls_decrypted_bytes
	[ $moved -ge $2 ] || fail "$1: the device decrypted $moved bytes only"
}

secret() {
	moved client nic watch_hits
	[ $moved = 0 ] || fail "clear text from the client: $moved" || return
	moved server nic watch_hits
	[ $moved = 0 ] || fail "clear text from the server: $moved"
}

same() {
	cmp "$1" "$2" >>diagnostics 2>&1 || fail "$2 is not $1"
}

# wait_for PID COMMAND...: until it succeeds, while that process lives.
wait_for() {
	local pid=$1

	shift
	until "$@"; do
		kill -0 "$pid" 2>/dev/null || return
		sleep 0.1
	done
}

listening() {
	local slot address peer state rest

	while read -r slot address peer state rest; do
		[ "${address#*:} $state" != "$(printf %04X $port) 0A" ] ||
			return 0
	done </proc/$holder/net/tcp
	return 1
}

# has FILE BYTES
has() {
	[ "$(stat -c %s "$1")" -ge "$2" ]
}

# run NAME COMMAND...: one test.
run() {
	local name=$1

	shift
	number=$((number + 1))
	for file in diagnostics client.got server.got server.err client.err \
		    error.log web.err; do
		: >$file
	done
	# Open on both ends: what the server is to send, which never ends.
	rm -f server.in
	mkfifo server.in
	exec 3<>server.in
	note_counters
	if "$@" && secret; then
		echo "ok $number $name"
	else
		echo "not ok $number $name"
		failed=1
		sed 's/^/# /' diagnostics
		tail -n 4 ./*.err error.log | cut -c 1-120 |
			LC_ALL=C tr -dc '\n -~' | sed 's/^/# /'
	fi
	tc qdisc del dev peers root 2>/dev/null
	$at_server tc qdisc del dev peersp root 2>/dev/null
	[ -z "$server" ] || kill $server 2>/dev/null
	[ -z "$web" ] || kill $web 2>/dev/null
	[ -z "$jobs" ] || kill $jobs 2>/dev/null
	[ -z "$server$web$jobs" ] || wait $server $web $jobs
	server='' web='' jobs=''
	exec 3>&-
}

#
# OpenSSL
#

certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-days 2 -subj /CN=server -addext subjectAltName=IP:$there \
		-keyout server.key -out server.crt
}

# suite VERSION CIPHER: nothing else is offered.
suite() {
	case $1.$2 in
	1.2.aes128gcm) set -- $1 ECDHE-ECDSA-AES128-GCM-SHA256 ;;
	1.2.aes256gcm) set -- $1 ECDHE-ECDSA-AES256-GCM-SHA384 ;;
	1.2.chacha20) set -- $1 ECDHE-ECDSA-CHACHA20-POLY1305 ;;
	1.3.aes128gcm) set -- $1 TLS_AES_128_GCM_SHA256 ;;
	1.3.aes256gcm) set -- $1 TLS_AES_256_GCM_SHA384 ;;
	1.3.chacha20) set -- $1 TLS_CHACHA20_POLY1305_SHA256 ;;
	esac
	case $1 in
	1.2) suite="-tls1_2 -cipher $2" ;;
	1.3) suite="-tls1_3 -ciphersuites $2" ;;
	esac
}

# start_server ARGUMENT...: what it receives is in server.got.
start_server() {
	timeout -s KILL $limit $at_server openssl s_server -ktls -naccept 1 \
		-accept $there:$port -cert server.crt -key server.key $suite \
		"$@" <server.in >server.got 2>server.err &
	server=$!
}

client() {
	timeout -s KILL $limit openssl s_client -ktls -connect $there:$port \
		-CAfile server.crt -verify_return_error $suite "$@" \
		2>client.err
}

# The server sends a file with sendfile; uncopied, if so it is asked to.
test_file() {
	suite $1 $2
	# With sendfile, the file is the whole answer.
	start_server -HTTP -sendfile $3
	wait_for $server listening || fail "the server does not listen" ||
		return
	printf 'GET /data HTTP/1.0\r\n\r\n' | client -quiet >client.got
	same data client.got && by_device server && by_device client &&
		sealed server $size && opened client $((size / 2))
}

both_have() {
	has server.got $size && has client.got $size
}

# Then its end is the end of the client.
until_both_have() {
	cat data
	wait_for $server both_have
	sleep 1
}

test_both_ways() {
	suite $1 $2
	start_server -quiet
	wait_for $server listening || fail "the server does not listen" ||
		return
	cat data >server.in &
	jobs=$!
	until_both_have | client -quiet -no_ign_eof -nocommands >client.got
	same data server.got && same data client.got && by_device server &&
		by_device client && sealed server $size &&
		sealed client $size && opened server $((size / 2)) &&
		opened client $((size / 2))
}

# The client has asked for so many.
updates_asked() {
	[ "$(grep -c KEYUPDATE client.err)" -ge $1 ]
}

# Keys change while the server sends: the device has one after the other.
ask_for_updates() {
	local i

	wait_for $server has client.got 1
	for i in 1 2 3; do
		echo K
		wait_for $server updates_asked $i
	done
	wait_for $server has client.got $large
	sleep 1
}

test_key_updates() {
	suite 1.3 aes128gcm
	start_server -quiet
	wait_for $server listening || fail "the server does not listen" ||
		return
	cat large >server.in &
	jobs=$!
	ask_for_updates | client -quiet -no_ign_eof >client.got
	same large client.got || return
	moved server stat TlsTxRekeyOk
	[ $moved -ge 1 ] || fail "the server has not changed its key" || return
	expect server TlsTxDevice 1 TlsTxSw 0 TlsTxRekeyError 0 \
		TlsRxRekeyError 0 TlsDecryptError 0 &&
	expect client TlsRxDevice 1 TlsRxSw 0 TlsTxRekeyError 0 \
		TlsRxRekeyError 0 TlsDecryptError 0
}

#
# nginx and curl, which has TLS in user space
#

start_web() {
	cat >nginx.conf <<END
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log;
events {
	worker_connections 64;
}
http {
	access_log off;
	sendfile on;
	client_max_body_size 64m;
	client_body_temp_path temp;
	proxy_temp_path temp;
	fastcgi_temp_path temp;
	uwsgi_temp_path temp;
	scgi_temp_path temp;
	server {
		listen $there:$port ssl;
		listen $there:$clear_port;
		ssl_certificate $dir/server.crt;
		ssl_certificate_key $dir/server.key;
		ssl_protocols TLSv1.2 TLSv1.3;
		ssl_conf_command Options KTLS;
		root $dir;
		dav_methods PUT;
	}
}
END
	# As root, nginx wants an account for its workers.
	timeout -s KILL $((limit * 2)) $at_server unshare -U nginx -p "$dir" \
		-c nginx.conf -e error.log >web.err 2>&1 &
	web=$!
	wait_for $web listening || fail "nginx does not listen"
}

fetch() {
	curl -sS --fail --max-time $limit --cacert server.crt "$@" 2>>web.err
}

# get VERSION ARGUMENT...: the large file.
get() {
	local version=$1

	shift
	fetch --tlsv$version --tls-max $version -o client.got "$@" \
		https://$there:$port/large || fail "curl fails" || return
	same large client.got &&
		expect server TlsTxDevice 1 TlsTxSw 0 TlsDecryptError 0
}

test_web() {
	start_web && get $1 && sealed server $large
}

test_web_upload() {
	rm -f put
	start_web || return
	fetch --tlsv$1 --tls-max $1 -T large https://$there:$port/put ||
		fail "nginx does not take the file" || return
	same large put && opened server $((large / 2)) &&
		expect server TlsRxDevice 1 TlsRxSw 0 TlsDecryptError 0
}

test_web_loss() {
	$at_server tc qdisc add dev peersp root netem loss 2% &&
		start_web && get $1 || return
	moved server nic tx_tls_rebuilt
	[ $moved -ge 1 ] || fail "nothing was sent again"
}

# Down and up again while the file is on its way.
test_web_down() {
	local pid

	start_web || return
	get $1 --limit-rate 1M &
	pid=$!
	wait_for $pid has client.got $((large / 8))
	$at_server ip link set peersp down
	has client.got $large && fail "too late"
	$at_server ip link set peersp up
	wait $pid || return
	moved server nic tx_tls_del
	[ $moved = 1 ] || fail "the device still had it" || return
	sealed server $((large / 8)) || return
	moved server nic tx_tls_encrypted_bytes
	[ $moved -lt $large ] || fail "the device did all of it"
}

# What the other tests rely on: text in the clear would be seen.
test_watch() {
	start_web || return
	fetch -o client.got http://$there:$clear_port/data &&
		same data client.got || return
	moved server nic watch_hits
	# One that two segments share is not seen.
	[ $moved -ge $((pieces / 2)) ] ||
		fail "the watch has seen $moved of $pieces" ||
		return
	# For secret().
	note_counters
}

# Last: the devices have given everything back.
no_connections() {
	local dev

	for dev in peers peersp; do
		stat_of /sys/kernel/debug/tlsnic/$dev/counters tx_tls_add
		added=$value
		stat_of /sys/kernel/debug/tlsnic/$dev/counters tx_tls_del
		[ $value = $added ] || return
		stat_of /sys/kernel/debug/tlsnic/$dev/counters rx_tls_add
		added=$value
		stat_of /sys/kernel/debug/tlsnic/$dev/counters rx_tls_del
		[ $value = $added ] || return
	done
}

test_all_gone() {
	sleep 60 &
	jobs=$!
	wait_for $jobs no_connections ||
		fail "a device still has connections" || return
	kill $jobs
}

#
# The list: a name and a command a line.
#

list() {
	local version cipher ciphers

	echo the_watch_sees_clear_text test_watch
	for version in 1.2 1.3; do
		ciphers='aes128gcm aes256gcm chacha20'
		case $PEERS.$version in
		short.1.2) ciphers=aes256gcm ;;
		short.1.3) ciphers=chacha20 ;;
		esac
		for cipher in $ciphers; do
			cat <<END
sendfile_tls${version}_$cipher test_file $version $cipher
END
		done
		cat <<END
sendfile_uncopied_tls$version test_file $version aes128gcm -zerocopy_sendfile
both_ways_at_once_tls$version test_both_ways $version aes128gcm
nginx_tls$version test_web $version
nginx_upload_tls$version test_web_upload $version
nginx_where_segments_are_lost_tls$version test_web_loss $version
nginx_whose_device_goes_down_tls$version test_web_down $version
END
	done
	cat <<END
key_updates_in_stream test_key_updates
all_connections_are_given_back test_all_gone
END
}

join || skip "no pair of devices"
pieces=40
[ "$PEERS" != short ] || pieces=10
certificate 2>openssl.err || {
	cat openssl.err
	exit 1
}
mkdir temp
for piece in $(seq $pieces); do
	head -c 30000 /dev/urandom
	echo "$mark"
done >data
size=$(stat -c %s data)
cat data data data data >large
large=$((4 * size))

number=0 failed=0
list | grep -e "^[^ ]*${1:-}" >list
echo "1..$(wc -l <list)"
while read -r line <&9; do
	eval "run $line"
done 9<list
exit $failed
