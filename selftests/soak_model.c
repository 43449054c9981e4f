// SPDX-License-Identifier: GPL-2.0-only
/*
 * soak_model - files of which every byte is known, whatever is done to them.
 *
 * Several threads write, copy, clone, truncate, rename, remove and map a few
 * files of DIR, an offloadfs mount of LOWER. Each file has a lock and a copy
 * in memory; an operation holds the locks of the files that it changes, so
 * that many run at once but each result is known. What a file contains is
 * compared byte for byte through the mount, in the lower and in a mapping.
 *
 * usage: soak_model [-t SECONDS] [-w WORKERS] [-s SEED] DIR LOWER
 */
#include "soak.h"

#define NR_FILES	12
#define MAX_SIZE	(96 * BLOCK)

struct model {
	pthread_mutex_t lock;
	char name[32];
	size_t size;
	unsigned int renames;
	unsigned char *data;	/* MAX_SIZE; zero beyond the size */
};

static struct model files[NR_FILES];
static const char *lower_dir;

static int open_in(struct worker *w, const char *dir, struct model *m,
		   int flags)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, m->name);
	fd = open(path, flags, 0644);
	if (fd < 0)
		broken(w, "open %s: %s", path, strerror(errno));
	return fd;
}

static int open_file(struct worker *w, struct model *m)
{
	return open_in(w, soak_dir, m, O_RDWR);
}

static struct model *lock_one(struct worker *w)
{
	struct model *m = &files[below(w, NR_FILES)];

	pthread_mutex_lock(&m->lock);
	return m;
}

/* Two different files, locked in the order of their addresses. */
static void lock_two(struct worker *w, struct model **a, struct model **b)
{
	size_t i = below(w, NR_FILES), j = below(w, NR_FILES - 1);

	j += j >= i;
	pthread_mutex_lock(&files[i < j ? i : j].lock);
	pthread_mutex_lock(&files[i < j ? j : i].lock);
	*a = &files[i];
	*b = &files[j];
}

static void unlock_two(struct model *a, struct model *b)
{
	pthread_mutex_unlock(&a->lock);
	pthread_mutex_unlock(&b->lock);
}

static void fill(struct worker *w, unsigned char *p, size_t len)
{
	unsigned long long seed = rnd(w);
	size_t i;

	for (i = 0; i < len; i++) {
		p[i] = seed >> 32;
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	}
}

static void set_size(struct model *m, size_t size)
{
	if (size < m->size)
		memset(m->data + size, 0, m->size - size);
	m->size = size;
}

/* A position and a length, within the most a file may have. */
static size_t some_range(struct worker *w, off_t *pos, size_t max_len)
{
	size_t len = 1 + below(w, max_len);

	*pos = below(w, MAX_SIZE - len + 1);
	return len;
}

static void compare(struct worker *w, struct model *m, const char *where,
		    const unsigned char *got)
{
	size_t i;

	if (!memcmp(m->data, got, m->size))
		return;
	for (i = 0; got[i] == m->data[i]; i++)
		;
	broken(w, "%s %s of %zu bytes: at %zu it is %02x and must be %02x",
	       where, m->name, m->size, i, got[i], m->data[i]);
}

static void compare_file(struct worker *w, struct model *m, const char *dir,
			 int fd)
{
	struct stat st;
	ssize_t n;

	n = pread(fd, w->buf, MAX_SIZE, 0);
	if (n != (ssize_t)m->size)
		broken(w, "read %s/%s: %zd of %zu bytes, %s", dir, m->name, n,
		       m->size, strerror(errno));
	if (lseek(fd, 0, SEEK_END) != n || fstat(fd, &st) || st.st_size != n)
		broken(w, "%s/%s has %lld bytes and must have %zd", dir,
		       m->name, (long long)st.st_size, n);
	compare(w, m, dir, w->buf);
}

static void verify_in(struct worker *w, struct model *m, const char *dir)
{
	int fd = open_in(w, dir, m, O_RDONLY);

	compare_file(w, m, dir, fd);
	close(fd);
}

static void do_read(struct worker *w)
{
	struct model *m = lock_one(w);

	verify_in(w, m, rnd(w) & 1 ? soak_dir : lower_dir);
	pthread_mutex_unlock(&m->lock);
}

static void do_write(struct worker *w)
{
	struct model *m = lock_one(w);
	off_t pos;
	size_t len = some_range(w, &pos, 64 << 10);
	int fd = open_file(w, m);

	fill(w, w->buf, len);
	if (pwrite(fd, w->buf, len, pos) != (ssize_t)len)
		broken(w, "write: %s", strerror(errno));
	memcpy(m->data + pos, w->buf, len);
	if (pos + len > m->size)
		m->size = pos + len;
	close(fd);
	pthread_mutex_unlock(&m->lock);
}

/* Directly in the lower, which is seen through the mount at once. */
static void do_write_below(struct worker *w)
{
	struct model *m = lock_one(w);
	int fd = open_in(w, lower_dir, m, O_WRONLY);
	size_t pos = below(w, m->size);
	size_t len = below(w, m->size - pos) % (16 << 10);

	fill(w, w->buf, len);
	if (pwrite(fd, w->buf, len, pos) != (ssize_t)len)
		broken(w, "write: %s", strerror(errno));
	memcpy(m->data + pos, w->buf, len);
	close(fd);
	pthread_mutex_unlock(&m->lock);
}

static void do_map(struct worker *w)
{
	struct model *m = lock_one(w);
	size_t pos = below(w, m->size);
	size_t len = below(w, m->size - pos) % (32 << 10);
	int fd = open_file(w, m);
	unsigned char *map;

	if (m->size) {
		map = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			   fd, 0);
		if (map == MAP_FAILED)
			broken(w, "mmap: %s", strerror(errno));
		compare(w, m, "mapping", map);
		fill(w, map + pos, len);
		memcpy(m->data + pos, map + pos, len);
		if (!below(w, 8))
			msync(map, m->size, MS_SYNC);
		munmap(map, m->size);
	}
	close(fd);
	pthread_mutex_unlock(&m->lock);
}

static void do_truncate(struct worker *w)
{
	struct model *m = lock_one(w);
	int fd = open_file(w, m);
	size_t size = below(w, MAX_SIZE + 1);

	if (ftruncate(fd, size))
		broken(w, "truncate: %s", strerror(errno));
	set_size(m, size);
	close(fd);
	pthread_mutex_unlock(&m->lock);
}

static void do_punch(struct worker *w)
{
	struct model *m = lock_one(w);
	off_t pos;
	size_t len = some_range(w, &pos, 64 << 10);
	int fd = open_file(w, m);

	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, pos, len))
		broken(w, "punch: %s", strerror(errno));
	memset(m->data + pos, 0, len);
	close(fd);
	pthread_mutex_unlock(&m->lock);
}

static void copied(struct model *src, off_t pos_in, struct model *dst,
		   off_t pos_out, size_t len)
{
	memcpy(dst->data + pos_out, src->data + pos_in, len);
	if (len && pos_out + len > dst->size)
		dst->size = pos_out + len;
}

static void do_copy(struct worker *w)
{
	struct model *src, *dst;
	size_t len, want;
	off_t pos_in, pos_out;
	int in, out;
	ssize_t n;

	lock_two(w, &src, &dst);
	in = open_in(w, soak_dir, src, O_RDONLY);
	out = open_file(w, dst);
	pos_in = below(w, 3) ? 0 : below(w, src->size);
	len = below(w, 3) ? MAX_SIZE : below(w, MAX_SIZE);
	want = src->size - pos_in < len ? src->size - pos_in : len;
	pos_out = below(w, 3) ? 0 : below(w, MAX_SIZE - want + 1);
	n = copy_bytes(w, in, pos_in, out, pos_out, len);
	if (n != (ssize_t)want)
		broken(w, "%s to %s: %zd of %zu bytes, %s", src->name,
		       dst->name, n, want, strerror(errno));
	copied(src, pos_in, dst, pos_out, want);
	if (!below(w, 4))
		compare_file(w, dst, soak_dir, out);
	close(in);
	close(out);
	unlock_two(src, dst);
}

static void do_clone(struct worker *w)
{
	struct model *src, *dst;
	off_t pos_in, pos_out;
	size_t len;
	int in, out;

	lock_two(w, &src, &dst);
	in = open_in(w, soak_dir, src, O_RDONLY);
	out = open_file(w, dst);
	pos_in = below(w, src->size / BLOCK) * BLOCK;
	len = (src->size - pos_in) / BLOCK * BLOCK;
	pos_out = below(w, (MAX_SIZE - len) / BLOCK + 1) * BLOCK;
	if (!len)
		;
	else if (!clone_range(in, pos_in, out, pos_out, len))
		copied(src, pos_in, dst, pos_out, len);
	else if (!copies_refused(errno))
		broken(w, "%s to %s: %s", src->name, dst->name, strerror(errno));
	close(in);
	close(out);
	unlock_two(src, dst);
}

static void do_dedupe(struct worker *w)
{
	struct model *src, *dst;
	int in, out, error;
	size_t len;
	ssize_t n;
	bool same;

	lock_two(w, &src, &dst);
	in = open_in(w, soak_dir, src, O_RDONLY);
	out = open_file(w, dst);
	len = (src->size < dst->size ? src->size : dst->size) / BLOCK * BLOCK;
	same = !memcmp(src->data, dst->data, len);
	n = len ? dedupe_range(in, 0, out, 0, len) : 0;
	error = errno;
	if (n < 0 && !copies_refused(error) && (same || error != EBADE))
		broken(w, "%s to %s: %s", src->name, dst->name, strerror(error));
	if (n > 0 && memcmp(src->data, dst->data, n))
		broken(w, "%s and %s differ", src->name, dst->name);
	close(in);
	close(out);
	unlock_two(src, dst);
}

static void path_of(struct model *m, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", soak_dir, m->name);
}

static void do_rename(struct worker *w)
{
	struct model *m = lock_one(w);
	char old[300], new[300];

	path_of(m, old, sizeof(old));
	snprintf(m->name, sizeof(m->name), "%s%d.%u", below(w, 2) ? "" : "d/",
		 (int)(m - files), ++m->renames);
	path_of(m, new, sizeof(new));
	if (rename(old, new))
		broken(w, "%s to %s: %s", old, new, strerror(errno));
	if (!access(old, F_OK))
		broken(w, "%s is still there", old);
	pthread_mutex_unlock(&m->lock);
}

/* What is removed keeps its contents for who has it open. */
static void do_remove(struct worker *w)
{
	struct model *m = lock_one(w);
	char path[300];
	int fd = open_file(w, m), fd2;

	path_of(m, path, sizeof(path));
	if (unlink(path))
		broken(w, "%s: %s", path, strerror(errno));
	fd2 = open(path, O_RDWR | O_CREAT | O_EXCL, 0644);
	if (fd2 < 0)
		broken(w, "create %s: %s", path, strerror(errno));
	compare_file(w, m, "removed", fd);
	close(fd2);
	close(fd);
	set_size(m, 0);
	pthread_mutex_unlock(&m->lock);
}

static void do_sync(struct worker *w)
{
	struct model *m = lock_one(w);
	int fd = open_file(w, m);

	if (fsync(fd))
		broken(w, "fsync: %s", strerror(errno));
	close(fd);
	pthread_mutex_unlock(&m->lock);
}

static const struct op model_ops[] = {
	{ "read", 20, do_read },
	{ "write", 20, do_write },
	{ "write_below", 4, do_write_below },
	{ "map", 12, do_map },
	{ "truncate", 6, do_truncate },
	{ "punch", 6, do_punch },
	{ "copy", 40, do_copy },
	{ "clone", 12, do_clone },
	{ "dedupe", 6, do_dedupe },
	{ "rename", 6, do_rename },
	{ "remove", 3, do_remove },
	{ "sync", 2, do_sync },
};

static void create_files(struct worker *w)
{
	struct model *m;
	char path[300];

	snprintf(path, sizeof(path), "%s/d", soak_dir);
	if (mkdir(path, 0755))
		broken(w, "mkdir %s: %s", path, strerror(errno));
	for (m = files; m < files + NR_FILES; m++) {
		pthread_mutex_init(&m->lock, NULL);
		snprintf(m->name, sizeof(m->name), "%d", (int)(m - files));
		m->data = calloc(1, MAX_SIZE);
		if (!m->data)
			exit(2);
		close(open_in(w, soak_dir, m, O_RDWR | O_CREAT | O_EXCL));
	}
}

int main(int argc, char **argv)
{
	unsigned int workers = soak_options(argc, argv);
	struct worker self = { .op = "end", .nr = -1 };
	struct model *m;

	lower_dir = argv[optind + 1];
	if (!lower_dir)
		return 2;
	soak_init_worker(&self, -1, MAX_SIZE);
	create_files(&self);
	soak_run(model_ops, sizeof(model_ops) / sizeof(*model_ops), workers,
		 MAX_SIZE);
	for (m = files; m < files + NR_FILES; m++) {
		verify_in(&self, m, soak_dir);
		verify_in(&self, m, lower_dir);
	}
	return 0;
}
