#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/merge/merge.h"
#include "cli/setup/config_file.h"
#include "tests/lib/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NOBODY = 65534 };

struct world {
    struct scratch scratch;
    struct config_file file;
    char backup[PATH_MAX];
    struct err err;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    if (!world)
        return -1;
    scratch_init(&world->scratch);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    config_file_close(&world->file);
    scratch_fini(&world->scratch);
    free(world);
    return 0;
}

static int open_file(struct world *world, const char *name)
{
    config_file_close(&world->file);
    return config_file_open(&world->file, scratch_path(&world->scratch, name), &world->err);
}

static int replace(struct world *world, const char *text)
{
    struct buf buf;
    int rc;

    strcpy(world->backup, "untouched");
    buf_init(&buf, MERGE_FILE_MAX);
    assert_int_equal(buf_append_str(&buf, text), 0);
    rc = config_file_replace(&world->file, &buf, world->backup, &world->err);
    buf_fini(&buf);
    return rc;
}

static void assert_text(const char *path, const char *expected)
{
    char text[256] = "";
    FILE *in = fopen(path, "r");

    if (!in)
        fail_msg("%s: %s", path, strerror(errno));
    assert_true(fread(text, 1, sizeof(text) - 1, in) < sizeof(text));
    fclose(in);
    assert_string_equal(text, expected);
}

static mode_t mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static int count_files(struct world *world)
{
    DIR *dir = opendir(world->scratch.path);
    int count = 0;

    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void test_makes_what_is_missing(void **state)
{
    struct world *world = *state;

    assert_int_equal(open_file(world, "a/b/new.json"), 0);
    assert_false(world->file.exists);
    assert_string_equal(world->file.text, "");
    assert_int_equal(replace(world, "{}"), 0);
    assert_string_equal(world->backup, "");
    assert_text(scratch_path(&world->scratch, "a/b/new.json"), "{}");
    assert_int_equal(mode_of(scratch_path(&world->scratch, "a/b/new.json")), 0600);
    assert_int_equal(mode_of(scratch_path(&world->scratch, "a/b")), 0700);
}

static void test_keeps_a_backup_of_each_state(void **state)
{
    struct world *world = *state;
    const char *path = scratch_path(&world->scratch, "c");
    char first[PATH_MAX];

    scratch_write(&world->scratch, "c", "one");
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(open_file(world, "c"), 0);
    assert_int_equal(replace(world, "two"), 0);
    assert_non_null(strstr(world->backup, "/c.modemesh-backup-1"));
    strcpy(first, world->backup);
    assert_int_equal(open_file(world, "c"), 0);
    assert_string_equal(world->file.text, "two");
    assert_int_equal(replace(world, "three"), 0);
    assert_non_null(strstr(world->backup, "/c.modemesh-backup-2"));
    assert_text(first, "one");
    assert_text(world->backup, "two");
    assert_text(world->file.path, "three");
    assert_int_equal(mode_of(world->file.path), 0640);
    assert_int_equal(mode_of(first), 0640);
    assert_int_equal(count_files(world), 3);
}

static void test_follows_links(void **state)
{
    struct world *world = *state;
    struct stat st;

    scratch_mkdir(&world->scratch, "dotfiles");
    scratch_write(&world->scratch, "dotfiles/real", "one");
    assert_int_equal(symlink("dotfiles/real", scratch_path(&world->scratch, "link")), 0);
    assert_int_equal(open_file(world, "link"), 0);
    assert_int_equal(replace(world, "two"), 0);
    assert_int_equal(lstat(scratch_path(&world->scratch, "link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_text(scratch_path(&world->scratch, "dotfiles/real"), "two");
    assert_non_null(strstr(world->backup, "/dotfiles/real.modemesh-backup-1"));
}

static void test_root_leaves_other_users_folders_alone(void **state)
{
    struct world *world = *state;

    if (geteuid() != 0)
        skip(); /* nobody else's files can be changed */
    scratch_write(&world->scratch, "ours", "{}");
    scratch_mkdir(&world->scratch, "theirs");
    assert_int_equal(symlink("../ours", scratch_path(&world->scratch, "theirs/link")), 0);
    assert_int_equal(open_file(world, "theirs/link"), 0);
    assert_int_equal(chown(scratch_path(&world->scratch, "theirs"), 12345, 12345), 0);
    assert_int_equal(open_file(world, "theirs/link"), -EPERM);
    assert_int_equal(open_file(world, "theirs/a/new"), -EPERM);
    assert_non_null(strstr(world->err.text, "belongs to user 12345"));
    assert_int_equal(open_file(world, "ours"), 0);
}

static void test_refuses_what_is_no_file(void **state)
{
    struct world *world = *state;

    assert_int_equal(symlink("nowhere", scratch_path(&world->scratch, "dangling")), 0);
    assert_int_equal(open_file(world, "dangling"), -ENOENT);
    assert_non_null(strstr(world->err.text, "leads nowhere"));
    assert_int_equal(symlink("loop", scratch_path(&world->scratch, "loop")), 0);
    assert_int_equal(open_file(world, "loop"), -ELOOP);
    scratch_mkdir(&world->scratch, "folder");
    assert_int_equal(open_file(world, "folder"), -EINVAL);
    assert_int_equal(mkfifo(scratch_path(&world->scratch, "pipe"), 0600), 0);
    assert_int_equal(open_file(world, "pipe"), -EINVAL);
    scratch_write(&world->scratch, "plain", "");
    assert_int_equal(open_file(world, "plain/below"), -ENOTDIR);
}

static void test_refuses_a_file_that_is_too_large(void **state)
{
    struct world *world = *state;

    scratch_write(&world->scratch, "big", "");
    assert_int_equal(truncate(scratch_path(&world->scratch, "big"), MERGE_FILE_MAX + 1), 0);
    assert_int_equal(open_file(world, "big"), -EFBIG);
    assert_non_null(strstr(world->err.text, "1048576"));
}

static void test_notices_another_writer(void **state)
{
    struct world *world = *state;

    scratch_write(&world->scratch, "c", "one");
    assert_int_equal(open_file(world, "c"), 0);
    scratch_write(&world->scratch, "c", "another");
    assert_int_equal(replace(world, "two"), -EBUSY);
    assert_text(scratch_path(&world->scratch, "c"), "another");
    assert_string_equal(world->backup, "untouched");
    assert_int_equal(count_files(world), 1);

    assert_int_equal(open_file(world, "new"), 0);
    scratch_write(&world->scratch, "new", "theirs");
    assert_int_equal(replace(world, "ours"), -EBUSY);
    assert_text(scratch_path(&world->scratch, "new"), "theirs");
}

static void test_backups_end(void **state)
{
    struct world *world = *state;
    char name[64];

    scratch_write(&world->scratch, "c", "one");
    assert_int_equal(open_file(world, "c"), 0);
    for (int i = 1; i <= CONFIG_FILE_BACKUPS_MAX; i++) {
        snprintf(name, sizeof(name), "c.modemesh-backup-%d", i);
        assert_int_equal(link(world->file.path, scratch_path(&world->scratch, name)), 0);
    }
    assert_int_equal(replace(world, "two"), -EEXIST);
    assert_text(world->file.path, "one");
}

/* As root, who writes everywhere, we become nobody for as long as it takes. */
static void test_a_folder_that_cannot_be_written(void **state)
{
    struct world *world = *state;
    char folder[PATH_MAX];
    uid_t uid = geteuid();

    scratch_write(&world->scratch, "f/c", "one");
    snprintf(folder, sizeof(folder), "%s", scratch_path(&world->scratch, "f"));
    assert_int_equal(open_file(world, "f/c"), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    assert_int_equal(chmod(scratch_path(&world->scratch, "."), 0755), 0);
    if (uid == 0)
        assert_int_equal(seteuid(NOBODY), 0);
    int r = replace(world, "two");
    assert_int_equal(seteuid(uid), 0);
    assert_int_equal(r, -EACCES);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_text(world->file.path, "one");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_makes_what_is_missing, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_keeps_a_backup_of_each_state, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_follows_links, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    test_root_leaves_other_users_folders_alone, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_refuses_what_is_no_file, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    test_refuses_a_file_that_is_too_large, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_notices_another_writer, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_backups_end, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    test_a_folder_that_cannot_be_written, set_up, tear_down),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("setup_config_file", tests, NULL, NULL);
}
