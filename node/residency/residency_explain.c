#include "node/residency/residency.h"

#include "common/saturating.h"
#include "common/text.h"
#include "node/residency/residency_room.h"

enum { SIZE_TEXT_MAX = 32, AGE_TEXT_MAX = 32, MS_PER_S = 1000 };

/* What is explained, and the text so far. */
struct words {
    const struct residency_host *host;
    const struct residency_model *models;
    size_t count;
    const struct residency_model *model;
    struct text_writer out;
};

struct size_text {
    char text[SIZE_TEXT_MAX];
};

static struct size_text size_text(uint64_t bytes)
{
    struct size_text ret;

    (void)text_format_size(bytes, ret.text, sizeof ret.text);
    return ret;
}

/* A duration that begins with nothing reads "0 s": at least a second is left of what still lasts.
 */
static void say_until(struct words *words, const char *before, uint64_t at_ms)
{
    uint64_t left_ms = saturating_difference(at_ms, words->host->now_ms);
    char age[AGE_TEXT_MAX];

    text_write(&words->out, "%s%s", before,
            text_format_age(left_ms < MS_PER_S ? MS_PER_S : left_ms, age, sizeof age));
}

static void say_need(struct words *words)
{
    text_write(&words->out, "%s needs %s", words->model->name,
            size_text(words->model->memory_bytes).text);
}

/* --- who holds the memory --- */

typedef bool who_fn(const struct words *words, const struct residency_model *other);

static bool is_engine(const struct words *words, const struct residency_model *other)
{
    return room_holds(other) && other != words->model;
}

static bool is_pinned(const struct words *words, const struct residency_model *other)
{
    return is_engine(words, other) && other->pinned;
}

static bool is_foreign(const struct words *words, const struct residency_model *other)
{
    (void)words;
    return other->foreign && other->state == RESIDENCY_RESIDENT && other->memory_bytes > 0;
}

static bool is_in_the_way(const struct words *words, const struct residency_model *other)
{
    return other->displaced_by == words->model ||
           (other->state == RESIDENCY_STOPPING && room_holds(other));
}

static bool is_displaced(const struct words *words, const struct residency_model *other)
{
    return other->displaced_by == words->model;
}

static bool is_first(const struct words *words, const struct residency_model *other)
{
    (void)words;
    return (other->state == RESIDENCY_LOADING && room_holds(other)) ||
           other->verdict == RESIDENCY_LOAD ||
           (other->verdict == RESIDENCY_WAIT && other->reason == RESIDENCY_LEAVING);
}

static bool has_claim(const struct words *words, const struct residency_model *other)
{
    return other != words->model && other->verdict == RESIDENCY_WAIT &&
           (other->reason == RESIDENCY_BUSY || other->reason == RESIDENCY_YOUNG ||
                   other->reason == RESIDENCY_CALM);
}

/* Larger first, then by place. */
static bool is_behind(const struct residency_model *a, const struct residency_model *b)
{
    return a->memory_bytes != b->memory_bytes ? a->memory_bytes < b->memory_bytes : a > b;
}

static const struct residency_model *next_of(
        const struct words *words, who_fn *who, const struct residency_model *last)
{
    const struct residency_model *next = NULL;

    for (size_t i = 0; i < words->count; i++) {
        const struct residency_model *other = &words->models[i];
        if (who(words, other) && (last == NULL || is_behind(other, last)) &&
                (next == NULL || is_behind(next, other)))
            next = other;
    }
    return next;
}

static size_t count_of(const struct words *words, who_fn *who)
{
    size_t n = 0;

    for (size_t i = 0; i < words->count; i++)
        n += who(words, &words->models[i]);
    return n;
}

/* "a (30.0 GiB), b (20.0 GiB) and 3 more", the largest first; "other models" where there is none.
 */
static void say_models(struct words *words, who_fn *who)
{
    size_t count = count_of(words, who), named = 0;
    const struct residency_model *model = NULL;

    if (count == 0)
        text_write(&words->out, "other models");
    while (named < RESIDENCY_NAMED_MAX && (model = next_of(words, who, model)) != NULL) {
        named++;
        text_write(&words->out, "%s%s (%s)",
                named == 1       ? ""
                : named == count ? " and "
                                 : ", ",
                model->name, size_text(model->memory_bytes).text);
    }
    if (count > named)
        text_write(&words->out, " and %zu more", count - named);
}

/* --- sentences --- */

static void say_load(struct words *words)
{
    struct residency_room room =
            residency_room(words->host, words->models, words->count, words->model);

    say_need(words);
    text_write(&words->out, " of the %s that are free for models", size_text(room.now_bytes).text);
}

static void say_too_big(struct words *words)
{
    uint64_t limit = words->host->limit_bytes;
    uint64_t excess = saturating_difference(words->model->memory_bytes, limit);

    say_need(words);
    text_write(&words->out, "; this node may use %s: %s less", size_text(limit).text,
            size_text(excess).text);
    text_write(&words->out,
            " would fit (a shorter context, a smaller cache type or quantisation), or a higher "
            "memory limit");
    if (words->host->swap_bytes > 0)
        text_write(&words->out, "; the swap allowance of %s is too small for it",
                size_text(words->host->swap_bytes).text);
}

static void say_pins(struct words *words)
{
    struct residency_room room =
            residency_room(words->host, words->models, words->count, words->model);

    say_need(words);
    text_write(&words->out, "; beside the pinned %s",
            count_of(words, is_pinned) == 1 ? "model " : "models ");
    say_models(words, is_pinned);
    text_write(&words->out, " there are %s of the limit of %s: unpin one, or use a shorter context",
            size_text(room.beside_pins_bytes).text, size_text(words->host->limit_bytes).text);
}

static void say_others(struct words *words)
{
    struct residency_room room =
            residency_room(words->host, words->models, words->count, words->model);

    say_need(words);
    text_write(&words->out, "; other programs");
    if (count_of(words, is_foreign) > 0) {
        text_write(&words->out, ", among them engines with ");
        say_models(words, is_foreign);
        text_write(&words->out, ",");
    }
    text_write(&words->out, " leave %s", size_text(room.beside_pins_bytes).text);
    if (count_of(words, is_pinned) > 0) {
        text_write(&words->out, " beside the pinned ");
        say_models(words, is_pinned);
    }
    text_write(&words->out, ": end some of them, or ask again when their memory is back");
}

static void say_failed(struct words *words)
{
    struct residency_room room =
            residency_room(words->host, words->models, words->count, words->model);

    text_write(&words->out, "%s failed to load %u time%s; ", words->model->name,
            words->model->failures, words->model->failures == 1 ? "" : "s");
    text_write(&words->out, "it needs %s, %s are free, and ",
            size_text(words->model->memory_bytes).text, size_text(room.now_bytes).text);
    say_models(words, is_engine);
    say_until(words, " will not be stopped for it within ", residency_pardon_ms(words->model));
    text_write(&words->out, ": mend it, or unload one of them");
}

static void say_batch_only(struct words *words)
{
    say_need(words);
    text_write(&words->out,
            ", more than the limit of %s; with the swap allowance of %s it serves batch work "
            "only",
            size_text(words->host->limit_bytes).text, size_text(words->host->swap_bytes).text);
}

static void say_backoff(struct words *words)
{
    say_until(words, "its last engine failed; next try in ", words->model->until_ms);
}

static void say_turn(struct words *words)
{
    text_write(&words->out, "loads come one at a time: first ");
    say_models(words, is_first);
}

static void say_claimed(struct words *words)
{
    text_write(&words->out, "its memory is kept for ");
    say_models(words, has_claim);
}

static void say_leaving(struct words *words)
{
    say_models(words, is_in_the_way);
    text_write(&words->out, count_of(words, is_in_the_way) == 1 ? " is stopping" : " are stopping");
}

static void say_settling(struct words *words)
{
    text_write(&words->out, "the memory of an engine that has ended is not free yet");
}

static void say_calm(struct words *words)
{
    say_until(words, "other programs took memory a moment ago; loads begin again in ",
            words->model->until_ms);
}

static void say_regret(struct words *words)
{
    if (words->model->until_ms == 0) {
        text_write(&words->out, "nobody needs it now, so no other model is stopped for it");
        return;
    }
    say_until(words,
            "the models in its way are in use; they make room when it has waited as long as that "
            "costs them, within ",
            words->model->until_ms);
}

static void say_busy(struct words *words)
{
    say_models(words, is_displaced);
    text_write(&words->out, count_of(words, is_displaced) == 1 ? " makes" : " make");
    text_write(&words->out, " room once the requests under way have ended");
}

static void say_young(struct words *words)
{
    say_models(words, is_displaced);
    text_write(&words->out, count_of(words, is_displaced) == 1 ? " was" : " were");
    say_until(words, " loaded only just now and may be stopped in ", words->model->until_ms);
}

static void (*const say_reason[RESIDENCY_REASON_COUNT])(struct words *) = {
        [RESIDENCY_FITS] = say_load,
        [RESIDENCY_BACKOFF] = say_backoff,
        [RESIDENCY_TURN] = say_turn,
        [RESIDENCY_CLAIMED] = say_claimed,
        [RESIDENCY_LEAVING] = say_leaving,
        [RESIDENCY_SETTLING] = say_settling,
        [RESIDENCY_CALM] = say_calm,
        [RESIDENCY_REGRET] = say_regret,
        [RESIDENCY_BUSY] = say_busy,
        [RESIDENCY_YOUNG] = say_young,
        [RESIDENCY_TOO_BIG] = say_too_big,
        [RESIDENCY_PINS] = say_pins,
        [RESIDENCY_OTHERS] = say_others,
        [RESIDENCY_FAILED] = say_failed,
        [RESIDENCY_BATCH_ONLY] = say_batch_only,
};

static void say_eviction(struct words *words)
{
    const struct residency_model *model = words->model;
    struct room room = room_now(words->host, words->models, words->count);
    uint64_t over = room_over_limit(room, words->host);

    if (model->displaced_by != NULL)
        text_write(&words->out, "%s makes room for %s, which needs %s", model->name,
                model->displaced_by->name, size_text(model->displaced_by->memory_bytes).text);
    else if (over > 0)
        text_write(&words->out, "%s is stopped: the models take %s more than the limit of %s",
                model->name, size_text(over).text, size_text(words->host->limit_bytes).text);
    else
        text_write(&words->out, "%s is stopped: other programs took memory, %s too little is free",
                model->name, size_text(room_short_bytes(room, words->host)).text);
}

static void say_closed(struct words *words)
{
    text_write(&words->out, "%s takes no new request: it makes room for %s", words->model->name,
            words->model->displaced_by->name);
}

const char *residency_explain(const struct residency_host *host,
        const struct residency_model *models, size_t count, const struct residency_model *model,
        char *buf, size_t size)
{
    struct words words = {.host = host,
            .models = models,
            .count = count,
            .model = model,
            .out = {.text = buf, .size = size}};

    buf[0] = '\0';
    if (model->verdict == RESIDENCY_WAIT)
        text_write(&words.out, "%s waits: ", model->name);
    if (model->verdict != RESIDENCY_NONE)
        say_reason[model->reason](&words);
    else if (model->evict)
        say_eviction(&words);
    else if (model->close)
        say_closed(&words);
    return buf;
}
