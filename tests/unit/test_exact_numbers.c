#include "coordinator/dialects/exact_numbers.h"

#include "common/json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void becomes(const char *text, const char *wanted)
{
    cJSON *json;
    char *exact = malloc(strlen(text)); /* without a NUL: a read past the end is seen */
    memcpy(exact, text, strlen(text));
    assert_int_equal(json_parse(text, strlen(text), &json_limits_request, &json, NULL), 0);
    assert_int_equal(exact_numbers_keep(json, "input", exact, strlen(text)), 0);
    char *printed = cJSON_PrintUnformatted(json);
    assert_string_equal(printed, wanted);
    free(printed);
    free(exact);
    cJSON_Delete(json);
}

static void long_numbers_keep_their_text(void **state)
{
    (void)state;
    becomes("{\"input\":{\"id\":12345678901234567890,\"t\":[-1763726400123456789,0."
            "10000000000000001]"
            "}}",
            "{\"input\":{\"id\":12345678901234567890,\"t\":[-1763726400123456789,"
            "0.10000000000000001]}}");
    becomes("{\"input\":9007199254740993}", "{\"input\":9007199254740993}");
}

static void short_numbers_stay_numbers(void **state)
{
    (void)state;
    becomes("{\"input\":[1e2,1.50,-0.5,123456789012345]}",
            "{\"input\":[100,1.5,-0.5,123456789012345]}");
    becomes("7", "7");
    becomes("{}", "{}");
}

static void other_members_are_left_alone(void **state)
{
    (void)state;
    becomes("{\"temperature\":0.30000000000000004,\"a\":{\"input\":{\"b\":1,\"c\":[2,"
            "11111111111111111111]},\"n\":22222222222222222222}}",
            "{\"temperature\":0.3,\"a\":{\"input\":{\"b\":1,\"c\":[2,"
            "11111111111111111111]},\"n\":2.2222222222222221e+19}}");
}

static void digits_in_strings_are_no_numbers(void **state)
{
    (void)state;
    becomes("{\"12\":\"3\\\"4\\\\\",\"input\":{\"5\":\"-6\",\"x\":77777777777777777777}}",
            "{\"12\":\"3\\\"4\\\\\",\"input\":{\"5\":\"-6\",\"x\":77777777777777777777}}");
}

static int allocations_left;

static void *counted_malloc(size_t size)
{
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

static void lack_of_memory_is_told(void **state)
{
    (void)state;
    static const char text[] = "{\"input\":[11111111111111111111,22222222222222222222]}";
    cJSON_Hooks hooks = {.malloc_fn = counted_malloc, .free_fn = free};
    for (int left = 0; left <= 2; left++) {
        cJSON *json = cJSON_Parse(text);
        cJSON_InitHooks(&hooks);
        allocations_left = left;
        int r = exact_numbers_keep(json, "input", text, strlen(text));
        cJSON_InitHooks(NULL);
        assert_int_equal(r, left < 2 ? -ENOMEM : 0);
        cJSON_Delete(json);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(long_numbers_keep_their_text),
            cmocka_unit_test(short_numbers_stay_numbers),
            cmocka_unit_test(other_members_are_left_alone),
            cmocka_unit_test(digits_in_strings_are_no_numbers),
            cmocka_unit_test(lack_of_memory_is_told),
    };
    return cmocka_run_group_tests_name("exact_numbers", tests, NULL, NULL);
}
