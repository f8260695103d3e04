#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/config/config.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct config_key keys[] = {
        {.path = "http",
                .type = CONFIG_ADDR,
                .def = "127.0.0.1:8420",
                .flag = "http",
                .metavar = "ADDR:PORT",
                .env = "TEST_CONFIG_HTTP",
                .help = "Where editors connect."},
        {.path = "slots",
                .type = CONFIG_UINT,
                .def = "4",
                .min = 1,
                .max = 64,
                .unit = "slots",
                .flag = "slots",
                .env = "TEST_CONFIG_SLOTS",
                .reloadable = true,
                .help = "Requests at once."},
        {.path = "reserve",
                .type = CONFIG_SIZE,
                .def = "16G",
                .min = 1 << 20,
                .max = (uint64_t)1 << 40,
                .help = "Memory left to other programs."},
        {.path = "patience", .type = CONFIG_DURATION, .min = 1000, .help = "How long to wait."},
        {.path = "log",
                .type = CONFIG_ENUM,
                .def = "info",
                .choices = "error|warn|info|debug",
                .flag = "log",
                .help = "Least level of the log."},
        {.path = "discover", .type = CONFIG_BOOL, .def = "yes", .help = "Looks for others."},
        {.path = "no_discover",
                .type = CONFIG_BOOL,
                .flag = "no-discover",
                .help = "Looks for none."},
        {.path = "engine.command", .type = CONFIG_STR, .help = "What to start."},
        {.path = "engine.args",
                .type = CONFIG_LIST,
                .def = "-a, -b",
                .flag = "engine-arg",
                .env = "TEST_CONFIG_ENGINE_ARGS",
                .help = "Its arguments."},
        {.path = "engine.token",
                .type = CONFIG_UINT,
                .max = 9999,
                .env = "TEST_CONFIG_TOKEN",
                .secret = true,
                .help = "Opens the door."},
        {.path = "modes.*.models", .type = CONFIG_LIST, .help = "Best first."},
        {.path = "modes.*.floor", .type = CONFIG_UINT, .def = "3", .max = 10},
        {.path = "modes.*.limits.*.tokens", .type = CONFIG_SIZE},
        {.path = "modes.*.ratio", .type = CONFIG_DECIMAL, .def = "0.3", .min = 50, .max = 2000},
        {.path = "modes.*.points.*", .type = CONFIG_UINT, .max = 100, .name_letters = " /:"},
        {.path = "aliases.*", .type = CONFIG_STR},
        {.path = "files.*.size", .type = CONFIG_UINT, .name_letters = " /:*"},
        {.path = "files.*.note", .type = CONFIG_STR, .name_letters = " /:*"},
        {.path = NULL},
};

static struct config *config;
static struct err err;

static int setup(void **state)
{
    (void)state;
    unsetenv("TEST_CONFIG_HTTP");
    unsetenv("TEST_CONFIG_SLOTS");
    unsetenv("TEST_CONFIG_ENGINE_ARGS");
    unsetenv("TEST_CONFIG_TOKEN");
    config = config_create(keys);
    err.text[0] = '\0';
    return config ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    config_destroy(config);
    return 0;
}

static int load(const char *text)
{
    return config_load_text(config, "c.yaml", text, strlen(text), &err);
}

static void must_load(const char *text)
{
    if (load(text) < 0)
        fail_msg("%s", err.text);
}

static void test_defaults(void **state)
{
    (void)state;
    struct text_addr addr = config_addr(config, "http");
    assert_string_equal(addr.host, "127.0.0.1");
    assert_int_equal(addr.port, 8420);
    assert_int_equal(config_uint(config, "slots"), 4);
    assert_int_equal(config_uint(config, "reserve"), (uint64_t)16 << 30);
    assert_int_equal(config_uint(config, "patience"), 0);
    assert_string_equal(config_str(config, "log"), "info");
    assert_true(config_bool(config, "discover"));
    assert_false(config_bool(config, "no_discover"));
    assert_null(config_str(config, "engine.command"));
    assert_int_equal(config_list_len(config, "engine.args"), 2);
    assert_string_equal(config_list_at(config, "engine.args", 1), "-b");
    assert_int_equal(config_uint(config, "modes.any.floor"), 3);
    assert_int_equal(config_list_len(config, "modes.any.models"), 0);
    assert_null(config_name_at(config, "modes", 0));
    assert_false(config_is_set(config, "slots"));
    assert_string_equal(config_origin(config, "slots"), "default");
    assert_string_equal(config_origin(config, "patience"), "default");
}

static void test_file(void **state)
{
    (void)state;
    must_load("# a comment\n"
              "http: \"[::1]:9\"\n"
              "slots: 8\n"
              "reserve: 2.5G\n"
              "patience: 10m\n"
              "log: debug\n"
              "discover: Off\n"
              "engine:\n"
              "  command: 'llama server'\n"
              "  args: [--x, \"a,b\", '']\n");
    assert_string_equal(config_addr(config, "http").host, "::1");
    assert_int_equal(config_uint(config, "slots"), 8);
    assert_int_equal(config_uint(config, "reserve"), (uint64_t)5 << 29);
    assert_int_equal(config_uint(config, "patience"), 600000);
    assert_string_equal(config_str(config, "log"), "debug");
    assert_false(config_bool(config, "discover"));
    assert_string_equal(config_str(config, "engine.command"), "llama server");
    assert_int_equal(config_list_len(config, "engine.args"), 3);
    assert_string_equal(config_list_at(config, "engine.args", 1), "a,b");
    assert_string_equal(config_list_at(config, "engine.args", 2), "");
    assert_true(config_is_set(config, "slots"));
    assert_string_equal(config_origin(config, "slots"), "c.yaml:3");
    assert_string_equal(config_origin(config, "engine.args"), "c.yaml:10");
    assert_string_equal(config_origin(config, "engine"), "c.yaml:8");
}

static void test_picked_names(void **state)
{
    (void)state;
    must_load("modes:\n"
              "  zeta: {models: [m1, m2]}\n"
              "  qwen2.5-coder:\n"
              "    floor: 7\n"
              "    limits:\n"
              "      day: {tokens: 4K}\n"
              "      a.b: {tokens: 8K}\n"
              "  alpha: {}\n"
              "  beta:\n"
              "aliases: {gpt-4: m1, fast: m2}\n");
    assert_string_equal(config_name_at(config, "modes", 0), "zeta");
    assert_string_equal(config_name_at(config, "modes", 1), "qwen2.5-coder");
    assert_string_equal(config_name_at(config, "modes", 2), "alpha");
    assert_string_equal(config_name_at(config, "modes", 3), "beta");
    assert_null(config_name_at(config, "modes", 4));
    assert_string_equal(config_name_at(config, "modes.qwen2.5-coder.limits", 1), "a.b");
    assert_null(config_name_at(config, "modes.qwen2.5-coder.limits", 2));
    assert_string_equal(config_name_at(config, "aliases", 1), "fast");
    assert_null(config_name_at(config, "engine", 0));
    assert_string_equal(config_list_at(config, "modes.zeta.models", 1), "m2");
    assert_int_equal(config_uint(config, "modes.qwen2.5-coder.floor"), 7);
    assert_int_equal(config_uint(config, "modes.zeta.floor"), 3);
    assert_int_equal(config_uint(config, "modes.qwen2.5-coder.limits.a.b.tokens"), 8192);
    assert_string_equal(config_str(config, "aliases.gpt-4"), "m1");
    assert_null(config_str(config, "aliases.none"));
}

static void test_decimals(void **state)
{
    static const struct {
        const char *text;
        double value;
    } cases[] = {{"0.05", 0.05}, {"0.7", 0.7}, {"1", 1}, {"2.000", 2}, {"1.25", 1.25}};
    char yaml[64];
    (void)state;
    assert_true(config_decimal(config, "modes.any.ratio") == 0.3);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        snprintf(yaml, sizeof(yaml), "modes: {a: {ratio: %s}}", cases[i].text);
        must_load(yaml);
        assert_true(config_decimal(config, "modes.a.ratio") == cases[i].value);
    }
}

/* The names of the inner '*' may hold more letters than those of the outer one, and what stands for
 * the outer one may end as another key does. */
static void test_names_within_names(void **state)
{
    (void)state;
    must_load("modes:\n"
              "  code:\n"
              "    points: {org/model:7b q4: 70, floor: 5, models: 6}\n"
              "  ask:\n"
              "    points: {a.ratio: 9}\n");
    assert_string_equal(config_name_at(config, "modes.code.points", 0), "org/model:7b q4");
    assert_string_equal(config_name_at(config, "modes.code.points", 1), "floor");
    assert_string_equal(config_name_at(config, "modes.code.points", 2), "models");
    assert_null(config_name_at(config, "modes.code.points", 3));
    assert_int_equal(config_uint(config, "modes.code.points.org/model:7b q4"), 70);
    assert_int_equal(config_uint(config, "modes.code.points.floor"), 5);
    assert_int_equal(config_uint(config, "modes.code.points.models"), 6);
    assert_int_equal(config_uint(config, "modes.ask.points.a.ratio"), 9);
    assert_int_equal(config_list_len(config, "modes.code.models"), 0);
    assert_int_equal(load("modes: {a/b: {points: {m: 1}}}"), -EINVAL);
    assert_string_equal(err.text, "c.yaml:1:9: \"a/b\" is no name: 1 to 63 letters, digits, \".\", "
                                  "\"_\" or \"-\"");
    assert_int_equal(load("modes: {a: {points: {m*: 1}}}"), -EINVAL);
    assert_string_equal(
            err.text, "c.yaml:1:22: \"m*\" is no name: 1 to 127 letters, digits or of \"._- /:\"");
}

static void test_empty_files(void **state)
{
    static const char *const texts[] = {"", "\n", "# only a comment\n", "---\n", "---\n...\n", "{}",
            "modes:\n# nothing yet\n", "engine: ~\n", "%YAML 1.1\n---\n",
            "\xef\xbb\xbf# a byte order mark\n"};
    (void)state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        must_load(texts[i]);
    assert_false(config_is_set(config, "slots"));
}

struct refusal {
    const char *text, *error;
};

static void check_refusals(const struct refusal *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(load(cases[i].text), -EINVAL);
        assert_string_equal(err.text, cases[i].error);
    }
}

static void test_refuses_values(void **state)
{
    static const struct refusal cases[] = {
            {"slots: 65", "c.yaml:1:8: \"slots\": 65 is out of range; accepted: 1 … 64 slots"},
            {"slots: 0", "c.yaml:1:8: \"slots\": 0 is out of range; accepted: 1 … 64 slots"},
            {"slots: many", "c.yaml:1:8: \"slots\": \"many\" is not a whole number; write it in "
                            "decimal, as 42"},
            {"slots: -1", "c.yaml:1:8: \"slots\": \"-1\" is not a whole number; write it in "
                          "decimal, as 42"},
            {"reserve: 1K", "c.yaml:1:10: \"reserve\": 1K is out of range; accepted: 1M … 1T"},
            {"patience: 10ms", "c.yaml:1:11: \"patience\": 10ms is out of range; accepted: at "
                               "least 1s"},
            {"log: loud", "c.yaml:1:6: \"log\": \"loud\" is not error|warn|info|debug"},
            {"log: ''", "c.yaml:1:6: \"log\": \"\" is not error|warn|info|debug"},
            {"log: error|warn", "c.yaml:1:6: \"log\": \"error|warn\" is not error|warn|info|debug"},
            {"\ndiscover: 2", "c.yaml:2:11: \"discover\": \"2\" is neither true nor false (yes, "
                              "no, on, off)"},
            {"modes: {a: {ratio: 2.001}}",
                    "c.yaml:1:20: \"modes.a.ratio\": 2.001 is out of range; accepted: 0.05 … 2"},
            {"modes: {a: {ratio: 0.0499}}",
                    "c.yaml:1:20: \"modes.a.ratio\": \"0.0499\" is no number "
                    "such as 0.25, of at most 3 places"},
            {"modes: {a: {ratio: .5}}",
                    "c.yaml:1:20: \"modes.a.ratio\": \".5\" is no number such as "
                    "0.25, of at most 3 places"},
            {"modes: {a: {ratio: 1.}}",
                    "c.yaml:1:20: \"modes.a.ratio\": \"1.\" is no number such as "
                    "0.25, of at most 3 places"},
            {"modes: {a: {ratio: -1}}",
                    "c.yaml:1:20: \"modes.a.ratio\": \"-1\" is no number such as "
                    "0.25, of at most 3 places"},
            {"modes: {a: {ratio: 1e1}}",
                    "c.yaml:1:20: \"modes.a.ratio\": \"1e1\" is no number such "
                    "as 0.25, of at most 3 places"},
            {"modes: {a: {ratio: 1234567890}}", "c.yaml:1:20: \"modes.a.ratio\": \"1234567890\" is "
                                                "no number such as 0.25, of at "
                                                "most 3 places"},
            {"modes: {a: {points: {m: 101}}}",
                    "c.yaml:1:25: \"modes.a.points.m\": 101 is out of range; accepted: 0 … 100"},
            {"modes: {a: {floor: 11}}",
                    "c.yaml:1:20: \"modes.a.floor\": 11 is out of range; accepted: 0 … 10"},
            {"engine: {command: \"a\\0b\"}",
                    "c.yaml:1:19: \"engine.command\" cannot hold a NUL character"},
    };
    (void)state;
    check_refusals(cases, sizeof(cases) / sizeof(*cases));
    assert_int_equal(load("http: nowhere"), -EINVAL);
    assert_non_null(strstr(err.text, "c.yaml:1:7: \"http\": "));
    assert_non_null(strstr(err.text, "nowhere"));
}

static void test_refuses_keys(void **state)
{
    static const struct refusal cases[] = {
            {"slots: 1\n\nhtp: x", "c.yaml:3:1: unknown key \"htp\"; did you mean \"http\"?"},
            {"engine:\n  comand: x",
                    "c.yaml:2:3: unknown key \"comand\" under engine; did you mean \"command\"?"},
            {"modes: {ask: {model: x}}",
                    "c.yaml:1:15: unknown key \"model\" under modes.ask; did you mean \"models\"?"},
            {"zzzzzzzz: 1", "c.yaml:1:1: unknown key \"zzzzzzzz\""},
            {"engine.command: x", "c.yaml:1:1: unknown key \"engine.command\""},
            {"'*': x", "c.yaml:1:1: unknown key \"*\""},
            {"'': x", "c.yaml:1:1: unknown key \"\""},
            {"slots: 1\nslots: 2", "c.yaml:2:1: \"slots\" is set twice; first at c.yaml:1"},
            {"engine: {}\nengine: {}", "c.yaml:2:1: \"engine\" is set twice; first at c.yaml:1"},
            {"modes: {a: {}, a: {}}", "c.yaml:1:16: \"modes.a\" is set twice; first at c.yaml:1"},
            {"aliases:\n  a: x\n  a: y",
                    "c.yaml:3:3: \"aliases.a\" is set twice; first at c.yaml:2"},
            {"modes: {'a b': {}}", "c.yaml:1:9: \"a b\" is no name: 1 to 63 letters, digits, "
                                   "\".\", \"_\" or \"-\""},
            {"modes: {'': {}}",
                    "c.yaml:1:9: \"\" is no name: 1 to 63 letters, digits, \".\", \"_\" or \"-\""},
            {"modes: {'*': {}}",
                    "c.yaml:1:9: \"*\" is no name: 1 to 63 letters, digits, \".\", \"_\" or \"-\""},
            {"? [a]\n: b", "c.yaml:1:3: a key must be plain text"},
            {"\"slots\\0x\": 1", "c.yaml:1:1: a key must be plain text"},
    };
    (void)state;
    check_refusals(cases, sizeof(cases) / sizeof(*cases));
}

static void test_refuses_shapes(void **state)
{
    static const struct refusal cases[] = {
            {"http: {a: b}",
                    "c.yaml:1:7: \"http\" is a single value (ADDR:PORT), but here is a mapping"},
            {"slots: [1]", "c.yaml:1:8: \"slots\" is a single value (N), but here is a list"},
            {"slots:", "c.yaml:1:7: \"slots\" is a single value (N), but here is nothing"},
            {"log: null",
                    "c.yaml:1:6: \"log\" is a single value (error|warn|info|debug), but here is "
                    "nothing"},
            {"engine: x",
                    "c.yaml:1:9: \"engine\" is a mapping of keys, but here is a single value"},
            {"engine: [x]", "c.yaml:1:9: \"engine\" is a mapping of keys, but here is a list"},
            {"engine: ''",
                    "c.yaml:1:9: \"engine\" is a mapping of keys, but here is a single value"},
            {"modes: {a: x}",
                    "c.yaml:1:12: \"modes.a\" is a mapping of keys, but here is a single value"},
            {"modes: {a: {models: {x: y}}}", "c.yaml:1:21: \"modes.a.models\" is a list, as in [a, "
                                             "b], but here is a mapping"},
            {"modes: {a: {models: [[x]]}}", "c.yaml:1:22: \"modes.a.models\" is a list of single "
                                            "values, but here is a list"},
            {"modes: {a: {models: [x, ~]}}", "c.yaml:1:25: \"modes.a.models\" is a list of single "
                                             "values, but here is nothing"},
            {"- a", "c.yaml:1:1: the file must hold lines of \"key: value\""},
            {"just text", "c.yaml:1:1: the file must hold lines of \"key: value\""},
    };
    (void)state;
    check_refusals(cases, sizeof(cases) / sizeof(*cases));
}

static void test_refuses_yaml_features(void **state)
{
    static const struct refusal cases[] = {
            {"log: &a info", "c.yaml:1:6: anchors are not supported"},
            {"engine: &a {}", "c.yaml:1:9: anchors are not supported"},
            {"engine: {args: &a [x]}", "c.yaml:1:16: anchors are not supported"},
            {"log: *a", "c.yaml:1:6: aliases are not supported; put what begins with "
                        "\"*\" in quotes"},
            {"files: {*.gguf: {size: 1}}",
                    "c.yaml:1:10: did not find expected alphabetic or numeric character; put what "
                    "begins with \"*\" in quotes"},
            {"log: !!str info", "c.yaml:1:6: tags are not supported"},
            {"engine: !x {}", "c.yaml:1:9: tags are not supported"},
            {"engine: {args: !x [a]}", "c.yaml:1:16: tags are not supported"},
            {"engine:\n  <<: {}", "c.yaml:2:3: merge keys are not supported"},
            {"slots: 1\n---\nslots: 2", "c.yaml:2:1: a second document is not supported"},
    };
    (void)state;
    check_refusals(cases, sizeof(cases) / sizeof(*cases));
}

/* The words are libyaml's, the place is what we promise. */
static void test_refuses_what_is_no_yaml(void **state)
{
    static const struct refusal cases[] = {
            {"slots: 1\n\tlog: x", "c.yaml:2:1: "},
            {"slots: \"1", "c.yaml:1:10: "},
            {"slots: 1\nlog: \"\xff\"", "c.yaml:2:7: "},
            {"slots: 1\n\x01", "c.yaml:2:1: "},
            {"engine: }", "c.yaml:1:9: "},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        assert_int_equal(load(cases[i].text), -EINVAL);
        assert_memory_equal(err.text, cases[i].error, strlen(cases[i].error));
    }
}

static void test_failed_load_changes_nothing(void **state)
{
    (void)state;
    must_load("slots: 8\nmodes: {ask: {models: [a]}}\n");
    assert_int_equal(load("slots: 9\nlog: debug\nmodes: {code: {models: [b]}, ask: {floor: 99}}\n"),
            -EINVAL);
    assert_int_equal(config_uint(config, "slots"), 8);
    assert_string_equal(config_str(config, "log"), "info");
    assert_string_equal(config_name_at(config, "modes", 0), "ask");
    assert_null(config_name_at(config, "modes", 1));
    assert_string_equal(config_list_at(config, "modes.ask.models", 0), "a");

    setenv("TEST_CONFIG_HTTP", "[::1]:7", 1);
    setenv("TEST_CONFIG_SLOTS", "999", 1);
    assert_int_equal(config_load_env(config, &err), -EINVAL);
    assert_string_equal(config_addr(config, "http").host, "127.0.0.1");
}

static void test_later_load_wins(void **state)
{
    (void)state;
    must_load("slots: 8\nlog: warn\nmodes: {ask: {models: [a, b]}, code: {}}\n");
    must_load("slots: 9\nmodes: {ask: {models: [c]}, debug: {}}\n");
    assert_int_equal(config_uint(config, "slots"), 9);
    assert_string_equal(config_str(config, "log"), "warn");
    assert_int_equal(config_list_len(config, "modes.ask.models"), 1);
    assert_string_equal(config_list_at(config, "modes.ask.models", 0), "c");
    assert_string_equal(config_name_at(config, "modes", 0), "ask");
    assert_string_equal(config_name_at(config, "modes", 1), "code");
    assert_string_equal(config_name_at(config, "modes", 2), "debug");
    assert_null(config_name_at(config, "modes", 3));
}

static void append(struct buf *buf, const char *text)
{
    assert_int_equal(buf_append_str(buf, text), 0);
}

static void test_limit_of_values(void **state)
{
    struct buf text;
    (void)state;

    buf_init(&text, CONFIG_FILE_MAX);
    append(&text, "engine: {args: [a");
    for (int i = 1; i < CONFIG_VALUES_MAX; i++)
        append(&text, ",a");
    append(&text, "]}");
    assert_int_equal(config_load_text(config, "c.yaml", buf_at(&text), text.len, &err), 0);
    assert_int_equal(config_list_len(config, "engine.args"), CONFIG_VALUES_MAX);

    text.len -= 2;
    append(&text, ",a]}");
    assert_int_equal(config_load_text(config, "c.yaml", buf_at(&text), text.len, &err), -E2BIG);
    assert_non_null(strstr(err.text, "c.yaml:1:"));
    assert_non_null(strstr(err.text, "more than 10000 values"));
    buf_fini(&text);
}

static void test_limit_of_depth(void **state)
{
    static const struct config_key deep[] = {{.path = "a.b.c.d.e.f.g.h", .type = CONFIG_STR},
            {.path = "a.b.c.d.e.f.g.i.j", .type = CONFIG_STR}, {.path = NULL}};
    static const char fits[] = "{a: {b: {c: {d: {e: {f: {g: {h: x}}}}}}}}";
    static const char deeper[] = "{a: {b: {c: {d: {e: {f: {g: {i: {j: x}}}}}}}}}";
    struct config *other = config_create(deep);
    (void)state;

    assert_int_equal(config_load_text(other, "c.yaml", fits, strlen(fits), &err), 0);
    assert_int_equal(config_load_text(other, "c.yaml", deeper, strlen(deeper), &err), -E2BIG);
    assert_string_equal(err.text, "c.yaml:1:33: nested deeper than 8 levels");
    assert_string_equal(config_str(other, "a.b.c.d.e.f.g.h"), "x");
    config_destroy(other);
}

static void test_limit_of_bytes(void **state)
{
    char *text = malloc(CONFIG_FILE_MAX + 1);
    (void)state;

    assert_non_null(text);
    memset(text, '\n', CONFIG_FILE_MAX + 1);
    assert_int_equal(config_load_text(config, "c.yaml", text, CONFIG_FILE_MAX, &err), 0);
    assert_int_equal(config_load_text(config, "c.yaml", text, CONFIG_FILE_MAX + 1, &err), -E2BIG);
    assert_string_equal(err.text, "c.yaml: more than 1048576 bytes");
    free(text);
}

static void test_limit_of_names(void **state)
{
    char text[128];
    (void)state;

    snprintf(text, sizeof(text), "modes: {%063d: {}}", 0);
    must_load(text);
    snprintf(text, sizeof(text), "modes: {%064d: {}}", 0);
    assert_int_equal(load(text), -EINVAL);
}

/* Where the table says so, names hold more, and none of it means anything to us. */
static void test_names_of_more_letters(void **state)
{
    (void)state;
    must_load("files:\n"
              "  a folder/x:7: {size: 1, note: first}\n"
              "  '*.gguf': {size: 2}\n"
              "  '*': {size: 3}\n"
              "  a.size: {size: 4}\n");
    assert_string_equal(config_name_at(config, "files", 0), "a folder/x:7");
    assert_string_equal(config_name_at(config, "files", 1), "*.gguf");
    assert_string_equal(config_name_at(config, "files", 2), "*");
    assert_string_equal(config_name_at(config, "files", 3), "a.size");
    assert_null(config_name_at(config, "files", 4));
    assert_int_equal(config_uint(config, "files.a folder/x:7.size"), 1);
    assert_string_equal(config_str(config, "files.a folder/x:7.note"), "first");
    assert_int_equal(config_uint(config, "files.*.gguf.size"), 2);
    assert_int_equal(config_uint(config, "files.*.size"), 3);
    assert_null(config_str(config, "files.*.note"));
    assert_int_equal(config_uint(config, "files.a.size.size"), 4);
    assert_string_equal(config_origin(config, "files.*.gguf.size"), "c.yaml:3");
}

static void test_limits_of_names_of_more_letters(void **state)
{
    char text[256];

    (void)state;
    snprintf(text, sizeof(text), "files: {%0127d: {}}", 0);
    must_load(text);
    snprintf(text, sizeof(text), "files: {%0128d: {}}", 0);
    assert_int_equal(load(text), -EINVAL);
    assert_int_equal(load("files: {'a?b': {}}"), -EINVAL);
    assert_string_equal(err.text, "c.yaml:1:9: \"a?b\" is no name: 1 to 127 letters, digits or of "
                                  "\"._- /:*\"");
    assert_int_equal(load("files: {'': {}}"), -EINVAL);
    assert_int_equal(load("modes: {'*': {}}"), -EINVAL);
}

static void test_secrets_stay_secret(void **state)
{
    static const char *const texts[] = {
            "engine: {token: hunter2}", "engine: {token: 77777}", "engine: {token: [hunter2]}"};
    (void)state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        assert_int_equal(load(texts[i]), -EINVAL);
        assert_non_null(strstr(err.text, "engine.token"));
        assert_null(strstr(err.text, "hunter2"));
        assert_null(strstr(err.text, "77777"));
    }
    setenv("TEST_CONFIG_TOKEN", "hunter2", 1);
    assert_int_equal(config_load_env(config, &err), -EINVAL);
    assert_string_equal(err.text, "environment variable TEST_CONFIG_TOKEN: \"engine.token\": "
                                  "this secret is not a whole number");
    setenv("TEST_CONFIG_TOKEN", "1234", 1);
    assert_int_equal(config_load_env(config, &err), 0);
    assert_int_equal(config_uint(config, "engine.token"), 1234);
}

static void test_env(void **state)
{
    (void)state;
    setenv("TEST_CONFIG_SLOTS", "16", 1);
    setenv("TEST_CONFIG_HTTP", "", 1);
    setenv("TEST_CONFIG_ENGINE_ARGS", " x ,, y z\t,", 1);
    assert_int_equal(config_load_env(config, &err), 0);
    assert_int_equal(config_uint(config, "slots"), 16);
    assert_string_equal(config_origin(config, "slots"), "environment");
    assert_false(config_is_set(config, "http"));
    assert_int_equal(config_list_len(config, "engine.args"), 2);
    assert_string_equal(config_list_at(config, "engine.args", 0), "x");
    assert_string_equal(config_list_at(config, "engine.args", 1), "y z");

    setenv("TEST_CONFIG_SLOTS", "x", 1);
    assert_int_equal(config_load_env(config, &err), -EINVAL);
    assert_non_null(strstr(err.text, "environment variable TEST_CONFIG_SLOTS: \"slots\": \"x\""));
    assert_int_equal(config_uint(config, "slots"), 16);
}

enum { ARGS_MAX = 8 };

/* `words` ends with NULL. */
static int load_args(const char *const *words, struct config_args *ret_args)
{
    char *argv[ARGS_MAX + 2] = {(char *)"program"};
    int argc = 1;

    while (words[argc - 1]) {
        argv[argc] = (char *)words[argc - 1];
        argc++;
    }
    return config_load_args(config, argc, argv, ret_args, &err);
}

static void test_args(void **state)
{
    static const char *const words[] = {"--slots=12", "--http", "[::1]:7", "--no-discover",
            "--engine-arg", "--x", "--engine-arg=a,b", NULL};
    struct config_args args = {.help = true};
    (void)state;

    assert_int_equal(load_args(words, &args), 0);
    assert_false(args.help);
    assert_false(args.version);
    assert_null(args.config_path);
    assert_int_equal(config_uint(config, "slots"), 12);
    assert_string_equal(config_origin(config, "slots"), "command line");
    assert_int_equal(config_addr(config, "http").port, 7);
    assert_true(config_bool(config, "no_discover"));
    assert_int_equal(config_list_len(config, "engine.args"), 2);
    assert_string_equal(config_list_at(config, "engine.args", 0), "--x");
    assert_string_equal(config_list_at(config, "engine.args", 1), "a,b");

    /* The second time, behind the file, they win and do not pile up. */
    must_load("slots: 2\nengine: {args: [f]}\n");
    assert_int_equal(load_args(words, &args), 0);
    assert_int_equal(config_uint(config, "slots"), 12);
    assert_int_equal(config_list_len(config, "engine.args"), 2);
}

static void test_args_of_every_program(void **state)
{
    static const char *const first[] = {"--help", "--config=a.yaml", "--version", NULL};
    static const char *const second[] = {"--config", "b.yaml", NULL};
    struct config_args args;
    (void)state;

    assert_int_equal(load_args(first, &args), 0);
    assert_true(args.help);
    assert_true(args.version);
    assert_string_equal(args.config_path, "a.yaml");
    assert_int_equal(load_args(second, &args), 0);
    assert_false(args.help);
    assert_string_equal(args.config_path, "b.yaml");
}

struct bad_args {
    const char *words[3];
    const char *error;
};

static void test_refuses_args(void **state)
{
    static const struct bad_args cases[] = {
            {{"--htp", "x"}, "unknown option \"--htp\"; did you mean \"--http\"?"},
            {{"--hlep"}, "unknown option \"--hlep\"; did you mean \"--help\"?"},
            {{"--zzzzzzzz=secret"}, "unknown option \"--zzzzzzzz\"; --help lists them"},
            {{"word"}, "unexpected word \"word\"; options begin with --"},
            {{"--"}, "unexpected word \"--\"; options begin with --"},
            {{"-x"}, "unexpected word \"-x\"; options begin with --"},
            {{""}, "unexpected word \"\"; options begin with --"},
            {{"--slots"}, "--slots needs a value"},
            {{"--config"}, "--config needs a value"},
            {{"--slots", "65"}, "--slots: \"slots\": 65 is out of range; accepted: 1 … 64 slots"},
            {{"--slots=1", "--slots=2"}, "--slots is given twice"},
            {{"--config=1", "--config=2"}, "--config is given twice"},
            {{"--no-discover", "--no-discover"}, "--no-discover is given twice"},
            {{"--no-discover=yes"}, "--no-discover takes no value"},
            {{"--help=yes"}, "--help takes no value"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct config_args args = {.config_path = "untouched"};
        assert_int_equal(load_args(cases[i].words, &args), -EINVAL);
        assert_string_equal(err.text, cases[i].error);
        assert_string_equal(args.config_path, "untouched");
        assert_false(config_is_set(config, "slots"));
    }
}

static void test_load_file(void **state)
{
    const char *base = getenv("TMPDIR");
    char dir[256], path[300];
    (void)state;

    snprintf(dir, sizeof(dir), "%s/test-config-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/c.yaml", dir);
    assert_int_equal(config_load_file(config, path, &err), -ENOENT);
    assert_non_null(strstr(err.text, path));

    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("slots: 8\n", file);
    assert_int_equal(fflush(file), 0);
    assert_int_equal(config_load_file(config, path, &err), 0);
    assert_int_equal(config_uint(config, "slots"), 8);

    assert_int_equal(ftruncate(fileno(file), CONFIG_FILE_MAX + 1), 0);
    assert_int_equal(config_load_file(config, path, &err), -E2BIG);
    assert_int_equal(config_uint(config, "slots"), 8);
    fclose(file);
    unlink(path);
    rmdir(dir);
}

static const struct config_key wrong_default[] = {
        {.path = "slots", .type = CONFIG_UINT, .def = "9", .max = 8}, {.path = NULL}};
static const struct config_key wrong_flag[] = {
        {.path = "modes.*.floor", .type = CONFIG_UINT, .flag = "floor"}, {.path = NULL}};

static void make_wrong_default(void)
{
    config_destroy(config_create(wrong_default));
}

static void make_wrong_flag(void)
{
    config_destroy(config_create(wrong_flag));
}

static void make_differing_names(void)
{
    static const struct config_key wrong[] = {
            {.path = "files.*.size", .type = CONFIG_UINT, .name_letters = "/"},
            {.path = "files.*.note", .type = CONFIG_STR},
            {.path = NULL},
    };
    config_destroy(config_create(wrong));
}

static void get_unknown_path(void)
{
    (void)config_str(config, "htp");
}

static void get_wrong_type(void)
{
    (void)config_uint(config, "http");
}

static void get_scalar_as_list(void)
{
    (void)config_list_len(config, "http");
}

static void get_past_the_end(void)
{
    (void)config_list_at(config, "engine.args", 2);
}

static void check_aborts(void (*fn)(void))
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL); /* cmocka and sanitizers catch it */
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        fn();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void test_our_bugs_abort(void **state)
{
    (void)state;
    check_aborts(make_wrong_default);
    check_aborts(make_wrong_flag);
    check_aborts(make_differing_names);
    check_aborts(get_unknown_path);
    check_aborts(get_wrong_type);
    check_aborts(get_scalar_as_list);
    check_aborts(get_past_the_end);
}

/* "one, two": all of them. */
static const char *restart_keys_after(const char *text)
{
    struct config *loaded = config_create(keys);
    static char all[128];
    const char *path;
    size_t len = 0;
    assert_non_null(loaded);
    assert_int_equal(config_load_text(loaded, "d.yaml", text, strlen(text), &err), 0);
    all[0] = '\0';
    for (size_t i = 0; (path = config_restart_key(config, loaded, i)); i++)
        len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", i ? ", " : "", path);
    config_destroy(loaded);
    return all;
}

static void test_single_value_is_a_list_of_one(void **state)
{
    (void)state;
    must_load("engine: {args: --fast}\n");
    assert_int_equal(config_list_len(config, "engine.args"), 1);
    assert_string_equal(config_list_at(config, "engine.args", 0), "--fast");
}

static void test_all_sources_in_their_order(void **state)
{
    char path[] = "/tmp/test_config-XXXXXX";
    int fd = mkstemp(path);
    const char *const text = "slots: 5\nlog: warn\nengine: {args: [-f]}\n";
    char *words[] = {"program", "--config", path, "--log", "error", NULL};
    struct config *loaded;
    struct config_args args;
    (void)state;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    setenv("TEST_CONFIG_ENGINE_ARGS", "-e", 1);
    assert_int_equal(config_load_all(keys, 5, words, &args, &loaded, &err), 0);
    unsetenv("TEST_CONFIG_ENGINE_ARGS");
    assert_int_equal(config_uint(loaded, "slots"), 5);                    /* file */
    assert_string_equal(config_list_at(loaded, "engine.args", 0), "-e");  /* environment */
    assert_string_equal(config_str(loaded, "log"), "error");              /* command line */
    assert_int_equal(config_uint(loaded, "reserve"), (uint64_t)16 << 30); /* default */
    config_destroy(loaded);

    assert_int_equal(unlink(path), 0);
    assert_int_equal(config_load_all(keys, 5, words, &args, &loaded, &err), -ENOENT);
    words[3] = "--help"; /* the file does not matter to who asks for help */
    assert_int_equal(config_load_all(keys, 4, words, &args, &loaded, &err), 0);
    assert_true(args.help);
    config_destroy(loaded);
}

/* --- secrets that others could read --- */

static const struct config_key secret_keys[] = {
        {.path = "join",
                .type = CONFIG_STR,
                .flag = "join",
                .env = "TEST_CONFIG_JOIN",
                .secret = true},
        {.path = "pin",
                .type = CONFIG_STR,
                .flag = "pin",
                .env = "TEST_CONFIG_PIN",
                .secret = true},
        {.path = "joiner", .type = CONFIG_STR, .flag = "joiner"},
        {.path = "name", .type = CONFIG_STR, .flag = "name", .env = "TEST_CONFIG_NAME"},
        {.path = "quiet", .type = CONFIG_BOOL, .flag = "quiet"},
        {.path = NULL},
};

/* Copies the words to where they can be overwritten. */
static void copy_words(char to[][32], char **words, const char *const *from, int count)
{
    for (int i = 0; i < count; i++) {
        snprintf(to[i], sizeof(to[i]), "%s", from[i]);
        words[i] = to[i];
    }
    words[count] = NULL;
}

static void hide_in(const char *const *from, const char *const *expected, int count)
{
    char memory[12][32], *words[13];
    copy_words(memory, words, from, count);
    config_hide_secrets(secret_keys, count, words);
    for (int i = 0; i < count; i++)
        assert_string_equal(words[i], expected[i]);
}

static bool is_wiped(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i])
            return false;
    return true;
}

static void test_secret_arguments_are_hidden(void **state)
{
    (void)state;
    hide_in((const char *[]){"p", "--join", "mmj_1", "--name", "mmj_1", "--quiet", "--pin=12=3"},
            (const char *[]){"p", "--join", "", "--name", "mmj_1", "--quiet", "--pin="}, 7);
    hide_in((const char *[]){"p", "--joiner", "x", "--joiner=y", "join", "x", "--join"},
            (const char *[]){"p", "--joiner", "x", "--joiner=y", "join", "x", "--join"}, 7);
    /* Values that look like flags. */
    hide_in((const char *[]){"p", "--name", "--join", "--quiet", "--config", "--join", "--quiet"},
            (const char *[]){"p", "--name", "--join", "--quiet", "--config", "--join", "--quiet"},
            7);
    hide_in((const char *[]){"p", "--join", "--join", "--join=", "--quiet", "--name=--join"},
            (const char *[]){"p", "--join", "", "--join=", "--quiet", "--name=--join"}, 6);
}

static void test_no_byte_of_a_secret_stays(void **state)
{
    (void)state;
    char word[] = "--pin=1234", flag[] = "--join", value[] = "mmj_12345", program[] = "p";
    char *words[] = {program, word, flag, value, NULL};
    config_hide_secrets(secret_keys, 4, words);
    assert_true(is_wiped(word + strlen("--pin="), sizeof(word) - strlen("--pin=")));
    assert_true(is_wiped(value, sizeof(value)));
}

static void test_secret_variables_are_hidden(void **state)
{
    (void)state;
    char *words[] = {(char *)(uintptr_t) "p", NULL};
    setenv("TEST_CONFIG_JOIN", "mmj_1", 1);
    setenv("TEST_CONFIG_NAME", "tower", 1);
    unsetenv("TEST_CONFIG_PIN");
    const char *held = getenv("TEST_CONFIG_JOIN");
    config_hide_secrets(secret_keys, 1, words);
    assert_true(is_wiped(held, strlen("mmj_1")));
    assert_null(getenv("TEST_CONFIG_JOIN"));
    assert_null(getenv("TEST_CONFIG_PIN"));
    assert_string_equal(getenv("TEST_CONFIG_NAME"), "tower");
    unsetenv("TEST_CONFIG_NAME");
}

static void test_the_config_keeps_what_is_hidden(void **state)
{
    (void)state;
    static const char *const from[] = {"p", "--join", "mmj_1", "--name", "tower"};
    char memory[5][32], *words[6];
    struct config *loaded;
    struct config_args args;
    copy_words(memory, words, from, 5);
    setenv("TEST_CONFIG_PIN", "1234", 1);
    assert_int_equal(config_load_all(secret_keys, 5, words, &args, &loaded, &err), 0);
    config_hide_secrets(secret_keys, 5, words);
    assert_string_equal(config_str(loaded, "join"), "mmj_1");
    assert_string_equal(config_str(loaded, "pin"), "1234");
    config_destroy(loaded);

    if (config_load_all(secret_keys, 5, words, &args, &loaded, &err))
        fail_msg("%s", err.text);
    assert_string_equal(config_str(loaded, "join"), "");
    assert_null(config_str(loaded, "pin"));
    assert_string_equal(config_str(loaded, "name"), "tower");
    config_destroy(loaded);
}

static void test_what_needs_a_restart(void **state)
{
    (void)state;
    must_load("slots: 8\nreserve: 8G\n");
    assert_string_equal(restart_keys_after("slots: 8\nreserve: 8G\n"), "");
    assert_string_equal(restart_keys_after("slots: 9\nreserve: 8G\n"), "");
    assert_string_equal(restart_keys_after("slots: 8\nreserve: 9G\n"), "reserve");
    assert_string_equal(restart_keys_after("slots: 8\n"), "reserve");
    assert_string_equal(restart_keys_after("patience: 5s\nreserve: 9G\n"), "patience, reserve");
    assert_string_equal(restart_keys_after("patience: 5s\n"), "patience, reserve");
    assert_string_equal(restart_keys_after("reserve: 8G\nengine: {args: [-a]}\n"), "engine.args");
    assert_string_equal(restart_keys_after("reserve: 8G\nengine: {args: [-a, -b]}\n"), "");
}

static void test_help(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    (void)state;

    assert_non_null(out);
    config_print_help(keys, out);
    fclose(out);
    assert_non_null(strstr(text,
            "Options:\n"
            "  --http ADDR:PORT            Where editors connect. (default 127.0.0.1:8420;\n"
            "                              environment TEST_CONFIG_HTTP)\n"));
    assert_non_null(strstr(text, "  --slots N                   Requests at once. (1 … 64 slots;"));
    assert_non_null(strstr(text, "  --log error|warn|info|debug\n"));
    assert_non_null(strstr(text, "  --no-discover               Looks for none.\n"));
    assert_non_null(strstr(text, "  --help                      Print this help and exit.\n"));
    const char *file_part = strstr(text, "\nIn the file");
    assert_non_null(file_part);
    assert_non_null(strstr(file_part, "  modes.*.models: [TEXT, …]"));
    assert_non_null(strstr(file_part, "Memory left to other programs. (1M … 1T;"));
    assert_null(strstr(file_part, "slots:"));
    free(text);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
            cmocka_unit_test_setup_teardown(test_file, setup, teardown),
            cmocka_unit_test_setup_teardown(test_picked_names, setup, teardown),
            cmocka_unit_test_setup_teardown(test_decimals, setup, teardown),
            cmocka_unit_test_setup_teardown(test_names_within_names, setup, teardown),
            cmocka_unit_test_setup_teardown(test_empty_files, setup, teardown),
            cmocka_unit_test_setup_teardown(test_refuses_values, setup, teardown),
            cmocka_unit_test_setup_teardown(test_refuses_keys, setup, teardown),
            cmocka_unit_test_setup_teardown(test_refuses_shapes, setup, teardown),
            cmocka_unit_test_setup_teardown(test_refuses_yaml_features, setup, teardown),
            cmocka_unit_test_setup_teardown(test_refuses_what_is_no_yaml, setup, teardown),
            cmocka_unit_test_setup_teardown(test_failed_load_changes_nothing, setup, teardown),
            cmocka_unit_test_setup_teardown(test_later_load_wins, setup, teardown),
            cmocka_unit_test_setup_teardown(test_limit_of_values, setup, teardown),
            cmocka_unit_test_setup_teardown(test_limit_of_depth, setup, teardown),
            cmocka_unit_test_setup_teardown(test_limit_of_bytes, setup, teardown),
            cmocka_unit_test_setup_teardown(test_limit_of_names, setup, teardown),
            cmocka_unit_test_setup_teardown(test_names_of_more_letters, setup, teardown),
            cmocka_unit_test_setup_teardown(test_limits_of_names_of_more_letters, setup, teardown),
            cmocka_unit_test_setup_teardown(test_secrets_stay_secret, setup, teardown),
            cmocka_unit_test_setup_teardown(test_env, setup, teardown),
            cmocka_unit_test_setup_teardown(test_args, setup, teardown),
            cmocka_unit_test_setup_teardown(test_args_of_every_program, setup, teardown),
            cmocka_unit_test_setup_teardown(test_refuses_args, setup, teardown),
            cmocka_unit_test_setup_teardown(test_load_file, setup, teardown),
            cmocka_unit_test_setup_teardown(test_our_bugs_abort, setup, teardown),
            cmocka_unit_test_setup_teardown(test_single_value_is_a_list_of_one, setup, teardown),
            cmocka_unit_test_setup_teardown(test_all_sources_in_their_order, setup, teardown),
            cmocka_unit_test_setup_teardown(test_secret_arguments_are_hidden, setup, teardown),
            cmocka_unit_test_setup_teardown(test_no_byte_of_a_secret_stays, setup, teardown),
            cmocka_unit_test_setup_teardown(test_secret_variables_are_hidden, setup, teardown),
            cmocka_unit_test_setup_teardown(test_the_config_keeps_what_is_hidden, setup, teardown),
            cmocka_unit_test_setup_teardown(test_what_needs_a_restart, setup, teardown),
            cmocka_unit_test_setup_teardown(test_help, setup, teardown),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
