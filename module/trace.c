// SPDX-License-Identifier: GPL-2.0-only
/* offloadfs - the one place where the tracepoints are defined. */
#include "offloadfs.h"
#define CREATE_TRACE_POINTS
#include "trace.h"
