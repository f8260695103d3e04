#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/netwatch.h"
#include "tests/lib/patience.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 60000, /* a test that waits longer has failed */
    QUIET_MS = 50,
    FLOOD = 4000, /* changes; more news than a socket's buffer takes */
    NOT_PERMITTED = 77,
    FAILED = 1,
};

/* In a child with a network of its own, where cmocka's asserts could not be heard. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_error("# %s:%d: %s\n", __FILE__, __LINE__, #condition);                          \
            _exit(FAILED);                                                                         \
        }                                                                                          \
    } while (0)

struct fixture {
    struct loop loop;
    struct loop_timer *patience;
    struct netwatch *watch;
    int control; /* socket for ioctl() */
    unsigned news;
    bool destroy; /* at the next news */
};

static void on_news(void *ctx)
{
    struct fixture *f = ctx;
    f->news++;
    if (!f->destroy)
        return;
    netwatch_destroy(f->watch);
    f->watch = NULL;
}

static void run_until_news(struct fixture *f)
{
    while (f->news == 0)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
}

/* --- what happens to the network --- */

static void set_up_or_down(struct fixture *f, bool up)
{
    struct ifreq request = {.ifr_name = "lo"};
    CHECK(ioctl(f->control, SIOCGIFFLAGS, &request) == 0);
    request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
    CHECK(ioctl(f->control, SIOCSIFFLAGS, &request) == 0);
}

static void set_address(struct fixture *f, const char *address)
{
    struct ifreq request = {.ifr_name = "lo"};
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&request.ifr_addr;
    in->sin_family = AF_INET;
    CHECK(inet_pton(AF_INET, address, &in->sin_addr) == 1);
    CHECK(ioctl(f->control, SIOCSIFADDR, &request) == 0);
}

/* --- tests, in the child --- */

static void quiet_brings_no_news(struct fixture *f)
{
    patience_run_for(&f->loop, QUIET_MS);
    CHECK(f->news == 0);
}

static void a_link_that_comes_up_is_news(struct fixture *f)
{
    set_up_or_down(f, true);
    run_until_news(f);
}

static void a_link_that_goes_down_is_news(struct fixture *f)
{
    set_up_or_down(f, true);
    run_until_news(f);
    patience_run_for(&f->loop, QUIET_MS);
    f->news = 0;
    set_up_or_down(f, false);
    run_until_news(f);
}

static void an_address_is_news(struct fixture *f)
{
    set_address(f, "127.0.0.9");
    run_until_news(f);
}

/* Several messages, and one call for all that had come by then. */
static void a_burst_is_told_once(struct fixture *f)
{
    for (int i = 0; i < 16; i++)
        set_address(f, i % 2 ? "127.0.0.9" : "127.0.0.10");
    run_until_news(f);
    patience_run_for(&f->loop, QUIET_MS);
    CHECK(f->news == 1);
}

static void news_that_were_lost_are_news_and_more_come(struct fixture *f)
{
    for (int i = 0; i < FLOOD; i++)
        set_address(f, i % 2 ? "127.0.0.9" : "127.0.0.10");
    run_until_news(f);
    patience_run_for(&f->loop, QUIET_MS);
    f->news = 0;
    set_address(f, "127.0.0.11");
    run_until_news(f);
}

static void it_may_be_destroyed_in_its_callback(struct fixture *f)
{
    f->destroy = true;
    set_up_or_down(f, true);
    run_until_news(f);
    set_up_or_down(f, false);
    patience_run_for(&f->loop, QUIET_MS);
    CHECK(f->news == 1);
}

/* --- the child --- */

static void run_child(void (*fn)(struct fixture *f))
{
    struct fixture f = {.control = -1};
    if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
        _exit(NOT_PERMITTED);
    f.control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(f.control >= 0);
    CHECK(loop_init(&f.loop) == 0);
    f.patience = patience_start(&f.loop, PATIENCE_MS);
    f.watch = netwatch_create(&f.loop, on_news, &f);
    CHECK(f.watch);
    fn(&f);
    netwatch_destroy(f.watch);
    loop_timer_destroy(f.patience);
    loop_fini(&f.loop);
    close(f.control);
}

/* It ends by exit(), so that the leak checker has its say. */
static void in_a_network_of_its_own(void (*fn)(struct fixture *f))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        run_child(fn);
        exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_PERMITTED) {
        print_message("# a network namespace of one's own is not permitted here\n");
        skip();
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define IN_CHILD(fn)                                                                               \
    static void test_##fn(void **state)                                                            \
    {                                                                                              \
        (void)state;                                                                               \
        in_a_network_of_its_own(fn);                                                               \
    }

IN_CHILD(quiet_brings_no_news)
IN_CHILD(a_link_that_comes_up_is_news)
IN_CHILD(a_link_that_goes_down_is_news)
IN_CHILD(an_address_is_news)
IN_CHILD(a_burst_is_told_once)
IN_CHILD(news_that_were_lost_are_news_and_more_come)
IN_CHILD(it_may_be_destroyed_in_its_callback)

static void nothing_is_destroyed(void **state)
{
    (void)state;
    netwatch_destroy(NULL);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_quiet_brings_no_news),
            cmocka_unit_test(test_a_link_that_comes_up_is_news),
            cmocka_unit_test(test_a_link_that_goes_down_is_news),
            cmocka_unit_test(test_an_address_is_news),
            cmocka_unit_test(test_a_burst_is_told_once),
            cmocka_unit_test(test_news_that_were_lost_are_news_and_more_come),
            cmocka_unit_test(test_it_may_be_destroyed_in_its_callback),
            cmocka_unit_test(nothing_is_destroyed),
    };
    return cmocka_run_group_tests_name("netwatch", tests, NULL, NULL);
}
