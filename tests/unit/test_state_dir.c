#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#
#include "coordinator/state_dir.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct world {
    struct scratch scratch;
    struct state_dir state;
    struct err err;
};

static int reopen(struct world *world)
{
    state_dir_close(&world->state);
    return state_dir_open(&world->state, "modemesh-coordinator",
            scratch_path(&world->scratch, "state"), &world->err);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    world->state.lock = -1;
    scratch_init(&world->scratch);
    assert_int_equal(reopen(world), 0);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    state_dir_close(&world->state);
    scratch_fini(&world->scratch);
    free(world);
    return 0;
}

static const char *path_of(struct world *world, const char *name)
{
    static char path[PATH_MAX];
    assert_int_equal(state_dir_file(&world->state, name, path, &world->err), 0);
    return path;
}

static void keys_and_identity_stay(void **state)
{
    struct world *world = *state;
    struct state_dir before = world->state;
    assert_int_not_equal(strcmp(before.link.public_z85, before.next_link.public_z85), 0);
    assert_int_equal(reopen(world), 0);
    assert_string_equal(world->state.link.public_z85, before.link.public_z85);
    assert_string_equal(world->state.next_link.public_z85, before.next_link.public_z85);
    assert_string_equal(world->state.mesh_id, before.mesh_id);
}

static void a_lost_identity_is_not_replaced_where_there_are_members(void **state)
{
    struct world *world = *state;
    assert_int_equal(unlink(path_of(world, "mesh.key")), 0);
    assert_int_equal(state_dir_write_line(&world->state, "members.json", "{}", &world->err), 0);
    assert_int_equal(reopen(world), -ENOENT);
    assert_non_null(strstr(world->err.text, "mesh.key is missing"));
    assert_non_null(strstr(world->err.text, "approval"));
    assert_int_equal(access(path_of(world, "mesh.key"), F_OK), -1);
}

static void without_members_there_is_a_new_one(void **state)
{
    struct world *world = *state;
    char before[sizeof(world->state.mesh_id)];
    strcpy(before, world->state.mesh_id);
    assert_int_equal(unlink(path_of(world, "mesh.key")), 0);
    assert_int_equal(reopen(world), 0);
    assert_string_not_equal(world->state.mesh_id, before);
}

static void the_next_key_becomes_the_links(void **state)
{
    struct world *world = *state;
    char next[sizeof(world->state.next_link.public_z85)];
    strcpy(next, world->state.next_link.public_z85);
    assert_int_equal(state_dir_rotate_link_key(&world->state, &world->err), 0);
    assert_int_equal(reopen(world), 0);
    assert_string_equal(world->state.link.public_z85, next);
    assert_string_not_equal(world->state.next_link.public_z85, next);
}

static void while_one_runs_nothing_is_rotated(void **state)
{
    struct world *world = *state;
    struct state_dir other;
    assert_int_equal(state_dir_lock(&world->state, &world->err), 0);
    assert_int_equal(state_dir_open(&other, "modemesh-coordinator",
                             scratch_path(&world->scratch, "state"), &world->err),
            0);
    assert_int_equal(state_dir_rotate_link_key(&other, &world->err), -EBUSY);
    state_dir_close(&other);
    assert_int_equal(access(path_of(world, "link.key.next"), F_OK), 0);
}

static void the_lock_goes_with_the_state(void **state)
{
    struct world *world = *state;
    assert_int_equal(state_dir_lock(&world->state, &world->err), 0);
    assert_int_equal(reopen(world), 0);
    assert_int_equal(state_dir_lock(&world->state, &world->err), 0);
}

static void lines_are_for_this_user_only(void **state)
{
    struct world *world = *state;
    struct stat stat_buf;
    char text[64] = "";
    assert_int_equal(
            state_dir_write_line(&world->state, "http.addr", "127.0.0.1:1", &world->err), 0);
    int fd = open(path_of(world, "http.addr"), O_RDONLY);
    assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && fstat(fd, &stat_buf) == 0);
    close(fd);
    assert_string_equal(text, "127.0.0.1:1\n");
    assert_int_equal(stat_buf.st_mode & 0777, 0600);
    state_dir_remove(&world->state, "http.addr");
    assert_int_equal(access(path_of(world, "http.addr"), F_OK), -1);
    state_dir_remove(&world->state, "http.addr");
}

static void lines_have_a_limit(void **state)
{
    struct world *world = *state;
    char line[STATE_DIR_LINE_MAX + 2];
    memset(line, 'x', sizeof(line));
    line[STATE_DIR_LINE_MAX] = '\0';
    assert_int_equal(state_dir_write_line(&world->state, "link.addr", line, &world->err), 0);
    line[STATE_DIR_LINE_MAX] = 'x';
    line[STATE_DIR_LINE_MAX + 1] = '\0';
    assert_int_equal(state_dir_write_line(&world->state, "link.addr", line, &world->err), -E2BIG);
    assert_non_null(strstr(world->err.text, "255"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(keys_and_identity_stay, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    a_lost_identity_is_not_replaced_where_there_are_members, setup, teardown),
            cmocka_unit_test_setup_teardown(without_members_there_is_a_new_one, setup, teardown),
            cmocka_unit_test_setup_teardown(the_next_key_becomes_the_links, setup, teardown),
            cmocka_unit_test_setup_teardown(while_one_runs_nothing_is_rotated, setup, teardown),
            cmocka_unit_test_setup_teardown(the_lock_goes_with_the_state, setup, teardown),
            cmocka_unit_test_setup_teardown(lines_are_for_this_user_only, setup, teardown),
            cmocka_unit_test_setup_teardown(lines_have_a_limit, setup, teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("state_dir", tests, NULL, NULL);
}
