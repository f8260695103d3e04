/* What the fields of a message may hold, the same for what we send and for what we are sent.
 * The codec applies the rules; whoever makes names (config, catalogue) may ask before it is too
 * late. Pure.
 *
 * A failed check returns -EINVAL and its text begins with the field: "name: 64 bytes, 1 to 63 are
 * allowed". */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stddef.h>

enum text_rule {
    TEXT_NODE_NAME,     /* letters, digits and ._-  up to MSG_NODE_NAME_MAX bytes, not empty */
    TEXT_MODEL_NAME,    /* letters, digits, space and ._:/+-  up to MSG_NAME_MAX bytes, not empty */
    TEXT_MODEL_OR_NONE, /* the same, may be empty */
    TEXT_REQUEST_ID,    /* UTF-8 without control characters, up to MSG_NAME_MAX bytes, not empty */
    TEXT_LABEL,         /* the same, may be empty */
    TEXT_SENTENCE,      /* the same, up to MSG_TEXT_MAX bytes */
    TEXT_RULE_COUNT,
};

/* `data` need not be terminated; a NUL inside is a control character. */
MUST_CHECK int rules_text(
        enum text_rule rule, const char *field, const char *data, size_t len, struct err *err);
/* Replaces in place what TEXT_SENTENCE forbids: bytes that are not UTF-8 by '?', control characters
 * by spaces. The length stays. */
void rules_fit_sentence(char *data, size_t len);

MUST_CHECK int rules_count(const char *field, size_t count, size_t max, struct err *err);
/* What an instance says for planning: its shape, and how its engine would be started. These numbers
 * are read off a file that may say anything, or come from a node that knows more types of cache:
 * they must not stop a STATE, so that the codec leaves out all of them where one breaks a limit.
 * What has no limit here belongs in saturating sums only. */
MUST_CHECK int rules_plan(const struct msg_instance *instance, struct err *err);
/* Everything about a message but its text and what is for planning: ids, enums, ranges, counts,
 * sizes. START's kind is free: a node that does not know it refuses that one stream. */
MUST_CHECK int rules_check(const struct msg *msg, struct err *err);
