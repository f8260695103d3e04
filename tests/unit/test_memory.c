#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/log.h"
#include "common/model/estimate.h"
#include "node/residency/memory.h"
#include "tests/lib/recorded_host.h"
#include "tests/lib/scratch.h"
#include "tests/lib/virtual_env.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint64_t mib = 1024 * 1024, gib = 1024 * 1024 * 1024;

struct fixture {
    struct virtual_env world;
    struct scratch scratch; /* a host of 8 GiB */
    struct memory *memory;
};

static struct fixture f;

static void set_free(uint64_t bytes)
{
    char text[128];

    (void)snprintf(text, sizeof text, "MemTotal: %llu kB\nMemAvailable: %llu kB\n",
            (unsigned long long)(8 * gib / 1024), (unsigned long long)(bytes / 1024));
    scratch_write(&f.scratch, "proc/meminfo", text);
}

static int setup(void **state)
{
    (void)state;
    log_init("test", LOG_LEVEL_ERROR);
    memset(&f, 0, sizeof f);
    virtual_env_init(&f.world);
    scratch_init(&f.scratch);
    set_free(8 * gib);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    memory_destroy(f.memory);
    scratch_fini(&f.scratch);
    return 0;
}

static struct memory_config config_of(const char *root, const char *nvml)
{
    return (struct memory_config){
            .hardware = {.root = root, .nvml = nvml}, .reserve_bytes = MEMORY_RESERVE_DEFAULT};
}

static void make(const struct memory_config *config)
{
    struct err err = {""};

    memory_destroy(f.memory);
    f.memory = NULL;
    if (memory_create(config, &f.world.env, &f.memory, &err) < 0)
        fail_msg("%s", err.text);
}

static uint64_t limit_of(const char *host, const char *nvml, uint64_t reserve)
{
    struct memory_config config = config_of(recorded_host(host), nvml);

    config.reserve_bytes = reserve;
    make(&config);
    return memory_limit_bytes(f.memory);
}

static void test_the_limit_that_a_host_has(void **state)
{
    const uint64_t by_default = MEMORY_RESERVE_DEFAULT;
    const uint64_t halo = 512 * mib + 120 * gib, host = UINT64_C(32594220) * 1024;

    (void)state;
    assert_int_equal(limit_of("workstation-96g", recorded_nvml_of("workstation-96g"), by_default),
            estimate_usable_bytes(97249 * mib));
    assert_int_equal(limit_of("strix-halo", "", by_default), halo - 16 * gib);
    assert_int_equal(limit_of("strix-halo", "", 0), estimate_usable_bytes(halo));
    assert_int_equal(limit_of("strix-halo", "", 20 * gib), halo - 20 * gib);
    assert_int_equal(limit_of("none", "", by_default), host / 100 * 75);
    assert_int_equal(limit_of("none", "", 4 * gib), (host - 4 * gib) / 100 * 75);
}

static void test_the_limit_that_the_config_names(void **state)
{
    struct memory_config config = config_of(recorded_host("strix-halo"), "");

    (void)state;
    config.limit_bytes = 90 * gib;
    config.reserve_bytes = 64 * gib;
    make(&config);
    assert_int_equal(memory_limit_bytes(f.memory), 90 * gib);
    assert_int_equal(memory_state(f.memory)->pool_total_bytes, 512 * mib + 120 * gib);
    config.limit_bytes = 200 * gib;
    make(&config);
    assert_int_equal(
            memory_limit_bytes(f.memory) + memory_keep_free_bytes(f.memory), 512 * mib + 120 * gib);
}

static void test_a_reserve_that_leaves_nothing(void **state)
{
    struct memory_config config = config_of(f.scratch.path, "");
    struct err err;

    (void)state;
    config.reserve_bytes = 8 * gib;
    assert_int_equal(memory_create(&config, &f.world.env, &f.memory, &err), -EINVAL);
    assert_string_equal(err.text, "a reserve of 8.0 GiB leaves nothing of 8.0 GiB for models");
    assert_null(f.memory);
}

static void test_no_gpu_where_one_is_asked_for(void **state)
{
    struct memory_config config = config_of(f.scratch.path, "");
    struct err err;

    (void)state;
    config.hardware.choice = POOL_CHOOSE_GPU;
    assert_int_equal(memory_create(&config, &f.world.env, &f.memory, &err), -ENODEV);
    assert_null(f.memory);
}

static uint64_t free_bytes(void)
{
    return memory_state(f.memory)->pool_free_bytes;
}

static void refresh_after(uint64_t ms)
{
    virtual_env_advance_ms(&f.world, ms);
    memory_refresh(f.memory);
}

static void test_memory_is_looked_at_each_second(void **state)
{
    struct memory_config config = config_of(f.scratch.path, "");

    (void)state;
    make(&config);
    set_free(3 * gib);
    refresh_after(MEMORY_LOOK_MS - 1);
    assert_int_equal(free_bytes(), 8 * gib);
    refresh_after(1);
    assert_int_equal(free_bytes(), 3 * gib);
    set_free(2 * gib);
    memory_look(f.memory);
    assert_int_equal(free_bytes(), 2 * gib);
}

/* What cannot be read does not count as free, until it can. */
static void test_a_kernel_that_does_not_answer(void **state)
{
    struct memory_config config = config_of(f.scratch.path, "");

    (void)state;
    make(&config);
    scratch_write(&f.scratch, "proc/meminfo", "nothing\n");
    refresh_after(MEMORY_LOOK_MS);
    assert_int_equal(free_bytes(), 0);
    assert_int_equal(memory_state(f.memory)->pool_total_bytes, 0);
    set_free(gib);
    refresh_after(MEMORY_LOOK_MS);
    assert_int_equal(free_bytes(), gib);
}

static void count_kills(const char *line)
{
    scratch_write(&f.scratch, "sys/fs/cgroup/box/memory.events", line);
}

static bool is_explained(void)
{
    char why[128];

    return oom_watch_explain(memory_oom_watch(f.memory), true, why, sizeof why);
}

/* A look at the memory is one at the OOM killer: a kill that it saw long ago explains nothing now.
 */
static void test_each_look_counts_kills(void **state)
{
    struct memory_config config = config_of(f.scratch.path, "");

    (void)state;
    scratch_write(&f.scratch, "proc/self/cgroup", "0::/box\n");
    count_kills("oom_kill 0\n");
    make(&config);
    count_kills("oom_kill 1\n");
    refresh_after(MEMORY_LOOK_MS);
    virtual_env_advance_ms(&f.world, OOM_WATCH_RECENT_MS);
    assert_false(is_explained());
    count_kills("oom_kill 2\n");
    assert_true(is_explained());
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_the_limit_that_a_host_has),
            TEST(test_the_limit_that_the_config_names),
            TEST(test_a_reserve_that_leaves_nothing),
            TEST(test_no_gpu_where_one_is_asked_for),
            TEST(test_memory_is_looked_at_each_second),
            TEST(test_a_kernel_that_does_not_answer),
            TEST(test_each_look_counts_kills),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
