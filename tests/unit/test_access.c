#include "coordinator/access.h"

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

static int check(const char *host, const char *origin, const char *forwarded, struct err *err)
{
    struct access_facts facts = {.host = host, .origin = origin, .forwarded = forwarded};
    *err = (struct err){.text = ""};
    return access_check(&facts, err);
}

static void a_program_on_this_machine_comes_in(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(check("127.0.0.1:8420", NULL, NULL, &err), 0);
    assert_int_equal(check("localhost:8420", "http://localhost:3000", NULL, &err), 0);
    assert_int_equal(check("[::1]:8420", "http://[::1]:3000", NULL, &err), 0);
    assert_int_equal(check("[::1]:8420", "tauri://localhost", NULL, &err), 0);
}

static void pages_and_proxies_do_not(void **state)
{
    (void)state;
    static const char *const origins[] = {"null", "", "https://evil.com",
            "http://localhost.evil.com", "http://evil.com://localhost", "localhost", "file://",
            "http://localhost/evil", "http://localhost@evil.com", "http://127.0.0.1.evil.com:80"};
    struct err err;
    for (size_t i = 0; i < sizeof(origins) / sizeof(origins[0]); i++) {
        assert_int_equal(check("localhost", origins[i], NULL, &err), -EACCES);
        assert_non_null(strstr(err.text, "page from"));
    }
    assert_int_equal(check("localhost", NULL, "203.0.113.5", &err), -EACCES);
    assert_non_null(strstr(err.text, "proxy"));
    assert_int_equal(check("localhost", NULL, "", &err), -EACCES);
    assert_int_equal(check("rebind.evil.com:8420", NULL, NULL, &err), -EACCES);
    assert_non_null(strstr(err.text, "rebind.evil.com"));
    assert_int_equal(check(NULL, NULL, NULL, &err), -EACCES);
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
    };
    return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
