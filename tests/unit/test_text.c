#include "common/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
            {"0", 0},
            {"512", 512},
            {"512B", 512},
            {"16K", 16384},
            {"16k", 16384},
            {"64MB", UINT64_C(64) << 20},
            {"1.5G", UINT64_C(1536) << 20},
            {"96GiB", UINT64_C(96) << 30},
            {"2TiB", UINT64_C(2) << 40},
            {"0.000001M", 1},
            {"18446744073709551615", UINT64_MAX},
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        uint64_t bytes = 77;
        assert_int_equal(text_parse_size(good[i].text, &bytes, NULL), 0);
        assert_int_equal(bytes, good[i].bytes);
    }
}

static void bad_sizes(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "K", "-1", "+1", " 1", "1 ", "1X", "1Ki", "1.K", ".5K",
            "1.5", "1.5B", "1,5K", "0x10", "1e3", "1KK", "1.1234567G"};
    struct err err;
    uint64_t bytes = 77;
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(text_parse_size(bad[i], &bytes, &err), -EINVAL);
        assert_non_null(strstr(err.text, bad[i]));
        assert_non_null(strstr(err.text, "96GiB"));
    }
    assert_int_equal(text_parse_size("18446744073709551616", &bytes, &err), -ERANGE);
    assert_int_equal(text_parse_size("16777216T", &bytes, &err), -ERANGE);
    assert_int_equal(text_parse_size("99999999999999999999999G", &bytes, &err), -ERANGE);
    assert_non_null(strstr(err.text, "99999999999999999999999G"));
    assert_int_equal(bytes, 77);
    assert_int_equal(text_parse_size("16777215.999999T", &bytes, &err), 0);
}

static void tokens_are_read_and_written(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t tokens;
        const char *written;
    } good[] = {{"1", 1, "1"}, {"8k", 8192, "8k"}, {"8K", 8192, "8k"}, {"40000", 40000, "40000"},
            {"1.5k", 1536, "1536"}, {"1M", 1048576, "1M"}, {"1024", 1024, "1k"},
            {"16M", TEXT_TOKENS_MAX, "16M"}};
    static const char *const bad[] = {"", "0", "k", "8kB", "8b", "1G", "1T", "-1", "17M", "8 k",
            "16777217", "0000000000000001k"};
    struct err err;
    uint32_t tokens = 77;
    char buf[16];
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(text_parse_tokens(bad[i], &tokens, &err), -EINVAL);
        assert_non_null(strstr(err.text, bad[i]));
        assert_int_equal(tokens, 77);
    }
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_int_equal(text_parse_tokens(good[i].text, &tokens, NULL), 0);
        assert_int_equal(tokens, good[i].tokens);
        assert_string_equal(text_format_tokens(tokens, buf, sizeof(buf)), good[i].written);
    }
    assert_string_equal(text_format_tokens(0, buf, sizeof(buf)), "0");
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {
            {"0", 0},
            {"0s", 0},
            {"250ms", 250},
            {"3s", 3000},
            {"1.5s", 1500},
            {"10m", 600000},
            {"2h", 7200000},
            {"7d", 604800000},
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        uint64_t ms = 77;
        assert_int_equal(text_parse_duration(good[i].text, &ms, NULL), 0);
        assert_int_equal(ms, good[i].ms);
    }
}

static void bad_durations(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "1", "00", "s", "-1s", "1.5ms", "1 s", "1w", "1mss"};
    struct err err;
    uint64_t ms = 77;
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(text_parse_duration(bad[i], &ms, &err), -EINVAL);
        assert_non_null(strstr(err.text, "250ms"));
    }
    assert_int_equal(text_parse_duration("18446744073709551615s", &ms, &err), -ERANGE);
    assert_int_equal(ms, 77);
}

static void whole_numbers(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "1.0", "0x1", "1a", "a"};
    uint64_t value = 77;
    struct err err;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(text_parse_u64(bad[i], &value, &err), -EINVAL);
    assert_int_equal(text_parse_u64("18446744073709551616", &value, &err), -ERANGE);
    assert_int_equal(value, 77);
    assert_int_equal(text_parse_u64("18446744073709551615", &value, &err), 0);
    assert_int_equal(value, UINT64_MAX);
    assert_int_equal(text_parse_u64("0042", &value, &err), 0);
    assert_int_equal(value, 42);
}

static void sizes_for_people(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
            {0, "0 B"},
            {512, "512 B"},
            {1023, "1023 B"},
            {1024, "1.0 KiB"},
            {1 << 20, "1.0 MiB"},
            {(1 << 20) - 1, "1.0 MiB"},
            {(1 << 20) - 100, "1023.9 KiB"},
            {UINT64_C(102327779328), "95.3 GiB"},
            {UINT64_C(3) << 40, "3.0 TiB"},
            {UINT64_MAX, "16.0 EiB"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char buf[32];
        assert_string_equal(text_format_size(cases[i].bytes, buf, sizeof(buf)), cases[i].text);
    }
    char tiny[4];
    assert_string_equal(text_format_size(123456, tiny, sizeof(tiny)), "120");
}

static void ages_for_people(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *text;
    } cases[] = {
            {0, "0 s"},
            {3999, "3 s"},
            {59999, "59 s"},
            {60000, "1 min"},
            {UINT64_C(12) * 60000, "12 min"},
            {3599999, "59 min"},
            {UINT64_C(5) * 3600000, "5 h"},
            {86399999, "23 h"},
            {UINT64_C(3) * 86400000, "3 d"},
            {UINT64_MAX, "213503982334 d"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char buf[32];
        assert_string_equal(text_format_age(cases[i].ms, buf, sizeof(buf)), cases[i].text);
    }
}

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        uint16_t port;
    } good[] = {
            {"127.0.0.1:8420", "127.0.0.1", 8420},
            {"[::1]:8420", "::1", 8420},
            {"[fe80::1%eth0]:1", "fe80::1%eth0", 1},
            {"box.local:8421", "box.local", 8421},
            {"my-box_2:0", "my-box_2", 0},
            {"localhost:65535", "localhost", 65535},
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        struct text_addr addr;
        assert_int_equal(text_parse_addr(good[i].text, &addr, NULL), 0);
        assert_string_equal(addr.host, good[i].host);
        assert_int_equal(addr.port, good[i].port);
    }
}

static void bad_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } bad[] = {
            {"", "port is missing"},
            {"box", "port is missing"},
            {"[::1]", "port is missing"},
            {":8420", "host is missing"},
            {"[]:8420", "host is missing"},
            {"::1:8420", "needs brackets"},
            {"a:b:1", "neither a name"},
            {"300.1.1.1:1", "neither a name"},
            {"1.2.3:1", "neither a name"},
            {"a b:1", "neither a name"},
            {"http://box:1", "neither a name"},
            {"[::1:1", "neither a name"},
            {"[box]:1", "no IPv6 address"},
            {"[::1%]:1", "no IPv6 address"},
            {"[1.2.3.4]:1", "no IPv6 address"},
            {"box:", "not a number"},
            {"box:65536", "not a number"},
            {"box:-1", "not a number"},
            {"box:http", "not a number"},
    };
    struct text_addr addr = {.port = 77};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct err err = {.text = ""};
        assert_int_equal(text_parse_addr(bad[i].text, &addr, &err), -EINVAL);
        if (!strstr(err.text, bad[i].why))
            fail_msg("%s: %s", bad[i].text, err.text);
        assert_non_null(strstr(err.text, "[::1]:8420"));
    }
    assert_int_equal(addr.port, 77);
}

static void long_hosts(void **state)
{
    (void)state;
    struct text_addr addr;
    struct err err;
    char text[300];
    memset(text, 'a', sizeof(text));
    memcpy(text + 255, ":1", 3);
    assert_int_equal(text_parse_addr(text, &addr, &err), 0);
    assert_int_equal(strlen(addr.host), 255);
    memcpy(text + 255, "a:1", 4);
    assert_int_equal(text_parse_addr(text, &addr, &err), -EINVAL);
    assert_non_null(strstr(err.text, "too long"));
}

static void nearest_name(void **state)
{
    (void)state;
    static const char *const names[] = {"listen", "log_level", "max_clients", "modes", NULL};
    assert_string_equal(text_nearest("lisen", names), "listen");
    assert_string_equal(text_nearest("LISTEN", names), "listen");
    assert_string_equal(text_nearest("loglevel", names), "log_level");
    assert_string_equal(text_nearest("mode", names), "modes");
    assert_string_equal(text_nearest("max-client", names), "max_clients");
    assert_string_equal(text_nearest("modes", names), "modes");
    assert_null(text_nearest("temperature", names));
    assert_null(text_nearest("", names));
    assert_null(text_nearest("listen", (const char *const[]){NULL}));
}

static void nearest_has_limits(void **state)
{
    (void)state;
    static const char *const names[] = {"ab", "twelveletter", NULL};
    char long_text[1000];
    memset(long_text, 'a', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    assert_null(text_nearest(long_text, names));
    assert_null(text_nearest("ab", (const char *const[]){long_text, NULL}));
    assert_null(text_nearest("xy", names));
    assert_string_equal(text_nearest("xxxxveletter", names), "twelveletter");
    assert_null(text_nearest("xxxxxeletter", names));
}

static void utf8_sequences(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        size_t len, seq;
    } cases[] = {
            {"", 0, 0},
            {"a", 1, 1},
            {"\0", 1, 1},
            {"\xc3\xa9", 2, 2},
            {"\xe2\x82\xac", 3, 3},
            {"\xf0\x9f\x98\x80", 4, 4},
            {"\xf4\x8f\xbf\xbf", 4, 4},
            {"\xc3", 1, 0},             /* half */
            {"\xe2\x82", 2, 0},         /* two of three */
            {"\xf0\x9f\x98", 3, 0},     /* three of four */
            {"\x80", 1, 0},             /* continuation */
            {"\xc0\x80", 2, 0},         /* overlong */
            {"\xe0\x9f\xbf", 3, 0},     /* overlong */
            {"\xf0\x8f\xbf\xbf", 4, 0}, /* overlong */
            {"\xed\xa0\x80", 3, 0},     /* surrogate */
            {"\xf4\x90\x80\x80", 4, 0}, /* past U+10FFFF */
            {"\xff", 1, 0},
            {"\xc3\x28", 2, 0},
            {"\xe2\x82\x28", 3, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(text_utf8_seq(cases[i].data, cases[i].len), cases[i].seq);
}

static void utf8_cut(void **state)
{
    (void)state;
    static const char text[] =
            "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"; /* 1, 2, 3, 4 and 1 bytes */
    static const size_t cuts[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (size_t max = 0; max < COUNT(cuts); max++)
        assert_int_equal(text_utf8_cut(text, 11, max), cuts[max]);

    assert_int_equal(text_utf8_cut("\x80\x80\x80\x80\x80", 5, 3), 3);
    assert_int_equal(text_utf8_cut("a\xe2\x82zz", 5, 2), 2);
    assert_int_equal(text_utf8_cut("a\xe2\x82", 3, 2), 2);
    assert_int_equal(text_utf8_cut("a\xe2\x82", 3, 3), 3);
    assert_int_equal(text_utf8_cut(NULL, 0, 3), 0);
}

static void what_is_written_is_cut_at_a_character(void **state)
{
    (void)state;
    char text[8];
    struct text_writer out = {.text = text, .size = 7};
    text_write(&out, "%s", "");
    assert_string_equal(text, "");
    text_write(&out, "%d: ", 12);
    text_write(&out, "%s", "ab");
    assert_string_equal(text, "12: ab");
    assert_int_equal(out.len, 6);
    text_write(&out, "c");
    assert_string_equal(text, "12: ab");

    text[7] = '#';
    out = (struct text_writer){.text = text, .size = 7};
    text_write(&out, "1234");
    text_write(&out, "5\xe2\x82\xac"); /* of three bytes, one too many */
    assert_string_equal(text, "12345");
    text_write(&out, "6");
    assert_string_equal(text, "12345");
    assert_int_equal(text[7], '#');

    out = (struct text_writer){.text = text, .size = 1};
    text_write(&out, "\xe2\x82\xac");
    assert_string_equal(text, "");
}

static void names_that_have_no_room_are_an_ellipsis(void **state)
{
    (void)state;
    char text[16];
    struct text_writer out = {.text = text, .size = 15};
    assert_true(text_write_name(&out, "ask"));
    assert_string_equal(text, "ask");
    assert_true(text_write_name(&out, "code"));
    assert_string_equal(text, "ask, code");
    text[15] = '#';
    assert_false(text_write_name(&out, "x"));
    assert_string_equal(text, "ask, code, …");
    assert_false(text_write_name(&out, "x"));
    assert_string_equal(text, "ask, code, …");
    assert_int_equal(text[15], '#');

    out = (struct text_writer){.text = text, .size = 15};
    assert_true(text_write_name(&out, "123456789")); /* as long as one may be … */
    out = (struct text_writer){.text = text, .size = 15};
    assert_false(text_write_name(&out, "1234567890")); /* … and a letter more */
    assert_string_equal(text, "…");
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(sizes),
            cmocka_unit_test(bad_sizes),
            cmocka_unit_test(tokens_are_read_and_written),
            cmocka_unit_test(durations),
            cmocka_unit_test(bad_durations),
            cmocka_unit_test(whole_numbers),
            cmocka_unit_test(sizes_for_people),
            cmocka_unit_test(ages_for_people),
            cmocka_unit_test(addresses),
            cmocka_unit_test(bad_addresses),
            cmocka_unit_test(long_hosts),
            cmocka_unit_test(nearest_name),
            cmocka_unit_test(nearest_has_limits),
            cmocka_unit_test(utf8_sequences),
            cmocka_unit_test(utf8_cut),
            cmocka_unit_test(what_is_written_is_cut_at_a_character),
            cmocka_unit_test(names_that_have_no_room_are_an_ellipsis),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
