#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/slots/slot_key.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const no_words[] = {NULL};
static const char *const no_variables[] = {NULL};

struct fixture {
    char dir[32], adapter[64], word[PATH_MAX];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    strcpy(f->dir, "/tmp/slot-key-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->adapter, sizeof(f->adapter), "%s/a=1,b:2.gguf", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    (void)unlink(f->adapter);
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

static void write_file(const char *path, off_t size, long nanoseconds)
{
    const struct timespec times[2] = {{.tv_sec = 1800000000, .tv_nsec = nanoseconds},
            {.tv_sec = 1800000000, .tv_nsec = nanoseconds}};
    int fd = open(path, O_CREAT | O_WRONLY, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static bool same_key(const char *const *words, const char *const *variables,
        const char *const *other_words, const char *const *other_variables)
{
    char key[SLOT_KEY_MAX], other[SLOT_KEY_MAX];

    slot_key_make("start", words, variables, key);
    slot_key_make("start", other_words, other_variables, other);
    return strcmp(key, other) == 0;
}

static void key_of_word(const char *word, char *ret_key)
{
    const char *const words[] = {"engine", "--option", word, NULL};

    slot_key_make("start", words, no_variables, ret_key);
}

static void key_of_variable(const char *variable, char *ret_key)
{
    const char *const variables[] = {variable, NULL};

    slot_key_make("start", no_words, variables, ret_key);
}

/* It names a folder. */
static void test_a_key_is_a_name(void **state)
{
    char key[SLOT_KEY_MAX];

    (void)state;
    key_of_word("--parallel", key);
    assert_int_equal(strlen(key), SLOT_KEY_MAX - 1);
    assert_int_equal(strspn(key, "0123456789abcdef"), SLOT_KEY_MAX - 1);
}

static void test_the_start_counts(void **state)
{
    char key[SLOT_KEY_MAX], other[SLOT_KEY_MAX];

    (void)state;
    slot_key_make("one", no_words, no_variables, key);
    slot_key_make("one", no_words, no_variables, other);
    assert_string_equal(key, other);
    slot_key_make("other", no_words, no_variables, other);
    assert_string_not_equal(key, other);
}

/* They are part of how it is started, and a socket's name is another each time. */
static void test_words_that_name_no_file_do_not_count(void **state)
{
    const char *const words[] = {"engine", "--host", "/nowhere/engine-1.sock", "/", "", NULL};

    (void)state;
    assert_true(same_key(words, no_variables, no_words, no_variables));
}

static void test_options_in_variables_count(void **state)
{
    const char *const one[] = {"LLAMA_ARG_ROPE_FREQ_BASE=10000", NULL};
    const char *const other[] = {"LLAMA_ARG_ROPE_FREQ_BASE=20000", NULL};
    const char *const two[] = {"LLAMA_ARG_ROPE_FREQ_BASE=10000", "LLAMA_ARG_SWA_FULL=1", NULL};

    (void)state;
    assert_true(same_key(no_words, one, no_words, one));
    assert_false(same_key(no_words, one, no_words, no_variables));
    assert_false(same_key(no_words, one, no_words, other));
    assert_false(same_key(no_words, one, no_words, two));
}

static void test_other_variables_do_not_count(void **state)
{
    const char *const others[] = {"HOME=/root", "XLLAMA_ARG_N=1", "LLAMA_ARG", NULL};

    (void)state;
    assert_true(same_key(no_words, others, no_words, no_variables));
}

static void test_the_order_of_variables_does_not_count(void **state)
{
    const char *const one[] = {
            "LLAMA_ARG_B=1", "HOME=/root", "LLAMA_ARG_A=2", "LLAMA_ARG_C=3", NULL};
    const char *const other[] = {"LLAMA_ARG_C=3", "LLAMA_ARG_A=2", "LLAMA_ARG_B=1", NULL};

    (void)state;
    assert_true(same_key(no_words, one, no_words, other));
}

/* The same text over another border is another key. */
static void test_borders_count(void **state)
{
    const char *const one[] = {"LLAMA_ARG_A=1", "LLAMA_ARG_B=2", NULL};
    const char *const other[] = {"LLAMA_ARG_A=1LLAMA_ARG_B=2", NULL};

    (void)state;
    assert_false(same_key(no_words, one, no_words, other));
}

static void expect_file_counts(
        struct fixture *f, const char *word, void (*make)(const char *, char *))
{
    char gone[SLOT_KEY_MAX], key[SLOT_KEY_MAX], other[SLOT_KEY_MAX], aside[sizeof(f->adapter) + 8];

    make(word, gone);
    write_file(f->adapter, 100, 1);
    make(word, key);
    assert_string_not_equal(gone, key);
    make(word, other);
    assert_string_equal(key, other);
    write_file(f->adapter, 101, 1);
    make(word, other);
    assert_string_not_equal(key, other);
    write_file(f->adapter, 100, 2);
    make(word, other);
    assert_string_not_equal(key, other);
    write_file(f->adapter, 100, 1);
    make(word, other);
    assert_string_equal(key, other);

    snprintf(aside, sizeof(aside), "%s.old", f->adapter);
    assert_int_equal(rename(f->adapter, aside), 0);
    write_file(f->adapter, 100, 1); /* while that is there, it is another inode */
    make(word, other);
    assert_string_not_equal(key, other);
    assert_int_equal(unlink(aside), 0);
    assert_int_equal(unlink(f->adapter), 0);
}

/* Before the path, and behind it. */
static const char *const forms[][2] = {{"", ""}, {"", ":0.5"}, {"FILE=", ""}, {"FILE=", ":-1"}};
static const char *const list_forms[][2] = {
        {"/nowhere:1,", ":0.5"}, {"FILE=/nowhere,", ""}, {"", ",/nowhere"}};

static void expect_form_counts(struct fixture *f, const char *const form[2])
{
    snprintf(f->word, sizeof(f->word), "%s%s%s", form[0], f->adapter, form[1]);
    expect_file_counts(f, f->word, key_of_word);
}

static void test_files_of_words_count(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        expect_form_counts(f, forms[i]);
    snprintf(f->adapter, sizeof(f->adapter), "%s/a=1;b:2.gguf", f->dir); /* no list has a comma */
    for (size_t i = 0; i < sizeof(list_forms) / sizeof(list_forms[0]); i++)
        expect_form_counts(f, list_forms[i]);
}

static void test_files_of_variables_count(void **state)
{
    struct fixture *f = *state;

    snprintf(f->word, sizeof(f->word), "LLAMA_ARG_MMPROJ=%s", f->adapter);
    expect_file_counts(f, f->word, key_of_variable);
}

static void test_a_list_counts_each_file(void **state)
{
    struct fixture *f = *state;
    char second[64], key[SLOT_KEY_MAX], other[SLOT_KEY_MAX];

    snprintf(f->adapter, sizeof(f->adapter), "%s/a", f->dir);
    snprintf(second, sizeof(second), "%s/b", f->dir);
    snprintf(f->word, sizeof(f->word), "%s,%s,", f->adapter, second);
    write_file(f->adapter, 1, 1);
    write_file(second, 1, 1);
    key_of_word(f->word, key);
    write_file(f->adapter, 2, 1);
    key_of_word(f->word, other);
    assert_string_not_equal(key, other);
    write_file(f->adapter, 1, 1);
    write_file(second, 2, 1);
    key_of_word(f->word, other);
    assert_string_not_equal(key, other);
    write_file(second, 1, 1);
    key_of_word(f->word, other);
    assert_string_equal(key, other);
    assert_int_equal(unlink(second), 0);
}

/* One byte more than a path may have. */
static void test_long_words_name_no_file(void **state)
{
    char word[PATH_MAX + 1];

    (void)state;
    memset(word, '/', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    assert_true(same_key((const char *const[]){word, NULL}, no_variables, no_words, no_variables));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_a_key_is_a_name),
            TEST(test_the_start_counts),
            TEST(test_words_that_name_no_file_do_not_count),
            TEST(test_options_in_variables_count),
            TEST(test_other_variables_do_not_count),
            TEST(test_the_order_of_variables_does_not_count),
            TEST(test_borders_count),
            TEST(test_files_of_words_count),
            TEST(test_files_of_variables_count),
            TEST(test_a_list_counts_each_file),
            TEST(test_long_words_name_no_file),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("slot_key", tests, NULL, NULL);
}
