/* Structured log lines on standard error: `level event key=value key="va lue"`, one line a call,
 * one write(2) a line. Under systemd (JOURNAL_STREAM names our standard error) the line begins with
 * the journal's priority prefix <3>…<7> and carries no time; elsewhere it begins with an RFC 3339
 * UTC time. Values are quoted and escaped where needed, so that foreign text cannot forge a field
 * or a line. Never log secrets: keys, tokens, prompts and answers do not belong in a field. Any
 * thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum log_type { LOG_TYPE_END, LOG_TYPE_STR, LOG_TYPE_INT, LOG_TYPE_UINT, LOG_TYPE_FLOAT };

struct log_field {
    const char *key; /* lower case, [a-z0-9_] */
    enum log_type type;
    union {
        const char *str; /* NULL prints as "-" */
        int64_t i64;
        uint64_t u64;
        double f64;
    };
};

enum { LOG_LINE_MAX = 2048 }; /* a longer line is cut and ends in "…" */

/* `program` is borrowed for the life of the process and appears as the first field (prog=…). */
void log_init(const char *program, enum log_level max_level);
/* "error", "warn", "info", "debug"; -EINVAL otherwise. */
int log_level_parse(const char *name, enum log_level *ret_level);
bool log_enabled(enum log_level level);

/* `fields` ends with an entry of type LOG_TYPE_END. */
void log_write(enum log_level level, const char *event, const struct log_field *fields);

#define LOG_S(k, v)     ((struct log_field){.key = (k), .type = LOG_TYPE_STR, .str = (v)})
#define LOG_I(k, v)     ((struct log_field){.key = (k), .type = LOG_TYPE_INT, .i64 = (v)})
#define LOG_U(k, v)     ((struct log_field){.key = (k), .type = LOG_TYPE_UINT, .u64 = (v)})
#define LOG_F(k, v)     ((struct log_field){.key = (k), .type = LOG_TYPE_FLOAT, .f64 = (v)})
#define LOG_FIELDS(...) ((const struct log_field[]){__VA_ARGS__, {.type = LOG_TYPE_END}})

/* log_info("node joined", LOG_S("node", name), LOG_U("slots", n)); at least one field. */
#define log_error(event, ...) log_write(LOG_LEVEL_ERROR, event, LOG_FIELDS(__VA_ARGS__))
#define log_warn(event, ...)  log_write(LOG_LEVEL_WARN, event, LOG_FIELDS(__VA_ARGS__))
#define log_info(event, ...)  log_write(LOG_LEVEL_INFO, event, LOG_FIELDS(__VA_ARGS__))
#define log_debug(event, ...)                                                                      \
    do {                                                                                           \
        if (log_enabled(LOG_LEVEL_DEBUG))                                                          \
            log_write(LOG_LEVEL_DEBUG, event, LOG_FIELDS(__VA_ARGS__));                            \
    } while (0)
