#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coordinator/http/unix_listener.h"
#include "tests/lib/patience.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEADLINE_MS = 30 * 1000, MANY = 100, STRANGER = 65534 };

struct fixture {
    struct scratch scratch;
    struct loop loop;
    struct loop_timer *deadline;
    struct unix_listener *listener;
    char path[PATH_MAX];
    unsigned accepted;
    int last_fd;
    struct err err;
};

static void on_peer(void *ctx, int fd)
{
    struct fixture *f = ctx;
    if (f->last_fd >= 0)
        close(f->last_fd);
    f->last_fd = fd;
    f->accepted++;
}

static int try_open(struct fixture *f, struct unix_listener **ret_listener)
{
    return unix_listener_create(&f->loop, f->path, on_peer, f, ret_listener, &f->err);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->last_fd = -1;
    scratch_init(&f->scratch);
    strcpy(f->path, scratch_path(&f->scratch, "sock"));
    assert_int_equal(loop_init(&f->loop), 0);
    f->deadline = patience_start(&f->loop, DEADLINE_MS);
    *state = f;
    return 0;
}

static int setup_open(void **state)
{
    setup(state);
    struct fixture *f = *state;
    assert_int_equal(try_open(f, &f->listener), 0);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    unix_listener_destroy(f->listener);
    if (f->last_fd >= 0)
        close(f->last_fd);
    loop_timer_destroy(f->deadline);
    loop_fini(&f->loop);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

static int connect_to(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    strcpy(addr.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return fd;
    close(fd);
    return -1;
}

static void run_until_accepted(struct fixture *f, unsigned count)
{
    while (f->accepted < count)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
}

static void test_accepts(void **state)
{
    struct fixture *f = *state;
    char byte = 0;
    assert_string_equal(unix_listener_path(f->listener), f->path);
    int fd = connect_to(f->path);
    run_until_accepted(f, 1);
    assert_true(fcntl(f->last_fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(f->last_fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(write(f->last_fd, "x", 1), 1);
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(fd);
}

static void test_accepts_many_at_once(void **state)
{
    struct fixture *f = *state;
    int fds[MANY];
    for (int i = 0; i < MANY; i++)
        assert_true((fds[i] = connect_to(f->path)) >= 0);
    run_until_accepted(f, MANY);
    for (int i = 0; i < MANY; i++)
        close(fds[i]);
}

static void test_file(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0600);
    unix_listener_destroy(f->listener);
    f->listener = NULL;
    assert_int_equal(stat(f->path, &st), -1);
    unix_listener_destroy(NULL);
}

static void test_quiesce(void **state)
{
    struct fixture *f = *state;
    unix_listener_quiesce(f->listener);
    assert_int_equal(connect_to(f->path), -1);
    assert_int_equal(access(f->path, F_OK), -1);
    unix_listener_quiesce(f->listener);
}

static void test_file_of_another(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(unlink(f->path), 0);
    scratch_write(&f->scratch, "sock", "another's");
    unix_listener_quiesce(f->listener);
    assert_int_equal(access(f->path, F_OK), 0);
}

static void test_stale_file_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    strcpy(addr.sun_path, f->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    close(fd);
    assert_int_equal(try_open(f, &f->listener), 0);
    fd = connect_to(f->path);
    run_until_accepted(f, 1);
    close(fd);
}

static void test_live_socket_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct unix_listener *second = NULL;
    assert_int_equal(try_open(f, &second), -EADDRINUSE);
    assert_null(second);
    assert_non_null(strstr(f->err.text, f->path));
    int fd = connect_to(f->path);
    assert_true(fd >= 0);
    close(fd);
}

static void test_bad_paths(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    scratch_write(&f->scratch, "sock", "precious");
    assert_int_equal(try_open(f, &f->listener), -EEXIST);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_size, 8);

    strcpy(f->path, scratch_path(&f->scratch, "missing/sock"));
    assert_int_equal(try_open(f, &f->listener), -ENOENT);
    assert_non_null(strstr(f->err.text, f->path));

    memset(f->path, 'p', UNIX_LISTENER_PATH_MAX + 1);
    f->path[0] = '/';
    f->path[UNIX_LISTENER_PATH_MAX + 1] = '\0';
    assert_int_equal(try_open(f, &f->listener), -ENAMETOOLONG);
    assert_non_null(strstr(f->err.text, "107"));
}

/* The connection waits in the queue until there are descriptors again. */
static void test_out_of_descriptors(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, none;
    int fd = connect_to(f->path), lowest_free = dup(fd);
    close(lowest_free);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)lowest_free;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < 20; i++)
        uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(f->accepted, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    run_until_accepted(f, 1);
    close(fd);
}

/* The exit status: 0 where the connection was closed without a byte. */
static int be_a_stranger(const char *path)
{
    char byte;
    if (setuid(STRANGER) < 0)
        return 1;
    int fd = connect_to(path);
    if (fd < 0)
        return 2;
    return read(fd, &byte, 1) == 0 ? 0 : 3;
}

static void test_stranger(void **state)
{
    struct fixture *f = *state;
    int status;
    if (geteuid() != 0)
        skip(); /* only root can play somebody else */
    /* The mode alone keeps strangers out; here it does not. */
    assert_int_equal(chmod(f->scratch.path, 0755), 0);
    assert_int_equal(chmod(f->path, 0666), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(be_a_stranger(f->path));
    while (waitpid(child, &status, WNOHANG) == 0)
        uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(f->accepted, 0);
}

#define TEST(name)      cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_OPEN(name) cmocka_unit_test_setup_teardown(name, setup_open, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST_OPEN(test_accepts),
            TEST_OPEN(test_accepts_many_at_once),
            TEST_OPEN(test_file),
            TEST_OPEN(test_quiesce),
            TEST_OPEN(test_file_of_another),
            TEST(test_stale_file_is_replaced),
            TEST_OPEN(test_live_socket_is_left_alone),
            TEST(test_bad_paths),
            TEST_OPEN(test_out_of_descriptors),
            TEST_OPEN(test_stranger),
    };
    return cmocka_run_group_tests_name("unix_listener", tests, NULL, NULL);
}
