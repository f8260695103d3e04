#include "coordinator/dialects/tool_fragments.h"

#include "coordinator/dialects/gathered.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct seen {
    char text[512];
    size_t len;
    int answer; /* of the callback */
};

/* "INDEX id name arguments;" with "-" where there is none. */
static int note(void *ctx, const struct tool_fragment *fragment)
{
    struct seen *seen = ctx;
    int n = snprintf(seen->text + seen->len, sizeof(seen->text) - seen->len, "%u %s %s '%s';",
            fragment->index, fragment->id ? fragment->id : "-",
            fragment->name ? fragment->name : "-", fragment->arguments);
    seen->len += (size_t)n;
    return seen->answer;
}

static int each(const char *data, struct seen *seen)
{
    struct msg_delta delta = {.kind = DELTA_TOOL_CALLS, .data = data, .len = strlen(data)};
    return tool_fragments_each(&delta, note, seen);
}

static void pieces_are_told_in_order(void **state)
{
    (void)state;
    struct seen seen = {0};
    assert_int_equal(
            each("[{\"index\":1,\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":"
                 "\"read\",\"arguments\":\"{\\\"p\"}},{\"index\":0,\"function\":{"
                 "\"arguments\":\"\\\":1}\"}}]",
                    &seen),
            0);
    assert_string_equal(seen.text, "1 c1 read '{\"p';0 - - '\":1}';");
}

static void nothing_may_be_said_in_three_ways(void **state)
{
    (void)state;
    struct seen seen = {0};
    assert_int_equal(
            each("[{\"index\":0,\"id\":null,\"function\":{\"name\":null,\"arguments\":null}},"
                 "{\"index\":1,\"id\":\"\",\"function\":{\"name\":\"\",\"arguments\":\"\"}},"
                 "{\"index\":2}]",
                    &seen),
            0);
    assert_string_equal(seen.text, "0 - - '';1 - - '';2 - - '';");
}

static void without_an_index_the_place_counts(void **state)
{
    (void)state;
    struct seen seen = {0};
    assert_int_equal(each("[{\"id\":\"a\"},{\"id\":\"b\"}]", &seen), 0);
    assert_string_equal(seen.text, "0 a - '';1 b - '';");
}

static void other_shapes_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{}", "[1]", "[[]]", "[{\"index\":-1}]",
            "[{\"index\":1.5}]", "[{\"index\":\"0\"}]", "[{\"index\":null}]", "[{\"id\":1}]",
            "[{\"function\":\"f\"}]", "[{\"function\":{\"name\":{}}}]",
            "[{\"function\":{\"arguments\":{\"p\":1}}}]", "[{\"index\":0}", "null"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct seen seen = {0};
        if (each(texts[i], &seen) != -EPROTO)
            fail_msg("%s is taken", texts[i]);
        assert_string_equal(seen.text, "");
    }
}

static void an_index_has_a_limit(void **state)
{
    (void)state;
    for (int index = GATHERED_TOOL_CALLS_MAX - 1; index <= GATHERED_TOOL_CALLS_MAX; index++) {
        struct seen seen = {0};
        char text[64];
        (void)snprintf(text, sizeof(text), "[{\"index\":%d}]", index);
        assert_int_equal(each(text, &seen), index < GATHERED_TOOL_CALLS_MAX ? 0 : -EPROTO);
    }
}

static void the_callback_can_end_the_walk(void **state)
{
    (void)state;
    struct seen seen = {.answer = -ENOBUFS};
    assert_int_equal(each("[{\"id\":\"a\"},{\"id\":\"b\"}]", &seen), -ENOBUFS);
    assert_string_equal(seen.text, "0 a - '';");
    seen = (struct seen){.answer = 1};
    assert_int_equal(each("[{\"id\":\"a\"},{\"id\":\"b\"}]", &seen), 0);
    assert_string_equal(seen.text, "0 a - '';1 b - '';");
}

static int allocations_left;

static void *counted_malloc(size_t size)
{
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    cJSON_Hooks hooks = {.malloc_fn = counted_malloc, .free_fn = free};
    int failures = 0;
    cJSON_InitHooks(&hooks);
    for (;; failures++) {
        struct seen seen = {0};
        allocations_left = failures;
        int r = each("[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\"}}]", &seen);
        if (r == 0)
            break;
        assert_int_equal(r, -ENOMEM);
        assert_string_equal(seen.text, "");
    }
    cJSON_InitHooks(NULL);
    assert_true(failures > 8);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(pieces_are_told_in_order),
            cmocka_unit_test(nothing_may_be_said_in_three_ways),
            cmocka_unit_test(without_an_index_the_place_counts),
            cmocka_unit_test(other_shapes_are_refused),
            cmocka_unit_test(an_index_has_a_limit),
            cmocka_unit_test(the_callback_can_end_the_walk),
            cmocka_unit_test(each_allocation_fails_once),
    };
    return cmocka_run_group_tests_name("tool_fragments", tests, NULL, NULL);
}
