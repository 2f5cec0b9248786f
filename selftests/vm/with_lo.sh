#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# with_lo.sh COMMAND...: in a new network namespace: loopback is up.

ip link set lo up
exec "$@"
