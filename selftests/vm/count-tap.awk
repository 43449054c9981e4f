#!/usr/bin/awk -f
# SPDX-License-Identifier: GPL-2.0-only
#
# Add up TAP as kselftest's runner prints it: `# ok' are results within a test
# program, `ok' the program itself, which counts only when it printed none, or
# when it failed though they did not. Fewer results than planned are a failure.
# Prints: passed failed skipped.

function finish(program_failed) {
	if (planned > results || (program_failed && !bad))
		failed++
	else if (!results)
		return 1
	return 0
}

function reset() { planned = results = bad = 0 }

function count(line) {
	if (line ~ /^not ok/) {
		if (line ~ /# *(TODO|XFAIL)/)
			passed++
		else {
			failed++
			bad++
		}
	} else if (line ~ /# *SKIP/)
		skipped++
	else
		passed++
}

/^# selftests: / { reset() }
/^# 1\.\.[0-9]+/ { planned = substr($2, 4) + 0 }
/^# (not )?ok / { results++; count(substr($0, 3)) }
/^ok - / { count($0) }
/^not ok - / { count($0) }
/^ok [0-9]/ { if (finish(0)) count($0); reset() }
/^not ok [0-9]/ { finish(1); reset() }
END { print passed + 0, failed + 0, skipped + 0 }
