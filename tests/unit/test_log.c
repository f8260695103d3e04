#include "common/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Standard error becomes a datagram socket: one write is one datagram. */
struct capture {
    int sockets[2], saved_stderr;
    char line[2 * LOG_LINE_MAX];
};

static void capture_start(struct capture *cap)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, cap->sockets), 0);
    cap->saved_stderr = dup(STDERR_FILENO);
    assert_true(cap->saved_stderr >= 0);
    assert_int_equal(dup2(cap->sockets[1], STDERR_FILENO), STDERR_FILENO);
}

/* Returns how many lines were written; the last one is in `cap->line`. */
static int capture_stop(struct capture *cap)
{
    int count = 0;
    ssize_t n;
    dup2(cap->saved_stderr, STDERR_FILENO);
    while ((n = recv(cap->sockets[0], cap->line, sizeof(cap->line) - 1, MSG_DONTWAIT)) >= 0) {
        cap->line[n] = '\0';
        count++;
    }
    close(cap->saved_stderr);
    close(cap->sockets[0]);
    close(cap->sockets[1]);
    return count;
}

/* What stands behind the time. */
static const char *rest(const struct capture *cap)
{
    const char *space = strchr(cap->line, ' ');
    assert_non_null(space);
    return space + 1;
}

static int set_up(void **state)
{
    (void)state;
    unsetenv("JOURNAL_STREAM");
    log_init("test", LOG_LEVEL_INFO);
    return 0;
}

static void one_line_in_one_write_with_time(void **state)
{
    (void)state;
    struct capture cap;
    regex_t re;
    capture_start(&cap);
    log_info("node joined", LOG_S("node", "box-1"), LOG_U("slots", 4));
    assert_int_equal(capture_stop(&cap), 1);

    const char *pattern = "^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
                          "[.][0-9]{3}Z info node joined prog=test node=box-1 slots=4\n$";
    assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    assert_int_equal(regexec(&re, cap.line, 0, NULL, 0), 0);
    regfree(&re);
}

static void all_types_are_printed(void **state)
{
    (void)state;
    struct capture cap;
    capture_start(&cap);
    log_error("e", LOG_S("none", NULL), LOG_I("i", INT64_MIN), LOG_U("u", UINT64_MAX),
            LOG_F("f", 0.25), LOG_F("inf", INFINITY));
    assert_int_equal(capture_stop(&cap), 1);
    assert_string_equal(rest(&cap), "error e prog=test none=- i=-9223372036854775808 "
                                    "u=18446744073709551615 f=0.25 inf=inf\n");
}

static void foreign_text_forges_nothing(void **state)
{
    (void)state;
    struct capture cap;
    capture_start(&cap);
    log_warn("peer", LOG_S("a", "x key=y"), LOG_S("b", "q\"\\"), LOG_S("c", "1\n<0>error"),
            LOG_S("d", ""), LOG_S("e", "k=v"), LOG_S("f", "\x1b[2J\x7f\t"));
    assert_int_equal(capture_stop(&cap), 1);
    assert_string_equal(rest(&cap), "warn peer prog=test a=\"x key=y\" b=\"q\\\"\\\\\" "
                                    "c=\"1\\n<0>error\" d=\"\" e=\"k=v\" f=\"\\x1b[2J\\x7f\\t\"\n");
}

static void only_good_utf8_passes(void **state)
{
    (void)state;
    struct capture cap;
    capture_start(&cap);
    log_warn("peer", LOG_S("good", "Zoë日"), LOG_S("control", "\xc2\x9b"), LOG_S("broken", "a\xff"),
            LOG_S("half", "\xe6\x97"));
    assert_int_equal(capture_stop(&cap), 1);
    assert_string_equal(rest(&cap), "warn peer prog=test good=Zoë日 control=\"\\xc2\\x9b\" "
                                    "broken=\"a\\xff\" half=\"\\xe6\\x97\"\n");
}

static void long_line_is_cut_at_a_character(void **state)
{
    (void)state;
    struct capture cap;
    static char big[3 * LOG_LINE_MAX + 1];
    for (size_t i = 0; i + 1 < sizeof(big); i++)
        big[i] = "é"[i % 2];
    for (size_t shift = 0; shift < 2; shift++) {
        capture_start(&cap);
        log_warn(shift ? "xx" : "x", LOG_S("big", big), LOG_S("next", "lost"));
        assert_int_equal(capture_stop(&cap), 1);
        size_t len = strlen(cap.line);
        assert_in_range(len, LOG_LINE_MAX - 1, LOG_LINE_MAX);
        assert_string_equal(cap.line + len - 6, "é…\n");
        assert_null(strstr(cap.line, "lost"));
    }
}

static void level_filters(void **state)
{
    (void)state;
    struct capture cap;
    log_init("test", LOG_LEVEL_WARN);
    capture_start(&cap);
    log_info("no", LOG_I("n", 1));
    log_debug("no", LOG_I("n", 1));
    log_warn("yes", LOG_I("n", 1));
    assert_int_equal(capture_stop(&cap), 1);
    assert_true(log_enabled(LOG_LEVEL_ERROR));
    assert_false(log_enabled(LOG_LEVEL_INFO));

    log_init("test", LOG_LEVEL_DEBUG);
    capture_start(&cap);
    log_debug("yes", LOG_I("n", 1));
    assert_int_equal(capture_stop(&cap), 1);
    assert_string_equal(rest(&cap), "debug yes prog=test n=1\n");
}

static void journal_gets_priorities_and_no_time(void **state)
{
    (void)state;
    static const char *const lines[] = {"<3>error e prog=test n=0\n", "<4>warn e prog=test n=1\n",
            "<6>info e prog=test n=2\n", "<7>debug e prog=test n=3\n"};
    for (unsigned level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
        struct capture cap;
        struct stat st;
        char stream[64];
        capture_start(&cap);
        (void)fstat(STDERR_FILENO, &st);
        (void)snprintf(
                stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
        setenv("JOURNAL_STREAM", stream, 1);
        log_init("test", LOG_LEVEL_DEBUG);
        log_write((enum log_level)level, "e", LOG_FIELDS(LOG_U("n", level)));
        assert_int_equal(capture_stop(&cap), 1);
        assert_string_equal(cap.line, lines[level]);
    }
}

static void redirected_stderr_is_no_journal(void **state)
{
    (void)state;
    static const char *const streams[] = {"1:1", "", "nonsense", "8:"};
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        struct capture cap;
        capture_start(&cap);
        setenv("JOURNAL_STREAM", streams[i], 1);
        log_init("test", LOG_LEVEL_INFO);
        log_info("e", LOG_I("n", 1));
        assert_int_equal(capture_stop(&cap), 1);
        assert_memory_equal(cap.line, "20", 2);
    }
}

static void writing_keeps_errno_also_where_it_fails(void **state)
{
    (void)state;
    int saved_stderr = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    errno = ERANGE;
    log_info("lost", LOG_I("n", 1));
    int kept = errno;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    assert_int_equal(kept, ERANGE);
}

static void levels_have_names(void **state)
{
    (void)state;
    enum log_level level = LOG_LEVEL_WARN;
    assert_int_equal(log_level_parse("debug", &level), 0);
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    assert_int_equal(log_level_parse("error", &level), 0);
    assert_int_equal(level, LOG_LEVEL_ERROR);
    assert_int_equal(log_level_parse("verbose", &level), -EINVAL);
    assert_int_equal(log_level_parse("", &level), -EINVAL);
    assert_int_equal(level, LOG_LEVEL_ERROR);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(one_line_in_one_write_with_time, set_up),
            cmocka_unit_test_setup(all_types_are_printed, set_up),
            cmocka_unit_test_setup(foreign_text_forges_nothing, set_up),
            cmocka_unit_test_setup(only_good_utf8_passes, set_up),
            cmocka_unit_test_setup(long_line_is_cut_at_a_character, set_up),
            cmocka_unit_test_setup(level_filters, set_up),
            cmocka_unit_test_setup(journal_gets_priorities_and_no_time, set_up),
            cmocka_unit_test_setup(redirected_stderr_is_no_journal, set_up),
            cmocka_unit_test_setup(writing_keeps_errno_also_where_it_fails, set_up),
            cmocka_unit_test_setup(levels_have_names, set_up),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
