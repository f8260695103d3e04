#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/residency/standing_orders.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static struct scratch scratch;
static struct standing_orders *orders;

static const char *path(void)
{
    return scratch_path(&scratch, "orders.json");
}

static void open_orders(void)
{
    struct err err;

    standing_orders_close(orders);
    orders = NULL;
    if (standing_orders_open(path(), &orders, &err) < 0)
        fail_msg("%s", err.text);
}

static int setup(void **state)
{
    (void)state;
    scratch_init(&scratch);
    open_orders();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    standing_orders_close(orders);
    orders = NULL;
    scratch_fini(&scratch);
    return 0;
}

static struct standing_order order_of(const char *model)
{
    struct standing_order order = {.context = 0};

    (void)snprintf(order.model, sizeof order.model, "%s", model);
    return order;
}

static void put(const struct standing_order *order)
{
    struct err err;

    if (standing_orders_put(orders, order, &err) < 0)
        fail_msg("%s", err.text);
}

static void test_what_is_kept(void **state)
{
    struct standing_order order = order_of("qwen3:30b"), other = order_of("a");
    const struct standing_order *found;

    (void)state;
    assert_null(standing_orders_find(orders, "qwen3:30b"));
    order.context = 65536;
    order.slots = 2;
    strcpy(order.type_k, "q8_0");
    strcpy(order.type_v, "f16");
    order.keep = true;
    other.let_go = true;
    put(&order);
    put(&other);
    open_orders();
    found = standing_orders_find(orders, "qwen3:30b");
    assert_non_null(found);
    assert_memory_equal(found, &order, sizeof order);
    found = standing_orders_find(orders, "a");
    assert_non_null(found);
    assert_true(found->let_go && !found->keep);
}

static void test_one_for_each_model(void **state)
{
    struct standing_order order = order_of("a");

    (void)state;
    order.slots = 2;
    put(&order);
    order.slots = 3;
    put(&order);
    assert_int_equal(standing_orders_find(orders, "a")->slots, 3);
    order = order_of("a");
    put(&order);
    assert_null(standing_orders_find(orders, "a"));
    open_orders();
    assert_null(standing_orders_find(orders, "a"));
}

/* The longest of all, so that the file is as large as it can get. */
static struct standing_order long_order(unsigned number)
{
    struct standing_order order = {.context = UINT32_MAX, .slots = MSG_SLOTS_MAX, .let_go = true};

    memset(order.model, 'm', sizeof order.model - 1);
    order.model[0] = (char)('a' + number / 26 % 26);
    order.model[1] = (char)('a' + number % 26);
    strcpy(order.type_k, "q8_0");
    strcpy(order.type_v, "q8_0");
    return order;
}

static void test_the_limit(void **state)
{
    struct standing_order order;
    struct err err;

    (void)state;
    for (unsigned i = 0; i < STANDING_ORDERS_MAX; i++) {
        order = long_order(i);
        put(&order);
    }
    open_orders();
    order = order_of("one more");
    order.keep = true;
    assert_int_equal(standing_orders_put(orders, &order, &err), -ENOSPC);
    assert_null(standing_orders_find(orders, "one more"));
    order = long_order(3);
    order.slots = 1;
    put(&order);
    assert_int_equal(standing_orders_find(orders, order.model)->slots, 1);
    order = order_of(order.model);
    put(&order);
    order = order_of("one more");
    order.keep = true;
    put(&order);
    open_orders();
    assert_non_null(standing_orders_find(orders, "one more"));
}

static void test_what_cannot_be_kept(void **state)
{
    struct standing_order order = order_of("a");
    struct err err;

    (void)state;
    order.slots = 2;
    put(&order);
    strcpy(order.type_k, "q9");
    assert_int_equal(standing_orders_put(orders, &order, &err), -EINVAL);
    assert_string_equal(standing_orders_find(orders, "a")->type_k, "");
    order = order_of("b\n");
    order.keep = true;
    assert_int_equal(standing_orders_put(orders, &order, &err), -EINVAL);
    assert_null(standing_orders_find(orders, "b\n"));
}

static void assert_refused(const char *entries, const char *words)
{
    struct standing_orders *none = NULL;
    char text[512];
    struct err err;

    (void)snprintf(text, sizeof text, "{\"version\":1,\"orders\":[%s]}", entries);
    scratch_write(&scratch, "orders.json", text);
    assert_int_equal(chmod(path(), 0600), 0);
    assert_int_equal(standing_orders_open(path(), &none, &err), -EINVAL);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", words, err.text);
}

static void test_what_no_order_can_say(void **state)
{
    (void)state;
    assert_refused("{\"model\":\"a\",\"slots\":1},{\"model\":\"a\",\"slots\":2}",
            "order 2: a second one for a");
    assert_refused("{\"model\":\"a\",\"keep\":true,\"let_go\":true}", "order 1");
    assert_refused("{\"model\":\"a\",\"slots\":1025}", "a number up to 1024");
    assert_refused("{\"model\":\"a\",\"context\":4294967296}", "a number of tokens");
    assert_refused("{\"model\":\"a\",\"kv_v\":\"q9\"}", "a cache type");
    assert_refused("{\"model\":\"\",\"slots\":1}", "a model's name");
}

static void test_what_it_changes(void **state)
{
    struct model_settings settings = {.context = 4096, .slots = 4, .pin = true};
    struct standing_order order = order_of("a");

    (void)state;
    standing_order_apply(NULL, &settings);
    standing_order_apply(&order, &settings);
    assert_int_equal(settings.context, 4096);
    assert_int_equal(settings.slots, 4);
    assert_false(settings.cache_types_set);
    assert_true(settings.pin);
    order.context = 512;
    order.slots = 1;
    order.let_go = true;
    strcpy(order.type_v, "q4_0");
    standing_order_apply(&order, &settings);
    assert_int_equal(settings.context, 512);
    assert_int_equal(settings.slots, 1);
    assert_true(settings.cache_types_set);
    assert_int_equal(settings.type_k, CACHE_TYPE_F16);
    assert_int_equal(settings.type_v, CACHE_TYPE_Q4_0);
    assert_false(settings.pin);
    order.let_go = false;
    order.keep = true;
    standing_order_apply(&order, &settings);
    assert_true(settings.pin);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_what_is_kept),
            TEST(test_one_for_each_model),
            TEST(test_the_limit),
            TEST(test_what_cannot_be_kept),
            TEST(test_what_no_order_can_say),
            TEST(test_what_it_changes),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("standing_orders", tests, NULL, NULL);
}
