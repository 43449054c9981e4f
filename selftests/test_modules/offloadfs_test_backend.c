// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - copy backends that do as a test tells them.
 *
 * Knows nothing but the public interface. Registers:
 *   test		no flags
 *   test-whole		OFFLOADFS_BACKEND_WHOLE_FILE
 *   test-remote	OFFLOADFS_BACKEND_REMOTE
 *   test-2004		both: like a network file system's whole-file copy
 *   test-cross		OFFLOADFS_BACKEND_CROSS_MOUNT
 *
 * Parameters, all in /sys/module/offloadfs_test_backend/parameters/:
 *   script	what the next requests get, separated by commas; the last
 *		step stays. Steps: do, do=BYTES (a real copy, of at most so
 *		many bytes), zero, toomany, decline=REASON, hang (until a fatal
 *		signal), delay=MS (sleep, then the next step), or an errno:
 *		EOPNOTSUPP EXDEV EIO EINTR ENOSPC EBADE
 *   decide	the reason that decide() gives, "accept" by default
 *   remote_root	make a real copy between the files of the same names
 *		under this directory, behind the lower file system's back
 *   calls	how many requests there were
 *   log	the last requests, a line each; writing clears it
 *   mounts	mounts that use a backend of this module now
 *   commits	calls of commit()
 *   fail	"create" or "ready": the next mounts fail there
 *   try_register	register a backend that is "duplicate", "nocopy",
 *		"noname", "badname" or "longname": the write has the errno
 * The mount option testopt=NUMBER is taken and shown.
 */
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/offloadfs.h>

#define OFFLOADFS_TEST_CHUNK	65536

static DEFINE_MUTEX(offloadfs_test_lock);	/* all below */
static char offloadfs_test_script[256] = "do";
static char *offloadfs_test_step = offloadfs_test_script;
static char offloadfs_test_decide_as[32] = "accept";
static char offloadfs_test_root[128];
static char offloadfs_test_fail[16];
static char offloadfs_test_log[4000];
static size_t offloadfs_test_log_len;

static atomic_t offloadfs_test_calls = ATOMIC_INIT(0);
static atomic_t offloadfs_test_mounts = ATOMIC_INIT(0);
static atomic_t offloadfs_test_commits = ATOMIC_INIT(0);

static const char * const offloadfs_test_reasons[OFFLOADFS_NR_REASONS] = {
	[OFFLOADFS_ACCEPT]	= "accept",
	[OFFLOADFS_TOO_SMALL]	= "too_small",
	[OFFLOADFS_PARTIAL]	= "partial",
	[OFFLOADFS_UNALIGNED]	= "unaligned",
	[OFFLOADFS_CROSS_MOUNT]	= "cross_mount",
	[OFFLOADFS_UNLINKED]	= "unlinked",
	[OFFLOADFS_PSEUDO]	= "pseudo",
	[OFFLOADFS_NOT_A_FILE]	= "not_a_file",
	[OFFLOADFS_DOWN]	= "down",
	[OFFLOADFS_UNSUPPORTED]	= "unsupported",
	[OFFLOADFS_BUSY]	= "busy",
	[OFFLOADFS_DISABLED]	= "disabled",
	[OFFLOADFS_OVERLAP]	= "overlap",
	[OFFLOADFS_STALE]	= "stale",
	[OFFLOADFS_DENIED]	= "denied",
};

static const struct {
	const char *name;
	int err;
} offloadfs_test_errnos[] = {
	{ "EOPNOTSUPP", -EOPNOTSUPP }, { "EXDEV", -EXDEV }, { "EIO", -EIO },
	{ "EINTR", -EINTR }, { "ENOSPC", -ENOSPC }, { "EBADE", -EBADE },
};

static enum offloadfs_reason offloadfs_test_reason(const char *name)
{
	int i;

	for (i = 0; i < OFFLOADFS_NR_REASONS; i++)
		if (offloadfs_test_reasons[i] &&
		    sysfs_streq(name, offloadfs_test_reasons[i]))
			return i;
	return OFFLOADFS_ACCEPT;
}

/* Take the script's next step; the last one stays. */
static void offloadfs_test_next_step(char *step, size_t size)
{
	char *comma;

	mutex_lock(&offloadfs_test_lock);
	strscpy(step, offloadfs_test_step, size);
	comma = strchr(offloadfs_test_step, ',');
	if (comma)
		offloadfs_test_step = comma + 1;
	mutex_unlock(&offloadfs_test_lock);
	strreplace(step, ',', '\0');
}

static void offloadfs_test_note(const struct offloadfs_copy_request *req,
				const char *step)
{
	size_t left;

	atomic_inc(&offloadfs_test_calls);
	mutex_lock(&offloadfs_test_lock);
	left = sizeof(offloadfs_test_log) - offloadfs_test_log_len;
	offloadfs_test_log_len +=
		scnprintf(offloadfs_test_log + offloadfs_test_log_len, left,
			  "step=%s op=%d origin=%d src=%lld dst=%lld len=%lld whole=%d shorten=%d sparse=%d %pD %pD\n",
			  step, req->op, req->origin, req->src_pos,
			  req->dst_pos, req->len, req->whole_file,
			  req->can_shorten, req->sparse, req->src, req->dst);
	mutex_unlock(&offloadfs_test_lock);
}

static ssize_t offloadfs_test_read_write(struct file *src, loff_t src_pos,
					 struct file *dst, loff_t dst_pos,
					 loff_t len)
{
	loff_t done = 0;
	ssize_t ret = 0;
	char *buf;

	buf = kvmalloc(OFFLOADFS_TEST_CHUNK, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	while (done < len && !fatal_signal_pending(current)) {
		ret = kernel_read(src, buf,
				  min_t(loff_t, len - done, OFFLOADFS_TEST_CHUNK),
				  &src_pos);
		if (ret > 0)
			ret = kernel_write(dst, buf, ret, &dst_pos);
		if (ret <= 0)
			break;
		done += ret;
	}
	kvfree(buf);
	return done ?: ret ?: -EINTR;
}

/* The same file under remote_root, as a server knows it. */
static struct file *offloadfs_test_open_remote(struct file *file, int flags)
{
	char *buf = kmalloc(PATH_MAX, GFP_KERNEL);
	struct file *remote;
	char *path, *name;

	if (!buf)
		return ERR_PTR(-ENOMEM);
	path = dentry_path_raw(file->f_path.dentry, buf, PATH_MAX);
	if (IS_ERR(path)) {
		remote = ERR_CAST(path);
	} else {
		name = kasprintf(GFP_KERNEL, "%s%s", offloadfs_test_root, path);
		remote = name ? filp_open(name, flags | O_LARGEFILE, 0) :
				ERR_PTR(-ENOMEM);
		kfree(name);
	}
	kfree(buf);
	return remote;
}

static ssize_t offloadfs_test_do_remote(struct offloadfs_copy_request *req,
					loff_t len)
{
	struct file *src, *dst;
	ssize_t ret;

	src = offloadfs_test_open_remote(req->src, O_RDONLY);
	if (IS_ERR(src))
		return PTR_ERR(src);
	dst = offloadfs_test_open_remote(req->dst, O_WRONLY);
	if (IS_ERR(dst)) {
		fput(src);
		return PTR_ERR(dst);
	}
	ret = offloadfs_test_read_write(src, req->src_pos, dst, req->dst_pos,
					len);
	fput(dst);
	fput(src);
	return ret;
}

static ssize_t offloadfs_test_do(struct offloadfs_copy_request *req, loff_t len)
{
	len = min(len, req->len);
	if (*offloadfs_test_root)
		return offloadfs_test_do_remote(req, len);
	return offloadfs_test_read_write(req->src, req->src_pos, req->dst,
					 req->dst_pos, len);
}

static ssize_t offloadfs_test_hang(void)
{
	while (!fatal_signal_pending(current))
		schedule_timeout_killable(HZ);
	return -EINTR;
}

static ssize_t offloadfs_test_errno(const char *step)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(offloadfs_test_errnos); i++)
		if (sysfs_streq(step, offloadfs_test_errnos[i].name))
			return offloadfs_test_errnos[i].err;
	pr_warn("offloadfs_test_backend: unknown step %s\n", step);
	return -EINVAL;
}

static ssize_t offloadfs_test_run(struct offloadfs_copy_request *req, char *step)
{
	char *arg = strchr(step, '=');
	long long number = 0;

	if (arg) {
		*arg++ = '\0';
		if (kstrtoll(arg, 0, &number))
			number = 0;
	}
	if (!strcmp(step, "do"))
		return offloadfs_test_do(req, arg ? number : req->len);
	if (!strcmp(step, "zero"))
		return 0;
	if (!strcmp(step, "toomany"))
		return req->len + 1;
	if (!strcmp(step, "hang"))
		return offloadfs_test_hang();
	if (!strcmp(step, "decline")) {
		req->reason = offloadfs_test_reason(arg ?: "");
		return -EOPNOTSUPP;
	}
	return offloadfs_test_errno(step);
}

static ssize_t offloadfs_test_copy(void *priv,
				   struct offloadfs_copy_request *req)
{
	unsigned int ms;
	char step[64];

	offloadfs_test_next_step(step, sizeof(step));
	offloadfs_test_note(req, step);
	if (sscanf(step, "delay=%u", &ms) == 1) {
		if (msleep_interruptible(ms) && fatal_signal_pending(current))
			return -EINTR;
		offloadfs_test_next_step(step, sizeof(step));
	}
	return offloadfs_test_run(req, step);
}

static enum offloadfs_reason
offloadfs_test_decide(void *priv, const struct offloadfs_copy_request *req)
{
	enum offloadfs_reason reason;

	mutex_lock(&offloadfs_test_lock);
	reason = offloadfs_test_reason(offloadfs_test_decide_as);
	mutex_unlock(&offloadfs_test_lock);
	return reason;
}

/* One mount; the number is its testopt. */
struct offloadfs_test_mount {
	unsigned int number;
};

static void *offloadfs_test_create(struct super_block *sb,
				   const struct path *lower)
{
	struct offloadfs_test_mount *mount;

	if (sysfs_streq(offloadfs_test_fail, "create"))
		return ERR_PTR(-EPERM);
	mount = kzalloc(sizeof(*mount), GFP_KERNEL);
	if (!mount)
		return ERR_PTR(-ENOMEM);
	atomic_inc(&offloadfs_test_mounts);
	return mount;
}

static void offloadfs_test_destroy(void *priv)
{
	atomic_dec(&offloadfs_test_mounts);
	kfree(priv);
}

static int offloadfs_test_parse_param(void *priv, struct fs_context *fc,
				      struct fs_parameter *param)
{
	struct offloadfs_test_mount *mount = priv;

	if (strcmp(param->key, "testopt"))
		return -ENOPARAM;
	if (param->type != fs_value_is_string)
		return -EINVAL;
	return kstrtouint(param->string, 0, &mount->number);
}

static int offloadfs_test_ready(void *priv, struct fs_context *fc)
{
	return sysfs_streq(offloadfs_test_fail, "ready") ? -ENOTCONN : 0;
}

static void offloadfs_test_show_options(void *priv, struct seq_file *m)
{
	struct offloadfs_test_mount *mount = priv;

	if (mount->number)
		seq_printf(m, ",testopt=%u", mount->number);
}

static int offloadfs_test_commit(void *priv, struct file *dst, loff_t start,
				 loff_t end, int datasync)
{
	atomic_inc(&offloadfs_test_commits);
	return 0;
}

#define OFFLOADFS_TEST_BACKEND(_name, _flags) {				\
	.name		= _name,					\
	.owner		= THIS_MODULE,					\
	.flags		= _flags,					\
	.copy		= offloadfs_test_copy,				\
	.decide		= offloadfs_test_decide,			\
	.create		= offloadfs_test_create,			\
	.destroy	= offloadfs_test_destroy,			\
	.parse_param	= offloadfs_test_parse_param,			\
	.ready		= offloadfs_test_ready,				\
	.show_options	= offloadfs_test_show_options,			\
	.commit		= offloadfs_test_commit,			\
}

static const struct offloadfs_backend_ops offloadfs_test_backends[] = {
	OFFLOADFS_TEST_BACKEND("test", 0),
	OFFLOADFS_TEST_BACKEND("test-whole", OFFLOADFS_BACKEND_WHOLE_FILE),
	OFFLOADFS_TEST_BACKEND("test-remote", OFFLOADFS_BACKEND_REMOTE),
	OFFLOADFS_TEST_BACKEND("test-2004", OFFLOADFS_BACKEND_REMOTE |
			       OFFLOADFS_BACKEND_WHOLE_FILE),
	OFFLOADFS_TEST_BACKEND("test-cross", OFFLOADFS_BACKEND_CROSS_MOUNT),
};

/* Parameters */

static int offloadfs_test_set_string(const char *val,
				     const struct kernel_param *kp)
{
	struct kparam_string *str = (struct kparam_string *)kp->str;

	if (strlen(val) >= str->maxlen)
		return -ENOSPC;
	mutex_lock(&offloadfs_test_lock);
	strscpy(str->string, val, str->maxlen);
	strim(str->string);
	offloadfs_test_step = offloadfs_test_script;
	mutex_unlock(&offloadfs_test_lock);
	return 0;
}

static const struct kernel_param_ops offloadfs_test_string_ops = {
	.set = offloadfs_test_set_string,
	.get = param_get_string,
};

#define OFFLOADFS_TEST_STRING(_name, _array)				\
static struct kparam_string offloadfs_test_param_##_name = {		\
	.maxlen = sizeof(_array), .string = _array,			\
};									\
module_param_cb(_name, &offloadfs_test_string_ops,			\
		&offloadfs_test_param_##_name, 0644)

OFFLOADFS_TEST_STRING(script, offloadfs_test_script);
OFFLOADFS_TEST_STRING(decide, offloadfs_test_decide_as);
OFFLOADFS_TEST_STRING(remote_root, offloadfs_test_root);
OFFLOADFS_TEST_STRING(fail, offloadfs_test_fail);

static int offloadfs_test_get_log(char *buf, const struct kernel_param *kp)
{
	int len;

	mutex_lock(&offloadfs_test_lock);
	len = scnprintf(buf, PAGE_SIZE, "%.*s", (int)offloadfs_test_log_len,
			offloadfs_test_log);
	mutex_unlock(&offloadfs_test_lock);
	return len;
}

static int offloadfs_test_clear_log(const char *val,
				    const struct kernel_param *kp)
{
	mutex_lock(&offloadfs_test_lock);
	offloadfs_test_log_len = 0;
	mutex_unlock(&offloadfs_test_lock);
	atomic_set(&offloadfs_test_calls, 0);
	atomic_set(&offloadfs_test_commits, 0);
	return 0;
}

static const struct kernel_param_ops offloadfs_test_log_ops = {
	.set = offloadfs_test_clear_log,
	.get = offloadfs_test_get_log,
};
module_param_cb(log, &offloadfs_test_log_ops, NULL, 0644);

static int offloadfs_test_get_count(char *buf, const struct kernel_param *kp)
{
	return scnprintf(buf, PAGE_SIZE, "%d\n", atomic_read((atomic_t *)kp->arg));
}

static const struct kernel_param_ops offloadfs_test_count_ops = {
	.get = offloadfs_test_get_count,
};
module_param_cb(calls, &offloadfs_test_count_ops, &offloadfs_test_calls, 0444);
module_param_cb(mounts, &offloadfs_test_count_ops, &offloadfs_test_mounts, 0444);
module_param_cb(commits, &offloadfs_test_count_ops, &offloadfs_test_commits,
		0444);

static int offloadfs_test_register_as(const char *name, bool with_copy)
{
	struct offloadfs_backend_ops ops = {
		.name = name,
		.owner = THIS_MODULE,
		.copy = with_copy ? offloadfs_test_copy : NULL,
	};
	int err = offloadfs_register_backend(&ops);

	if (!err)
		offloadfs_unregister_backend(&ops);
	return err;
}

static int offloadfs_test_try_register(const char *val,
				       const struct kernel_param *kp)
{
	if (sysfs_streq(val, "duplicate"))
		return offloadfs_test_register_as("native", true);
	if (sysfs_streq(val, "nocopy"))
		return offloadfs_test_register_as("test-new", false);
	if (sysfs_streq(val, "noname"))
		return offloadfs_test_register_as(NULL, true);
	if (sysfs_streq(val, "badname"))
		return offloadfs_test_register_as("a:b", true);
	if (sysfs_streq(val, "longname"))
		return offloadfs_test_register_as("a-name-of-more-than-31-characters",
						  true);
	if (sysfs_streq(val, "good"))
		return offloadfs_test_register_as("a-name-of-exactly-31-characters",
						  true);
	return -ENOENT;
}

static const struct kernel_param_ops offloadfs_test_register_ops = {
	.set = offloadfs_test_try_register,
};
module_param_cb(try_register, &offloadfs_test_register_ops, NULL, 0200);

static int __init offloadfs_test_init(void)
{
	int i, err;

	for (i = 0; i < ARRAY_SIZE(offloadfs_test_backends); i++) {
		err = offloadfs_register_backend(&offloadfs_test_backends[i]);
		if (err)
			goto err_unregister;
	}
	return 0;

err_unregister:
	while (i--)
		offloadfs_unregister_backend(&offloadfs_test_backends[i]);
	return err;
}

static void __exit offloadfs_test_exit(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(offloadfs_test_backends); i++)
		offloadfs_unregister_backend(&offloadfs_test_backends[i]);
}

module_init(offloadfs_test_init);
module_exit(offloadfs_test_exit);

MODULE_ALIAS(OFFLOADFS_BACKEND_ALIAS "test");
MODULE_ALIAS(OFFLOADFS_BACKEND_ALIAS "test-whole");
MODULE_ALIAS(OFFLOADFS_BACKEND_ALIAS "test-remote");
MODULE_ALIAS(OFFLOADFS_BACKEND_ALIAS "test-2004");
MODULE_ALIAS(OFFLOADFS_BACKEND_ALIAS "test-cross");
MODULE_DESCRIPTION("offloadfs: copy backends that do as a test tells them");
MODULE_LICENSE("GPL");
