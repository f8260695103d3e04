#include "coordinator/deploy/mode_moves.h"

#include "common/log.h"
#include "tests/lib/scratch.h"
#include "tests/lib/task_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG "modes:\n  ask:\n    models: [a]\n  code:\n    models: [a, b, c]\n"

struct world {
    struct scratch scratch;
    struct mode_moves *moves;
};

static int open_file(struct world *world, const char *yaml, struct err *err)
{
    struct modes modes = task_bench_modes(yaml);
    mode_moves_close(world->moves);
    world->moves = NULL;
    return mode_moves_open(
            scratch_path(&world->scratch, "mode-moves.json"), &modes, &world->moves, err);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    log_init("test", LOG_LEVEL_ERROR);
    scratch_init(&world->scratch);
    *state = world;
    return open_file(world, CONFIG, NULL);
}

static int teardown(void **state)
{
    struct world *world = *state;
    mode_moves_close(world->moves);
    scratch_fini(&world->scratch);
    free(world);
    return 0;
}

/* `models` with blanks between them. */
static void lists(const struct world *world, const char *mode, const char *models)
{
    const struct mode *it = modes_find(mode_moves_modes(world->moves), mode);
    char text[256] = "";
    assert_non_null(it);
    for (size_t i = 0; i < it->model_count; i++)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "",
                it->models[i]);
    assert_string_equal(text, models);
}

static void move(struct world *world, const char *model)
{
    assert_int_equal(mode_moves_put(world->moves, "code", model, 1000, NULL), 0);
}

static size_t entries(const struct world *world, const char *mode)
{
    struct mode_moves_saved saved;
    mode_moves_save(world->moves, mode, &saved);
    return saved.count;
}

static void without_moves_it_is_the_config(void **state)
{
    struct world *world = *state;
    lists(world, "code", "a b c");
    lists(world, "ask", "a");
    assert_int_equal(entries(world, "code"), 0);
    assert_int_equal(access(scratch_path(&world->scratch, "mode-moves.json"), F_OK), -1);
}

static void a_move_takes_the_place_of_the_first(void **state)
{
    struct world *world = *state;
    move(world, "new");
    lists(world, "code", "new b c");
    lists(world, "ask", "a");
    move(world, "c");
    lists(world, "code", "c b"); /* "new" is off without a trace: the config never had it */
    move(world, "b");
    lists(world, "code", "b");
    move(world, "b");
    lists(world, "code", "b");
    assert_int_equal(mode_moves_undo(world->moves, "code", NULL), 0);
    lists(world, "code", "a b c");
    assert_int_equal(entries(world, "code"), 0);
    assert_int_equal(mode_moves_undo(world->moves, "code", NULL), 0);
}

static void moving_back_is_no_move(void **state)
{
    struct world *world = *state;
    move(world, "a");
    assert_int_equal(entries(world, "code"), 0);
    move(world, "new");
    assert_int_equal(entries(world, "code"), 2);
    move(world, "a");
    lists(world, "code", "a b c");
    assert_int_equal(entries(world, "code"), 0);
}

static void moves_outlive_the_coordinator(void **state)
{
    struct world *world = *state;
    struct stat file;
    move(world, "new");
    assert_int_equal(stat(scratch_path(&world->scratch, "mode-moves.json"), &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    assert_int_equal(open_file(world, CONFIG, NULL), 0);
    lists(world, "code", "new b c");
    struct mode_moves_saved saved;
    mode_moves_save(world->moves, "code", &saved);
    assert_int_equal(saved.count, 2);
    assert_int_equal(saved.entries[0].moved_ms, 1000);
    assert_string_equal(saved.entries[0].model, "new");
    assert_false(saved.entries[0].off);
    assert_string_equal(saved.entries[1].model, "a");
    assert_true(saved.entries[1].off);
}

static void reload(struct world *world, const char *yaml)
{
    struct modes modes = task_bench_modes(yaml);
    assert_int_equal(mode_moves_reload(world->moves, &modes, NULL), 0);
}

static void a_new_config_keeps_what_was_moved(void **state)
{
    struct world *world = *state;
    const struct modes *modes = mode_moves_modes(world->moves);
    move(world, "new");
    reload(world, "modes:\n  code:\n    models: [d, a]\n");
    lists(world, "code", "new d");
    assert_ptr_equal(mode_moves_modes(world->moves), modes); /* others look there */
    assert_int_equal(modes->count, 1);
    /* The config does not have the mode: it is told, kept, and there again with the mode. */
    reload(world, "modes:\n  ask:\n    models: [a]\n");
    lists(world, "ask", "a");
    assert_null(modes_find(modes, "code"));
    assert_int_equal(mode_moves_undo(world->moves, "code", NULL), -ENOENT);
    reload(world, CONFIG);
    lists(world, "code", "new b c");
    assert_string_equal(mode_moves_config(world->moves, "code")->models[0], "a");
    assert_null(mode_moves_config(world->moves, "debug"));
}

static void rules_follow_a_move(void **state)
{
    struct world *world = *state;
    const struct modes *modes = mode_moves_modes(world->moves);
    static const char rules[] = "modes:\n  code:\n    models: [a, b]\n    quality: {a: 50, b: 60}\n"
                                "    up-to: {8k: [a], 16k: [b, a]}\n    planning: [a]\n";
    reload(world, rules);
    move(world, "new");
    const struct mode *code = modes_find(modes, "code");
    assert_string_equal(code->rules[0].models.names[0], "new");
    assert_string_equal(code->rules[1].models.names[0], "b");
    assert_string_equal(code->rules[1].models.names[1], "new");
    assert_string_equal(code->planning.names[0], "new");
    assert_int_equal(mode_said_points(code, "b"), 60);
    assert_int_equal(mode_said_points(code, "new"), 0);
    assert_int_equal(mode_moves_undo(world->moves, "code", NULL), 0);
    code = modes_find(modes, "code");
    assert_string_equal(code->rules[0].models.names[0], "a");
    assert_string_equal(code->planning.names[0], "a");
}

static void a_list_is_never_empty(void **state)
{
    struct world *world = *state;
    move(world, "new");
    reload(world, "modes:\n  code:\n    models: [a]\n");
    lists(world, "code", "new");
    scratch_write(&world->scratch, "mode-moves.json",
            "{\"version\":1,\"moves\":[\n"
            "{\"mode\":\"ask\",\"model\":\"a\",\"off\":true,\"moved_ms\":5}\n]}\n");
    assert_int_equal(open_file(world, CONFIG, NULL), 0);
    lists(world, "ask", "a");
}

static void what_was_saved_is_put_back(void **state)
{
    struct world *world = *state;
    struct mode_moves_saved saved;
    move(world, "new");
    mode_moves_save(world->moves, "code", &saved);
    move(world, "c");
    assert_int_equal(mode_moves_put(world->moves, "ask", "z", 1, NULL), 0);
    assert_int_equal(mode_moves_restore(world->moves, &saved, NULL), 0);
    lists(world, "code", "new b c");
    lists(world, "ask", "z");
}

static void what_cannot_be_is_refused(void **state)
{
    struct world *world = *state;
    struct err err;
    assert_int_equal(mode_moves_put(world->moves, "debug", "a", 1, &err), -ENOENT);
    assert_non_null(strstr(err.text, "debug"));
    assert_int_equal(mode_moves_put(world->moves, "code", "no\nname", 1, &err), -EINVAL);
    lists(world, "code", "a b c");
}

static void what_cannot_be_written_is_not_moved(void **state)
{
    struct world *world = *state;
    struct err err;
    move(world, "new");
    /* A folder in the place of the file. */
    assert_int_equal(unlink(scratch_path(&world->scratch, "mode-moves.json")), 0);
    scratch_mkdir(&world->scratch, "mode-moves.json/x");
    assert_int_not_equal(mode_moves_put(world->moves, "code", "b", 1, &err), 0);
    lists(world, "code", "new b c");
    assert_int_not_equal(mode_moves_undo(world->moves, "code", &err), 0);
    lists(world, "code", "new b c");
}

static void a_bad_file_is_refused_with_its_place(void **state)
{
    struct world *world = *state;
    static const char *const bad[] = {"{", "[]", "{\"version\":2,\"moves\":[]}",
            "{\"version\":1,\"moves\":[{\"mode\":\"\",\"model\":\"a\",\"moved_ms\":1}]}",
            "{\"version\":1,\"moves\":[{\"mode\":\"code\",\"model\":\"a\\nb\",\"moved_ms\":1}]}",
            "{\"version\":1,\"moves\":[{\"mode\":\"code\",\"model\":\"a\",\"moved_ms\":-1}]}",
            "{\"version\":1,\"moves\":[{\"mode\":\"code\",\"model\":\"a\",\"more\":1}]}"};
    struct err err;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        scratch_write(&world->scratch, "mode-moves.json", bad[i]);
        assert_int_equal(chmod(scratch_path(&world->scratch, "mode-moves.json"), 0600), 0);
        assert_int_equal(open_file(world, CONFIG, &err), -EINVAL);
        assert_non_null(strstr(err.text, "mode-moves.json"));
    }
}

#define MOVES_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            MOVES_TEST(without_moves_it_is_the_config),
            MOVES_TEST(a_move_takes_the_place_of_the_first),
            MOVES_TEST(moving_back_is_no_move),
            MOVES_TEST(moves_outlive_the_coordinator),
            MOVES_TEST(a_new_config_keeps_what_was_moved),
            MOVES_TEST(rules_follow_a_move),
            MOVES_TEST(a_list_is_never_empty),
            MOVES_TEST(what_was_saved_is_put_back),
            MOVES_TEST(what_cannot_be_is_refused),
            MOVES_TEST(what_cannot_be_written_is_not_moved),
            MOVES_TEST(a_bad_file_is_refused_with_its_place),
    };
    return cmocka_run_group_tests_name("mode_moves", tests, NULL, NULL);
}
