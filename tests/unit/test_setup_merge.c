#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/merge/merge.h"
#include "cli/merge/text_edits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int merge(enum merge_format format, const char *text, const char *patch_text,
        struct buf *out, struct err *err)
{
    cJSON *patch = cJSON_Parse(patch_text);
    int rc;

    assert_non_null(patch);
    buf_init(out, MERGE_FILE_MAX);
    rc = merge_text(format, text, strlen(text), patch, out, err);
    cJSON_Delete(patch);
    assert_int_equal(buf_terminate(out), 0);
    return rc;
}

static void assert_merged(
        enum merge_format format, const char *text, const char *patch, const char *expected)
{
    struct err err = {.text = ""};
    struct buf once, twice;

    if (merge(format, text, patch, &once, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    assert_string_equal(buf_at(&once), expected);
    if (merge(format, buf_at(&once), patch, &twice, &err) < 0)
        fail_msg("again: %s: %s", buf_at(&once), err.text);
    assert_string_equal(buf_at(&twice), expected);
    buf_fini(&once);
    buf_fini(&twice);
}

static void assert_refused(
        enum merge_format format, const char *text, const char *patch, const char *problem)
{
    struct err err = {.text = ""};
    struct buf out;
    int rc = merge(format, text, patch, &out, &err);

    assert_true(rc == -EINVAL || rc == -EMSGSIZE);
    if (!strstr(err.text, problem))
        fail_msg("%s: \"%s\" does not have \"%s\"", text, err.text, problem);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

/* --- JSON with comments --- */

static void test_jsonc_into_nothing(void **state)
{
    (void)state;
    assert_merged(MERGE_JSONC, "", "{\"a\":{\"b\":[\"x\",1]},\"?c\":true,\"d\":[{\"id\":\"i\"}]}",
            "{\n  \"a\": {\n    \"b\": [\"x\", 1]\n  },\n  \"c\": true,\n"
            "  \"d\": [\n    {\n      \"id\": \"i\"\n    }\n  ]\n}\n");
    assert_merged(MERGE_JSONC, "// mine", "{\"a\":1}", "// mine\n{\n  \"a\": 1\n}\n");
    assert_merged(MERGE_JSONC, " \n", "[{\"id\":\"a\"}]", " \n[\n  {\n    \"id\": \"a\"\n  }\n]\n");
}

static void test_jsonc_keeps_comments_and_layout(void **state)
{
    (void)state;
    assert_merged(MERGE_JSONC,
            "{\n\t// a theme\n\t\"theme\": \"dark\", /* why not */\n\t\"env\": {\n\t\t\"X\": \"1\" "
            "// x\n"
            "\t}\n\t// the end\n}\n",
            "{\"env\":{\"Y\":\"2\"},\"model\":\"m\"}",
            "{\n\t// a theme\n\t\"theme\": \"dark\", /* why not */\n\t\"env\": {\n\t\t\"X\": "
            "\"1\", // x\n"
            "\t\t\"Y\": \"2\"\n\t},\n\t// the end\n\t\"model\": \"m\"\n}\n");
    assert_merged(MERGE_JSONC, "{\r\n    \"a\": 1,\r\n}\r\n", "{\"b\":2}",
            "{\r\n    \"a\": 1,\r\n    \"b\": 2\r\n}\r\n");
    assert_merged(MERGE_JSONC, "{ \"a\": 1 }", "{\"b\":2}", "{ \"a\": 1, \"b\": 2 }");
    assert_merged(MERGE_JSONC, "{\"a\": {}, \"b\": {\"c\": 1}}", "{\"b\":{\"d\":{\"e\":1}}}",
            "{\"a\": {}, \"b\": {\"c\": 1,\n  \"d\": {\n    \"e\": 1\n  }\n}}");
    assert_merged(MERGE_JSONC, "\xef\xbb\xbf{}", "{\"a\":1}", "\xef\xbb\xbf{\n  \"a\": 1\n}");
}

static void test_jsonc_replaces_what_differs(void **state)
{
    (void)state;
    assert_merged(MERGE_JSONC, "{\"a\": 1.0, \"b\": \"\\u0078\", \"c\": [1, /* two */ 2]}",
            "{\"a\":1,\"b\":\"x\",\"c\":[1,2]}",
            "{\"a\": 1.0, \"b\": \"\\u0078\", \"c\": [1, /* two */ 2]}");
    assert_merged(MERGE_JSONC, "{\"a\": [1, 2], \"b\": {\"x\": 1}, \"\\u0063\": null}",
            "{\"a\":{\"y\":1},\"b\":true,\"c\":3}",
            "{\"a\": {\n  \"y\": 1\n}, \"b\": true, \"\\u0063\": 3}");
    assert_merged(MERGE_JSONC, "{\"a\": 1, \"a\": 2}", "{\"a\":3}", "{\"a\": 1, \"a\": 3}");
    assert_merged(MERGE_JSONC, "{\"a\": 1}", "{\"?a\":2,\"?b\":3}", "{\"a\": 1, \"b\": 3}");
}

static void test_jsonc_lists_by_identity(void **state)
{
    (void)state;
    assert_merged(MERGE_JSONC,
            "[\n  { \"name\": \"other\" }, // theirs\n  { \"name\": \"ours\", \"k\": 1, \"m\": [] "
            "},\n]",
            "[{\"name\":\"ours\",\"k\":2,\"m\":[{\"id\":\"a\"}]},{\"name\":\"new\"}]",
            "[\n  { \"name\": \"other\" }, // theirs\n"
            "  { \"name\": \"ours\", \"k\": 2, \"m\": [\n    {\n      \"id\": \"a\"\n    }\n  ] "
            "},\n"
            "  {\n    \"name\": \"new\"\n  }\n]");
    assert_merged(MERGE_JSONC, "{\"l\": [1, \"x\", {\"id\": 1}]}", "{\"l\":[{\"id\":\"x\"}]}",
            "{\"l\": [1, \"x\", {\"id\": 1},\n  {\n    \"id\": \"x\"\n  }\n]}");
}

static void test_jsonc_refuses_with_line(void **state)
{
    static const char *const cases[][2] = {
            {"{\n \"a\": 1\n \"b\": 2\n}", "line 3: column 2: expected \",\""},
            {"{\"a\": 1} x", "line 1: column 10: no JSON value"},
            {"{'a': 1}", "line 1: column 2: "},
            {"{a: 1}", "line 1: column 2: "},
            {"{\"a\": }", "line 1: column 7: expected a value"},
            {"{\"a\" 1}", "expected \":\""},
            {"{,}", "line 1: column 2: expected a key"},
            {"{\"a\": [1,,2]}", "expected a value"},
            {"{\n/* no end", "line 2: column 1: "},
            {"{\"a\": 1", "line 1: column 8: expected \",\""},
            {"[1]", "expected an object of settings"},
            {"7", "expected an object of settings"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_refused(MERGE_JSONC, cases[i][0], "{\"a\":1}", cases[i][1]);
    assert_refused(MERGE_JSONC, "{}", "[{\"id\":\"a\"}]", "expected a list");
}

/* --- YAML --- */

static const char models_patch[] =
        "{\"?name\":\"modemesh\",\"models\":[{\"name\":\"m ask\",\"roles\":[\"chat\",\"edit\"],"
        "\"o\":{\"size\":5}},{\"name\":\"m code\",\"key\":\"yes\"}]}";

static void test_yaml_into_nothing(void **state)
{
    static const char whole[] =
            "name: modemesh\nmodels:\n  - name: m ask\n    roles: [chat, edit]\n"
            "    o:\n      size: 5\n  - name: m code\n    key: \"yes\"\n";
    char text[512];
    (void)state;

    assert_merged(MERGE_YAML, "", models_patch, whole);
    snprintf(text, sizeof(text), "# mine\n---\n%s", whole);
    assert_merged(MERGE_YAML, "# mine\n---\n", models_patch, text);
    snprintf(text, sizeof(text), "# mine\n%s", whole);
    assert_merged(MERGE_YAML, "# mine", models_patch, text);
}

static void test_yaml_keeps_comments_and_order(void **state)
{
    (void)state;
    assert_merged(MERGE_YAML,
            "# top\nname: 'My own'  # keep\nmodels: # all\n- name: gpt # theirs\n  key: é\n"
            "- name: \"m ask\"\n  roles: # old\n    - chat\n  o: {size: 5}\nrules:\n  - be nice\n# "
            "end\n",
            models_patch,
            "# top\nname: 'My own'  # keep\nmodels: # all\n- name: gpt # theirs\n  key: é\n"
            "- name: \"m ask\"\n  roles: # old\n    - chat\n    - edit\n  o: {size: 5}\n"
            "- name: m code\n  key: \"yes\"\nrules:\n  - be nice\n# end\n");
    assert_merged(MERGE_YAML, "models:  # none yet\nname: x", models_patch,
            "models:  # none yet\n  - name: m ask\n    roles: [chat, edit]\n    o:\n      size: 5\n"
            "  - name: m code\n    key: \"yes\"\nname: x");
    assert_merged(MERGE_YAML, "models: []\r\nname: x\r\n",
            "{\"models\":[{\"name\":\"a\"}],\"b\":1}",
            "models: \r\n  - name: a\r\nname: x\r\nb: 1\r\n");
    assert_merged(MERGE_YAML, "text: |\n  a\n  b\nlast: >\n  c\n", "{\"new\":\"d\"}",
            "text: |\n  a\n  b\nlast: >\n  c\nnew: d\n");
}

static void test_yaml_values(void **state)
{
    (void)state;
    assert_merged(MERGE_YAML, "a: no\nb: 1\nc:\nd: \"x\"\ne: [p, q]\nf: ~\ng: 08\n",
            "{\"a\":\"no\",\"b\":1,\"c\":\"http://h:1/v1\",\"d\":\"x\",\"e\":[\"p\"],\"f\":[\"w\"],"
            "\"g\":\"08\",\"h\":\"a: b\",\"i\":\"x #y\",\"j\":true,\"k\":\"end:\"}",
            "a: \"no\"\nb: 1\nc: http://h:1/v1\nd: \"x\"\ne: [p]\nf: [w]\ng: \"08\"\n"
            "h: \"a: b\"\ni: \"x #y\"\nj: true\nk: \"end:\"\n");
}

static void test_yaml_blocks_of_lines(void **state)
{
    (void)state;
    assert_merged(MERGE_YAML, "a: |+\n  x\n\n", "{\"b\":1}", "a: |+\n  x\n\nb: 1\n");
    assert_merged(MERGE_YAML, "a:\n>\nb: 1\n", "{\"a\":\"x\"}", "a:\n  x\nb: 1\n");
    assert_merged(MERGE_YAML, "a:\n- x\nb: 1\n", "{\"a\":[]}", "a:\n  []\nb: 1\n");
    assert_merged(MERGE_YAML, "a: |\n  x\n  y\n\nb: 1\n", "{\"a\":\"z\"}", "a: z\nb: 1\n");
}

static void test_yaml_refuses_with_line(void **state)
{
    static const char *const cases[][2] = {
            {"a: [", "line "},
            {"a: b: c", "line 1: "},
            {"\tmodels: x", "line 1: "},
            {"- a\n", "line 1: expected a mapping"},
            {"{name: x}", "line 1: this is written in brackets"},
            {"x: 1\nmodels: [{name: z}]", "line 2: this is written in brackets"},
            {"x: 1\nmodels: text", "line 2: expected a list"},
            {"models:\n  name: x", "line 2: expected a list"},
            {"models: &m\n  - name: x", "an anchor"},
            {"a: &m\n  - name: x\nmodels: *m", "line 3: this has an anchor"},
            {"a: 1\n---\nb: 2\n", "line 2: a second document"},
            {"a: 1\n...\n", "line 2: \"...\""},
            {"a: \x01", "line 1: "},
            {"a: \xff", "line 1: "},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_refused(MERGE_YAML, cases[i][0], models_patch, cases[i][1]);
    assert_refused(MERGE_YAML, "a:\n  b: 1\n", "{\"a\":\"x\"}", "line 2: expected a single value");
}

/* --- TOML --- */

static const char codex_patch[] =
        "{\"model\":\"mesh-code\",\"n\":7,\"p\":{\"mesh\":{\"url\":\"http://x\",\"on\":true}}}";

static void test_toml_into_nothing(void **state)
{
    (void)state;
    assert_merged(MERGE_TOML, "", codex_patch,
            "model = \"mesh-code\"\nn = 7\n\n[p.mesh]\nurl = \"http://x\"\non = true\n");
    assert_merged(MERGE_TOML, "# mine\n", codex_patch,
            "# mine\nmodel = \"mesh-code\"\nn = 7\n\n[p.mesh]\nurl = \"http://x\"\non = true\n");
    assert_merged(MERGE_TOML, "", "{\"a b\":{\"c.d\":{\"x\":[1,\"y\"]}}}",
            "[\"a b\".\"c.d\"]\nx = [1, \"y\"]\n");
}

static void test_toml_keeps_comments_and_order(void **state)
{
    (void)state;
    assert_merged(MERGE_TOML,
            "# top\npolicy = \"ask\" # p\nmodel = 'old' # m\nlist = [\"a\", # one\n  \"b\"]\n\n"
            "# servers\n[mcp]\ncommand = \"\"\"\nmodel = \"no\"\n[p.mesh]\n\"\"\"\n"
            "env = { A = \"1\", B = 'x' }\n[p.mesh]\nurl = \"old\"\nextra = 1 # e\n\n[tui]\nx = 1",
            codex_patch,
            "# top\npolicy = \"ask\" # p\nmodel = \"mesh-code\" # m\nlist = [\"a\", # one\n  "
            "\"b\"]\n"
            "n = 7\n\n"
            "# servers\n[mcp]\ncommand = \"\"\"\nmodel = \"no\"\n[p.mesh]\n\"\"\"\n"
            "env = { A = \"1\", B = 'x' }\n[p.mesh]\nurl = \"http://x\"\nextra = 1 # e\non = "
            "true\n\n"
            "[tui]\nx = 1");
    assert_merged(MERGE_TOML, "# c\n\n# about x\n[x]\na=1", codex_patch,
            "# c\n\nmodel = \"mesh-code\"\nn = 7\n\n# about x\n[x]\na=1\n\n"
            "[p.mesh]\nurl = \"http://x\"\non = true\n");
    assert_merged(MERGE_TOML,
            "p.mesh.url = 'a'\np.mesh.on = false\nmodel = 1979-05-27 07:32:00Z\nn=0", codex_patch,
            "p.mesh.url = \"http://x\"\np.mesh.on = true\nmodel = \"mesh-code\"\nn=7");
    assert_merged(MERGE_TOML,
            "model = \"a\\\"b\"\r\n[p]\r\n'mesh'.url = ''''x''''\r\nmesh.on = 1\r\n", codex_patch,
            "model = \"mesh-code\"\r\nn = 7\r\n[p]\r\n'mesh'.url = \"http://x\"\r\nmesh.on = "
            "true\r\n");
}

static void test_toml_refuses_with_line(void **state)
{
    static const char *const cases[][2] = {
            {"x = \"a\n", "line 1: the string that begins here has no end"},
            {"x = \"a\\\n", "line 1: the string that begins here has no end"},
            {"x = '''a", "line 1: the string"},
            {"x = [1, 2", "line 1: expected"},
            {"x = {a = 1 b = 2}", "line 1: expected \",\""},
            {"x = 1 y = 2", "line 1: expected the end of the line"},
            {"x", "line 1: expected \"=\""},
            {"= 1", "line 1: expected a key"},
            {"x =", "line 1: expected a value"},
            {"[a\nx = 1", "line 1: expected the end of the table's name"},
            {"\n[[a]\n", "line 2: expected the end of the table's name"},
            {"p = {mesh = {}}", "line 1: give this table a [header]"},
            {"p.mesh.other = 1", "line 1: give the table of this dotted key a [header]"},
            {"[[p]]\nx = 1", "line 1: a list of tables"},
            {"[model]\nx = 1", "line 1: a table is here"},
            {"model.x = 1", "line 1: a table is here"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_refused(MERGE_TOML, cases[i][0], codex_patch, cases[i][1]);
}

/* --- blocks of lines --- */

static void test_block(void **state)
{
    static const char patch[] = "{\"vim\":\"let a = 1\\nlet b = 2\\n\"}";
    (void)state;

    assert_merged(MERGE_VIM, "", patch,
            "\" modemesh vim begin\nlet a = 1\nlet b = 2\n\" modemesh vim end\n");
    assert_merged(MERGE_VIM, "set nocp", patch,
            "set nocp\n\n\" modemesh vim begin\nlet a = 1\nlet b = 2\n\" modemesh vim end\n");
    assert_merged(MERGE_LUA, "require('x')\n", patch,
            "-- modemesh vim begin\nlet a = 1\nlet b = 2\n-- modemesh vim end\n\nrequire('x')\n");
    assert_merged(MERGE_SHELL, "# modemesh other begin\nx\n# modemesh other end\n", patch,
            "# modemesh other begin\nx\n# modemesh other end\n\n"
            "# modemesh vim begin\nlet a = 1\nlet b = 2\n# modemesh vim end\n");
    assert_merged(MERGE_VIM, "a\r\n\" modemesh vim begin\r\nold\r\n\" modemesh vim end\r\nb\r\n",
            patch,
            "a\r\n\" modemesh vim begin\r\nlet a = 1\r\nlet b = 2\r\n\" modemesh vim end\r\nb\r\n");
}

static void test_block_refuses_with_line(void **state)
{
    static const char patch[] = "{\"vim\":\"x\\n\"}";
    (void)state;

    assert_refused(MERGE_SHELL, "a\n# modemesh vim begin\nb\n", patch, "line 2: no line");
    assert_refused(MERGE_SHELL, "a\n# modemesh vim end\n", patch, "line 2: no line");
    assert_refused(MERGE_SHELL,
            "# modemesh vim begin\n# modemesh vim end\n# modemesh vim begin\n# modemesh vim end\n",
            patch, "line 3: a second");
}

/* --- limits --- */

static char *repeat(const char *unit, size_t count)
{
    size_t len = strlen(unit);
    char *text = malloc(len * count + 1);

    assert_non_null(text);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * len, unit, len);
    text[len * count] = '\0';
    return text;
}

static void test_limits(void **state)
{
    static const struct {
        enum merge_format format;
        const char *unit;
        size_t count;
        const char *problem;
    } cases[] = {
            {MERGE_JSONC, "[", 100 * 1000, "deeper than 64 levels"},
            {MERGE_JSONC, "{\"a\":", 100 * 1000, "deeper than 64 levels"},
            {MERGE_YAML, "[", 100 * 1000, "deeper than 64 levels"},
            {MERGE_YAML, "- ", 100 * 1000, "deeper than 64 levels"},
            {MERGE_TOML, "a = 1\n", MERGE_VALUES_MAX + 2, "more than"},
            {MERGE_JSONC, " ", MERGE_FILE_MAX + 1, "at most 1048576 are accepted"},
            {MERGE_SHELL, " ", MERGE_FILE_MAX, "too large"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char *text = repeat(cases[i].unit, cases[i].count);

        assert_refused(cases[i].format, text, "{\"a\":\"x\"}", cases[i].problem);
        free(text);
    }
}

static void test_many_values(void **state)
{
    char *elements = repeat("1,", MERGE_VALUES_MAX), *text = NULL;
    (void)state;

    assert_true(asprintf(&text, "{\"x\":[%s]}", elements) > 0);
    assert_refused(MERGE_JSONC, text, "{\"a\":1}", "more than 100000 values");
    free(text);
    assert_true(asprintf(&text, "x: [%s]", elements) > 0);
    assert_refused(MERGE_YAML, text, "{\"a\":1}", "more than 100000 values");
    free(text);
    elements[0] = '\0';
    free(elements);
}

static void test_nul_byte(void **state)
{
    cJSON *patch = cJSON_Parse("{\"a\":1}");
    struct err err;
    struct buf out;
    (void)state;

    buf_init(&out, MERGE_FILE_MAX);
    assert_int_equal(merge_text(MERGE_YAML, "a: 1\n\0b", 7, patch, &out, &err), -EINVAL);
    assert_string_equal(err.text, "line 2: a NUL byte: this is no text");
    cJSON_Delete(patch);
    buf_fini(&out);
}

static void test_edits_in_order(void **state)
{
    struct text_edits edits;
    struct buf out;
    (void)state;

    text_edits_init(&edits);
    buf_init(&out, 64);
    assert_int_equal(text_edits_add(&edits, 4, 2, "EF", 2), 0);
    assert_int_equal(text_edits_add(&edits, 2, 0, "1", 1), 0);
    assert_int_equal(text_edits_add(&edits, 2, 0, "2", 1), 0);
    assert_int_equal(text_edits_add(&edits, 6, 0, "!", 1), 0);
    assert_int_equal(text_edits_apply(&edits, "abcdef", 6, &out), 0);
    assert_int_equal(buf_terminate(&out), 0);
    assert_string_equal(buf_at(&out), "ab12cdEF!");
    for (size_t i = edits.count; i < TEXT_EDITS_MAX; i++)
        assert_int_equal(text_edits_add(&edits, 0, 0, "", 0), 0);
    assert_int_equal(text_edits_add(&edits, 0, 0, "", 0), -ENOBUFS);
    text_edits_fini(&edits);
    buf_fini(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_jsonc_into_nothing),
            cmocka_unit_test(test_jsonc_keeps_comments_and_layout),
            cmocka_unit_test(test_jsonc_replaces_what_differs),
            cmocka_unit_test(test_jsonc_lists_by_identity),
            cmocka_unit_test(test_jsonc_refuses_with_line),
            cmocka_unit_test(test_yaml_into_nothing),
            cmocka_unit_test(test_yaml_keeps_comments_and_order),
            cmocka_unit_test(test_yaml_values),
            cmocka_unit_test(test_yaml_blocks_of_lines),
            cmocka_unit_test(test_yaml_refuses_with_line),
            cmocka_unit_test(test_toml_into_nothing),
            cmocka_unit_test(test_toml_keeps_comments_and_order),
            cmocka_unit_test(test_toml_refuses_with_line),
            cmocka_unit_test(test_block),
            cmocka_unit_test(test_block_refuses_with_line),
            cmocka_unit_test(test_limits),
            cmocka_unit_test(test_many_values),
            cmocka_unit_test(test_nul_byte),
            cmocka_unit_test(test_edits_in_order),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("setup_merge", tests, NULL, NULL);
}
