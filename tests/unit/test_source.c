#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/residency/footprint.h"
#include "node/residency/source.h"
#include "tests/lib/puppet.h"
#include "tests/lib/settings_maker.h"

#include <stdio.h>
#include <string.h>

static const uint64_t gib = 1024 * 1024 * 1024;
static const struct footprint_room plenty = {.limit_bytes = UINT64_MAX};
/* Of 1 GiB, of which nothing is known but that: a half more. */
static const uint64_t unknown_bytes = UINT64_C(3) * 512 * 1024 * 1024;

static struct catalogue_model model_at(const char *path, uint32_t trained)
{
    return (struct catalogue_model){.name = "m",
            .path = path,
            .file_bytes = gib,
            .context = trained,
            .architecture = "qwen3",
            .quantisation = "Q8_0",
            .modified_ns = INT64_C(1700000000999999999),
            .parameters = 5,
            .capabilities = CAPABILITY_CHAT};
}

static struct source *started_with(const char *path, uint32_t trained, uint32_t wished)
{
    const struct catalogue_model model = model_at(path, trained);

    return source_of_file(&puppet_ops, &model, settings_make(wished, 2, false), &plenty);
}

static struct source *file(const char *path, uint32_t trained)
{
    return started_with(path, trained, 0);
}

static struct source *of_engine(enum engine_kind kind, const char *version, bool here)
{
    struct found_model facts = {.id = "m:latest",
            .name = "m:latest",
            .resident = true,
            .file_bytes = gib,
            .memory_bytes = 2 * gib,
            .context = 4096,
            .slots = 3,
            .context_trained = 8192,
            .architecture = "llama",
            .quantisation = "Q4_K_M"};
    const struct engines_model model = {.facts = &facts,
            .here = here,
            .place = {.kind = kind, .url = "http://127.0.0.1:11434", .id = facts.id}};

    (void)snprintf(facts.version, sizeof facts.version, "%s", version);
    return source_of_engine(&backend_ollama, &model, false);
}

static void test_of_a_file(void **state)
{
    struct source *source = file("/models/m.gguf", 8192);

    (void)state;
    assert_ptr_equal(source->ops, &puppet_ops);
    assert_false(source_is_adopted(source));
    assert_string_equal(source->path, "/models/m.gguf");
    assert_string_equal(source->architecture, "qwen3");
    assert_int_equal(source->modified_s, 1700000000);
    assert_int_equal(source->slots, 2);
    assert_int_equal(source->load_bytes, unknown_bytes);
    source_destroy(source);
}

/* The model's own file and its projector's are looked at apart. */
static void test_what_its_files_can(void **state)
{
    const struct catalogue_model model = model_at("/models/m.gguf", 8192);
    struct model_settings *settings = settings_make(0, 2, false);
    struct source *source;

    (void)state;
    settings->senses = CAPABILITY_SENSES | CAPABILITY_VISION;
    source = source_of_file(&puppet_ops, &model, settings, &plenty);
    assert_int_equal(source->capabilities, CAPABILITY_CHAT | CAPABILITY_SENSES | CAPABILITY_VISION);
    source_destroy(source);
}

static void test_what_a_file_of_known_shape_takes(void **state)
{
    struct catalogue_model model = model_at("a", 8192);
    const struct model_settings settings = {.context = 4096, .slots = 3};
    struct footprint footprint;
    struct source *source;

    (void)state;
    model.shape = (struct model_shape){.tensor_bytes = gib, .layers = 2, .context_trained = 8192};
    footprint_of(&model, &settings, &plenty, &footprint);
    source = source_of_file(&puppet_ops, &model, settings_make(4096, 3, false), &plenty);
    assert_int_not_equal(source->load_bytes, unknown_bytes);
    assert_int_equal(source->load_bytes, footprint.memory.total_bytes);
    assert_int_equal(source->context, 4096);
    assert_int_equal(source->slots, 3);
    source_destroy(source);
}

static void test_of_an_engine(void **state)
{
    struct source *source = of_engine(ENGINE_OLLAMA, "d1", true);

    (void)state;
    assert_true(source_is_adopted(source));
    assert_true(source->loads && source->resident && source->here);
    assert_string_equal(source->place.id, "m:latest");
    assert_string_equal(source->place.url, "http://127.0.0.1:11434");
    assert_string_equal(source->quantisation, "Q4_K_M");
    assert_int_equal(source->slots, 3);
    assert_int_equal(source->context, 4096);
    assert_int_equal(source->load_bytes, unknown_bytes);
    assert_int_equal(source_taken_bytes(source), 2 * gib);
    source_destroy(source);
    source = of_engine(ENGINE_VLLM, "", false);
    assert_false(source->loads);
    assert_int_equal(source->load_bytes, 0);
    assert_int_equal(source_taken_bytes(source), 0);
    source_destroy(source);
}

static void test_the_context_that_it_would_get(void **state)
{
    static const struct {
        uint32_t trained, wished, context;
    } cases[] = {{4096, 0, 4096}, {4096, 1024, 1024}, {4096, 8192, 4096}, {0, 1024, 1024}, {0}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct source *source = started_with("a", cases[i].trained, cases[i].wished);
        assert_int_equal(source->context, cases[i].context);
        source_destroy(source);
    }
}

static struct source *file_with(int64_t modified_ns, uint32_t slots)
{
    struct catalogue_model model = model_at("a", 1);

    model.modified_ns = modified_ns;
    return source_of_file(&puppet_ops, &model, settings_make(0, slots, false), &plenty);
}

/* Names and pins do not matter to an engine, its slots do. */
static void test_a_file_that_is_told_again(void **state)
{
    struct source *one = file_with(1, 2), *again = file_with(1, 2);

    (void)state;
    again->settings->quality = 5;
    again->settings->pin = true;
    assert_true(source_is_same(one, again));
    again->settings->slots = 3;
    assert_false(source_is_same(one, again));
    again->settings->slots = 2;
    again->fingerprint.bytes[0]++;
    assert_false(source_is_same(one, again));
    source_destroy(one);
    source_destroy(again);
}

static void test_the_same(void **state)
{
    struct source *all[] = {file_with(1, 2), file_with(2, 2), of_engine(ENGINE_OLLAMA, "d1", true),
            of_engine(ENGINE_OLLAMA, "d2", true), of_engine(ENGINE_VLLM, "d1", true)};
    struct source *again = of_engine(ENGINE_OLLAMA, "d1", true);
    size_t count = sizeof all / sizeof all[0];

    (void)state;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            assert_int_equal(source_is_same(all[i], all[j]), i == j);
    again->resident = false;
    assert_true(source_is_same(all[2], again));
    for (size_t i = 0; i < count; i++)
        source_destroy(all[i]);
    source_destroy(again);
}

static void test_the_file_counts(void **state)
{
    struct source *engine = of_engine(ENGINE_OLLAMA, "d1", true), *found = file("a", 1);
    struct sources sources = {0};

    (void)state;
    sources_put(&sources, engine);
    assert_ptr_equal(sources_current(&sources), engine);
    sources_put(&sources, found);
    assert_ptr_equal(sources_current(&sources), found);
    sources_lose(&sources, false);
    assert_ptr_equal(sources_current(&sources), engine);
    assert_false(sources.gone);
    sources_lose(&sources, false); /* there is none */
    assert_false(sources.gone);
    sources_lose(&sources, true);
    assert_true(sources.gone);
    assert_ptr_equal(sources_current(&sources), engine);
    sources_put(&sources, file("b", 1));
    assert_false(sources.gone);
    assert_string_equal(sources_current(&sources)->path, "b");
    assert_null(sources.engine);
    sources_fini(&sources);
}

/* Under the address sanitizer: what runs is there until it ends, and no longer. */
static void test_what_runs_is_kept(void **state)
{
    struct sources sources = {0};

    (void)state;
    sources_put(&sources, file("old", 1));
    sources_load(&sources);
    sources_put(&sources, file("newer", 1));
    sources_put(&sources, file("newest", 1));
    assert_string_equal(sources.loaded->path, "old");
    sources_unload(&sources);
    assert_null(sources.loaded);
    sources_load(&sources);
    assert_string_equal(sources.loaded->path, "newest");
    sources_lose(&sources, false);
    sources_put(&sources, of_engine(ENGINE_OLLAMA, "d1", true));
    assert_string_equal(sources.loaded->path, "newest");
    sources_unload(&sources);
    sources_fini(&sources);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_of_a_file),
            cmocka_unit_test(test_what_its_files_can),
            cmocka_unit_test(test_what_a_file_of_known_shape_takes),
            cmocka_unit_test(test_of_an_engine),
            cmocka_unit_test(test_the_context_that_it_would_get),
            cmocka_unit_test(test_a_file_that_is_told_again),
            cmocka_unit_test(test_the_same),
            cmocka_unit_test(test_the_file_counts),
            cmocka_unit_test(test_what_runs_is_kept),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}
