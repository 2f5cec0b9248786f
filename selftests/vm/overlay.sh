#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# overlay.sh DIR: put every file where the unpacked kernel DIR keeps it, in
# place of its own net/tls. Can be run again.

. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

to=${1:-}
[ -e "$to/net/tls/Kconfig" ] ||
	die "LINUX=$to is no kernel source: it has no net/tls/Kconfig"
cd "$TOP"
rsync -a --delete --exclude=/GNUmakefile --include='/*.c' --include='/*.h' \
	--include=/Makefile --include=/Kconfig --include='/tests/***' \
	--exclude='*.o' --exclude='.*.cmd' --exclude='*' ./ "$to/net/tls/"
install -m 644 include/net/tls.h "$to/include/net/tls.h"
install -m 644 include/uapi/linux/tls.h "$to/include/uapi/linux/tls.h"
rsync -a --delete --exclude=/vm --exclude=/demo.sh selftests/ \
	"$to/tools/testing/selftests/net/tls/"
rsync -a Documentation/ "$to/Documentation/networking/"
say "net/tls of $to is ours now"
