// SPDX-License-Identifier: GPL-2.0-only
/*
 * copyfile2004 - copy a file with nothing but libc: open, fstat, sendfile in
 * a loop, unlink on error. This is the copyfile() that needs no system call of
 * its own once sendfile(2) is offloaded.
 *
 * usage: copyfile2004 SRC DST
 */
#include <err.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static int send_all(int out, int in, off_t size)
{
	while (size > 0) {
		ssize_t n = sendfile(out, in, NULL, size);

		if (n < 0)
			return -1;
		if (!n)
			break;
		size -= n;
	}
	return 0;
}

static int copyfile(const char *src, const char *dst)
{
	int in, out, ret = -1;
	struct stat st;

	in = open(src, O_RDONLY);
	if (in < 0)
		return -1;
	if (fstat(in, &st))
		goto out_close_in;
	out = open(dst, O_WRONLY | O_CREAT | O_EXCL, st.st_mode & 07777);
	if (out < 0)
		goto out_close_in;
	ret = send_all(out, in, st.st_size);
	if (close(out))
		ret = -1;
	if (ret)
		unlink(dst);
out_close_in:
	close(in);
	return ret;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		errx(2, "usage: copyfile2004 SRC DST");
	if (copyfile(argv[1], argv[2]))
		err(1, "%s", argv[2]);
	return 0;
}
