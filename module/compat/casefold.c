// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - names in directories that do not care for case, as the kernel
 * compares them by itself since before it exported that (6.13).
 */
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/unicode.h>

#if IS_ENABLED(CONFIG_UNICODE)

int compat_ci_d_hash(const struct dentry *dentry, struct qstr *name)
{
	const struct inode *dir = READ_ONCE(dentry->d_inode);
	struct super_block *sb = dentry->d_sb;

	if (!dir || !IS_CASEFOLDED(dir))
		return 0;
	if (utf8_casefold_hash(sb->s_encoding, dentry, name) < 0 &&
	    sb_has_strict_encoding(sb))
		return -EINVAL;
	return 0;
}

/*
 * A short name is inside the dentry, where a rename may overwrite it: the
 * result does not matter then, but what is compared has to stay in place.
 */
int compat_ci_d_compare(const struct dentry *dentry, unsigned int len,
			const char *str, const struct qstr *name)
{
	const struct dentry *parent = READ_ONCE(dentry->d_parent);
	const struct inode *dir = READ_ONCE(parent->d_inode);
	struct qstr other = QSTR_INIT(str, len);
	char buf[DNAME_INLINE_LEN];

	if (len == name->len && !memcmp(str, name->name, len))
		return 0;
	if (!dir || !IS_CASEFOLDED(dir))
		return 1;
	if (len < sizeof(buf)) {
		memcpy(buf, str, len);
		buf[len] = '\0';
		other.name = buf;
		barrier();
	}
	return utf8_strncasecmp(dentry->d_sb->s_encoding, name, &other);
}

#endif /* CONFIG_UNICODE */
