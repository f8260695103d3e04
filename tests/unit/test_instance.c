#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/node_bench.h"
#include "tests/lib/settings_maker.h"
#include "tests/lib/waiter.h"

#include <stdio.h>
#include <string.h>

/* Models of engines that run already; test_supervisor.c has those of files. A node of 8 GiB that
 * may load 6 GiB. */

static const uint64_t mib = 1024 * 1024, gib = 1024 * 1024 * 1024;
enum {
    LOAD_MS = 100,
    DUE_MS = 1000, /* of waiting, until others leave that are used no more than these */
};

static struct node_bench bench;
static struct backend_ops elsewhere; /* puppets of another name */

static int setup(void **state)
{
    (void)state;
    elsewhere = puppet_ops;
    elsewhere.name = "elsewhere";
    node_bench_init(&bench);
    return 0;
}

static void tick_after(uint64_t ms)
{
    node_bench_tick(&bench, ms);
}

static void tick(void)
{
    tick_after(0);
}

static int teardown(void **state)
{
    static const char *const names[] = {"e", "f"};

    (void)state;
    supervisor_drain(bench.supervisor);
    tick();
    for (size_t i = 0; i < 2; i++)
        if (puppet_running(names[i]))
            puppet_exit(names[i], "stopped");
    node_bench_fini(&bench);
    return 0;
}

/* What Ollama on this host tells of a model of 2 GiB. */
struct tale {
    struct found_model facts;
    struct engines_model model;
};

static void begin(struct tale *tale, const char *name)
{
    *tale = (struct tale){.facts = {.file_bytes = 2 * gib,
                                  .context_trained = 8192,
                                  .parameters = 7000000,
                                  .capabilities = CAPABILITY_CHAT | CAPABILITY_EXACT,
                                  .architecture = "llama",
                                  .quantisation = "Q4_K_M",
                                  .version = "d1"}};
    (void)snprintf(tale->facts.id, sizeof tale->facts.id, "%s:latest", name);
    (void)snprintf(tale->facts.name, sizeof tale->facts.name, "%s", name);
    tale->model = (struct engines_model){.facts = &tale->facts,
            .here = true,
            .place = {
                    .kind = ENGINE_OLLAMA, .url = "http://127.0.0.1:11434", .id = tale->facts.id}};
}

static void tell(struct tale *tale)
{
    tale->model.facts = &tale->facts;
    tale->model.place.id = tale->facts.id;
    supervisor_engine_model_put(bench.supervisor, &elsewhere, &tale->model, false);
}

static void tell_available(const char *name)
{
    struct tale tale;

    begin(&tale, name);
    tell(&tale);
}

static void tell_resident(const char *name, uint64_t memory_bytes)
{
    struct tale tale;

    begin(&tale, name);
    tale.facts.resident = true;
    tale.facts.memory_bytes = memory_bytes;
    tale.facts.context = 2048;
    tell(&tale);
}

/* A server that only has what it has. */
static void tell_fixed(const char *name)
{
    struct tale tale;

    begin(&tale, name);
    tale.facts.resident = true;
    tale.model.place.kind = ENGINE_VLLM;
    tell(&tale);
}

static void tell_remote(const char *name)
{
    struct tale tale;

    begin(&tale, name);
    tale.model.here = false;
    tale.model.place.url = "http://mac.example:11434";
    tell(&tale);
}

static void put_file(const char *name, uint64_t bytes)
{
    const struct catalogue_model model = {.name = name,
            .path = "/models/x.gguf",
            .file_bytes = bytes,
            .architecture = "llama",
            .quantisation = "F16"};

    supervisor_model_put(bench.supervisor, &model, settings_make(0, 2, false));
}

static struct msg_instance describe(const char *name)
{
    struct msg_instance instance = {0};

    assert_true(supervisor_describe(bench.supervisor, name, &instance));
    return instance;
}

static void assert_state(const char *name, enum instance_state state)
{
    assert_string_equal(instance_state_name(describe(name).state), instance_state_name(state));
}

static void want(struct waiter *waiter, const char *name)
{
    waiter_begin(waiter, bench.supervisor, name);
    tick();
}

static void become_ready(const char *name)
{
    virtual_env_advance_ms(&bench.world, LOAD_MS);
    puppet_ready(name, 1, 4096);
    tick();
    assert_state(name, INSTANCE_RESIDENT);
}

/* For a request that is over at once. */
static void load(const char *name)
{
    struct waiter waiter;

    want(&waiter, name);
    become_ready(name);
    assert_int_equal(waiter.code, -1);
    instance_release(waiter.instance);
}

static void test_what_is_known_before_it_is_loaded(void **state)
{
    struct msg_instance model;

    (void)state;
    tell_available("e");
    tick();
    model = describe("e");
    assert_int_equal(model.state, INSTANCE_AVAILABLE);
    assert_string_equal(model.engine, "elsewhere");
    assert_int_equal(model.file_bytes, 2 * gib);
    assert_int_equal(model.memory_bytes, 2 * gib + 512 * mib);
    assert_int_equal(model.context_trained, 8192);
    assert_int_equal(model.parameters, 7000000);
    assert_int_equal(model.capabilities, CAPABILITY_CHAT | CAPABILITY_EXACT);
    assert_string_equal(model.quantisation, "Q4_K_M");
    assert_string_equal(describe("m").engine, "puppet");
}

static void test_what_is_loaded_there_is_taken_up_at_once(void **state)
{
    struct waiter waiter;

    (void)state;
    want(&waiter, "m");
    assert_state("m", INSTANCE_LOADING);
    tell_resident("e", 7 * gib); /* more than the limit, and something loads */
    tick();
    assert_state("e", INSTANCE_LOADING);
    assert_true(puppet_lent("e"));
    become_ready("e");
    assert_int_equal(describe("e").memory_bytes, 7 * gib);
    assert_false(puppet_lent("m"));
    become_ready("m");
    instance_release(waiter.instance);
}

/* Like what any other program takes: gone from what is free, and no way to get it back. */
static void test_what_somebody_else_has_loaded_is_never_evicted(void **state)
{
    struct waiter waiter;

    (void)state;
    tell_resident("e", 5 * gib);
    node_bench_set_free(&bench, 3 * gib);
    tick();
    become_ready("e");
    put_file("f", 3 * gib);
    want(&waiter, "f");
    assert_int_equal(waiter.code, FAIL_NO_MEMORY);
    assert_string_equal(waiter.message,
            "on node halo1 f needs 3.5 GiB; other programs, among them engines with e (5.0 GiB), "
            "leave 2.5 GiB: end some of them, or ask again when their memory is back");
    assert_false(puppet_stopping("e"));
}

/* It is no engine of this node: beside it all of the limit is there, where memory is. */
static void test_what_somebody_else_has_loaded_is_not_in_the_limit(void **state)
{
    struct waiter waiter;
    struct msg_state memory = {0};

    (void)state;
    load("m");
    tell_resident("e", 7 * gib); /* on a GPU that is not of the pool */
    tick();
    become_ready("e");
    put_file("f", 4 * gib);
    want(&waiter, "f");
    assert_false(puppet_stopping("m") || puppet_stopping("e"));
    become_ready("f");
    assert_int_equal(waiter.code, -1);
    instance_release(waiter.instance);
    supervisor_memory(bench.supervisor, &memory);
    assert_int_equal(
            memory.memory_used_bytes, describe("m").memory_bytes + describe("f").memory_bytes);
    puppet_exit("e", "Ollama has unloaded the model");
}

/* … nor does its coming and going look like memory that ours give back. */
static void test_what_somebody_else_unloads_is_not_awaited(void **state)
{
    struct waiter waiter;

    (void)state;
    tell_resident("e", 5 * gib);
    node_bench_set_free(&bench, 3 * gib);
    tick();
    become_ready("e");
    puppet_exit("e", "Ollama has unloaded the model");
    put_file("f", 3 * gib);
    want(&waiter, "f");
    assert_int_equal(waiter.code, FAIL_NO_MEMORY);
    node_bench_set_free(&bench, 8 * gib);
    want(&waiter, "f");
    assert_state("f", INSTANCE_LOADING);
    become_ready("f");
    instance_release(waiter.instance);
}

static void test_what_we_have_loaded_there_is_evicted(void **state)
{
    struct waiter waiter;

    (void)state;
    tell_available("e");
    load("e");
    assert_false(puppet_lent("e"));
    assert_int_equal(describe("e").memory_bytes, 2 * gib + 512 * mib);
    tell_resident("e", 4 * gib); /* so much it was then */
    assert_int_equal(describe("e").memory_bytes, 4 * gib);
    put_file("f", 2 * gib);
    want(&waiter, "f");
    tick_after(DUE_MS);
    assert_true(puppet_stopping("e"));
    puppet_exit("e", "stopped");
    tick();
    assert_state("e", INSTANCE_AVAILABLE); /* though it was told as resident */
    assert_int_equal(describe("e").memory_bytes, 4 * gib);
    become_ready("f");
    assert_int_equal(waiter.code, -1);
    instance_release(waiter.instance);
}

static void test_a_load_there_needs_memory_like_any(void **state)
{
    struct waiter waiter, far;

    (void)state;
    put_file("f", 4 * gib);
    want(&waiter, "f");
    become_ready("f");
    tell_available("e");
    want(&far, "e");
    assert_state("e", INSTANCE_AVAILABLE);
    instance_release(waiter.instance);
    tick_after(DUE_MS);
    assert_true(puppet_stopping("f"));
    puppet_exit("f", "stopped");
    tick();
    become_ready("e");
    assert_int_equal(far.code, -1);
    instance_release(far.instance);
}

static void test_another_hosts_engine_takes_nothing_here(void **state)
{
    struct waiter here, there, next;

    (void)state;
    want(&here, "m");
    tell_remote("e");
    want(&there, "e");
    assert_state("e", INSTANCE_LOADING); /* beside the other load */
    become_ready("e");
    become_ready("m");
    instance_release(here.instance);
    instance_release(there.instance);
    assert_int_equal(describe("e").memory_bytes, 0);
    tell_remote("e");
    put_file("f", 5 * gib); /* needs m to go, and e would not help */
    want(&next, "f");
    tick_after(DUE_MS);
    assert_true(puppet_stopping("m"));
    assert_false(puppet_stopping("e"));
    puppet_exit("m", "stopped");
    tick();
    become_ready("f");
    instance_release(next.instance);
}

static void test_another_hosts_load_holds_nobody_back(void **state)
{
    struct waiter here, there;

    (void)state;
    tell_remote("e");
    want(&there, "e");
    assert_state("e", INSTANCE_LOADING);
    want(&here, "m");
    assert_state("m", INSTANCE_LOADING);
    become_ready("m");
    become_ready("e");
    instance_release(here.instance);
    instance_release(there.instance);
}

/* It is tried again after the same back-off as any other. */
static void test_a_load_elsewhere_that_fails(void **state)
{
    struct waiter first, second;

    (void)state;
    tell_remote("e");
    want(&first, "e");
    puppet_exit("e", "no such model");
    assert_int_equal(first.code, FAIL_ENGINE_DIED);
    want(&second, "e");
    assert_state("e", INSTANCE_FAILED);
    tick_after(2 * INSTANCE_BACKOFF_MIN_MS);
    assert_state("e", INSTANCE_LOADING);
    become_ready("e");
    assert_int_equal(second.code, -1);
    instance_release(second.instance);
}

/* To take a model up says nothing of how long it loads. */
static void test_how_long_it_loads(void **state)
{
    const uint32_t expected_ms = 2 * 1024 * 1024 / 512; /* of 2 GiB, 512 KiB in each */
    struct residency_model model;
    struct tale tale;

    (void)state;
    tell_resident("e", gib);
    tick();
    become_ready("e");
    instance_snapshot(supervisor_find(bench.supervisor, "e"), &model);
    assert_true(model.foreign);
    assert_int_equal(model.load_ms, expected_ms);
    puppet_exit("e", "Ollama has unloaded the model");
    begin(&tale, "e");
    tell(&tale);
    load("e");
    instance_snapshot(supervisor_find(bench.supervisor, "e"), &model);
    assert_false(model.foreign);
    assert_int_equal(model.load_ms, LOAD_MS);
}

static void test_what_its_engine_lets_go_is_available(void **state)
{
    struct waiter waiter;

    (void)state;
    tell_resident("e", gib);
    tick();
    become_ready("e");
    tell_resident("e", 5 * gib); /* with a context of its own: ours takes less */
    puppet_exit("e", "Ollama has unloaded the model");
    tick();
    assert_state("e", INSTANCE_AVAILABLE);
    assert_int_equal(describe("e").restarts, 0);
    assert_string_equal(describe("e").note, "");
    assert_int_equal(describe("e").memory_bytes, 2 * gib + 512 * mib);
    want(&waiter, "e");
    assert_true(puppet_running("e"));
    assert_false(puppet_lent("e"));
    become_ready("e");
    assert_int_equal(waiter.code, -1);
    instance_release(waiter.instance);
}

static void test_it_is_taken_up_again_later(void **state)
{
    (void)state;
    tell_resident("e", gib);
    tick();
    become_ready("e");
    puppet_exit("e", "gave no sign of life for too long");
    tick_after(INSTANCE_DOUBT_MS - 1);
    assert_false(puppet_running("e"));
    tick_after(1);
    assert_true(puppet_lent("e"));
}

/* It went before we had looked: then the load is a real one. */
static void test_what_is_no_longer_there(void **state)
{
    struct waiter waiter;

    (void)state;
    tell_resident("e", gib);
    want(&waiter, "e");
    assert_true(puppet_lent("e"));
    puppet_exit("e", "does not have the model loaded");
    assert_state("e", INSTANCE_AVAILABLE);
    assert_int_equal(waiter.calls, 0);
    tick();
    assert_state("e", INSTANCE_LOADING);
    assert_false(puppet_lent("e"));
    become_ready("e");
    assert_int_equal(waiter.code, -1);
    instance_release(waiter.instance);
}

static void test_an_engine_that_refuses_to_load(void **state)
{
    struct waiter waiter;

    (void)state;
    tell_available("e");
    want(&waiter, "e");
    puppet_exit("e", "model requires more system memory");
    assert_state("e", INSTANCE_FAILED);
    assert_int_equal(waiter.code, FAIL_ENGINE_DIED);
    assert_string_equal(
            waiter.message, "the engine of e did not load it: model requires more system memory");
    assert_string_equal(describe("e").note, "model requires more system memory");
    tick_after(2 * INSTANCE_BACKOFF_MAX_MS);
    assert_state("e", INSTANCE_AVAILABLE);
}

static void test_a_server_that_only_has_what_it_has(void **state)
{
    struct waiter waiter;

    (void)state;
    tell_fixed("e");
    tick();
    become_ready("e");
    assert_int_equal(describe("e").memory_bytes, 2 * gib);
    puppet_exit("e", "gave no sign of life");
    tick();
    assert_state("e", INSTANCE_AVAILABLE);
    want(&waiter, "e"); /* who asks has it looked for at once */
    assert_state("e", INSTANCE_LOADING);
    puppet_exit("e", "does not have the model loaded");
    assert_state("e", INSTANCE_FAILED);
    assert_int_equal(waiter.code, FAIL_ENGINE_DIED);
    tick_after(INSTANCE_DOUBT_MS);
    assert_state("e", INSTANCE_LOADING);
}

static void test_a_model_that_is_gone(void **state)
{
    struct waiter busy, late;

    (void)state;
    tell_available("e");
    want(&busy, "e");
    become_ready("e");
    supervisor_engine_model_gone(bench.supervisor, "e");
    want(&late, "e");
    assert_int_equal(late.code, FAIL_NO_MODEL);
    assert_false(puppet_stopping("e"));
    instance_release(busy.instance);
    tick();
    assert_true(puppet_stopping("e"));
    puppet_exit("e", "stopped");
    tick();
    assert_null(supervisor_find(bench.supervisor, "e"));
    supervisor_engine_model_gone(bench.supervisor, "e");
}

static void test_a_file_of_the_same_name_counts(void **state)
{
    (void)state;
    tell_resident("e", gib);
    tick();
    become_ready("e");
    put_file("e", gib);
    tick();
    assert_true(puppet_stopping("e"));
    puppet_exit("e", "stopped");
    tick();
    assert_state("e", INSTANCE_AVAILABLE);
    assert_string_equal(describe("e").engine, "puppet");
    assert_string_equal(describe("e").quantisation, "F16");
    tell_resident("e", 3 * gib); /* behind the file: nothing to see */
    assert_int_equal(describe("e").memory_bytes, gib + 512 * mib);
    load("e");
    assert_false(puppet_lent("e"));
    supervisor_engine_model_gone(bench.supervisor, "e");
    tick();
    assert_state("e", INSTANCE_RESIDENT);
}

static void test_the_file_goes_and_the_engines_model_is_there(void **state)
{
    (void)state;
    put_file("e", gib);
    load("e");
    tell_resident("e", gib);
    supervisor_model_gone(bench.supervisor, "e");
    tick();
    assert_true(puppet_stopping("e"));
    puppet_exit("e", "stopped");
    tick();
    assert_state("e", INSTANCE_LOADING);
    assert_true(puppet_lent("e"));
    assert_string_equal(describe("e").engine, "elsewhere");
    supervisor_model_gone(bench.supervisor, "e");
    tick();
    assert_non_null(supervisor_find(bench.supervisor, "e"));
}

static void test_what_is_gone_may_come_back_from_elsewhere(void **state)
{
    struct waiter waiter;

    (void)state;
    tell_available("e");
    want(&waiter, "e");
    become_ready("e");
    supervisor_engine_model_gone(bench.supervisor, "e");
    put_file("e", gib);
    instance_release(waiter.instance);
    tick();
    assert_true(puppet_stopping("e"));
    puppet_exit("e", "stopped");
    tick();
    assert_state("e", INSTANCE_AVAILABLE);
    assert_string_equal(describe("e").engine, "puppet");
}

static void test_news_of_a_loaded_model(void **state)
{
    struct tale tale;

    (void)state;
    tell_resident("e", gib);
    tick();
    become_ready("e");
    assert_int_equal(describe("e").context, 4096);
    begin(&tale, "e");
    tale.facts.resident = true;
    tale.facts.memory_bytes = 3 * gib;
    tale.facts.context = 8192;
    tell(&tale);
    tick();
    assert_state("e", INSTANCE_RESIDENT);
    assert_int_equal(puppet_starts("e"), 1);
    assert_int_equal(describe("e").context, 8192);
    assert_int_equal(describe("e").memory_bytes, 3 * gib);
}

static void test_a_new_version_is_taken_up_when_idle(void **state)
{
    struct waiter waiter;
    struct tale tale;

    (void)state;
    tell_available("e");
    want(&waiter, "e");
    become_ready("e");
    tell_resident("e", 4 * gib);
    begin(&tale, "e");
    (void)snprintf(tale.facts.version, sizeof tale.facts.version, "d2");
    tell(&tale);
    tick();
    assert_false(puppet_stopping("e"));
    instance_release(waiter.instance);
    tick();
    assert_true(puppet_stopping("e"));
    puppet_exit("e", "stopped");
    assert_int_equal(describe("e").memory_bytes, 2 * gib + 512 * mib); /* as none was ever seen */
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_what_is_known_before_it_is_loaded),
            TEST(test_what_is_loaded_there_is_taken_up_at_once),
            TEST(test_what_somebody_else_has_loaded_is_never_evicted),
            TEST(test_what_somebody_else_has_loaded_is_not_in_the_limit),
            TEST(test_what_somebody_else_unloads_is_not_awaited),
            TEST(test_what_we_have_loaded_there_is_evicted),
            TEST(test_a_load_there_needs_memory_like_any),
            TEST(test_another_hosts_engine_takes_nothing_here),
            TEST(test_another_hosts_load_holds_nobody_back),
            TEST(test_a_load_elsewhere_that_fails),
            TEST(test_how_long_it_loads),
            TEST(test_what_its_engine_lets_go_is_available),
            TEST(test_it_is_taken_up_again_later),
            TEST(test_what_is_no_longer_there),
            TEST(test_an_engine_that_refuses_to_load),
            TEST(test_a_server_that_only_has_what_it_has),
            TEST(test_a_model_that_is_gone),
            TEST(test_a_file_of_the_same_name_counts),
            TEST(test_the_file_goes_and_the_engines_model_is_there),
            TEST(test_what_is_gone_may_come_back_from_elsewhere),
            TEST(test_news_of_a_loaded_model),
            TEST(test_a_new_version_is_taken_up_when_idle),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("instance", tests, NULL, NULL);
}
