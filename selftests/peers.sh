#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# peers.sh [PATTERN]: real TLS libraries against each other, with kernel TLS on
# one side or on both: OpenSSL, GnuTLS, nginx, curl. TAP on standard output.
# PATTERN picks tests by their names.
#
# PEERS=short runs each kind once or twice, with less data: for slow kernels.
#
# GnuTLS is only ever the peer in user space, so a connection has OpenSSL or
# nginx on at least one side: Debian builds GnuTLS without its kernel TLS code
# (the library never calls setsockopt() with TCP_ULP, whatever "ktls" in its
# system-wide configuration says).
#
# On an emulated machine a new process costs more than a handshake. So what is
# done for each message or each wait is done by the shell itself where it can.

port=4433
# Seconds that a peer may live.
limit=120

skip() {
	echo "1..0 # SKIP $*"
	exit 4
}

for tool in openssl gnutls-cli gnutls-serv nginx curl ip ss timeout unshare \
	    mkfifo mktemp stat cmp dd tee; do
	command -v $tool >/dev/null || skip "no $tool"
done
[ "$(id -u)" = 0 ] || skip "not root"
[ -e /proc/net/tls_stat ] || modprobe tls 2>/dev/null || skip "no kernel TLS"

# A network namespace of its own: ports are free, the counters are ours alone.
if [ -z "$PEERS_NETNS" ]; then
	export PEERS_NETNS=1
	exec unshare -n sh "$0" "$@"
fi
ip link set lo up || skip "no loopback"

dir=$(mktemp -d) && cd "$dir" || exit 1
server='' client='' web='' helpers=''
trap '' PIPE
trap 'exit 1' INT TERM
trap 'kill -9 $server $client $web $helpers 2>/dev/null; cd /; rm -rf "$dir"' \
	EXIT

#
# Waiting, counting, telling
#

fail() {
	echo "$*" >>diagnostics
	return 1
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
		[ "${address#*:} $state" != "$port_hex 0A" ] || return 0
	done </proc/net/tcp
	return 1
}

# has FILE BYTES
has() {
	[ "$(stat -c %s "$1")" -ge "$2" ]
}

# How many lines of FILE hold TEXT, in $count.
count_lines() {
	local line

	count=0
	while read -r line; do
		case $line in
		*"$2"*) count=$((count + 1)) ;;
		esac
	done <"$1"
}

# The counters as they are, in FILE.
note_counters() {
	local line

	while read -r line; do
		echo "$line"
	done </proc/net/tls_stat >"$1"
}

# By how much COUNTER moved since the test began, in $moved.
moved() {
	local name value rest now before

	while read -r name value rest; do
		[ "$name" != "$1" ] || now=$value
	done </proc/net/tls_stat
	while read -r name value rest; do
		[ "$name" != "$1" ] || before=$value
	done <counters
	moved=$((now - before))
}

# expect COUNTER BY...
expect() {
	while [ $# -gt 0 ]; do
		moved "$1"
		[ $moved = "$2" ] || fail "$1 moved by $moved, not by $2" ||
			return
		shift 2
	done
}

# run NAME COMMAND...: one test.
run() {
	local name=$1

	shift
	number=$((number + 1))
	for file in diagnostics sent server.got client.got server.log \
		    server.err client.log client.err error.log web.err; do
		: >$file
	done
	note_counters counters
	client_args='' server_args='' commands='' flow=echo
	if "$@"; then
		echo "ok $number $name"
	else
		echo "not ok $number $name"
		failed=1
		sed 's/^/# /' diagnostics
		tail -n 4 ./*.err ./*.log | cut -c 1-120 |
			LC_ALL=C tr -dc '\n -~' | sed 's/^/# /'
	fi
	stop_client
	stop_server
	stop_web
}

#
# The peers
#

# Keys and certificates: an authority, a server, a client.
certificates() {
	local name

	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-days 2 -subj /CN=authority -keyout ca.key -out ca.crt || return
	for name in server client; do
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
			-nodes -days 2 -subj /CN=$name \
			-addext subjectAltName=IP:127.0.0.1,DNS:localhost \
			-addext basicConstraints=critical,CA:FALSE \
			-CA ca.crt -CAkey ca.key \
			-keyout $name.key -out $name.crt || return
	done
}

# suite VERSION CIPHER: what the peers call it; nothing else is offered.
suite() {
	version=$1
	case $1.$2 in
	1.2.aes128gcm) openssl_name=ECDHE-ECDSA-AES128-GCM-SHA256 ;;
	1.2.aes256gcm) openssl_name=ECDHE-ECDSA-AES256-GCM-SHA384 ;;
	1.2.chacha20) openssl_name=ECDHE-ECDSA-CHACHA20-POLY1305 ;;
	1.2.aes128ccm) openssl_name=ECDHE-ECDSA-AES128-CCM ;;
	1.3.aes128gcm) openssl_name=TLS_AES_128_GCM_SHA256 ;;
	1.3.aes256gcm) openssl_name=TLS_AES_256_GCM_SHA384 ;;
	1.3.chacha20) openssl_name=TLS_CHACHA20_POLY1305_SHA256 ;;
	1.3.aes128ccm) openssl_name=TLS_AES_128_CCM_SHA256 ;;
	esac
	case $1 in
	1.2) openssl_suite="-tls1_2 -cipher $openssl_name" ;;
	1.3) openssl_suite="-tls1_3 -ciphersuites $openssl_name" ;;
	esac
	case $2 in
	aes128gcm) gnutls_name=AES-128-GCM ;;
	aes256gcm) gnutls_name=AES-256-GCM ;;
	chacha20) gnutls_name=CHACHA20-POLY1305 ;;
	aes128ccm) gnutls_name=AES-128-CCM ;;
	esac
	priority=NORMAL:-VERS-ALL:+VERS-TLS$1:-CIPHER-ALL:+$gnutls_name
}

# What the server receives comes out of the FIFO server.out, and what goes into
# server.in is sent. In between is, by $flow,
#	echo: all is sent back
#	lines: lines of digits are sent back; what else s_server prints is not
#	both: server.got on one end, descriptor 3 on the other.
# GnuTLS's server sends back by itself. Control letters are commands to s_server
# or s_client if $commands names it.
start_server() {
	local quiet=-quiet

	[ "$commands" != server ] || quiet=''
	case $1 in
	openssl|kernel)
		[ "$1" = openssl ] || server_args="$server_args -ktls"
		timeout -s KILL $limit openssl s_server -naccept 1 \
			-accept 127.0.0.1:$port -cert server.crt \
			-key server.key -CAfile ca.crt $openssl_suite $quiet \
			$server_args <server.in >server.out 2>server.err &
		;;
	gnutls)
		flow=none
		timeout -s KILL $limit gnutls-serv -p $port --echo --crlf \
			--nodb --x509certfile server.crt \
			--x509keyfile server.key --x509cafile ca.crt \
			--priority "$priority" $server_args \
			</dev/null >server.log 2>server.err &
		;;
	esac
	server=$!
	# Who opens a FIFO waits for its other end: the same order everywhere.
	case $flow in
	echo)
		tee server.got >server.in <server.out &
		helpers=$!
		;;
	lines)
		echo_lines >server.in <server.out &
		helpers=$!
		exec 3>server.in
		;;
	both)
		cat <server.out >server.got &
		helpers=$!
		exec 3>server.in
		;;
	esac
	wait_for $server listening || fail "the server does not listen"
}

echo_lines() {
	local line

	while IFS= read -r line; do
		case $line in
		''|*[!0-9]*)
			echo "$line" >>server.log
			;;
		*)
			echo "$line" >>server.got
			echo "$line"
			;;
		esac
	done
}

# The client sends what comes by descriptor 4. What it receives goes to
# client.got if $flow is "both", else it is to be read from descriptor 5.
start_client() {
	local quiet='-quiet -no_ign_eof -nocommands'

	[ "$commands" != client ] || quiet='-quiet -no_ign_eof'
	case $1 in
	openssl|kernel)
		[ "$1" = openssl ] || client_args="$client_args -ktls"
		timeout -s KILL $limit openssl s_client \
			-connect 127.0.0.1:$port -CAfile ca.crt \
			-verify_return_error -verify_hostname localhost \
			$openssl_suite $quiet $client_args \
			<client.in >client.out 2>client.err 3>&- &
		;;
	gnutls)
		timeout -s KILL $limit gnutls-cli -p $port \
			--x509cafile=ca.crt --verify-hostname=localhost \
			--priority="$priority" --logfile=client.log \
			$client_args 127.0.0.1 \
			<client.in >client.out 2>client.err 3>&- &
		;;
	esac
	client=$!
	exec 4>client.in 5<client.out
	if [ $flow = both ]; then
		cat <&5 >client.got 3>&- 4>&- &
		helpers="$helpers $!"
	fi
}

# The end of its standard input is the end of the client.
stop_client() {
	[ -n "$client" ] || return
	exec 4>&-
	wait $client
	status=$?
	client=''
	[ $flow = both ] || cat <&5 >>client.got
	exec 5<&-
	# When something hangs, what comes after is not waited for as long.
	[ $status != 137 ] || limit=20
}

# OpenSSL's server ends after its client.
stop_server() {
	[ -n "$server" ] || return
	exec 3>&-
	[ "$1" = ends ] || kill $server 2>/dev/null
	wait $server $helpers
	server='' helpers=''
}

#
# Data
#

# message SIZE: to the server and back. Its last byte is a newline, since
# GnuTLS's server answers lines.
message() {
	[ -e message.$1 ] || make_message $1
	cat message.$1 >&4
	dd bs=$1 count=1 iflag=fullblock <&5 >>client.got 2>/dev/null
	sent="$sent message.$1"
}

make_message() {
	tail -c +$(($1 % 1000 + 1)) digits 2>/dev/null |
		head -c $(($1 - 1)) >message.$1
	echo >>message.$1
}

messages() {
	local size

	sent=''
	for size; do
		message $size
	done
}

# FILE both ways at once.
both_ways() {
	sent=$1
	cat $1 >&4 &
	helpers="$helpers $!"
	cat $1 >&3 4>&- &
	helpers="$helpers $!"
	wait_for $client has client.got "$(stat -c %s $1)"
}

# Did all that was sent arrive, and nothing else?
compare() {
	local file

	[ -n "$sent" ] && cat $sent >sent
	for file; do
		cmp sent $file.got >>diagnostics 2>&1 ||
			fail "the $file has not got what was sent" || return
	done
}

# The kernel shows as many sockets of this version as there are sides that
# use it, and counted as many keys.
through_kernel() {
	ss -tieHn "( sport = :$port or dport = :$port )" >sockets 2>/dev/null
	count_lines sockets "tcp-ulp-tls version: $version "
	[ $count = $sides ] ||
		fail "$count sockets with kernel TLS $version, not $sides" ||
		return
	count_lines sockets "rxconf: sw txconf: sw"
	[ $count = $sides ] ||
		fail "$count sockets with both keys, not $sides" || return
	expect TlsTxSw $sides TlsRxSw $sides
}

connect() {
	sides=0
	[ $1 != kernel ] || sides=1
	[ $2 != kernel ] || sides=$((sides + 1))
	start_server $1 && start_client $2
}

disconnect() {
	through_kernel || return
	stop_client
	[ $status = 0 ] || fail "the client's exit status is $status" || return
	if [ $flow = none ]; then
		stop_server
		compare client
	else
		stop_server ends
		compare server client
	fi && expect TlsDecryptError 0
}

#
# Tests: their arguments are the server and the client, where "kernel" is
# OpenSSL with kernel TLS; then version and cipher.
#

test_messages() {
	suite $3 $4
	connect $1 $2 && messages $5 && disconnect
}

test_both_ways() {
	suite $3 $4
	flow=both
	connect $1 $2 && both_ways $5 && disconnect
}

# The peer in user space sends records that kernel TLS never makes.
test_records() {
	suite $3 $4
	[ $1 = kernel ] || server_args=$5
	[ $2 = kernel ] || client_args=$5
	flow=both
	connect $1 $2 && both_ways small && disconnect
}

test_client_certificate() {
	suite $3 $4
	case $1 in
	gnutls) server_args='--require-client-cert --verify-client-cert' ;;
	*) server_args='-Verify 1 -verify_return_error' ;;
	esac
	case $2 in
	gnutls) client_args='--x509certfile=client.crt --x509keyfile=client.key' ;;
	*) client_args='-cert client.crt -key client.key' ;;
	esac
	connect $1 $2 && messages 1 20000 && disconnect || return
	cat server.log server.err >seen
	count_lines seen CN=client
	[ $count != 0 ] ||
		fail "the server has not seen the client's certificate"
}

# In TLS 1.3 the client is done before the server looks for its certificate:
# the refusal is an alert that comes through the kernel.
test_no_client_certificate() {
	suite 1.3 aes128gcm
	server_args='-Verify 1 -verify_return_error'
	connect $1 $2 || return
	# It ends by itself, not because its input ends.
	cat <&5 >client.got
	stop_client
	[ $status != 0 ] || fail "the client is content" || return
	count_lines client.err 'alert certificate required'
	[ $count != 0 ] || fail "the client does not know why" || return
	moved TlsTxSw
	[ $moved != 0 ] || fail "no kernel TLS" || return
	expect TlsDecryptError 0
}

# command LETTER CONDITION...: give it to the server or the client, and wait
# until it has done it. What comes after it must not be read together with it.
command() {
	local letter=$1

	shift
	case $commands in
	server) echo $letter >&3 ;;
	client) echo $letter >&4 ;;
	esac
	wait_for $client "$@" || fail "the $commands does not do $letter"
}

# has_lines FILE TEXT NUMBER
has_lines() {
	count_lines $1 $2
	[ $count -ge $3 ]
}

# Keys that replaced others, both ways, on either side: at least so many.
has_updates() {
	local sent

	moved TlsTxRekeyOk
	sent=$moved
	moved TlsRxRekeyOk
	[ $((sent + moved)) -ge $1 ]
}

# A handshake in the midst of data: the server asks for a certificate.
test_late_client_certificate() {
	local first

	suite 1.3 aes256gcm
	commands=server flow=lines
	client_args='-enable_pha -cert client.crt -key client.key'
	connect $1 $2 && messages 1000 && first=$sent &&
	command c has_lines server.err CN=client 1 || return
	messages 1000 20000
	sent="$first $sent"
	disconnect
}

# One key update without (k) and one with a request for the peer's (K). So who
# begins uses two new keys to send, the peer one.
test_key_update() {
	local own=0 peer=0 all

	suite 1.3 $4
	commands=$3
	[ $3 = client ] || flow=lines
	case $3.$1.$2 in
	*.kernel.kernel) own=1 peer=1 ;;
	server.kernel.*|client.*.kernel) own=1 ;;
	*) peer=1 ;;
	esac
	connect $1 $2 && messages 1000 && all=$sent &&
	command k has_updates 1 && messages 2 20000 && all="$all $sent" &&
	command K has_updates $((own + peer + 1)) &&
	messages 2 20000 1000 && sent="$all $sent" || return
	expect TlsTxRekeyOk $((2 * own + peer)) \
		TlsRxRekeyOk $((own + 2 * peer)) \
		TlsRxRekeyReceived $((own + 2 * peer)) \
		TlsTxRekeyError 0 TlsRxRekeyError 0 || return
	disconnect
}

# The client asks for new keys while the server's data flow.
test_key_update_in_stream() {
	local i received

	suite 1.3 aes128gcm
	commands=client flow=both
	connect $1 $2 || return
	cat data >&3 4>&- &
	helpers="$helpers $!"
	for i in 1 2 3 4 5; do
		command K has_lines client.err KEYUPDATE $i || return
	done
	wait_for $client has client.got "$(stat -c %s data)"
	moved TlsRxRekeyReceived
	received=$moved
	[ $received != 0 ] || fail "no key update received" || return
	expect TlsRxRekeyOk $received TlsTxRekeyError 0 TlsRxRekeyError 0 ||
		return
	moved TlsTxRekeyOk
	[ $moved != 0 ] || fail "no key update sent" || return
	through_kernel || return
	stop_client
	[ $status = 0 ] || fail "the client's exit status is $status" || return
	stop_server ends
	sent=data
	compare client && expect TlsDecryptError 0
}

# GnuTLS's client updates its keys; rekey asks for the server's, rekey1 not.
test_key_update_by_gnutls() {
	local all

	suite 1.3 aes256gcm
	client_args=--inline-commands
	connect kernel gnutls && messages 1000 && all=$sent || return
	echo '^rekey1^' >&4
	wait_for $client received_updates 1
	messages 2 20000
	all="$all $sent"
	echo '^rekey^' >&4
	wait_for $client received_updates 2
	messages 2 20000
	sent="$all $sent"
	expect TlsTxRekeyOk 1 TlsRxRekeyOk 2 TlsRxRekeyReceived 2 \
		TlsTxRekeyError 0 TlsRxRekeyError 0 || return
	disconnect
}

received_updates() {
	moved TlsRxRekeyOk
	[ $moved = $1 ]
}

#
# nginx and curl
#

start_web() {
	cat >nginx.conf <<END
daemon off;
worker_processes 2;
pid nginx.pid;
error_log error.log;
events {
	worker_connections 64;
	debug_connection 127.0.0.2;
}
http {
	access_log off;
	sendfile on;
	keepalive_requests 1000;
	client_max_body_size 8m;
	client_body_temp_path temp;
	proxy_temp_path temp;
	fastcgi_temp_path temp;
	uwsgi_temp_path temp;
	scgi_temp_path temp;
	server {
		listen 127.0.0.1:$port ssl;
		ssl_certificate $dir/server.crt;
		ssl_certificate_key $dir/server.key;
		ssl_protocols TLSv1.2 TLSv1.3;
		ssl_conf_command Options KTLS;
		root $dir/www;
		dav_methods PUT;
	}
}
END
	# As root, nginx wants an account for its workers.
	timeout -s KILL $((limit * 4)) unshare -U nginx -p "$dir" \
		-c nginx.conf -e error.log >web.err 2>&1 &
	web=$!
	wait_for $web listening || fail "nginx does not listen"
}

stop_web() {
	[ -n "$web" ] || return
	kill $web 2>/dev/null
	wait $web
	web=''
}

fetch() {
	curl -sS --fail --max-time $((limit * 3)) --cacert ca.crt "$@" 2>>web.err
}

# get VERSION NAME: all files twice, over one connection.
get() {
	fetch --tlsv$1 --tls-max $1 -K urls -w '%{stderr}%{num_connects}\n' \
		>$2.got 2>$2.made || fail "curl fails" || return
	cmp www/twice $2.got >>diagnostics 2>&1 ||
		fail "not what is in the files" || return
	rm $2.got
}

test_web_keep_alive() {
	start_web && get $1 web && expect TlsTxSw 1 TlsDecryptError 0
}

test_web_parallel() {
	local i pids='' wrong=0

	start_web || return
	for i in 1 2 3 4; do
		get $1 web$i &
		pids="$pids $!"
	done
	for i in $pids; do
		wait $i || wrong=1
	done
	[ $wrong = 0 ] && expect TlsTxSw 4 TlsDecryptError 0
}

# What goes through the kernel is handed over by sendfile: nginx says so.
test_web_sendfile() {
	start_web || return
	fetch --interface 127.0.0.2 -o web.got https://127.0.0.1:$port/16385 &&
		cmp www/16385 web.got >>diagnostics 2>&1 ||
		fail "not what is in the file" || return
	expect TlsTxSw 1 TlsDecryptError 0 || return
	count_lines error.log 'SSL_sendfile: 16385'
	[ $count != 0 ] || fail "nginx does not send the file with sendfile"
}

test_web_large() {
	start_web || return
	fetch https://127.0.0.1:$port/large |
		cmp www/large - >>diagnostics 2>&1 ||
		fail "not what is in the file" || return
	expect TlsTxSw 1 TlsDecryptError 0
}

test_web_upload() {
	rm -f www/put
	start_web || return
	fetch --tlsv$1 --tls-max $1 -T data https://127.0.0.1:$port/put ||
		fail "nginx does not take the file" || return
	cmp data www/put >>diagnostics 2>&1 || fail "another file" || return
	expect TlsRxSw 1 TlsDecryptError 0
}

# Last: nothing of all this is left in the kernel.
no_sockets() {
	local name value rest

	while read -r name value rest; do
		case $name in
		TlsCurr*) [ $value = 0 ] || return ;;
		esac
	done </proc/net/tls_stat
}

test_all_gone() {
	sleep $limit &
	helpers=$!
	wait_for $helpers no_sockets || fail "sockets are left" || return
	kill $helpers
}

#
# The list: a name and a command a line.
#

list() {
	local version versions cipher pair ciphers turn=0

	for pair in kernel:kernel kernel:openssl openssl:kernel \
		    kernel:gnutls gnutls:kernel; do
		set -- ${pair%:*} ${pair#*:}
		ciphers='aes128gcm aes256gcm chacha20 aes128ccm'
		versions='1.2 1.3'
		if [ "$PEERS" = short ]; then
			ciphers=$(echo $ciphers |
				cut -d' ' -f $((turn % 4 + 1)))
			versions=1.$((2 + turn % 2))
			turn=$((turn + 1))
		fi
		for version in $versions; do
			for cipher in $ciphers; do
				echo "$1_to_$2_tls${version}_$cipher" \
					test_messages $1 $2 $version $cipher \
					"'1 100 16384 16385 40000'"
			done
		done
		# GnuTLS does not do more than this.
		case $pair,$PEERS in
		*gnutls*|*openssl*,short) continue ;;
		esac
		cat <<END
key_update_by_server_$1_to_$2 test_key_update $1 $2 server aes128gcm
key_update_by_client_$1_to_$2 test_key_update $1 $2 client chacha20
key_updates_in_stream_$1_to_$2 test_key_update_in_stream $1 $2
certificate_asked_for_later_$1_to_$2 test_late_client_certificate $1 $2
END
	done
	for version in $versions; do
		cat <<END
both_ways_at_once_tls$version test_both_ways kernel kernel $version aes128gcm data
both_ways_at_once_with_gnutls_tls$version test_both_ways kernel gnutls $version aes256gcm small
long_message_to_gnutls_tls$version test_messages gnutls kernel $version aes256gcm 190000
small_records_to_server_tls$version test_records kernel openssl $version aes128gcm '-max_send_frag 512'
small_records_to_client_tls$version test_records openssl kernel $version aes128gcm '-max_send_frag 512'
client_certificate_tls$version test_client_certificate kernel kernel $version aes128gcm
client_certificate_from_gnutls_tls$version test_client_certificate kernel gnutls $version aes256gcm
client_certificate_to_gnutls_tls$version test_client_certificate gnutls kernel $version aes128gcm
nginx_keep_alive_tls$version test_web_keep_alive $version
nginx_parallel_tls$version test_web_parallel $version
nginx_upload_tls$version test_web_upload $version
END
	done
	cat <<END
padded_records_to_server test_records kernel openssl 1.3 aes256gcm '-record_padding 1000'
padded_records_to_client test_records openssl kernel 1.3 aes256gcm '-record_padding 1000'
key_update_by_gnutls test_key_update_by_gnutls
client_without_certificate_is_refused test_no_client_certificate kernel kernel
nginx_uses_sendfile test_web_sendfile
nginx_large_file test_web_large
all_sockets_are_gone test_all_gone
END
}

# What is sent as messages is digits: no letter of it is a command.
if [ "$PEERS" = short ]; then
	data=500000 large=10
else
	data=3000000 large=100
fi
certificates 2>openssl.err || {
	cat openssl.err
	exit 1
}
mkdir www temp
mkfifo server.in server.out client.in client.out
head -c 5000011 /dev/urandom >random
head -c $data random >data
head -c 200000 random >small
LC_ALL=C tr -dc 0-9 <random >digits
for size in 1 16383 16384 16385 1048576; do
	tail -c $size random >www/$size
	echo "url = https://127.0.0.1:$port/$size"
	cat www/$size >>once
done >urls.once
cat urls.once urls.once >urls
cat once once >www/twice
for size in $(seq $((large / 5 + 1))); do
	cat random
done 2>/dev/null | head -c $((large << 20)) >www/large
port_hex=$(printf %04X $port)

number=0 failed=0
list | grep -e "^[^ ]*${1:-}" >list
echo "1..$(wc -l <list)"
while read -r line <&9; do
	eval "run $line"
done 9<list
exit $failed
