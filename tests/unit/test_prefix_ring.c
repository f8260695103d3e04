#include "coordinator/scheduling/prefix_ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

enum { CHUNKS = 5 }; /* of which the first is nobody's */

static struct prefix_chunk *memory;
static struct prefix_chunks chunks;

static int open_chunks(void **state)
{
    (void)state;
    memory = calloc(CHUNKS, sizeof(*memory));
    prefix_chunks_init(&chunks, memory, CHUNKS * sizeof(*memory) + 7);
    return 0;
}

static int close_chunks(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

/* Keys 1, 2 … in the order of their places. */
static void grow(struct prefix_ring *ring, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t *place = prefix_ring_grow(&chunks, ring);
        assert_non_null(place);
        assert_int_equal(*place, PREFIX_KEY_NONE);
        *place = ring->places;
    }
}

static uint64_t next_key(struct prefix_ring *ring)
{
    uint64_t key = *prefix_ring_at_hand(&chunks, ring);
    prefix_ring_advance(&chunks, ring);
    return key;
}

static void the_hand_goes_round_all_places(void **state)
{
    static const size_t sizes[] = {1, 2, 62, 63, 64, 126, 127, 200, 252};
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        struct prefix_ring ring = {0};
        grow(&ring, sizes[i]);
        for (size_t at = 0; at < 3 * sizes[i]; at++)
            assert_int_equal(next_key(&ring), at % sizes[i] + 1);
        while (ring.places)
            prefix_ring_shrink(&chunks, &ring);
        assert_int_equal(prefix_chunks_left(&chunks), CHUNKS - 1);
    }
}

static void a_ring_takes_no_more_than_there_is(void **state)
{
    (void)state;
    struct prefix_ring ring = {0}, other = {0};
    assert_int_equal(prefix_chunks_left(&chunks), CHUNKS - 1);
    grow(&other, 1);
    grow(&ring, (CHUNKS - 2) * PREFIX_CHUNK_KEYS);
    assert_int_equal(prefix_chunks_left(&chunks), 0);
    assert_null(prefix_ring_grow(&chunks, &ring));
    assert_int_equal(ring.places, (CHUNKS - 2) * PREFIX_CHUNK_KEYS);
    assert_int_equal(prefix_chunks_bytes(&chunks), CHUNKS * sizeof(struct prefix_chunk));
    assert_int_equal(prefix_ring_shrink(&chunks, &other), 1);
    grow(&ring, 1);
    assert_null(prefix_ring_grow(&chunks, &other));
}

static void a_ring_shrinks_from_its_end(void **state)
{
    (void)state;
    struct prefix_ring ring = {0};
    grow(&ring, 130);
    for (size_t i = 0; i < 128; i++)
        next_key(&ring);
    for (uint64_t key = 130; key > 64; key--)
        assert_int_equal(prefix_ring_shrink(&chunks, &ring), key);
    assert_int_equal(next_key(&ring), 1); /* where it was there is nothing */
    grow(&ring, 1);
    for (uint64_t key = 2; key <= 65; key++)
        assert_int_equal(next_key(&ring), key);
    assert_int_equal(next_key(&ring), 1);
}

static void the_chunk_at_the_hand_can_be_given_up(void **state)
{
    (void)state;
    struct prefix_ring ring = {0};
    uint64_t keys[PREFIX_CHUNK_KEYS];
    grow(&ring, 2 * PREFIX_CHUNK_KEYS + 5);
    for (size_t i = 0; i < PREFIX_CHUNK_KEYS + 3; i++)
        next_key(&ring);
    assert_int_equal(prefix_ring_give_chunk(&chunks, &ring, keys), PREFIX_CHUNK_KEYS);
    assert_int_equal(keys[0], PREFIX_CHUNK_KEYS + 1);
    assert_int_equal(ring.places, PREFIX_CHUNK_KEYS + 5);
    assert_int_equal(next_key(&ring), 2 * PREFIX_CHUNK_KEYS + 1);
    assert_int_equal(prefix_ring_give_chunk(&chunks, &ring, keys), 5);
    assert_int_equal(keys[4], 2 * PREFIX_CHUNK_KEYS + 5);
    assert_int_equal(next_key(&ring), 1);
    grow(&ring, 1); /* behind a full chunk */
    assert_int_equal(prefix_ring_shrink(&chunks, &ring), PREFIX_CHUNK_KEYS + 1);
    assert_int_equal(prefix_ring_give_chunk(&chunks, &ring, keys), PREFIX_CHUNK_KEYS);
    assert_int_equal(ring.places, 0);
    assert_int_equal(prefix_chunks_left(&chunks), CHUNKS - 1);
    grow(&ring, 1);
    assert_int_equal(next_key(&ring), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_chunks, close_chunks)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(the_hand_goes_round_all_places),
            TEST(a_ring_takes_no_more_than_there_is),
            TEST(a_ring_shrinks_from_its_end),
            TEST(the_chunk_at_the_hand_can_be_given_up),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("prefix_ring", tests, NULL, NULL);
}
