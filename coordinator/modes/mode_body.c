#include "coordinator/modes/mode_body.h"

#include "common/json/json.h"
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

struct mode_answer mode_answer_of(const struct mode *mode)
{
    return (struct mode_answer){.has_temperature = mode->has_temperature,
            .temperature = mode->temperature,
            .max_output = mode->max_output};
}

/* Less than 0 is what clients of local servers write for no limit. 0 is one: they warm up a cache.
 */
void mode_body_read(enum request_kind kind, const struct buf *body, struct request_said *ret_said)
{
    const struct filling filling = {.text = buf_at(body), .len = body->len};
    const char *key = limit_key(kind);
    double number;
    *ret_said = (struct request_said){.limit_tokens = -1};
    if (!key || body->len == 0)
        return;
    ret_said->temperature = said_number(&filling, "temperature", &number);
    if (said_number(&filling, key, &number))
        ret_said->limit_tokens = number;
}

/* What another mode has put there goes. */
static void fill_temperature(const struct mode_answer *answer, const struct request_said *said,
        struct filling *filling, char text[NUMBER_TEXT_MAX])
{
    double now;
    if (said->temperature)
        return;
    snprintf(text, NUMBER_TEXT_MAX, "%.9g", answer->temperature);
    if (answer->has_temperature)
        set(filling, "temperature", text);
    else if (said_number(filling, "temperature", &now))
        set(filling, "temperature", NULL);
}

/* Less than 0: none. */
static double limit_of(const struct mode_answer *answer, const struct request_said *said)
{
    bool is_said = said->limit_tokens >= 0;
    if (answer->max_output == 0 || (is_said && said->limit_tokens <= answer->max_output))
        return said->limit_tokens;
    return answer->max_output;
}

/* What is right already stays as it is written. */
static void fill_limit(const struct mode_answer *answer, const struct request_said *said,
        const char *key, struct filling *filling, char text[NUMBER_TEXT_MAX])
{
    double now = -1, wanted = limit_of(answer, said);
    (void)said_number(filling, key, &now);
    bool differs = now < wanted || now > wanted;
    if (!differs || (now < 0 && wanted < 0))
        return;
    snprintf(text, NUMBER_TEXT_MAX, "%.15g", wanted);
    set(filling, key, wanted < 0 ? NULL : text);
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

int mode_fill_body(const struct mode_answer *answer, const struct request_said *said,
        enum request_kind kind, struct buf *body)
{
    struct filling filling = {.text = buf_at(body), .len = body->len};
    char temperature[NUMBER_TEXT_MAX], limit[NUMBER_TEXT_MAX];
    const char *key = limit_key(kind);
    if (!key)
        return 0;
    fill_temperature(answer, said, &filling, temperature);
    fill_limit(answer, said, key, &filling, limit);
    return filling.edit_count ? edit(&filling, body) : 0;
}

uint32_t mode_answer_limit(
        const struct mode_answer *answer, const struct request_said *said, enum request_kind kind)
{
    double limit = limit_key(kind) ? limit_of(answer, said) : 0;
    if (!(limit > 0))
        return 0;
    return limit < UINT32_MAX ? (uint32_t)limit : UINT32_MAX;
}
