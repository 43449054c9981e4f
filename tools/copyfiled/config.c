// SPDX-License-Identifier: GPL-2.0-only
/*
 * What stands in a configuration, and the file that it is read from. The same
 * names are those of the command line (options.c).
 */
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copyfiled.h"

static bool set_bool(bool *to, const char *value, const char **why)
{
	static const char *const yes[] = { "", "1", "yes", "true", "on" };
	static const char *const no[] = { "0", "no", "false", "off" };

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (!strcmp(value, yes[i]))
			return *to = true;
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		if (!strcmp(value, no[i])) {
			*to = false;
			return true;
		}
	}
	*why = "is yes or no";
	return false;
}

static bool set_number(unsigned int *to, const char *value, unsigned int min,
		       unsigned int max, const char **why)
{
	static char range[64];
	uint64_t number;

	if (!parse_number(value, min, max, &number)) {
		snprintf(range, sizeof(range), "is a number from %u to %u", min, max);
		*why = range;
		return false;
	}
	*to = (unsigned int)number;
	return true;
}

static bool set_squash(enum squash *to, const char *value, const char **why)
{
	static const char *const names[] = {
		[SQUASH_ROOT] = "root", [SQUASH_ALL] = "all", [SQUASH_NONE] = "none",
	};

	for (int i = 0; i < 3; i++) {
		if (!strcmp(value, names[i])) {
			*to = i;
			return true;
		}
	}
	*why = "is root, all or none";
	return false;
}

/* A list, separated by commas or blanks. */
static bool add_allow(struct export *export, const char *value, const char **why)
{
	static const char between[] = ", \t";
	struct netmask mask;
	char one[64];

	*why = "is ADDRESS or ADDRESS/LENGTH, without bits set beyond the length";
	for (value += strspn(value, between); *value; value += strspn(value, between)) {
		size_t len = strcspn(value, between);

		if (len >= sizeof(one))
			return false;
		memcpy(one, value, len);
		one[len] = 0;
		if (!netmask_parse(one, &mask))
			return false;
		export_allow(export, &mask);
		value += len;
	}
	return true;
}

static bool set_path(struct export *export, const char *value, const char **why)
{
	if (export->path || *value != '/') {
		*why = "is an absolute path, and given once";
		return false;
	}
	export->path = xstrdup(value);
	return true;
}

/**
 * export_option - set something of an export
 * @export: which
 * @name: of the option
 * @value: "" for one that is just named
 * @why: set to the end of a sentence when it is wrong
 */
bool export_option(struct export *export, const char *name, const char *value,
		   const char **why)
{
	if (!strcmp(name, "path"))
		return set_path(export, value, why);
	if (!strcmp(name, "allow"))
		return add_allow(export, value, why);
	if (!strcmp(name, "ro"))
		return set_bool(&export->rdonly, value, why);
	if (!strcmp(name, "squash"))
		return set_squash(&export->squash, value, why);
	if (!strcmp(name, "anonuid"))
		return set_number(&export->anonuid, value, 0, UINT32_MAX - 1, why);
	if (!strcmp(name, "anongid"))
		return set_number(&export->anongid, value, 0, UINT32_MAX - 1, why);
	if (!strcmp(name, "insecure"))
		return set_bool(&export->insecure, value, why);
	if (!strcmp(name, "manage-gids"))
		return set_bool(&export->manage_gids, value, why);
	*why = "is no option of an export (there are path, allow, ro, squash, anonuid, anongid, insecure, manage-gids)";
	return false;
}

static bool set_slice(unsigned int *ms, const char *value, const char **why)
{
	char *end;
	double seconds = strtod(value, &end);

	if (end == value || *end || !(seconds >= 0.01 && seconds <= 60)) {
		*why = "is a number of seconds from 0.01 to 60";
		return false;
	}
	*ms = (unsigned int)(seconds * 1000);
	return true;
}

static bool set_mode(unsigned int *to, const char *value, const char **why)
{
	char *end;
	unsigned long mode = strtoul(value, &end, 8);

	if (*value < '0' || *value > '7' || *end || mode > 0777) {
		*why = "is a mode in octal, from 0 to 777";
		return false;
	}
	*to = (unsigned int)mode;
	return true;
}

static bool set_dir(char **to, const char *value, const char **why)
{
	if (*value != '/' || strlen(value) > 80) {
		*why = "is an absolute path of at most 80 bytes";
		return false;
	}
	free(*to);
	*to = xstrdup(value);
	return true;
}

/* A list, as allow is. */
static void add_listen(struct config *config, const char *value)
{
	char *copy = xstrdup(value), *rest = copy, *word;

	while ((word = strsep(&rest, ", \t")))
		if (*word)
			config_add_listen(config, word);
	free(copy);
}

/* The same for what is no export's. */
bool global_option(struct config *config, const char *name, const char *value,
		   const char **why)
{
	if (!strcmp(name, "listen"))
		add_listen(config, value);
	else if (!strcmp(name, "port"))
		return set_number(&config->port, value, 1, 65535, why);
	else if (!strcmp(name, "workers"))
		return set_number(&config->workers, value, 1, 256, why);
	else if (!strcmp(name, "slice"))
		return set_slice(&config->slice_ms, value, why);
	else if (!strcmp(name, "max-connections"))
		return set_number(&config->max_connections, value, 1, 4096, why);
	else if (!strcmp(name, "unix-mode"))
		return set_mode(&config->unix_mode, value, why);
	else if (!strcmp(name, "state-dir"))
		return set_dir(&config->state_dir, value, why);
	else {
		*why = "is no option of [global] (there are listen, port, workers, slice, max-connections, unix-mode, state-dir)";
		return false;
	}
	return true;
}

/* inih tells lines by its return value only, so the first error ends the reading. */
struct reading {
	FILE *file;
	struct config *config;
	unsigned int line;
	char error[320];
};

static bool complain(struct reading *r, const char *name, const char *why)
{
	/* Of the first only. */
	if (!*r->error)
		snprintf(r->error, sizeof(r->error), "line %u: %s %s", r->line, name, why);
	return false;
}

/* The export of a section "export NAME", a new one if there is none yet. */
static struct export *section_export(struct reading *r, const char *section)
{
	const struct export *found;
	const char *name = section + strlen("export");

	name += strspn(name, " \t");
	if (!*name) {
		complain(r, "[export]", "lacks a name");
		return NULL;
	}
	/* inih keeps so much of it and cuts off the rest without a word. */
	if (strlen(section) >= 49) {
		complain(r, section, "is too long a name for the configuration file");
		return NULL;
	}
	found = export_find(r->config, name);
	return found ? (struct export *)found : config_add_export(r->config, name);
}

static int handle(void *user, const char *section, const char *name, const char *value)
{
	struct reading *r = user;
	struct export *export;
	const char *why = "";
	bool ok;

	if (*r->error)
		return 0;
	if (!strcmp(section, "global")) {
		ok = global_option(r->config, name, value, &why);
	} else if (!strncmp(section, "export", 6) && (!section[6] || section[6] == ' ')) {
		export = section_export(r, section);
		if (!export)
			return 0;
		ok = export_option(export, name, value, &why);
	} else {
		return complain(r, *section ? section : "what stands before any section",
				"is neither [global] nor [export NAME]");
	}
	return ok || complain(r, name, why);
}

/* inih's own reader would take the rest of a long line for another one. */
static char *read_line(char *str, int num, void *stream)
{
	struct reading *r = stream;
	char *line = fgets(str, num, r->file);

	if (!line)
		return NULL;
	r->line++;
	if (!strchr(line, '\n') && !feof(r->file)) {
		complain(r, "this line", "is too long");
		return NULL;
	}
	return line;
}

/**
 * config_read - read a configuration file
 * @config: what it says is added
 * @name: of the file
 *
 * Return: false when it is wrong (logged).
 */
bool config_read(struct config *config, const char *name)
{
	struct reading r = { .config = config, .file = fopen(name, "re") };
	int line;

	if (!r.file) {
		log_err("%s: %s (write one, see copyfiled.conf(5), or use --export)", name,
			strerror(errno));
		return false;
	}
	line = ini_parse_stream(read_line, &r, handle, &r);
	fclose(r.file);
	if (*r.error)
		log_err("%s: %s", name, r.error);
	else if (line)
		log_err("%s: line %d: is neither [SECTION] nor NAME = VALUE", name, line);
	return !*r.error && !line;
}

static bool check_export(const struct config *config, const struct export *export)
{
	if (strlen(export->name) > COPYFILE_EXPORT_MAX || !*export->name) {
		log_err("export %s: a name has 1 to %d bytes", export->name, COPYFILE_EXPORT_MAX);
		return false;
	}
	if (export_find(config, export->name) != export) {
		log_err("export %s: is there twice", export->name);
		return false;
	}
	if (!export->path) {
		log_err("export %s: has no path", export->name);
		return false;
	}
	if (!export->nallow)
		log_warn("export %s: allow names no client, only UNIX sockets can use it",
			 export->name);
	return true;
}

/* Is all there that is needed? */
bool config_check(const struct config *config)
{
	if (!config->nexports) {
		log_err("there is no export: give --export NAME=PATH and --allow ADDRESS, or a configuration file with [export NAME]");
		return false;
	}
	for (size_t i = 0; i < config->nexports; i++)
		if (!check_export(config, &config->exports[i]))
			return false;
	return true;
}
