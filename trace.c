// SPDX-License-Identifier: GPL-2.0
/* The module's tracepoints are made here. */

#ifndef __CHECKER__
#include <linux/module.h>

#define CREATE_TRACE_POINTS
#include "trace.h"
#endif
