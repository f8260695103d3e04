#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/host_addrs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BIND_TRIES = 20000 }; /* a millisecond between two */

static bool own_network; /* this program is alone with its loopback interface */

static bool is_v6(const char *text)
{
    return strchr(text, ':');
}

static bool holds(const struct host_addrs *addrs, const char *text)
{
    for (size_t i = 0; i < addrs->count; i++) {
        if (strcmp(addrs->at[i], text) == 0)
            return true;
    }
    return false;
}

static void get(struct host_addrs *addrs)
{
    struct err err;
    assert_int_equal(host_addrs_get(addrs, &err), 0);
}

/* --- which addresses are any good --- */

static void good_addresses_are_valid(void **state)
{
    (void)state;
    static const char *const good[] = {"10.0.0.5", "192.168.1.255", "169.254.7.7", "100.64.0.1",
            "8.8.8.8", "223.255.255.255", "2001:db8::1", "fd00::1", "fec0::1",
            "2001:0db8:0000:0000:0000:0000:0000:0001"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!host_addr_valid(good[i]))
            fail_msg("%s is valid", good[i]);
    }
}

static void what_nobody_else_can_reach_is_not(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "box", "10.0.0", "10.0.0.5 ", " 10.0.0.5", "010.0.0.5",
            "10.0.0.256", "10.0.0.5:80", "0.0.0.0", "127.0.0.1", "127.9.9.9", "224.0.0.251",
            "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "ff02::fb", "[2001:db8::1]",
            "::ffff:127.0.0.1", "::127.0.0.1", "2001:db8::1%eth0",
            "2001:0db8:0000:0000:0000:0000:0000:0001:0000:0000:0000"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (host_addr_valid(bad[i]))
            fail_msg("\"%s\" is not valid", bad[i]);
    }
}

/* --- this host, whatever it is --- */

/* An IPv6 address that was just added cannot be bound before the kernel has found no other host
 * with it. */
static void assert_binds(int fd, const struct sockaddr *addr, socklen_t size)
{
    unsigned tries = 0;
    while (bind(fd, addr, size) != 0) {
        assert_int_equal(errno, EADDRNOTAVAIL);
        assert_true(tries++ < BIND_TRIES);
        usleep(1000);
    }
}

static void assert_is_ours(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    int fd = socket(is_v6(text) ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (is_v6(text)) {
        assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
        assert_binds(fd, (const struct sockaddr *)&v6, sizeof(v6));
    } else {
        assert_int_equal(inet_pton(AF_INET, text, &v4.sin_addr), 1);
        assert_binds(fd, (const struct sockaddr *)&v4, sizeof(v4));
    }
    close(fd);
}

static void every_address_is_one_of_this_host(void **state)
{
    (void)state;
    struct host_addrs addrs;
    get(&addrs);
    assert_true(addrs.count <= HOST_ADDRS_MAX);
    for (size_t i = 0; i < addrs.count; i++) {
        assert_true(host_addr_valid(addrs.at[i]));
        assert_true(i == 0 || is_v6(addrs.at[i]) || !is_v6(addrs.at[i - 1]));
        assert_is_ours(addrs.at[i]);
    }
}

/* --- a network of our own --- */

static int control_socket(int family)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    return fd;
}

static void set_loopback(bool up)
{
    struct ifreq request = {.ifr_flags = up ? IFF_UP : 0};
    int fd = control_socket(AF_INET);
    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "lo");
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    close(fd);
}

static void add_v4(unsigned number, const char *text)
{
    struct ifreq request = {.ifr_flags = 0};
    struct sockaddr_in addr = {.sin_family = AF_INET};
    int fd = control_socket(AF_INET);
    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "lo:%u", number);
    assert_int_equal(inet_pton(AF_INET, text, &addr.sin_addr), 1);
    memcpy(&request.ifr_addr, &addr, sizeof(addr));
    assert_int_equal(ioctl(fd, SIOCSIFADDR, &request), 0);
    close(fd);
}

static void add_v6(const char *text)
{
    struct in6_ifreq request = {.ifr6_prefixlen = 64};
    int fd = control_socket(AF_INET6);
    request.ifr6_ifindex = (int)if_nametoindex("lo");
    assert_int_equal(inet_pton(AF_INET6, text, &request.ifr6_addr), 1);
    assert_int_equal(ioctl(fd, SIOCSIFADDR, &request), 0);
    close(fd);
}

/* Where a test may not have its own network, only what is true of every host is tested. */
static int have_own_network(void **state)
{
    (void)state;
    own_network = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
    if (own_network)
        set_loopback(true);
    return 0;
}

static void loopback_alone_is_no_address(void **state)
{
    (void)state;
    struct host_addrs addrs;
    if (!own_network)
        skip();
    get(&addrs);
    assert_int_equal(addrs.count, 0);
}

static void ipv4_comes_first_and_link_local_ipv6_never(void **state)
{
    (void)state;
    struct host_addrs addrs;
    if (!own_network)
        skip();
    add_v6("2001:db8::7");
    add_v6("fe80::7");
    add_v4(0, "10.1.2.3");
    get(&addrs);
    assert_int_equal(addrs.count, 2);
    assert_string_equal(addrs.at[0], "10.1.2.3");
    assert_string_equal(addrs.at[1], "2001:db8::7");
}

static void what_is_down_is_left_out(void **state)
{
    (void)state;
    struct host_addrs addrs;
    if (!own_network)
        skip();
    set_loopback(false);
    get(&addrs);
    set_loopback(true);
    assert_int_equal(addrs.count, 0);
}

static void more_than_fit_are_left_out(void **state)
{
    (void)state;
    struct host_addrs addrs;
    if (!own_network)
        skip();
    for (unsigned i = 0; i <= HOST_ADDRS_MAX; i++) {
        char text[HOST_ADDR_LEN + 1];
        (void)snprintf(text, sizeof(text), "10.9.0.%u", i + 1);
        add_v4(i + 1, text);
    }
    get(&addrs);
    assert_int_equal(addrs.count, HOST_ADDRS_MAX);
    assert_true(holds(&addrs, "10.9.0.1"));
    assert_false(is_v6(addrs.at[HOST_ADDRS_MAX - 1]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(good_addresses_are_valid),
            cmocka_unit_test(what_nobody_else_can_reach_is_not),
            cmocka_unit_test(every_address_is_one_of_this_host),
            cmocka_unit_test_setup(loopback_alone_is_no_address, have_own_network),
            cmocka_unit_test(ipv4_comes_first_and_link_local_ipv6_never),
            cmocka_unit_test(every_address_is_one_of_this_host),
            cmocka_unit_test(what_is_down_is_left_out),
            cmocka_unit_test(more_than_fit_are_left_out),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("host_addrs", tests, NULL, NULL);
}
