#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/plan_tables.h"

#include <stdlib.h>
#include <string.h>

static char *print(const char *json)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    cJSON *plan = cJSON_Parse(json);
    struct err err = {.text = ""};

    assert_non_null(plan);
    if (plan_tables_print(plan, out, &err) < 0)
        fail_msg("%s", err.text);
    fclose(out);
    cJSON_Delete(plan);
    return text;
}

static void says(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void a_plan_is_three_tables(void **state)
{
    char *text = print(
            "{\"lost_permille\":34,\"exact\":true,\"loads\":1,\"unloads\":2,"
            "\"models\":[{\"node\":\"halo1\",\"model\":\"glm\",\"action\":\"load\",\"context\":"
            "32768,\"slots\":2,\"memory_bytes\":68719476736,\"why\":\"for code (2 copies)\"},"
            "{\"node\":\"mac\",\"model\":\"qwen\",\"action\":\"keep\",\"context\":8192,\"slots\":1,"
            "\"memory_bytes\":0,\"foreign\":true,\"why\":\"not ours\"}],"
            "\"modes\":[{\"mode\":\"code\",\"copy\":1,\"served\":true,\"model\":\"glm\",\"node\":"
            "\"halo1\",\"context\":32768,\"lost_permille\":12,\"why\":\"first choice\"},"
            "{\"mode\":\"code\",\"copy\":2,\"served\":false,\"context\":0,\"lost_permille\":1000,"
            "\"why\":\"not served\"},"
            "{\"mode\":\"ask\",\"copy\":1,\"served\":true,\"model\":\"qwen\",\"node\":\"mac\","
            "\"context\":8192,\"lost_permille\":0,\"why\":\"\"}],"
            "\"nodes\":[{\"node\":\"halo1\",\"capacity_bytes\":107374182400,\"planned_bytes\":"
            "68719476736,\"spare_bytes\":0,\"free_bytes\":38654705664}],"
            "\"notes\":[\"one\\u001b[2J\",\"two\"]}");

    (void)state;
    says(text,
            "1 model to load, 2 to let go; 3.4 % lost against the ideal, and no plan loses less\n");
    says(text, "halo1 glm   load     32768     2 64.0 GiB for code (2 copies)\n");
    says(text, "mac   qwen  keep      8192     1        - not ours\n");
    says(text, "code 1 glm   halo1   32768   1.2 % first choice\n");
    says(text, "code 2 -     -           - 100.0 % not served\n");
    says(text, "\nask    qwen");
    says(text, "halo1 64.0 GiB   0 B 36.0 GiB 100.0 GiB\n");
    says(text, "\nnote: one[2J\nnote: two\n");
    free(text);
}

static void a_plan_of_nothing_says_so(void **state)
{
    char *text = print("{\"models\":[],\"modes\":[],\"nodes\":[],\"notes\":[]}");

    (void)state;
    says(text, "Nothing is to be done; 0.0 % lost against the ideal\n");
    says(text, "No model is loaded, and none is to be.\n");
    says(text, "The coordinator's config has no modes.\n");
    says(text, "No node is there to be planned.\n");
    assert_null(strstr(text, "note:"));
    free(text);
}

static void what_is_no_plan_prints_as_nothing(void **state)
{
    static const char *const answers[] = {"{}", "[]", "{\"models\":3,\"notes\":[1]}",
            "{\"models\":[1,null,{}],\"modes\":[{}],\"nodes\":[[]]}"};

    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        free(print(answers[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_plan_is_three_tables),
            cmocka_unit_test(a_plan_of_nothing_says_so),
            cmocka_unit_test(what_is_no_plan_prints_as_nothing),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("plan_tables", tests, NULL, NULL);
}
