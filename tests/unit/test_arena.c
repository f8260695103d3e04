#include "common/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdalign.h>
#include <string.h>

/* Lets malloc refuse under AddressSanitizer as it does without. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void pieces_are_aligned_zeroed_and_apart(void **state)
{
    (void)state;
    enum { PIECES = 500 };
    static const char zeros[PIECES];
    char *pieces[PIECES];
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < PIECES; i++) {
        pieces[i] = arena_alloc(&arena, i);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
        assert_memory_equal(pieces[i], zeros, i);
        memset(pieces[i], (int)(i & 0xff), i);
    }
    for (size_t i = 0; i < PIECES; i++) {
        for (size_t j = 0; j < i; j++)
            assert_int_equal((unsigned char)pieces[i][j], i & 0xff);
    }
    arena_fini(&arena);
}

static void large_pieces_leave_the_small_ones_room(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    char *first = arena_alloc(&arena, 16);
    char *large = arena_alloc(&arena, 100000);
    char *second = arena_alloc(&arena, 16);
    assert_non_null(first);
    assert_non_null(large);
    memset(large, 1, 100000);
    assert_ptr_equal(second, first + 16);
    arena_fini(&arena);
}

static void limit_holds(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 64);
    assert_null(arena_alloc(&arena, 65));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_int_equal(arena.used_bytes, 0);
    assert_non_null(arena_alloc(&arena, 48));
    assert_null(arena_alloc(&arena, 17));
    assert_non_null(arena_alloc(&arena, 1));
    assert_null(arena_alloc(&arena, 1));
    assert_null(arena_alloc(&arena, 0));
    assert_int_equal(arena.used_bytes, 64);

    arena_fini(&arena);
    assert_int_equal(arena.used_bytes, 0);
    assert_non_null(arena_alloc(&arena, 64));
    arena_fini(&arena);
}

static void lengths_do_not_overflow(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    for (size_t back = 0; back < 64; back++)
        assert_null(arena_alloc(&arena, SIZE_MAX - back));
    assert_null(arena_memdup(&arena, "x", SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX / 2));
    assert_int_equal(arena.used_bytes, 0);
    assert_non_null(arena_alloc(&arena, 8));
    arena_fini(&arena);
}

static void copies_end_with_nul(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 12);
    assert_string_equal(arena_strdup(&arena, "prefill"), "prefill");
    assert_string_equal(arena_strdup(&arena, ""), "");
    assert_memory_equal(arena_memdup(&arena, "a\0b", 3), "a\0b", 4);
    assert_string_equal(arena_memdup(&arena, NULL, 0), "");
    arena_fini(&arena);
}

static void copies_obey_the_limit(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 16);
    assert_null(arena_strdup(&arena, "sixteen letters!"));
    assert_string_equal(arena_strdup(&arena, "fifteen letters"), "fifteen letters");
    arena_fini(&arena);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(pieces_are_aligned_zeroed_and_apart),
            cmocka_unit_test(large_pieces_leave_the_small_ones_room),
            cmocka_unit_test(limit_holds),
            cmocka_unit_test(lengths_do_not_overflow),
            cmocka_unit_test(copies_end_with_nul),
            cmocka_unit_test(copies_obey_the_limit),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
