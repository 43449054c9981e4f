// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command line. It is kept, and applied on top of the configuration file
 * whenever that is read.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copyfiled.h"

static const char *config_file;
static bool have_export;
static struct given {
	const char *name;
	const char *value;
} *given;
static size_t ngiven;

static const struct option long_options[] = {
	{ "export", required_argument, NULL, 'e' },
	{ "allow", required_argument, NULL, 'a' },
	{ "config", required_argument, NULL, 'c' },
	{ "listen", required_argument, NULL, 'o' },
	{ "port", required_argument, NULL, 'o' },
	{ "workers", required_argument, NULL, 'o' },
	{ "slice", required_argument, NULL, 'o' },
	{ "max-connections", required_argument, NULL, 'o' },
	{ "unix-mode", required_argument, NULL, 'o' },
	{ "state-dir", required_argument, NULL, 'o' },
	{ "stats", optional_argument, NULL, 's' },
	{ "foreground", no_argument, NULL, 'f' },
	{ "check-config", no_argument, NULL, 'C' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 }
};

static void usage(FILE *to)
{
	fputs("usage: copyfiled [--export NAME=PATH[,OPTION]... --allow ADDR[/LEN]] [--config FILE]\n"
	      "                 [--listen WHERE]... [OPTION]...\n"
	      "       copyfiled --stats [SOCKET]\n"
	      "\n"
	      "Copies files where they lie, for clients that mount with offloadfs, backend=rpc.\n"
	      "\n"
	      "  --export NAME=PATH[,OPTION]...  let clients copy within PATH; options are ro, rw,\n"
	      "                         squash=root|all|none, anonuid=N, anongid=N, insecure,\n"
	      "                         manage-gids\n"
	      "  --allow ADDR[/LEN]     the clients of all --export (repeat it for more)\n"
	      "  --config FILE          read this (" DEFAULT_CONFIG " if there is no --export)\n"
	      "  --listen ADDR[:PORT]   listen there; also unix:PATH, and '*' for everywhere;\n"
	      "                         without it, at private addresses of networks with clients\n"
	      "  --port N               instead of 20490\n"
	      "  --workers N            copies that run at once (8)\n"
	      "  --slice SECONDS        the longest that one request copies (2)\n"
	      "  --max-connections N    (256)\n"
	      "  --unix-mode MODE       of the socket of unix:PATH; who may write there may ask (600)\n"
	      "  --state-dir DIR        for the verifier and the control socket (" DEFAULT_STATE_DIR ")\n"
	      "  --foreground           stay in the foreground; always so\n"
	      "  --check-config         say whether the configuration is good, and exit\n"
	      "  --stats [SOCKET]       print the counters of the copyfiled that runs\n"
	      "  --help, --version\n"
	      "\n"
	      "It must be started as root. See copyfiled(8), copyfiled.conf(5).\n", to);
}

static void keep(const char *name, const char *value)
{
	given = xrealloc(given, (ngiven + 1) * sizeof(*given));
	given[ngiven].name = name;
	given[ngiven++].value = value;
}

bool options_have_file(void)
{
	return config_file;
}

static int check_config(void)
{
	struct config *config = options_config();
	bool good = config;
	struct stat st;

	for (size_t i = 0; good && i < config->nexports; i++) {
		const struct export *export = &config->exports[i];

		good = stat(export->path, &st) == 0 && S_ISDIR(st.st_mode);
		if (!good)
			log_err("export %s: %s: there is no such directory", export->name,
				export->path);
	}
	config_put(config);
	if (good)
		puts("the configuration is good");
	return !good;
}

/* The control socket of this --state-dir, if no other is named. */
static int ask_stats(const char *path)
{
	const char *dir = DEFAULT_STATE_DIR;

	for (size_t i = 0; i < ngiven; i++)
		if (!strcmp(given[i].name, "state-dir"))
			dir = given[i].value;
	return control_ask(path ? path : dir);
}

static int wrong_usage(void)
{
	fputs("Try copyfiled --help.\n", stderr);
	return 2;
}

/**
 * options_parse - understand the command line
 *
 * Return: the exit status of a run that is over already, or -1.
 */
int options_parse(int argc, char **argv)
{
	bool check = false, stats = false;
	const char *socket = NULL;
	int index = 0, c;

	while ((c = getopt_long(argc, argv, "hV", long_options, &index)) != -1) {
		switch (c) {
		case 'c':
			config_file = optarg;
			break;
		case 'e':
			have_export = true;
			/* fall through */
		case 'a':
		case 'o':
			keep(long_options[index].name, optarg);
			break;
		case 's':
			stats = true;
			socket = optarg;
			break;
		case 'C':
			check = true;
			break;
		case 'f':
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			puts("copyfiled " COPYFILED_VERSION);
			return 0;
		default:
			return wrong_usage();
		}
	}
	if (stats && !socket && optind < argc)
		socket = argv[optind++];
	if (optind < argc) {
		log_err("%s: is no option", argv[optind]);
		return wrong_usage();
	}
	if (stats)
		return ask_stats(socket);
	if (!config_file && !have_export)
		config_file = DEFAULT_CONFIG;
	return check ? check_config() : -1;
}

/* NAME=PATH[,OPTION[=VALUE]]... */
static bool add_export(struct config *config, const char *text)
{
	char *copy = xstrdup(text), *rest = copy;
	const char *name = strsep(&rest, "=");
	const char *why = "lacks =PATH";
	struct export *export = config_add_export(config, name);
	char *word = strsep(&rest, ",");
	bool ok = word && export_option(export, "path", word, &why);

	while (ok && (word = strsep(&rest, ","))) {
		char *value = word;

		strsep(&value, "=");
		if (!strcmp(word, "rw"))
			export->rdonly = false;
		else if (!strcmp(word, "path") || !strcmp(word, "allow"))
			ok = export_option(export, "", "", &why);
		else
			ok = export_option(export, word, value ? value : "", &why);
	}
	if (!ok)
		log_err("--export %s: %s %s", text, word ? word : "it", why);
	free(copy);
	return ok;
}

static bool allow_all(struct config *config, size_t first, const char *value)
{
	const char *why = "";

	for (size_t i = first; i < config->nexports; i++) {
		if (!export_option(&config->exports[i], "allow", value, &why)) {
			log_err("--allow %s: it %s", value, why);
			return false;
		}
	}
	return true;
}

static bool apply_other(struct config *config)
{
	const char *why = "";

	for (size_t i = 0; i < ngiven; i++) {
		if (!strcmp(given[i].name, "export") || !strcmp(given[i].name, "allow"))
			continue;
		if (!global_option(config, given[i].name, given[i].value, &why)) {
			log_err("--%s %s: it %s", given[i].name, given[i].value, why);
			return false;
		}
	}
	return true;
}

/* The exports first: an --allow is for those before it, too. */
static bool apply(struct config *config)
{
	size_t first = config->nexports;

	for (size_t i = 0; i < ngiven; i++)
		if (!strcmp(given[i].name, "export") && !add_export(config, given[i].value))
			return false;
	for (size_t i = 0; i < ngiven; i++)
		if (!strcmp(given[i].name, "allow") && !allow_all(config, first, given[i].value))
			return false;
	return apply_other(config);
}

/**
 * options_config - the configuration, of the file and the command line
 *
 * Return: a new one, or NULL when something is wrong with it (logged).
 */
struct config *options_config(void)
{
	struct config *config = config_new();

	if ((!config_file || config_read(config, config_file)) && apply(config) &&
	    config_check(config))
		return config;
	config_put(config);
	return NULL;
}
