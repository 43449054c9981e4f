// SPDX-License-Identifier: GPL-2.0-only
/*
 * xcopy - make one copying system call and print all that it did.
 *
 * usage: xcopy [OPTION...] sendfile|cfr|clone|clonerange|dedupe SRC DST
 *
 *   -i POS  file position of SRC before the call      (default 0)
 *   -o POS  file position of DST before the call      (default 0)
 *   -I OFF  pass a pointer to this source offset
 *   -O OFF  pass a pointer to this destination offset (cfr)
 *   -n LEN  length (default: from the source position to its end)
 *   -l      repeat until LEN is copied, or the call returns 0 or fails
 *   -t      truncate DST when opening it
 *   -a      open DST with O_APPEND
 *   -d      open SRC with O_DIRECT
 *   -u      unlink DST after opening it
 *   -F LIM  set RLIMIT_FSIZE, ignore SIGXFSZ
 *   -f      fsync DST at the end
 *   -w      watch DST through a second descriptor and a shared mapping, both
 *           used before the call, and say whether they show the copy
 *
 * Numbers take the suffixes K, M, G. Prints one line:
 *   ret=TOTAL errno=NAME calls=N in=POS out=POS off_in=OFF off_out=OFF us=TIME ...
 * and exits with 0, or 1 if a call failed before it had copied anything.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct job {
	const char *call, *src, *dst;
	int in, out;
	off_t pos_in, pos_out;
	off_t off_in, off_out;
	bool has_off_in, has_off_out, has_len;
	size_t len;
	bool loop, unlink, sync, watch;
	int in_flags, out_flags;
};

/* What a second user of the destination holds while it is being copied to. */
struct watcher {
	int fd;
	size_t size;
	char *map;
};

static off_t number(const char *arg)
{
	char *end;
	off_t n = strtoll(arg, &end, 0);

	if (*end == 'K')
		n <<= 10;
	else if (*end == 'M')
		n <<= 20;
	else if (*end == 'G')
		n <<= 30;
	else if (*end)
		errx(2, "%s is no size", arg);
	return n;
}

static long long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void limit_file_size(const char *arg)
{
	struct rlimit lim = { .rlim_cur = number(arg) };

	lim.rlim_max = lim.rlim_cur;
	signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &lim))
		err(2, "setrlimit");
}

static void bad_usage(void)
{
	errx(2, "usage: xcopy [-iIoOnF N] [-ltadufw] CALL SRC DST");
}

static void parse(struct job *job, int argc, char **argv)
{
	int opt;

	job->out_flags = O_RDWR | O_CREAT;
	while ((opt = getopt(argc, argv, "i:o:I:O:n:ltaduF:fw")) != -1) {
		switch (opt) {
		case 'i':
			job->pos_in = number(optarg);
			break;
		case 'o':
			job->pos_out = number(optarg);
			break;
		case 'I':
			job->off_in = number(optarg);
			job->has_off_in = true;
			break;
		case 'O':
			job->off_out = number(optarg);
			job->has_off_out = true;
			break;
		case 'n':
			job->len = number(optarg);
			job->has_len = true;
			break;
		case 'l':
			job->loop = true;
			break;
		case 't':
			job->out_flags |= O_TRUNC;
			break;
		case 'a':
			job->out_flags |= O_APPEND;
			break;
		case 'd':
			job->in_flags |= O_DIRECT;
			break;
		case 'u':
			job->unlink = true;
			break;
		case 'F':
			limit_file_size(optarg);
			break;
		case 'f':
			job->sync = true;
			break;
		case 'w':
			job->watch = true;
			break;
		default:
			bad_usage();
		}
	}
	if (argc - optind != 3)
		bad_usage();
	job->call = argv[optind];
	job->src = argv[optind + 1];
	job->dst = argv[optind + 2];
}

static void open_files(struct job *job)
{
	struct stat st;

	job->in = open(job->src, O_RDONLY | job->in_flags);
	if (job->in < 0)
		err(2, "%s", job->src);
	job->out = open(job->dst, job->out_flags, 0644);
	if (job->out < 0)
		err(2, "%s", job->dst);
	if (job->unlink && unlink(job->dst))
		err(2, "unlink %s", job->dst);
	if (fstat(job->in, &st))
		err(2, "fstat");
	if (lseek(job->in, job->pos_in, SEEK_SET) < 0 ||
	    lseek(job->out, job->pos_out, SEEK_SET) < 0)
		err(2, "lseek");
	if (!job->has_len)
		job->len = st.st_size - (job->has_off_in ? job->off_in : job->pos_in);
}

static ssize_t clone_range(struct job *job)
{
	struct file_clone_range range = {
		.src_fd = job->in,
		.src_offset = job->has_off_in ? job->off_in : job->pos_in,
		.src_length = job->len,
		.dest_offset = job->has_off_out ? job->off_out : job->pos_out,
	};

	return ioctl(job->out, FICLONERANGE, &range) ? -1 : (ssize_t)job->len;
}

static ssize_t dedupe(struct job *job)
{
	char buf[sizeof(struct file_dedupe_range) +
		 sizeof(struct file_dedupe_range_info)] = { 0 };
	struct file_dedupe_range *range = (void *)buf;

	range->src_offset = job->has_off_in ? job->off_in : job->pos_in;
	range->src_length = job->len;
	range->dest_count = 1;
	range->info[0].dest_fd = job->out;
	range->info[0].dest_offset = job->has_off_out ? job->off_out : job->pos_out;
	if (ioctl(job->in, FIDEDUPERANGE, range))
		return -1;
	if (range->info[0].status < 0)
		errno = -range->info[0].status;
	else if (range->info[0].status == FILE_DEDUPE_RANGE_DIFFERS)
		errno = EBADE;
	else
		return range->info[0].bytes_deduped;
	return -1;
}

static ssize_t one_call(struct job *job)
{
	off_t *off_in = job->has_off_in ? &job->off_in : NULL;
	off_t *off_out = job->has_off_out ? &job->off_out : NULL;

	if (!strcmp(job->call, "sendfile"))
		return sendfile(job->out, job->in, off_in, job->len);
	if (!strcmp(job->call, "cfr"))
		return copy_file_range(job->in, off_in, job->out, off_out,
				       job->len, 0);
	if (!strcmp(job->call, "clone"))
		return ioctl(job->out, FICLONE, job->in) ? -1 : (ssize_t)job->len;
	if (!strcmp(job->call, "clonerange"))
		return clone_range(job);
	if (!strcmp(job->call, "dedupe"))
		return dedupe(job);
	bad_usage();
	return -1;
}

/* Read and map the destination, so that there is something to go stale. */
static void watch(struct job *job, struct watcher *w)
{
	static char buf[65536];
	int devnull = open("/dev/null", O_WRONLY);
	size_t i;
	struct stat st;

	w->fd = open(job->dst, O_RDONLY);
	if (w->fd < 0 || fstat(w->fd, &st))
		err(2, "%s", job->dst);
	w->size = st.st_size;
	while (read(w->fd, buf, sizeof(buf)) > 0)
		;
	if (!w->size)
		return;
	w->map = mmap(NULL, w->size, PROT_READ, MAP_SHARED, w->fd, 0);
	if (w->map == MAP_FAILED)
		err(2, "mmap");
	for (i = 0; i < w->size; i += 4096)
		if (write(devnull, &w->map[i], 1) != 1)
			err(2, "mapping");
	close(devnull);
}

/* Does the watcher see the source's bytes in the first @len of a whole copy? */
static const char *watched(struct job *job, struct watcher *w, size_t len)
{
	char *want = malloc(len), *got = malloc(len);
	const char *verdict = "ok";
	struct stat st;

	if (pread(job->in, want, len, 0) != (ssize_t)len)
		errx(2, "cannot read the source back");
	if (fstat(w->fd, &st) || (size_t)st.st_size < len)
		verdict = "stale-size";
	else if (pread(w->fd, got, len, 0) != (ssize_t)len || memcmp(want, got, len))
		verdict = "stale-read";
	else if (w->map && memcmp(want, w->map, len < w->size ? len : w->size))
		verdict = "stale-map";
	free(want);
	free(got);
	return verdict;
}

int main(int argc, char **argv)
{
	struct watcher watcher = { .fd = -1 };
	struct job job = { .in = -1 };
	ssize_t total = 0, ret;
	int calls = 0, error;
	long long us;

	parse(&job, argc, argv);
	open_files(&job);
	if (job.watch)
		watch(&job, &watcher);
	us = now_us();
	do {
		errno = 0;
		ret = one_call(&job);
		error = errno;
		calls++;
		if (ret > 0) {
			total += ret;
			job.len -= ret;
		}
	} while (job.loop && ret > 0 && job.len);
	us = now_us() - us;
	if (job.sync && fsync(job.out))
		err(1, "fsync");

	printf("ret=%lld errno=%s calls=%d in=%lld out=%lld off_in=%lld off_out=%lld us=%lld",
	       (long long)(ret < 0 && !total ? -1 : total),
	       ret < 0 ? strerrorname_np(error) : "0", calls,
	       (long long)lseek(job.in, 0, SEEK_CUR),
	       (long long)lseek(job.out, 0, SEEK_CUR),
	       (long long)job.off_in, (long long)job.off_out, us);
	if (job.watch)
		printf(" watch=%s", watched(&job, &watcher, total));
	putchar('\n');
	return ret < 0 && !total;
}
