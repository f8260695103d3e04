#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/json/json.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct json_limits small = {.max_bytes = 64, .max_depth = 3, .max_values = 5};

static int parse(const char *text, size_t len, cJSON **ret_json, struct err *err)
{
    /* A copy without a final NUL lets the sanitizer see a read past the end. */
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    int r = json_parse(copy, len, &json_limits_request, ret_json, err);
    free(copy);
    return r;
}

static void test_accepts(void **state)
{
    static const char *const texts[] = {"null", "true", "false", "0", "-0", "1.5e-3", "1E+2",
            "\"\"", "[]", "{}", " [ 1 , [ ] , { } ] ", "{\"a\":{\"b\":[1,2,{\"c\":null}]}}",
            "\t\r\n1\n", "\"\\u00e9\\ud83d\\ude00\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
            "\"\xc3\xa9\xf0\x9f\x98\x80\x7f\"",
            "123456789012345678901234567890123456789012345678901234567890123"};
    (void)state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct err err = {.text = ""};
        cJSON *json = NULL;
        int r = parse(texts[i], strlen(texts[i]), &json, &err);
        if (r < 0)
            fail_msg("%s: %s", texts[i], err.text);
        assert_non_null(json);
        cJSON_Delete(json);
    }
}

struct refusal {
    const char *text, *error;
};

static void test_refuses_with_place(void **state)
{
    static const struct refusal cases[] = {
            {"", "line 1, column 1: expected a value"},
            {" \n ", "line 2, column 2: expected a value"},
            {"[1,\n 2,\n x]", "line 3, column 2: no JSON value begins like this"},
            {"[1,]", "line 1, column 4: expected a value"},
            {"[,1]", "line 1, column 2: expected a value or \"]\""},
            {"[1}", "line 1, column 3: expected \",\" or the closing bracket"},
            {"{\"a\":1]", "line 1, column 7: expected \",\" or the closing bracket"},
            {"{\"a\":1,}", "line 1, column 8: expected a key in quotes"},
            {"{1:2}", "line 1, column 2: expected a key in quotes or \"}\""},
            {"{\"a\" 1}", "line 1, column 6: expected \":\" behind the key"},
            {"{\"a\"", "line 1, column 5: expected \":\" behind the key"},
            {"1 2", "line 1, column 3: expected nothing behind the value"},
            {"]", "line 1, column 1: expected a value"},
            {"[", "line 1, column 2: expected a value or \"]\""},
            {"tru", "line 1, column 1: no JSON value begins like this"},
            {"NaN", "line 1, column 1: no JSON value begins like this"},
            {"+1", "line 1, column 1: no JSON value begins like this"},
            {"01", "line 1, column 1: not a number"},
            {"1.", "line 1, column 1: not a number"},
            {"-", "line 1, column 1: not a number"},
            {"1e", "line 1, column 1: not a number"},
            {"1e+", "line 1, column 1: not a number"},
            {"[\"a", "line 1, column 2: the string that begins here has no end"},
            {"\"a\nb\"", "line 1, column 3: a control character in a string must be escaped"},
            {"\"\\x\"", "line 1, column 2: unknown escape in a string"},
            {"\"\\", "line 1, column 2: unknown escape in a string"},
            {"\"\\u12", "line 1, column 2: \\u needs four hex digits"},
            {"\"\\u12g4\"", "line 1, column 2: \\u needs four hex digits"},
            {"\"a\\u0000\"", "line 1, column 3: \\u0000 is not supported in strings"},
            {"{\"\\u0000\":1}", "line 1, column 3: \\u0000 is not supported in strings"},
            {"\"\\ud800\"", "line 1, column 2: half of a surrogate pair"},
            {"\"\\ud800\\u0041\"", "line 1, column 2: half of a surrogate pair"},
            {"\"\\ude00\\ud83d\"", "line 1, column 2: half of a surrogate pair"},
            {"\"\\ud800\\u", "line 1, column 2: half of a surrogate pair"},
            {"\"\xff\"", "line 1, column 2: bytes that are not UTF-8"},
            {"\"\xc0\xaf\"", "line 1, column 2: bytes that are not UTF-8"},
            {"\"\xe0\x80\x80\"", "line 1, column 2: bytes that are not UTF-8"},
            {"\"\xed\xa0\x80\"", "line 1, column 2: bytes that are not UTF-8"},
            {"\"\xf4\x90\x80\x80\"", "line 1, column 2: bytes that are not UTF-8"},
            {"\"\xf0\x80\x80\x80\"", "line 1, column 2: bytes that are not UTF-8"},
            {"\"\xf0\x9f\x98", "line 1, column 2: bytes that are not UTF-8"},
            {"\xef\xbb\xbf{}", "line 1, column 1: no JSON value begins like this"},
            {"1234567890123456789012345678901234567890123456789012345678901234",
                    "line 1, column 1: a number of more than 63 characters"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct err err = {.text = ""};
        cJSON *json = NULL;
        assert_int_equal(parse(cases[i].text, strlen(cases[i].text), &json, &err), -EINVAL);
        assert_string_equal(err.text, cases[i].error);
        assert_null(json);
    }
}

static void test_refuses_nul_byte(void **state)
{
    static const char *const places[] = {"\"a\0b\"", "\0 1 ", "1\0  ", "[1\0]"};
    (void)state;

    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        cJSON *json = NULL;
        assert_int_equal(parse(places[i], 4, &json, NULL), -EINVAL);
    }
}

static int parse_small(const char *text, struct err *err)
{
    cJSON *json = NULL;
    int r = json_parse(text, strlen(text), &small, &json, err);
    cJSON_Delete(json);
    return r;
}

static void test_limits(void **state)
{
    struct err err;
    char text[80];
    (void)state;

    assert_int_equal(parse_small("[[[]]]", &err), 0);
    assert_int_equal(parse_small("[[[[]]]]", &err), -EMSGSIZE);
    assert_string_equal(err.text, "line 1, column 4: the JSON is nested deeper than 3 levels");
    assert_int_equal(parse_small("[[{\"a\":{}}]]", &err), -EMSGSIZE);

    assert_int_equal(parse_small("[1,2,3,4]", &err), 0);
    assert_int_equal(parse_small("[1,2,3,4,5]", &err), -EMSGSIZE);
    assert_string_equal(err.text, "the JSON has more than 5 values");
    assert_int_equal(parse_small("{\"a\":1,\"b\":2}", &err), 0);
    assert_int_equal(parse_small("{\"a\":1,\"b\":2,\"c\":3}", &err), -EMSGSIZE);

    memset(text, ' ', sizeof(text));
    text[0] = '1';
    text[64] = '\0';
    assert_int_equal(parse_small(text, &err), 0);
    text[64] = ' ';
    text[65] = '\0';
    assert_int_equal(parse_small(text, &err), -EMSGSIZE);
    assert_string_equal(err.text, "the JSON has 65 bytes; at most 64 are accepted");
}

static void test_deepest_nesting(void **state)
{
    struct json_limits limits = {
            .max_bytes = 1024, .max_depth = JSON_DEPTH_MAX, .max_values = 1024};
    char text[2 * JSON_DEPTH_MAX];
    cJSON *json = NULL;
    (void)state;

    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    assert_int_equal(json_parse(text, sizeof(text), &limits, &json, NULL), 0);
    cJSON_Delete(json);
}

static int allocations_left;

static void *counted_malloc(size_t size)
{
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

static void test_every_allocation_fails_once(void **state)
{
    static const char text[] = "{\"a\":[1,\"two\",{\"b\":null}],\"c\":\"d\"}";
    cJSON_Hooks hooks = {.malloc_fn = counted_malloc, .free_fn = free};
    int r = -1, failures = 0;
    (void)state;

    cJSON_InitHooks(&hooks);
    for (int i = 0; r < 0; i++) {
        struct err err;
        cJSON *json = NULL;
        allocations_left = i;
        r = json_parse(text, strlen(text), &json_limits_event, &json, &err);
        cJSON_Delete(json);
        if (r == 0)
            break;
        assert_int_equal(r, -ENOMEM);
        assert_memory_equal(err.text, "line 1, column ", strlen("line 1, column "));
        failures++;
    }
    cJSON_InitHooks(NULL);
    assert_true(failures > 8);
}

static void test_getters(void **state)
{
    static const char text[] = "{\"s\":\"x\",\"n\":2.5,\"t\":true,\"f\":false,\"o\":{},\"a\":[],"
                               "\"z\":null,\"S\":\"upper\"}";
    cJSON *json = NULL;
    (void)state;

    assert_int_equal(parse(text, strlen(text), &json, NULL), 0);
    assert_string_equal(json_str(json, "s", "d"), "x");
    assert_string_equal(json_str(json, "S", "d"), "upper");
    assert_string_equal(json_str(json, "n", "d"), "d");
    assert_string_equal(json_str(json, "z", "d"), "d");
    assert_null(json_str(json, "absent", NULL));
    assert_true(fabs(json_num(json, "n", 1) - 2.5) < 1e-9);
    assert_true(fabs(json_num(json, "s", 7) - 7) < 1e-9);
    assert_true(json_bool(json, "t", false));
    assert_false(json_bool(json, "f", true));
    assert_true(json_bool(json, "z", true));
    assert_non_null(json_obj(json, "o"));
    assert_null(json_obj(json, "a"));
    assert_non_null(json_array(json, "a"));
    assert_null(json_array(json, "o"));
    assert_null(json_str(NULL, "s", NULL));
    assert_null(json_str(json_array(json, "a"), "s", NULL));
    cJSON_Delete(json);
}

static void assert_held(struct buf *buf, const char *expected)
{
    assert_int_equal(buf_terminate(buf), 0);
    assert_string_equal(buf_at(buf), expected);
}

static void test_append_str(void **state)
{
    static const char raw[] = "a\"b\\c\n\r\t\b\f\x01\x1f/\x7f\xc3\xa9\xff\xe2\x82 \xf0\x9f\x98\x80";
    struct buf buf;
    (void)state;

    buf_init(&buf, 1024);
    assert_int_equal(json_append_str(&buf, raw, sizeof(raw) - 1), 0);
    assert_held(&buf, "\"a\\\"b\\\\c\\n\\r\\t\\b\\f\\u0001\\u001f/\x7f\xc3\xa9\xef\xbf\xbd"
                      "\xef\xbf\xbd\xef\xbf\xbd \xf0\x9f\x98\x80\"");
    buf_clear(&buf);
    assert_int_equal(json_append_str(&buf, "a\0b", 3), 0);
    assert_held(&buf, "\"a\\u0000b\"");
    buf_clear(&buf);
    assert_int_equal(json_append_str(&buf, "", 0), 0);
    assert_held(&buf, "\"\"");
    buf_fini(&buf);
}

static void test_append_str_that_does_not_fit(void **state)
{
    struct buf buf;
    (void)state;

    buf_init(&buf, 8);
    assert_int_equal(buf_append_str(&buf, "abc"), 0);
    for (size_t len = 4; len < 9; len++)
        assert_int_equal(json_append_str(&buf, "12345678", len), -ENOBUFS);
    assert_held(&buf, "abc");
    assert_int_equal(json_append_str(&buf, "123", 3), 0);
    assert_held(&buf, "abc\"123\"");
    buf_fini(&buf);
}

static void test_append(void **state)
{
    static const char text[] = "{ \"a\" : [1, true, null, \"x\"] }";
    cJSON *json = NULL;
    struct buf buf;
    (void)state;

    buf_init(&buf, 64);
    assert_int_equal(parse(text, strlen(text), &json, NULL), 0);
    assert_int_equal(json_append(&buf, json), 0);
    assert_held(&buf, "{\"a\":[1,true,null,\"x\"]}");
    cJSON_Delete(json);
    buf_fini(&buf);
}

struct edit_case {
    const char *text, *expected;
};

static const struct json_member members[] = {
        {"model", "\"new\""}, {"gone", NULL}, {"stream", "true"}};

static void test_edit(void **state)
{
    static const struct edit_case cases[] = {
            {"{}", "{\"model\":\"new\",\"stream\":true}"},
            {" { } \n", " {\"model\":\"new\",\"stream\":true} \n"},
            {"{\"model\":\"old\"}", "{\"model\":\"new\",\"stream\":true}"},
            {"{ \"model\" : [1,{\"x\":2}] , \"big\" : 12345678901234567890 }",
                    "{ \"model\" : \"new\" , \"big\" : 12345678901234567890 ,\"stream\":true}"},
            {"{\"gone\":1,\"a\":\"\\u00e9\",\"stream\":false}",
                    "{\"a\":\"\\u00e9\",\"stream\":true,\"model\":\"new\"}"},
            {"{\"a\":1,\"gone\":{\"gone\":2}}", "{\"a\":1,\"model\":\"new\",\"stream\":true}"},
            {"{\"gone\":1,\"gone\":2}", "{\"model\":\"new\",\"stream\":true}"},
            {"{\"model\":1,\"a\":{\"model\":2},\"model\":3,\"stream\":0,\"stream\":1}",
                    "{\"model\":\"new\",\"a\":{\"model\":2},\"stream\":true}"},
            {"{\"mod\\u0065l\":1,\"\\u0067one\":2,\"b\":[]}",
                    "{\"mod\\u0065l\":\"new\",\"b\":[],\"stream\":true}"},
            {"{\"mode\":1,\"models\":2,\"Model\":3,\"\\u016dodel\":4,\"\\nmodel\":5,\"\":6}",
                    "{\"mode\":1,\"models\":2,\"Model\":3,\"\\u016dodel\":4,\"\\nmodel\":5,\"\":6,"
                    "\"model\":\"new\",\"stream\":true}"},
            {"{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2,\"model\":\"new\",\"stream\":true}"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct buf out;
        buf_init(&out, 4096);
        assert_int_equal(json_edit(&out, cases[i].text, strlen(cases[i].text), members, 3), 0);
        assert_held(&out, cases[i].expected);
        buf_fini(&out);
    }
}

static void test_find(void **state)
{
    static const struct {
        const char *text, *value; /* of "model"; NULL: there is none */
    } cases[] = {{"{}", NULL}, {" { } ", NULL}, {"{\"model\":1}", "1"},
            {"{\"a\":{\"model\":2},\"model\" : [1, {\"b\":2}] ,\"c\":3}", "[1, {\"b\":2}]"},
            {"{\"mod\\u0065l\":\"x\\\"y\"}", "\"x\\\"y\""}, {"{\"models\":1,\"mode\":2}", NULL},
            {"{\"model\":null,\"model\":2}", "null"}};
    static const char *const wrong[] = {"", "[]", "7", "{\"a\"}", "{\"a\":1"};
    const char *value = NULL;
    size_t len = 0;
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int r = json_find(cases[i].text, strlen(cases[i].text), "model", &value, &len);
        assert_int_equal(r, cases[i].value ? 0 : -ENOENT);
        if (r == 0) {
            assert_int_equal(len, strlen(cases[i].value));
            assert_memory_equal(value, cases[i].value, len);
        }
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(json_find(wrong[i], strlen(wrong[i]), "model", &value, &len), -EINVAL);
}

static void test_edit_with_nothing_copies(void **state)
{
    static const char text[] = " {\"a\" :1 , \"b\":[ ]\t}\r\n";
    struct buf out;
    (void)state;

    buf_init(&out, 4096);
    assert_int_equal(json_edit(&out, text, strlen(text), NULL, 0), 0);
    assert_held(&out, text);
    buf_fini(&out);
}

static void test_edit_refuses(void **state)
{
    static const char *const texts[] = {"", "[]", "1", "\"{}\"", "{", "{\"a\"", "{\"a\":1",
            "{\"a\":1,", "{\"a\":1,}", "{\"a\":}", "{\"a\":[}", "{}1", "{\"a\":1}{", "{a:1}",
            "{\"a\":1 \"b\":2}"};
    (void)state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct buf out;
        buf_init(&out, 4096);
        assert_int_equal(buf_append_str(&out, "kept"), 0);
        assert_int_equal(json_edit(&out, texts[i], strlen(texts[i]), members, 3), -EINVAL);
        assert_held(&out, "kept");
        buf_fini(&out);
    }
}

static void test_edit_that_does_not_fit(void **state)
{
    static const char text[] = "{\"a\":1,\"model\":2,\"b\":3}";
    static const char expected[] = "{\"a\":1,\"model\":\"new\",\"b\":3,\"stream\":true}";
    (void)state;

    for (size_t max = 0; max < strlen(expected); max++) {
        struct buf out;
        buf_init(&out, max);
        assert_int_equal(json_edit(&out, text, strlen(text), members, 3), -ENOBUFS);
        assert_int_equal(out.len, 0);
        buf_fini(&out);
    }
}

static void test_requests_are_unambiguous(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
            {"{\"a\":1,\"b\":2,\"a\":3}", "\"a\" stands twice"},
            {"{\"a\":1,\"\\u0061\":3}", "\"a\" stands twice"},
            {"[{\"x\":{\"y\":1,\"z\":[],\"y\":{}}}]", "\"y\" stands twice"},
            {"{\"n\":1e999}", "too large"},
            {"[-1e999]", "too large"},
    };
    static const struct json_limits lax = {.max_bytes = 100, .max_depth = 8, .max_values = 20};
    cJSON *json;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *text = cases[i].text;
        assert_int_equal(
                json_parse(text, strlen(text), &json_limits_request, &json, &err), -EINVAL);
        if (!strstr(err.text, cases[i].why))
            fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].why);
        assert_int_equal(json_parse(text, strlen(text), &lax, &json, &err), 0);
        cJSON_Delete(json);
    }
    const char *fine = "{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}],\"A\":1}";
    assert_int_equal(json_parse(fine, strlen(fine), &json_limits_request, &json, &err), 0);
    cJSON_Delete(json);
}

static void test_whole_numbers(void **state)
{
    static const struct {
        double number;
        bool whole;
    } cases[] = {{0, true}, {7, true}, {9007199254740991.0, true}, {9007199254740992.0, false},
            {0.5, false}, {-1, false}};
    uint64_t got;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cJSON *json = cJSON_CreateNumber(cases[i].number);
        got = 42;
        assert_int_equal(json_whole(json, &got), cases[i].whole);
        assert_true(got == (cases[i].whole ? (uint64_t)cases[i].number : 42));
        cJSON_Delete(json);
    }
    assert_false(json_whole(NULL, &got));
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_accepts),
            cmocka_unit_test(test_refuses_with_place),
            cmocka_unit_test(test_refuses_nul_byte),
            cmocka_unit_test(test_limits),
            cmocka_unit_test(test_deepest_nesting),
            cmocka_unit_test(test_every_allocation_fails_once),
            cmocka_unit_test(test_getters),
            cmocka_unit_test(test_append_str),
            cmocka_unit_test(test_append_str_that_does_not_fit),
            cmocka_unit_test(test_append),
            cmocka_unit_test(test_edit),
            cmocka_unit_test(test_find),
            cmocka_unit_test(test_edit_with_nothing_copies),
            cmocka_unit_test(test_edit_refuses),
            cmocka_unit_test(test_edit_that_does_not_fit),
            cmocka_unit_test(test_requests_are_unambiguous),
            cmocka_unit_test(test_whole_numbers),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
