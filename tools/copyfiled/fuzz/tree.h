/* SPDX-License-Identifier: GPL-2.0-only */
/* What the fuzz target serves, and the corpus asks for. */
#define FUZZ_BOOT	"fuzzboot"	/* the boot verifier */
#define FUZZ_NONCE	"0123456789abcdef"
#define FUZZ_CLIENT	0x1122334455667788ULL
#define FUZZ_MTIME	1000000000
#define FUZZ_UID	1000
#define FUZZ_SRC_SIZE	65536		/* its middle half is a hole */
#define FUZZ_DST_SIZE	4096
#define FUZZ_PROBE	COPYFILE_PROBE_PREFIX "1"
