# SPDX-License-Identifier: GPL-2.0-only
# The picture of what cost-table says, from build/bench/cost.dat: what operations
# cost through offloadfs and overlayfs, as a multiple of the lower's own cost.
# gnuplot -e "kernel='RELEASE'" cost.gp

data = '/build/bench/cost.dat'
set terminal svg size 1000,440 dynamic enhanced font 'DejaVu Sans,Helvetica,Arial,sans-serif,12' background rgb 'white'
set output '/build/bench/cost.svg'
set title "Instructions per operation, as a multiple of the bare ext4's (Linux ".kernel.")" font ',15' offset 0,0.5
set style data histogram
set style histogram clustered gap 0.8
set style fill solid 1.0 noborder
set boxwidth 0.92 relative
set border 3 linecolor rgb '#808080'
set tics nomirror scale 0.5 textcolor rgb '#202020'
set xtics rotate by -35 left offset -1.0,-0.2 scale 0
set yrange [0:*]
set offsets graph 0, 0, 0.1, 0
set ytics 0.5 format '%.1f'
set grid ytics linewidth 1 linecolor rgb '#d8d8d8'
set key top left Left reverse samplen 2 width 1
set lmargin 8
set rmargin 4
set bmargin 6
# Two bars and a gap of 0.8 bars; the bound is as wide as the bars.
bar = 1 / 2.8
plot data using 2:xtic(1) linecolor rgb '#1b6ca8' title 'offloadfs', \
	data using 3 linecolor rgb '#f0a63c' title 'overlayfs', \
	1 with lines linewidth 1.5 linecolor rgb '#404040' title 'the bare file system', \
	data using ($0 - bar):4:(2 * bar):(0) with vectors nohead linewidth 2.5 \
		linecolor rgb '#c8281e' title 'bound of offloadfs', \
	data using ($0 - bar / 2):(0.06):(sprintf('%.2f', $2)) with labels left rotate \
		font ',11' textcolor rgb '#ffffff' notitle, \
	data using ($0 + bar / 2):(0.06):(sprintf('%.2f', $3)) with labels left rotate \
		font ',11' textcolor rgb '#402a00' notitle
