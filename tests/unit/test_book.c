#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/book.h"
#include "common/file.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A list of boats. */
struct boat {
    char name[8];
    uint64_t sails;
    int64_t built_ms;
    bool sunk;
    unsigned colours;
};

static bool lower_case(const char *text)
{
    return *text && strspn(text, "abcdefghijklmnopqrstuvwxyz") == strlen(text);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct boat *)a)->name, ((const struct boat *)b)->name);
}

static const char *const colours[] = {"red", "green", "blue", NULL};

static const struct book_field fields[] = {
        {.name = "name",
                .type = BOOK_TEXT,
                .offset = offsetof(struct boat, name),
                .size = sizeof(((struct boat *)NULL)->name),
                .valid = lower_case,
                .form = "1 to 7 letters"},
        {.name = "sails",
                .type = BOOK_NUMBER,
                .offset = offsetof(struct boat, sails),
                .min = 1,
                .max = 9,
                .form = "a number from 1 to 9"},
        {.name = "built_ms",
                .type = BOOK_NUMBER,
                .optional = true,
                .offset = offsetof(struct boat, built_ms),
                .form = "a time"},
        {.name = "sunk",
                .type = BOOK_FLAG,
                .optional = true,
                .offset = offsetof(struct boat, sunk),
                .form = "true or false"},
        {.name = "colours",
                .type = BOOK_WORDS,
                .offset = offsetof(struct boat, colours),
                .words = colours,
                .form = "colours"},
};

static const struct book_format boats = {
        .list = "boats",
        .entry = "boat",
        .counter = "next",
        .fields = fields,
        .field_count = sizeof(fields) / sizeof(fields[0]),
        .entry_size = sizeof(struct boat),
        .max_entries = 3,
        .max_bytes = 4096,
        .order = by_name,
};

struct fixture {
    struct scratch scratch;
    struct book_list list;
    struct err err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    if (!f)
        return -1;
    scratch_init(&f->scratch);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    book_list_fini(&f->list);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

static const char *path_of(struct fixture *f)
{
    return scratch_path(&f->scratch, "boats.json");
}

static int read_text(struct fixture *f, const char *text)
{
    book_list_fini(&f->list);
    scratch_write(&f->scratch, "boats.json", text);
    return book_read(&boats, path_of(f), &f->list, &f->err);
}

static const struct boat *boat_at(struct fixture *f, size_t index)
{
    return (const struct boat *)f->list.entries + index;
}

static int add(struct fixture *f, struct boat boat)
{
    struct book_list next;
    assert_int_equal(book_copy(&boats, &f->list, &next, &f->err), 0);
    ((struct boat *)next.entries)[next.count++] = boat;
    next.counter++;
    return book_commit(&boats, path_of(f), &f->list, &next, &f->err);
}

static struct boat sound(const char *name)
{
    struct boat boat = {.sails = 2, .colours = 5};
    (void)snprintf(boat.name, sizeof(boat.name), "%s", name);
    return boat;
}

/* --- reading --- */

static void a_missing_file_is_an_empty_list(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(book_read(&boats, path_of(f), &f->list, &f->err), 0);
    assert_int_equal(f->list.count, 0);
    assert_int_equal(f->list.counter, 0);
}

static void every_type_is_read(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
            read_text(f,
                    "{\"version\":1,\"boats\":[{\"colours\":[\"blue\",\"red\"],\"sails\":9,"
                    "\"name\":\"argo\",\"sunk\":true,\"built_ms\":9007199254740991}],\"next\":7}"),
            0);
    assert_int_equal(f->list.count, 1);
    assert_int_equal(f->list.counter, 7);
    assert_string_equal(boat_at(f, 0)->name, "argo");
    assert_int_equal(boat_at(f, 0)->sails, 9);
    assert_int_equal(boat_at(f, 0)->built_ms, 9007199254740991);
    assert_true(boat_at(f, 0)->sunk);
    assert_int_equal(boat_at(f, 0)->colours, 5);
}

struct bad {
    const char *text, *complaint;
};

static void assert_refused(struct fixture *f, const char *text, const char *complaint)
{
    assert_int_equal(read_text(f, text), -EINVAL);
    assert_null(f->list.entries);
    if (!strstr(f->err.text, complaint) || !strstr(f->err.text, "boats.json: "))
        fail_msg("\"%s\" does not say \"%s\"", f->err.text, complaint);
}

static void a_file_of_another_form_is_refused(void **state)
{
    static const struct bad bad[] = {
            {"", "line 1, column 1"},
            {"{\"version\":1,\n\"boats\":[}", "line 2, column 10"},
            {"[]", "it is no object"},
            {"{\"next\":1,\"boats\":[]}", "\"version\" is not 1"},
            {"{\"version\":2,\"next\":1,\"boats\":[]}", "\"version\" is not 1"},
            {"{\"version\":\"1\",\"next\":1,\"boats\":[]}", "\"version\" is not 1"},
            {"{\"version\":1,\"boats\":[]}", "\"next\" is not a whole number"},
            {"{\"version\":1,\"next\":-1,\"boats\":[]}", "\"next\" is not a whole number"},
            {"{\"version\":1,\"next\":1}", "\"boats\" is not a list"},
            {"{\"version\":1,\"next\":1,\"boats\":{}}", "\"boats\" is not a list"},
            {"{\"version\":1,\"next\":1,\"boats\":[],\"ships\":[]}", "\"ships\" is unknown"},
            {"{\"version\":1,\"next\":1,\"boats\":[],\"boats\":[]}", "\"boats\" twice"},
            {"{\"version\":1,\"next\":1,\"boats\":[0,0,0,0]}", "has 4 entries; at most 3"},
            {"{\"version\":1,\"next\":1,\"boats\":[3]}", "boat 1: it is no object"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_refused(*state, bad[i].text, bad[i].complaint);
}

static void a_bad_entry_is_named(void **state)
{
    static const struct bad bad[] = {
            {"\"sails\":1,\"colours\":[\"red\"]", "its \"name\" is missing"},
            {"\"name\":\"b\",\"sails\":1", "its \"colours\" is missing"},
            {"\"name\":\"b\",\"name\":\"b\"", "it has \"name\" twice"},
            {"\"nam\":\"b\"", "its field \"nam\" is unknown"},
            {"\"name\":\"\"", "its \"name\" is not 1 to 7 letters"},
            {"\"name\":\"B\"", "its \"name\" is not 1 to 7 letters"},
            {"\"name\":\"abcdefgh\"", "its \"name\" is not 1 to 7 letters"},
            {"\"name\":7", "its \"name\" is not 1 to 7 letters"},
            {"\"sails\":0", "its \"sails\" is not a number from 1 to 9"},
            {"\"sails\":10", "its \"sails\" is not a number"},
            {"\"sails\":1.5", "its \"sails\" is not a number"},
            {"\"sails\":-1", "its \"sails\" is not a number"},
            {"\"sails\":\"1\"", "its \"sails\" is not a number"},
            {"\"sails\":1e400", "its \"sails\" is not a number"},
            {"\"built_ms\":9007199254740993", "its \"built_ms\" is not a time"},
            {"\"sunk\":1", "its \"sunk\" is not true or false"},
            {"\"sunk\":null", "its \"sunk\" is not true or false"},
            {"\"colours\":[]", "its \"colours\" is not colours"},
            {"\"colours\":\"red\"", "its \"colours\" is not colours"},
            {"\"colours\":[\"pink\"]", "its \"colours\" is not colours"},
            {"\"colours\":[1]", "its \"colours\" is not colours"},
            {"\"colours\":[\"red\",\"red\"]", "its \"colours\" is not colours"},
    };
    static const char good[] = "{\"name\":\"a\",\"sails\":1,\"colours\":[\"red\"]}";
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[512], complaint[128];
        (void)snprintf(text, sizeof(text), "{\"version\":1,\"next\":1,\"boats\":[%s,{%s}]}", good,
                bad[i].text);
        (void)snprintf(complaint, sizeof(complaint), "boat 2: %s", bad[i].complaint);
        assert_refused(*state, text, complaint);
    }
}

static void limits_hold(void **state)
{
    struct fixture *f = *state;
    char text[5000];
    memset(text, ' ', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(read_text(f, text), -EFBIG);
    assert_int_equal(read_text(f, "{\"version\":1,\"next\":1,\"boats\":[{\"colours\":[[[1]]]}]}"),
            -EMSGSIZE);
    assert_non_null(strstr(f->err.text, "nested"));
}

static void a_file_that_others_can_write_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(add(f, sound("argo")), 0);
    assert_int_equal(chmod(path_of(f), 0660), 0);
    book_list_fini(&f->list);
    assert_int_equal(book_read(&boats, path_of(f), &f->list, &f->err), -EPERM);
}

/* --- changing --- */

static void what_is_written_is_read_again(void **state)
{
    struct fixture *f = *state;
    struct boat sunk = sound("ursula");
    struct stat st;
    sunk.sunk = true;
    sunk.built_ms = 1700000000123;
    assert_int_equal(add(f, sunk), 0);
    assert_int_equal(add(f, sound("argo")), 0);
    assert_int_equal(stat(path_of(f), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    book_list_fini(&f->list);
    assert_int_equal(book_read(&boats, path_of(f), &f->list, &f->err), 0);
    assert_int_equal(f->list.count, 2);
    assert_int_equal(f->list.counter, 2);
    assert_string_equal(boat_at(f, 0)->name, "argo");
    assert_string_equal(boat_at(f, 1)->name, "ursula");
    assert_true(boat_at(f, 1)->sunk);
    assert_int_equal(boat_at(f, 1)->built_ms, 1700000000123);
}

static void the_file_has_a_line_for_each_entry_in_order(void **state)
{
    struct fixture *f = *state;
    char *text;
    size_t len;
    assert_int_equal(add(f, sound("ursula")), 0);
    assert_int_equal(add(f, sound("argo")), 0);
    assert_int_equal(file_read(path_of(f), 4096, &text, &len, &f->err), 0);
    assert_string_equal(text, "{\"version\":1,\"next\":2,\"boats\":[\n"
                              "{\"name\":\"argo\",\"sails\":2,\"colours\":[\"red\",\"blue\"]},\n"
                              "{\"name\":\"ursula\",\"sails\":2,\"colours\":[\"red\",\"blue\"]}\n"
                              "]}\n");
    free(text);
}

static void assert_unchanged(struct fixture *f)
{
    assert_int_equal(f->list.count, 1);
    assert_int_equal(f->list.counter, 1);
    assert_string_equal(boat_at(f, 0)->name, "argo");
}

static void what_could_not_be_read_is_not_written(void **state)
{
    struct fixture *f = *state;
    struct boat endless, many = sound("many"), old = sound("old"), grey = sound("grey");
    memset(&endless, 'x', sizeof(endless));
    many.sails = 10;
    old.built_ms = -1;
    grey.colours = 8;
    const struct boat bad[] = {endless, many, old, grey, sound(""), sound("Upper")};
    assert_int_equal(add(f, sound("argo")), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(add(f, bad[i]), -EINVAL);
        assert_non_null(strstr(f->err.text, "the boat's \""));
        assert_unchanged(f);
    }
    book_list_fini(&f->list);
    assert_int_equal(book_read(&boats, path_of(f), &f->list, &f->err), 0);
    assert_unchanged(f);
}

static void a_failed_write_changes_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(add(f, sound("argo")), 0);
    assert_int_equal(unlink(path_of(f)), 0);
    assert_int_equal(mkdir(path_of(f), 0700), 0);
    assert_true(add(f, sound("late")) < 0);
    assert_unchanged(f);
    assert_int_equal(rmdir(path_of(f)), 0);
    assert_int_equal(add(f, sound("late")), 0);
    assert_int_equal(f->list.count, 2);
}

#define BOOK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            BOOK_TEST(a_missing_file_is_an_empty_list),
            BOOK_TEST(every_type_is_read),
            BOOK_TEST(a_file_of_another_form_is_refused),
            BOOK_TEST(a_bad_entry_is_named),
            BOOK_TEST(limits_hold),
            BOOK_TEST(a_file_that_others_can_write_is_refused),
            BOOK_TEST(what_is_written_is_read_again),
            BOOK_TEST(the_file_has_a_line_for_each_entry_in_order),
            BOOK_TEST(what_could_not_be_read_is_not_written),
            BOOK_TEST(a_failed_write_changes_nothing),
    };
    return cmocka_run_group_tests_name("book", tests, NULL, NULL);
}
