#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base64url.h"

#include <string.h>

enum { DATA_MAX = 64 };

static bool decodes(const char *text, size_t len)
{
    uint8_t data[DATA_MAX];
    size_t data_len;
    return base64url_decode(text, len, data, sizeof(data), &data_len);
}

static void the_standard_s_examples_hold(void **state)
{
    /* RFC 4648, section 10, without padding; and one with both letters that base64 has not. */
    static const char *const examples[][2] = {{"", ""}, {"f", "Zg"}, {"fo", "Zm8"}, {"foo", "Zm9v"},
            {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"},
            {"\xfb\xff\xbf", "-_-_"}};
    (void)state;
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        const char *plain = examples[i][0], *expected = examples[i][1];
        char text[DATA_MAX];
        uint8_t data[DATA_MAX];
        size_t len;
        base64url_encode(plain, strlen(plain), text);
        assert_string_equal(text, expected);
        assert_int_equal(strlen(text), BASE64URL_LEN(strlen(plain)));
        assert_true(base64url_decode(expected, strlen(expected), data, sizeof(data), &len));
        assert_int_equal(len, strlen(plain));
        assert_memory_equal(data, plain, len);
    }
}

static void only_its_64_letters_are_taken(void **state)
{
    static const char letters[] =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        char text[] = {(char)c, (char)c, (char)c, (char)c};
        bool is_letter = c != 0 && strchr(letters, (int)c);
        assert_int_equal(decodes(text, sizeof(text)), is_letter);
    }
}

static void one_run_of_bytes_has_one_text(void **state)
{
    static const char *const others[] = {
            "Z", "Zg=", "Zg==", "Zh", "Zm9", "Zm9vY", " Zg", "Zg\n", "Z g", "Zm9v\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(decodes(others[i], strlen(others[i])));
    assert_false(decodes("Zg\0", 3));
}

static void no_more_bytes_are_written_than_there_is_room(void **state)
{
    uint8_t data[] = {1, 2, 3, 4};
    size_t len = 9;
    (void)state;
    assert_false(base64url_decode("Zm9vYg", 6, data, 3, &len));
    assert_int_equal(data[3], 4);
    assert_int_equal(len, 9);
    assert_true(base64url_decode("Zm9v", 4, data, 3, &len));
    assert_int_equal(len, 3);
    assert_int_equal(data[3], 4);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_standard_s_examples_hold),
            cmocka_unit_test(only_its_64_letters_are_taken),
            cmocka_unit_test(one_run_of_bytes_has_one_text),
            cmocka_unit_test(no_more_bytes_are_written_than_there_is_room),
    };
    return cmocka_run_group_tests_name("base64url", tests, NULL, NULL);
}
