/* What the config_*.c files share: the values of a config, and the batch in which one load gathers
 * its values before they count. */
#pragma once

#include "common/config/config.h"

enum {
    CONFIG_PATH_MAX = 512,            /* bytes of a path with its names filled in */
    CONFIG_NAME_MAX = 63,             /* bytes of a name that the user picks */
    CONFIG_WIDE_NAME_MAX = 127,       /* likewise, where the key has `name_letters` */
    CONFIG_NEAREST_MAX = 1024 * 1024, /* bytes of names to look for the nearest one in */
};

/* A value, or (`key` NULL) a section of the file; the item of a section is the name that the user
 * picked. */
struct config_value {
    const struct config_key *key;
    char *path;   /* names filled in */
    char *origin; /* for config_origin() */
    char **items; /* as written; one where the type is no list */
    size_t item_count;
};

struct config_values {
    struct config_value **at;
    size_t count;
};

struct config {
    const struct config_key *keys;
    struct config_values defaults; /* paths as in the table, with '*' */
    struct config_values values;
};

struct config_batch {
    struct config_values values;
    size_t cap;
    size_t item_count; /* in all values */
};

void config_batch_fini(struct config_batch *batch);
/* Adds a value without items. -EINVAL where the batch has one with this path, -E2BIG, -ENOMEM.
 * `*ret_value` is borrowed from the batch. */
MUST_CHECK int config_batch_add(struct config_batch *batch, const struct config_value *blueprint,
        struct config_value **ret_value, struct err *err);
/* Appends an item as it is, unchecked. */
MUST_CHECK int config_batch_add_item(
        struct config_batch *batch, struct config_value *value, const char *text, struct err *err);
/* As config_batch_add_item(), for a value with a key: -EINVAL where type or range is wrong, naming
 * the path. */
MUST_CHECK int config_batch_set(
        struct config_batch *batch, struct config_value *value, const char *text, struct err *err);
/* Adds the comma-separated texts of a list, or the one text of another type. */
MUST_CHECK int config_batch_set_line(
        struct config_batch *batch, struct config_value *value, const char *line, struct err *err);
/* Moves the values of the batch into the config, over those with the same path. Leaves the batch
 * empty. */
MUST_CHECK int config_batch_commit(
        struct config_batch *batch, struct config *config, struct err *err);

size_t config_key_count(const struct config_key *keys);
/* -EINVAL or -ERANGE (its range, or that of the type) where `text` is no value for `key`. The text
 * of a secret is not repeated. */
MUST_CHECK int config_check(const struct config_key *key, const char *text, struct err *err);
/* The number that a checked text of CONFIG_UINT, CONFIG_DECIMAL, CONFIG_SIZE, CONFIG_DURATION or
 * CONFIG_BOOL stands for. */
uint64_t config_number(const struct config_key *key, const char *text);
/* What stands for the value in help and in errors: "ADDR:PORT", "N". */
const char *config_metavar(const struct config_key *key);
/* "1 … 16 slots" into `buf`, or "" where the key has no range. Returns `buf`. */
const char *config_range(const struct config_key *key, char *buf, size_t size);
/* The `name_letters` of the '*' that `star` ends with, a pattern of `len` bytes. */
const char *config_name_letters(const struct config_key *keys, const char *star, size_t len);
/* -EINVAL where `name` is nothing that a user may pick for a '*' with these letters. */
MUST_CHECK int config_check_name(const char *letters, const char *name, struct err *err);
