#include "common/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each test has a folder of its own; path_of() names a file in it. */
static char folder[PATH_MAX / 4];

static int set_up(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(folder, sizeof(folder), "%s/test_file.XXXXXX", tmp ? tmp : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    return nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* Valid until the fourth call from now. */
static const char *path_of(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    assert_int_equal(file_join(path, PATH_MAX, folder, name), 0);
    return path;
}

static unsigned mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void put_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void assert_file_is(const char *path, const char *text)
{
    char *data;
    size_t len;
    struct err err = {.text = ""};
    if (file_read(path, 4096, &data, &len, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(len, strlen(text));
    assert_string_equal(data, text);
    free(data);
}

static size_t entries_in_folder(void)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void private_dir_is_made_with_its_parents(void **state)
{
    (void)state;
    assert_int_equal(file_make_private_dir(path_of("a/b//c/"), NULL), 0);
    assert_int_equal(mode_of(path_of("a/b/c")), 0700);
    assert_int_equal(file_make_private_dir(path_of("a/b/c"), NULL), 0);
}

static void private_dir_mode_does_not_depend_on_umask(void **state)
{
    (void)state;
    mode_t saved = umask(0377);
    int r = file_make_private_dir(path_of("dir"), NULL);
    umask(saved);
    assert_int_equal(r, 0);
    assert_int_equal(mode_of(path_of("dir")), 0700);
}

static void own_wider_dir_is_tightened_and_its_parent_is_not(void **state)
{
    (void)state;
    assert_int_equal(mkdir(path_of("parent"), 0700), 0);
    assert_int_equal(mkdir(path_of("parent/state"), 0700), 0);
    assert_int_equal(chmod(path_of("parent"), 0755), 0);
    assert_int_equal(chmod(path_of("parent/state"), 0775), 0);
    assert_int_equal(file_make_private_dir(path_of("parent/state"), NULL), 0);
    assert_int_equal(mode_of(path_of("parent/state")), 0700);
    assert_int_equal(mode_of(path_of("parent")), 0755);
}

static void dir_of_another_user_is_refused(void **state)
{
    (void)state;
    struct err err;
    if (geteuid() != 0) {
        /* The root folder is there on every host, and is not ours. */
        assert_int_equal(file_make_private_dir("/", &err), -EPERM);
        return;
    }
    const char *path = path_of("theirs");
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(chown(path, 1, 1), 0);
    assert_int_equal(file_make_private_dir(path, &err), -EPERM);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(mode_of(path), 0755);
}

static void dir_in_the_way_of_a_file_fails(void **state)
{
    (void)state;
    struct err err;
    char huge[2 * PATH_MAX];
    put_file(path_of("plain"), "x", 0600);
    assert_int_equal(file_make_private_dir(path_of("plain"), &err), -ENOTDIR);
    assert_int_equal(file_make_private_dir(path_of("plain/sub"), &err), -ENOTDIR);
    assert_non_null(strstr(err.text, "plain/sub"));
    assert_int_equal(file_make_private_dir("", &err), -ENOENT);
    memset(huge, 'a', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    assert_int_equal(file_make_private_dir(huge, &err), -ENAMETOOLONG);
}

static void read_gives_all_bytes_and_a_nul(void **state)
{
    (void)state;
    static const char bytes[] = "a\0b\n";
    char *data;
    size_t len;
    assert_int_equal(file_write_private(path_of("f"), bytes, 4, NULL), 0);
    assert_int_equal(file_read(path_of("f"), 4, &data, &len, NULL), 0);
    assert_int_equal(len, 4);
    assert_memory_equal(data, bytes, 5);
    free(data);

    put_file(path_of("empty"), "", 0644);
    assert_file_is(path_of("empty"), "");
}

static void read_works_where_the_size_is_unknown(void **state)
{
    (void)state;
    char *data;
    size_t len;
    struct err err;
    assert_int_equal(file_read("/proc/self/status", 65536, &data, &len, &err), 0);
    assert_true(len > 10 && strlen(data) == len);
    free(data);
    assert_int_equal(file_read("/proc/self/status", 10, &data, &len, &err), -EFBIG);
}

static void read_refuses_and_leaves_its_outputs(void **state)
{
    (void)state;
    char *data = NULL;
    size_t len = 77;
    struct err err;
    put_file(path_of("f"), "12345", 0600);
    assert_int_equal(file_read(path_of("f"), 4, &data, &len, &err), -EFBIG);
    assert_non_null(strstr(err.text, "limit of 4 bytes"));
    assert_int_equal(file_read(path_of("none"), 4, &data, &len, &err), -ENOENT);
    assert_non_null(strstr(err.text, "none"));
    assert_int_equal(file_read(folder, 4, &data, &len, &err), -EINVAL);
    assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
    assert_int_equal(file_read(path_of("fifo"), 4, &data, &len, &err), -EINVAL);
    assert_null(data);
    assert_int_equal(len, 77);
}

static void secret_open_to_others_is_refused(void **state)
{
    (void)state;
    static const mode_t open_modes[] = {0640, 0604, 0620, 0644, 0610};
    const char *path = path_of("key");
    char *data = NULL;
    size_t len;
    for (size_t i = 0; i < sizeof(open_modes) / sizeof(open_modes[0]); i++) {
        struct err err;
        put_file(path, "secret", open_modes[i]);
        assert_int_equal(file_read_secret(path, 100, &data, &len, &err), -EPERM);
        assert_non_null(strstr(err.text, "chmod 600"));
        assert_non_null(strstr(err.text, path));
        assert_null(data);
    }
    put_file(path, "secret", 0400);
    assert_int_equal(file_read_secret(path, 100, &data, &len, NULL), 0);
    assert_string_equal(data, "secret");
    free(data);
}

static void trust_that_others_can_write_is_refused(void **state)
{
    (void)state;
    static const mode_t open_modes[] = {0620, 0602, 0666};
    const char *path = path_of("list");
    char *data = NULL;
    size_t len;
    for (size_t i = 0; i < sizeof(open_modes) / sizeof(open_modes[0]); i++) {
        struct err err;
        put_file(path, "list", open_modes[i]);
        assert_int_equal(file_read_guarded(path, 100, &data, &len, &err), -EPERM);
        assert_non_null(strstr(err.text, "chmod 600"));
        assert_null(data);
    }
    put_file(path, "list", 0644);
    assert_int_equal(file_read_guarded(path, 100, &data, &len, NULL), 0);
    assert_string_equal(data, "list");
    free(data);
}

static void a_folder_of_all_users_is_refused(void **state)
{
    (void)state;
    struct err err;
    struct stat st;
    const char *path = path_of("shared");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, 01777), 0);
    assert_int_equal(file_make_private_dir(path, &err), -EPERM);
    assert_non_null(strstr(err.text, "shared by all users"));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 01777);
}

static void write_replaces_whole_and_private(void **state)
{
    (void)state;
    const char *path = path_of("key");
    char *data;
    size_t len;
    put_file(path, "a longer text that was there before", 0644);
    int old = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(file_write_private(path, "new", 3, NULL), 0);
    assert_file_is(path, "new");
    assert_int_equal(mode_of(path), 0600);
    assert_int_equal(entries_in_folder(), 1);
    assert_int_equal(file_read_secret(path, 3, &data, &len, NULL), 0);
    free(data);

    /* Whoever had the old file open still reads the old one: it was replaced, not written over. */
    char first;
    assert_int_equal(read(old, &first, 1), 1);
    assert_int_equal(first, 'a');
    close(old);
}

/* A limit on file sizes fails the write in its middle, for root too. */
static int write_on_a_full_disk(const char *path, const char *text, struct err *err)
{
    struct rlimit saved, tight;
    getrlimit(RLIMIT_FSIZE, &saved);
    tight = saved;
    tight.rlim_cur = 4;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &tight);
    int r = file_write_private(path, text, strlen(text), err);
    setrlimit(RLIMIT_FSIZE, &saved);
    signal(SIGXFSZ, SIG_DFL);
    return r;
}

static void failed_write_leaves_the_old_file(void **state)
{
    (void)state;
    struct err err;
    put_file(path_of("key"), "old", 0600);
    assert_int_equal(write_on_a_full_disk(path_of("key"), "too long", &err), -EFBIG);
    assert_non_null(strstr(err.text, path_of("key")));
    assert_file_is(path_of("key"), "old");
    assert_int_equal(entries_in_folder(), 1);
}

static void failed_rename_leaves_no_temporary(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(mkdir(path_of("taken"), 0700), 0);
    assert_int_equal(file_write_private(path_of("taken"), "x", 1, &err), -EISDIR);
    assert_int_equal(entries_in_folder(), 1);
    assert_int_equal(file_write_private(path_of("no/such"), "x", 1, &err), -ENOENT);
    assert_non_null(strstr(err.text, "no/such"));
}

static void join_fits_or_fails(void **state)
{
    (void)state;
    char buf[8] = "before";
    assert_int_equal(file_join(buf, sizeof(buf), "/abc", "def"), -ENAMETOOLONG);
    assert_string_equal(buf, "before");
    assert_int_equal(file_join(buf, sizeof(buf), "/ab", "def"), 0);
    assert_string_equal(buf, "/ab/def");
    assert_int_equal(file_join(buf, 0, "", ""), -ENAMETOOLONG);
}

#define FILE_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            FILE_TEST(private_dir_is_made_with_its_parents),
            FILE_TEST(private_dir_mode_does_not_depend_on_umask),
            FILE_TEST(own_wider_dir_is_tightened_and_its_parent_is_not),
            FILE_TEST(dir_of_another_user_is_refused),
            FILE_TEST(dir_in_the_way_of_a_file_fails),
            FILE_TEST(read_gives_all_bytes_and_a_nul),
            FILE_TEST(read_works_where_the_size_is_unknown),
            FILE_TEST(read_refuses_and_leaves_its_outputs),
            FILE_TEST(secret_open_to_others_is_refused),
            FILE_TEST(trust_that_others_can_write_is_refused),
            FILE_TEST(a_folder_of_all_users_is_refused),
            FILE_TEST(write_replaces_whole_and_private),
            FILE_TEST(failed_write_leaves_the_old_file),
            FILE_TEST(failed_rename_leaves_no_temporary),
            FILE_TEST(join_fits_or_fails),
    };
    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
