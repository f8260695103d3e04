#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/terminal.h"

#include <string.h>

static void assert_stripped(const char *in, const char *out)
{
    char text[64];
    size_t len;

    strcpy(text, in);
    len = terminal_strip(text, strlen(text));
    text[len] = '\0';
    assert_string_equal(text, out);
}

static void strips_what_moves_a_terminal(void **state)
{
    (void)state;
    assert_stripped("plain\n\ttext grün 日本", "plain\n\ttext grün 日本");
    assert_stripped("a\033[31mb\r\007\177", "a[31mb");
    assert_stripped("a\302\233"
                    "31m\302\240",
            "a31m\302\240");
    assert_stripped("\302\033\2331m", "1m");
    assert_stripped("\302", "\302");
    assert_int_equal(terminal_strip((char[]){'\0', 'a'}, 2), 1);
}

static void a_line_stays_one(void **state)
{
    char buf[16];

    (void)state;
    assert_string_equal(terminal_line("halo1", buf, sizeof(buf)), "halo1");
    assert_string_equal(terminal_line("a\nphrase\tb", buf, sizeof(buf)), "a phrase b");
    assert_string_equal(terminal_line("\033[2Jx\302\233y\r", buf, sizeof(buf)), "[2Jxy");
    assert_string_equal(terminal_line("0123456789abcdefgh", buf, sizeof(buf)), "0123456789abcde");
    assert_string_equal(terminal_line("", buf, sizeof(buf)), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(strips_what_moves_a_terminal),
            cmocka_unit_test(a_line_stays_one),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_terminal", tests, NULL, NULL);
}
