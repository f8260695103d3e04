#include "common/env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <time.h>

struct fake_world {
    uint64_t now_us;
    int64_t wall_ms;
    unsigned char next_byte;
};

static uint64_t fake_now_us(void *ctx)
{
    return ((struct fake_world *)ctx)->now_us;
}

static int64_t fake_wall_ms(void *ctx)
{
    return ((struct fake_world *)ctx)->wall_ms;
}

static void fake_random(void *ctx, void *ret_bytes, size_t len)
{
    struct fake_world *world = ctx;
    unsigned char *bytes = ret_bytes;
    for (size_t i = 0; i < len; i++)
        bytes[i] = world->next_byte++;
}

static struct env fake_env(struct fake_world *world)
{
    return (struct env){
            .now_us = fake_now_us, .wall_ms = fake_wall_ms, .random = fake_random, .ctx = world};
}

static void a_test_owns_the_clock(void **state)
{
    (void)state;
    struct fake_world world = {.now_us = 1999999, .wall_ms = -5};
    const struct env env = fake_env(&world);
    assert_int_equal(env_now_us(&env), 1999999);
    assert_int_equal(env_now_ms(&env), 1999);
    assert_int_equal(env_wall_ms(&env), -5);
    world.now_us++;
    assert_int_equal(env_now_ms(&env), 2000);
}

static void hex_is_every_byte_in_order(void **state)
{
    (void)state;
    struct fake_world world = {.next_byte = 0xfe};
    const struct env env = fake_env(&world);
    char buf[13];
    memset(buf, '#', sizeof(buf));
    assert_ptr_equal(env_random_hex(&env, buf, 5), buf);
    assert_string_equal(buf, "feff000102");
    assert_int_equal(buf[11], '#');
    assert_string_equal(env_random_hex(&env, buf, 1), "03");
    assert_string_equal(env_random_hex(&env, buf, 0), "");
}

static void long_hex_is_right_too(void **state)
{
    (void)state;
    struct fake_world world = {.next_byte = 0};
    const struct env env = fake_env(&world);
    char buf[2 * 256 + 1], want[2 * 256 + 1];
    unsigned char bytes[256];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)i;
    sodium_bin2hex(want, sizeof(want), bytes, sizeof(bytes));
    assert_string_equal(env_random_hex(&env, buf, sizeof(bytes)), want);
}

static void random_u64_takes_eight_bytes(void **state)
{
    (void)state;
    struct fake_world world = {.next_byte = 1};
    const struct env env = fake_env(&world);
    uint64_t value = env_random_u64(&env);
    assert_memory_equal(&value, "\1\2\3\4\5\6\7\10", sizeof(value));
    assert_int_equal(world.next_byte, 9);
}

static void system_clocks_are_the_clocks_of_the_system(void **state)
{
    (void)state;
    struct timespec mono;
    uint64_t before = env_now_us(&env_system);
    clock_gettime(CLOCK_MONOTONIC, &mono);
    uint64_t after = env_now_us(&env_system);
    uint64_t between = (uint64_t)mono.tv_sec * 1000000 + (uint64_t)mono.tv_nsec / 1000;
    assert_in_range(between, before, after);

    int64_t wall = env_wall_ms(&env_system) / 1000;
    assert_in_range(wall, (int64_t)time(NULL) - 2, (int64_t)time(NULL) + 2);
}

static void system_randomness_varies(void **state)
{
    (void)state;
    char a[33], b[33];
    assert_true(sodium_init() >= 0);
    assert_string_not_equal(env_random_hex(&env_system, a, 16), env_random_hex(&env_system, b, 16));
    assert_int_equal(strspn(a, "0123456789abcdef"), 32);
    assert_int_not_equal(env_random_u64(&env_system), env_random_u64(&env_system));
}

static int refuse_second_frame(void *ctx, const void *peer, const void *frame, size_t len)
{
    int *sent = ctx;
    assert_string_equal(peer, "box");
    assert_string_equal(frame, "frame");
    assert_int_equal(len, 5);
    return (*sent)++ ? -EAGAIN : 0;
}

static void transport_carries_a_frame(void **state)
{
    (void)state;
    int sent = 0;
    const struct transport transport = {.send = refuse_second_frame, .ctx = &sent};
    assert_int_equal(transport_send(&transport, "box", "frame", 5), 0);
    assert_int_equal(transport_send(&transport, "box", "frame", 5), -EAGAIN);
    assert_int_equal(sent, 2);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_test_owns_the_clock),
            cmocka_unit_test(hex_is_every_byte_in_order),
            cmocka_unit_test(long_hex_is_right_too),
            cmocka_unit_test(random_u64_takes_eight_bytes),
            cmocka_unit_test(system_clocks_are_the_clocks_of_the_system),
            cmocka_unit_test(system_randomness_varies),
            cmocka_unit_test(transport_carries_a_frame),
    };
    return cmocka_run_group_tests_name("env", tests, NULL, NULL);
}
