#include "coordinator/modes/mode_body.h"

#include "common/json.h"
#include "coordinator/modes/mode_policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NUMBER_TEXT_MAX = 64, /* more letters than any number that a request may have */
    EDITS_MAX = 2,
};

struct filling {
    const char *text; /* of the body */
    size_t len;
    struct json_member edits[EDITS_MAX];
    size_t edit_count;
};

/* The member under which a kind has the limit of its answer; NULL: it has no such answer. */
static const char *limit_key(enum request_kind kind)
{
    switch (kind) {
    case REQUEST_CHAT:
    case REQUEST_COMPLETION:
        return "max_tokens";
    case REQUEST_INFILL:
        return "n_predict";
    default:
        return NULL;
    }
}

/* False where it is not said: null is what some clients write for that. */
static bool said_number(const struct filling *filling, const char *key, double *ret_number)
{
    char number[NUMBER_TEXT_MAX];
    const char *value;
    size_t len;
    if (json_find(filling->text, filling->len, key, &value, &len) || len >= sizeof(number))
        return false;
    memcpy(number, value, len);
    number[len] = '\0';
    if (strcmp(number, "null") == 0)
        return false;
    *ret_number = strtod(number, NULL);
    return true;
}

static void set(struct filling *filling, const char *key, const char *value)
{
    filling->edits[filling->edit_count++] = (struct json_member){.key = key, .value = value};
}

static void fill_temperature(
        const struct mode *mode, struct filling *filling, char text[NUMBER_TEXT_MAX])
{
    double said;
    if (!mode->has_temperature || said_number(filling, "temperature", &said))
        return;
    snprintf(text, NUMBER_TEXT_MAX, "%.9g", mode->temperature);
    set(filling, "temperature", text);
}

/* Less than 0 is what clients of local servers write for no limit. 0 is one: they warm up a cache.
 */
static void fill_limit(const struct mode *mode, const char *key, struct filling *filling,
        char text[NUMBER_TEXT_MAX])
{
    double said = -1;
    bool is_said = said_number(filling, key, &said);
    if (mode->max_output == 0 || (is_said && said >= 0 && said <= mode->max_output))
        return;
    snprintf(text, NUMBER_TEXT_MAX, "%u", mode->max_output);
    set(filling, key, text);
}

static int edit(struct filling *filling, struct buf *body)
{
    struct buf edited;
    buf_init(&edited, body->max);
    int r = json_edit(&edited, filling->text, filling->len, filling->edits, filling->edit_count);
    if (r) {
        buf_fini(&edited);
        return r;
    }
    buf_fini(body);
    *body = edited;
    return 0;
}

int mode_fill_body(const struct mode *mode, enum request_kind kind, struct buf *body)
{
    struct filling filling = {.text = buf_at(body), .len = body->len};
    char temperature[NUMBER_TEXT_MAX], limit[NUMBER_TEXT_MAX];
    const char *key = limit_key(kind);
    if (!key)
        return 0;
    fill_temperature(mode, &filling, temperature);
    fill_limit(mode, key, &filling, limit);
    return filling.edit_count ? edit(&filling, body) : 0;
}

uint32_t mode_body_limit(enum request_kind kind, const struct buf *body)
{
    const struct filling filling = {.text = buf_at(body), .len = body->len};
    const char *key = limit_key(kind);
    double said;
    if (!key || body->len == 0 || !said_number(&filling, key, &said) || !(said > 0))
        return 0;
    return said < UINT32_MAX ? (uint32_t)said : UINT32_MAX;
}
