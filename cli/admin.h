/* What the commands that run the mesh share: a request and its small answer, secrets that are
 * printed once, and the flags that several of them know. Answers come from the network: a member
 * that is missing or of another type counts as empty or 0. */
#pragma once

#include "cli/cli.h"

#include <cjson/cJSON.h>
#include <stdint.h>

enum { ADMIN_WORD_MAX = 256 }; /* bytes of one foreign word in a sentence; more is cut */

/* GET of what may be large. The caller frees `*ret_answer` by cJSON_Delete(). */
MUST_CHECK int admin_get(
        const struct cli *cli, const char *path, cJSON **ret_answer, struct err *err);
/* POST of `request`. The caller gives `*ret_answer` to admin_free(). */
MUST_CHECK int admin_post(const struct cli *cli, const char *path, const cJSON *request,
        cJSON **ret_answer, struct err *err);
struct admin_change { /* to one node, token or key */
    const char *path;
    const char *key;        /* that names it in the request */
    const char *answer_key; /* … and in the answer */
};
/* POST of {key: value}. `ret_word` is how the answer names it, `value` where it does not. */
MUST_CHECK int admin_change(const struct cli *cli, const struct admin_change *change,
        const char *value, char ret_word[ADMIN_WORD_MAX], struct err *err);
/* Wipes the strings at top level, one of which may be a secret, and frees. Takes NULL. */
void admin_free(cJSON *answer);

/* Prints the secret `answer[key]` as the only line of the result. -EPROTO where it is not a word of
 * letters, digits, '_' and '-' that begins with `prefix`. */
MUST_CHECK int admin_print_secret(const struct cli *cli, const cJSON *answer, const char *key,
        const char *prefix, struct err *err);
/* A secret where its name belongs would end up in the coordinator's log: wipes `word` in argv and
 * returns -EINVAL where it begins with `prefix` and is at least `len` long. `what` names the
 * secret, `instead` says what is wanted. */
MUST_CHECK int admin_refuse_secret(char *word, const char *prefix, size_t len, const char *what,
        const char *instead, struct err *err);

/* Each adds one member to a request (NULL: malloc refused it). -ENOMEM. */
MUST_CHECK int admin_add_string(
        cJSON *request, const char *key, const char *value, struct err *err);
MUST_CHECK int admin_add_number(cJSON *request, const char *key, uint64_t value, struct err *err);
/* A list of strings; takes it, also NULL. */
MUST_CHECK int admin_add_list(cJSON *request, const char *key, cJSON *list, struct err *err);
/* Adds "roles" as --no-edge and --edge-only say; nothing where neither is given. -EINVAL for both,
 * -ENOMEM. */
MUST_CHECK int admin_add_roles(const struct command_line *line, cJSON *request, struct err *err);
/* Reads a flag that is a count, or a duration in milliseconds, and adds it as `key`; nothing where
 * it is not given. -EINVAL and -ERANGE name the flag. */
MUST_CHECK int admin_add_count(const struct command_line *line, const char *flag, const char *key,
        cJSON *request, struct err *err);
MUST_CHECK int admin_add_duration(const struct command_line *line, const char *flag,
        const char *key, cJSON *request, struct err *err);

/* A string of an answer as a word in a line of ours. Returns `buf`. */
const char *admin_word(const cJSON *object, const char *key, char buf[ADMIN_WORD_MAX]);
