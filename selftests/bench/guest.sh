#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# guest.sh DIR quick|full RUNS: in the guest, measure plain TCP, the bare AEAD,
# then the stock module and ours in turn, RUNS times. One figure a line in
# DIR/data: column, run, row, version, cipher, size, value.

dir=$1
kind=$2
runs=$3
port=4433
bytes=33554432
stock=/kernel/net/tls/tls.ko
ours=/build/module/release/tls.ko

stop() {
	echo "$*" >&2
	exit 1
}

# column NAME RUN: put both in front of every figure.
column() {
	sed '/^#/d' | sed "s/^/$1\t$2\t/" >>"$dir/data"
}

# A pipe's status is that of its end, so what measures writes a file.
measure() {
	name=$1 run=$2
	shift 2
	"$@" >/tmp/figures || stop "$name: $* failed"
	column "$name" "$run" </tmp/figures
	echo "$name, run $run: $(wc -l </tmp/figures) figures"
}

counter() {
	sed -n "s/^$1[ \t]*//p" /proc/net/tls_stat 2>/dev/null
}

# Nanoseconds that the one processor was not idle: what waits for a timer does
# not count. In steps of 10 ms.
busy() {
	sed 's/\.//g; s/^0*//; s/ 0*/ /' /proc/uptime |
		(read -r up idle && echo $(((up - idle) * 10000000)))
}

# fetch FILE BYTES ARGS: what a client and its server cost to get a file.
fetch() {
	file=$1 want=$2
	shift 2
	start=$(busy)
	got=$(printf 'GET /%s HTTP/1.0\r\n\r\n' "$file" |
		openssl s_client -connect 127.0.0.1:$port "$@" -quiet \
		2>/tmp/client | wc -c)
	end=$(busy)
	[ "$got" -gt "$want" ] || stop "$file: $got bytes arrived of $want"
	echo $((end - start))
}

# transfer ROW VERSION CIPHER SERVER-ARGS CLIENT-ARGS: a MiB of a long
# transfer, without what start and handshake cost.
transfer() {
	row=$1 version=$2 cipher=$3 server_args=$4 client_args=$5
	case $version-$cipher in
	1.2-aes-128-gcm) args="-cipher ECDHE-ECDSA-AES128-GCM-SHA256" ;;
	1.2-aes-256-gcm) args="-cipher ECDHE-ECDSA-AES256-GCM-SHA384" ;;
	1.2-chacha*) args="-cipher ECDHE-ECDSA-CHACHA20-POLY1305" ;;
	1.3-aes-128-gcm) args="-ciphersuites TLS_AES_128_GCM_SHA256" ;;
	1.3-aes-256-gcm) args="-ciphersuites TLS_AES_256_GCM_SHA384" ;;
	1.3-chacha*) args="-ciphersuites TLS_CHACHA20_POLY1305_SHA256" ;;
	esac
	args="$args -tls1_${version#1.}"
	tx=$(counter TlsTxSw) rx=$(counter TlsRxSw)
	# shellcheck disable=SC2086
	(cd /tmp/www && exec openssl s_server -accept $port -cert ../cert \
		-key ../key $args $server_args -WWW -naccept 3 \
		>/tmp/server 2>&1) &
	server=$!
	until ss -tlnH "sport = :$port" | grep -q .; do
		kill -0 $server 2>/dev/null || stop "s_server did not start"
		sleep 0.1
	done
	# The first makes what both need warm.
	# shellcheck disable=SC2086
	fetch long $bytes $args $client_args >/dev/null &&
	short=$(fetch short 0 $args $client_args) &&
	long=$(fetch long $bytes $args $client_args) || exit 1
	wait $server
	if [ -n "$server_args" ]; then
		# A client and a server, three times.
		[ $(($(counter TlsTxSw) - tx)) = 6 ] &&
		[ $(($(counter TlsRxSw) - rx)) = 6 ] ||
			stop "$row $version $cipher: not through kernel TLS"
	fi
	printf '%s\t%s\t%s\t%s\t%s\n' "$row" "$version" "$cipher" $bytes \
		$(((long - short) / (bytes >> 20)))
}

transfers() {
	for version in 1.3 1.2; do
		for cipher in aes-128-gcm aes-256-gcm chacha20-poly1305; do
			[ "$kind" = full ] ||
			[ $version-$cipher = 1.3-aes-128-gcm ] || continue
			if [ "$1" = user ]; then
				transfer transfer $version $cipher '' '' || exit 1
				continue
			fi
			transfer transfer $version $cipher -ktls -ktls || exit 1
			transfer transfer-sendfile $version $cipher \
				'-ktls -sendfile' -ktls || exit 1
		done
	done
}

: >"$dir/data"
# What would change a connection in the middle of a row.
echo 0 >/proc/sys/net/ipv4/tcp_slow_start_after_idle
echo 1 >/proc/sys/net/ipv4/tcp_no_metrics_save
echo "clock: $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"

mkdir -p /tmp/www
head -c $bytes /dev/urandom >/tmp/www/long
: >/tmp/www/short
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
	-subj /CN=localhost -keyout /tmp/key -out /tmp/cert 2>/dev/null ||
	stop "no certificate"

insmod /build/module/bench/bench_aead.ko || stop "bench_aead.ko"
grep '^#' /sys/kernel/debug/bench_aead
for run in $(seq "$runs"); do
	measure aead "$run" cat /sys/kernel/debug/bench_aead
	measure tcp "$run" /build/bin/bench tcp "$kind"
	measure user "$run" transfers user
	for module in stock ours; do
		if [ $module = stock ]; then
			insmod $stock
		else
			insmod $ours
		fi || stop "$module: cannot be loaded"
		measure $module "$run" /build/bin/bench tls "$kind"
		measure $module "$run" transfers $module
		rmmod tls || stop "$module: does not go"
	done
done
