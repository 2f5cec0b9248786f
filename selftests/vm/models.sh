#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# models.sh: spin looks at every order of events in the protocols that go
# without a lock (selftests/model). Each must hold, and must not hold without
# what its -D option leaves out.

. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

work=$BUILD/model
mkdir -p "$work"
cd "$work"

holds() {
	rm -f pan trail
	{
		spin $2 -a "$TOP/selftests/model/$1" &&
		"${CC:-gcc}" -O1 -w -DSAFETY -o pan pan.c
	} >log 2>&1 || die "spin does not take $1 $2: see $work/log"
	./pan >>log 2>&1
	grep -q 'errors: 0$' log
}

for model in "$TOP"/selftests/model/*.pml; do
	name=${model##*/}
	holds "$name" '' ||
		die "$name: spin found an order of events in which it does" \
		    "not hold; in $work: ./pan -r"
	for without in $(grep -o '^ \* -D[A-Z_]*\|\. -D[A-Z_]*' "$model" |
			 grep -o -- '-D.*'); do
		! holds "$name" "$without" ||
			die "$name holds with $without too: it proves nothing"
	done
	say "$name holds"
done
