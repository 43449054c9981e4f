// SPDX-License-Identifier: GPL-2.0-only
/*
 * A server's part of the protocol, as simple as can be: no rights, no checks,
 * one export. Copies have ids and can be cancelled.
 */
#define _GNU_SOURCE
#include "copyfile_rpc.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#define COPIES 4096
#define STEP 65536

struct honest honest = {
	.boot = "honest00", .verifier = "written0", .max_count = 1ull << 40,
};

static struct copy {
	copyfile_id id;
	bool used, running, cancelled;
	copyfile_copy_res res;
} copies[COPIES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static copyfile_status status_of(int error)
{
	switch (error) {
	case 0: return COPYFILE_OK;
	case EPERM: return COPYFILE_PERM;
	case ENOENT: return COPYFILE_NOENT;
	case EACCES: return COPYFILE_ACCES;
	case ENOSPC: return COPYFILE_NOSPC;
	case EROFS: return COPYFILE_ROFS;
	case EDQUOT: return COPYFILE_DQUOT;
	default: return COPYFILE_IO;
	}
}

/* A file of the export, or -1 with errno. */
static int open_file(const copyfile_path *path, int flags)
{
	char name[8192];

	snprintf(name, sizeof(name), "%s/%.*s", honest.dir, (int)path->copyfile_path_len,
		 path->copyfile_path_val);
	return open(name, flags | O_CLOEXEC);
}

static void fill_time(copyfile_time *t, const struct timespec *ts)
{
	t->seconds = ts->tv_sec;
	t->nseconds = ts->tv_nsec;
}

static void do_hello(const copyfile_hello_args *a, copyfile_hello_res *res)
{
	copyfile_hello_ok *ok = &res->copyfile_hello_res_u.ok;

	if (strcmp(a->export, honest.export)) {
		res->status = COPYFILE_NOEXPORT;
		return;
	}
	memcpy(ok->boot, honest.boot, sizeof(ok->boot));
	ok->max_count = honest.max_count;
	ok->caps = COPYFILE_CAP_CLONE;
}

static void do_probe(const copyfile_probe_args *a, copyfile_probe_res *res)
{
	copyfile_probe_ok *ok = &res->copyfile_probe_res_u.ok;
	bool nonce = a->nonce.nonce_len;
	struct stat st;
	int fd;

	fd = open_file(&a->path, nonce ? O_WRONLY | O_APPEND : O_RDONLY);
	if (fd < 0) {
		res->status = status_of(errno);
		return;
	}
	if (nonce) {
		memcpy(ok->answer, "an honest answer", sizeof(ok->answer));
		if (!honest.mute && write(fd, ok->answer, sizeof(ok->answer)) < 0)
			res->status = status_of(errno);
		fsync(fd);
	}
	fstat(fd, &st);
	close(fd);
	ok->fileid = st.st_ino;
	fill_time(&ok->mtime, &st.st_mtim);
}

/* The copy of that name, or a new one. Called with the lock held. */
static struct copy *find_copy(const copyfile_id *id)
{
	struct copy *c;

	for (c = copies; c < copies + COPIES && c->used; c++) {
		if (c->id.client == id->client && c->id.serial == id->serial)
			return c;
	}
	if (c == copies + COPIES)
		errx(2, "too many copies");
	c->used = true;
	c->id = *id;
	c->res.status = -1;
	return c;
}

/* Returns how many bytes it copied; errno tells why it stopped, or is 0. */
static uint64_t copy_range(int src, int dst, const copyfile_copy_args *a, struct copy *c)
{
	char buf[STEP];
	uint64_t done = 0;
	ssize_t n;

	errno = 0;
	while (done < a->count && !__atomic_load_n(&c->cancelled, __ATOMIC_ACQUIRE)) {
		n = a->count - done < STEP ? a->count - done : STEP;
		n = pread(src, buf, n, a->src_offset + done);
		if (n > 0)
			n = pwrite(dst, buf, n, a->dst_offset + done);
		if (n <= 0)
			break;
		done += n;
		usleep(honest.step_us);
	}
	return done;
}

static void copy_result(int dst, copyfile_copy_res *res, uint64_t count)
{
	copyfile_copy_ok *ok = &res->copyfile_copy_res_u.ok;
	struct stat st;

	fstat(dst, &st);
	ok->count = count;
	ok->how = COPYFILE_READ_WRITE;
	memcpy(ok->verifier, honest.verifier, sizeof(ok->verifier));
	ok->fileid = st.st_ino;
	ok->size = st.st_size;
	fill_time(&ok->mtime, &st.st_mtim);
	fill_time(&ok->ctime, &st.st_ctim);
}

static void run_copy(const copyfile_copy_args *a, struct copy *c, copyfile_copy_res *res)
{
	int src = open_file(&a->src.path, O_RDONLY), dst = -1;
	uint64_t done = 0;

	if (src >= 0)
		dst = open_file(&a->dst.path, O_WRONLY);
	if (dst >= 0)
		done = copy_range(src, dst, a, c);
	res->status = c->cancelled ? COPYFILE_CANCELLED : status_of(errno ? errno : EIO);
	if (done) {
		res->status = COPYFILE_OK;
		if (a->flags & COPYFILE_STABLE)
			fsync(dst);
		copy_result(dst, res, done);
		res->copyfile_copy_res_u.ok.stable = !!(a->flags & COPYFILE_STABLE);
	}
	close(src);
	close(dst);
}

static void do_copy(const copyfile_copy_args *a, copyfile_copy_res *res)
{
	struct copy *c;

	pthread_mutex_lock(&lock);
	c = find_copy(&a->id);
	while (c->running)
		pthread_cond_wait(&changed, &lock);
	if (c->cancelled) {
		res->status = COPYFILE_CANCELLED;
	} else if ((int)c->res.status == -1) {
		c->running = true;
		pthread_mutex_unlock(&lock);
		run_copy(a, c, res);
		pthread_mutex_lock(&lock);
		c->running = false;
		c->res = *res;
		pthread_cond_broadcast(&changed);
	} else {
		*res = c->res;
	}
	pthread_mutex_unlock(&lock);
}

static void do_cancel(const copyfile_cancel_args *a, copyfile_cancel_res *res)
{
	copyfile_cancel_ok *ok = &res->copyfile_cancel_res_u.ok;
	struct copy *c;

	pthread_mutex_lock(&lock);
	c = find_copy(&a->id);
	ok->state = COPYFILE_NEVER_SEEN;
	if (c->running)
		ok->state = COPYFILE_STOPPED;
	else if (c->res.status != (copyfile_status)-1)
		ok->state = COPYFILE_FINISHED;
	__atomic_store_n(&c->cancelled, true, __ATOMIC_RELEASE);
	while (c->running)
		pthread_cond_wait(&changed, &lock);
	if (ok->state != COPYFILE_NEVER_SEEN && c->res.status == COPYFILE_OK)
		ok->count = c->res.copyfile_copy_res_u.ok.count;
	pthread_mutex_unlock(&lock);
}

static void do_commit(const copyfile_commit_args *a, copyfile_commit_res *res)
{
	int fd = open_file(&a->path, O_RDONLY);

	if (fd < 0 || (a->path.copyfile_path_len ? fsync(fd) : syncfs(fd)))
		res->status = status_of(errno);
	close(fd);
	memcpy(res->copyfile_commit_res_u.verifier, honest.verifier, sizeof(copyfile_verifier));
}

void do_honest(unsigned int proc, const union copyfile_any_args *args,
	       union copyfile_any_res *res)
{
	if (proc != COPYFILE_NULL && proc != COPYFILE_HELLO &&
	    memcmp(args->copy.boot, honest.boot, COPYFILE_VERIFIER_SIZE)) {
		res->status = COPYFILE_STALE_BOOT;
		return;
	}
	switch (proc) {
	case COPYFILE_HELLO:
		return do_hello(&args->hello, &res->hello);
	case COPYFILE_PROBE:
		return do_probe(&args->probe, &res->probe);
	case COPYFILE_COPY:
		return do_copy(&args->copy, &res->copy);
	case COPYFILE_CANCEL:
		return do_cancel(&args->cancel, &res->cancel);
	case COPYFILE_COMMIT:
		return do_commit(&args->commit, &res->commit);
	}
}
