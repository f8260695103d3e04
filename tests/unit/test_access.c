#include "coordinator/api/access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void loopback_names_are_taken(void **state)
{
    (void)state;
    static const char *const hosts[] = {"localhost", "LocalHost:8420",
            "localhost:", "app.localhost", "a.b.LOCALHOST:1", "127.0.0.1", "127.0.0.1:8420",
            "127.255.0.9", "::1", "[::1]", "[::1]:8420", "0:0:0:0:0:0:0:1"};
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
        if (!access_is_loopback(hosts[i]))
            fail_msg("%s is not taken", hosts[i]);
}

static void all_else_is_not(void **state)
{
    (void)state;
    static const char *const hosts[] = {"", ":8420", "localhost.evil.com",
            "localhost.evil.com:8420", "evil-localhost", "evillocalhost", ".localhost",
            "localhost@evil.com", "localhost:80@evil.com", "localhost:x", "localhost/x",
            "localhost ", " localhost", "127.0.0.1.nip.io", "127.0.0.1.evil.com:8420",
            "127.0.0.1:1:2", "128.0.0.1", "10.0.0.1", "192.168.1.5:8420", "0.0.0.0", "127.1",
            "2130706433", "0177.0.0.1", "0x7f.0.0.1", "[::1", "[::1]x", "[::1]:x", "[::2]", "[]",
            "[127.0.0.1]", "[localhost]", "::", "::2", "fe80::1", "::1:8420", "[::ffff:127.0.0.1]",
            "rebind.network", "halo1.local"};
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
        if (access_is_loopback(hosts[i]))
            fail_msg("%s is taken", hosts[i]);
}

static void a_long_host_is_not_taken(void **state)
{
    (void)state;
    char host[400];
    memset(host, 'a', sizeof(host));
    strcpy(host + 300, ".localhost");
    assert_false(access_is_loopback(host));
}

static int check(const struct access_facts *facts, struct err *err)
{
    *err = (struct err){.text = ""};
    return access_check(facts, err);
}

static int check_local(const char *host, const char *origin, const char *forwarded, struct err *err)
{
    static const enum access_listener local[] = {ACCESS_LOOPBACK, ACCESS_EDGE};
    int results[2];
    for (size_t i = 0; i < 2; i++) {
        struct access_facts facts = {.listener = local[i],
                .keyless = i == 1,
                .host = host,
                .origin = origin,
                .forwarded = forwarded,
                .own_name = "box"};
        results[i] = check(&facts, err);
    }
    assert_int_equal(results[0], results[1]);
    return results[0];
}

static void a_program_on_this_machine_comes_in(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(check_local("127.0.0.1:8420", NULL, NULL, &err), 0);
    assert_int_equal(check_local("localhost:8420", "http://localhost:3000", NULL, &err), 0);
    assert_int_equal(check_local("[::1]:8420", "http://[::1]:3000", NULL, &err), 0);
    assert_int_equal(check_local("[::1]:8420", "tauri://localhost", NULL, &err), 0);
}

static const char *const foreign_origins[] = {"null", "", "https://evil.com",
        "http://localhost.evil.com", "http://evil.com://localhost", "localhost", "file://",
        "http://localhost/evil", "http://localhost@evil.com", "http://127.0.0.1.evil.com:80"};
enum { FOREIGN_COUNT = sizeof(foreign_origins) / sizeof(foreign_origins[0]) };

static void pages_and_proxies_do_not(void **state)
{
    (void)state;
    struct err err;
    for (size_t i = 0; i < FOREIGN_COUNT; i++) {
        assert_int_equal(check_local("localhost", foreign_origins[i], NULL, &err), -EACCES);
        assert_non_null(strstr(err.text, "page from"));
    }
    assert_int_equal(check_local("localhost", NULL, "203.0.113.5", &err), -EACCES);
    assert_non_null(strstr(err.text, "proxy"));
    assert_int_equal(check_local("localhost", NULL, "", &err), -EACCES);
    assert_int_equal(check_local("rebind.evil.com:8420", NULL, NULL, &err), -EACCES);
    assert_non_null(strstr(err.text, "rebind.evil.com"));
    assert_int_equal(check_local(NULL, NULL, NULL, &err), -EACCES);
    assert_int_equal(check_local("box", NULL, NULL, &err), -EACCES);
    assert_int_equal(check_local("192.168.1.5", NULL, NULL, &err), -EACCES);
}

static void a_foreign_page_comes_in_nowhere(void **state)
{
    (void)state;
    struct err err;
    for (size_t i = 0; i < FOREIGN_COUNT; i++)
        for (int listener = ACCESS_LOOPBACK; listener <= ACCESS_SOCKET; listener++)
            for (int key = 0; key < 2; key++) {
                struct access_facts facts = {.listener = (enum access_listener)listener,
                        .has_key = key == 1,
                        .keyless = true,
                        .host = "127.0.0.1",
                        .origin = foreign_origins[i]};
                assert_int_equal(check(&facts, &err), -EACCES);
                assert_non_null(strstr(err.text, "page from"));
            }
}

static void a_key_opens_this_machine_to_a_proxy(void **state)
{
    (void)state;
    static const enum access_listener local[] = {ACCESS_LOOPBACK, ACCESS_EDGE};
    struct err err;
    for (size_t i = 0; i < 2; i++) {
        struct access_facts facts = {.listener = local[i],
                .has_key = true,
                .host = "mesh.example.com",
                .forwarded = "203.0.113.5"};
        assert_int_equal(check(&facts, &err), 0);
        facts.host = NULL;
        facts.origin = "http://localhost:3000";
        assert_int_equal(check(&facts, &err), 0);
    }
}

static void the_network_needs_a_key(void **state)
{
    (void)state;
    struct access_facts facts = {
            .listener = ACCESS_NETWORK, .host = "127.0.0.1:8420", .own_name = "box"};
    struct err err;
    assert_int_equal(check(&facts, &err), -EPERM);
    assert_non_null(strstr(err.text, "Bearer"));
    facts.origin = "https://evil.com";
    assert_int_equal(check(&facts, &err), -EPERM);
    facts.origin = NULL;
    facts.has_key = true;
    facts.forwarded = "203.0.113.5";
    assert_int_equal(check(&facts, &err), 0);
    facts.host = "mesh.example.com";
    assert_int_equal(check(&facts, &err), 0);
    facts.host = NULL;
    assert_int_equal(check(&facts, &err), 0);
}

static int check_keyless_host(const char *host, const char *own_name, struct err *err)
{
    struct access_facts facts = {
            .listener = ACCESS_NETWORK, .keyless = true, .host = host, .own_name = own_name};
    return check(&facts, err);
}

static void a_keyless_network_is_this_host_under_its_own_names(void **state)
{
    (void)state;
    static const char *const hosts[] = {"192.168.1.5", "192.168.1.5:8420", "[fd00::5]:8420",
            "[::ffff:192.168.1.5]", "localhost:8420", "[::1]:8420", "box", "BOX:8420", "box.local",
            "Box.Local:8420"};
    struct err err;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
        if (check_keyless_host(hosts[i], "box", &err))
            fail_msg("%s: %s", hosts[i], err.text);
}

static void a_keyless_network_is_under_no_other_name(void **state)
{
    (void)state;
    static const char *const hosts[] = {"evil.com", "evil.com:8420", "box.evil.com", "boxx", "bo",
            "box.locale", "box.local.evil.com", "evil.com.local", "box@evil.com", "[box]",
            "[box.local]", "box:x", "192.168.1.5.nip.io", "192.168.1.5@evil.com", "192.168.1.5x",
            "[192.168.1.5]", "fd00::5:8420", "[fd00::5", "[fd00::5]evil.com", "[]", ":8420",
            ".local", ""};
    struct err err;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        if (check_keyless_host(hosts[i], "box", &err) != -EACCES)
            fail_msg("%s is taken", hosts[i]);
        assert_non_null(strstr(err.text, "IP address"));
    }
    assert_int_equal(check_keyless_host(NULL, "box", &err), -EACCES);
    assert_int_equal(check_keyless_host("box", NULL, &err), -EACCES);
    assert_int_equal(check_keyless_host(".local", "", &err), -EACCES);
}

static int check_page(const char *origin, const char *host, bool has_key)
{
    struct access_facts facts = {.listener = ACCESS_NETWORK,
            .has_key = has_key,
            .keyless = !has_key,
            .host = host,
            .origin = origin,
            .own_name = "box"};
    struct err err;
    return check(&facts, &err);
}

static void a_page_of_ours_may_on_the_network(void **state)
{
    (void)state;
    for (int key = 0; key < 2; key++) {
        assert_int_equal(check_page("https://box.local:8420", "box.local:8420", key), 0);
        assert_int_equal(check_page("HTTP://BOX", "box", key), 0);
        assert_int_equal(check_page("https://[fd00::5]:8420", "[fd00::5]:8420", key), 0);
        assert_int_equal(check_page("https://box:8421", "box:8420", key), -EACCES);
        assert_int_equal(check_page("https://box", "box:8420", key), -EACCES);
        assert_int_equal(check_page("https://localhost:3000", "box:8420", key), -EACCES);
        assert_int_equal(check_page("ftp://box", "box", key), -EACCES);
        assert_int_equal(check_page("box", "box", key), -EACCES);
    }
    assert_int_equal(check_page("https://mesh.example.com", "mesh.example.com", true), 0);
    assert_int_equal(check_page("https://mesh.example.com", "mesh.example.com", false), -EACCES);
    assert_int_equal(check_page("https://box", NULL, true), -EACCES);
    assert_int_equal(check_page("https://", "", true), -EACCES);
}

static void the_socket_takes_all_but_pages(void **state)
{
    (void)state;
    struct err err;
    struct access_facts facts = {
            .listener = ACCESS_SOCKET, .host = "modemesh", .forwarded = "203.0.113.5"};
    assert_int_equal(check(&facts, &err), 0);
    facts.host = NULL;
    assert_int_equal(check(&facts, &err), 0);
    facts.origin = "https://evil.com";
    assert_int_equal(check(&facts, &err), -EACCES);
}

static void the_key_stands_in_either_header(void **state)
{
    (void)state;
    assert_string_equal(access_key("Bearer mm_a", NULL), "mm_a");
    assert_string_equal(access_key("bEARER   mm_a", "mm_b"), "mm_a");
    assert_string_equal(access_key(NULL, "mm_b"), "mm_b");
    assert_string_equal(access_key("Basic dTpw", "mm_b"), "mm_b");
    assert_string_equal(access_key("Bearer ", "mm_b"), "mm_b");
    assert_null(access_key(NULL, NULL));
    assert_null(access_key("Bearer", NULL));
    assert_null(access_key("Bearermm_a", NULL));
    assert_null(access_key("", NULL));
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(loopback_names_are_taken),
            cmocka_unit_test(all_else_is_not),
            cmocka_unit_test(a_long_host_is_not_taken),
            cmocka_unit_test(a_program_on_this_machine_comes_in),
            cmocka_unit_test(pages_and_proxies_do_not),
            cmocka_unit_test(a_foreign_page_comes_in_nowhere),
            cmocka_unit_test(a_key_opens_this_machine_to_a_proxy),
            cmocka_unit_test(the_network_needs_a_key),
            cmocka_unit_test(a_keyless_network_is_this_host_under_its_own_names),
            cmocka_unit_test(a_keyless_network_is_under_no_other_name),
            cmocka_unit_test(a_page_of_ours_may_on_the_network),
            cmocka_unit_test(the_socket_takes_all_but_pages),
            cmocka_unit_test(the_key_stands_in_either_header),
    };
    return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
