#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/hardware/nvml.h"
#include "tests/lib/recorded_host.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <string.h>

static const uint64_t mib = 1 << 20;
static const struct host_memory host = {.total_bytes = 128000, .available_bytes = 90000};

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

static void say(const char *answers)
{
    scratch_write(&scratch, "nvml", answers);
}

static struct nvml *open_library(const char *library)
{
    struct nvml *nvml = NULL;
    struct err err = {""};

    if (nvml_open(library, &nvml, &err) < 0)
        fail_msg("%s", err.text);
    return nvml;
}

static struct nvml *open_saying(const char *answers)
{
    say(answers);
    return open_library(recorded_nvml(scratch_path(&scratch, "nvml")));
}

static struct device_list look(const struct nvml *nvml)
{
    struct device_list list = {.count = 0};

    nvml_read(nvml, &host, &list);
    return list;
}

static struct device_list look_once(const char *answers)
{
    struct nvml *nvml = open_saying(answers);
    struct device_list list = look(nvml);

    nvml_close(nvml);
    return list;
}

static void test_one_gpu(void **state)
{
    struct nvml *nvml = open_library(recorded_nvml_of("workstation-96g"));
    struct device_list list = look(nvml);
    const struct device *device = &list.items[0];

    (void)state;
    assert_int_equal(list.count, 1);
    assert_string_equal(list.trouble, "");
    assert_int_equal(device->kind, DEVICE_NVIDIA);
    assert_false(device->unified);
    assert_string_equal(device->name, "NVIDIA RTX PRO 6000 Blackwell Workstation Edition");
    assert_string_equal(device->id, "0000:01:00.0");
    assert_int_equal(device->total_bytes, (97887 - 638) * mib);
    assert_int_equal(device->free_bytes, 96214 * mib);
    nvml_close(nvml);
}

static void test_two_gpus(void **state)
{
    struct nvml *nvml = open_library(recorded_nvml_of("two-gpus"));
    struct device_list list = look(nvml);

    (void)state;
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[1].id, "0000:21:00.0");
    assert_int_equal(list.items[1].free_bytes, 24110 * mib);
    nvml_close(nvml);
}

/* What others take is seen at the next look. */
static void test_each_look_is_new(void **state)
{
    struct nvml *nvml = open_saying("gpus 1\n0.name A\n0.pci 0 1 0\n0.total 1000\n0.free 900\n");

    (void)state;
    assert_int_equal(look(nvml).items[0].free_bytes, 900);
    say("gpus 1\n0.total 1000\n0.free 100\n");
    assert_int_equal(look(nvml).items[0].free_bytes, 100);
    assert_string_equal(look(nvml).items[0].name, "A");
    nvml_close(nvml);
}

static void test_no_library(void **state)
{
    struct nvml *nvml = NULL;
    struct err err;

    (void)state;
    assert_int_equal(nvml_open("libno-such-thing.so.7", &nvml, &err), -ENOENT);
    assert_non_null(strstr(err.text, "libno-such-thing.so.7"));
    assert_null(nvml);
}

static void test_library_that_is_none(void **state)
{
    struct nvml *nvml = NULL;
    struct err err;

    (void)state;
    assert_int_equal(nvml_open("libm.so.6", &nvml, &err), -ELIBBAD);
    assert_non_null(strstr(err.text, "nvmlInit_v2"));
    say("no library");
    assert_int_equal(nvml_open(scratch_path(&scratch, "nvml"), &nvml, &err), -ELIBBAD);
    assert_null(nvml);
}

static void expect_refusal(const char *answers, const char *words)
{
    struct nvml *nvml = NULL;
    struct err err;

    say(answers);
    assert_int_equal(
            nvml_open(recorded_nvml(scratch_path(&scratch, "nvml")), &nvml, &err), -ENODEV);
    assert_non_null(strstr(err.text, words));
    assert_null(nvml);
}

static void test_driver_that_does_not_answer(void **state)
{
    (void)state;
    expect_refusal("init 18\n", "Driver/library version mismatch");
    expect_refusal("init 9\ngpus 1\n", "does not answer");
    expect_refusal("gpus 1\ngpus.code 999\n", "does not tell its GPUs");
}

static void test_no_gpus(void **state)
{
    struct device_list list = look_once("gpus 0\n");

    (void)state;
    assert_int_equal(list.count, 0);
    assert_string_equal(list.trouble, "");
}

static void test_gpu_that_we_may_not_use(void **state)
{
    struct device_list list =
            look_once("gpus 2\n0.code 4\n1.name B\n1.pci 0 2 0\n1.total 10\n1.free 5\n");

    (void)state;
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].name, "B");
    assert_non_null(strstr(list.trouble, "NVIDIA GPU 0 cannot be used"));
}

static void test_gpu_that_is_lost_and_comes_back(void **state)
{
    static const char answers[] = "gpus 2\n0.name A\n0.pci 0 1 0\n0.total 10\n0.free 5\n"
                                  "1.name B\n1.pci 0 2 0\n1.total 20\n1.free 6\n";
    struct nvml *nvml = open_saying(answers);
    struct device_list list;

    (void)state;
    assert_int_equal(look(nvml).count, 2);
    say("gpus 2\n0.memory 15\n1.total 20\n1.free 6\n");
    list = look(nvml);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].id, "0000:02:00.0");
    assert_string_equal(list.trouble, "A (0000:01:00.0) does not tell its memory: GPU is lost");
    say(answers);
    list = look(nvml);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.trouble, "");
    nvml_close(nvml);
}

static void expect_unified(const char *answers)
{
    struct device_list list = look_once(answers);

    assert_int_equal(list.count, 1);
    assert_true(list.items[0].unified);
    assert_int_equal(list.items[0].total_bytes, host.total_bytes);
    assert_int_equal(list.items[0].free_bytes, host.available_bytes);
    assert_string_equal(list.trouble, "");
}

static void test_gpu_with_the_hosts_memory(void **state)
{
    (void)state;
    expect_unified("gpus 1\n0.name NVIDIA GB10\n0.pci 15 1 0\n0.memory 3\n");
    expect_unified("gpus 1\n0.name Orin\n0.total 0\n0.free 0\n");
}

static void test_old_driver(void **state)
{
    struct nvml *nvml;
    struct device_list list;

    (void)state;
    say("gpus 1\n0.name A\n0.pci 0 1 0\n0.total 1000\n0.reserved 100\n0.free 700\n0.mig 1\n");
    nvml = open_library(recorded_old_nvml(scratch_path(&scratch, "nvml")));
    list = look(nvml);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].total_bytes, 1000);
    assert_int_equal(list.items[0].free_bytes, 700);
    nvml_close(nvml);
}

static void test_an_instance_is_the_only_one(void **state)
{
    static const char answers[] = "gpus 3\n"
                                  "0.name A\n0.pci 0 1 0\n0.total 100\n0.free 90\n"
                                  "1.name B\n1.pci 0 2 0\n1.mig 1\n1.instances 7\n1.total 80\n"
                                  "1/2.name B MIG 3g.40gb\n1/2.total 40\n1/2.free 30\n"
                                  "1/5.name B MIG 1g.10gb\n1/5.total 10\n1/5.free 9\n"
                                  "2.name C\n2.pci 0 3 0\n2.mig 1\n2.instances 7\n2/0.total 80\n";
    struct device_list list = look_once(answers);

    (void)state;
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].name, "B MIG 3g.40gb");
    assert_string_equal(list.items[0].id, "0000:02:00.0");
    assert_int_equal(list.items[0].total_bytes, 40);
    assert_int_equal(list.items[0].free_bytes, 30);
}

static void test_mig_mode_without_instances(void **state)
{
    struct device_list list =
            look_once("gpus 2\n0.name A\n0.total 100\n0.free 90\n0.mig 1\n0.instances 7\n"
                      "1.name B\n1.total 50\n1.free 40\n");

    (void)state;
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].name, "B");
    assert_non_null(strstr(list.trouble, "MIG"));
}

static void test_strange_facts(void **state)
{
    struct device_list list =
            look_once("gpus 1\n0.total 18446744073709551615\n0.reserved 18446744073709551615\n"
                      "0.free 18446744073709551615\n");

    (void)state;
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].name, "NVIDIA GPU");
    assert_string_equal(list.items[0].id, "");
    assert_int_equal(list.items[0].total_bytes, UINT64_MAX);
    list = look_once("gpus 1\n0.total 10\n0.free 20\n0.name 0123456789012345678901234567890123456"
                     "789012345678901234567890123456789012345\n");
    assert_int_equal(list.items[0].free_bytes, 10);
    assert_int_equal(strlen(list.items[0].name), DEVICE_TEXT_MAX - 1);
}

static void test_no_more_than_the_list_holds(void **state)
{
    struct nvml *nvml = open_saying("gpus 2\n0.total 1\n1.total 1\n");
    struct device_list list = {.count = HARDWARE_DEVICES_MAX - 1};

    (void)state;
    nvml_read(nvml, &host, &list);
    assert_int_equal(list.count, HARDWARE_DEVICES_MAX);
    nvml_close(nvml);
    nvml_close(NULL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_one_gpu),
            TEST(test_two_gpus),
            TEST(test_each_look_is_new),
            TEST(test_no_library),
            TEST(test_library_that_is_none),
            TEST(test_driver_that_does_not_answer),
            TEST(test_no_gpus),
            TEST(test_gpu_that_we_may_not_use),
            TEST(test_gpu_that_is_lost_and_comes_back),
            TEST(test_gpu_with_the_hosts_memory),
            TEST(test_old_driver),
            TEST(test_an_instance_is_the_only_one),
            TEST(test_mig_mode_without_instances),
            TEST(test_strange_facts),
            TEST(test_no_more_than_the_list_holds),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("nvml", tests, NULL, NULL);
}
