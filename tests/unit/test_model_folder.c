#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/model/model_folder.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SEEN_MAX = 16 };

struct seen {
    char files[SEEN_MAX][PATH_MAX], problems[SEEN_MAX][PATH_MAX];
    size_t file_count, problem_count;
    int result; /* of each event */
};

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

static int on_file(void *ctx, const char *path, const struct stat *st)
{
    struct seen *seen = ctx;

    assert_true(S_ISREG(st->st_mode) && seen->file_count < SEEN_MAX);
    (void)snprintf(seen->files[seen->file_count++], PATH_MAX, "%s", path);
    return seen->result;
}

static int on_problem(void *ctx, const char *path, const char *text)
{
    struct seen *seen = ctx;

    assert_true(*text != '\0' && seen->problem_count < SEEN_MAX);
    (void)snprintf(seen->problems[seen->problem_count++], PATH_MAX, "%s", path);
    return seen->result;
}

static const struct model_folder_events events = {.on_file = on_file, .on_problem = on_problem};

static bool was_seen(const struct seen *seen, const char *name)
{
    for (size_t i = 0; i < seen->file_count; i++)
        if (strcmp(seen->files[i], scratch_path(&scratch, name)) == 0)
            return true;
    return false;
}

static void finds_files_at_any_depth(void **state)
{
    struct seen seen = {.result = 0};

    (void)state;
    scratch_write(&scratch, "a.gguf", "x");
    scratch_write(&scratch, "deep/er/b-00001-of-00002.gguf", "x");
    scratch_write(&scratch, "deep/er/b-00002-of-00002.gguf", "x");
    scratch_write(&scratch, "deep/mmproj-f16.gguf", "x");
    scratch_write(&scratch, ".hidden/c.gguf", "x");
    scratch_write(&scratch, "notes.txt", "x");
    scratch_write(&scratch, ".gguf", "x");
    scratch_mkdir(&scratch, "folder.gguf");
    assert_int_equal(model_folder_walk(scratch.path, &events, &seen), 0);
    assert_int_equal(seen.file_count, 3);
    assert_true(was_seen(&seen, "a.gguf"));
    assert_true(was_seen(&seen, "deep/er/b-00001-of-00002.gguf"));
    assert_true(was_seen(&seen, "deep/er/b-00002-of-00002.gguf"));
    assert_int_equal(seen.problem_count, 0);
}

static void follows_links_to_files_only(void **state)
{
    struct seen seen = {.result = 0};

    (void)state;
    scratch_write(&scratch, "blob", "x");
    scratch_mkdir(&scratch, "sub");
    assert_int_equal(symlink("../blob", scratch_path(&scratch, "sub/linked.gguf")), 0);
    assert_int_equal(symlink("nowhere", scratch_path(&scratch, "sub/dead.gguf")), 0);
    assert_int_equal(symlink("..", scratch_path(&scratch, "sub/loop.gguf")), 0);
    assert_int_equal(model_folder_walk(scratch.path, &events, &seen), 0);
    assert_int_equal(seen.file_count, 1);
    assert_true(was_seen(&seen, "sub/linked.gguf"));
    assert_int_equal(seen.problem_count, 1);
    assert_string_equal(seen.problems[0], scratch_path(&scratch, "sub/dead.gguf"));
}

static void bounds_the_depth(void **state)
{
    struct seen seen = {.result = 0};
    char path[256] = "";

    (void)state;
    for (int i = 0; i < MODEL_FOLDER_DEPTH_MAX; i++)
        (void)strcat(path, "d/");
    (void)strcat(path, "last.gguf");
    scratch_write(&scratch, path, "x");
    (void)strcpy(strrchr(path, '/'), "/d/beyond.gguf");
    scratch_write(&scratch, path, "x");
    assert_int_equal(model_folder_walk(scratch.path, &events, &seen), 0);
    assert_int_equal(seen.file_count, 1);
    assert_non_null(strstr(seen.files[0], "last.gguf"));
    assert_int_equal(seen.problem_count, 1);
}

static void ends_where_an_event_fails(void **state)
{
    struct seen seen = {.result = -ENOMEM};

    (void)state;
    scratch_write(&scratch, "a.gguf", "x");
    scratch_write(&scratch, "b.gguf", "x");
    assert_int_equal(model_folder_walk(scratch.path, &events, &seen), -ENOMEM);
    assert_int_equal(seen.file_count, 1);
    assert_int_equal(model_folder_walk(scratch_path(&scratch, "absent"), &events, &seen), -ENOENT);
    assert_int_equal(model_folder_walk(scratch_path(&scratch, "a.gguf"), &events, &seen), -ENOTDIR);
}

static void expect_stem(const char *path, const char *stem, unsigned part, unsigned parts)
{
    char got[NAME_MAX + 1];
    unsigned got_part, got_parts;

    model_folder_stem(path, got, &got_part, &got_parts);
    assert_string_equal(got, stem);
    assert_int_equal(got_part, part);
    assert_int_equal(got_parts, parts);
}

static void tells_the_stem(void **state)
{
    (void)state;
    expect_stem("/m/x.gguf", "x", 1, 1);
    expect_stem("x.gguf", "x", 1, 1);
    expect_stem("/m/x.bin", "x.bin", 1, 1);
    expect_stem("/m/x-00002-of-00003.gguf", "x", 2, 3);
}

static void expect_name(const char *path, bool again, const char *wanted)
{
    char name[MODEL_FOLDER_NAME_SIZE];

    model_folder_name("/m", path, again, name);
    assert_string_equal(name, wanted);
}

static void names_as_people_do(void **state)
{
    (void)state;
    expect_name("/m/x.gguf", false, "x");
    expect_name("/m/x-00001-of-00003.gguf", false, "x");
    expect_name("/m/org/coder/model.gguf", false, "coder");
    expect_name("/m/coder/ggml-model-Q4_K_M.gguf", false, "coder");
    expect_name("/m/model.gguf", false, "model");
    expect_name("/m/coder/x.gguf", true, "coder/x");
    expect_name("/m/coder/model.gguf", true, "coder/model");
    expect_name("/m/x.gguf", true, "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(finds_files_at_any_depth, setup, teardown),
            cmocka_unit_test_setup_teardown(follows_links_to_files_only, setup, teardown),
            cmocka_unit_test_setup_teardown(bounds_the_depth, setup, teardown),
            cmocka_unit_test_setup_teardown(ends_where_an_event_fails, setup, teardown),
            cmocka_unit_test(tells_the_stem),
            cmocka_unit_test(names_as_people_do),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("model_folder", tests, NULL, NULL);
}
