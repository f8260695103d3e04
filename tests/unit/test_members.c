#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/file.h"
#include "coordinator/trust/members.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    struct scratch scratch;
    struct members *members;
    struct err err;
};

static const char *path_of(struct fixture *f)
{
    return scratch_path(&f->scratch, "members.json");
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    if (!f)
        return -1;
    scratch_init(&f->scratch);
    return members_open(path_of(f), &f->members, &f->err);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    members_close(f->members);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

/* Valid until the call after the next. */
static const char *key(unsigned number)
{
    static char texts[2][KEY_Z85_LEN + 1];
    static unsigned turn;
    char *text = texts[turn++ % 2];
    uint8_t raw[KEY_BYTES] = {1};
    memcpy(raw + 1, &number, sizeof(number));
    key_from_raw(raw, text);
    return text;
}

static struct member make(unsigned key_number, const char *name)
{
    struct member member = {.roles = CERTIFICATE_ROLE_NODE,
            .serial = *name ? 5 : 0,
            .not_after_s = 1800000000,
            .added_ms = 1700000000000,
            .source = "approved"};
    strcpy(member.key, key(key_number));
    strcpy(member.name, name);
    return member;
}

static int put(struct fixture *f, struct member member)
{
    f->err.text[0] = '\0';
    return members_put(f->members, &member, &f->err);
}

static void reopen(struct fixture *f)
{
    members_close(f->members);
    f->members = NULL;
    if (members_open(path_of(f), &f->members, &f->err) < 0)
        fail_msg("%s", f->err.text);
}

static int open_text(struct fixture *f, const char *text)
{
    members_close(f->members);
    f->members = NULL;
    scratch_write(&f->scratch, "members.json", text);
    return members_open(path_of(f), &f->members, &f->err);
}

/* --- finding --- */

static void nobody_is_in_a_new_list(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(members_count(f->members), 0);
    assert_null(members_at(f->members, 0));
    assert_null(members_find_key(f->members, key(1)));
    assert_null(members_find_name(f->members, "strix"));
    assert_null(members_find_name(f->members, ""));
    assert_null(members_find_key(f->members, ""));
}

static void a_member_is_found_by_both_keys_and_name(void **state)
{
    struct fixture *f = *state;
    struct member strix = make(1, "strix");
    strcpy(strix.next_key, key(2));
    assert_int_equal(put(f, strix), 0);
    assert_int_equal(put(f, make(3, "tower")), 0);
    const struct member *found = members_find_name(f->members, "strix");
    assert_non_null(found);
    assert_string_equal(found->key, key(1));
    assert_ptr_equal(members_find_key(f->members, key(1)), found);
    assert_ptr_equal(members_find_key(f->members, key(2)), found);
    assert_string_equal(members_find_key(f->members, key(3))->name, "tower");
    assert_null(members_find_key(f->members, key(4)));
    assert_null(members_find_name(f->members, "Strix"));
}

static void the_list_is_in_the_order_of_names(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(put(f, make(1, "tower")), 0);
    assert_int_equal(put(f, make(2, "")), 0);
    assert_int_equal(put(f, make(3, "halo")), 0);
    assert_string_equal(members_at(f->members, 0)->name, "");
    assert_string_equal(members_at(f->members, 1)->name, "halo");
    assert_string_equal(members_at(f->members, 2)->name, "tower");
    assert_null(members_at(f->members, 3));
}

static void everything_comes_back_from_the_file(void **state)
{
    struct fixture *f = *state;
    struct member strix = {.roles = CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE,
            .name = "strix",
            .serial = 12,
            .not_after_s = 1812345678,
            .revoked = true,
            .added_ms = 1712345678901,
            .source = "token ab12cd34"};
    strcpy(strix.key, key(1));
    strcpy(strix.next_key, key(2));
    assert_int_equal(put(f, strix), 0);
    assert_int_equal(put(f, make(3, "")), 0);
    reopen(f);
    assert_int_equal(members_count(f->members), 2);
    const struct member *found = members_find_name(f->members, "strix");
    assert_non_null(found);
    assert_memory_equal(found, &strix, sizeof(strix));
    assert_string_equal(members_find_key(f->members, key(3))->name, "");
    assert_null(members_find_name(f->members, ""));
}

/* --- changing --- */

static void putting_again_changes(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(put(f, make(1, "strix")), 0);
    struct member renamed = make(1, "halo");
    renamed.revoked = true;
    assert_int_equal(put(f, renamed), 0);
    assert_int_equal(members_count(f->members), 1);
    assert_null(members_find_name(f->members, "strix"));
    assert_true(members_find_name(f->members, "halo")->revoked);
    assert_int_equal(put(f, make(2, "strix")), 0);
    assert_int_equal(members_count(f->members), 2);
}

static void a_next_key_takes_the_place_of_the_key(void **state)
{
    struct fixture *f = *state;
    struct member strix = make(1, "strix");
    strcpy(strix.next_key, key(2));
    assert_int_equal(put(f, strix), 0);
    assert_int_equal(put(f, make(2, "strix")), 0);
    assert_int_equal(members_count(f->members), 1);
    assert_null(members_find_key(f->members, key(1)));
    assert_string_equal(members_find_key(f->members, key(2))->key, key(2));
    assert_int_equal(put(f, make(1, "other")), 0);
}

static void names_and_keys_stand_once(void **state)
{
    struct fixture *f = *state;
    struct member strix = make(1, "strix"), greedy = make(5, "greedy"), twice = make(6, "twice");
    strcpy(strix.next_key, key(2));
    assert_int_equal(put(f, strix), 0);
    assert_int_equal(put(f, make(3, "tower")), 0);
    unsigned edition = members_edition(f->members);

    assert_int_equal(put(f, make(4, "strix")), -EEXIST);
    assert_non_null(strstr(f->err.text, "\"strix\""));
    assert_int_equal(put(f, make(3, "strix")), -EEXIST);
    strcpy(greedy.next_key, key(2));
    assert_int_equal(put(f, greedy), -EEXIST);
    strcpy(greedy.next_key, key(3));
    assert_int_equal(put(f, greedy), -EEXIST);
    strcpy(twice.next_key, key(6));
    assert_int_equal(put(f, twice), -EINVAL);

    assert_int_equal(members_count(f->members), 2);
    assert_int_equal(members_edition(f->members), edition);
    assert_string_equal(members_find_key(f->members, key(3))->name, "tower");
}

static void only_those_not_seen_yet_have_no_name(void **state)
{
    struct fixture *f = *state;
    struct member nameless = make(1, "");
    assert_int_equal(put(f, nameless), 0);
    assert_int_equal(put(f, make(2, "")), 0);
    nameless.serial = 9;
    assert_int_equal(put(f, nameless), -EINVAL);
    assert_non_null(strstr(f->err.text, "name"));
    assert_int_equal(members_find_key(f->members, key(1))->serial, 0);
}

static void what_the_file_cannot_hold_is_refused(void **state)
{
    struct fixture *f = *state;
    struct member spaced = make(1, "two words"), none = make(2, "none"), early = make(3, "early");
    struct member chief = make(4, "chief"), broken = make(5, "broken");
    none.roles = 0;
    early.added_ms = -1;
    chief.roles = CERTIFICATE_ROLE_COORDINATOR;
    broken.key[3] = '~';
    assert_int_equal(put(f, spaced), -EINVAL);
    assert_int_equal(put(f, none), -EINVAL);
    assert_int_equal(put(f, early), -EINVAL);
    assert_int_equal(put(f, chief), -EINVAL);
    assert_int_equal(put(f, broken), -EINVAL);
    assert_int_equal(members_count(f->members), 0);
    reopen(f);
    assert_int_equal(members_count(f->members), 0);
}

static void who_is_removed_is_a_stranger(void **state)
{
    struct fixture *f = *state;
    struct member strix = make(1, "strix");
    strcpy(strix.next_key, key(2));
    assert_int_equal(put(f, strix), 0);
    assert_int_equal(put(f, make(3, "tower")), 0);
    unsigned edition = members_edition(f->members);
    assert_int_equal(members_remove(f->members, key(9), &f->err), -ENOENT);
    assert_int_equal(members_edition(f->members), edition);
    assert_int_equal(members_remove(f->members, key(1), &f->err), 0);
    assert_int_not_equal(members_edition(f->members), edition);
    assert_null(members_find_key(f->members, key(1)));
    assert_null(members_find_key(f->members, key(2)));
    assert_null(members_find_name(f->members, "strix"));
    assert_string_equal(members_find_key(f->members, key(3))->name, "tower");
    reopen(f);
    assert_int_equal(members_count(f->members), 1);
}

/* The caller may hand in what it has borrowed. */
static void a_borrowed_member_can_be_put_and_removed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(put(f, make(1, "strix")), 0);
    assert_int_equal(members_put(f->members, members_at(f->members, 0), &f->err), 0);
    assert_int_equal(members_remove(f->members, members_at(f->members, 0)->key, &f->err), 0);
    assert_int_equal(members_count(f->members), 0);
}

static void serials_are_never_given_twice(void **state)
{
    struct fixture *f = *state;
    uint64_t first = members_next_serial(f->members);
    assert_int_equal(first, 1);
    struct member strix = make(1, "strix");
    strix.serial = members_next_serial(f->members);
    assert_int_equal(put(f, strix), 0);
    assert_int_equal(members_remove(f->members, key(1), &f->err), 0);
    reopen(f);
    assert_int_equal(members_next_serial(f->members), 3);
    strix.serial = 1000;
    assert_int_equal(put(f, strix), 0);
    reopen(f);
    assert_int_equal(members_next_serial(f->members), 1001);
}

/* --- failing --- */

static void block_file(struct fixture *f)
{
    assert_int_equal(unlink(path_of(f)), 0);
    assert_int_equal(mkdir(path_of(f), 0700), 0);
}

static void a_failed_write_changes_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(put(f, make(1, "strix")), 0);
    unsigned edition = members_edition(f->members);
    block_file(f);
    assert_true(put(f, make(2, "tower")) < 0);
    assert_true(put(f, make(1, "halo")) < 0);
    assert_true(members_remove(f->members, key(1), &f->err) < 0);
    assert_int_equal(members_count(f->members), 1);
    assert_int_equal(members_edition(f->members), edition);
    assert_string_equal(members_find_key(f->members, key(1))->name, "strix");
    assert_null(members_find_key(f->members, key(2)));
    assert_null(members_find_name(f->members, "halo"));
    assert_int_equal(rmdir(path_of(f)), 0);
    assert_int_equal(put(f, make(2, "tower")), 0);
    reopen(f);
    assert_int_equal(members_count(f->members), 2);
}

static const char *entry(unsigned key_number, const char *rest)
{
    static char texts[2][512];
    static unsigned turn;
    char *text = texts[turn++ % 2];
    (void)snprintf(text, sizeof(texts[0]),
            "{\"key\":\"%s\",\"roles\":[\"node\"],\"serial\":3,\"not_after_s\":1800000000,"
            "\"added_ms\":1700000000000,\"source\":\"local\"%s}",
            key(key_number), rest);
    return text;
}

static int open_two(struct fixture *f, const char *first, const char *second)
{
    char text[2048];
    (void)snprintf(text, sizeof(text), "{\"version\":1,\"next_serial\":1,\"members\":[%s,%s]}",
            first, second);
    return open_text(f, text);
}

static void assert_bad(struct fixture *f, int r, const char *complaint)
{
    assert_int_equal(r, -EINVAL);
    assert_null(f->members);
    if (!strstr(f->err.text, complaint) || !strstr(f->err.text, "members.json: "))
        fail_msg("\"%s\" does not say \"%s\"", f->err.text, complaint);
}

static void a_bad_file_is_refused_with_the_place(void **state)
{
    struct fixture *f = *state;
    const char *one = ",\"name\":\"one\"", *two = ",\"name\":\"two\"";
    char next[128];
    (void)snprintf(next, sizeof(next), "%s,\"next_key\":\"%s\"", two, key(1));
    assert_int_equal(open_two(f, entry(1, one), entry(2, two)), 0);
    assert_bad(f, open_two(f, entry(1, one), entry(2, one)), "member 2: another one is called");
    assert_bad(f, open_two(f, entry(1, one), entry(1, two)), "member 2 (\"two\"): its key");
    assert_bad(f, open_two(f, entry(1, one), entry(2, next)), "member 2 (\"two\"): its key");
    assert_bad(f, open_two(f, entry(1, next), entry(2, one)), "member 1: a member's next key");
    assert_bad(f, open_two(f, entry(1, one), entry(2, "")), "member 2: a member that has a cert");
    assert_bad(f, open_two(f, entry(1, one), entry(2, ",\"name\":\"a b\"")),
            "member 2: its \"name\" is not a name");
    assert_bad(f, open_two(f, "{\"key\":\"short\"}", entry(2, two)),
            "member 1: its \"key\" is not a link key");
    assert_bad(f, open_text(f, "{\"version\":2,\"next_serial\":1,\"members\":[]}"), "version");
    assert_bad(f, open_text(f, "{\"version\":1,\n\"members\":[}"), "line 2, column 12");
}

static void a_file_that_others_can_write_is_refused(void **state)
{
    struct fixture *f = *state;
    struct members *members = NULL;
    assert_int_equal(put(f, make(1, "strix")), 0);
    assert_int_equal(chmod(path_of(f), 0620), 0);
    assert_int_equal(members_open(path_of(f), &members, &f->err), -EPERM);
    assert_null(members);
}

/* --- limits --- */

static void write_many(struct fixture *f, unsigned count)
{
    FILE *file = fopen(path_of(f), "w");
    assert_non_null(file);
    fprintf(file, "{\"version\":1,\"next_serial\":9,\"members\":[");
    for (unsigned i = 0; i < count; i++) {
        char names[128];
        (void)snprintf(names, sizeof(names), ",\"name\":\"node-%u\",\"next_key\":\"%s\"", i,
                key(1000000 + i));
        fprintf(file, "%s%s", i ? "," : "", entry(i, names));
    }
    fprintf(file, "]}");
    assert_int_equal(fclose(file), 0);
}

static void a_full_list_works_and_takes_no_more(void **state)
{
    struct fixture *f = *state;
    write_many(f, MEMBERS_MAX);
    reopen(f);
    assert_int_equal(members_count(f->members), MEMBERS_MAX);
    for (unsigned i = 0; i < MEMBERS_MAX; i++) {
        const struct member *member = members_find_key(f->members, key(i));
        assert_non_null(member);
        assert_ptr_equal(members_find_key(f->members, key(1000000 + i)), member);
        assert_ptr_equal(members_find_name(f->members, member->name), member);
    }
    assert_null(members_find_key(f->members, key(MEMBERS_MAX)));
    assert_int_equal(put(f, make(MEMBERS_MAX, "late")), -ENOSPC);
    struct member last = make(7, "renamed");
    assert_int_equal(put(f, last), 0);
    assert_int_equal(members_remove(f->members, key(7), &f->err), 0);
    assert_int_equal(put(f, make(MEMBERS_MAX, "late")), 0);
    reopen(f);
    assert_int_equal(members_count(f->members), MEMBERS_MAX);
}

static void a_file_with_too_many_is_refused(void **state)
{
    struct fixture *f = *state;
    struct members *members = NULL;
    write_many(f, MEMBERS_MAX + 1);
    assert_int_equal(members_open(path_of(f), &members, &f->err), -EINVAL);
    assert_non_null(strstr(f->err.text, "4097 entries"));
}

#define MEMBERS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            MEMBERS_TEST(nobody_is_in_a_new_list),
            MEMBERS_TEST(a_member_is_found_by_both_keys_and_name),
            MEMBERS_TEST(the_list_is_in_the_order_of_names),
            MEMBERS_TEST(everything_comes_back_from_the_file),
            MEMBERS_TEST(putting_again_changes),
            MEMBERS_TEST(a_next_key_takes_the_place_of_the_key),
            MEMBERS_TEST(names_and_keys_stand_once),
            MEMBERS_TEST(only_those_not_seen_yet_have_no_name),
            MEMBERS_TEST(what_the_file_cannot_hold_is_refused),
            MEMBERS_TEST(who_is_removed_is_a_stranger),
            MEMBERS_TEST(a_borrowed_member_can_be_put_and_removed),
            MEMBERS_TEST(serials_are_never_given_twice),
            MEMBERS_TEST(a_failed_write_changes_nothing),
            MEMBERS_TEST(a_bad_file_is_refused_with_the_place),
            MEMBERS_TEST(a_file_that_others_can_write_is_refused),
            MEMBERS_TEST(a_full_list_works_and_takes_no_more),
            MEMBERS_TEST(a_file_with_too_many_is_refused),
    };
    return cmocka_run_group_tests_name("members", tests, NULL, NULL);
}
