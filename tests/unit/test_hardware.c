#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/hardware/hardware.h"
#include "tests/lib/recorded_host.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint64_t kib = 1 << 10, mib = 1 << 20, gib = 1 << 30;

static struct scratch scratch;

static int setup(void **state)
{
    (void)state;
    scratch_init(&scratch);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_fini(&scratch);
    return 0;
}

static struct hardware *open_hardware(const char *root, const char *nvml, enum pool_choice choice)
{
    const struct hardware_config config = {.root = root, .nvml = nvml, .choice = choice};
    struct hardware *hardware = NULL;
    struct err err = {""};

    if (hardware_create(&config, &hardware, &err) < 0)
        fail_msg("%s", err.text);
    return hardware;
}

static struct hardware_state look(const struct hardware *hardware)
{
    struct hardware_state state;
    struct err err;

    assert_int_equal(hardware_read(hardware, &state, &err), 0);
    return state;
}

/* What one look finds on a recorded host, and what would be kept for its people. */
static struct hardware_state look_at(const char *name, const char *nvml, uint64_t *ret_reserve)
{
    struct hardware *hardware = open_hardware(recorded_host(name), nvml, POOL_AUTO);
    struct hardware_state state = look(hardware);

    *ret_reserve = hardware_reserve_bytes(hardware);
    hardware_destroy(hardware);
    return state;
}

static void assert_pool(const struct hardware_state *state, enum pool_kind pool, uint64_t total,
        uint64_t free_bytes)
{
    assert_string_equal(pool_kind_name(state->pool), pool_kind_name(pool));
    assert_int_equal(state->pool_total_bytes, total);
    assert_int_equal(state->pool_free_bytes, free_bytes);
}

/* The processor's own small GPU is seen and is not the pool. */
static void test_workstation(void **state)
{
    uint64_t reserve;
    struct hardware_state found =
            look_at("workstation-96g", recorded_nvml_of("workstation-96g"), &reserve);

    (void)state;
    assert_pool(&found, POOL_GPU, (97887 - 638) * mib, 96214 * mib);
    assert_int_equal(found.devices.count, 2);
    assert_string_equal(device_kind_name(found.devices.items[0].kind), "nvidia");
    assert_string_equal(device_kind_name(found.devices.items[1].kind), "amd");
    assert_true(found.devices.items[1].unified);
    assert_int_equal(found.host.total_bytes, 131694368 * kib);
    assert_int_equal(found.pool_bandwidth_bytes, UINT64_C(1792128000000));
    assert_float_equal(found.host.pressure_some_pct, 0, 0);
    assert_int_equal(reserve, 0);
}

static void test_strix_halo(void **state)
{
    uint64_t reserve;
    struct hardware_state found = look_at("strix-halo", "", &reserve);
    const struct device *device = &found.devices.items[0];

    (void)state;
    assert_int_equal(found.devices.count, 1);
    assert_string_equal(device->name, "AMD GPU 1002:1586");
    assert_int_equal(found.pool_bandwidth_bytes, UINT64_C(256000000000));
    assert_string_equal(device->id, "0000:c1:00.0");
    /* Of GTT, no more is free than the host has. */
    assert_pool(
            &found, POOL_UNIFIED, 512 * mib + 120 * gib, 512 * mib - 171249664 + 121634884 * kib);
    assert_int_equal(reserve, 16 * gib);
}

/* MemTotal has no part of the carve-out: both count. */
static void test_strix_halo_with_a_large_carve_out(void **state)
{
    uint64_t reserve;
    struct hardware_state found = look_at("strix-halo-96g", "", &reserve);

    (void)state;
    assert_int_equal(found.devices.count, 1);
    assert_pool(&found, POOL_UNIFIED, 96 * gib + 32587296 * kib / 2,
            96 * gib - 201326592 + 32587296 * kib / 2 - 16777216);
    assert_int_equal(reserve, 0);
}

static void test_two_gpus(void **state)
{
    uint64_t reserve;
    struct hardware_state found = look_at("two-gpus", recorded_nvml_of("two-gpus"), &reserve);

    (void)state;
    assert_pool(&found, POOL_GPU, 2 * (24576 - 448) * mib, (22891 + 24110) * mib);
    assert_int_equal(found.pool_bandwidth_bytes, UINT64_C(936096000000));
    assert_int_equal(reserve, 0);
}

static void test_two_radeons(void **state)
{
    uint64_t reserve;
    struct hardware_state found = look_at("two-radeons", "", &reserve);

    (void)state;
    assert_int_equal(found.devices.count, 3);
    assert_string_equal(found.devices.items[0].id, "0000:03:00.0");
    assert_string_equal(found.devices.items[0].name, "AMD GPU 1002:7551");
    assert_pool(&found, POOL_GPU, 2 * 34208743424, 2 * 34208743424 - 27262976 - 19922944);
}

/* An engine is built for one maker: the cards with more memory are the pool. */
static void test_cards_of_two_makers(void **state)
{
    uint64_t reserve;
    struct hardware_state found = look_at("two-radeons", recorded_nvml_of("two-gpus"), &reserve);

    (void)state;
    assert_int_equal(found.devices.count, 5);
    assert_int_equal(found.pool_total_bytes, 2 * 34208743424);
    found = look_at("two-radeons", recorded_nvml_of("workstation-96g"), &reserve);
    assert_int_equal(found.pool_total_bytes, (97887 - 638) * mib);
}

static void test_dgx_spark(void **state)
{
    uint64_t reserve;
    struct hardware_state found = look_at("dgx-spark", recorded_nvml_of("dgx-spark"), &reserve);

    (void)state;
    assert_string_equal(found.devices.items[0].id, "000f:01:00.0");
    assert_pool(&found, POOL_UNIFIED, 127600748 * kib, 118566368 * kib);
    assert_int_equal(found.pool_bandwidth_bytes, 0);
    assert_int_equal(reserve, 16 * gib);
}

static void test_no_gpu(void **state)
{
    uint64_t reserve;
    struct hardware_state found = look_at("none", "libno-such-thing.so.7", &reserve);

    (void)state;
    assert_int_equal(found.devices.count, 0);
    assert_string_equal(found.devices.trouble, "");
    assert_pool(&found, POOL_HOST, 32594220 * kib, 24401224 * kib);
    assert_float_equal(found.host.pressure_some_pct, 2.45, 0.001);
    assert_int_equal(reserve, 0);
}

static void test_limits_of_a_cgroup(void **state)
{
    uint64_t reserve;
    struct hardware_state found = look_at("cgroup", "", &reserve);

    (void)state;
    assert_pool(&found, POOL_HOST, 28 * gib, 12 * gib);
}

static void test_driver_that_does_not_answer(void **state)
{
    uint64_t reserve;
    struct hardware_state found;

    (void)state;
    scratch_write(&scratch, "nvml", "init 18\n");
    found = look_at("two-gpus", recorded_nvml(scratch_path(&scratch, "nvml")), &reserve);
    assert_int_equal(found.pool, POOL_HOST);
    assert_string_equal(found.devices.trouble,
            "the NVIDIA driver does not answer: Driver/library version mismatch");
}

static void test_the_owners_choice(void **state)
{
    const struct hardware_config gpu = {
            .root = recorded_host("none"), .nvml = "", .choice = POOL_CHOOSE_GPU};
    struct hardware *hardware = NULL;
    struct hardware_state found;
    struct err err;

    (void)state;
    assert_int_equal(hardware_create(&gpu, &hardware, &err), -ENODEV);
    assert_string_equal(err.text, "no GPU tells its memory");
    hardware = open_hardware(recorded_host("strix-halo"), "", POOL_CHOOSE_GPU);
    found = look(hardware);
    assert_int_equal(found.pool, POOL_UNIFIED);
    hardware_destroy(hardware);
    hardware = open_hardware(recorded_host("strix-halo"), "", POOL_CHOOSE_HOST);
    found = look(hardware);
    assert_pool(&found, POOL_HOST, 130988056 * kib, 121634884 * kib);
    assert_int_equal(found.devices.count, 0);
    assert_int_equal(hardware_reserve_bytes(hardware), 0);
    hardware_destroy(hardware);
}

static void test_a_choice_that_nothing_meets_says_why(void **state)
{
    struct hardware_config config = {.root = recorded_host("none"), .choice = POOL_CHOOSE_GPU};
    struct hardware *hardware = NULL;
    struct err err;

    (void)state;
    scratch_write(&scratch, "nvml", "gpus 1\n0.name A\n0.pci 0 1 0\n0.memory 15\n");
    config.nvml = recorded_nvml(scratch_path(&scratch, "nvml"));
    assert_int_equal(hardware_create(&config, &hardware, &err), -ENODEV);
    assert_string_equal(err.text,
            "no GPU tells its memory: A (0000:01:00.0) does not tell its memory: GPU is lost");
    assert_null(hardware);
}

static void test_words_of_the_choice(void **state)
{
    enum pool_choice choice = POOL_CHOOSE_GPU;

    (void)state;
    assert_int_equal(pool_choice_parse("auto", &choice), 0);
    assert_int_equal(choice, POOL_AUTO);
    assert_int_equal(pool_choice_parse("host", &choice), 0);
    assert_int_equal(choice, POOL_CHOOSE_HOST);
    assert_int_equal(pool_choice_parse("gpu", &choice), 0);
    assert_int_equal(choice, POOL_CHOOSE_GPU);
    assert_int_equal(pool_choice_parse("unified", &choice), -EINVAL);
    assert_int_equal(pool_choice_parse("", &choice), -EINVAL);
}

/* --- hosts that a test makes --- */

static void make_host(uint64_t total_kib, uint64_t available_kib)
{
    char text[128];

    (void)snprintf(text, sizeof text, "MemTotal: %llu kB\nMemAvailable: %llu kB\n",
            (unsigned long long)total_kib, (unsigned long long)available_kib);
    scratch_write(&scratch, "proc/meminfo", text);
}

static void make_file(const char *card, const char *file, const char *text)
{
    char path[256];

    (void)snprintf(path, sizeof path, "sys/class/drm/%s/device/%s", card, file);
    scratch_write(&scratch, path, text);
}

static void make_card(const char *card, const char *vram, const char *gtt)
{
    make_file(card, "uevent", "DRIVER=amdgpu\nPCI_ID=1002:73BF\nPCI_SLOT_NAME=0000:03:00.0\n");
    make_file(card, "mem_info_vram_total", vram);
    make_file(card, "mem_info_vram_used", "0\n");
    make_file(card, "mem_info_gtt_total", gtt);
    make_file(card, "mem_info_gtt_used", "0\n");
}

static struct hardware_state look_at_scratch(void)
{
    struct hardware *hardware = open_hardware(scratch.path, "", POOL_AUTO);
    struct hardware_state state = look(hardware);

    hardware_destroy(hardware);
    return state;
}

/* What the desktop or a game takes is gone at the next look; a card that is pulled out takes its
 * memory with it, and models for it do not go to main memory. */
static void test_each_look_is_new(void **state)
{
    struct hardware *hardware;
    struct hardware_state found;

    (void)state;
    make_host(1000, 900);
    make_card("card0", "17163091968\n", "1000\n");
    hardware = open_hardware(scratch.path, "", POOL_AUTO);
    found = look(hardware);
    assert_pool(&found, POOL_GPU, 17163091968, 17163091968);
    make_file("card0", "mem_info_vram_used", "163091968\n");
    found = look(hardware);
    assert_pool(&found, POOL_GPU, 17163091968, 17000000000);
    assert_int_equal(
            remove(scratch_path(&scratch, "sys/class/drm/card0/device/mem_info_vram_used")), 0);
    found = look(hardware);
    assert_pool(&found, POOL_GPU, 0, 0);
    assert_int_equal(found.devices.count, 0);
    assert_string_equal(found.devices.trouble,
            "AMD GPU 1002:73BF (0000:03:00.0) does not tell its memory: No such file or directory");
    make_file("card0", "mem_info_vram_used", "0\n");
    found = look(hardware);
    assert_pool(&found, POOL_GPU, 17163091968, 17163091968);
    assert_string_equal(found.devices.trouble, "");
    hardware_destroy(hardware);
}

/* An APU without sensors is told by its small carve-out; a large one is taken for a card, which is
 * less than it has and never more. */
static void test_without_sensors(void **state)
{
    struct hardware_state found;

    (void)state;
    make_host(64 * mib, 60 * mib);
    make_card("card0", "536870912\n", "34359738368\n");
    found = look_at_scratch();
    assert_pool(&found, POOL_UNIFIED, gib / 2 + 32 * gib, gib / 2 + 32 * gib);
    make_card("card0", "4294967296\n", "34359738368\n");
    found = look_at_scratch();
    assert_pool(&found, POOL_GPU, 4 * gib, 4 * gib);
    make_file("card0", "hwmon/hwmon11/in1_label", "vddnb\n");
    found = look_at_scratch();
    assert_pool(&found, POOL_UNIFIED, 36 * gib, 36 * gib);
}

static void test_gtt_is_bounded_by_the_host(void **state)
{
    struct hardware_state found;

    (void)state;
    make_host(8 * mib, mib);
    make_card("card0", "536870912\n", "18446744073709551615\n");
    found = look_at_scratch();
    assert_pool(&found, POOL_UNIFIED, gib / 2 + 8 * gib, gib / 2 + gib);
}

static void test_what_is_no_card(void **state)
{
    struct hardware_state found;

    (void)state;
    make_host(1000, 900);
    make_card("card0-DP-1", "8589934592\n", "0\n");
    make_card("renderD128", "8589934592\n", "0\n");
    make_card("card1", "8589934592\n", "0\n");
    make_file("card1", "uevent", "DRIVER=radeon\nPCI_ID=1002:6798\n");
    make_card("card2", "8589934592\n", "0\n");
    make_file("card2", "uevent", "PCI_ID=1002:73BF\n");
    found = look_at_scratch();
    assert_int_equal(found.devices.count, 0);
    assert_pool(&found, POOL_HOST, 1000 * kib, 900 * kib);
}

static void test_garbage(void **state)
{
    static const char *const totals[] = {
            "", "\n", "many\n", "-1\n", "0x10\n", "1 2\n", "99999999999999999999\n"};
    struct hardware_state found;

    (void)state;
    make_host(1000, 900);
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
        make_card("card0", totals[i], "0\n");
        found = look_at_scratch();
        assert_int_equal(found.devices.count, 0);
        assert_int_equal(found.pool, POOL_HOST);
    }
    make_card("card0", "8589934592\n", "0\n");
    make_file("card0", "mem_info_vram_used", "18446744073709551615\n");
    found = look_at_scratch();
    assert_pool(&found, POOL_GPU, 8 * gib, 0);
    make_file("card0", "uevent", "DRIVER=amdgpu");
    found = look_at_scratch();
    assert_string_equal(found.devices.items[0].name, "AMD GPU");
    assert_string_equal(found.devices.items[0].id, "");
}

static void test_sums_saturate(void **state)
{
    struct hardware_state found;

    (void)state;
    make_host(1000, 900);
    make_card("card0", "18446744073709551615\n", "0\n");
    make_card("card63", "18446744073709551615\n", "0\n");
    found = look_at_scratch();
    assert_int_equal(found.devices.count, 2);
    assert_pool(&found, POOL_GPU, UINT64_MAX, UINT64_MAX);
}

static void test_a_card_that_knows_its_name(void **state)
{
    struct hardware_state found;

    (void)state;
    make_host(1000, 900);
    make_card("card0", "68702699520\n", "0\n");
    make_file("card0", "product_name", "AMD INSTINCT MI210 OAM\n");
    found = look_at_scratch();
    assert_string_equal(found.devices.items[0].name, "AMD INSTINCT MI210 OAM");
}

/* Of a small host no more than a quarter is kept. */
static void test_reserve_of_a_small_host(void **state)
{
    struct hardware *hardware;

    (void)state;
    make_host(16 * mib, 15 * mib);
    make_card("card0", "536870912\n", "8053063680\n");
    scratch_write(&scratch, "etc/systemd/system/display-manager.service", "");
    hardware = open_hardware(scratch.path, "", POOL_AUTO);
    assert_int_equal(hardware_reserve_bytes(hardware), 2 * gib);
    hardware_destroy(hardware);
}

static void test_no_memory_to_read(void **state)
{
    const struct hardware_config config = {.root = scratch.path, .nvml = ""};
    struct hardware *hardware = NULL;
    struct hardware_state found = {.pool_total_bytes = 7};
    struct err err;

    (void)state;
    assert_int_equal(hardware_create(&config, &hardware, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/proc/meminfo"));
    assert_int_equal(hardware_create(&config, &hardware, NULL), -ENOENT);
    make_host(1000, 900);
    hardware = open_hardware(scratch.path, "", POOL_AUTO);
    scratch_write(&scratch, "proc/meminfo", "MemTotal: 1000 kB\n");
    assert_int_equal(hardware_read(hardware, &found, &err), -ENODATA);
    assert_int_equal(found.pool_total_bytes, 7);
    hardware_destroy(hardware);
    hardware_destroy(NULL);
}

/* Whatever it has: some memory, and no more free than there is. */
static void test_this_host(void **state)
{
    struct hardware *hardware = open_hardware("", NULL, POOL_AUTO);
    struct hardware_state found = look(hardware);

    (void)state;
    assert_true(found.pool_total_bytes > 0);
    assert_true(found.pool_free_bytes <= found.pool_total_bytes);
    hardware_destroy(hardware);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_workstation),
            TEST(test_strix_halo),
            TEST(test_strix_halo_with_a_large_carve_out),
            TEST(test_two_gpus),
            TEST(test_two_radeons),
            TEST(test_cards_of_two_makers),
            TEST(test_dgx_spark),
            TEST(test_no_gpu),
            TEST(test_limits_of_a_cgroup),
            TEST(test_driver_that_does_not_answer),
            TEST(test_the_owners_choice),
            TEST(test_a_choice_that_nothing_meets_says_why),
            TEST(test_words_of_the_choice),
            TEST(test_each_look_is_new),
            TEST(test_without_sensors),
            TEST(test_gtt_is_bounded_by_the_host),
            TEST(test_what_is_no_card),
            TEST(test_garbage),
            TEST(test_sums_saturate),
            TEST(test_a_card_that_knows_its_name),
            TEST(test_reserve_of_a_small_host),
            TEST(test_no_memory_to_read),
            TEST(test_this_host),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("hardware", tests, NULL, NULL);
}
