# SPDX-License-Identifier: GPL-2.0
# Cost of a call against record size; points, unit and output come from -e.
set terminal svg size 1000,450 dynamic enhanced background rgb 'white'
set output output
set datafile missing '-'
set multiplot layout 1,2 title 'TLS 1.3, AES-128-GCM, over loopback'
set logscale xy
set xlabel 'bytes a call'
set ylabel unit.' a call'
set xtics ('1' 1, '64' 64, '512' 512, '4 K' 4096, '16 K' 16384, \
	'64 K' 65536, '256 K' 262144)
set grid
set key left top
do for [i = 0:1] {
	set title word('send recv', i + 1)
	plot points index i using 1:2 with linespoints title 'plain TCP', \
	     '' index i using 1:3 with linespoints title 'TCP + bare AEAD', \
	     '' index i using 1:4 with linespoints title 'stock', \
	     '' index i using 1:5 with linespoints title 'ours'
}
unset multiplot
