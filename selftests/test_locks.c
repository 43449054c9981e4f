// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks, leases and delegations of files on an offloadfs mount: whoever uses
 * the lower sees them, and they see what it does. One process holds something
 * through the scenario's directory, another one comes by the lower's path, or
 * the other way round: on the bare lower file system both are the same.
 */
#include "parity.h"
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

#ifndef F_SETDELEG
#define F_GETDELEG	(1024 + 15)
#define F_SETDELEG	(1024 + 16)
struct delegation {
	__u32 d_flags;
	__u16 d_type;
	__u16 pad;
};
#endif

#define SIZE		1000
#define SIG		(SIGRTMIN + 3)
#define BREAK_TIME	"/proc/sys/fs/lease-break-time"

FIXTURE_VARIANT_ADD(fs, tmpfs) { .lower = TMPFS };

static __attribute__((constructor)) void begin(void)
{
	parity_begin("min=0", 1 << TMPFS);
}

/* Someone else */

enum way { ABOVE, BELOW };

/* The name as a path, through the scenario's directory or the lower's. */
static const char *path_of(struct side *s, enum way way, const char *name)
{
	static char path[2][512];

	snprintf(path[way], sizeof(path[way]), "%s/%s", way == ABOVE ? s->path : s->below, name);
	return path[way];
}

static int way_open(struct side *s, enum way way, const char *name, int flags)
{
	return open(path_of(s, way, name), flags, 0644);
}

struct other {
	pid_t pid;
	int done;	/* readable when it has its result */
};

/* What another process does; it ends with an errno, or 0. */
static struct other other_start(struct side *s, int (*what)(struct side *, enum way),
				enum way way)
{
	struct other o;
	int fds[2];

	if (pipe(fds))
		exit(KSFT_FAIL);
	fflush(NULL);
	o.pid = fork();
	if (!o.pid) {
		sigset_t none;
		int fd;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		/* It must not keep open what the holder closes. */
		for (fd = STDERR_FILENO + 1; fd < 256; fd++)
			if (fd != fds[1])
				close(fd);
		_exit(what(s, way));
	}
	close(fds[1]);
	o.done = fds[0];
	return o;
}

static bool other_waits(struct other *o, int ms)
{
	struct pollfd p = { .fd = o->done, .events = POLLIN };

	return !poll(&p, 1, ms);
}

static void other_end(struct side *s, const char *what, struct other *o)
{
	int status = 0;

	waitpid(o->pid, &status, 0);
	close(o->done);
	if (WIFSIGNALED(status))
		note(s, "%s: signal %d\n", what, WTERMSIG(status));
	else
		note(s, "%s: %s\n", what, WEXITSTATUS(status) ?
		     strerrorname_np(WEXITSTATUS(status)) : "done");
}

static int error(int ret)
{
	return ret < 0 ? errno : 0;
}

/* Locks */

static struct flock range(int type, off_t start, off_t len)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = start,
			       .l_len = len };
}

static int wait_posix(struct side *s, enum way way)
{
	struct flock lock = range(F_WRLCK, 0, 10);

	return error(fcntl(way_open(s, way, "f", O_RDWR), F_SETLKW, &lock));
}

static int wait_ofd(struct side *s, enum way way)
{
	struct flock lock = range(F_WRLCK, 0, 10);

	return error(fcntl(way_open(s, way, "f", O_RDWR), F_OFD_SETLKW, &lock));
}

static int wait_flock(struct side *s, enum way way)
{
	return error(flock(way_open(s, way, "f", O_RDWR), LOCK_EX));
}

static int hold(int kind, int fd, int type)
{
	struct flock lock = range(type, 0, 10);

	if (kind == 2)
		return flock(fd, type == F_UNLCK ? LOCK_UN : type == F_RDLCK ? LOCK_SH : LOCK_EX);
	return fcntl(fd, kind ? F_OFD_SETLK : F_SETLK, &lock);
}

/* Who waits gets the lock when it is given up, and not before. */
static void blocking(struct side *s, enum way holder, enum way waiter)
{
	int (* const waits[])(struct side *, enum way) = { wait_posix, wait_ofd, wait_flock };
	int kind, fd;

	close(file_make(s, "f", SIZE, 1));
	for (kind = 0; kind < 3; kind++) {
		struct other o;

		fd = way_open(s, holder, "f", O_RDWR);
		success(s, "hold", hold(kind, fd, F_WRLCK));
		o = other_start(s, waits[kind], waiter);
		note(s, "waits %d\n", other_waits(&o, 100));
		success(s, "give up", hold(kind, fd, F_UNLCK));
		other_end(s, "then", &o);
		/* It goes with the last close, too, and with its process. */
		success(s, "hold", hold(kind, fd, F_RDLCK));
		o = other_start(s, waits[kind], waiter);
		note(s, "waits %d\n", other_waits(&o, 100));
		close(fd);
		other_end(s, "then", &o);
		fd = way_open(s, holder, "f", O_RDWR);
		success(s, "hold", hold(kind, fd, F_WRLCK));
		o = other_start(s, waits[kind], waiter);
		note(s, "waits %d\n", other_waits(&o, 100));
		kill(o.pid, SIGTERM);
		other_end(s, "killed", &o);
		close(fd);
	}
}

static void blocked_above_by_above(struct side *s) { blocking(s, ABOVE, ABOVE); }
static void blocked_below_by_above(struct side *s) { blocking(s, ABOVE, BELOW); }
static void blocked_above_by_below(struct side *s) { blocking(s, BELOW, ABOVE); }

/* Who holds it is the process, whichever way it is asked. */
static void who_holds(struct side *s)
{
	static const enum way ways[] = { ABOVE, BELOW };
	int fd = file_make(s, "f", SIZE, 1), asks = -1;
	struct flock lock = range(F_WRLCK, 5, 20);
	unsigned int i;

	success(s, "hold", fcntl(fd, F_SETLK, &lock));
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		pid_t pid = getpid();
		int status;

		fflush(NULL);
		if (!fork()) {
			asks = way_open(s, ways[i], "f", O_RDWR);
			lock = range(F_WRLCK, 0, 0);
			if (fcntl(asks, F_GETLK, &lock))
				_exit(errno);
			_exit(lock.l_type == F_WRLCK && lock.l_start == 5 && lock.l_len == 20 &&
			      lock.l_pid == pid ? 0 : 255);
		}
		wait(&status);
		note(s, "asked: %d\n", WEXITSTATUS(status));
	}
	lock = range(F_RDLCK, 10, 5);
	success(s, "split", fcntl(fd, F_SETLK, &lock));
	lock = range(F_WRLCK, 0, 0);
	success(s, "an OFD lock asks", fcntl(fd, F_OFD_GETLK, &lock));
	note(s, "type %d start %lld len %lld\n", lock.l_type, (long long)lock.l_start,
	     (long long)lock.l_len);
}

/* Two that wait for each other: one is told. */
static int cross(struct side *s, enum way way)
{
	struct flock lock = range(F_WRLCK, 20, 10);
	int fd = way_open(s, way, "f", O_RDWR);

	if (fcntl(fd, F_SETLK, &lock))
		return errno;
	lock = range(F_WRLCK, 0, 10);
	return error(fcntl(fd, F_SETLKW, &lock));
}

static void deadlock(struct side *s, enum way other_way)
{
	int fd = file_make(s, "f", SIZE, 1);
	struct flock lock = range(F_WRLCK, 0, 10);
	struct other o;
	int i, ret;

	success(s, "hold", fcntl(fd, F_SETLK, &lock));
	o = other_start(s, cross, other_way);
	/* Until it waits: it has its first lock, and is given time for the second. */
	for (i = 0; i < 200; i++) {
		lock = range(F_WRLCK, 20, 10);
		if (!fcntl(fd, F_GETLK, &lock) && lock.l_type == F_WRLCK)
			break;
		usleep(10000);
	}
	usleep(300000);
	lock = range(F_WRLCK, 20, 10);
	ret = fcntl(fd, F_SETLKW, &lock);
	success(s, "the second", ret);
	lock = range(F_UNLCK, 0, 0);
	success(s, "give up", fcntl(fd, F_SETLK, &lock));
	other_end(s, "the first", &o);
}

static void deadlock_above(struct side *s) { deadlock(s, ABOVE); }
static void deadlock_below(struct side *s) { deadlock(s, BELOW); }

static void on_alarm(int sig)
{
}

static void interrupted(struct side *s)
{
	struct sigaction sa = { .sa_handler = on_alarm }, old;
	struct flock lock = range(F_WRLCK, 0, 10);
	int a = file_make(s, "f", SIZE, 1), b = way_open(s, BELOW, "f", O_RDWR);
	struct itimerval it = { .it_value.tv_usec = 200000 };

	sigaction(SIGALRM, &sa, &old);
	success(s, "hold", fcntl(b, F_OFD_SETLK, &lock));
	setitimer(ITIMER_REAL, &it, NULL);
	success(s, "wait", fcntl(a, F_OFD_SETLKW, &lock));
	success(s, "flock", flock(b, LOCK_EX));
	setitimer(ITIMER_REAL, &it, NULL);
	success(s, "wait", flock(a, LOCK_EX));
	sigaction(SIGALRM, &old, NULL);
	/* From shared to exclusive, when nobody else has it. */
	flock(b, LOCK_UN);
	success(s, "shared", flock(a, LOCK_SH));
	success(s, "shared", flock(b, LOCK_SH | LOCK_NB));
	success(s, "exclusive", flock(a, LOCK_EX | LOCK_NB));
	flock(b, LOCK_UN);
	success(s, "exclusive", flock(a, LOCK_EX | LOCK_NB));
	success(s, "shared", flock(b, LOCK_SH | LOCK_NB));
}

PARITY_TEST(blocked_above_by_above)
PARITY_TEST(blocked_below_by_above)
PARITY_TEST(blocked_above_by_below)
PARITY_TEST(who_holds)
PARITY_TEST(deadlock_above)
PARITY_TEST(deadlock_below)
PARITY_TEST(interrupted)

/* Leases */

static void break_time(const char *seconds)
{
	int fd = open(BREAK_TIME, O_WRONLY);

	if (write(fd, seconds, strlen(seconds)) < 0)
		perror("# " BREAK_TIME);
	close(fd);
}

static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIG);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Wait for the signal; it says which descriptor it is about. */
static void signalled(struct side *s, int fd, int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };
	siginfo_t info;
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIG);
	sigaddset(&set, SIGIO);
	sig = sigtimedwait(&set, &info, &t);
	if (sig < 0)
		note(s, "no signal\n");
	else
		note(s, "signal %s, its descriptor %d\n", sig == SIG ? "chosen" : "SIGIO",
		     sig == SIG && info.si_fd == fd);
}

static void leases(struct side *s, int fd)
{
	static const int types[] = { F_RDLCK, F_WRLCK, F_UNLCK, F_UNLCK, 77 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		success(s, "set", fcntl(fd, F_SETLEASE, types[i]));
		result(s, "get", fcntl(fd, F_GETLEASE));
	}
}

static void asking_for_leases(struct side *s)
{
	int fd = file_make(s, "f", SIZE, 1), other;

	leases(s, fd);
	other = file_open(s, "f", O_RDONLY);
	leases(s, fd);
	leases(s, other);
	close(fd);
	leases(s, other);
	fd = way_open(s, BELOW, "f", O_RDONLY);
	leases(s, other);
	success(s, "shared", fcntl(fd, F_SETLEASE, F_RDLCK));
	success(s, "shared", fcntl(other, F_SETLEASE, F_RDLCK));
	success(s, "exclusive", fcntl(other, F_SETLEASE, F_WRLCK));
	result(s, "get", fcntl(other, F_GETLEASE));
	close(fd);
	success(s, "exclusive", fcntl(other, F_SETLEASE, F_WRLCK));
	result(s, "get", fcntl(other, F_GETLEASE));
	close(other);
	fd = way_open(s, BELOW, "f", O_RDWR);
	other = file_open(s, "f", O_RDONLY);
	leases(s, other);
	leases(s, s->dir);
	close(fd);
	/* Someone else's file. */
	fchown(other, 1, 1);
	fflush(NULL);
	if (!fork())
		_exit(setgid(12345) || setuid(65534) ||
		      !fcntl(other, F_SETLEASE, F_RDLCK) ? 255 : errno);
	wait(&fd);
	note(s, "not the owner: %d\n", WEXITSTATUS(fd));
}

static int read_it(struct side *s, enum way way)
{
	return error(way_open(s, way, "f", O_RDONLY));
}

static int write_it(struct side *s, enum way way)
{
	return error(way_open(s, way, "f", O_WRONLY));
}

static int cut_it(struct side *s, enum way way)
{
	return error(truncate(path_of(s, way, "f"), 5));
}

/*
 * One who comes waits until the holder, who gets a signal, has given the lease
 * up, or has let it become shared. @to: F_UNLCK, F_RDLCK, or -1 to close.
 */
static void broken(struct side *s, enum way holder, enum way comer, int type,
		   int (*comes)(struct side *, enum way), int to)
{
	struct other o;
	int fd, ro;

	close(file_make(s, "f", SIZE, 1));
	block_signals();
	fd = way_open(s, holder, "f", O_RDONLY);
	success(s, "signal", fcntl(fd, F_SETSIG, SIG));
	success(s, "take", fcntl(fd, F_SETLEASE, type));
	ro = way_open(s, comer, "f", O_RDONLY | O_NONBLOCK);
	success(s, "does not wait", ro);
	if (ro < 0)
		signalled(s, fd, 3000);
	close(ro);
	o = other_start(s, comes, comer);
	if (ro >= 0)
		signalled(s, fd, 3000);
	note(s, "waits %d\n", other_waits(&o, 100));
	result(s, "to become", fcntl(fd, F_GETLEASE));
	if (to < 0)
		close(fd);
	else
		success(s, "give", fcntl(fd, F_SETLEASE, to));
	other_end(s, "then", &o);
	if (to >= 0) {
		result(s, "left", fcntl(fd, F_GETLEASE));
		success(s, "again", fcntl(fd, F_SETLEASE, F_RDLCK));
		signalled(s, fd, 1);
	}
	close(fd);
	unlinkat(s->dir, "f", 0);
}

static void broken_all(struct side *s, enum way holder, enum way comer)
{
	broken(s, holder, comer, F_WRLCK, read_it, F_UNLCK);
	broken(s, holder, comer, F_WRLCK, read_it, F_RDLCK);
	broken(s, holder, comer, F_WRLCK, write_it, F_UNLCK);
	broken(s, holder, comer, F_RDLCK, write_it, F_UNLCK);
	broken(s, holder, comer, F_RDLCK, write_it, -1);
	broken(s, holder, comer, F_RDLCK, cut_it, F_UNLCK);
}

static void lease_broken_above(struct side *s) { broken_all(s, ABOVE, ABOVE); }
static void lease_broken_below(struct side *s) { broken_all(s, ABOVE, BELOW); }
static void lower_lease_broken(struct side *s) { broken_all(s, BELOW, ABOVE); }

/* Signals as they are set before the lease, or after it, or not at all. */
static void lease_signals(struct side *s)
{
	int fd, late;

	close(file_make(s, "f", SIZE, 1));
	block_signals();
	for (late = 0; late < 3; late++) {
		fd = file_open(s, "f", O_RDONLY);
		if (!late)
			success(s, "signal", fcntl(fd, F_SETSIG, SIG));
		success(s, "take", fcntl(fd, F_SETLEASE, F_WRLCK));
		if (late == 1)
			success(s, "signal", fcntl(fd, F_SETSIG, SIG));
		result(s, "owner", fcntl(fd, F_GETOWN) == getpid());
		success(s, "open", way_open(s, BELOW, "f", O_RDONLY | O_NONBLOCK));
		signalled(s, fd, 3000);
		/* Once, however often it is tried. */
		success(s, "open", way_open(s, BELOW, "f", O_RDONLY | O_NONBLOCK));
		signalled(s, fd, 200);
		close(fd);
		success(s, "open", way_open(s, BELOW, "f", O_RDONLY | O_NONBLOCK));
	}
}

/* Two holders, of whom each is asked; one of them by a duplicate. */
static void shared_leases(struct side *s)
{
	struct other o;
	int a, b, c;

	close(file_make(s, "f", SIZE, 1));
	block_signals();
	a = file_open(s, "f", O_RDONLY);
	b = file_open(s, "f", O_RDONLY);
	fcntl(a, F_SETSIG, SIG);
	fcntl(b, F_SETSIG, SIG);
	success(s, "one", fcntl(a, F_SETLEASE, F_RDLCK));
	success(s, "two", fcntl(b, F_SETLEASE, F_RDLCK));
	c = dup(a);
	result(s, "by the duplicate", fcntl(c, F_GETLEASE));
	close(a);
	o = other_start(s, write_it, BELOW);
	signalled(s, -1, 3000);
	signalled(s, -1, 3000);
	success(s, "give up", fcntl(b, F_SETLEASE, F_UNLCK));
	note(s, "waits %d\n", other_waits(&o, 100));
	success(s, "give up", fcntl(c, F_SETLEASE, F_UNLCK));
	other_end(s, "then", &o);
	success(s, "again", fcntl(c, F_SETLEASE, F_UNLCK));
	close(b);
	close(c);
}

/* Who does not answer loses the lease after a while. */
static void lease_runs_out(struct side *s, enum way comer)
{
	struct other o;
	int fd;

	close(file_make(s, "f", SIZE, 1));
	block_signals();
	break_time("1");
	fd = file_open(s, "f", O_RDONLY);
	success(s, "take", fcntl(fd, F_SETLEASE, F_WRLCK));
	o = other_start(s, write_it, comer);
	note(s, "waits %d\n", other_waits(&o, 100));
	other_end(s, "then", &o);
	usleep(1200000);
	result(s, "left", fcntl(fd, F_GETLEASE));
	success(s, "give up", fcntl(fd, F_SETLEASE, F_UNLCK));
	success(s, "take", fcntl(fd, F_SETLEASE, F_WRLCK));
	result(s, "has", fcntl(fd, F_GETLEASE));
	signalled(s, fd, 1);
	close(fd);
	break_time("45");
}

static void lease_runs_out_above(struct side *s) { lease_runs_out(s, ABOVE); }
static void lease_runs_out_below(struct side *s) { lease_runs_out(s, BELOW); }

/* With the process that holds it, and with its mapping. */
static int take_and_die(struct side *s, enum way way)
{
	int fd = way_open(s, way, "f", O_RDONLY);

	mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
	return error(fcntl(fd, F_SETLEASE, F_WRLCK));
}

static void lease_ends_with_its_process(struct side *s)
{
	struct other o;

	close(file_make(s, "f", SIZE, 1));
	o = other_start(s, take_and_die, ABOVE);
	other_end(s, "taken", &o);
	success(s, "open", way_open(s, BELOW, "f", O_RDWR | O_NONBLOCK));
	success(s, "open", file_open(s, "f", O_RDWR | O_NONBLOCK));
}

PARITY_TEST(asking_for_leases)
PARITY_TEST(lease_broken_above)
PARITY_TEST(lease_broken_below)
PARITY_TEST(lower_lease_broken)
PARITY_TEST(lease_signals)
PARITY_TEST(shared_leases)
PARITY_TEST(lease_runs_out_above)
PARITY_TEST(lease_runs_out_below)
PARITY_TEST(lease_ends_with_its_process)

/* Delegations: also broken by what changes a name or an attribute */

static int unlink_it(struct side *s, enum way way)
{
	return error(unlink(path_of(s, way, "f")));
}

static int rename_it(struct side *s, enum way way)
{
	char to[600];

	snprintf(to, sizeof(to), "%s-renamed", path_of(s, way, "f"));
	return error(rename(path_of(s, way, "f"), to));
}

static int replace_it(struct side *s, enum way way)
{
	char by[600];
	int fd;

	snprintf(by, sizeof(by), "%s-by", path_of(s, way, "f"));
	fd = open(by, O_CREAT | O_WRONLY, 0644);
	close(fd);
	return error(rename(by, path_of(s, way, "f")));
}

static int link_it(struct side *s, enum way way)
{
	char to[600];

	snprintf(to, sizeof(to), "%s-linked", path_of(s, way, "f"));
	return error(link(path_of(s, way, "f"), to));
}

static int chmod_it(struct side *s, enum way way)
{
	return error(chmod(path_of(s, way, "f"), 0600));
}

static int chown_it(struct side *s, enum way way)
{
	return error(chown(path_of(s, way, "f"), 1, 1));
}

static int create_in_it(struct side *s, enum way way)
{
	return error(open(path_of(s, way, "f/new"), O_CREAT | O_WRONLY, 0644));
}

static int mkdir_in_it(struct side *s, enum way way)
{
	return error(mkdir(path_of(s, way, "f/dir"), 0755));
}

static int symlink_in_it(struct side *s, enum way way)
{
	return error(symlink("x", path_of(s, way, "f/link")));
}

static int mknod_in_it(struct side *s, enum way way)
{
	return error(mknod(path_of(s, way, "f/fifo"), S_IFIFO | 0644, 0));
}

static int rmdir_it(struct side *s, enum way way)
{
	return error(rmdir(path_of(s, way, "f")));
}

static void delegation(struct side *s, enum way holder, enum way comer, bool dir,
		       int (*comes)(struct side *, enum way))
{
	struct delegation d = { .d_type = F_RDLCK };
	struct other o;
	int fd;

	if (dir)
		mkdirat(s->dir, "f", 0755);
	else
		close(file_make(s, "f", SIZE, 1));
	block_signals();
	fd = way_open(s, holder, "f", O_RDONLY);
	success(s, "signal", fcntl(fd, F_SETSIG, SIG));
	if (success(s, "take", fcntl(fd, F_SETDELEG, &d)))
		goto out;
	d.d_type = 77;
	success(s, "get", fcntl(fd, F_GETDELEG, &d));
	note(s, "has %d\n", d.d_type);
	o = other_start(s, comes, comer);
	signalled(s, fd, 3000);
	note(s, "waits %d\n", other_waits(&o, 100));
	d.d_type = F_UNLCK;
	success(s, "give up", fcntl(fd, F_SETDELEG, &d));
	other_end(s, "then", &o);
	signalled(s, fd, 1);
out:
	close(fd);
	run("rm -rf %s/f*", s->path);
}

static void delegations(struct side *s, enum way holder, enum way comer)
{
	delegation(s, holder, comer, false, write_it);
	delegation(s, holder, comer, false, unlink_it);
	delegation(s, holder, comer, false, rename_it);
	delegation(s, holder, comer, false, replace_it);
	delegation(s, holder, comer, false, link_it);
	delegation(s, holder, comer, false, chmod_it);
	delegation(s, holder, comer, false, chown_it);
	delegation(s, holder, comer, false, cut_it);
	delegation(s, holder, comer, true, create_in_it);
	delegation(s, holder, comer, true, mkdir_in_it);
	delegation(s, holder, comer, true, symlink_in_it);
	delegation(s, holder, comer, true, mknod_in_it);
	delegation(s, holder, comer, true, rmdir_it);
	delegation(s, holder, comer, true, rename_it);
}

static void delegation_broken_above(struct side *s) { delegations(s, ABOVE, ABOVE); }
static void delegation_broken_below(struct side *s) { delegations(s, ABOVE, BELOW); }
static void lower_delegation_broken(struct side *s) { delegations(s, BELOW, ABOVE); }

PARITY_TEST(delegation_broken_above)
PARITY_TEST(delegation_broken_below)
PARITY_TEST(lower_delegation_broken)

TEST_HARNESS_MAIN
