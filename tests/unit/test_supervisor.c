#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/log.h"
#include "node/residency/supervisor.h"
#include "tests/lib/puppet.h"
#include "tests/lib/recorded_host.h"
#include "tests/lib/scratch.h"
#include "tests/lib/settings_maker.h"
#include "tests/lib/virtual_env.h"
#include "tests/lib/waiter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint64_t mib = 1024 * 1024, gib = 1024 * 1024 * 1024;
enum {
    LOAD_MS = 100,
    DUE_MS = 1000, /* of waiting, until others leave that are used no more than these */
    LONG_MS = 60000,
};

/* A node of 8 GiB that may load 4 GiB: models of 1 GiB count 1.5 GiB, so two fit. */
struct fixture {
    struct loop loop;
    struct virtual_env world;
    struct scratch scratch;
    struct supervisor *supervisor;
    const char *const *resident; /* ends with NULL; NULL: none */
    uint32_t context;            /* of every model; 0: the node's choice */
    unsigned changes, stopped;
};

static struct fixture f;

static void on_change(void *ctx, const char *model)
{
    (void)ctx;
    (void)model;
    f.changes++;
}

static void on_stopped(void *ctx)
{
    (void)ctx;
    f.stopped++;
}

static void set_memory(uint64_t available)
{
    char text[128];

    (void)snprintf(text, sizeof text, "MemTotal: %llu kB\nMemAvailable: %llu kB\n",
            (unsigned long long)(8 * gib / 1024), (unsigned long long)(available / 1024));
    scratch_write(&f.scratch, "proc/meminfo", text);
}

static void make_from(const struct supervisor_config *config)
{
    static const struct supervisor_events events = {
            .on_change = on_change, .on_stopped = on_stopped};
    struct err err = {""};

    if (supervisor_create(&f.loop, config, &events, NULL, &f.supervisor, &err) < 0)
        fail_msg("%s", err.text);
}

static struct supervisor_config config_of(const char *root, const char *nvml)
{
    return (struct supervisor_config){
            .ops = &puppet_ops,
            .host = {.loop = &f.loop, .env = &f.world.env},
            .node_name = "halo1",
            .memory = {.hardware = {.root = root, .nvml = nvml},
                    .reserve_bytes = MEMORY_RESERVE_DEFAULT},
    };
}

static void make_with_context(const char *const *resident, uint32_t context)
{
    struct supervisor_config config = config_of(f.scratch.path, "");

    f.context = context;
    f.resident = resident;
    config.memory.limit_bytes = 4 * gib;
    make_from(&config);
}

static void make(const char *const *resident)
{
    make_with_context(resident, 0);
}

static int setup(void **state)
{
    (void)state;
    log_init("test", LOG_LEVEL_ERROR);
    memset(&f, 0, sizeof f);
    virtual_env_init(&f.world);
    scratch_init(&f.scratch);
    set_memory(8 * gib);
    return loop_init(&f.loop);
}

static void tick_after(uint64_t ms)
{
    virtual_env_advance_ms(&f.world, ms);
    supervisor_tick(f.supervisor);
}

static void tick(void)
{
    tick_after(0);
}

static int teardown(void **state)
{
    static const char *const names[] = {"a", "b", "c"};

    (void)state;
    supervisor_drain(f.supervisor);
    tick();
    for (size_t i = 0; i < 3; i++)
        if (puppet_running(names[i]))
            puppet_exit(names[i], "stopped");
    tick();
    assert_int_equal(f.stopped, 1);
    supervisor_destroy(f.supervisor);
    puppet_reset();
    loop_fini(&f.loop);
    scratch_fini(&f.scratch);
    return 0;
}

static bool is_resident(const char *name)
{
    for (const char *const *word = f.resident; word != NULL && *word != NULL; word++)
        if (strcmp(*word, name) == 0)
            return true;
    return false;
}

static void put_trained(const char *name, uint64_t bytes, uint32_t context)
{
    const struct catalogue_model model = {.name = name,
            .path = name,
            .file_bytes = bytes,
            .context = context,
            .architecture = "llama",
            .quantisation = "Q8_0",
            .modified_ns = INT64_C(1700000000999999999),
            .parameters = 7000000,
            .capabilities = CAPABILITY_CHAT | CAPABILITY_FIM};

    supervisor_model_put(f.supervisor, &model, settings_make(f.context, 2, is_resident(name)));
}

static void put(const char *name, uint64_t bytes)
{
    put_trained(name, bytes, 4096);
}

static struct msg_instance describe(const char *name)
{
    struct msg_instance instance = {0};

    assert_true(supervisor_describe(f.supervisor, name, &instance));
    return instance;
}

static void assert_state(const char *name, enum instance_state state)
{
    assert_string_equal(instance_state_name(describe(name).state), instance_state_name(state));
}

static void want(struct waiter *waiter, const char *name)
{
    waiter_begin(waiter, f.supervisor, name);
}

/* A load takes a while, as it does with real engines. */
static void ready(const char *name, uint32_t slots, uint32_t context)
{
    virtual_env_advance_ms(&f.world, LOAD_MS);
    puppet_ready(name, slots, context);
}

/* Loads `name` for a request that is over at once. */
static void load(const char *name)
{
    struct waiter waiter;

    want(&waiter, name);
    tick();
    ready(name, 2, 4096);
    tick();
    assert_int_equal(waiter.code, -1);
    instance_release(waiter.instance);
}

static void test_resident_models_are_loaded_one_at_a_time(void **state)
{
    static const char *const resident[] = {"a", "b", NULL};

    (void)state;
    make(resident);
    put("a", gib);
    put("b", gib);
    put("c", gib);
    tick();
    assert_state("a", INSTANCE_LOADING);
    assert_state("b", INSTANCE_AVAILABLE);
    ready("a", 2, 2048);
    tick();
    assert_state("a", INSTANCE_RESIDENT);
    assert_state("b", INSTANCE_LOADING);
    ready("b", 2, 2048);
    tick();
    assert_state("c", INSTANCE_AVAILABLE);
    assert_true(describe("a").pinned);
    assert_false(describe("c").pinned);
    assert_int_equal(describe("a").context, 2048);
    assert_int_equal(describe("a").slots, 2);
    assert_int_equal(describe("a").memory_bytes, gib + 512 * mib);
    assert_int_equal(describe("c").context, 4096);
    assert_int_equal(describe("c").memory_bytes, gib + 512 * mib);
}

static void make_that_keeps_prompts(uint64_t limit_bytes)
{
    struct supervisor_config config = config_of(f.scratch.path, "");

    config.memory.limit_bytes = limit_bytes;
    config.keeps_prompts = true;
    make_from(&config);
}

/* … what its engine may keep of earlier prompts, in what it counts. */
static uint64_t prompts_of(const char *name)
{
    return describe(name).memory_bytes - gib - 512 * mib;
}

/* Before it is loaded it stands in no model's way. */
static void test_earlier_prompts_take_a_part_of_what_is_to_spare(void **state)
{
    (void)state;
    make_that_keeps_prompts(4 * gib);
    put("a", gib);
    put("b", gib);
    assert_int_equal(prompts_of("a"), 0);
    load("a");
    assert_int_equal(prompts_of("a"), 4 * gib / SUPERVISOR_PROMPTS_DIVISOR);
    load("b"); /* 4 GiB less 1.5 of each, and 256 MiB */
    assert_int_equal(prompts_of("b"), 768 * mib / INSTANCE_PROMPTS_DIVISOR);
    assert_int_equal(prompts_of("a"), 256 * mib);
    puppet_exit("a", "stopped");
    assert_int_equal(prompts_of("a"), 0);
}

static void test_earlier_prompts_are_bounded_on_a_large_host(void **state)
{
    (void)state;
    scratch_write(
            &f.scratch, "proc/meminfo", "MemTotal: 536870912 kB\nMemAvailable: 536870912 kB\n");
    make_that_keeps_prompts(256 * gib);
    put("a", gib);
    load("a");
    assert_int_equal(prompts_of("a"), SUPERVISOR_PROMPTS_MAX_BYTES);
}

/* Where it says more than it was given, as its owner's words have it, that counts. */
static void test_what_an_engine_says_of_its_prompts(void **state)
{
    const struct backend_measured measured = {
            .host_bytes = gib, .prompt_cache_bytes = gib, .unified = true};

    (void)state;
    make_that_keeps_prompts(4 * gib);
    put("a", gib);
    load("a");
    assert_false(describe("a").cache_swaps);
    puppet_says("a", &measured);
    assert_int_equal(describe("a").memory_bytes, 2 * gib);
    assert_true(describe("a").cache_swaps);
    puppet_exit("a", "exited with status 1");
    assert_false(describe("a").cache_swaps);
}

static void test_other_engines_keep_no_prompts(void **state)
{
    (void)state;
    make(NULL);
    put("a", gib);
    load("a");
    assert_int_equal(prompts_of("a"), 0);
}

static void test_the_context_that_a_model_would_get(void **state)
{
    (void)state;
    make_with_context(NULL, 1024);
    put_trained("a", gib, 4096);
    put_trained("b", gib, 512);
    put_trained("c", gib, 0);
    assert_int_equal(describe("a").context, 1024);
    assert_int_equal(describe("a").context_trained, 4096);
    assert_int_equal(describe("b").context, 512);
    assert_int_equal(describe("c").context, 1024);
}

static void test_the_engine_says_which_context_it_has(void **state)
{
    struct waiter waiter;

    (void)state;
    make_with_context(NULL, 1024);
    put("a", gib);
    want(&waiter, "a");
    tick();
    assert_state("a", INSTANCE_LOADING);
    assert_int_equal(describe("a").context, 1024);
    ready("a", 2, 768);
    tick();
    assert_int_equal(describe("a").context, 768);
    instance_release(waiter.instance);
    puppet_exit("a", "exited with status 1");
    assert_int_equal(describe("a").context, 1024);
}

static void test_a_request_loads(void **state)
{
    struct waiter first, second;

    (void)state;
    make(NULL);
    put("a", gib);
    tick();
    assert_false(puppet_running("a"));
    want(&first, "a");
    want(&second, "a");
    tick();
    assert_state("a", INSTANCE_LOADING);
    assert_int_equal(first.calls, 0);
    ready("a", 2, 0);
    tick();
    assert_int_equal(first.code, -1);
    assert_int_equal(second.code, -1);
    assert_int_equal(describe("a").busy, 2);
    assert_int_equal(puppet_starts("a"), 1);
    instance_release(first.instance);
    instance_release(second.instance);
    assert_int_equal(describe("a").busy, 0);
}

/* The file's word until the engine has its own, and again when the engine is gone. */
static void test_what_a_model_can_do(void **state)
{
    static const uint32_t of_file = CAPABILITY_CHAT | CAPABILITY_FIM;
    static const char *const resident[] = {"a", NULL};

    (void)state;
    make(resident);
    put("a", gib);
    assert_int_equal(describe("a").capabilities, of_file);
    assert_int_equal(describe("a").context_trained, 4096);
    assert_int_equal(describe("a").parameters, 7000000);
    assert_int_equal(describe("a").modified_s, 1700000000);
    assert_string_equal(describe("a").architecture, "llama");
    assert_string_equal(describe("a").quantisation, "Q8_0");
    tick();
    assert_int_equal(describe("a").capabilities, of_file);
    ready("a", 1, 2048);
    tick();
    assert_int_equal(describe("a").capabilities, of_file | CAPABILITY_EXACT);
    assert_int_equal(describe("a").context, 2048);
    assert_int_equal(describe("a").context_trained, 4096);
    put("a", gib / 2);
    assert_int_equal(describe("a").capabilities, of_file | CAPABILITY_EXACT);
    tick();
    puppet_exit("a", "stopped");
    assert_int_equal(describe("a").capabilities, of_file);
}

/* It may be one for whom the file's template names tools and takes none. */
static void test_what_an_engine_said_is_known_when_it_is_gone(void **state)
{
    static const uint32_t said = CAPABILITY_CHAT | CAPABILITY_FIM;
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    want(&waiter, "a");
    tick();
    ready("a", 1, 2048);
    tick();
    assert_int_equal(describe("a").capabilities, said | CAPABILITY_EXACT);
    instance_release(waiter.instance);
    puppet_exit("a", "killed");
    assert_int_equal(describe("a").capabilities, said | CAPABILITY_TEMPLATE | CAPABILITY_SENSES);
    put("a", gib / 2); /* another file */
    assert_int_equal(describe("a").capabilities, said);
}

static void test_evicts_the_idle_and_oldest(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    put("b", gib);
    put("c", gib);
    load("a");
    virtual_env_advance_ms(&f.world, 1000);
    load("b");
    want(&waiter, "c");
    tick_after(DUE_MS);
    assert_true(puppet_stopping("a"));
    assert_false(puppet_stopping("b"));
    assert_state("a", INSTANCE_STOPPING);
    /* Its memory counts until it is gone for sure. */
    tick();
    assert_false(puppet_running("c"));
    puppet_exit("a", "stopped");
    tick();
    assert_state("a", INSTANCE_AVAILABLE);
    ready("c", 1, 0);
    tick();
    assert_int_equal(waiter.code, -1);
    instance_release(waiter.instance);
}

static void test_waits_for_the_busy(void **state)
{
    struct waiter a, b, c;

    (void)state;
    make(NULL);
    put("a", gib);
    put("b", gib);
    put("c", gib);
    want(&a, "a");
    tick();
    ready("a", 1, 0);
    want(&b, "b");
    tick();
    ready("b", 1, 0);
    tick();
    want(&c, "c");
    tick_after(DUE_MS);
    assert_int_equal(c.calls, 0);
    assert_false(puppet_stopping("a") || puppet_stopping("b"));
    instance_release(b.instance);
    tick();
    assert_true(puppet_stopping("b"));
    puppet_exit("b", "stopped");
    tick();
    ready("c", 1, 0);
    tick();
    assert_int_equal(c.code, -1);
    instance_release(a.instance);
    instance_release(c.instance);
}

static void test_waits_so_long_and_no_longer(void **state)
{
    struct waiter a, b, early, late;

    (void)state;
    make(NULL);
    put("a", gib);
    put("b", gib);
    put("c", gib);
    want(&a, "a");
    tick();
    ready("a", 1, 0);
    want(&b, "b");
    tick();
    ready("b", 1, 0);
    want(&early, "c");
    tick();
    virtual_env_advance_ms(&f.world, INSTANCE_WAIT_MAX_MS - 1000);
    want(&late, "c");
    tick();
    assert_int_equal(early.calls, 0);
    tick_after(1000);
    assert_int_equal(early.code, FAIL_NO_MEMORY);
    assert_non_null(strstr(early.message, "ten minutes"));
    assert_int_equal(late.calls, 0);
    tick_after(INSTANCE_WAIT_MAX_MS - 1000);
    assert_int_equal(late.code, FAIL_NO_MEMORY);
    instance_release(a.instance);
    instance_release(b.instance);
}

/* A load has a timeout of its own: who waits for it learns how it ended. */
static void test_waits_for_a_long_load(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    want(&waiter, "a");
    tick();
    tick_after(2 * INSTANCE_WAIT_MAX_MS);
    assert_int_equal(waiter.calls, 0);
    ready("a", 1, 0);
    tick();
    assert_int_equal(waiter.code, -1);
    instance_release(waiter.instance);
}

/* An engine that hangs while it stops keeps its memory and its name; those who wait do not stay for
 * ever. */
static void test_engine_that_does_not_stop(void **state)
{
    struct waiter a, b;

    (void)state;
    make(NULL);
    put("a", 2 * gib);
    put("b", 2 * gib);
    load("a");
    want(&b, "b");
    tick_after(DUE_MS);
    assert_true(puppet_stopping("a"));
    want(&a, "a");
    tick_after(INSTANCE_WAIT_MAX_MS);
    assert_int_equal(a.code, FAIL_NO_MEMORY);
    assert_int_equal(b.code, FAIL_NO_MEMORY);
    assert_int_equal(puppet_starts("b"), 0);
    assert_int_equal(describe("a").memory_bytes, 2 * gib + 512 * mib);
}

static void make_with_swap(uint64_t swap_bytes)
{
    struct supervisor_config config = config_of(f.scratch.path, "");

    config.memory.limit_bytes = 4 * gib;
    config.swap_bytes = swap_bytes;
    make_from(&config);
}

/* 5 GiB of file and an eighth, where 4 GiB are to be had. */
static void test_a_model_larger_than_the_memory(void **state)
{
    struct waiter person, batch;
    struct msg_state told = {0};

    (void)state;
    make_with_swap(2 * gib);
    put("a", 5 * gib);
    assert_true(supervisor_batch_only(f.supervisor, "a"));
    assert_true(describe("a").batch_only);
    want(&person, "a");
    tick();
    assert_int_equal(person.code, FAIL_NO_MEMORY);
    assert_false(puppet_running("a"));
    want(&batch, "a");
    batch.wait.batch = true;
    tick();
    assert_true(puppet_running("a"));
    want(&person, "a");
    tick();
    assert_int_equal(person.code, FAIL_NO_MEMORY);
    ready("a", 1, 4096);
    tick();
    assert_int_equal(batch.code, -1);
    instance_release(batch.instance);
    supervisor_memory(f.supervisor, &told);
    assert_int_equal(told.swap_allowance_bytes, 2 * gib);
}

static uint64_t told_room(void)
{
    struct msg_state told = {0};

    supervisor_memory(f.supervisor, &told);
    return told.memory_room_bytes;
}

/* The limit is 4 GiB, and of 8 GiB half a GiB is to stay free. */
static void test_the_room_that_is_told(void **state)
{
    (void)state;
    make(NULL);
    put("a", gib);
    tick();
    assert_int_equal(told_room(), 4 * gib);
    set_memory(3 * gib);
    tick_after(MEMORY_LOOK_MS);
    assert_int_equal(told_room(), 2 * gib + 512 * mib);
    load("a");
    set_memory(2 * gib);
    tick_after(MEMORY_LOOK_MS);
    assert_int_equal(told_room(), 3 * gib);
}

static void test_a_model_larger_than_the_memory_and_the_allowance(void **state)
{
    struct waiter batch;

    (void)state;
    make_with_swap(gib);
    put("a", 5 * gib);
    assert_false(supervisor_batch_only(f.supervisor, "a"));
    want(&batch, "a");
    batch.wait.batch = true;
    tick();
    assert_int_equal(batch.code, FAIL_NO_MEMORY);
}

/* A cache of 1 MiB a token for each of two slots, beside 1 GiB: 1,400 tokens fit 4 GiB. */
static void test_a_refusal_names_what_would_fit(void **state)
{
    const struct catalogue_model model = {.name = "a",
            .path = "a",
            .file_bytes = gib,
            .context = 65536,
            .architecture = "llama",
            .quantisation = "Q8_0",
            .shape = {.tensor_bytes = gib,
                    .full = {.layers = 1, .k_elements = 256 * 1024, .v_elements = 256 * 1024},
                    .layers = 1,
                    .context_trained = 65536}};
    struct waiter waiter;

    (void)state;
    make(NULL);
    supervisor_model_put(f.supervisor, &model, settings_make(8192, 2, false));
    want(&waiter, "a");
    tick();
    assert_int_equal(waiter.code, FAIL_NO_MEMORY);
    if (strstr(waiter.message, "; with a context of at most 1280 tokens it would fit") == NULL)
        fail_msg("%s", waiter.message);
}

static void test_never_past_the_limit(void **state)
{
    static const char *const resident[] = {"a", "b", NULL};
    struct waiter waiter, giant;

    (void)state;
    make(resident);
    put("a", gib);
    put("b", gib);
    put("c", gib);
    put("giant", 5 * gib);
    tick();
    ready("a", 1, 0);
    tick();
    ready("b", 1, 0);
    want(&waiter, "c");
    want(&giant, "giant");
    tick();
    assert_int_equal(waiter.code, FAIL_NO_MEMORY);
    assert_string_equal(waiter.message,
            "on node halo1 c needs 1.5 GiB; beside the pinned models a (1.5 GiB) and b (1.5 GiB) "
            "there are 1.0 GiB of the limit of 4.0 GiB: unpin one, or use a shorter context");
    assert_int_equal(giant.code, FAIL_NO_MEMORY);
    assert_string_equal(describe("giant").note, giant.message);
    assert_int_equal(describe("giant").memory_bytes, 5 * gib + 640 * mib);
    assert_int_equal(puppet_starts("c"), 0);
    assert_int_equal(puppet_starts("giant"), 0);
}

static void test_free_memory_of_the_host_counts(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    set_memory(gib);
    want(&waiter, "a");
    tick();
    assert_int_equal(waiter.code, FAIL_NO_MEMORY);
    assert_string_equal(waiter.message, "on node halo1 a needs 1.5 GiB; other programs leave 512.0 "
                                        "MiB: end some of them, or ask "
                                        "again when their memory is back");
    set_memory(2 * gib);
    want(&waiter, "a");
    tick();
    assert_int_equal(waiter.calls, 0);
    assert_state("a", INSTANCE_LOADING);
    ready("a", 1, 0);
    tick();
    instance_release(waiter.instance);
}

static struct msg_state memory(void)
{
    struct msg_state state = {.full = false};

    supervisor_memory(f.supervisor, &state);
    return state;
}

/* Milliseconds until the loop has something to do; -1: nothing. */
static int wakes_in_ms(void)
{
    tick();
    uv_run(&f.loop.uv, UV_RUN_NOWAIT);
    return uv_backend_timeout(&f.loop.uv);
}

static void test_an_idle_node_is_not_woken(void **state)
{
    (void)state;
    make(NULL);
    put("a", gib);
    assert_int_equal(wakes_in_ms(), -1);
    load("a");
    assert_in_range(wakes_in_ms(), 1, MEMORY_LOOK_MS);
    set_memory(gib);
    tick_after(MEMORY_LOOK_MS);
    set_memory(8 * gib);
    assert_int_equal(memory().memory_available_bytes, gib);
}

/* … however often there is something else to do meanwhile. */
static void test_others_are_seen_within_a_second(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    load("a");
    tick_after(MEMORY_LOOK_MS);
    virtual_env_advance_ms(&f.world, MEMORY_LOOK_MS - 1);
    want(&waiter, "a");
    tick();
    instance_release(waiter.instance);
    set_memory(0);
    assert_int_equal(wakes_in_ms(), 1);
    tick_after(1);
    assert_true(puppet_stopping("a"));
}

/* Idle models make room for other programs, the least used first and no more than needed; nothing
 * is loaded until the memory is back. */
static void test_others_take_memory(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    put("b", gib);
    put("c", gib);
    load("a");
    virtual_env_advance_ms(&f.world, DUE_MS);
    load("b");
    set_memory(100 * mib);
    tick_after(MEMORY_LOOK_MS);
    assert_true(puppet_stopping("a"));
    assert_false(puppet_stopping("b"));
    want(&waiter, "c");
    tick();
    assert_int_equal(waiter.calls, 0);
    /* They take what it leaves, too. */
    puppet_exit("a", "stopped");
    tick_after(RESIDENCY_SETTLE_MS);
    assert_true(puppet_stopping("b"));
    puppet_exit("b", "stopped");
    tick_after(RESIDENCY_SETTLE_MS);
    assert_int_equal(waiter.code, FAIL_NO_MEMORY);
    assert_non_null(strstr(waiter.message, "other programs"));
    set_memory(3 * gib);
    tick_after(RESIDENCY_CALM_MS);
    want(&waiter, "c");
    tick();
    ready("c", 1, 0);
    tick();
    assert_int_equal(waiter.code, -1);
    instance_release(waiter.instance);
}

/* A model in use stays, whatever others take. */
static void test_the_busy_stay(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    want(&waiter, "a");
    tick();
    ready("a", 1, 0);
    tick();
    set_memory(0);
    tick_after(MEMORY_LOOK_MS);
    assert_false(puppet_stopping("a"));
    instance_release(waiter.instance);
    tick();
    assert_true(puppet_stopping("a"));
}

/* One that waits long enough gets the memory of one that is never idle: that one takes no new run,
 * and is open again once nobody needs its memory. */
static void test_the_busy_are_closed_for_one_who_waits(void **state)
{
    struct waiter a, late, c;

    (void)state;
    make(NULL);
    put("a", 3 * gib);
    put("c", gib);
    want(&a, "a");
    tick();
    ready("a", 1, 0);
    tick();
    want(&c, "c");
    tick_after(INSTANCE_WAIT_MAX_MS / 2);
    assert_false(instance_ready(a.instance));
    want(&late, "a");
    tick();
    assert_int_equal(late.calls, 0);
    instance_unwait(&c.wait);
    tick();
    assert_true(instance_ready(a.instance));
    assert_int_equal(late.code, -1);
    instance_release(a.instance);
    instance_release(late.instance);
}

/* A load is decided on what is free now, however fresh the last look is. */
static void test_memory_is_looked_at_before_a_load(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    tick();
    set_memory(gib);
    want(&waiter, "a");
    tick();
    assert_int_equal(waiter.code, FAIL_NO_MEMORY);
}

static void test_a_gpu_that_is_lost(void **state)
{
    static const char lost[] = "gpus 1\n0.memory 15\n";
    static const char well[] = "gpus 1\n0.total 25769803776\n0.free 25000000000\n";
    struct supervisor_config config;
    struct waiter waiter;

    (void)state;
    scratch_write(&f.scratch, "nvml", well);
    config = config_of(f.scratch.path, recorded_nvml(scratch_path(&f.scratch, "nvml")));
    make_from(&config);
    put("a", gib);
    scratch_write(&f.scratch, "nvml", lost);
    want(&waiter, "a");
    tick();
    assert_int_equal(waiter.code, FAIL_NO_MEMORY);
    assert_non_null(strstr(waiter.message, "other programs leave 0 B"));
    assert_int_equal(memory().memory_total_bytes, 0);
    scratch_write(&f.scratch, "nvml", well);
    want(&waiter, "a");
    tick_after(RESIDENCY_CALM_MS);
    assert_state("a", INSTANCE_LOADING);
    ready("a", 1, 0);
    tick();
    instance_release(waiter.instance);
}

static void test_death_in_service(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    load("a");
    puppet_exit("a", "killed by signal 9");
    assert_state("a", INSTANCE_FAILED);
    assert_string_equal(describe("a").note, "killed by signal 9");
    assert_int_equal(describe("a").memory_bytes, gib + 512 * mib);
    tick();
    assert_false(puppet_running("a"));
    /* Who comes now waits for the restart, which comes by itself. */
    want(&waiter, "a");
    tick_after(1200);
    assert_state("a", INSTANCE_LOADING);
    assert_int_equal(waiter.calls, 0);
    ready("a", 1, 0);
    tick();
    assert_int_equal(waiter.code, -1);
    assert_int_equal(describe("a").restarts, 1);
    assert_string_equal(describe("a").note, "restarted after: killed by signal 9");
    instance_release(waiter.instance);
    tick_after(INSTANCE_HEALTHY_MS);
    assert_string_equal(describe("a").note, "");
}

/* It tells of the death, not of what was told meanwhile, and tells it once. */
static void test_the_note_of_one_that_dies_again(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    load("a");
    puppet_exit("a", "killed by signal 9");
    set_memory(gib);
    want(&waiter, "a");
    tick_after(RESIDENCY_SETTLE_MS);
    assert_int_equal(waiter.code, FAIL_NO_MEMORY);
    assert_string_equal(describe("a").note, waiter.message);
    set_memory(8 * gib);
    tick_after(RESIDENCY_CALM_MS);
    ready("a", 1, 0);
    assert_string_equal(describe("a").note, "restarted after: killed by signal 9");
    tick();
    puppet_exit("a", "exited with status 1");
    tick_after(2 * INSTANCE_BACKOFF_MIN_MS * 12 / 10);
    ready("a", 1, 0);
    assert_string_equal(describe("a").note, "restarted after: exited with status 1");
}

/* One that was well before is not told as one that died. */
static void test_the_note_of_a_load_that_is_broken_off(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    want(&waiter, "a");
    tick();
    set_memory(100 * mib);
    tick_after(MEMORY_LOOK_MS);
    puppet_exit("a", "stopped");
    set_memory(8 * gib);
    tick_after(RESIDENCY_CALM_MS);
    ready("a", 1, 0);
    assert_string_equal(describe("a").note, "");
    tick();
    instance_release(waiter.instance);
}

/* What is free is never still, and each change of a note goes to everybody who looks. */
static void test_the_note_of_a_refusal_is_renewed_now_and_then(void **state)
{
    static const char *const resident[] = {"a", NULL};
    unsigned changes;

    (void)state;
    make(resident);
    put("a", 2 * gib);
    set_memory(2 * gib);
    tick();
    assert_non_null(strstr(describe("a").note, "other programs leave 1.5 GiB"));
    changes = f.changes;
    set_memory(gib);
    for (int i = 0; i < INSTANCE_RENEW_MS / 1000 - 1; i++)
        tick_after(1000);
    assert_int_equal(f.changes, changes);
    tick_after(1000);
    assert_int_equal(f.changes, changes + 1);
    assert_non_null(strstr(describe("a").note, "other programs leave 512.0 MiB"));
    for (int i = 0; i < INSTANCE_RENEW_MS / 1000; i++)
        tick_after(1000);
    assert_int_equal(f.changes, changes + 1);
}

/* … but told at once where it is another one; who asks gets the numbers of now. */
static void test_the_note_of_another_refusal(void **state)
{
    static const char *const resident[] = {"a", "b", NULL};
    struct waiter waiter;

    (void)state;
    make(resident);
    put("a", 3 * gib);
    put("b", 3 * gib);
    set_memory(gib);
    tick();
    assert_non_null(strstr(describe("b").note, "other programs leave 512.0 MiB"));
    set_memory(8 * gib);
    tick();
    ready("a", 1, 0);
    tick();
    assert_non_null(strstr(describe("b").note, "beside the pinned model a"));
    put("b", 3 * gib + 512 * mib);
    want(&waiter, "b");
    tick();
    assert_non_null(strstr(waiter.message, "b needs 4.0 GiB"));
    assert_non_null(strstr(describe("b").note, "b needs 3.5 GiB"));
}

static void test_load_that_fails(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    want(&waiter, "a");
    tick();
    puppet_exit("a", "exited with status 1: unknown model architecture");
    assert_int_equal(waiter.code, FAIL_ENGINE_DIED);
    assert_non_null(strstr(waiter.message, "unknown model architecture"));
    assert_state("a", INSTANCE_FAILED);
    /* Nobody wants it: no engine is started for nothing. */
    tick_after(1200);
    assert_state("a", INSTANCE_AVAILABLE);
    assert_int_equal(puppet_starts("a"), 1);
}

static void test_backoff_doubles_and_is_bounded(void **state)
{
    static const char *const resident[] = {"a", NULL};
    uint64_t expected = 1000;
    struct waiter waiter;

    (void)state;
    make(resident);
    put("a", gib);
    tick();
    for (int i = 0; i < 9; i++) {
        puppet_exit("a", "exited with status 1");
        tick_after(expected * 85 / 100);
        assert_state("a", INSTANCE_FAILED);
        if (expected > INSTANCE_PATIENCE_MS * 10) {
            want(&waiter, "a");
            tick();
            assert_int_equal(waiter.code, FAIL_ENGINE_DIED);
            assert_non_null(strstr(waiter.message, "next try in"));
        }
        tick_after(expected * 30 / 100);
        assert_state("a", INSTANCE_LOADING);
        expected = expected * 2 > 60000 ? 60000 : expected * 2;
    }
    assert_int_equal(puppet_starts("a"), 10);
    assert_int_equal(describe("a").restarts, 9);
}

static void test_start_that_fails_at_once(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    puppet_fail_next_start();
    want(&waiter, "a");
    tick();
    assert_int_equal(waiter.code, FAIL_ENGINE_DIED);
    assert_non_null(strstr(waiter.message, "no such engine"));
    assert_state("a", INSTANCE_FAILED);
}

static void test_file_gone(void **state)
{
    struct waiter running, waiting;
    struct msg_instance instance;

    (void)state;
    make(NULL);
    put("a", gib);
    put("b", gib);
    want(&running, "a");
    tick();
    ready("a", 1, 0);
    tick();
    supervisor_model_gone(f.supervisor, "a");
    assert_false(instance_ready(running.instance));
    want(&waiting, "a");
    tick();
    assert_int_equal(waiting.code, FAIL_NO_MODEL);
    assert_false(puppet_stopping("a"));
    instance_release(running.instance);
    tick();
    assert_true(puppet_stopping("a"));
    puppet_exit("a", "stopped");
    tick();
    assert_false(supervisor_describe(f.supervisor, "a", &instance));
    assert_null(supervisor_find(f.supervisor, "a"));
    assert_string_equal(supervisor_model_at(f.supervisor, 0), "b");
    assert_null(supervisor_model_at(f.supervisor, 1));
}

static void test_file_changed(void **state)
{
    static const char *const resident[] = {"a", NULL};

    (void)state;
    make(resident);
    put("a", gib);
    tick();
    ready("a", 1, 0);
    tick();
    put("a", gib / 2);
    tick();
    assert_true(puppet_stopping("a"));
    puppet_exit("a", "stopped");
    tick();
    assert_int_equal(puppet_starts("a"), 2);
    assert_int_equal(describe("a").memory_bytes, gib);
    ready("a", 1, 0);
    tick();
    assert_state("a", INSTANCE_RESIDENT);
    assert_int_equal(describe("a").restarts, 0);
}

/* Told again with what an engine need not know, it runs on; with other slots it does not. */
static void test_settings_changed(void **state)
{
    struct catalogue_model model = {.name = "a",
            .path = "a",
            .file_bytes = gib,
            .context = 4096,
            .architecture = "llama",
            .quantisation = "Q8_0"};

    (void)state;
    make(NULL);
    supervisor_model_put(f.supervisor, &model, settings_make(0, 2, true));
    tick();
    ready("a", 2, 0);
    tick();
    assert_true(describe("a").pinned);
    supervisor_model_put(f.supervisor, &model, settings_make(0, 2, false));
    tick();
    assert_false(describe("a").pinned);
    assert_false(puppet_stopping("a"));
    assert_int_equal(supervisor_settings(f.supervisor, "a")->slots, 2);
    supervisor_model_put(f.supervisor, &model, settings_make(0, 3, false));
    tick();
    assert_true(puppet_stopping("a"));
    assert_int_equal(supervisor_settings(f.supervisor, "a")->slots, 3);
    assert_null(supervisor_settings(f.supervisor, "b"));
}

/* One that died once and runs again loses its file while it serves: nothing is due meanwhile. */
static void test_a_busy_model_without_file_wakes_nobody(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    load("a");
    puppet_exit("a", "killed by signal 9");
    want(&waiter, "a");
    tick_after(1200);
    ready("a", 1, 0);
    tick();
    assert_int_equal(waiter.code, -1);
    supervisor_model_gone(f.supervisor, "a");
    virtual_env_advance_ms(&f.world, 2 * INSTANCE_HEALTHY_MS);
    assert_in_range(wakes_in_ms(), 1, MEMORY_LOOK_MS);
    instance_release(waiter.instance);
    tick();
    assert_true(puppet_stopping("a"));
}

static void test_a_mended_file_is_tried_at_once(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    for (int i = 0; i < 5; i++) {
        want(&waiter, "a");
        tick();
        puppet_exit("a", "exited with status 1: broken file");
        assert_int_equal(waiter.code, FAIL_ENGINE_DIED);
        tick_after(INSTANCE_BACKOFF_MAX_MS * 2);
    }
    want(&waiter, "a");
    tick();
    puppet_exit("a", "exited with status 1: broken file");
    put("a", gib / 2);
    want(&waiter, "a");
    tick();
    assert_state("a", INSTANCE_LOADING);
    ready("a", 1, 0);
    tick();
    assert_int_equal(waiter.code, -1);
    instance_release(waiter.instance);
}

/* A load that takes the memory of others is broken off, and not begun again at once. */
static void test_a_load_that_is_broken_off_backs_off(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    want(&waiter, "a");
    tick();
    set_memory(100 * mib);
    tick_after(MEMORY_LOOK_MS);
    assert_true(puppet_stopping("a"));
    puppet_exit("a", "stopped");
    set_memory(8 * gib);
    tick_after(RESIDENCY_CALM_MS);
    ready("a", 1, 0);
    tick();
    assert_int_equal(waiter.code, -1);
    assert_int_equal(describe("a").restarts, 1);
    instance_release(waiter.instance);
}

/* … but at once where somebody has ordered it to go, and then wants it. */
static void test_a_load_that_is_ordered_to_end(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    want(&waiter, "a");
    tick();
    supervisor_unload(f.supervisor, "a");
    tick();
    assert_true(puppet_stopping("a"));
    puppet_exit("a", "stopped");
    tick();
    ready("a", 1, 0);
    tick();
    assert_int_equal(waiter.code, -1);
    assert_int_equal(describe("a").restarts, 0);
    instance_release(waiter.instance);
}

static void test_drain(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    put("b", gib);
    load("a");
    want(&waiter, "b");
    tick();
    assert_state("b", INSTANCE_LOADING);
    supervisor_drain(f.supervisor);
    assert_true(supervisor_draining(f.supervisor));
    tick();
    assert_int_equal(waiter.code, FAIL_DRAINING);
    assert_true(puppet_stopping("a"));
    assert_true(puppet_stopping("b"));
    puppet_exit("a", "stopped");
    tick();
    assert_int_equal(f.stopped, 0);
    puppet_exit("b", "stopped");
    tick();
    assert_int_equal(f.stopped, 1);
    want(&waiter, "a");
    tick();
    assert_int_equal(waiter.code, FAIL_DRAINING);
}

static void test_drain_lets_requests_finish(void **state)
{
    struct waiter a, b;

    (void)state;
    make(NULL);
    put("a", gib);
    put("b", gib);
    want(&a, "a");
    want(&b, "b");
    tick();
    ready("a", 1, 0);
    tick();
    ready("b", 1, 0);
    tick();
    supervisor_drain(f.supervisor);
    tick_after(1000);
    assert_false(puppet_stopping("a") || puppet_stopping("b"));
    instance_release(a.instance);
    tick();
    assert_true(puppet_stopping("a"));
    assert_false(puppet_stopping("b"));
    tick_after(SUPERVISOR_GRACE_MS - 1000);
    assert_true(puppet_stopping("b"));
    instance_release(b.instance);
}

static void test_unwait(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    want(&waiter, "a");
    instance_unwait(&waiter.wait);
    tick();
    assert_false(puppet_running("a"));
    assert_int_equal(waiter.calls, 0);
}

static void test_rates(void **state)
{
    const struct msg_usage usage = {.prompt_tokens = 1100,
            .cached_tokens = 100,
            .completion_tokens = 50,
            .prefill_ms = 500,
            .decode_ms = 1000};
    const struct msg_usage faster = {
            .prompt_tokens = 1000, .completion_tokens = 100, .prefill_ms = 250, .decode_ms = 1000};
    const struct msg_usage nothing = {
            .prompt_tokens = 5, .cached_tokens = 9, .completion_tokens = 1, .decode_ms = 1};
    struct instance *a;

    (void)state;
    make(NULL);
    put("a", gib);
    a = supervisor_find(f.supervisor, "a");
    instance_measured(a, &usage);
    assert_float_equal(describe("a").prefill_tok_s, 2000, 0.1);
    assert_float_equal(describe("a").decode_tok_s, 50, 0.1);
    instance_measured(a, &faster);
    assert_float_equal(describe("a").prefill_tok_s, 2500, 0.1);
    assert_float_equal(describe("a").decode_tok_s, 62.5, 0.1);
    instance_measured(a, &nothing);
    assert_float_equal(describe("a").decode_tok_s, 62.5, 0.1);
}

/* --- what is decided on: each part of it --- */

/* A request that is over at once. */
static void use(const char *name)
{
    struct waiter waiter;

    want(&waiter, name);
    tick();
    assert_int_equal(waiter.code, -1);
    instance_release(waiter.instance);
}

/* Loads `name` in `ms` without a request. */
static void load_in(const char *name, uint64_t ms)
{
    struct waiter waiter;

    want(&waiter, name);
    tick();
    instance_unwait(&waiter.wait);
    virtual_env_advance_ms(&f.world, ms);
    puppet_ready(name, 2, 4096);
    tick();
    assert_state(name, INSTANCE_RESIDENT);
}

/* Which of two models leaves for a third. */
static void expect_to_leave(const char *name, const char *other)
{
    static struct waiter waiter; /* is told at the end of the test */

    want(&waiter, "c");
    tick_after(LONG_MS);
    assert_true(puppet_stopping(name));
    assert_false(puppet_stopping(other));
}

/* Two of them fit. */
static void make_three(void)
{
    make(NULL);
    put("b", gib);
    put("a", gib);
    put("c", gib);
}

static void test_who_was_used_last_stays(void **state)
{
    (void)state;
    make_three();
    load_in("a", LOAD_MS);
    load_in("b", LOAD_MS);
    expect_to_leave("a", "b");
}

static void test_who_is_used_more_stays(void **state)
{
    (void)state;
    make_three();
    load_in("a", LOAD_MS);
    load_in("b", LOAD_MS);
    for (int i = 0; i < 10; i++)
        use("a");
    tick_after(1000);
    use("b");
    expect_to_leave("b", "a");
}

/* … as long as that is not long ago. */
static void test_who_was_used_more_leaves(void **state)
{
    (void)state;
    make_three();
    load_in("a", LOAD_MS);
    load_in("b", LOAD_MS);
    for (int i = 0; i < 10; i++)
        use("a");
    tick_after(7200 * 1000);
    use("b");
    expect_to_leave("a", "b");
}

static void test_who_loads_slowly_stays(void **state)
{
    (void)state;
    make_three();
    load_in("a", 100 * LOAD_MS);
    load_in("b", LOAD_MS);
    use("a");
    use("b");
    expect_to_leave("b", "a");
}

/* Of a model that is in use, others wait for the time to load both: hers is measured, theirs is
 * not, and counts as its size says. */
static void test_the_price_of_a_model_in_use(void **state)
{
    static const uint64_t guess_ms = 3 * 2048; /* of 3 GiB */
    static struct waiter a, b;

    (void)state;
    make(NULL);
    put("a", 3 * gib);
    put("b", 3 * gib);
    load_in("a", LOAD_MS);
    want(&a, "a");
    tick();
    want(&b, "b");
    tick_after(LOAD_MS + guess_ms - 1);
    assert_true(instance_ready(a.instance));
    tick_after(1);
    assert_false(instance_ready(a.instance));
    instance_release(a.instance);
}

/* One that is used often is missed at once, and less so with each moment of silence. */
static void test_the_price_of_a_model_that_is_idle(void **state)
{
    static struct waiter b;

    (void)state;
    make(NULL);
    put("a", 3 * gib);
    put("b", 3 * gib);
    load_in("a", 200 * LOAD_MS);
    tick_after(LONG_MS);
    for (int i = 0; i < 60; i++)
        use("a");
    want(&b, "b");
    tick_after(5000);
    assert_false(puppet_stopping("a"));
    tick_after(10000);
    assert_true(puppet_stopping("a"));
}

static void test_a_run_that_ends_is_use(void **state)
{
    static struct waiter a, b;

    (void)state;
    make(NULL);
    put("a", 3 * gib);
    put("b", 3 * gib);
    load_in("a", 200 * LOAD_MS);
    for (int i = 0; i < 60; i++)
        use("a");
    want(&a, "a");
    tick();
    tick_after(LONG_MS);
    instance_release(a.instance);
    want(&b, "b");
    tick_after(5000);
    assert_false(puppet_stopping("a"));
}

/* Twice the time of its load. */
static void test_a_model_stays_for_a_while(void **state)
{
    static struct waiter waiter; /* is told at the end of the test */

    (void)state;
    make(NULL);
    put("a", 3 * gib);
    put("b", 3 * gib);
    load_in("a", 100 * LOAD_MS);
    want(&waiter, "b");
    tick_after(200 * LOAD_MS - 1);
    assert_false(puppet_stopping("a"));
    tick_after(1);
    assert_true(puppet_stopping("a"));
}

/* Who waits for it then does not keep it. */
static void test_a_closed_model_leaves_once_it_is_idle(void **state)
{
    static struct waiter a, late, b;

    (void)state;
    make(NULL);
    put("a", 3 * gib);
    put("b", 3 * gib);
    load_in("a", LOAD_MS);
    want(&a, "a");
    tick();
    want(&b, "b");
    tick_after(LONG_MS);
    want(&late, "a");
    instance_release(a.instance);
    tick();
    assert_true(puppet_stopping("a"));
}

/* Nobody leaves so soon for a model that failed to load. */
static void test_others_stay_where_one_has_failed(void **state)
{
    static struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", 3 * gib);
    put("b", 3 * gib);
    virtual_env_advance_ms(&f.world, 2 * RESIDENCY_PARDON_MS);
    want(&waiter, "b");
    tick();
    puppet_exit("b", "exited with status 1");
    load_in("a", LOAD_MS);
    tick_after(RESIDENCY_PARDON_MS - LOAD_MS - 1);
    want(&waiter, "b");
    tick();
    assert_int_equal(waiter.code, FAIL_NO_MEMORY);
    assert_non_null(strstr(waiter.message, "b failed to load 1 time"));
    tick_after(1);
    want(&waiter, "b");
    tick_after(LONG_MS);
    assert_true(puppet_stopping("a"));
}

static void test_no_load_right_after_others_took_memory(void **state)
{
    static struct waiter a, b;

    (void)state;
    make(NULL);
    put("a", gib);
    put("b", gib);
    load_in("a", LOAD_MS);
    want(&a, "a");
    set_memory(0);
    tick_after(MEMORY_LOOK_MS);
    set_memory(8 * gib);
    want(&b, "b");
    tick_after(RESIDENCY_CALM_MS - 1);
    assert_int_equal(b.calls, 0);
    assert_false(puppet_running("b"));
    tick_after(1);
    assert_true(puppet_running("b"));
    instance_release(a.instance);
}

/* What an engine has had may show as free late. */
static void test_memory_of_an_ended_engine_is_awaited(void **state)
{
    static struct waiter waiter; /* is told at the end of the test */

    (void)state;
    make(NULL);
    put("a", 3 * gib);
    put("b", 3 * gib);
    load_in("a", LOAD_MS);
    set_memory(512 * mib);
    want(&waiter, "b");
    tick_after(LONG_MS);
    puppet_exit("a", "stopped");
    tick();
    tick_after(RESIDENCY_SETTLE_MS - 1);
    assert_int_equal(waiter.calls, 0);
    tick_after(1);
    assert_int_equal(waiter.code, FAIL_NO_MEMORY);
}

static void show_process(int64_t pid, uint64_t bytes)
{
    char name[64], text[128];

    (void)snprintf(name, sizeof name, "proc/%lld/status", (long long)pid);
    (void)snprintf(text, sizeof text, "Name: x\nRssAnon: %llu kB\nRssShmem: 0 kB\n",
            (unsigned long long)(bytes / 1024));
    scratch_write(&f.scratch, name, text);
    (void)snprintf(
            name, sizeof name, "proc/%lld/task/%lld/children", (long long)pid, (long long)pid);
    scratch_write(&f.scratch, name, "");
    puppet_set_pid(pid);
}

/* It is not others who have the memory: the load ends, what it took is known from then on, and who
 * waits hears it. */
static void test_an_engine_that_takes_more_than_it_counts(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    want(&waiter, "a");
    tick();
    show_process(77, 5 * gib);
    tick_after(MEMORY_LOOK_MS);
    assert_true(puppet_stopping("a"));
    assert_int_equal(describe("a").memory_bytes, 5 * gib);
    puppet_exit("a", "stopped");
    tick_after(RESIDENCY_SETTLE_MS);
    assert_int_equal(waiter.code, FAIL_NO_MEMORY);
    if (strstr(waiter.message, "needs 5.0 GiB") == NULL)
        fail_msg("%s", waiter.message);
    assert_int_equal(puppet_starts("a"), 1);
    virtual_env_advance_ms(&f.world, INSTANCE_OUTGROWN_MS); /* it may have been a passing peak */
    want(&waiter, "a");
    show_process(77, 0);
    tick();
    ready("a", 2, 4096);
    tick();
    assert_int_equal(waiter.code, -1);
    instance_release(waiter.instance);
}

/* An engine's program takes some beside its model. */
static void test_an_engine_that_takes_a_little_more(void **state)
{
    struct waiter waiter;

    (void)state;
    make(NULL);
    put("a", gib);
    want(&waiter, "a");
    tick();
    show_process(77, gib + 512 * mib + INSTANCE_PROGRAM_BYTES);
    tick_after(MEMORY_LOOK_MS);
    assert_false(puppet_stopping("a"));
    assert_int_equal(describe("a").memory_bytes, gib + 512 * mib);
    ready("a", 2, 4096);
    tick();
    instance_release(waiter.instance);
}

/* The file of `name` is lost, and its engine ends. */
static void lose(const char *name)
{
    supervisor_model_gone(f.supervisor, name);
    tick();
    puppet_exit(name, "stopped");
}

/* … and counts as free against others for a moment. */
static void test_memory_of_an_ended_engine_is_not_missing(void **state)
{
    (void)state;
    make_three();
    load_in("a", LOAD_MS);
    load_in("b", LOAD_MS);
    tick_after(MEMORY_LOOK_MS);
    set_memory(100 * mib);
    lose("a");
    tick_after(RESIDENCY_RELEASE_MS - 1);
    assert_false(puppet_stopping("b"));
    tick_after(1);
    assert_true(puppet_stopping("b"));
}

/* "a" of 1.5 GiB and "b" of 0.5 GiB end, and then 1.9 GiB are missing of what "c" will take. */
static void end_two(uint64_t apart_ms)
{
    make(NULL);
    put("a", gib);
    put("b", 1);
    put("c", gib);
    load_in("a", LOAD_MS);
    load_in("b", LOAD_MS);
    load_in("c", LOAD_MS);
    show_process(77, 0);
    lose("a");
    virtual_env_advance_ms(&f.world, apart_ms);
    lose("b");
    set_memory(100 * mib);
    tick_after(MEMORY_LOOK_MS);
}

static void test_engines_that_end_together_are_not_missing(void **state)
{
    (void)state;
    end_two(RESIDENCY_RELEASE_MS - 1);
    assert_false(puppet_stopping("c"));
}

static void test_engines_that_end_one_by_one_are_missing(void **state)
{
    (void)state;
    end_two(RESIDENCY_RELEASE_MS);
    assert_true(puppet_stopping("c"));
}

/* "a" counts 1.5 GiB and its process has 0.5 GiB as yet; 1.2 GiB are free, of which 0.25 GiB are to
 * stay so for sure. */
static void load_what_still_grows(void)
{
    put("a", gib);
    load_in("a", LOAD_MS);
    show_process(77, 512 * mib);
    set_memory(gib + 200 * mib);
    tick_after(MEMORY_LOOK_MS);
}

static void test_what_an_engine_will_still_take_is_missing(void **state)
{
    (void)state;
    make(NULL);
    load_what_still_grows();
    assert_true(puppet_stopping("a"));
}

/* It is another's process then. */
static void test_what_a_container_has_is_not_known(void **state)
{
    static const char *const stop[] = {"podman", "stop", NULL};
    struct supervisor_config config = config_of(f.scratch.path, "");

    (void)state;
    config.host.stop_command = stop;
    make_from(&config);
    load_what_still_grows();
    assert_false(puppet_stopping("a"));
}

/* A process's own memory says nothing of what it has on a GPU. */
static void test_what_an_engine_has_on_a_gpu_is_not_known(void **state)
{
    struct supervisor_config config;

    (void)state;
    scratch_write(&f.scratch, "nvml", "gpus 1\n0.total 8589934592\n0.free 8000000000\n");
    config = config_of(f.scratch.path, recorded_nvml(scratch_path(&f.scratch, "nvml")));
    make_from(&config);
    put("a", gib);
    load_in("a", LOAD_MS);
    show_process(77, mib);
    scratch_write(&f.scratch, "nvml", "gpus 1\n0.total 8589934592\n0.free 1500000000\n");
    tick_after(MEMORY_LOOK_MS);
    assert_false(puppet_stopping("a"));
}

static void put_version_of_engine(const char *name, uint64_t taken_bytes, const char *version)
{
    struct found_model facts = {
            .file_bytes = 1, .resident = taken_bytes > 0, .memory_bytes = taken_bytes};
    const struct engines_model model = {.facts = &facts,
            .here = true,
            .place = {.kind = ENGINE_OLLAMA, .url = "http://127.0.0.1:11434", .id = facts.id}};

    (void)snprintf(facts.id, sizeof facts.id, "%s", name);
    (void)snprintf(facts.name, sizeof facts.name, "%s", name);
    (void)snprintf(facts.version, sizeof facts.version, "%s", version);
    supervisor_engine_model_put(f.supervisor, &puppet_ops, &model, is_resident(name));
}

static void put_of_engine(const char *name, uint64_t taken_bytes)
{
    put_version_of_engine(name, taken_bytes, "1");
}

/* It is kept by loading it, but not against an engine that lets it go. */
static void test_a_kept_model_of_an_engine_that_is_not_ours(void **state)
{
    static const char *const resident[] = {"a", NULL};

    (void)state;
    make(resident);
    put_of_engine("a", 0);
    tick();
    assert_true(puppet_running("a"));
    assert_false(puppet_lent("a"));
    puppet_ready("a", 1, 0);
    tick();
    puppet_exit("a", "Ollama has unloaded the model");
    tick_after(INSTANCE_DOUBT_MS - 1);
    assert_state("a", INSTANCE_AVAILABLE);
    tick_after(1);
    assert_state("a", INSTANCE_LOADING);
}

/* … but for another version of it, which is loaded at once, also where the engine's list still
 * names the old one as loaded. */
static void test_a_kept_model_of_which_there_is_a_new_version(void **state)
{
    static const char *const resident[] = {"a", NULL};

    (void)state;
    make(resident);
    put_of_engine("a", 0);
    tick();
    puppet_ready("a", 1, 0);
    put_version_of_engine("a", gib, "2");
    tick();
    assert_true(puppet_stopping("a"));
    puppet_exit("a", "stopped");
    tick();
    assert_state("a", INSTANCE_LOADING);
    assert_false(puppet_lent("a"));
    puppet_ready("a", 1, 0);
    tick();
    puppet_exit("a", "Ollama has unloaded the model");
    tick_after(INSTANCE_DOUBT_MS / 2);
    assert_state("a", INSTANCE_AVAILABLE);
    put_version_of_engine("a", 0, "3");
    tick();
    assert_state("a", INSTANCE_LOADING);
}

/* … and once a request has had it loaded again it is kept as before. */
static void test_a_kept_model_that_was_let_go_is_kept_again(void **state)
{
    static const char *const resident[] = {"a", NULL};
    struct waiter waiter;

    (void)state;
    make(resident);
    put_of_engine("a", 0);
    put("b", 3 * gib + 512 * mib);
    tick();
    puppet_ready("a", 1, 0);
    tick();
    puppet_exit("a", "Ollama has unloaded the model");
    load("a");
    want(&waiter, "b");
    tick_after(DUE_MS);
    assert_int_equal(waiter.code, FAIL_NO_MEMORY);
    assert_non_null(strstr(waiter.message, "beside the pinned model a (512.0 MiB)"));
    assert_false(puppet_stopping("a"));
}

/* What is not our memory is not looked at for its sake. */
static void test_a_model_of_others_wakes_nobody(void **state)
{
    (void)state;
    make(NULL);
    put_of_engine("a", gib);
    tick();
    assert_true(puppet_lent("a"));
    assert_int_equal(wakes_in_ms(), -1);
    ready("a", 1, 0);
    tick();
    assert_state("a", INSTANCE_RESIDENT);
    assert_int_equal(wakes_in_ms(), -1);
}

static void test_its_own_timer_does_the_work(void **state)
{
    static const char *const resident[] = {"a", NULL};

    (void)state;
    make(resident);
    put("a", gib);
    assert_false(puppet_running("a"));
    while (!puppet_running("a"))
        uv_run(&f.loop.uv, UV_RUN_NOWAIT);
    assert_state("a", INSTANCE_LOADING);
    assert_true(f.changes >= 2);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_resident_models_are_loaded_one_at_a_time),
            TEST(test_earlier_prompts_take_a_part_of_what_is_to_spare),
            TEST(test_earlier_prompts_are_bounded_on_a_large_host),
            TEST(test_what_an_engine_says_of_its_prompts),
            TEST(test_other_engines_keep_no_prompts),
            TEST(test_the_context_that_a_model_would_get),
            TEST(test_the_engine_says_which_context_it_has),
            TEST(test_a_request_loads),
            TEST(test_what_a_model_can_do),
            TEST(test_what_an_engine_said_is_known_when_it_is_gone),
            TEST(test_evicts_the_idle_and_oldest),
            TEST(test_waits_for_the_busy),
            TEST(test_waits_so_long_and_no_longer),
            TEST(test_waits_for_a_long_load),
            TEST(test_engine_that_does_not_stop),
            TEST(test_a_model_larger_than_the_memory),
            TEST(test_the_room_that_is_told),
            TEST(test_a_model_larger_than_the_memory_and_the_allowance),
            TEST(test_a_refusal_names_what_would_fit),
            TEST(test_never_past_the_limit),
            TEST(test_free_memory_of_the_host_counts),
            TEST(test_an_idle_node_is_not_woken),
            TEST(test_others_are_seen_within_a_second),
            TEST(test_others_take_memory),
            TEST(test_the_busy_stay),
            TEST(test_the_busy_are_closed_for_one_who_waits),
            TEST(test_memory_is_looked_at_before_a_load),
            TEST(test_a_gpu_that_is_lost),
            TEST(test_death_in_service),
            TEST(test_the_note_of_one_that_dies_again),
            TEST(test_the_note_of_a_load_that_is_broken_off),
            TEST(test_the_note_of_a_refusal_is_renewed_now_and_then),
            TEST(test_the_note_of_another_refusal),
            TEST(test_load_that_fails),
            TEST(test_backoff_doubles_and_is_bounded),
            TEST(test_start_that_fails_at_once),
            TEST(test_file_gone),
            TEST(test_settings_changed),
            TEST(test_file_changed),
            TEST(test_a_busy_model_without_file_wakes_nobody),
            TEST(test_a_mended_file_is_tried_at_once),
            TEST(test_a_load_that_is_broken_off_backs_off),
            TEST(test_a_load_that_is_ordered_to_end),
            TEST(test_drain),
            TEST(test_drain_lets_requests_finish),
            TEST(test_unwait),
            TEST(test_rates),
            TEST(test_who_was_used_last_stays),
            TEST(test_who_is_used_more_stays),
            TEST(test_who_was_used_more_leaves),
            TEST(test_who_loads_slowly_stays),
            TEST(test_the_price_of_a_model_in_use),
            TEST(test_the_price_of_a_model_that_is_idle),
            TEST(test_a_run_that_ends_is_use),
            TEST(test_a_model_stays_for_a_while),
            TEST(test_a_closed_model_leaves_once_it_is_idle),
            TEST(test_others_stay_where_one_has_failed),
            TEST(test_no_load_right_after_others_took_memory),
            TEST(test_memory_of_an_ended_engine_is_awaited),
            TEST(test_an_engine_that_takes_more_than_it_counts),
            TEST(test_an_engine_that_takes_a_little_more),
            TEST(test_memory_of_an_ended_engine_is_not_missing),
            TEST(test_engines_that_end_together_are_not_missing),
            TEST(test_engines_that_end_one_by_one_are_missing),
            TEST(test_what_an_engine_will_still_take_is_missing),
            TEST(test_what_a_container_has_is_not_known),
            TEST(test_what_an_engine_has_on_a_gpu_is_not_known),
            TEST(test_a_kept_model_of_an_engine_that_is_not_ours),
            TEST(test_a_kept_model_of_which_there_is_a_new_version),
            TEST(test_a_kept_model_that_was_let_go_is_kept_again),
            TEST(test_a_model_of_others_wakes_nobody),
            TEST(test_its_own_timer_does_the_work),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("supervisor", tests, NULL, NULL);
}
