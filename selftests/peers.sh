#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# peers.sh: real TLS libraries against each other, with kernel TLS on one side
# or on both: OpenSSL, GnuTLS, nginx, curl. TAP on standard output.
#
# PEERS=short runs fewer combinations with less data, each kind still there:
# for slow kernels.
#
# GnuTLS is only ever the peer in user space, so a connection has OpenSSL or
# nginx on at least one side: Debian builds GnuTLS without its kernel TLS code
# (the library never calls setsockopt() with TCP_ULP, whatever "ktls" in its
# system-wide configuration says).

port=4433
# Seconds that any single step may take.
limit=60

skip() {
	echo "1..0 # SKIP $*"
	exit 4
}

for tool in openssl gnutls-cli gnutls-serv nginx curl ip ss timeout unshare \
	    mkfifo mktemp stat cmp tail; do
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
server='' client='' web=''
trap '' PIPE
trap 'exit 1' INT TERM
trap 'kill -9 $server $client $web 2>/dev/null; cd /; rm -rf "$dir"' EXIT

#
# Waiting, counting, telling
#

fail() {
	echo "$*" >>diagnostics
	return 1
}

# wait_for COMMAND...: until it succeeds. When a step once took too long, the
# ones after it are not given as much.
wait_for() {
	local now end rest

	read -r now rest </proc/uptime
	end=$((${now%.*} + limit))
	until "$@" >/dev/null 2>&1; do
		read -r now rest </proc/uptime
		if [ ${now%.*} -ge $end ]; then
			limit=10
			return 1
		fi
		sleep 0.05
	done
}

listening() {
	ss -tlnH "sport = :$port" | grep -q .
}

gone() {
	! kill -0 "$1"
}

# Bytes of payload in FILE: all of it, or what is not ASCII where a peer prints
# text of its own to the same place.
payload() {
	if [ "$commands" = yes ]; then
		LC_ALL=C tr -dc '\200-\377' <"$1"
	else
		cat "$1"
	fi
}

arrived() {
	[ "$(payload "$1" | wc -c)" -ge "$2" ] || gone $server || gone $client
}

counter() {
	sed -n "s/^$1[ \t]*//p" "${2:-/proc/net/tls_stat}"
}

moved() {
	echo $(($(counter "$1") - $(counter "$1" before)))
}

# expect NAME BY...: these counters moved by so much since the test began.
expect() {
	while [ $# -gt 0 ]; do
		[ "$(moved "$1")" = "$2" ] ||
			fail "$1 moved by $(moved "$1"), not by $2" || return
		shift 2
	done
}

# run NAME COMMAND...: one test.
run() {
	local name=$1

	shift
	number=$((number + 1))
	rm -f diagnostics ./*.err ./*.out ./*.log
	: >server.out
	: >client.out
	: >sent
	cat /proc/net/tls_stat >before
	commands=no client_args='' server_args=''
	if "$@"; then
		echo "ok $number $name"
	else
		echo "not ok $number $name"
		failed=1
		sed 's/^/# /' diagnostics
		tail -n 4 ./*.err ./*.log 2>/dev/null | cut -c 1-120 |
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

# The server's standard input is descriptor 3, the client's is 4. Both print
# what they receive, GnuTLS's server sends it back instead. Control letters
# are commands to OpenSSL only where a test says -commands.
start_server() {
	local quiet=-quiet

	rm -f server.in
	mkfifo server.in
	case $1 in
	openssl|kernel)
		[ "$1" = openssl ] || server_args="$server_args -ktls"
		[ "$commands" != yes ] || quiet=''
		openssl s_server -accept 127.0.0.1:$port -cert server.crt \
			-key server.key -CAfile ca.crt $openssl_suite $quiet \
			$server_args <server.in >>server.out 2>server.err 4>&- &
		;;
	gnutls)
		gnutls-serv -p $port --echo --crlf --nodb \
			--x509certfile server.crt --x509keyfile server.key \
			--x509cafile ca.crt --priority "$priority" \
			$server_args <server.in >server.log 2>server.err 4>&- &
		;;
	esac
	server=$!
	exec 3>server.in
	wait_for eval 'listening || gone $server'
	listening || fail "the server does not listen"
}

start_client() {
	local quiet='-quiet -nocommands -no_ign_eof'

	rm -f client.in
	mkfifo client.in
	case $1 in
	openssl|kernel)
		[ "$1" = openssl ] || client_args="$client_args -ktls"
		[ "$commands" != yes ] || quiet='-quiet -no_ign_eof'
		openssl s_client -connect 127.0.0.1:$port -CAfile ca.crt \
			-verify_return_error -verify_hostname localhost \
			$openssl_suite $quiet $client_args \
			<client.in >>client.out 2>client.err 3>&- &
		;;
	gnutls)
		gnutls-cli -p $port --x509cafile=ca.crt \
			--verify-hostname=localhost --priority="$priority" \
			--logfile=client.log $client_args 127.0.0.1 \
			<client.in >>client.out 2>client.err 3>&- &
		;;
	esac
	client=$!
	exec 4>client.in
}

# The end of its standard input is the end of the client.
stop_client() {
	[ -n "$client" ] || return
	exec 4>&-
	wait_for gone $client || kill -9 $client
	wait $client 2>/dev/null
	status=$?
	client=''
}

stop_server() {
	[ -n "$server" ] || return
	exec 3>&-
	kill $server
	wait_for gone $server || kill -9 $server
	wait $server 2>/dev/null
	server=''
}

#
# Messages
#

# messages SIZE...: each goes to the server and back before the next one. The
# last byte is a newline: GnuTLS's server answers lines.
messages() {
	local size total

	for size; do
		total=$(wc -c <sent)
		{
			head -c $((total + size - 1)) text | tail -c +$((total + 1))
			echo
		} >message
		cat message >>sent
		total=$(payload sent | wc -c)
		timeout $limit cat message >&4 ||
			fail "the client does not take $size bytes" || return
		if [ $echoes != yes ]; then
			wait_for arrived server.out $total ||
				fail "$size bytes do not arrive" || return
			timeout $limit cat message >&3 ||
				fail "the server does not take $size bytes" ||
				return
		fi
		wait_for arrived client.out $total ||
			fail "$size bytes do not come back" || return
	done
}

# FILE both ways at once.
both_ways() {
	local to_server to_client

	cat "$1" >sent
	timeout $limit cat sent >&4 &
	to_server=$!
	timeout $limit cat sent >&3 &
	to_client=$!
	wait $to_server || fail "the client does not take all" || return
	wait $to_client || fail "the server does not take all" || return
	wait_for arrived server.out $(wc -c <sent)
	wait_for arrived client.out $(wc -c <sent)
	return 0
}

# Did all that was sent arrive, and nothing else?
compare() {
	local file

	payload sent >wanted
	for file; do
		payload $file >got
		cmp wanted got >>diagnostics 2>&1 ||
			fail "$file: $(wc -c <got) bytes of $(wc -c <wanted)," \
			     "or other ones" || return
	done
}

# The kernel shows as many sockets of this version as there are sides that
# use it, and counted as many keys.
through_kernel() {
	local shown

	shown=$(ss -tieHn "( sport = :$port or dport = :$port )" 2>/dev/null |
		grep -c "tcp-ulp-tls version: $version .*rxconf: sw txconf: sw")
	[ "$shown" = $sides ] ||
		fail "$shown sockets with kernel TLS $version, not $sides" ||
		return
	expect TlsTxSw $sides TlsRxSw $sides
}

connect() {
	sides=0 echoes=no
	[ $1 != kernel ] || sides=1
	[ $2 != kernel ] || sides=$((sides + 1))
	[ $1 != gnutls ] || echoes=yes
	start_server $1 && start_client $2
}

disconnect() {
	through_kernel || return
	stop_client
	[ $status = 0 ] || fail "the client's exit status is $status" || return
	if [ $echoes = yes ]; then
		compare client.out
	else
		compare server.out client.out
	fi && expect TlsDecryptError 0
}

#
# Tests: their arguments are the server and the client, "kernel" is OpenSSL
# with kernel TLS; then version and cipher.
#

test_messages() {
	suite $3 $4
	connect $1 $2 && messages $5 && disconnect
}

test_both_ways() {
	suite $3 $4
	connect $1 $2 && both_ways $5 && disconnect
}

# The peer in user space sends records that kernel TLS never makes.
test_records() {
	suite $3 $4
	[ $1 = kernel ] || server_args=$5
	[ $2 = kernel ] || client_args=$5
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
	cat server.log server.err 2>/dev/null | grep -q 'CN=client' ||
		fail "the server has not seen the client's certificate"
}

# In TLS 1.3 the client is done before the server looks for its certificate:
# the refusal is an alert that comes through the kernel.
test_no_client_certificate() {
	suite 1.3 aes128gcm
	server_args='-Verify 1 -verify_return_error'
	connect $1 $2 || return
	wait_for gone $client || fail "the client is not refused" || return
	stop_client
	[ $status != 0 ] || fail "the client is content" || return
	grep -q 'alert certificate required' client.err ||
		fail "the client does not know why" || return
	[ "$(moved TlsTxSw)" -ge 1 ] || fail "no kernel TLS" || return
	expect TlsDecryptError 0
}

# A handshake in the midst of data: the server asks for a certificate.
test_late_client_certificate() {
	suite 1.3 aes256gcm
	commands=yes
	client_args='-enable_pha -cert client.crt -key client.key'
	connect $1 $2 && messages 1000 || return
	echo c >&3
	wait_for has_done server 0 || fail "the server does not ask" || return
	messages 1000 20000 || return
	wait_for grep -q 'CN=client' server.err ||
		fail "the server has not got a certificate" || return
	disconnect
}

# How often has the server or the client said that a command is done?
done_by() {
	if [ $1 = server ]; then
		grep -c 'SSL_do_handshake -> 1' server.out
	else
		grep -c KEYUPDATE client.err
	fi
}

has_done() {
	[ "$(done_by $1)" -gt $2 ]
}

# Tell the server or the client to send a key update, and wait until it is
# sent. K asks the peer for one, too; k does not.
key_update() {
	local before

	before=$(done_by $1)
	if [ $1 = server ]; then
		echo $2 >&3
	else
		echo $2 >&4
	fi
	wait_for has_done $1 $before || fail "the $1 sends no key update"
}

# One update without and one with a request for the peer's. So who begins uses
# two new keys to send, the peer one.
test_key_update() {
	local own=0 peer=0

	suite 1.3 $4
	commands=yes
	[ $1$3 = kernelserver ] || [ $2$3 = kernelclient ] && own=1
	[ $1$3 = kernelclient ] || [ $2$3 = kernelserver ] && peer=1
	connect $1 $2 && messages 1000 &&
	key_update $3 k && messages 1 20000 &&
	key_update $3 K && messages 1 20000 && messages 1000 || return
	expect TlsTxRekeyOk $((2 * own + peer)) \
		TlsRxRekeyOk $((own + 2 * peer)) \
		TlsRxRekeyReceived $((own + 2 * peer)) \
		TlsTxRekeyError 0 TlsRxRekeyError 0 || return
	disconnect
}

# The client asks for new keys while the server's data flow.
test_key_update_in_stream() {
	local i stream

	suite 1.3 aes128gcm
	commands=yes
	connect $1 $2 && messages 1000 || return
	cp sent to_server
	LC_ALL=C tr -dc '\200-\377' <data >message
	cat message >>sent
	timeout $limit cat message >&3 &
	stream=$!
	for i in 1 2 3 4 5; do
		key_update client K || return
	done
	wait $stream || fail "the server does not take all" || return
	wait_for arrived client.out $(payload sent | wc -c)
	expect TlsTxRekeyError 0 TlsRxRekeyError 0 || return
	[ "$(moved TlsRxRekeyReceived)" = "$(moved TlsRxRekeyOk)" ] ||
		fail "$(moved TlsRxRekeyReceived) updates received," \
		     "$(moved TlsRxRekeyOk) done" || return
	[ "$(moved TlsTxRekeyOk)" -ge 1 ] && [ "$(moved TlsRxRekeyOk)" -ge 1 ] ||
		fail "no update" || return
	through_kernel || return
	stop_client
	[ $status = 0 ] || fail "the client's exit status is $status" || return
	compare client.out || return
	cp to_server sent
	compare server.out && expect TlsDecryptError 0
}

# GnuTLS's client updates its keys; rekey asks for the server's, rekey1 not.
test_key_update_by_gnutls() {
	local own=0

	suite 1.3 aes256gcm
	client_args=--inline-commands
	connect kernel gnutls && messages 1000 &&
	echo '^rekey1^' >&4 && wait_for rekeyed Rx 1 && messages 1 20000 &&
	echo '^rekey^' >&4 && wait_for rekeyed Rx 2 && messages 1 20000 ||
		fail "no key update" || return
	expect TlsTxRekeyOk 1 TlsRxRekeyOk 2 TlsRxRekeyReceived 2 \
		TlsTxRekeyError 0 TlsRxRekeyError 0 || return
	disconnect
}

rekeyed() {
	[ "$(moved "Tls$1RekeyOk")" -ge "$2" ]
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
	unshare -U nginx -p "$dir" -c nginx.conf -e error.log >web.log 2>&1 &
	web=$!
	wait_for eval 'listening || gone $web'
	listening || fail "nginx does not listen"
}

stop_web() {
	[ -n "$web" ] || return
	kill $web
	wait_for gone $web || kill -9 $web
	wait $web 2>/dev/null
	web=''
}

# get VERSION FILE...: over one connection, which is used again.
get() {
	local name file version=$1 i=0 made

	shift
	name=$(mktemp -d got.XXXXXX)
	for file; do
		i=$((i + 1))
		echo "url = https://127.0.0.1:$port/$file"
		echo "output = $name/$i"
	done >$name/urls
	made=$(curl -sS --fail --max-time $limit --cacert ca.crt \
		--tlsv$version --tls-max $version -w '%{num_connects}\n' \
		-K $name/urls 2>>curl.err |
		awk '{ sum += $1 } END { print sum }')
	[ "$made" = 1 ] || fail "$made connections for $# files" || return
	i=0
	for file; do
		i=$((i + 1))
		cmp www/$file $name/$i 2>>diagnostics ||
			fail "$file is not what came" || return
	done
	rm -rf $name
}

web_files='1 16383 16384 16385 1048576'

test_web_keep_alive() {
	start_web && get $1 $web_files 1 $web_files &&
		expect TlsTxSw 1 TlsDecryptError 0
}

test_web_parallel() {
	local i pid pids='' wrong=0

	start_web || return
	for i in 1 2 3 4; do
		get $1 $web_files &
		pids="$pids $!"
	done
	for pid in $pids; do
		wait $pid || wrong=1
	done
	[ $wrong = 0 ] && expect TlsTxSw 4 TlsDecryptError 0
}

# What goes through the kernel is handed over by sendfile: nginx says so.
test_web_sendfile() {
	start_web || return
	timeout $limit curl -sS --interface 127.0.0.2 --cacert ca.crt -o got \
		https://127.0.0.1:$port/16385 2>curl.err &&
		cmp www/16385 got || fail "not what is in the file" || return
	expect TlsTxSw 1 TlsDecryptError 0 || return
	grep -q 'SSL_sendfile: 16385' error.log ||
		fail "nginx does not send the file with sendfile"
}

test_web_large() {
	start_web || return
	timeout $((limit * 5)) curl -sS --cacert ca.crt \
		https://127.0.0.1:$port/large 2>curl.err |
		cmp www/large - >>diagnostics 2>&1 ||
		fail "not what is in the file" || return
	expect TlsTxSw 1 TlsDecryptError 0
}

test_web_upload() {
	rm -f www/put
	start_web || return
	curl -sS --fail --max-time $limit --cacert ca.crt -T data \
		--tlsv$1 --tls-max $1 https://127.0.0.1:$port/put 2>curl.err ||
		fail "nginx does not take the file" || return
	cmp data www/put >>diagnostics 2>&1 || fail "another file" || return
	expect TlsRxSw 1 TlsDecryptError 0
}

# Last: nothing of all this is left in the kernel.
no_sockets() {
	[ "$(counter TlsCurrTxSw)$(counter TlsCurrRxSw)" = 00 ]
}

test_all_gone() {
	wait_for no_sockets || fail "$(counter TlsCurrTxSw) and" \
		"$(counter TlsCurrRxSw) sockets left" || return
	[ "$(counter TlsDecryptError)" = 0 ] || fail "decryption failed"
}

#
# The list: a name and a command a line.
#

ciphers='aes128gcm aes256gcm chacha20 aes128ccm'

list() {
	local version cipher pair names turn=0

	for pair in kernel:kernel kernel:openssl openssl:kernel \
		    kernel:gnutls gnutls:kernel; do
		set -- $(echo $pair | tr : ' ')
		for version in 1.2 1.3; do
			names=$ciphers
			if [ "$PEERS" = short ]; then
				# Each in both versions.
				names=$(echo $ciphers |
					cut -d' ' -f $((turn / 2 % 4 + 1)))
				turn=$((turn + 1))
			fi
			for cipher in $names; do
				echo "$1_to_$2_tls${version}_$cipher" \
					test_messages $1 $2 $version $cipher \
					"'1 100 16384 16385 40000'"
			done
		done
	done
	for version in 1.2 1.3; do
		cat <<END
both_ways_at_once_tls$version test_both_ways kernel kernel $version aes128gcm data
large_to_gnutls_tls$version test_both_ways kernel gnutls $version aes256gcm small
large_echo_from_gnutls_tls$version test_messages gnutls kernel $version aes256gcm 300000
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
	for pair in kernel:kernel kernel:openssl openssl:kernel; do
		set -- $(echo $pair | tr : ' ')
		cat <<END
key_update_by_server_$1_to_$2 test_key_update $1 $2 server aes128gcm
key_update_by_client_$1_to_$2 test_key_update $1 $2 client chacha20
key_updates_in_stream_$1_to_$2 test_key_update_in_stream $1 $2
END
	done
	cat <<END
padded_records_to_server test_records kernel openssl 1.3 aes256gcm '-record_padding 1000'
padded_records_to_client test_records openssl kernel 1.3 aes256gcm '-record_padding 1000'
key_update_by_gnutls test_key_update_by_gnutls
client_without_certificate_is_refused test_no_client_certificate kernel kernel
certificate_asked_for_later_kernel_to_kernel test_late_client_certificate kernel kernel
certificate_asked_for_later_kernel_to_openssl test_late_client_certificate kernel openssl
certificate_asked_for_later_openssl_to_kernel test_late_client_certificate openssl kernel
nginx_uses_sendfile test_web_sendfile
nginx_large_file test_web_large
all_sockets_are_gone test_all_gone
END
}

# What is sent: text is not ASCII, so that it is told from what a peer prints,
# and no letter of it is a command.
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
head -c 5000011 /dev/urandom >random
head -c $data random >data
head -c 200000 random >small
LC_ALL=C tr -dc '\200-\377' <random | head -c 400000 >text
for size in $web_files; do
	tail -c $size random >www/$size
done
for i in $(seq $((large / 5 + 1))); do
	cat random
done 2>/dev/null | head -c $((large << 20)) >www/large

number=0 failed=0
list >list
echo "1..$(wc -l <list)"
while read -r line <&9; do
	eval "run $line"
done 9<list
exit $failed
