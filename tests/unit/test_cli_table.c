#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/table.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static const struct table_column columns[] = {
        {.key = "node", .title = "NODE"},
        {.key = "slots", .title = "SLOTS", .type = TABLE_NUMBER, .right = true},
        {.key = "note", .title = "NOTE", .wrap = true},
        {.key = NULL},
};

static const char *const first[] = {"halo1", "4", "fine"};
static const char *const second[] = {"workstation", "12", "waits for the memory of another model"};

/* The caller frees. */
static char *print(enum table_format format, size_t width, const char *const *row)
{
    struct table *table = table_create("nodes", columns, format);
    struct err err = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(table);
    assert_non_null(out);
    assert_int_equal(table_add(table, first), 0);
    if (row)
        assert_int_equal(table_add(table, row), 0);
    assert_int_equal(table_rows(table), row ? 2 : 1);
    assert_int_equal(table_print(table, out, width, &err), 0);
    fclose(out);
    table_destroy(table);
    return text;
}

static void aligns_text(void **state)
{
    char *text = print(TABLE_TEXT, 0, second);

    (void)state;
    assert_string_equal(text, "NODE        SLOTS NOTE\n"
                              "halo1           4 fine\n"
                              "workstation    12 waits for the memory of another model\n");
    free(text);
}

static void wraps_between_words(void **state)
{
    char *text = print(TABLE_TEXT, 40, second);

    (void)state;
    assert_non_null(strstr(text, "workstation    12 waits for the memory\n"));
    assert_non_null(strstr(text, "                  of another model\n"));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        assert_true(strlen(line) <= 40);
    free(text);
}

static void prints_json_with_numbers(void **state)
{
    char *text = print(TABLE_JSON, 0, second);
    cJSON *json = cJSON_Parse(text);
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(json, "nodes");
    const cJSON *row = cJSON_GetArrayItem(rows, 1);

    (void)state;
    assert_int_equal(cJSON_GetArraySize(rows), 2);
    assert_string_equal(cJSON_GetObjectItemCaseSensitive(row, "node")->valuestring, "workstation");
    assert_true(cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(row, "slots")));
    assert_int_equal(cJSON_GetObjectItemCaseSensitive(row, "slots")->valueint, 12);
    cJSON_Delete(json);
    free(text);
}

static void prints_raw_words(void **state)
{
    static const char *const blanks[] = {"a b", "1", ""};
    char *text = print(TABLE_RAW, 0, blanks);

    (void)state;
    assert_string_equal(text, "node slots note\nhalo1 4 fine\na\\x20b 1 -\n");
    free(text);
}

static void raw_rows_have_a_word_for_each_column(void **state)
{
    static const char *const empty[] = {"", "", NULL};
    char *raw = print(TABLE_RAW, 0, empty), *text = print(TABLE_TEXT, 0, empty);

    (void)state;
    assert_string_equal(raw, "node slots note\nhalo1 4 fine\n- - -\n");
    assert_null(strchr(text, '-'));
    free(raw);
    free(text);
}

static const struct table_column many_columns[] = {
        {.key = "name", .title = "MODE"},
        {.key = "models", .title = "MODELS", .type = TABLE_LIST, .wrap = true},
        {.key = "pinned", .title = "PINNED", .type = TABLE_BOOL, .detail = true},
        {.key = "bytes", .type = TABLE_NUMBER},
        {.key = NULL},
};

static char *print_many(enum table_format format, const char *models, const char *pinned)
{
    const char *cells[] = {"ask", models, pinned, "7"};
    struct table *table = table_create("modes", many_columns, format);
    struct err err = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(table);
    assert_non_null(out);
    assert_int_equal(table_add(table, cells), 0);
    assert_int_equal(table_print(table, out, 0, &err), 0);
    fclose(out);
    table_destroy(table);
    return text;
}

static void each_format_has_its_columns(void **state)
{
    static const struct {
        enum table_format format;
        const char *text;
    } cases[] = {
            {TABLE_TEXT, "MODE MODELS PINNED\nask  a, b   -\n"},
            {TABLE_BRIEF, "MODE MODELS\nask  a, b\n"},
            {TABLE_RAW, "name models pinned bytes\nask a,\\x20b - 7\n"},
    };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *text = print_many(cases[i].format, "a, b", "-");

        assert_string_equal(text, cases[i].text);
        free(text);
    }
}

static void json_has_lists_and_bools(void **state)
{
    static const char *const models[] = {"one", "one\ntwo \"2\"\nthree"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        char *text = print_many(TABLE_JSON, models[i], i ? "yes" : "no");
        cJSON *json = cJSON_Parse(text);
        const cJSON *row = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(json, "modes"), 0);
        const cJSON *list = cJSON_GetObjectItemCaseSensitive(row, "models");

        assert_int_equal(cJSON_GetArraySize(list), i ? 3 : 1);
        assert_string_equal(cJSON_GetArrayItem(list, i)->valuestring, i ? "two \"2\"" : "one");
        assert_true(i ? cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(row, "pinned"))
                      : cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(row, "pinned")));
        assert_int_equal(cJSON_GetObjectItemCaseSensitive(row, "bytes")->valueint, 7);
        cJSON_Delete(json);
        free(text);
    }
}

static void keeps_escapes_from_the_terminal(void **state)
{
    static const char *const hostile[] = {
            "a\033]0;title\007", "1", "b\033[31m\r\b \177 \302\233 \303("};
    static const enum table_format formats[] = {TABLE_TEXT, TABLE_JSON, TABLE_RAW};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *text = print(formats[i], i == 0 ? 30 : 0, hostile);

        for (const char *at = text; *at; at++)
            assert_true(*at == '\n' || (unsigned char)*at >= ' ');
        if (formats[i] != TABLE_JSON) {
            assert_null(strchr(text, '\177'));
            assert_null(strstr(text, "\302\233"));
        }
        free(text);
    }
}

static void prints_an_empty_table(void **state)
{
    struct table *table = table_create("nodes", columns, TABLE_JSON);
    struct err err = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    cJSON *json;

    (void)state;
    assert_int_equal(table_rows(table), 0);
    assert_int_equal(table_print(table, out, 0, &err), 0);
    fclose(out);
    json = cJSON_Parse(text);
    assert_true(cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(json, "nodes")));
    cJSON_Delete(json);
    free(text);
    table_destroy(table);
    table_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(aligns_text),
            cmocka_unit_test(wraps_between_words),
            cmocka_unit_test(prints_json_with_numbers),
            cmocka_unit_test(prints_raw_words),
            cmocka_unit_test(raw_rows_have_a_word_for_each_column),
            cmocka_unit_test(each_format_has_its_columns),
            cmocka_unit_test(json_has_lists_and_bools),
            cmocka_unit_test(keeps_escapes_from_the_terminal),
            cmocka_unit_test(prints_an_empty_table),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_table", tests, NULL, NULL);
}
