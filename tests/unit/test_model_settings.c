#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/config/config.h"
#include "node/models/model_settings.h"
#include "node/settings.h"
#include "proto/codec.h"
#include "tests/lib/gguf_maker.h"
#include "tests/lib/scratch.h"
#include "tests/lib/virtual_env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { UPTIME_MS = 60000, TOLD_MAX = 16 };

static struct scratch scratch;
static struct virtual_env world;
static struct model_rules *rules;
static struct catalogue_scan *scan;
static struct model_settings *settings;
static char told[TOLD_MAX][256];
static size_t told_count;

static int setup(void **state)
{
    (void)state;
    scratch_init(&scratch);
    virtual_env_init(&world);
    virtual_env_advance_ms(&world, UPTIME_MS);
    rules = NULL;
    scan = NULL;
    settings = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    model_settings_destroy(settings);
    model_rules_destroy(rules);
    catalogue_scan_destroy(scan);
    scratch_fini(&scratch);
    return 0;
}

static int load(const char *text, struct err *err)
{
    struct config *config = config_create(node_keys);
    int rc = config_load_text(config, "node.yaml", text, strlen(text), err);

    model_rules_destroy(rules);
    rules = NULL;
    if (rc == 0)
        rc = model_rules_create(config, &rules, err);
    config_destroy(config);
    return rc;
}

static void must_load(const char *text)
{
    struct err err;

    if (load(text, &err) < 0)
        fail_msg("%s", err.text);
}

static void must_fail(const char *text, const char *said)
{
    struct err err;

    assert_int_equal(load(text, &err), -EINVAL);
    if (strstr(err.text, said) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", said, err.text);
}

static void put(const char *name, size_t data_bytes)
{
    const struct timespec times[2] = {{.tv_sec = 1600000000}, {.tv_sec = 1600000000}};
    char folder[256];

    (void)snprintf(folder, sizeof folder, "%s", name);
    if (strrchr(folder, '/') != NULL) {
        *strrchr(folder, '/') = '\0';
        scratch_mkdir(&scratch, folder);
    }
    gguf_write_model(scratch_path(&scratch, name), data_bytes);
    assert_int_equal(utimensat(AT_FDCWD, scratch_path(&scratch, name), times, 0), 0);
}

static void look(void)
{
    const char *const root = scratch.path;
    const struct catalogue_look how = {.roots = &root, .root_count = 1, .env = &world.env};
    struct err err;

    catalogue_scan_destroy(scan);
    assert_int_equal(catalogue_scan_create(&how, NULL, &scan, &err), 0);
}

/* The settings of the model `name`, until the next call. */
static const struct model_settings *of(const char *name)
{
    const struct catalogue_model *model = catalogue_scan_find(scan, name);
    struct err err;

    assert_non_null(model);
    model_settings_destroy(settings);
    assert_int_equal(model_settings_create(rules, scan, model, &settings, &err), 0);
    return settings;
}

static void assert_words(const char *const *words, const char *expected)
{
    char joined[256] = "";

    for (; *words != NULL; words++) {
        strcat(joined, *words);
        strcat(joined, " ");
    }
    assert_string_equal(joined, expected);
}

static void on_told(void *ctx, const char *entry, const char *text)
{
    (void)ctx;
    assert_true(told_count < TOLD_MAX);
    (void)snprintf(told[told_count++], sizeof told[0], "%s: %s", entry, text);
}

static void check(void)
{
    told_count = 0;
    model_rules_check(rules, scan, on_told, NULL);
}

static void test_nothing_said(void **state)
{
    (void)state;
    put("a.gguf", 64);
    look();
    must_load("engine: {context: 4096, slots: 2, extra-args: [--flash-attn, 'on']}\n");
    const struct model_settings *s = of("a");
    assert_int_equal(s->context, 4096);
    assert_int_equal(s->slots, 2);
    assert_false(s->cache_types_set);
    assert_int_equal(s->type_k, CACHE_TYPE_F16);
    assert_words(s->extra_args, "--flash-attn on ");
    assert_words(s->aliases, "");
    assert_int_equal(s->quality, 0);
    assert_false(s->pin);
    assert_null(s->projector);
    assert_null(s->draft);
    check();
    assert_int_equal(told_count, 0);
}

static void test_everything_said(void **state)
{
    (void)state;
    put("coder/coder.gguf", 64);
    put("coder/mmproj-a.gguf", 64);
    put("coder/mmproj-b.gguf", 96);
    put("small.gguf", 128);
    look();
    must_load("engine: {extra-args: [-x]}\n"
              "model-settings:\n"
              "  coder:\n"
              "    context: 32768\n"
              "    slots: 1\n"
              "    kv: q8_0\n"
              "    kv-v: Q4_0\n"
              "    extra-args: [-y, z]\n"
              "    aliases: [qwen, best coder]\n"
              "    quality: 70\n"
              "    projector: mmproj-b.gguf\n"
              "    draft: small\n"
              "    pin: true\n");
    const struct model_settings *s = of("coder");
    assert_int_equal(s->context, 32768);
    assert_int_equal(s->slots, 1);
    assert_true(s->cache_types_set);
    assert_int_equal(s->type_k, CACHE_TYPE_Q8_0);
    assert_int_equal(s->type_v, CACHE_TYPE_Q4_0);
    assert_words(s->extra_args, "-x -y z ");
    assert_words(s->aliases, "qwen best coder ");
    assert_int_equal(s->quality, 70);
    assert_true(s->pin);
    assert_string_equal(s->projector, scratch_path(&scratch, "coder/mmproj-b.gguf"));
    assert_true(s->projector_bytes >= 96);
    assert_string_equal(s->draft, scratch_path(&scratch, "small.gguf"));
    assert_int_equal(s->draft_shape.tensor_bytes, 32);
    check();
    assert_int_equal(told_count, 0);
    assert_false(of("small")->pin);
}

static void test_one_cache_type(void **state)
{
    (void)state;
    put("a.gguf", 64);
    look();
    must_load("model-settings: {a: {kv-k: q8_0}}\n");
    assert_true(of("a")->cache_types_set);
    assert_int_equal(of("a")->type_k, CACHE_TYPE_Q8_0);
    assert_int_equal(of("a")->type_v, CACHE_TYPE_F16);
}

/* A name goes before a pattern, wherever it stands; each setting by itself. */
static void test_which_entry_counts(void **state)
{
    (void)state;
    put("qwen-coder-Q4_K_M.gguf", 64);
    put("deep/qwen-small.gguf", 64);
    put("other.gguf", 64);
    look();
    must_load("model-settings:\n"
              "  '*-coder-*': {context: 1, slots: 1}\n"
              "  qwen-*: {context: 2, slots: 2, quality: 2}\n"
              "  qwen-coder-Q4_K_M: {context: 3}\n"
              "  '*': {context: 4, slots: 4, quality: 4, kv: q8_0}\n"
              "  qwen-smal?.gguf: {kv: f32}\n");
    assert_int_equal(of("qwen-coder-Q4_K_M")->context, 3);
    assert_int_equal(settings->slots, 1);
    assert_int_equal(settings->quality, 2);
    assert_int_equal(settings->type_k, CACHE_TYPE_Q8_0);
    assert_int_equal(of("qwen-small")->context, 2);
    assert_int_equal(settings->type_k, CACHE_TYPE_Q8_0);
    assert_int_equal(of("other")->context, 4);
    check();
    assert_int_equal(told_count, 0);
}

/* Names that are FOLDER/X, and file names, and letters that names of modes may not have. */
static void test_any_name_of_a_model(void **state)
{
    (void)state;
    put("a/x.gguf", 64);
    put("b/x.gguf", 64);
    put("c/a b+c.gguf", 64);
    look();
    must_load("model-settings:\n"
              "  b/x: {context: 1}\n"
              "  a b+c: {context: 2}\n"
              "  x.gguf: {slots: 3}\n");
    assert_int_equal(of("b/x")->context, 1);
    assert_int_equal(settings->slots, 3);
    assert_int_equal(of("x")->slots, 3);
    assert_int_equal(settings->context, 0);
    assert_int_equal(of("a b+c")->context, 2);
}

static void test_pins(void **state)
{
    (void)state;
    put("a.gguf", 64);
    put("b.gguf", 64);
    put("c.gguf", 64);
    look();
    must_load("resident: [a, b, third]\n"
              "model-settings: {b: {pin: false}, c: {aliases: third}}\n");
    assert_true(of("a")->pin);
    assert_false(of("b")->pin);
    assert_true(of("c")->pin);
}

static void test_a_projector(void **state)
{
    (void)state;
    put("eye/eye.gguf", 64);
    put("eye/mmproj.gguf", 64);
    put("other/mmproj-2.gguf", 64);
    look();
    must_load("");
    assert_string_equal(of("eye")->projector, scratch_path(&scratch, "eye/mmproj.gguf"));
    assert_int_equal(of("eye")->senses, 0); /* its file does not say what it takes */
    must_load("model-settings: {eye: {projector: none}}\n");
    assert_null(of("eye")->projector);
    assert_int_equal(of("eye")->senses, CAPABILITY_SENSES);
    must_load("model-settings: {eye: {projector: ../other/mmproj-2.gguf}}\n");
    assert_null(of("eye")->projector);

    char text[2300];
    (void)snprintf(text, sizeof text,
            "model-settings: {eye: {projector: %s/other/mmproj-2.gguf}}\n", scratch.path);
    must_load(text);
    assert_string_equal(of("eye")->projector, scratch_path(&scratch, "other/mmproj-2.gguf"));
    must_load("model-settings: {eye: {projector: eye.gguf}}\n"); /* a model */
    assert_null(of("eye")->projector);
}

static void test_a_draft(void **state)
{
    (void)state;
    put("d/big.gguf", 64);
    put("d/little.gguf", 64);
    look();
    must_load("model-settings: {big: {draft: little.gguf}}\n");
    assert_string_equal(of("big")->draft, scratch_path(&scratch, "d/little.gguf"));
    must_load("model-settings: {big: {draft: none}, '*': {draft: little}}\n");
    assert_null(of("big")->draft);
    assert_null(of("little")->draft); /* itself */
    check();
    assert_int_equal(told_count, 1);
    assert_string_equal(told[0], "*: no other model \"little\", by name or by file, to draft for "
                                 "little");
}

static void test_what_is_refused(void **state)
{
    (void)state;
    must_fail("model-settings:\n  a:\n    kv: q9_0\n", "node.yaml:3: \"model-settings.a.kv\": ");
    must_fail("model-settings: {a: {kv: q9_0}}\n", "q9_0");
    must_fail("model-settings: {a: {kv-v: q9_0}}\n", "iq4_nl"); /* all that are known */
    must_fail("model-settings: {a: {aliases: [fine, t\xc3\xb6ne]}}\n", "model-settings.a.aliases");
    must_fail("model-settings: {a: {aliases: ['']}}\n", "model-settings.a.aliases");
    must_fail("model-settings: {a: {quality: 101}}\n", "1 … 100");
    must_fail("model-settings: {a: {slots: 0}}\n", "slots");
    must_fail("model-settings: {a: {contxt: 1}}\n", "did you mean \"context\"?");
    must_fail("model-settings: {'a[b]': {context: 1}}\n", "is no name");
    must_fail("model-settings: {*: {context: 1}}\n", "in quotes");
    must_load("model-settings:\n  a:\n");
}

/* Told once, and again when it was right in between. */
static void test_what_is_of_no_use(void **state)
{
    (void)state;
    put("a.gguf", 64);
    look();
    must_load("model-settings:\n"
              "  b: {context: 1}\n"
              "  c*: {context: 1}\n"
              "  a: {projector: eye.gguf, draft: d}\n");
    check();
    assert_int_equal(told_count, 4);
    assert_string_equal(told[0], "b: no model and no file of a model has this name");
    assert_string_equal(told[1], "c*: no model or file matches it");
    assert_string_equal(told[2], "a: no projector \"eye.gguf\" beside a or at that path below a "
                                 "model folder");
    assert_string_equal(told[3], "a: no other model \"d\", by name or by file, to draft for a");
    check();
    assert_int_equal(told_count, 0);

    put("b.gguf", 64);
    look();
    check();
    assert_int_equal(told_count, 0);
    assert_int_equal(of("b")->context, 1);
    assert_int_equal(remove(scratch_path(&scratch, "b.gguf")), 0);
    look();
    check();
    assert_int_equal(told_count, 1);
}

/* A name of a model goes before an alias, and of two aliases the first model's. */
static void test_aliases_that_are_taken(void **state)
{
    (void)state;
    put("a.gguf", 64);
    put("b.gguf", 64);
    put("c.gguf", 64);
    look();
    must_load("model-settings:\n"
              "  a: {aliases: [b, shared, own, own]}\n"
              "  b: {aliases: [shared]}\n"
              "  c: {aliases: [later]}\n");
    assert_words(of("a")->aliases, "shared own ");
    assert_words(of("b")->aliases, "");
    assert_words(of("c")->aliases, "later ");
    check();
    assert_int_equal(told_count, 2);
    assert_string_equal(told[0], "a: a cannot have the alias \"b\", which b has");
    assert_string_equal(told[1], "b: b cannot have the alias \"shared\", which a has");
}

static bool same_engine_as(const struct model_settings *before, const char *text)
{
    must_load(text);
    return model_settings_same_engine(before, of("a"));
}

static void test_what_needs_another_engine(void **state)
{
    struct model_settings *before;
    struct err err;

    (void)state;
    put("a.gguf", 64);
    put("b.gguf", 64);
    look();
    must_load("model-settings: {a: {context: 1}}\n");
    assert_int_equal(model_settings_create(rules, scan, &scan->models[0], &before, &err), 0);
    assert_true(same_engine_as(before, "model-settings: {a: {context: 1}}\n"));
    assert_true(same_engine_as(
            before, "model-settings: {a: {context: 1, quality: 5, aliases: x, pin: true}}\n"));
    assert_false(same_engine_as(before, "model-settings: {a: {context: 2}}\n"));
    assert_false(same_engine_as(before, "model-settings: {a: {context: 1, slots: 1}}\n"));
    assert_false(same_engine_as(before, "model-settings: {a: {context: 1, nice: 1}}\n"));
    assert_false(same_engine_as(before, "model-settings: {a: {context: 1, cache-ram: 0}}\n"));
    assert_false(same_engine_as(before, "model-settings: {a: {context: 1, kv: f16}}\n"));
    assert_false(same_engine_as(before, "model-settings: {a: {context: 1, extra-args: -v}}\n"));
    assert_false(same_engine_as(before, "model-settings: {a: {context: 1, draft: b}}\n"));
    model_settings_destroy(before);
}

/* Whether a projector that comes into its folder, and goes again, asks for another engine. */
static bool follows_its_folder(const char *text)
{
    struct model_settings *before;
    bool came, went;
    struct err err;

    must_load(text);
    look();
    assert_int_equal(
            model_settings_create(rules, scan, catalogue_scan_find(scan, "eye"), &before, &err), 0);
    put("eye/mmproj.gguf", 64);
    look();
    came = !model_settings_same_engine(before, of("eye"));
    assert_int_equal(unlink(scratch_path(&scratch, "eye/mmproj.gguf")), 0);
    look();
    went = model_settings_same_engine(before, of("eye"));
    model_settings_destroy(before);
    assert_true(went);
    return came;
}

/* Only where the engine would be started with it. */
static void test_a_projector_that_comes_later(void **state)
{
    char named[2300];

    (void)state;
    put("eye/eye.gguf", 64);
    put("other/mmproj-2.gguf", 64);
    (void)snprintf(named, sizeof named,
            "model-settings: {eye: {projector: %s/other/mmproj-2.gguf}}\n", scratch.path);
    assert_true(follows_its_folder(""));
    assert_false(follows_its_folder("model-settings: {eye: {projector: none}}\n"));
    assert_false(follows_its_folder(named));
}

/* All of the section may change while the node runs. */
static void test_nothing_needs_a_restart(void **state)
{
    static const char text[] = "model-settings: {a: {context: 1, slots: 1, nice: 1, cache-ram: 1M, "
                               "kv: f16, kv-k: f16, "
                               "kv-v: f16, extra-args: a, aliases: a, quality: 1, projector: a, "
                               "draft: a, pin: true}}\n";
    struct config *one = config_create(node_keys), *other = config_create(node_keys);
    struct err err;

    (void)state;
    assert_int_equal(config_load_text(other, "node.yaml", text, strlen(text), &err), 0);
    assert_null(config_restart_key(one, other, 0));
    config_destroy(one);
    config_destroy(other);
}

/* "large" and "small" talk, "tiny" fills in the middle, "vectors" does neither. */
static void look_at_four(void)
{
    static const char *const files[] = {"large.gguf", "small.gguf", "tiny.gguf", "vectors.gguf"};
    static const uint32_t able[] = {CAPABILITY_CHAT, CAPABILITY_CHAT | CAPABILITY_FIM,
            CAPABILITY_CHAT | CAPABILITY_FIM, CAPABILITY_EMBEDDINGS};

    for (size_t i = 0; i < 4; i++)
        put(files[i], 4096 >> i);
    look();
    assert_int_equal(scan->model_count, 4);
    for (size_t i = 0; i < 4; i++)
        scan->models[i].capabilities = able[i];
}

static void test_who_talks_stands_back_for_who_completes(void **state)
{
    (void)state;
    look_at_four();
    must_load("");
    assert_int_equal(of("large")->nice, 0); /* on a GPU it would lose its own threads' time */
    model_rules_share_processors(rules);
    assert_int_equal(of("large")->nice, MODEL_NICE_TALKS);
    assert_int_equal(of("small")->nice, MODEL_NICE_TALKS);
    assert_int_equal(of("tiny")->nice, 0);
    assert_int_equal(of("vectors")->nice, 0);
    scan->models[2].capabilities = CAPABILITY_CHAT;
    assert_int_equal(of("large")->nice, MODEL_NICE_TALKS);
    assert_int_equal(of("small")->nice, 0);
    scan->models[1].capabilities = CAPABILITY_CHAT;
    assert_int_equal(of("large")->nice, 0);
}

static void test_niceness_that_is_set_counts(void **state)
{
    (void)state;
    look_at_four();
    must_load("model-settings: {large: {nice: 0}, tiny: {nice: 4}}\n");
    model_rules_share_processors(rules);
    assert_int_equal(of("large")->nice, 0);
    assert_int_equal(of("small")->nice, MODEL_NICE_TALKS);
    assert_int_equal(of("tiny")->nice, 4);
    must_load("engine: {nice: 0}\n");
    model_rules_share_processors(rules);
    assert_int_equal(of("large")->nice, 0);
    assert_int_equal(of("small")->nice, 0);
}

/* A file that comes into a folder ends no engine. */
static void test_niceness_of_ours_needs_no_other_engine(void **state)
{
    struct model_settings *before;
    struct err err;

    (void)state;
    look_at_four();
    must_load("");
    assert_int_equal(model_settings_create(rules, scan, &scan->models[0], &before, &err), 0);
    model_rules_share_processors(rules);
    assert_true(model_settings_same_engine(before, of("large")));
    assert_false(model_settings_same(before, of("large")));
    model_settings_destroy(before);
}

static void test_prompts_and_niceness(void **state)
{
    const struct model_settings *s;

    (void)state;
    put("a.gguf", 64);
    put("b.gguf", 64);
    look();
    must_load("engine: {nice: 5}\n"
              "model-settings: {a: {cache-ram: 2M, nice: 0}}\n");
    s = of("a");
    assert_true(s->prompt_cache_set);
    assert_int_equal(s->prompt_cache_bytes, 2 << 20);
    assert_int_equal(s->nice, 0);
    s = of("b");
    assert_false(s->prompt_cache_set);
    assert_int_equal(s->nice, 5);
    must_load("engine: {cache-ram: 0}\n");
    assert_true(of("b")->prompt_cache_set);
    assert_int_equal(of("b")->prompt_cache_bytes, 0);
    must_fail("model-settings: {a: {nice: 20}}\n", "nice");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_nothing_said),
            TEST(test_prompts_and_niceness),
            TEST(test_who_talks_stands_back_for_who_completes),
            TEST(test_niceness_that_is_set_counts),
            TEST(test_niceness_of_ours_needs_no_other_engine),
            TEST(test_everything_said),
            TEST(test_one_cache_type),
            TEST(test_which_entry_counts),
            TEST(test_any_name_of_a_model),
            TEST(test_pins),
            TEST(test_a_projector),
            TEST(test_a_draft),
            TEST(test_what_is_refused),
            TEST(test_what_is_of_no_use),
            TEST(test_aliases_that_are_taken),
            TEST(test_what_needs_another_engine),
            TEST(test_a_projector_that_comes_later),
            TEST(test_nothing_needs_a_restart),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("model_settings", tests, NULL, NULL);
}
