#include "common/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

enum { EPOCH = 7 };

static uint64_t id_of(uint32_t epoch, uint16_t generation, uint16_t index)
{
    return (uint64_t)epoch << 32 | (uint64_t)generation << 16 | index;
}

static void writer_spends_what_it_has(void **state)
{
    (void)state;
    struct stream_writer writer;
    stream_writer_init(&writer, 100);
    assert_true(stream_writer_spend(&writer, 60));
    assert_false(stream_writer_spend(&writer, 41));
    assert_int_equal(writer.credit, 40);
    assert_true(stream_writer_spend(&writer, 40));
    assert_true(stream_writer_spend(&writer, 0));
    assert_false(stream_writer_spend(&writer, 1));
    assert_false(stream_writer_spend(&writer, UINT32_MAX));
    assert_int_equal(stream_writer_grant(&writer, 5), 0);
    assert_true(stream_writer_spend(&writer, 5));
}

static void hostile_grants_are_refused(void **state)
{
    (void)state;
    struct stream_writer writer;
    stream_writer_init(&writer, STREAM_WINDOW);
    assert_int_equal(stream_writer_grant(&writer, UINT32_MAX), -EPROTO);
    assert_int_equal(writer.credit, STREAM_WINDOW);
    assert_int_equal(stream_writer_grant(&writer, UINT32_MAX - STREAM_WINDOW), 0);
    assert_int_equal(writer.credit, UINT32_MAX);
    assert_int_equal(stream_writer_grant(&writer, 1), -EPROTO);
    assert_int_equal(stream_writer_grant(&writer, 0), 0);
}

static void overspending_breaks_the_stream(void **state)
{
    (void)state;
    struct stream_reader reader;
    stream_reader_init(&reader, 100);
    assert_int_equal(stream_reader_receive(&reader, 60), 0);
    assert_int_equal(stream_reader_receive(&reader, 41), -EPROTO);
    assert_int_equal(stream_reader_receive(&reader, UINT32_MAX), -EPROTO);
    assert_int_equal(stream_reader_receive(&reader, 40), 0);
    assert_int_equal(stream_reader_receive(&reader, 1), -EPROTO);
    assert_int_equal(stream_reader_receive(&reader, 0), 0);
}

static void credit_returns_at_half_the_window(void **state)
{
    (void)state;
    struct stream_reader reader;
    stream_reader_init(&reader, 101);
    assert_int_equal(stream_reader_receive(&reader, 101), 0);
    assert_int_equal(stream_reader_take(&reader, 0), 0);
    assert_int_equal(stream_reader_take(&reader, 50), 0);
    assert_int_equal(stream_reader_receive(&reader, 1), -EPROTO);
    assert_int_equal(stream_reader_take(&reader, 1), 51);
    assert_int_equal(stream_reader_take(&reader, 50), 0);
    assert_int_equal(stream_reader_receive(&reader, 51), 0);
    assert_int_equal(stream_reader_receive(&reader, 1), -EPROTO);
    assert_int_equal(stream_reader_take(&reader, 51), 101);
}

static void smallest_and_largest_windows(void **state)
{
    (void)state;
    struct stream_reader reader;
    stream_reader_init(&reader, 1);
    assert_int_equal(stream_reader_receive(&reader, 1), 0);
    assert_int_equal(stream_reader_take(&reader, 1), 1);
    stream_reader_init(&reader, UINT32_MAX);
    assert_int_equal(stream_reader_receive(&reader, UINT32_MAX), 0);
    assert_int_equal(stream_reader_take(&reader, UINT32_MAX), UINT32_MAX);
    stream_reader_init(&reader, 0);
    assert_int_equal(stream_reader_receive(&reader, 1), -EPROTO);
    assert_int_equal(stream_reader_take(&reader, 0), 0);
}

/* Both ends with a consumer that takes odd amounts: nothing is overspent and the writer never
 * starves for good. */
static void both_ends_agree(void **state)
{
    (void)state;
    struct stream_writer writer;
    struct stream_reader reader;
    uint32_t waiting = 0;
    uint64_t moved = 0;
    stream_writer_init(&writer, STREAM_WINDOW);
    stream_reader_init(&reader, STREAM_WINDOW);
    for (uint32_t step = 1; moved < 1000000; step++) {
        uint32_t n = step * 37 % 1500;
        assert_true(step < 100000);
        if (stream_writer_spend(&writer, n)) {
            assert_int_equal(stream_reader_receive(&reader, n), 0);
            waiting += n;
        }
        uint32_t take = step * 91 % 1999;
        take = take < waiting ? take : waiting;
        assert_int_equal(stream_writer_grant(&writer, stream_reader_take(&reader, take)), 0);
        waiting -= take;
        moved += take;
        assert_int_equal(writer.credit, reader.outstanding);
        assert_true(writer.credit + waiting <= STREAM_WINDOW);
    }
}

static void table_makes_ids_with_generations(void **state)
{
    (void)state;
    int a, b;
    uint64_t first, second, again;
    struct stream_table *table = stream_table_create(EPOCH);
    assert_non_null(table);
    assert_int_equal(stream_table_add(table, &a, &first), 0);
    assert_int_equal(stream_table_add(table, &b, &second), 0);
    assert_int_not_equal(first, second);
    assert_int_equal(first >> 32, EPOCH);
    assert_ptr_equal(stream_table_get(table, first), &a);
    assert_ptr_equal(stream_table_get(table, second), &b);
    assert_int_equal(stream_table_count(table), 2);

    stream_table_remove(table, first);
    stream_table_remove(table, first);
    assert_int_equal(stream_table_count(table), 1);
    assert_null(stream_table_get(table, first));
    assert_int_equal(stream_table_add(table, &a, &again), 0);
    assert_int_not_equal(first, again);
    assert_int_equal(first & UINT16_MAX, again & UINT16_MAX);
    assert_null(stream_table_get(table, first));
    assert_ptr_equal(stream_table_get(table, again), &a);
    stream_table_remove(table, first);
    assert_ptr_equal(stream_table_get(table, again), &a);
    stream_table_destroy(table);
}

static void generations_wrap(void **state)
{
    (void)state;
    int a;
    struct stream_table *table = stream_table_create(EPOCH);
    uint64_t id = 0, last = 0;
    for (uint32_t i = 0; i <= UINT16_MAX + 1u; i++) {
        assert_int_equal(stream_table_add(table, &a, &id), 0);
        assert_int_equal(id >> 32, EPOCH);
        assert_int_equal(id & UINT16_MAX, 0);
        assert_true(i == 0 || id != last);
        stream_table_remove(table, id);
        last = id;
    }
    stream_table_destroy(table);
}

static void full_table(void **state)
{
    (void)state;
    static int streams[STREAM_TABLE_MAX];
    static uint64_t ids[STREAM_TABLE_MAX];
    uint64_t id = 77;
    struct stream_table *table = stream_table_create(EPOCH);
    for (size_t i = 0; i < STREAM_TABLE_MAX; i++)
        assert_int_equal(stream_table_add(table, &streams[i], &ids[i]), 0);
    assert_int_equal(stream_table_add(table, &id, &id), -ENFILE);
    assert_int_equal(id, 77);
    for (size_t i = 0; i < STREAM_TABLE_MAX; i++)
        assert_ptr_equal(stream_table_get(table, ids[i]), &streams[i]);

    stream_table_remove(table, ids[1234]);
    assert_int_equal(stream_table_count(table), STREAM_TABLE_MAX - 1);
    assert_int_equal(stream_table_add(table, &streams[0], &id), 0);
    assert_int_equal(id & UINT16_MAX, 1234);
    assert_null(stream_table_get(table, ids[1234]));
    stream_table_destroy(table);
}

static void foreign_ids_are_found_by_nobody(void **state)
{
    (void)state;
    int a;
    uint64_t id;
    struct stream_table *table = stream_table_create(EPOCH);
    assert_null(stream_table_get(table, id_of(EPOCH, 0, 0)));
    assert_int_equal(stream_table_add(table, &a, &id), 0);
    assert_null(stream_table_get(table, id + (UINT64_C(1) << 32)));
    assert_null(stream_table_get(table, id & UINT32_MAX));
    assert_null(stream_table_get(table, id + (1 << 16)));
    assert_null(stream_table_get(table, id + 1));
    assert_null(stream_table_get(table, id_of(EPOCH, 0, UINT16_MAX)));
    assert_null(stream_table_get(table, UINT64_MAX));
    stream_table_remove(table, UINT64_MAX);
    stream_table_remove(table, id + 1);
    assert_int_equal(stream_table_count(table), 1);
    stream_table_destroy(table);
    stream_table_destroy(NULL);
}

static void table_follows_the_ids_of_the_peer(void **state)
{
    (void)state;
    int a, b;
    uint64_t made;
    struct stream_table *table = stream_table_create(EPOCH);
    const uint64_t id = id_of(EPOCH, 500, STREAM_TABLE_MAX - 1);
    assert_int_equal(stream_table_put(table, id, &a), 0);
    assert_ptr_equal(stream_table_get(table, id), &a);
    assert_int_equal(stream_table_put(table, id, &b), -EEXIST);
    assert_int_equal(stream_table_put(table, id + (1 << 16), &b), -EEXIST);
    assert_int_equal(stream_table_put(table, id + 1, &b), -EPROTO);
    assert_int_equal(stream_table_put(table, id_of(EPOCH + 1, 0, 3), &b), -EPROTO);
    assert_ptr_equal(stream_table_get(table, id), &a);
    assert_int_equal(stream_table_count(table), 1);

    stream_table_remove(table, id);
    assert_int_equal(stream_table_put(table, id_of(EPOCH, 9, STREAM_TABLE_MAX - 1), &b), 0);
    assert_null(stream_table_get(table, id));
    assert_int_equal(stream_table_put(table, id_of(EPOCH, 0, 0), &a), 0);
    assert_int_equal(stream_table_add(table, &b, &made), 0);
    assert_int_equal(made, id_of(EPOCH, 0, 1));
    stream_table_destroy(table);
}

struct visit {
    struct stream_table *table;
    uint64_t ids;
    int count;
};

static void visit_and_remove(void *ctx, uint64_t id, void *stream)
{
    struct visit *visit = ctx;
    assert_ptr_equal(stream_table_get(visit->table, id), stream);
    stream_table_remove(visit->table, id);
    visit->ids |= UINT64_C(1) << (id & UINT16_MAX);
    visit->count++;
}

static void each_visits_open_streams_and_may_remove_them(void **state)
{
    (void)state;
    int streams[40];
    uint64_t ids[40];
    struct stream_table *table = stream_table_create(EPOCH);
    struct visit visit = {.table = table};
    stream_table_each(table, visit_and_remove, &visit);
    assert_int_equal(visit.count, 0);
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(stream_table_add(table, &streams[i], &ids[i]), 0);
    stream_table_remove(table, ids[17]);
    stream_table_each(table, visit_and_remove, &visit);
    assert_int_equal(visit.count, 39);
    assert_int_equal(visit.ids, ((UINT64_C(1) << 40) - 1) & ~(UINT64_C(1) << 17));
    assert_int_equal(stream_table_count(table), 0);
    stream_table_destroy(table);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(writer_spends_what_it_has),
            cmocka_unit_test(hostile_grants_are_refused),
            cmocka_unit_test(overspending_breaks_the_stream),
            cmocka_unit_test(credit_returns_at_half_the_window),
            cmocka_unit_test(smallest_and_largest_windows),
            cmocka_unit_test(both_ends_agree),
            cmocka_unit_test(table_makes_ids_with_generations),
            cmocka_unit_test(generations_wrap),
            cmocka_unit_test(full_table),
            cmocka_unit_test(foreign_ids_are_found_by_nobody),
            cmocka_unit_test(table_follows_the_ids_of_the_peer),
            cmocka_unit_test(each_visits_open_streams_and_may_remove_them),
    };
    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
