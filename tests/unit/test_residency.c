#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/residency/residency.h"

#include <stdlib.h>
#include <string.h>

enum { MODELS_MAX = 8, LOAD_MS = 10000 };

static const uint64_t gib = 1024 * 1024 * 1024, now = 100000000;

/* A host of 96 GiB with nothing loaded; what a test adds to `models` counts. */
struct scene {
    struct residency_host host;
    struct residency_model models[MODELS_MAX];
    size_t count;
    struct residency_decision decision;
};

static struct scene *scene;

static int setup(void **state)
{
    (void)state;
    scene = calloc(1, sizeof *scene);
    if (scene == NULL)
        return -1;
    scene->host = (struct residency_host){
            .now_ms = now, .limit_bytes = 96 * gib, .pool_free_bytes = 96 * gib};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(scene);
    return 0;
}

static struct residency_model *add_model(const char *name, uint64_t size_gib)
{
    struct residency_model *model = &scene->models[scene->count++];

    *model = (struct residency_model){
            .name = name, .memory_bytes = size_gib * gib, .load_ms = LOAD_MS};
    return model;
}

/* Idle, long enough here to leave, and nobody's favourite. */
static struct residency_model *add_resident(const char *name, uint64_t size_gib)
{
    struct residency_model *model = add_model(name, size_gib);

    model->state = RESIDENCY_RESIDENT;
    model->taken_bytes = model->memory_bytes;
    model->loaded_at_ms = now - LOAD_MS * 100;
    model->used_at_ms = model->loaded_at_ms;
    scene->host.pool_free_bytes -= model->memory_bytes;
    return model;
}

static struct residency_model *add_busy(const char *name, uint64_t size_gib)
{
    struct residency_model *model = add_resident(name, size_gib);

    model->busy = true;
    model->used_at_ms = now;
    return model;
}

static struct residency_model *add_pinned(const char *name, uint64_t size_gib)
{
    struct residency_model *model = add_resident(name, size_gib);

    model->pinned = true;
    return model;
}

/* Somebody else's, in an engine that this node uses too. */
static struct residency_model *add_foreign(const char *name, uint64_t size_gib)
{
    struct residency_model *model = add_resident(name, size_gib);

    model->foreign = true;
    return model;
}

static struct residency_model *add_stopping(const char *name, uint64_t size_gib)
{
    struct residency_model *model = add_resident(name, size_gib);

    model->state = RESIDENCY_STOPPING;
    return model;
}

static struct residency_model *add_wanted(const char *name, uint64_t size_gib, uint64_t waited_ms)
{
    struct residency_model *model = add_model(name, size_gib);

    model->waiting = 1;
    model->waiting_since_ms = now - waited_ms;
    return model;
}

static void decide(void)
{
    residency_decide(&scene->host, scene->models, scene->count, &scene->decision);
}

static void later(uint64_t ms)
{
    scene->host.now_ms += ms;
    decide();
}

#define expect_verdict(model, want, why)                                                           \
    do {                                                                                           \
        assert_int_equal((model)->verdict, want);                                                  \
        assert_int_equal((model)->reason, why);                                                    \
    } while (0)
#define expect_wait(model, why)   expect_verdict(model, RESIDENCY_WAIT, why)
#define expect_refuse(model, why) expect_verdict(model, RESIDENCY_REFUSE, why)

static void expect_load(const struct residency_model *model)
{
    assert_ptr_equal(scene->decision.load, model);
    if (model != NULL)
        expect_verdict(model, RESIDENCY_LOAD, RESIDENCY_FITS);
}

static void expect_words(const struct residency_model *model, const char *want)
{
    char text[512];

    assert_string_equal(
            residency_explain(&scene->host, scene->models, scene->count, model, text, sizeof text),
            want);
}

/* --- what fits --- */

static void test_nothing_to_do(void **state)
{
    struct residency_model *idle = add_resident("idle", 90), *absent = add_model("absent", 90);

    (void)state;
    decide();
    expect_load(NULL);
    assert_int_equal(idle->verdict, RESIDENCY_NONE);
    assert_int_equal(absent->verdict, RESIDENCY_NONE);
    assert_false(idle->evict || idle->close);
    expect_words(idle, "");
    residency_decide(&scene->host, NULL, 0, &scene->decision);
    expect_load(NULL);
}

static void test_loads_at_once_into_free_memory(void **state)
{
    struct residency_model *wanted;

    (void)state;
    add_busy("busy", 36);
    wanted = add_wanted("wanted", 60, 0);
    decide();
    expect_load(wanted);
    expect_words(wanted, "wanted needs 60.0 GiB of the 60.0 GiB that are free for models");
}

static void test_limit_to_the_byte(void **state)
{
    struct residency_model *wanted;

    (void)state;
    add_busy("busy", 36);
    wanted = add_wanted("wanted", 60, 3600000);
    scene->host.pool_free_bytes = 1000 * gib;
    wanted->memory_bytes++;
    decide();
    expect_wait(wanted, RESIDENCY_BUSY);
    wanted->memory_bytes--;
    decide();
    expect_load(wanted);
}

static void test_free_memory_to_the_byte(void **state)
{
    struct residency_model *wanted = add_wanted("wanted", 60, 0);

    (void)state;
    scene->host.keep_free_bytes = 10 * gib;
    scene->host.pool_free_bytes = 70 * gib - 1;
    decide();
    expect_refuse(wanted, RESIDENCY_OTHERS);
    scene->host.pool_free_bytes++;
    decide();
    expect_load(wanted);
}

static void test_promised_memory_is_not_free(void **state)
{
    struct residency_model *mapped = add_busy("mapped", 30), *wanted = add_wanted("wanted", 60, 0);

    (void)state;
    /* As the kernel counts it, half of the busy model is available. */
    mapped->taken_bytes = 15 * gib;
    scene->host.pool_free_bytes = 75 * gib - 1;
    decide();
    expect_load(NULL);
    scene->host.pool_free_bytes++;
    decide();
    expect_load(wanted);
}

static void test_one_load_at_a_time(void **state)
{
    struct residency_model *second = add_wanted("second", 10, 1000);
    struct residency_model *first = add_wanted("first", 10, 2000);

    (void)state;
    decide();
    expect_load(first);
    expect_wait(second, RESIDENCY_TURN);
    expect_words(second, "second waits: loads come one at a time: first first (10.0 GiB)");
    first->state = RESIDENCY_LOADING;
    decide();
    expect_load(NULL);
    expect_wait(second, RESIDENCY_TURN);
    first->state = RESIDENCY_RESIDENT;
    first->waiting = 0;
    decide();
    expect_load(second);
}

static void test_order(void **state)
{
    struct residency_model *died = add_model("died", 10), *waits = add_wanted("waits", 10, 1);
    struct residency_model *pinned = add_model("pinned", 10);

    (void)state;
    died->restart = true;
    pinned->pinned = true;
    decide();
    expect_load(pinned);
    pinned->state = RESIDENCY_RESIDENT;
    decide();
    expect_load(waits);
    waits->waiting = 0;
    decide();
    expect_load(died);
}

static void test_restart_displaces_nobody(void **state)
{
    struct residency_model *died, *idle = add_resident("idle", 60);

    (void)state;
    died = add_model("died", 60);
    died->restart = true;
    decide();
    expect_wait(died, RESIDENCY_REGRET);
    assert_false(idle->evict);
    expect_words(died, "died waits: nobody needs it now, so no other model is stopped for it");
}

/* --- who leaves --- */

static void test_evicts_least_worth(void **state)
{
    struct residency_model *quick = add_resident("quick", 30), *slow = add_resident("slow", 30);
    struct residency_model *rare = add_resident("rare", 30);
    struct residency_model *wanted = add_wanted("wanted", 20, 3600000);

    (void)state;
    quick->rate_per_s = slow->rate_per_s = 0.01f;
    quick->load_ms = LOAD_MS / 2;
    rare->rate_per_s = 0.006f;
    decide();
    assert_true(quick->evict);
    assert_false(rare->evict || slow->evict);
    quick->rate_per_s = 0.03f;
    decide();
    assert_true(rare->evict);
    assert_false(quick->evict || slow->evict);
    scene->host.pool_free_bytes += 15 * gib;
    rare->memory_bytes = rare->taken_bytes = 15 * gib; /* worth twice as much by byte */
    wanted->memory_bytes = 30 * gib;
    decide();
    assert_true(slow->evict);
    assert_false(quick->evict || rare->evict);
}

static void test_evicts_oldest_of_equals(void **state)
{
    struct residency_model *newer = add_resident("newer", 40), *older = add_resident("older", 40);
    struct residency_model *wanted = add_wanted("wanted", 40, 0);

    (void)state;
    newer->used_at_ms++;
    decide();
    assert_true(older->evict);
    assert_ptr_equal(older->displaced_by, wanted);
    assert_false(newer->evict);
    expect_wait(wanted, RESIDENCY_LEAVING);
    expect_words(older, "older makes room for wanted, which needs 40.0 GiB");
    expect_words(wanted, "wanted waits: older (40.0 GiB) is stopping");
}

static void test_spares_what_is_not_needed(void **state)
{
    struct residency_model *small = add_resident("small", 5), *large = add_resident("large", 80);

    (void)state;
    large->used_at_ms++;
    add_wanted("wanted", 60, 0);
    decide();
    assert_true(large->evict);
    assert_false(small->evict);
    assert_null(small->displaced_by);
}

static void test_evicts_two_of_three(void **state)
{
    struct residency_model *a = add_resident("a", 30), *b = add_resident("b", 30);
    struct residency_model *c = add_resident("c", 30);

    (void)state;
    a->rate_per_s = 0.1f;
    add_wanted("wanted", 66, 3600000);
    decide();
    assert_false(a->evict);
    assert_true(b->evict && c->evict);
}

static void test_never_pinned(void **state)
{
    struct residency_model *pinned = add_pinned("pinned", 60), *idle = add_resident("idle", 30);

    (void)state;
    idle->rate_per_s = 1;
    add_wanted("wanted", 30, 3600000);
    decide();
    assert_true(idle->evict);
    assert_false(pinned->evict || pinned->close);
}

static void test_never_busy_or_awaited(void **state)
{
    struct residency_model *used = add_resident("used", 60);
    struct residency_model *wanted = add_wanted("wanted", 60, 3600000);

    (void)state;
    used->busy = true;
    decide();
    expect_wait(wanted, RESIDENCY_BUSY);
    assert_false(used->evict);
    used->busy = false;
    used->waiting = 1;
    decide();
    expect_wait(wanted, RESIDENCY_BUSY);
    assert_false(used->evict);
    used->waiting = 0;
    decide();
    assert_true(used->evict);
}

static void test_no_eviction_while_memory_is_leaving(void **state)
{
    struct residency_model *going = add_stopping("going", 60), *idle = add_resident("idle", 30);
    struct residency_model *wanted = add_wanted("wanted", 60, 3600000);

    (void)state;
    decide();
    expect_wait(wanted, RESIDENCY_LEAVING);
    assert_false(idle->evict);
    expect_words(wanted, "wanted waits: going (60.0 GiB) is stopping");
    going->state = RESIDENCY_ABSENT;
    scene->host.pool_free_bytes += 60 * gib;
    decide();
    expect_load(wanted);
}

static void test_waits_for_the_memory_of_an_ended_engine(void **state)
{
    struct residency_model *idle = add_resident("idle", 30);
    struct residency_model *wanted = add_wanted("wanted", 60, 3600000);

    (void)state;
    scene->host.pool_free_bytes = 6 * gib;
    scene->host.released_at_ms = now;
    later(RESIDENCY_SETTLE_MS - 1);
    expect_wait(wanted, RESIDENCY_SETTLING);
    assert_false(idle->evict);
    later(1);
    expect_refuse(wanted, RESIDENCY_OTHERS);
}

static void test_no_eviction_during_a_load(void **state)
{
    struct residency_model *loading = add_resident("loading", 40);
    struct residency_model *idle = add_resident("idle", 40), *wanted = add_wanted("wanted", 40, 0);

    (void)state;
    loading->state = RESIDENCY_LOADING;
    decide();
    expect_wait(wanted, RESIDENCY_TURN);
    assert_false(idle->evict);
    assert_ptr_equal(idle->displaced_by, wanted);
}

/* --- when --- */

static void test_tenure(void **state)
{
    struct residency_model *young = add_resident("young", 60);
    struct residency_model *wanted = add_wanted("wanted", 60, 3600000);

    (void)state;
    young->loaded_at_ms = now - RESIDENCY_TENURE * LOAD_MS + 3000;
    decide();
    expect_wait(wanted, RESIDENCY_YOUNG);
    assert_int_equal(wanted->until_ms, now + 3000);
    assert_false(young->evict || young->close);
    expect_words(wanted,
            "wanted waits: young (60.0 GiB) was loaded only just now and may be stopped in 3 s");
    later(2999);
    assert_false(young->evict);
    later(1);
    assert_true(young->evict);
}

static void test_prefers_who_can_leave_to_the_young(void **state)
{
    struct residency_model *young = add_resident("young", 45), *old = add_resident("old", 45);

    (void)state;
    young->loaded_at_ms = now;
    old->rate_per_s = 0.001f;
    add_wanted("wanted", 45, 3600000);
    decide();
    assert_true(old->evict);
    assert_false(young->evict);
}

static void test_regret_must_reach_the_price(void **state)
{
    struct residency_model *used = add_resident("used", 60);
    struct residency_model *wanted = add_wanted("wanted", 60, 0);

    (void)state;
    /* A request is certain to miss it: the price is both loads, 20 s. */
    used->rate_per_s = 1;
    used->used_at_ms = now + 3600000;
    decide();
    expect_wait(wanted, RESIDENCY_REGRET);
    assert_int_equal(wanted->until_ms, now + 20000);
    assert_null(used->displaced_by);
    expect_words(wanted,
            "wanted waits: the models in its way are in use; they make room when it has waited as "
            "long as that costs them, within 20 s");
    later(19999);
    assert_false(used->evict);
    later(1);
    assert_true(used->evict);
    /* Four who wait regret four times as much. */
    wanted->waiting = 4;
    scene->host.now_ms = now;
    later(4999);
    assert_false(used->evict);
    later(1);
    assert_true(used->evict);
}

static void test_price_is_the_chance_of_a_miss(void **state)
{
    struct residency_model *used = add_resident("used", 60);
    struct residency_model *wanted = add_wanted("wanted", 60, 0);

    (void)state;
    /* One request in 200 s, 20 s for the swap: a chance of a tenth. */
    used->rate_per_s = 0.005f;
    used->used_at_ms = now + 3600000;
    later(1999);
    expect_wait(wanted, RESIDENCY_REGRET);
    later(2);
    assert_true(used->evict);
}

static void test_silence_lowers_the_price(void **state)
{
    struct residency_model *used = add_resident("used", 60);
    struct residency_model *wanted = add_wanted("wanted", 60, 0);

    (void)state;
    used->rate_per_s = 0.1f;
    used->used_at_ms = now;
    later(5000);
    expect_wait(wanted, RESIDENCY_REGRET);
    scene->host.now_ms = now;
    used->used_at_ms = now - 20000;
    later(5000);
    assert_true(used->evict);
}

static void test_pinned_does_not_weigh(void **state)
{
    struct residency_model *used = add_resident("used", 60), *pinned = add_model("pinned", 60);

    (void)state;
    used->rate_per_s = 1;
    used->used_at_ms = now;
    pinned->pinned = true;
    decide();
    assert_true(used->evict);
    used->loaded_at_ms = now;
    decide();
    expect_wait(pinned, RESIDENCY_YOUNG);
}

/* --- nobody starves --- */

static void test_closes_who_is_never_idle(void **state)
{
    struct residency_model *busy = add_busy("busy", 60);
    struct residency_model *wanted = add_wanted("wanted", 60, 19999);

    (void)state;
    decide();
    expect_wait(wanted, RESIDENCY_REGRET);
    assert_false(busy->close);
    later(1);
    expect_wait(wanted, RESIDENCY_BUSY);
    assert_true(busy->close);
    assert_false(busy->evict);
    expect_words(busy, "busy takes no new request: it makes room for wanted");
    expect_words(wanted,
            "wanted waits: busy (60.0 GiB) makes room once the requests under way have "
            "ended");
    /* The next users of the busy one wait too; that does not keep it. */
    busy->closed = true;
    busy->waiting = 3;
    busy->waiting_since_ms = now;
    busy->busy = false;
    later(1000);
    assert_true(busy->evict);
    /* Without the one who waits it is open again. */
    wanted->waiting = 0;
    decide();
    assert_false(busy->evict || busy->close);
}

static void test_prefers_idle_to_closing(void **state)
{
    struct residency_model *busy = add_busy("busy", 48), *idle = add_resident("idle", 48);

    (void)state;
    idle->rate_per_s = 0.5f;
    add_wanted("wanted", 48, 3600000);
    decide();
    assert_true(idle->evict);
    assert_false(busy->close);
}

static void test_closed_one_stays_closed(void **state)
{
    struct residency_model *first = add_busy("first", 48), *second = add_busy("second", 48);
    struct residency_model *wanted = add_wanted("wanted", 48, 3600000);

    (void)state;
    first->closed = true;
    first->rate_per_s = 5;
    decide();
    assert_true(first->close);
    assert_false(second->close);
    /* Also where it is idle before the other is. */
    wanted->memory_bytes = 90 * gib;
    first->busy = false;
    decide();
    expect_wait(wanted, RESIDENCY_BUSY);
    assert_true(first->close && second->close);
    assert_false(first->evict);
}

/* … beside a claim that comes first and closes nothing, as it waits for a model to grow old. */
static void test_closed_one_stays_closed_beside_another_claim(void **state)
{
    struct residency_model *one = add_busy("one", 20), *other = add_busy("other", 20);
    struct residency_model *young = add_resident("young", 30);
    struct residency_model *big = add_wanted("big", 70, 3600000);
    struct residency_model *small = add_wanted("small", 25, 3000000);

    (void)state;
    young->loaded_at_ms = now - LOAD_MS;
    one->closed = true;
    decide();
    expect_wait(big, RESIDENCY_YOUNG);
    expect_wait(small, RESIDENCY_BUSY);
    assert_true(one->close);
    assert_false(other->close);
}

static void test_claim_is_kept(void **state)
{
    struct residency_model *busy = add_busy("busy", 60), *big = add_wanted("big", 90, 3600000);
    struct residency_model *small = add_wanted("small", 10, 1000);

    (void)state;
    /* It would fit now, and big would wait for it next. */
    decide();
    expect_wait(big, RESIDENCY_BUSY);
    assert_true(busy->close);
    expect_wait(small, RESIDENCY_CLAIMED);
    expect_words(small, "small waits: its memory is kept for big (90.0 GiB)");
    small->memory_bytes = 6 * gib;
    decide();
    expect_load(small);
    assert_true(busy->close);
}

static void test_no_claim_before_it_is_due(void **state)
{
    struct residency_model *small;

    (void)state;
    add_busy("busy", 60);
    add_wanted("big", 90, 1000);
    small = add_wanted("small", 10, 0);
    decide();
    expect_load(small);
}

static void test_claimed_victims_are_not_taken_twice(void **state)
{
    struct residency_model *idle = add_resident("idle", 40), *busy = add_busy("busy", 40);
    struct residency_model *first = add_wanted("first", 90, 3600000);
    struct residency_model *second = add_wanted("second", 50, 3000000);

    (void)state;
    decide();
    expect_wait(first, RESIDENCY_BUSY);
    assert_ptr_equal(idle->displaced_by, first);
    assert_ptr_equal(busy->displaced_by, first);
    assert_false(idle->evict || idle->close);
    expect_wait(second, RESIDENCY_CLAIMED);
}

/* Each wants the memory of the other: the longer wait goes first, then they take turns. */
static void test_two_that_need_each_other(void **state)
{
    struct residency_model *a = add_wanted("a", 60, 2000), *b = add_wanted("b", 60, 1000);

    (void)state;
    decide();
    expect_load(a);
    expect_wait(b, RESIDENCY_TURN);
    a->state = RESIDENCY_RESIDENT;
    a->taken_bytes = a->memory_bytes;
    a->loaded_at_ms = scene->host.now_ms;
    a->busy = true;
    a->waiting = 0;
    scene->host.pool_free_bytes -= 60 * gib;
    later(2 * LOAD_MS - 1);
    expect_wait(b, RESIDENCY_YOUNG);
    later(1);
    expect_wait(b, RESIDENCY_BUSY);
    assert_true(a->close);
}

/* --- who is refused --- */

static void test_refuses_what_never_fits(void **state)
{
    struct residency_model *wanted = add_wanted("wanted", 120, 0);
    struct residency_model *other = add_wanted("other", 10, 0);

    (void)state;
    decide();
    expect_refuse(wanted, RESIDENCY_TOO_BIG);
    expect_load(other);
    expect_words(wanted,
            "wanted needs 120.0 GiB; this node may use 96.0 GiB: 24.0 GiB less would fit (a "
            "shorter context, a smaller cache type or quantisation), or a higher memory limit");
}

static void test_refuses_what_does_not_fit_beside_pins(void **state)
{
    struct residency_model *wanted, *idle = add_resident("idle", 20);

    (void)state;
    add_pinned("small", 10);
    add_pinned("large", 40);
    wanted = add_wanted("wanted", 60, 0);
    decide();
    expect_refuse(wanted, RESIDENCY_PINS);
    assert_false(idle->evict);
    expect_words(wanted,
            "wanted needs 60.0 GiB; beside the pinned models large (40.0 GiB) and small "
            "(10.0 GiB) there are 46.0 GiB of the limit of 96.0 GiB: unpin one, or use a shorter "
            "context");
}

static void test_refuses_what_others_have(void **state)
{
    struct residency_model *wanted, *idle = add_resident("idle", 20);

    (void)state;
    scene->host.pool_free_bytes = 30 * gib;
    wanted = add_wanted("wanted", 60, 0);
    decide();
    expect_refuse(wanted, RESIDENCY_OTHERS);
    assert_false(idle->evict);
    expect_words(wanted, "wanted needs 60.0 GiB; other programs leave 50.0 GiB: end some of them, "
                         "or ask again when their memory is back");
    scene->host.pool_free_bytes = 40 * gib;
    decide();
    assert_true(idle->evict);
}

static void test_names_what_others_have_loaded(void **state)
{
    struct residency_model *wanted;

    (void)state;
    add_foreign("theirs", 40);
    add_foreign("elsewhere", 0);
    add_foreign("coming", 10)->state = RESIDENCY_LOADING;
    add_pinned("pinned", 16);
    wanted = add_wanted("wanted", 60, 0);
    decide();
    expect_refuse(wanted, RESIDENCY_OTHERS);
    expect_words(wanted,
            "wanted needs 60.0 GiB; other programs, among them engines with theirs (40.0 GiB), "
            "leave 30.0 GiB beside the pinned pinned (16.0 GiB): end some of them, or ask again "
            "when their memory is back");
}

static void test_others_models_are_not_in_the_limit(void **state)
{
    struct residency_model *wanted, *idle = add_resident("idle", 30);

    (void)state;
    add_foreign("theirs", 64);
    scene->host.limit_bytes = 60 * gib;
    scene->host.pool_free_bytes = 30 * gib;
    wanted = add_wanted("wanted", 30, 0);
    decide();
    assert_false(idle->evict);
    expect_load(wanted);
    assert_int_equal(residency_used_bytes(scene->models, scene->count), 30 * gib);
}

static void test_others_models_never_leave(void **state)
{
    struct residency_model *theirs = add_foreign("theirs", 60), *idle = add_resident("idle", 20);
    struct residency_model *wanted = add_wanted("wanted", 30, 3600000);

    (void)state;
    scene->host.pool_free_bytes = 16 * gib;
    decide();
    assert_true(idle->evict);
    assert_false(theirs->evict || theirs->close);
    expect_wait(wanted, RESIDENCY_LEAVING);
    expect_words(wanted, "wanted waits: idle (20.0 GiB) is stopping");
}

/* More is promised than there is, and only they could go: they do not. */
static void test_others_loads_are_not_stopped(void **state)
{
    struct residency_model *theirs = add_foreign("theirs", 60), *ours = add_model("ours", 20);

    (void)state;
    theirs->state = ours->state = RESIDENCY_LOADING;
    scene->host.pool_free_bytes = 10 * gib;
    decide();
    assert_true(ours->evict);
    assert_false(theirs->evict);
}

static void test_others_loads_are_not_waited_for(void **state)
{
    struct residency_model *theirs = add_foreign("theirs", 20), *ours = add_model("ours", 10);
    struct residency_model *wanted = add_wanted("wanted", 10, 0);

    (void)state;
    theirs->state = ours->state = RESIDENCY_LOADING;
    decide();
    expect_wait(wanted, RESIDENCY_TURN);
    expect_words(wanted, "wanted waits: loads come one at a time: first ours (10.0 GiB)");
    ours->state = RESIDENCY_ABSENT;
    decide();
    expect_load(wanted);
}

/* Whatever they do, also while they come and go. */
static void test_others_models_change_no_decision(void **state)
{
    static const enum residency_state states[] = {
            RESIDENCY_ABSENT, RESIDENCY_LOADING, RESIDENCY_RESIDENT, RESIDENCY_STOPPING};
    struct residency_model *idle = add_resident("idle", 40), *next = add_wanted("next", 60, 1000),
                           *busy = add_busy("busy", 20), *theirs = add_foreign("theirs", 0);

    (void)state;
    theirs->memory_bytes = theirs->taken_bytes = 500 * gib;
    theirs->pinned = theirs->restart = true;
    theirs->waiting = theirs->interactive = 1;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        theirs->state = states[i];
        decide();
        expect_load(NULL);
        assert_int_equal(theirs->verdict, RESIDENCY_NONE);
        assert_false(theirs->evict || theirs->close || busy->close);
        assert_true(idle->evict);
        expect_wait(next, RESIDENCY_LEAVING);
        expect_words(next, "next waits: idle (40.0 GiB) is stopping");
    }
}

static void test_room_for_a_context(void **state)
{
    struct residency_model *wanted;
    struct residency_room room;

    (void)state;
    add_pinned("pinned", 20);
    add_resident("idle", 30);
    add_stopping("going", 6);
    wanted = add_wanted("wanted", 200, 0);
    scene->host.keep_free_bytes = 5 * gib;
    room = residency_room(&scene->host, scene->models, scene->count, wanted);
    assert_int_equal(room.alone_bytes, 91 * gib);
    assert_int_equal(room.beside_pins_bytes, 71 * gib);
    assert_int_equal(room.now_bytes, 41 * gib);
    scene->host.limit_bytes = 60 * gib;
    room = residency_room(&scene->host, scene->models, scene->count, wanted);
    assert_int_equal(room.alone_bytes, 60 * gib);
    assert_int_equal(room.beside_pins_bytes, 40 * gib);
    assert_int_equal(room.now_bytes, 10 * gib);
    assert_int_equal(residency_used_bytes(scene->models, scene->count), 56 * gib);
}

/* --- failures --- */

static void test_back_off(void **state)
{
    struct residency_model *failed = add_wanted("failed", 60, 1000);
    struct residency_model *other = add_wanted("other", 60, 0);

    (void)state;
    failed->failures = 1;
    failed->failed_at_ms = now;
    failed->retry_at_ms = now + 4000;
    decide();
    expect_wait(failed, RESIDENCY_BACKOFF);
    expect_words(failed, "failed waits: its last engine failed; next try in 4 s");
    expect_load(other);
    other->waiting = 0;
    later(4000);
    expect_load(failed);
}

static void test_failed_one_displaces_nobody(void **state)
{
    struct residency_model *idle = add_resident("idle", 60);
    struct residency_model *failed = add_wanted("failed", 60, 1000);

    (void)state;
    failed->failures = 1;
    failed->failed_at_ms = now - 10000;
    failed->retry_at_ms = now;
    decide();
    expect_refuse(failed, RESIDENCY_FAILED);
    assert_false(idle->evict);
    expect_words(failed, "failed failed to load 1 time; it needs 60.0 GiB, 36.0 GiB are free, and "
                         "idle (60.0 GiB) will not be stopped for it within 50 s: mend it, or "
                         "unload one of them");
    later(RESIDENCY_PARDON_MS - 10001);
    expect_refuse(failed, RESIDENCY_FAILED);
    later(1);
    assert_true(idle->evict);
}

static void test_pardon_doubles(void **state)
{
    struct residency_model model = {.failed_at_ms = 1000};

    (void)state;
    assert_int_equal(residency_pardon_ms(&model), 0);
    model.failures = 1;
    assert_int_equal(residency_pardon_ms(&model), 1000 + RESIDENCY_PARDON_MS);
    model.failures = 3;
    assert_int_equal(residency_pardon_ms(&model), 1000 + RESIDENCY_PARDON_MS * 4);
    model.failures = 1000;
    assert_int_equal(residency_pardon_ms(&model), 1000 + (uint64_t)RESIDENCY_PARDON_MS * 64);
}

/* --- others' memory --- */

static void test_idle_models_go_when_others_take_memory(void **state)
{
    struct residency_model *idle = add_resident("idle", 20), *dear = add_resident("dear", 20);
    struct residency_model *busy = add_busy("busy", 20), *pinned = add_pinned("pinned", 20);
    struct residency_model *wanted = add_wanted("wanted", 1, 3600000);

    (void)state;
    idle->loaded_at_ms = now; /* no tenure against that */
    dear->rate_per_s = 1;
    scene->host.keep_free_bytes = 4 * gib;
    scene->host.pool_free_bytes = 1 * gib;
    decide();
    assert_int_equal(scene->decision.short_bytes, 1 * gib);
    assert_true(idle->evict);
    assert_null(idle->displaced_by);
    assert_false(dear->evict || busy->evict || pinned->evict);
    expect_refuse(wanted, RESIDENCY_OTHERS);
    expect_words(idle, "idle is stopped: other programs took memory, 1.0 GiB too little is free");
    scene->host.pool_free_bytes = 2 * gib;
    decide();
    assert_int_equal(scene->decision.short_bytes, 0);
    assert_false(idle->evict);
    expect_load(NULL); /* that needs the whole of it */
}

static void test_only_as_many_go_as_needed(void **state)
{
    struct residency_model *small = add_resident("small", 5), *large = add_resident("large", 40);
    struct residency_model *dear = add_resident("dear", 40);

    (void)state;
    large->rate_per_s = 0.1f;
    dear->rate_per_s = 1;
    scene->host.keep_free_bytes = 42 * gib;
    scene->host.pool_free_bytes = 1 * gib;
    decide();
    assert_true(large->evict);
    assert_false(small->evict || dear->evict);
}

static void test_all_go_where_nothing_is_free(void **state)
{
    struct residency_model *idle = add_resident("idle", 20), *dear = add_resident("dear", 20);

    (void)state;
    dear->rate_per_s = 1;
    scene->host.keep_free_bytes = 1 * gib;
    scene->host.pool_free_bytes = 1;
    decide();
    assert_true(idle->evict);
    assert_false(dear->evict);
    scene->host.pool_free_bytes = 0;
    decide();
    assert_true(idle->evict && dear->evict);
}

static void test_leaving_memory_relieves(void **state)
{
    struct residency_model *idle = add_resident("idle", 20);

    (void)state;
    add_stopping("going", 20);
    scene->host.keep_free_bytes = 42 * gib;
    scene->host.pool_free_bytes = 1 * gib;
    decide();
    assert_int_equal(scene->decision.short_bytes, 0);
    assert_false(idle->evict);
    /* An ended engine's memory is given a moment to show; for more than that, others go. */
    scene->models[1].state = RESIDENCY_ABSENT;
    scene->host.released_at_ms = now;
    scene->host.released_bytes = 20 * gib - 1;
    decide();
    assert_true(idle->evict);
    scene->host.released_bytes = 20 * gib;
    later(RESIDENCY_RELEASE_MS - 1);
    assert_false(idle->evict);
    later(1);
    assert_true(idle->evict);
}

static void test_load_stops_last(void **state)
{
    struct residency_model *loading = add_resident("loading", 40);
    struct residency_model *idle = add_resident("idle", 10);

    (void)state;
    loading->state = RESIDENCY_LOADING;
    loading->waiting = 1;
    loading->taken_bytes = 10 * gib;
    scene->host.pool_free_bytes = 25 * gib;
    decide();
    assert_true(idle->evict);
    assert_false(loading->evict);
    scene->host.pool_free_bytes = 10 * gib;
    decide();
    assert_true(loading->evict);
    loading->pinned = true;
    decide();
    assert_false(loading->evict);
}

static void test_calm_after_a_shortage(void **state)
{
    struct residency_model *wanted = add_wanted("wanted", 20, 1000);

    (void)state;
    scene->host.short_at_ms = now;
    decide();
    expect_wait(wanted, RESIDENCY_CALM);
    expect_words(wanted, "wanted waits: other programs took memory a moment ago; loads begin again "
                         "in 10 s");
    later(RESIDENCY_CALM_MS - 1);
    expect_wait(wanted, RESIDENCY_CALM);
    later(1);
    expect_load(wanted);
}

static void test_engine_larger_than_estimated(void **state)
{
    struct residency_model *grown = add_busy("grown", 60), *idle = add_resident("idle", 30);
    struct residency_model *wanted = add_wanted("wanted", 10, 0);

    (void)state;
    grown->memory_bytes = grown->taken_bytes = 70 * gib;
    decide();
    assert_true(idle->evict);
    assert_int_equal(scene->decision.short_bytes, 0);
    expect_words(idle, "idle is stopped: the models take 4.0 GiB more than the limit of 96.0 GiB");
    expect_wait(wanted, RESIDENCY_LEAVING);
    /* Alone above the limit: gone once it is idle, and refused from then on. */
    grown->memory_bytes = grown->taken_bytes = 97 * gib;
    grown->busy = false;
    idle->state = RESIDENCY_ABSENT;
    decide();
    assert_true(grown->evict);
    grown->state = RESIDENCY_ABSENT;
    grown->waiting = 1;
    decide();
    expect_refuse(grown, RESIDENCY_TOO_BIG);
}

/* --- swap --- */

static void test_swap_for_batch_work_only(void **state)
{
    struct residency_model *wanted = add_wanted("wanted", 120, 0);

    (void)state;
    scene->host.swap_bytes = 24 * gib;
    assert_true(residency_swaps(&scene->host, 120 * gib));
    assert_false(residency_swaps(&scene->host, 120 * gib + 1));
    assert_false(residency_swaps(&scene->host, 96 * gib));
    decide();
    expect_load(wanted);
    wanted->interactive = 1;
    decide();
    expect_refuse(wanted, RESIDENCY_BATCH_ONLY);
    expect_words(wanted, "wanted needs 120.0 GiB, more than the limit of 96.0 GiB; with the swap "
                         "allowance of 24.0 GiB it serves batch work only");
    wanted->state = RESIDENCY_RESIDENT;
    decide();
    expect_refuse(wanted, RESIDENCY_BATCH_ONLY);
    wanted->state = RESIDENCY_ABSENT;
    wanted->interactive = 0;
    wanted->memory_bytes++;
    decide();
    expect_refuse(wanted, RESIDENCY_TOO_BIG);
}

static void test_swapping_model_is_alone(void **state)
{
    struct residency_model *idle = add_resident("idle", 10), *pinned;
    struct residency_model *wanted = add_wanted("wanted", 120, 0);

    (void)state;
    scene->host.swap_bytes = 50 * gib;
    decide();
    assert_true(idle->evict);
    expect_wait(wanted, RESIDENCY_LEAVING);
    pinned = add_pinned("pinned", 1);
    decide();
    expect_refuse(wanted, RESIDENCY_PINS);
    assert_false(idle->evict);
    assert_false(pinned->evict);
}

static void test_swapping_model_stays_and_makes_room(void **state)
{
    struct residency_model *swaps = add_model("swaps", 120), *wanted;

    (void)state;
    scene->host.swap_bytes = 50 * gib;
    swaps->state = RESIDENCY_RESIDENT;
    swaps->taken_bytes = swaps->memory_bytes;
    swaps->loaded_at_ms = 1;
    scene->host.keep_free_bytes = 1 * gib;
    scene->host.pool_free_bytes = 0;
    decide();
    assert_false(swaps->evict);
    wanted = add_wanted("wanted", 10, 0);
    decide();
    assert_true(swaps->evict);
    expect_wait(wanted, RESIDENCY_LEAVING);
}

/* --- numbers and text --- */

static void test_huge_numbers_do_not_wrap(void **state)
{
    struct residency_model *wanted;

    (void)state;
    scene->host.limit_bytes = UINT64_MAX - 1;
    add_pinned("a", 0)->memory_bytes = UINT64_MAX;
    add_pinned("b", 0)->memory_bytes = UINT64_MAX;
    wanted = add_wanted("wanted", 1, 0);
    assert_int_equal(residency_used_bytes(scene->models, scene->count), UINT64_MAX);
    decide();
    expect_refuse(wanted, RESIDENCY_PINS);
    wanted->memory_bytes = UINT64_MAX;
    scene->host.swap_bytes = UINT64_MAX;
    decide();
    expect_refuse(wanted, RESIDENCY_PINS);
}

static void test_names_the_largest(void **state)
{
    struct residency_model *wanted;

    (void)state;
    add_pinned("a", 1);
    add_pinned("b", 5);
    add_pinned("c", 5);
    add_pinned("d", 3);
    add_pinned("e", 4);
    add_pinned("f", 2);
    wanted = add_wanted("wanted", 80, 0);
    decide();
    expect_words(wanted,
            "wanted needs 80.0 GiB; beside the pinned models b (5.0 GiB), c (5.0 GiB), e (4.0 "
            "GiB), d (3.0 GiB) and 2 more there are 76.0 GiB of the limit of 96.0 GiB: unpin one, "
            "or use a shorter context");
}

static void test_text_is_cut_at_a_character(void **state)
{
    struct residency_model *wanted = add_wanted("größe", 120, 0);
    char text[64];

    (void)state;
    decide();
    for (size_t size = 1; size < sizeof text; size++) {
        memset(text, 'x', sizeof text);
        residency_explain(&scene->host, scene->models, 1, wanted, text, size);
        assert_true(strlen(text) < size);
        assert_int_equal(text[size], 'x');
    }
    residency_explain(&scene->host, scene->models, 1, wanted, text, 4);
    assert_string_equal(text, "gr");
    residency_explain(&scene->host, scene->models, 1, wanted, text, 5);
    assert_string_equal(text, "grö");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_nothing_to_do, setup, teardown),
            cmocka_unit_test_setup_teardown(test_loads_at_once_into_free_memory, setup, teardown),
            cmocka_unit_test_setup_teardown(test_limit_to_the_byte, setup, teardown),
            cmocka_unit_test_setup_teardown(test_free_memory_to_the_byte, setup, teardown),
            cmocka_unit_test_setup_teardown(test_promised_memory_is_not_free, setup, teardown),
            cmocka_unit_test_setup_teardown(test_one_load_at_a_time, setup, teardown),
            cmocka_unit_test_setup_teardown(test_order, setup, teardown),
            cmocka_unit_test_setup_teardown(test_restart_displaces_nobody, setup, teardown),
            cmocka_unit_test_setup_teardown(test_evicts_least_worth, setup, teardown),
            cmocka_unit_test_setup_teardown(test_evicts_oldest_of_equals, setup, teardown),
            cmocka_unit_test_setup_teardown(test_spares_what_is_not_needed, setup, teardown),
            cmocka_unit_test_setup_teardown(test_evicts_two_of_three, setup, teardown),
            cmocka_unit_test_setup_teardown(test_never_pinned, setup, teardown),
            cmocka_unit_test_setup_teardown(test_never_busy_or_awaited, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    test_no_eviction_while_memory_is_leaving, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    test_waits_for_the_memory_of_an_ended_engine, setup, teardown),
            cmocka_unit_test_setup_teardown(test_no_eviction_during_a_load, setup, teardown),
            cmocka_unit_test_setup_teardown(test_tenure, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    test_prefers_who_can_leave_to_the_young, setup, teardown),
            cmocka_unit_test_setup_teardown(test_regret_must_reach_the_price, setup, teardown),
            cmocka_unit_test_setup_teardown(test_price_is_the_chance_of_a_miss, setup, teardown),
            cmocka_unit_test_setup_teardown(test_silence_lowers_the_price, setup, teardown),
            cmocka_unit_test_setup_teardown(test_pinned_does_not_weigh, setup, teardown),
            cmocka_unit_test_setup_teardown(test_closes_who_is_never_idle, setup, teardown),
            cmocka_unit_test_setup_teardown(test_prefers_idle_to_closing, setup, teardown),
            cmocka_unit_test_setup_teardown(test_closed_one_stays_closed, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    test_closed_one_stays_closed_beside_another_claim, setup, teardown),
            cmocka_unit_test_setup_teardown(test_claim_is_kept, setup, teardown),
            cmocka_unit_test_setup_teardown(test_no_claim_before_it_is_due, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    test_claimed_victims_are_not_taken_twice, setup, teardown),
            cmocka_unit_test_setup_teardown(test_two_that_need_each_other, setup, teardown),
            cmocka_unit_test_setup_teardown(test_refuses_what_never_fits, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    test_refuses_what_does_not_fit_beside_pins, setup, teardown),
            cmocka_unit_test_setup_teardown(test_refuses_what_others_have, setup, teardown),
            cmocka_unit_test_setup_teardown(test_names_what_others_have_loaded, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    test_others_models_are_not_in_the_limit, setup, teardown),
            cmocka_unit_test_setup_teardown(test_others_models_never_leave, setup, teardown),
            cmocka_unit_test_setup_teardown(test_others_loads_are_not_stopped, setup, teardown),
            cmocka_unit_test_setup_teardown(test_others_loads_are_not_waited_for, setup, teardown),
            cmocka_unit_test_setup_teardown(test_others_models_change_no_decision, setup, teardown),
            cmocka_unit_test_setup_teardown(test_room_for_a_context, setup, teardown),
            cmocka_unit_test_setup_teardown(test_back_off, setup, teardown),
            cmocka_unit_test_setup_teardown(test_failed_one_displaces_nobody, setup, teardown),
            cmocka_unit_test_setup_teardown(test_pardon_doubles, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    test_idle_models_go_when_others_take_memory, setup, teardown),
            cmocka_unit_test_setup_teardown(test_only_as_many_go_as_needed, setup, teardown),
            cmocka_unit_test_setup_teardown(test_all_go_where_nothing_is_free, setup, teardown),
            cmocka_unit_test_setup_teardown(test_leaving_memory_relieves, setup, teardown),
            cmocka_unit_test_setup_teardown(test_load_stops_last, setup, teardown),
            cmocka_unit_test_setup_teardown(test_calm_after_a_shortage, setup, teardown),
            cmocka_unit_test_setup_teardown(test_engine_larger_than_estimated, setup, teardown),
            cmocka_unit_test_setup_teardown(test_swap_for_batch_work_only, setup, teardown),
            cmocka_unit_test_setup_teardown(test_swapping_model_is_alone, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    test_swapping_model_stays_and_makes_room, setup, teardown),
            cmocka_unit_test_setup_teardown(test_huge_numbers_do_not_wrap, setup, teardown),
            cmocka_unit_test_setup_teardown(test_names_the_largest, setup, teardown),
            cmocka_unit_test_setup_teardown(test_text_is_cut_at_a_character, setup, teardown),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("residency", tests, NULL, NULL);
}
