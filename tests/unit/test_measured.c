#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/log.h"
#include "common/model/estimate.h"
#include "common/text.h"
#include "node/residency/measurement_file.h"
#include "node/residency/supervisor.h"
#include "tests/lib/puppet.h"
#include "tests/lib/recorded_host.h"
#include "tests/lib/scratch.h"
#include "tests/lib/settings_maker.h"
#include "tests/lib/virtual_env.h"

#include <stdio.h>
#include <string.h>

/* What an engine says that it took counts from then on: for what runs, for the next load, and for
 * what is estimated of other models. */

static const uint64_t mib = 1024 * 1024, gib = 1024 * 1024 * 1024;
enum { SLOTS = 2, CONTEXT = 4096, LOAD_MS = 100 };

struct fixture {
    struct loop loop;
    struct virtual_env world;
    struct scratch scratch;
    struct supervisor *supervisor;
    const char *command[3];
    unsigned changes_of_b, stopped;
};

static struct fixture f;

static void on_change(void *ctx, const char *model)
{
    (void)ctx;
    f.changes_of_b += strcmp(model, "b") == 0;
}

static void on_stopped(void *ctx)
{
    (void)ctx;
    f.stopped++;
}

static void make_on(const char *root, const char *nvml)
{
    static const struct supervisor_events events = {
            .on_change = on_change, .on_stopped = on_stopped};
    const struct supervisor_config config = {.ops = &puppet_ops,
            .host = {.loop = &f.loop, .env = &f.world.env, .command = f.command},
            .node_name = "halo1",
            .measurements = scratch_path(&f.scratch, MEASUREMENT_FILE_NAME),
            .memory = {.hardware = {.root = root, .nvml = nvml}}};
    struct err err = {""};

    if (supervisor_create(&f.loop, &config, &events, NULL, &f.supervisor, &err) < 0)
        fail_msg("%s", err.text);
}

static void make(void)
{
    make_on(f.scratch.path, "");
}

static int setup(void **state)
{
    (void)state;
    log_init("test", LOG_LEVEL_ERROR);
    memset(&f, 0, sizeof f);
    f.command[0] = "engine";
    virtual_env_init(&f.world);
    scratch_init(&f.scratch);
    scratch_write(&f.scratch, "proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 16777216 kB\n");
    return loop_init(&f.loop);
}

static void tick(void)
{
    supervisor_tick(f.supervisor);
}

static void end(void)
{
    static const char *const names[] = {"a", "b"};

    supervisor_drain(f.supervisor);
    tick();
    for (size_t i = 0; i < 2; i++)
        if (puppet_running(names[i]))
            puppet_exit(names[i], "stopped");
    tick();
    supervisor_destroy(f.supervisor);
    loop_fini(&f.loop); /* writes what is to be kept */
}

static int teardown(void **state)
{
    (void)state;
    end();
    puppet_reset();
    scratch_fini(&f.scratch);
    return 0;
}

/* The same host, another life of the node. */
static void restart(void)
{
    end();
    assert_int_equal(loop_init(&f.loop), 0);
    make();
}

/* One of 1 GiB, of the size of Llama 3.2. */
static struct catalogue_model model_of(const char *name)
{
    return (struct catalogue_model){.name = name,
            .path = name,
            .file_bytes = gib,
            .context = 32768,
            .architecture = "llama",
            .quantisation = "Q8_0",
            .capabilities = CAPABILITY_CHAT,
            .fingerprint = {.bytes = {(uint8_t)name[0]}},
            .shape = {.tensor_bytes = gib,
                    .full = {.layers = 16, .k_elements = 16 * 512, .v_elements = 16 * 512},
                    .layers = 16,
                    .embedding = 2048,
                    .vocabulary = 128256,
                    .feed_forward = 8192,
                    .heads = 32}};
}

static void put_at(const char *name, uint32_t context)
{
    const struct catalogue_model model = model_of(name);

    supervisor_model_put(f.supervisor, &model, settings_make(context, SLOTS, false));
}

static void put(const char *name)
{
    put_at(name, CONTEXT);
}

/* What the arithmetic says, with so many rows of logits in all. */
static uint64_t estimate(uint32_t output_rows)
{
    const struct catalogue_model model = model_of("");
    const struct model_run run = {.context = CONTEXT,
            .sequences = SLOTS,
            .type_k = CACHE_TYPE_F16,
            .type_v = CACHE_TYPE_F16,
            .output_rows = output_rows};
    struct model_memory memory;

    estimate_memory(&model.shape, &run, &memory);
    return memory.total_bytes;
}

static struct msg_instance describe(const char *name)
{
    struct msg_instance instance = {0};

    assert_true(supervisor_describe(f.supervisor, name, &instance));
    return instance;
}

static void on_answer(void *ctx, const struct msg_fail *fail)
{
    (void)ctx;
    assert_null(fail);
}

static void load(const char *name)
{
    struct instance_wait wait = {.fn = on_answer};

    instance_wait(supervisor_find(f.supervisor, name), &wait);
    tick();
    virtual_env_advance_ms(&f.world, LOAD_MS);
    puppet_ready(name, SLOTS, CONTEXT);
    tick();
}

static void unload(const char *name)
{
    instance_stop(supervisor_find(f.supervisor, name), "the test ends it");
    puppet_exit(name, "stopped");
    tick();
}

static void test_it_counts_at_once_and_for_the_next_load(void **state)
{
    (void)state;
    make();
    put("a");
    assert_int_equal(describe("a").memory_bytes, estimate(0));
    assert_int_equal(describe("a").measured_bytes, 0);
    load("a");
    assert_int_equal(describe("a").memory_bytes, estimate(0));
    puppet_measured("a", 700 * mib, 0);
    assert_int_equal(describe("a").memory_bytes, 1400 * mib);
    assert_int_equal(describe("a").measured_bytes, 1400 * mib);
    unload("a");
    assert_int_equal(describe("a").memory_bytes, 1400 * mib);
    load("a");
    assert_int_equal(describe("a").memory_bytes, 1400 * mib);
}

/* A later word of the engine counts in its place, less too. */
static void test_the_last_word_counts(void **state)
{
    (void)state;
    make();
    put("a");
    load("a");
    puppet_measured("a", 700 * mib, 0);
    puppet_measured("a", 600 * mib, 0);
    assert_int_equal(describe("a").memory_bytes, 1200 * mib);
    unload("a");
    assert_int_equal(describe("a").memory_bytes, 1200 * mib);
}

static void test_it_is_of_one_way_to_start_it(void **state)
{
    (void)state;
    make();
    put("a");
    load("a");
    puppet_measured("a", 700 * mib, 0);
    unload("a");
    put_at("a", CONTEXT / 2);
    assert_int_equal(describe("a").measured_bytes, 0);
    assert_true(describe("a").memory_bytes < estimate(0));
    put("a");
    assert_int_equal(describe("a").memory_bytes, 1400 * mib);
}

/* … which is that of the engine that says it, not of the next one. */
static void test_settings_that_change_while_it_runs(void **state)
{
    (void)state;
    make();
    put("a");
    load("a");
    put_at("a", CONTEXT / 2);
    puppet_measured("a", 700 * mib, 0);
    assert_int_equal(describe("a").measured_bytes, 0);
    put("a");
    assert_int_equal(describe("a").measured_bytes, 1400 * mib);
}

static void test_it_is_kept(void **state)
{
    (void)state;
    make();
    put("a");
    load("a");
    puppet_measured("a", 700 * mib, SLOTS);
    restart();
    put("a");
    put("b");
    assert_int_equal(describe("a").memory_bytes, 1400 * mib);
    assert_int_equal(describe("b").memory_bytes, estimate(SLOTS));
}

static void test_another_program_is_measured_anew(void **state)
{
    (void)state;
    make();
    put("a");
    load("a");
    puppet_measured("a", 700 * mib, SLOTS);
    f.command[1] = "--other";
    restart();
    put("a");
    assert_int_equal(describe("a").memory_bytes, estimate(0));
    assert_int_equal(describe("a").output_rows, 0);
}

static void test_rows_make_other_estimates_better(void **state)
{
    (void)state;
    make();
    put("a");
    put("b");
    assert_int_equal(describe("b").memory_bytes, estimate(0));
    load("a");
    f.changes_of_b = 0;
    puppet_measured("a", 700 * mib, SLOTS);
    assert_true(f.changes_of_b > 0); /* its number is to be told */
    assert_int_equal(describe("b").output_rows, SLOTS);
    assert_int_equal(describe("b").memory_bytes, estimate(SLOTS));
    assert_true(estimate(SLOTS) + 100 * mib < estimate(0));
}

/* … also of a load that is only thought of. */
static void test_rows_make_rehearsals_better(void **state)
{
    const struct catalogue_model model = model_of("b");
    const struct supervisor_load wish = {
            .name = "b", .model = &model, .settings = settings_make(CONTEXT, SLOTS, false)};
    char text[SUPERVISOR_TEXT_MAX], size[32];

    (void)state;
    make();
    put("a");
    put_at("b", CONTEXT / 2);
    load("a");
    puppet_measured("a", 700 * mib, SLOTS);
    assert_int_equal(supervisor_rehearse(f.supervisor, &wish, text), ORDER_WAY_BESIDE);
    assert_non_null(strstr(text, text_format_size(estimate(SLOTS), size, sizeof size)));
    model_settings_destroy(wish.settings);
}

/* An older one says nothing of rows. */
static void test_an_engine_that_is_replaced_by_an_older_one(void **state)
{
    (void)state;
    make();
    put("a");
    put("b");
    load("a");
    puppet_measured("a", 700 * mib, SLOTS);
    puppet_measured("a", 900 * mib, 0);
    assert_int_equal(describe("b").memory_bytes, estimate(0));
}

static void test_rows_of_vectors_are_of_no_use(void **state)
{
    struct catalogue_model model = model_of("a");

    (void)state;
    make();
    model.capabilities = CAPABILITY_EMBEDDINGS;
    supervisor_model_put(f.supervisor, &model, settings_make(CONTEXT, SLOTS, false));
    put("b");
    load("a");
    puppet_measured("a", 700 * mib, 2048);
    assert_int_equal(describe("a").memory_bytes, 1400 * mib);
    assert_int_equal(describe("a").output_rows, 0);
    assert_int_equal(describe("b").memory_bytes, estimate(0));
}

/* On cards, what lies in the host's memory does not count; where a GPU shares that, it does. */
static void test_the_pool_decides_what_counts(void **state)
{
    (void)state;
    make_on(recorded_host("two-radeons"), "");
    put("a");
    load("a");
    puppet_measured("a", 700 * mib, 0);
    assert_int_equal(describe("a").memory_bytes, 700 * mib);
    end();
    assert_int_equal(loop_init(&f.loop), 0);
    make_on(recorded_host("strix-halo"), "");
    put("a");
    assert_int_equal(describe("a").memory_bytes, 1400 * mib);
}

/* One that left the cards alone says nothing of them. */
static void test_an_engine_that_uses_no_card(void **state)
{
    (void)state;
    make_on(recorded_host("two-radeons"), "");
    put("a");
    load("a");
    puppet_measured("a", 0, 0);
    assert_int_equal(describe("a").memory_bytes, estimate(0));
    assert_int_equal(describe("a").measured_bytes, 0);
}

static void test_what_ends_is_not_measured(void **state)
{
    (void)state;
    make();
    put("a");
    load("a");
    instance_stop(supervisor_find(f.supervisor, "a"), "the test ends it");
    puppet_measured("a", 700 * mib, SLOTS);
    puppet_exit("a", "stopped");
    assert_int_equal(describe("a").memory_bytes, estimate(0));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(test_it_counts_at_once_and_for_the_next_load),
            TEST(test_the_last_word_counts),
            TEST(test_it_is_of_one_way_to_start_it),
            TEST(test_settings_that_change_while_it_runs),
            TEST(test_it_is_kept),
            TEST(test_another_program_is_measured_anew),
            TEST(test_rows_make_other_estimates_better),
            TEST(test_rows_make_rehearsals_better),
            TEST(test_an_engine_that_is_replaced_by_an_older_one),
            TEST(test_rows_of_vectors_are_of_no_use),
            TEST(test_the_pool_decides_what_counts),
            TEST(test_an_engine_that_uses_no_card),
            TEST(test_what_ends_is_not_measured),
    };
    return cmocka_run_group_tests_name("measured", tests, NULL, NULL);
}
