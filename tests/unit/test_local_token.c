#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coordinator/api/local_token.h"

#include "common/trust/join_token.h"
#include "tests/lib/fake_mesh.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct world {
    struct fake_mesh mesh;
    struct operations operations;
    const char *path;
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_mesh_init(&world->mesh, 0);
    world->operations = (struct operations){.env = &world->mesh.env.env,
            .door = world->mesh.door,
            .nodes = world->mesh.nodes,
            .link_endpoint = "tcp://192.0.2.1:8421"};
    world->path = strdup(scratch_path(&world->mesh.scratch, LOCAL_TOKEN_FILE_NAME));
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    free((char *)world->path);
    fake_mesh_fini(&world->mesh);
    free(world);
    return 0;
}

static size_t count_tokens(const struct world *world)
{
    return tokens_count(door_tokens(world->operations.door));
}

static bool is_good(const struct world *world, const char *key_z85)
{
    return tokens_find_key(door_tokens(world->operations.door), key_z85,
                   env_wall_ms(world->operations.env)) != NULL;
}

static void who_reads_it_may_join(void **state)
{
    struct world *world = *state;
    struct join_token token;
    struct stat stat_buf;
    local_token_write(&world->operations, world->path);
    assert_int_equal(stat(world->path, &stat_buf), 0);
    assert_int_equal(stat_buf.st_mode & 0777, 0600);
    assert_int_equal(join_token_read(world->path, &token, NULL), 0);
    assert_true(is_good(world, token.pair.public_z85));
    join_token_fini(&token);
}

static void the_one_of_an_earlier_start_is_revoked(void **state)
{
    struct world *world = *state;
    struct join_token first, second;
    local_token_write(&world->operations, world->path);
    assert_int_equal(join_token_read(world->path, &first, NULL), 0);
    local_token_write(&world->operations, world->path);
    assert_int_equal(join_token_read(world->path, &second, NULL), 0);
    assert_false(is_good(world, first.pair.public_z85));
    assert_true(is_good(world, second.pair.public_z85));
    assert_int_equal(count_tokens(world), 1);
    join_token_fini(&first);
    join_token_fini(&second);
}

static void what_is_no_token_is_replaced(void **state)
{
    struct world *world = *state;
    FILE *file = fopen(world->path, "w");
    assert_true(file && fputs("not a token\n", file) >= 0 && fclose(file) == 0);
    assert_int_equal(chmod(world->path, 0600), 0);
    local_token_write(&world->operations, world->path);
    struct join_token token;
    assert_int_equal(join_token_read(world->path, &token, NULL), 0);
    join_token_fini(&token);
}

static void at_the_end_it_is_revoked(void **state)
{
    struct world *world = *state;
    local_token_revoke(&world->operations);
    local_token_write(&world->operations, world->path);
    assert_int_equal(count_tokens(world), 1);
    local_token_revoke(&world->operations);
    assert_int_equal(count_tokens(world), 0);
}

/* … and its token is not left in the book without anybody who could use it. */
static void where_it_cannot_be_written_it_is_still_revoked(void **state)
{
    struct world *world = *state;
    local_token_write(&world->operations, "/nonexistent/local.token");
    local_token_revoke(&world->operations);
    assert_int_equal(count_tokens(world), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(who_reads_it_may_join, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    the_one_of_an_earlier_start_is_revoked, setup, teardown),
            cmocka_unit_test_setup_teardown(what_is_no_token_is_replaced, setup, teardown),
            cmocka_unit_test_setup_teardown(at_the_end_it_is_revoked, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    where_it_cannot_be_written_it_is_still_revoked, setup, teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("local_token", tests, NULL, NULL);
}
