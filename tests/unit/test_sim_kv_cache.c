#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/sim/nodes/kv_cache.h"
#include "bench/sim/nodes/u64_map.h"

static struct kv_cache *make(uint32_t capacity)
{
    struct kv_cache *cache = kv_cache_create(capacity);
    assert_non_null(cache);
    return cache;
}

/* As a request does that computes what is not there and ends. */
static void use(struct kv_cache *cache, const uint64_t *chain, uint32_t count)
{
    uint32_t pinned = kv_cache_pin(cache, chain, count);
    kv_cache_release(cache, chain, kv_cache_add(cache, chain, pinned, count));
}

static void beginnings_are_shared(void **state)
{
    static const uint64_t a[] = {1, 2, 3}, b[] = {1, 2, 9}, c[] = {5, 2, 3};
    struct kv_cache *cache = make(10);
    (void)state;
    use(cache, a, 3);
    assert_int_equal(kv_cache_held(cache, b, 3), 2);
    assert_int_equal(kv_cache_held(cache, c, 3), 0);
    use(cache, b, 3);
    assert_int_equal(kv_cache_count(cache), 4);
    kv_cache_destroy(cache);
}

static void the_end_of_the_chain_unused_for_the_longest_goes_first(void **state)
{
    static const uint64_t a[] = {1, 2, 3}, b[] = {4, 5}, c[] = {6, 7};
    struct kv_cache *cache = make(5);
    (void)state;
    use(cache, a, 3);
    use(cache, b, 2);
    use(cache, c, 1);
    assert_int_equal(kv_cache_held(cache, a, 3), 2);
    assert_int_equal(kv_cache_held(cache, b, 2), 2);
    use(cache, a, 2); /* used again: now b is the older */
    use(cache, c, 2);
    assert_int_equal(kv_cache_held(cache, a, 3), 2);
    assert_int_equal(kv_cache_held(cache, b, 2), 1);
    kv_cache_destroy(cache);
}

static void what_is_pinned_stays(void **state)
{
    static const uint64_t a[] = {1, 2}, b[] = {3, 4};
    struct kv_cache *cache = make(3);
    (void)state;
    assert_int_equal(kv_cache_add(cache, a, 0, 2), 2);
    assert_int_equal(kv_cache_add(cache, b, 0, 2), 1); /* no room for the last one */
    assert_int_equal(kv_cache_held(cache, a, 2), 2);
    kv_cache_release(cache, b, 1);
    kv_cache_release(cache, a, 2);
    assert_int_equal(kv_cache_count(cache), 3);
    kv_cache_destroy(cache);
}

static void a_block_pinned_twice_is_released_twice(void **state)
{
    static const uint64_t a[] = {1}, b[] = {2};
    struct kv_cache *cache = make(1);
    (void)state;
    assert_int_equal(kv_cache_add(cache, a, 0, 1), 1);
    assert_int_equal(kv_cache_pin(cache, a, 1), 1);
    kv_cache_release(cache, a, 1);
    assert_int_equal(kv_cache_add(cache, b, 0, 1), 0);
    kv_cache_release(cache, a, 1);
    assert_int_equal(kv_cache_add(cache, b, 0, 1), 1);
    kv_cache_destroy(cache);
}

static void a_cache_of_nothing_holds_nothing(void **state)
{
    static const uint64_t a[] = {1};
    struct kv_cache *cache = make(0);
    (void)state;
    use(cache, a, 1);
    assert_int_equal(kv_cache_held(cache, a, 1), 0);
    kv_cache_destroy(cache);
}

static void clearing_takes_what_is_pinned_too(void **state)
{
    static const uint64_t a[] = {1, 2};
    struct kv_cache *cache = make(2);
    (void)state;
    assert_int_equal(kv_cache_add(cache, a, 0, 2), 2);
    kv_cache_clear(cache);
    assert_int_equal(kv_cache_held(cache, a, 2), 0);
    assert_int_equal(kv_cache_add(cache, a, 0, 2), 2);
    kv_cache_destroy(cache);
}

enum { KEYS = 5000 };

static void a_map_finds_what_is_in_it_and_nothing_else(void **state)
{
    struct u64_map map;
    (void)state;
    u64_map_init(&map);
    u64_map_remove(&map, 3);
    assert_null(u64_map_find(&map, 3));
    for (uint32_t i = 0; i < KEYS; i++)
        assert_int_equal(*u64_map_put(&map, i * 7919ULL, i), i);
    for (uint32_t i = 0; i < KEYS; i += 2)
        u64_map_remove(&map, i * 7919ULL);
    assert_int_equal(map.count, KEYS / 2);
    for (uint32_t i = 0; i < KEYS; i++) {
        uint32_t *value = u64_map_find(&map, i * 7919ULL);
        assert_true(i % 2 == 0 ? !value : value && *value == i);
    }
    u64_map_clear(&map);
    assert_null(u64_map_find(&map, 7919));
    u64_map_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(beginnings_are_shared),
            cmocka_unit_test(the_end_of_the_chain_unused_for_the_longest_goes_first),
            cmocka_unit_test(what_is_pinned_stays),
            cmocka_unit_test(a_block_pinned_twice_is_released_twice),
            cmocka_unit_test(a_cache_of_nothing_holds_nothing),
            cmocka_unit_test(clearing_takes_what_is_pinned_too),
            cmocka_unit_test(a_map_finds_what_is_in_it_and_nothing_else),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("sim_kv_cache", tests, NULL, NULL);
}
