#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# demo.sh FILE SHA256: in the guest, serve FILE with OpenSSL over kernel TLS to
# OpenSSL over kernel TLS, for each version and cipher, and say how it went.
# Fails when a transfer did not go through the module in both directions, or
# what arrived differs.

file=$1
want=$2
port=4433
failed=0
cd "$(mktemp -d)" || exit 1

counter() {
	sed -n "s/^$1[ \t]*//p" /proc/net/tls_stat
}

# Which mode does socket diag show for the sockets of this filter?
mode() {
	ss -tieHn "$@" 2>/dev/null | sed -n "s/.*tcp-ulp-tls.*rxconf: \([a-z]*\).*txconf: \([a-z]*\).*/\2\/\1/p" |
		head -n 1
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
	-subj /CN=localhost -keyout key -out cert 2>/dev/null || exit 1
size=$(stat -c %s "$file") || exit 1
dir=$(dirname "$file")
name=$(basename "$file")

printf '%-4s %-24s %11s %7s %-13s %-13s %-22s %s\n' TLS cipher bytes seconds \
	'server TX/RX' 'client TX/RX' 'TlsTxSw TlsRxSw errors' SHA-256

while read -r version cipher name13; do
	tx=$(counter TlsTxSw) rx=$(counter TlsRxSw) bad=$(counter TlsDecryptError)
	if [ "$version" = 1.2 ]; then
		args="-tls1_2 -cipher $cipher"
	else
		args="-tls1_3 -ciphersuites $name13"
		cipher=$name13
	fi
	(cd "$dir" && exec openssl s_server -accept $port -cert "$OLDPWD/cert" \
		-key "$OLDPWD/key" $args -ktls -sendfile -WWW -naccept 1 \
		>"$OLDPWD/server" 2>&1) &
	server=$!
	until ss -tlnH "sport = :$port" | grep -q .; do
		kill -0 $server 2>/dev/null || break
		sleep 0.1
	done
	start=$(date +%s.%N)
	printf 'GET /%s HTTP/1.0\r\n\r\n' "$name" |
		openssl s_client -connect 127.0.0.1:$port $args -ktls -quiet \
		2>client | {
			while IFS= read -r line; do
				[ "$line" != "$(printf '\r')" ] || break
			done
			OPENSSL_ia32cap=0:0 openssl dgst -sha256 -r
		} >sum &
	client=$!
	for i in $(seq 100); do
		sleep 0.1
		server_mode=$(mode "sport = :$port")
		client_mode=$(mode "dport = :$port")
		# The two keys of a socket come one after the other.
		[ "$server_mode/$client_mode" != sw/sw/sw/sw ] || break
	done
	wait $client
	end=$(date +%s.%N)
	wait $server
	got=$(cut -d' ' -f 1 sum)
	tx=$(($(counter TlsTxSw) - tx)) rx=$(($(counter TlsRxSw) - rx))
	bad=$(($(counter TlsDecryptError) - bad))
	verdict=equal
	[ "$got" = "$want" ] || verdict=DIFFERENT
	[ "$server_mode" = sw/sw ] && [ "$client_mode" = sw/sw ] &&
		[ $tx = 2 ] && [ $rx = 2 ] && [ $bad = 0 ] ||
		verdict="$verdict, NOT THROUGH KERNEL TLS"
	grep -q "KTLS SENDFILE '$name' OK" server ||
		verdict="$verdict, NO SENDFILE"
	[ "$verdict" = equal ] || failed=1
	printf '%-4s %-24s %11s %7.1f %-13s %-13s %-22s %s\n' "$version" \
		"$cipher" "$size" "$(echo "$end $start" |
		awk '{ print $1 - $2 }')" "$server_mode" "$client_mode" \
		"+$tx +$rx +$bad" "$verdict"
	[ "$verdict" = equal ] || tail -n 5 server client
done <<END
1.2 ECDHE-ECDSA-AES128-GCM-SHA256 -
1.2 ECDHE-ECDSA-AES256-GCM-SHA384 -
1.2 ECDHE-ECDSA-CHACHA20-POLY1305 -
1.3 - TLS_AES_128_GCM_SHA256
1.3 - TLS_AES_256_GCM_SHA384
1.3 - TLS_CHACHA20_POLY1305_SHA256
END
exit $failed
