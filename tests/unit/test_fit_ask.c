#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/fit/fit_ask.h"

#include <errno.h>
#include <string.h>

enum { WORDS_MAX = 16 };

/* `words` are cut at blanks. */
static int read_words(const char *words, struct fit_ask *ret_ask, struct err *err)
{
    static char text[256];
    char *argv[WORDS_MAX] = {"modemesh", "fit"};
    struct command_line line;
    int argc = 2;

    assert_true(strlen(words) < sizeof text);
    strcpy(text, words);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    assert_int_equal(command_parse(&cli_commands, argc, argv, &line, err), 0);
    return fit_ask_read(&line, ret_ask, err);
}

static struct fit_ask ask(const char *words)
{
    struct fit_ask ret;
    struct err err;

    assert_int_equal(read_words(words, &ret, &err), 0);
    return ret;
}

static void expect_refused(const char *words, const char *flag, const char *value)
{
    struct fit_ask untouched;
    struct err err;

    memset(&untouched, 0x55, sizeof untouched);
    assert_int_equal(read_words(words, &untouched, &err), -EINVAL);
    assert_non_null(strstr(err.text, flag));
    assert_non_null(strstr(err.text, value));
    assert_int_equal(untouched.slots, 0x55555555);
}

static void has_the_usual_contexts(void **state)
{
    struct fit_ask got = ask("");

    (void)state;
    assert_int_equal(got.context_count, 3);
    assert_int_equal(got.contexts[0], 8192);
    assert_int_equal(got.contexts[1], 32768);
    assert_int_equal(got.contexts[2], 131072);
    assert_int_equal(got.together, 32768);
    assert_int_equal(got.slots, 1);
    assert_int_equal(got.type, CACHE_TYPE_F16);
    assert_false(got.memory_given);
    assert_true(got.memory_bytes > 64u << 20); /* of the host that runs this test */
}

static void takes_what_is_given(void **state)
{
    struct fit_ask got = ask("--context 1M,40960,8K,8192 --slots 4 --kv Q8_0 --memory 96G");

    (void)state;
    assert_int_equal(got.context_count, 3);
    assert_int_equal(got.contexts[0], 8192);
    assert_int_equal(got.contexts[1], 40960);
    assert_int_equal(got.contexts[2], 1048576);
    assert_int_equal(got.together, 40960);
    assert_int_equal(got.slots, 4);
    assert_int_equal(got.type, CACHE_TYPE_Q8_0);
    assert_true(got.memory_given);
    assert_int_equal(got.memory_bytes, UINT64_C(96) << 30);
    assert_int_equal(ask("--context 64k").together, 65536);
    assert_int_equal(ask("--context 8k,16k").together, 16384);
    assert_int_equal(ask("--together 4k").together, 4096);
    assert_int_equal(ask("--context 1k,2k,3k,4k,5k,6k,7k,8k").context_count, FIT_CONTEXTS_MAX);
    assert_int_equal(ask("--context 16M").contexts[0], FIT_CONTEXT_MAX);
}

static void names_what_is_wrong(void **state)
{
    (void)state;
    expect_refused("--context 8kk", "--context", "\"8kk\"");
    expect_refused("--context 8k,", "--context", "\"\"");
    expect_refused("--context 0", "--context", "\"0\"");
    expect_refused("--context 17M", "--context", "from 1 to 16M");
    expect_refused("--context 8kB", "--context", "\"8kB\"");
    expect_refused("--context 99999999999999999999", "--context", "8k");
    expect_refused("--context 1,2,3,4,5,6,7,8,9", "--context", "more than 8");
    expect_refused("--together long", "--together", "\"long\"");
    expect_refused("--slots 0", "--slots", "1 to 1024");
    expect_refused("--slots 1025", "--slots", "\"1025\"");
    expect_refused("--memory 96GG", "--memory", "\"96GG\"");
    expect_refused("--memory 96", "--memory", "96G");
    expect_refused("--kv q9", "--kv", "q8_0, q5_1");
}

static void expect_written(uint32_t tokens, const char *wanted)
{
    char buf[16];

    assert_string_equal(fit_ask_context(tokens, buf, sizeof buf), wanted);
}

static void writes_contexts_as_people_do(void **state)
{
    (void)state;
    expect_written(8192, "8k");
    expect_written(1048576, "1M");
    expect_written(1536 * 1024, "1536k");
    expect_written(40961, "40961");
    expect_written(0, "0");
}

static void a_run_has_all_of_it(void **state)
{
    struct fit_ask got = ask("--slots 3 --kv q4_0");
    struct model_run run = fit_ask_run(&got, 512);

    (void)state;
    assert_int_equal(run.context, 512);
    assert_int_equal(run.sequences, 3);
    assert_int_equal(run.type_k, CACHE_TYPE_Q4_0);
    assert_int_equal(run.type_v, CACHE_TYPE_Q4_0);
    assert_false(run.unified);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(has_the_usual_contexts),
            cmocka_unit_test(takes_what_is_given),
            cmocka_unit_test(names_what_is_wrong),
            cmocka_unit_test(writes_contexts_as_people_do),
            cmocka_unit_test(a_run_has_all_of_it),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("fit_ask", tests, NULL, NULL);
}
