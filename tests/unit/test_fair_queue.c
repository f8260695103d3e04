/* Who is served next. The laws are tested by chance, on many small meshes; MODEMESH_SEED repeats
 * the one that failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coordinator/scheduling/fair_queue.h"
#include "tests/lib/short_memory.h"
#include "tests/lib/virtual_env.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRIES = 4096, KEYS = 100, SEEDS = 40 };

static struct fair_queue *queue;
static struct fair_key *keys[KEYS];
static struct fair_entry entries[ENTRIES];
static size_t entry_count;
static struct virtual_env world;
static uint64_t first_seed = 1;

/* --- the bench --- */

static int set_up(void **state)
{
    (void)state;
    queue = fair_queue_create();
    memset(keys, 0, sizeof(keys));
    memset(entries, 0, sizeof(entries));
    entry_count = 0;
    virtual_env_init(&world);
    return queue ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    fair_queue_destroy(queue);
    queue = NULL;
    return 0;
}

static void begin_again(uint64_t seed)
{
    tear_down(NULL);
    set_up(NULL);
    world.random = seed;
}

static uint64_t below(uint64_t bound)
{
    return env_random_u64(&world.env) % bound;
}

static double tokens_of_any_size(void)
{
    return (double)(1 + below(20)) * (below(4) ? 100 : 5000);
}

static struct fair_key *key_of(size_t number)
{
    char name[32];
    snprintf(name, sizeof(name), "key %zu", number);
    if (!keys[number])
        assert_int_equal(fair_key_hold(queue, name, &keys[number]), 0);
    return keys[number];
}

static size_t number_of(const struct fair_key *key)
{
    size_t number = 0;
    while (keys[number] != key)
        number++;
    return number;
}

static struct fair_entry *push_as(
        size_t key, enum request_lane lane, uint8_t priority, double tokens)
{
    assert_true(entry_count < ENTRIES);
    struct fair_entry *entry = &entries[entry_count++];
    *entry = (struct fair_entry){.lane = lane, .priority = priority, .tokens = tokens};
    fair_queue_push(queue, entry, key_of(key));
    return entry;
}

static struct fair_entry *push(size_t key, double tokens)
{
    return push_as(key, LANE_CHAT, FAIR_PRIORITY_DEFAULT, tokens);
}

static void serve(struct fair_entry *entry)
{
    struct fair_key *key = entry->key;
    double tokens = entry->tokens;
    fair_queue_remove(queue, entry);
    fair_queue_charge(queue, key, entry, tokens);
}

static struct fair_entry *serve_first(void)
{
    struct fair_entry *entry = fair_queue_first(queue);
    if (entry)
        serve(entry);
    return entry;
}

static struct fair_entry *serve_first_of(struct fair_key **ret_key)
{
    struct fair_entry *entry = fair_queue_first(queue);
    *ret_key = entry ? entry->key : NULL;
    if (entry)
        serve(entry);
    return entry;
}

#define assert_serves(entry) assert_ptr_equal(serve_first(), entry)

/* For laws: says which seed broke them. */
static void check(bool holds, uint64_t seed, const char *what)
{
    if (!holds)
        fail_msg("MODEMESH_SEED=%" PRIu64 ": not %s", seed, what);
}

static void for_each_seed(void (*law)(uint64_t seed))
{
    for (uint64_t seed = first_seed; seed < first_seed + SEEDS; seed++) {
        begin_again(seed);
        law(seed);
    }
}

/* --- order --- */

static void nothing_waits_at_first(void **state)
{
    (void)state;
    assert_null(fair_queue_next(queue));
    assert_null(fair_queue_first(queue));
    assert_null(fair_queue_next(queue));
    assert_int_equal(fair_queue_length(queue, LANE_CHAT), 0);
}

static void a_key_is_served_in_its_own_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < 5; i++)
        push(0, 100 * (double)(5 - i));
    assert_int_equal(fair_queue_length(queue, LANE_CHAT), 5);
    for (size_t i = 0; i < 5; i++)
        assert_serves(&entries[i]);
    assert_null(serve_first());
}

static void who_is_pushed_again_has_its_place(void **state)
{
    (void)state;
    struct fair_entry *first = push(0, 100);
    struct fair_entry *second = push(0, 100);
    fair_queue_remove(queue, first);
    push(0, 100);
    fair_queue_push(queue, first, key_of(0));
    assert_serves(first);
    assert_serves(second);
}

static void autocomplete_overtakes_chat(void **state)
{
    (void)state;
    struct fair_entry *chat = push_as(0, LANE_CHAT, FAIR_PRIORITY_MAX, 100);
    struct fair_entry *typed = push_as(1, LANE_AUTOCOMPLETE, 0, 100);
    assert_int_equal(fair_queue_length(queue, LANE_CHAT), 1);
    assert_int_equal(fair_queue_length(queue, LANE_AUTOCOMPLETE), 1);
    assert_serves(typed);
    assert_serves(chat);
}

static void what_is_given_in_chat_is_not_held_against_autocomplete(void **state)
{
    (void)state;
    serve(push_as(0, LANE_CHAT, 5, 100000));
    struct fair_entry *busy = push_as(0, LANE_AUTOCOMPLETE, 5, 100);
    struct fair_entry *idle = push_as(1, LANE_AUTOCOMPLETE, 5, 100);
    assert_serves(busy);
    assert_serves(idle);
}

static void a_higher_priority_goes_first(void **state)
{
    (void)state;
    struct fair_entry *batch = push_as(0, LANE_CHAT, 0, 10);
    struct fair_entry *usual = push_as(0, LANE_CHAT, 5, 10);
    struct fair_entry *urgent = push_as(0, LANE_CHAT, 9, 10);
    struct fair_entry *beyond = push_as(0, LANE_CHAT, 200, 10); /* as 9 */
    assert_serves(urgent);
    assert_serves(beyond);
    assert_serves(usual);
    assert_serves(batch);
}

static void who_was_given_less_goes_first(void **state)
{
    (void)state;
    struct fair_entry *large = push(0, 1000), *large_next = push(0, 1000);
    struct fair_entry *small[12];
    for (size_t i = 0; i < 12; i++)
        small[i] = push(1, 100);
    assert_serves(large);
    for (size_t i = 0; i < 10; i++)
        assert_serves(small[i]);
    assert_serves(large_next); /* a tie: the older one */
    assert_serves(small[10]);
}

static void ties_go_to_the_older(void **state)
{
    (void)state;
    for (size_t i = 0; i < KEYS; i++)
        push((i * 37) % KEYS, 100);
    for (size_t i = 0; i < KEYS; i++)
        assert_serves(&entries[i]);
}

/* --- fairness --- */

/* What two keys were given since they both wait, and how far that has drifted either way. */
struct drift {
    double difference, most, least;
};

static void note(struct drift *drift, double difference)
{
    drift->difference += difference;
    drift->most = fmax(drift->most, drift->difference);
    drift->least = fmin(drift->least, drift->difference);
}

/* Of keys 0 and 1, which always wait, among others that come and go. */
static struct drift drift_of_two(uint64_t seed, double *ret_largest)
{
    struct drift drift = {0};
    (void)seed;
    *ret_largest = 0;
    while (entry_count < ENTRIES - 8) {
        struct fair_key *key;
        while (fair_key_wait_count(key_of(0)) < 2)
            push(0, tokens_of_any_size());
        while (fair_key_wait_count(key_of(1)) < 2)
            push(1, tokens_of_any_size());
        if (below(2))
            push(2 + below(8), tokens_of_any_size());
        double tokens = serve_first_of(&key)->tokens;
        *ret_largest = fmax(*ret_largest, tokens);
        if (key == key_of(0) || key == key_of(1))
            note(&drift, key == key_of(0) ? tokens : -tokens);
    }
    return drift;
}

static void two_that_wait_get_the_same(uint64_t seed)
{
    double largest;
    struct drift drift = drift_of_two(seed, &largest);
    check(drift.most - drift.least <= 2 * largest, seed, "within 2·U in each interval");
    check(drift.most > 0 || drift.least < 0, seed, "a run in which something was given");
}

static void two_keys_that_wait_get_the_same(void **state)
{
    (void)state;
    for_each_seed(two_that_wait_get_the_same);
}

/* A request that runs: charged what was expected, and what it was at its end. */
struct run {
    struct fair_entry *entry;
    struct fair_key *key;
    double tokens;
};

/* One runs at a time for each of `RUNS` slots; each ends with up to half more or less than was
 * thought. */
static void corrected_two_get_the_same(uint64_t seed)
{
    enum { RUNS = 4 };
    struct run runs[RUNS] = {0};
    struct drift drift = {0};
    double largest = 0;
    while (entry_count < ENTRIES - 4) {
        struct run *run = &runs[below(RUNS)];
        if (run->key) {
            fair_queue_charge(queue, run->key, run->entry, run->tokens - run->entry->tokens);
            note(&drift, run->key == key_of(0) ? run->tokens : -run->tokens);
        }
        push(0, 100);
        push(1, 10000);
        run->entry = serve_first_of(&run->key);
        run->tokens = run->entry->tokens * (0.5 + (double)below(1001) / 1000);
        largest = fmax(largest, run->tokens);
    }
    check(drift.most - drift.least <= 2 * (largest + RUNS * largest / 2), seed,
            "within what was not corrected yet");
}

static void corrections_keep_it_fair(void **state)
{
    (void)state;
    for_each_seed(corrected_two_get_the_same);
}

static void an_hour_away_is_no_credit(void **state)
{
    (void)state;
    serve(push(0, 100)); /* both are known */
    serve(push(1, 100));
    for (size_t i = 0; i < 100; i++)
        push(0, 1000);
    for (size_t i = 0; i < 50; i++)
        assert_serves(&entries[2 + i]); /* key 1 is away */
    for (size_t i = 0; i < 100; i++)
        push(1, 1000);
    size_t given[2] = {0};
    for (size_t i = 0; i < 20; i++) {
        struct fair_key *key;
        serve_first_of(&key);
        given[number_of(key)]++;
    }
    assert_int_equal(given[0], 10);
    assert_int_equal(given[1], 10);
}

static void nor_is_one_while_nobody_waits(void **state)
{
    (void)state;
    for (size_t i = 0; i < 50; i++)
        serve(push(0, 1000));
    for (size_t i = 0; i < 20; i++)
        push((i + 1) % 2, 1000);
    for (size_t i = 0; i < 20; i++)
        assert_serves(&entries[50 + i]);
}

static void fifty_of_one_delay_nine_by_one_each(void **state)
{
    (void)state;
    for (size_t i = 0; i < 50; i++)
        push(0, 1000);
    assert_serves(&entries[0]);
    for (size_t round = 0; round < 4; round++) {
        unsigned greedy = 0, others = 0;
        for (size_t key = 1; key <= 9; key++)
            push(key, 1000);
        while (others < 9) {
            struct fair_key *key;
            serve_first_of(&key);
            greedy += key == key_of(0);
            others += key != key_of(0);
        }
        assert_true(greedy <= 1);
    }
}

/* What others may be given before an entry that has `own` tokens of its key before it: each as much
 * as its key, and 2·U (theorem of VTC; who comes later starts no lower). */
static void nobody_waits_for_ever(uint64_t seed)
{
    enum { STEPS = 3000, OTHERS = 9 };
    const double largest = 20 * 5000;
    double own = 0, others = 0;
    for (size_t i = 0; i < 10; i++)
        push(0, tokens_of_any_size());
    struct fair_entry *last = &entries[9];
    for (size_t i = 0; i < STEPS && last->key; i++) {
        struct fair_key *key;
        push(1 + below(OTHERS), tokens_of_any_size()); /* as many come as go, or more */
        if (below(2))
            push(1 + below(OTHERS), tokens_of_any_size());
        if (entry_count > ENTRIES - 4)
            break;
        double tokens = serve_first_of(&key)->tokens;
        *(key == key_of(0) ? &own : &others) += tokens;
        check(others <= OTHERS * (own + 2 * largest), seed, "bounded by what others may be given");
    }
    check(!last->key, seed, "served");
}

static void among_equals_nobody_waits_for_ever(void **state)
{
    (void)state;
    for_each_seed(nobody_waits_for_ever);
}

static void what_it_got_where_nobody_waited_is_soon_forgotten(void **state)
{
    (void)state;
    serve(push(2, 1e6));                      /* what was large once does not count for ever */
    struct fair_entry *waits = push(0, 1000); /* for a model that is busy, all the while */
    for (size_t i = 0; i < 1000; i++)
        serve(push(1, 1000)); /* on another one */
    for (size_t i = 0; i < 100; i++)
        push(0, 1000);
    struct fair_entry *now = push(1, 1000);
    size_t before = fair_queue_position(queue, now);
    assert_true(before >= 2);
    assert_true(before <= FAIR_LEAD + 1);
    assert_int_equal(fair_queue_position(queue, waits), 0);
}

/* As an answer is, whose request left the queue long ago. */
static void what_was_charged_where_nobody_waited_is_soon_forgotten(void **state)
{
    (void)state;
    struct fair_entry *ran = push(1, 1000);
    struct fair_key *key = ran->key;
    fair_queue_remove(queue, ran);
    fair_queue_charge(queue, key, ran, 1e6);
    for (size_t i = 0; i < 100; i++)
        push(0, 1000);
    size_t before = fair_queue_position(queue, push(1, 1000));
    assert_true(before >= 2);
    assert_true(before <= FAIR_LEAD + 1);
}

/* --- priorities --- */

static void what_is_lower_fills_what_is_left(void **state)
{
    (void)state;
    struct fair_entry *batch[3];
    for (size_t i = 0; i < 3; i++)
        batch[i] = push_as(0, LANE_CHAT, 0, 1000);
    assert_serves(batch[0]);
    struct fair_entry *chat = push_as(1, LANE_CHAT, 5, 1000);
    assert_serves(chat);
    assert_serves(batch[1]);
    assert_serves(batch[2]);
}

/* All classes flooded: each gets its least share of what those above it get, and hardly more. */
static void each_class_has_its_share(uint64_t seed)
{
    enum { CLASSES = 11 }; /* ten priorities of chat, and autocomplete */
    double given[CLASSES] = {0}, largest = 0;
    while (entry_count < ENTRIES - 2 * CLASSES) {
        for (size_t i = 0; i < CLASSES; i++)
            while (fair_key_wait_count(key_of(i)) < 2)
                push_as(i, i == 10 ? LANE_AUTOCOMPLETE : LANE_CHAT, (uint8_t)i,
                        tokens_of_any_size());
        struct fair_key *key;
        double tokens = serve_first_of(&key)->tokens;
        largest = fmax(largest, tokens);
        given[number_of(key)] += tokens;
    }
    double above = given[CLASSES - 1];
    for (size_t i = CLASSES - 1; i-- > 0;) {
        check(given[i] * FAIR_SHARE >= above - (FAIR_SHARE + CLASSES) * largest, seed,
                "the least share");
        check(given[i] * FAIR_SHARE <= above + FAIR_SHARE * largest, seed, "no more than that");
        above += given[i];
    }
}

static void no_class_starves(void **state)
{
    (void)state;
    for_each_seed(each_class_has_its_share);
}

static void a_low_entry_waits_for_its_share_and_no_longer(void **state)
{
    (void)state;
    struct fair_entry *batch = push_as(0, LANE_CHAT, 0, 1000);
    for (size_t i = 0; i < FAIR_SHARE; i++) {
        push_as(1, LANE_CHAT, 5, 1000);
        push_as(1, LANE_CHAT, 5, 1000);
        assert_ptr_not_equal(serve_first(), batch);
    }
    assert_serves(batch);
}

static void what_is_due_is_told_of_its_first_entries(void **state)
{
    (void)state;
    struct fair_entry *batch = push_as(0, LANE_CHAT, 0, 500), *next = push_as(0, LANE_CHAT, 0, 500);
    struct fair_entry *last = push_as(0, LANE_CHAT, 0, 1000);
    for (size_t i = 0; i < FAIR_SHARE; i++)
        serve(push_as(1, LANE_CHAT, 5, 1000));
    struct fair_entry *usual = push_as(1, LANE_CHAT, 5, 1e6);
    assert_ptr_equal(fair_queue_first(queue), batch);
    assert_true(fair_queue_is_due(queue));
    assert_ptr_equal(fair_queue_next(queue), next);
    assert_true(fair_queue_is_due(queue));
    assert_ptr_equal(fair_queue_next(queue), usual);
    assert_false(fair_queue_is_due(queue));
    assert_ptr_equal(fair_queue_next(queue), last); /* only if all before it were served */
    assert_false(fair_queue_is_due(queue));
}

static void nothing_is_due_past_the_last(void **state)
{
    (void)state;
    struct fair_entry *batch = push_as(0, LANE_CHAT, 0, 500);
    for (size_t i = 0; i < FAIR_SHARE; i++)
        serve(push_as(1, LANE_CHAT, 5, 1000));
    assert_ptr_equal(fair_queue_first(queue), batch);
    assert_true(fair_queue_is_due(queue));
    assert_null(fair_queue_next(queue));
    assert_false(fair_queue_is_due(queue));
}

static void no_share_is_saved_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < 100; i++)
        serve(push_as(1, LANE_CHAT, 5, 1000));
    struct fair_entry *batch = push_as(0, LANE_CHAT, 0, 1000);
    struct fair_entry *chat = push_as(1, LANE_CHAT, 5, 1000);
    assert_serves(chat);
    /* Nor while its first cannot be served. */
    for (size_t i = 0; i < 100; i++)
        serve(push_as(1, LANE_CHAT, 5, 1000));
    for (size_t i = 0; i < 3; i++)
        push_as(0, LANE_CHAT, 0, 1000);
    for (size_t i = 0; i < 3; i++)
        push_as(1, LANE_CHAT, 5, 1000);
    assert_serves(batch);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(serve_first()->priority, 5);
    /* Nor for those that come when all before them have left. */
    for (size_t i = 0; i < 100; i++)
        serve(push_as(1, LANE_CHAT, 5, 1000));
    while ((batch = fair_queue_first(queue)))
        fair_queue_remove(queue, batch);
    push_as(0, LANE_CHAT, 0, 1000);
    push_as(1, LANE_CHAT, 5, 1000);
    assert_int_equal(serve_first()->priority, 5);
}

/* --- the walk --- */

static void fill_by_chance(size_t count)
{
    for (size_t i = 0; i < count; i++)
        push_as(below(KEYS), below(8) ? LANE_CHAT : LANE_AUTOCOMPLETE,
                (uint8_t)(below(4) ? FAIR_PRIORITY_DEFAULT : below(FAIR_PRIORITY_MAX + 1)),
                tokens_of_any_size());
}

/* A walk is the order in which they are served if each is served and nothing comes. */
static void the_walk_is_the_order(uint64_t seed)
{
    struct fair_entry *order[512];
    size_t count = 0;
    fill_by_chance(800);
    for (size_t i = 0; i < 300; i++)
        serve_first();
    for (struct fair_entry *it = fair_queue_first(queue); it; it = fair_queue_next(queue))
        order[count++] = it;
    check(count == 500, seed, "each once");
    for (size_t i = 0; i < count; i++)
        check(fair_queue_position(queue, order[i]) == i, seed, "its position");
    for (size_t i = 0; i < count; i++)
        check(serve_first() == order[i], seed, "served in the order of the walk");
}

static void a_walk_shows_the_order_of_service(void **state)
{
    (void)state;
    for_each_seed(the_walk_is_the_order);
}

/* Removes at each step the present entry, or another, or none: all that are left are met once. */
static void a_walk_with_removals(uint64_t seed)
{
    bool met[ENTRIES] = {false}, out[ENTRIES] = {false};
    fill_by_chance(600);
    for (struct fair_entry *it = fair_queue_first(queue); it; it = fair_queue_next(queue)) {
        size_t at = (size_t)(it - entries), other = below(entry_count);
        check(!met[at] && !out[at], seed, "met once, while it is there");
        met[at] = true;
        if (below(3) == 0)
            fair_queue_skip(queue);
        if (below(3) == 0)
            serve(it);
        if (below(3) == 0) {
            fair_queue_remove(queue, &entries[other]);
            out[other] = true;
        }
    }
    for (size_t i = 0; i < entry_count; i++)
        check(met[i] || out[i], seed, "each that was left is met");
}

static void entries_leave_while_it_walks(void **state)
{
    (void)state;
    for_each_seed(a_walk_with_removals);
}

static void what_is_skipped_holds_up_nobody(void **state)
{
    (void)state;
    struct fair_entry *nowhere = push(0, 100000), *small[3];
    small[0] = push(0, 100);
    small[1] = push(1, 200);
    small[2] = push(0, 100);
    assert_ptr_equal(fair_queue_first(queue), nowhere);
    assert_ptr_equal(fair_queue_next(queue), small[1]); /* its key has had much, it seems */
    assert_ptr_equal(fair_queue_first(queue), nowhere);
    fair_queue_skip(queue);
    assert_ptr_equal(fair_queue_next(queue), small[0]);
    assert_ptr_equal(fair_queue_next(queue), small[1]);
    assert_ptr_equal(fair_queue_next(queue), small[2]);
    assert_null(fair_queue_next(queue));
}

static void a_class_is_due_until_one_of_it_goes(void **state)
{
    (void)state;
    struct fair_entry *nowhere = push_as(0, LANE_CHAT, 0, 1000);
    struct fair_entry *other = push_as(1, LANE_CHAT, 0, 1000);
    for (size_t i = 0; i < FAIR_SHARE; i++)
        serve(push_as(2, LANE_CHAT, 5, 1000));
    push_as(2, LANE_CHAT, 5, 1000);
    assert_ptr_equal(fair_queue_first(queue), nowhere);
    fair_queue_skip(queue);
    assert_ptr_equal(fair_queue_next(queue), other);
}

static void a_key_may_go_while_it_walks(void **state)
{
    (void)state;
    struct fair_entry *first = push(0, 100), *second = push(1, 100);
    fair_key_release(queue, keys[0]);
    assert_ptr_equal(fair_queue_first(queue), first);
    fair_queue_remove(queue, first); /* key 0 is idle */
    for (size_t i = 0; i < FAIR_KEYS_MAX - 1; i++) {
        struct fair_key *key;
        char name[32];
        snprintf(name, sizeof(name), "new %zu", i);
        assert_int_equal(fair_key_hold(queue, name, &key), 0);
    }
    assert_ptr_equal(fair_queue_next(queue), second);
    assert_null(fair_queue_next(queue));
}

static void a_position_follows_each_change(void **state)
{
    (void)state;
    struct fair_entry *first = push(0, 1000), *second = push(0, 1000);
    assert_int_equal(fair_queue_position(queue, second), 1);
    struct fair_entry *other = push(1, 500);
    assert_int_equal(fair_queue_position(queue, second), 2);
    fair_queue_charge(queue, key_of(1), other, 2000);
    assert_int_equal(fair_queue_position(queue, second), 1);
    fair_queue_remove(queue, first);
    assert_int_equal(fair_queue_position(queue, second), 0);
}

/* --- keys --- */

static void keys_are_found_by_name(void **state)
{
    (void)state;
    struct fair_key *one, *same, *other;
    assert_int_equal(fair_key_hold(queue, "key laptop", &one), 0);
    assert_int_equal(fair_key_hold(queue, "key laptop", &same), 0);
    assert_int_equal(fair_key_hold(queue, "local", &other), 0);
    assert_ptr_equal(one, same);
    assert_ptr_not_equal(one, other);
}

static void who_waits_or_runs_is_active(void **state)
{
    (void)state;
    assert_int_equal(fair_key_wait_count(key_of(0)), 0);
    assert_int_equal(fair_queue_active_keys(queue), 0);
    struct fair_entry *entry = push(0, 100);
    push(1, 100);
    assert_int_equal(fair_queue_active_keys(queue), 2);
    assert_int_equal(fair_key_wait_count(key_of(0)), 1);
    fair_queue_remove(queue, entry);
    fair_key_begin(key_of(0), 7);
    assert_int_equal(fair_queue_active_keys(queue), 2);
    assert_int_equal(fair_key_run_count(key_of(0), 7), 1);
    assert_int_equal(fair_key_wait_count(key_of(0)), 0);
    fair_key_end(key_of(0), 7);
    assert_int_equal(fair_queue_active_keys(queue), 1);
}

static void what_runs_is_counted_by_its_place(void **state)
{
    (void)state;
    struct fair_key *key = key_of(0);
    for (uint64_t place = 1; place <= FAIR_PLACES_MAX + 1; place++)
        for (uint64_t i = 0; i < place; i++)
            fair_key_begin(key, place);
    for (uint64_t place = 1; place <= FAIR_PLACES_MAX; place++)
        assert_int_equal(fair_key_run_count(key, place), place);
    assert_int_equal(fair_key_run_count(key, FAIR_PLACES_MAX + 1), 0);
    fair_key_end(key, 1); /* nothing runs there any more: another has its place */
    fair_key_begin(key, FAIR_PLACES_MAX + 2);
    assert_int_equal(fair_key_run_count(key, 1), 0);
    assert_int_equal(fair_key_run_count(key, FAIR_PLACES_MAX + 2), 1);
    fair_key_end(key, FAIR_PLACES_MAX + 2);
    for (uint64_t place = 2; place <= FAIR_PLACES_MAX + 1; place++)
        for (uint64_t i = 0; i < place; i++)
            fair_key_end(key, place);
    assert_int_equal(fair_queue_active_keys(queue), 0);
}

static void who_left_a_moment_ago_is_recent(void **state)
{
    (void)state;
    fair_queue_at(queue, 100);
    assert_int_equal(fair_queue_recent_keys(queue), 0);
    struct fair_entry *entry = push(0, 100);
    push(1, 100);
    fair_queue_remove(queue, entry);
    assert_int_equal(fair_queue_recent_keys(queue), 2);
    fair_queue_at(queue, 100 + FAIR_RECENT_S);
    assert_int_equal(fair_queue_recent_keys(queue), 2);
    fair_key_begin(key_of(0), 7);
    assert_int_equal(fair_queue_recent_keys(queue), 2);
    fair_key_end(key_of(0), 7);
    fair_queue_at(queue, 101 + 2 * FAIR_RECENT_S);
    assert_int_equal(fair_queue_recent_keys(queue), 1);
    assert_int_equal(fair_queue_active_keys(queue), 1);
}

static void who_runs_much_more_than_its_share_is_greedy(void **state)
{
    (void)state;
    struct fair_entry *entry = push(0, 100);
    assert_false(fair_queue_is_greedy(queue, entry, 8, 8)); /* nobody else is here */
    push(1, 100);
    assert_true(fair_queue_is_greedy(queue, entry, 8, 8));
    assert_false(fair_queue_is_greedy(queue, entry, 8, 9));
    assert_false(fair_queue_is_greedy(queue, entry, 0, 0)); /* so that it does not wait for ever */
}

static void whether_a_key_is_greedy_is_told_before_its_request_comes(void **state)
{
    (void)state;
    struct fair_entry *entry = push(0, 100);
    push(1, 100);
    const struct fair_key *key = fair_key_find(queue, "key 0");
    assert_ptr_equal(key, key_of(0));
    assert_null(fair_key_find(queue, "key 2"));
    fair_queue_remove(queue, entry);
    fair_key_begin(key_of(0), 7);
    assert_true(fair_key_is_greedy(key, LANE_CHAT, 8, 8));
    assert_false(fair_key_is_greedy(key, LANE_CHAT, 8, 9));
    push(2, 100);
    push(3, 100);
    fair_queue_charge(queue, key_of(0), entry, 8400);
    assert_true(fair_key_is_greedy(key, LANE_CHAT, 1, 1000));
    assert_false(fair_key_is_greedy(key, LANE_AUTOCOMPLETE, 1, 1000));
    fair_key_end(key_of(0), 7);
}

/* Of four keys, one that was given three quarters of all and runs something. */
static void who_was_given_much_more_than_its_share_is_greedy(void **state)
{
    (void)state;
    struct fair_entry *entry = push(0, 100), *other = push(1, 100);
    push(2, 100);
    push(3, 100);
    fair_queue_charge(queue, key_of(0), entry, 7400);
    fair_queue_charge(queue, key_of(1), other, 2600);
    assert_false(fair_queue_is_greedy(queue, entry, 1, 1000));
    fair_queue_charge(queue, key_of(0), entry, 1000);
    assert_true(fair_queue_is_greedy(queue, entry, 1, 1000));
    assert_false(fair_queue_is_greedy(queue, other, 1, 1000));
    assert_false(fair_queue_is_greedy(queue, entry, 0, 1000)); /* one after the other is no flood */
    entry->lane = LANE_AUTOCOMPLETE;
    assert_false(fair_queue_is_greedy(queue, entry, 1, 1000));
    entry->lane = LANE_CHAT;
    fair_queue_charge(queue, key_of(0), entry, -1e9); /* no less than nothing */
    assert_false(fair_queue_is_greedy(queue, entry, 1, 1000));
    fair_queue_charge(queue, key_of(0), entry, 8400);
    assert_true(fair_queue_is_greedy(queue, entry, 1, 1000));
}

static void what_was_given_long_ago_counts_less(void **state)
{
    (void)state;
    struct fair_entry *entry = push(0, 100), *other = push(1, 100);
    push(2, 100);
    push(3, 100);
    fair_queue_charge(queue, key_of(0), entry, 8000);
    assert_true(fair_queue_is_greedy(queue, entry, 1, 1000));
    fair_queue_at(queue, 2 * FAIR_RECENT_S); /* 2,000 are left of it */
    fair_queue_charge(queue, key_of(1), other, 600);
    assert_true(fair_queue_is_greedy(queue, entry, 1, 1000));
    fair_queue_charge(queue, key_of(1), other, 100);
    assert_false(fair_queue_is_greedy(queue, entry, 1, 1000));
}

static struct fair_key *hold(size_t number)
{
    struct fair_key *key = NULL;
    char name[32];
    snprintf(name, sizeof(name), "%zu", number);
    int r = fair_key_hold(queue, name, &key);
    assert_true(r == 0 || r == -ENOSPC);
    return key;
}

static void the_longest_idle_is_forgotten(void **state)
{
    (void)state;
    struct fair_entry entry = {.tokens = 1}, other = {.tokens = 1};
    struct fair_key *waits = hold(0);
    fair_queue_push(queue, &entry, waits);
    fair_key_release(queue, waits);
    for (size_t i = 1; i < FAIR_KEYS_MAX; i++)
        assert_non_null(hold(i));
    assert_null(hold(FAIR_KEYS_MAX)); /* nobody is idle */
    fair_key_release(queue, hold(7)); /* is held still */
    assert_null(hold(FAIR_KEYS_MAX));
    fair_queue_charge(queue, waits, &entry, 1e6);
    fair_queue_remove(queue, &entry);
    assert_ptr_equal(hold(7), hold(7));
    assert_non_null(hold(FAIR_KEYS_MAX)); /* in the place of key 0 … */
    assert_null(hold(0));                 /* … which is gone */
    fair_queue_push(queue, &other, hold(7));
    assert_ptr_equal(fair_queue_first(queue), &other);
    fair_queue_remove(queue, &other);
}

static void nonsense_counts_as_the_nearest(void **state)
{
    (void)state;
    struct fair_entry *none = push(0, NAN), *less = push(0, -5), *more = push(0, INFINITY);
    assert_true(none->tokens >= 1 && none->tokens <= 1);
    assert_true(less->tokens >= 1 && less->tokens <= 1);
    assert_true(more->tokens <= FAIR_TOKENS_MAX);
    fair_queue_charge(queue, key_of(1), none, NAN);
    fair_queue_charge(queue, key_of(1), none, INFINITY);
    fair_queue_charge(queue, key_of(0), none, -1e300);
    push(1, 10);
    assert_serves(none);
    assert_int_equal(fair_queue_length(queue, LANE_CHAT), 3);
}

static void the_surplus_is_of_who_has_the_most(void **state)
{
    (void)state;
    assert_null(fair_queue_surplus(queue, LANE_CHAT));
    struct fair_entry *first = push(0, 100);
    struct fair_entry *second = push(1, 100);
    assert_ptr_equal(fair_queue_surplus(queue, LANE_CHAT), second); /* as many: the last */
    struct fair_entry *last = push(0, 100);
    push_as(1, LANE_AUTOCOMPLETE, FAIR_PRIORITY_DEFAULT, 100);
    push_as(1, LANE_AUTOCOMPLETE, FAIR_PRIORITY_DEFAULT, 100);
    assert_ptr_equal(fair_queue_surplus(queue, LANE_CHAT), last);
    struct fair_entry *batch = push_as(0, LANE_CHAT, 0, 100);
    push_as(0, LANE_CHAT, FAIR_PRIORITY_MAX, 100);
    assert_ptr_equal(fair_queue_surplus(queue, LANE_CHAT), batch);
    fair_queue_remove(queue, batch);
    fair_queue_remove(queue, last);
    fair_queue_remove(queue, first);
    assert_ptr_equal(fair_queue_surplus(queue, LANE_CHAT), &entries[6]);
}

static void what_is_left_is_in_no_queue(void **state)
{
    (void)state;
    struct fair_entry *entry = push(0, 10);
    push_as(1, LANE_AUTOCOMPLETE, 3, 10);
    fair_queue_destroy(queue);
    queue = NULL;
    assert_null(entry->key);
    assert_null(entries[1].key);
    fair_queue_remove(NULL, entry); /* nor is it taken out again */
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    struct fair_key *key = NULL;
    short_memory_begin(0);
    assert_null(fair_queue_create());
    assert_true(short_memory_end());
    short_memory_begin(0);
    assert_int_equal(fair_key_hold(queue, "local", &key), -ENOMEM);
    assert_true(short_memory_end());
    assert_null(key);
    assert_int_equal(fair_key_hold(queue, "local", &key), 0);
    short_memory_begin(0); /* nothing else needs any */
    struct fair_entry entry = {.tokens = 5};
    fair_queue_push(queue, &entry, key);
    assert_ptr_equal(fair_queue_first(queue), &entry);
    assert_int_equal(fair_queue_position(queue, &entry), 0);
    fair_queue_remove(queue, &entry);
    assert_false(short_memory_end());
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    cmocka_set_message_output(CM_OUTPUT_TAP);
    if (getenv("MODEMESH_SEED"))
        first_seed = strtoull(getenv("MODEMESH_SEED"), NULL, 10);
    const struct CMUnitTest tests[] = {
            test(nothing_waits_at_first),
            test(a_key_is_served_in_its_own_order),
            test(who_is_pushed_again_has_its_place),
            test(autocomplete_overtakes_chat),
            test(what_is_given_in_chat_is_not_held_against_autocomplete),
            test(a_higher_priority_goes_first),
            test(who_was_given_less_goes_first),
            test(ties_go_to_the_older),
            test(two_keys_that_wait_get_the_same),
            test(corrections_keep_it_fair),
            test(an_hour_away_is_no_credit),
            test(nor_is_one_while_nobody_waits),
            test(fifty_of_one_delay_nine_by_one_each),
            test(among_equals_nobody_waits_for_ever),
            test(what_it_got_where_nobody_waited_is_soon_forgotten),
            test(what_was_charged_where_nobody_waited_is_soon_forgotten),
            test(what_is_lower_fills_what_is_left),
            test(no_class_starves),
            test(a_low_entry_waits_for_its_share_and_no_longer),
            test(what_is_due_is_told_of_its_first_entries),
            test(nothing_is_due_past_the_last),
            test(no_share_is_saved_up),
            test(a_walk_shows_the_order_of_service),
            test(entries_leave_while_it_walks),
            test(what_is_skipped_holds_up_nobody),
            test(a_class_is_due_until_one_of_it_goes),
            test(a_key_may_go_while_it_walks),
            test(a_position_follows_each_change),
            test(keys_are_found_by_name),
            test(who_waits_or_runs_is_active),
            test(what_runs_is_counted_by_its_place),
            test(who_left_a_moment_ago_is_recent),
            test(who_runs_much_more_than_its_share_is_greedy),
            test(whether_a_key_is_greedy_is_told_before_its_request_comes),
            test(who_was_given_much_more_than_its_share_is_greedy),
            test(what_was_given_long_ago_counts_less),
            test(the_longest_idle_is_forgotten),
            test(nonsense_counts_as_the_nearest),
            test(the_surplus_is_of_who_has_the_most),
            test(what_is_left_is_in_no_queue),
            test(each_allocation_fails_once),
    };
    return cmocka_run_group_tests_name("fair_queue", tests, NULL, NULL);
}
