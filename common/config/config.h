/* Settings of a daemon: one table of typed keys, filled from default < file < environment < command
 * line. The file is YAML, read as libyaml events (no anchors, no tags, no merge keys: refused with
 * their line). An error names file, line and column, the value, and for an unknown key the nearest
 * known one. The table also makes `--help`. Start-up and reload only; one thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    CONFIG_FILE_MAX = 1024 * 1024, /* bytes of one file */
    CONFIG_VALUES_MAX = 10000,     /* values set, lists count each entry */
    CONFIG_DEPTH_MAX = 8,          /* nested mappings and lists */
};

enum config_type {
    CONFIG_STR,
    CONFIG_LIST,     /* of strings: a YAML list or one value, or a repeated flag, or commas in the
                        environment */
    CONFIG_BOOL,     /* true | false | yes | no | on | off */
    CONFIG_UINT,     /* min … max */
    CONFIG_DECIMAL,  /* 0.25: at most three places; `min` and `max` are thousandths */
    CONFIG_SIZE,     /* bytes, text_parse_size(), min … max */
    CONFIG_DURATION, /* milliseconds, text_parse_duration(), min … max */
    CONFIG_ADDR,     /* text_parse_addr() */
    CONFIG_ENUM,     /* one of `choices` */
};

struct config_key {
    const char *path; /* "http", "engine.command", "modes.*.models"; '*' is a name that the user
                         picks */
    enum config_type type;
    const char *def;     /* as it would be written; NULL: unset (getters say so) */
    uint64_t min, max;   /* max 0: no bound */
    const char *choices; /* "error|warn|info|debug" for CONFIG_ENUM */
    const char *unit;    /* for help: "bytes", "slots"; may be NULL */
    bool reloadable;  /* SIGHUP takes a new value; else a change is reported and needs a restart */
    const char *flag; /* "http" for --http; a CONFIG_BOOL flag takes no value; NULL: none */
    const char *metavar;      /* "ADDR:PORT" in help */
    const char *env;          /* "MODEMESH_HTTP"; NULL: none */
    bool secret;              /* never printed, never in an error */
    const char *name_letters; /* what names for the last '*' may hold besides letters, digits, '.',
                                 '_' and '-', and then they may be longer; the same for all keys
                                 with that beginning. NULL: nothing */
    const char *help;         /* one sentence */
};

struct config;

/* `keys` ends with a NULL path and is borrowed. NULL where malloc refuses. A wrong default is our
 * bug: aborts. */
struct config *config_create(const struct config_key *keys);
void config_destroy(struct config *config);

/* Each of these checks type and range of every value. What it sets replaces what was set before, a
 * list as a whole. Names for '*' are 1 to 63 letters, digits, '.', '_' or '-', with `name_letters`
 * 1 to 127 of these too. On failure `config` is as it was before the call. -ENOENT where the file
 * is missing; -EINVAL with "FILE:LINE:COLUMN: …"; -E2BIG names the limit passed. */
MUST_CHECK int config_load_file(struct config *config, const char *path, struct err *err);
/* As config_load_file() on text in memory; `name` stands for the file in errors. */
MUST_CHECK int config_load_text(
        struct config *config, const char *name, const char *text, size_t len, struct err *err);
/* A variable that is set to nothing counts as unset. Lists are cut at commas, and the blanks around
 * them dropped. */
MUST_CHECK int config_load_env(struct config *config, struct err *err);

/* Reads `--flag VALUE` and `--flag=VALUE`. The flags --help and --version are known always and only
 * noted. The value of --config FILE is noted, not loaded: config_load_all() does that. A flag
 * `no-x` of a bool key with flag "no-x" sets it to true. Words that are no flags are refused, and
 * so is a flag given twice unless its key is a list. */
struct config_args {
    bool help, version;
    const char *config_path; /* borrowed from argv; NULL where not given */
};
MUST_CHECK int config_load_args(struct config *config, int argc, char **argv,
        struct config_args *ret_args, struct err *err);

/* Makes a config and fills it from all its sources: the file that the arguments name, the
 * environment, the arguments. After --help or --version nothing but the arguments was read. The
 * caller destroys the config. */
MUST_CHECK int config_load_all(const struct config_key *keys, int argc, char **argv,
        struct config_args *ret_args, struct config **ret_config, struct err *err);

/* Overwrites with zeros what stands behind the flags of secret keys in argv, and the environment
 * variables of such keys, which are unset: other processes of the same user, and children, could
 * read both. The config keeps its values; a later load finds empty ones. */
void config_hide_secrets(const struct config_key *keys, int argc, char **argv);

/* Getters abort on a path or type that is not in the table: our bug. `path` has its names filled in
 * ("modes.ask.models"). Strings are borrowed until the config is destroyed or loaded again. */
bool config_is_set(const struct config *config, const char *path); /* by anything but the default */
const char *config_str(
        const struct config *config, const char *path); /* CONFIG_STR, CONFIG_ENUM; NULL: unset */
bool config_bool(const struct config *config, const char *path); /* unset: false */
uint64_t config_uint(
        const struct config *config, const char *path); /* UINT, SIZE, DURATION; unset: 0 */
double config_decimal(const struct config *config, const char *path); /* unset: 0 */
struct text_addr config_addr(const struct config *config, const char *path);
size_t config_list_len(const struct config *config, const char *path);
const char *config_list_at(const struct config *config, const char *path, size_t index);
/* The names that the user picked below `prefix` ("modes"), in the order of the file; NULL past the
 * last. */
const char *config_name_at(const struct config *config, const char *prefix, size_t index);
/* "FILE:LINE" of where the value came from, "environment", "command line" or "default"; of a
 * section where it begins. Borrowed. */
const char *config_origin(const struct config *config, const char *path);

/* The paths of keys that are not `reloadable` and whose value differs between the two configs of
 * one table: what needs a restart after a reload. Those that `loaded` sets come first; NULL past
 * the last. Borrowed from either. */
const char *config_restart_key(
        const struct config *running, const struct config *loaded, size_t index);

/* The options part of --help: flag, metavar, help, default, environment name; then the keys that
 * only the file knows. */
void config_print_help(const struct config_key *keys, FILE *out);
