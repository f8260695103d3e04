#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/file.h"
#include "node/link/membership.h"
#include "tests/lib/scratch.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define KEY_A "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
#define KEY_B "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define MESH  "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

struct fixture {
    struct scratch scratch;
    struct identity identity;
    struct membership membership; /* to write */
    struct membership read;
    struct err err;
    char certificate[CERTIFICATE_TEXT_MAX + 1];
    char mesh[IDENTITY_TEXT_LEN + 1]; /* of the certificate */
};

static void make_certificate(struct fixture *f)
{
    struct certificate certificate = {
            .key = KEY_A, .name = "strix-1", .roles = CERTIFICATE_ROLE_NODE, .not_after_s = 1};
    struct certificate_bytes *bytes = &f->membership.certificate;
    certificate_sign(&f->identity, &certificate, bytes);
    assert_int_equal(certificate_bytes_to_text(bytes, f->certificate, sizeof(f->certificate)), 0);
    identity_to_text(f->identity.public_key, f->mesh);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    if (!f || identity_generate(&f->identity, &f->err))
        return -1;
    scratch_init(&f->scratch);
    make_certificate(f);
    f->membership.pinned = true;
    memcpy(f->membership.mesh, f->identity.public_key, IDENTITY_BYTES);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    identity_fini(&f->identity);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

static const char *path_of(struct fixture *f)
{
    return scratch_path(&f->scratch, "membership.json");
}

static int read_back(struct fixture *f)
{
    memset(&f->read, 0, sizeof(f->read));
    return membership_read(path_of(f), &f->read, &f->err);
}

static void write_it(struct fixture *f)
{
    assert_int_equal(membership_write(path_of(f), &f->membership, &f->err), 0);
}

/* What stands in the file; the caller frees. */
static char *file_text(struct fixture *f)
{
    char *text;
    size_t len;
    assert_int_equal(file_read(path_of(f), MEMBERSHIP_FILE_MAX, &text, &len, NULL), 0);
    return text;
}

static void assert_refused(struct fixture *f, const char *text, const char *because)
{
    struct membership untouched;
    memset(&f->read, 0x5a, sizeof(f->read));
    memcpy(&untouched, &f->read, sizeof(untouched));
    scratch_write(&f->scratch, "membership.json", text);
    assert_int_equal(membership_read(path_of(f), &f->read, &f->err), -EINVAL);
    if (!strstr(f->err.text, because))
        fail_msg("\"%s\" does not say \"%s\"", f->err.text, because);
    assert_non_null(strstr(f->err.text, path_of(f)));
    assert_non_null(strstr(f->err.text, "`modemesh-node --leave` starts anew"));
    assert_memory_equal(&f->read, &untouched, sizeof(untouched));
}

static void assert_read_as_written(struct fixture *f)
{
    const struct membership *a = &f->membership, *b = &f->read;
    assert_int_equal(read_back(f), 0);
    assert_int_equal(a->pinned, b->pinned);
    assert_memory_equal(a->mesh, b->mesh, IDENTITY_BYTES);
    assert_int_equal(a->certificate.len, b->certificate.len);
    assert_memory_equal(a->certificate.data, b->certificate.data, b->certificate.len);
    assert_int_equal(a->key_count, b->key_count);
    for (size_t i = 0; i < a->key_count; i++)
        assert_string_equal(a->keys[i], b->keys[i]);
    assert_int_equal(a->address_count, b->address_count);
    for (size_t i = 0; i < a->address_count; i++)
        assert_string_equal(a->addresses[i], b->addresses[i]);
}

/* --- the way there and back --- */

static void a_missing_file_is_no_membership(void **state)
{
    struct fixture *f = *state;
    static const struct membership none;
    memset(&f->read, 0x5a, sizeof(f->read));
    assert_int_equal(membership_read(path_of(f), &f->read, &f->err), 0);
    assert_false(f->read.pinned);
    assert_int_equal(f->read.certificate.len, 0);
    assert_int_equal(f->read.key_count, 0);
    assert_int_equal(f->read.address_count, 0);
    assert_memory_equal(f->read.mesh, none.mesh, IDENTITY_BYTES);
}

static void what_was_written_is_read_back(void **state)
{
    struct fixture *f = *state;
    assert_true(membership_add_key(&f->membership, KEY_B));
    assert_true(membership_add_key(&f->membership, KEY_A));
    assert_true(membership_add_address(&f->membership, "[fd00::1]:8421"));
    assert_true(membership_add_address(&f->membership, "box.local:8421"));
    write_it(f);
    assert_read_as_written(f);
    assert_string_equal(f->read.keys[0], KEY_A);
    assert_string_equal(f->read.addresses[0], "box.local:8421");
}

static void an_empty_membership_is_read_back(void **state)
{
    struct fixture *f = *state;
    memset(&f->membership, 0, sizeof(f->membership));
    write_it(f);
    char *text = file_text(f);
    assert_string_equal(text, "{\"version\":1,\"keys\":[],\"addresses\":[]}\n");
    free(text);
    assert_read_as_written(f);
}

static void a_mesh_without_a_certificate_is_read_back(void **state)
{
    struct fixture *f = *state;
    f->membership.certificate = (struct certificate_bytes){.len = 0};
    write_it(f);
    assert_int_equal(read_back(f), 0);
    assert_true(f->read.pinned);
    assert_memory_equal(f->read.mesh, f->identity.public_key, IDENTITY_BYTES);
    assert_int_equal(f->read.certificate.len, 0);
}

static void a_full_membership_fits_its_file(void **state)
{
    struct fixture *f = *state;
    uint8_t raw[KEY_BYTES] = {0};
    for (unsigned i = 0; i < MEMBERSHIP_ADDRESSES_MAX; i++) {
        char key[KEY_Z85_LEN + 1], address[MEMBERSHIP_ADDRESS_MAX + 1];
        raw[0] = (uint8_t)i;
        key_from_raw(raw, key);
        membership_add_key(&f->membership, key);
        memset(address, 'a', sizeof(address));
        (void)snprintf(address + sizeof(address) - 9, 9, ".x:%05u", i + 1);
        assert_true(membership_add_address(&f->membership, address));
    }
    write_it(f);
    assert_read_as_written(f);
    assert_int_equal(f->read.key_count, MEMBERSHIP_COORDINATOR_KEYS_MAX);
    assert_int_equal(f->read.address_count, MEMBERSHIP_ADDRESSES_MAX);
}

static void writing_is_deterministic_and_private(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    membership_add_key(&f->membership, KEY_A);
    membership_add_address(&f->membership, "10.0.0.5:8421");
    write_it(f);
    char *first = file_text(f);
    assert_int_equal(read_back(f), 0);
    f->membership = f->read;
    write_it(f);
    char *second = file_text(f);
    assert_string_equal(first, second);
    assert_int_equal(stat(path_of(f), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    free(first);
    free(second);
}

/* --- what is refused --- */

static void what_is_no_json_object_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, "", "line 1, column 1");
    assert_refused(f, "{\"version\":1,", "line 1, column 14");
    assert_refused(f, "[]", "no JSON object");
    assert_refused(f, "[[[]]]", "deeper than 2 levels");
}

static void another_version_is_refused_before_all_else(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, "{}", "\"version\" is missing or no number");
    assert_refused(f, "{\"version\":\"1\"}", "\"version\" is missing or no number");
    assert_refused(f, "{\"new\":0,\"version\":2}", "\"version\" is 2, and only 1 is known");
    assert_refused(f, "{\"version\":1.5}", "\"version\" is 1.5");
}

static void members_that_are_unknown_or_there_twice_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_refused(
            f, "{\"version\":1,\"keys\":[],\"addresses\":[],\"role\":1}", "\"role\" is unknown");
    assert_refused(
            f, "{\"version\":1,\"keys\":[],\"addresses\":[],\"Keys\":[]}", "\"Keys\" is unknown");
    assert_refused(f, "{\"version\":1,\"keys\":[],\"addresses\":[],\"keys\":[]}",
            "\"keys\" is there twice");
}

static void values_of_the_wrong_type_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[][2] = {
            {"{\"version\":1,\"addresses\":[]}", "\"keys\" is missing or no list"},
            {"{\"version\":1,\"keys\":{},\"addresses\":[]}", "\"keys\" is missing or no list"},
            {"{\"version\":1,\"keys\":[]}", "\"addresses\" is missing or no list"},
            {"{\"version\":1,\"keys\":[1],\"addresses\":[]}", "entry 1 of \"keys\""},
            {"{\"version\":1,\"keys\":[],\"addresses\":[null]}", "entry 1 of \"addresses\""},
            {"{\"version\":1,\"keys\":[],\"addresses\":[],\"mesh\":7}", "\"mesh\" is no string"},
            {"{\"version\":1,\"keys\":[],\"addresses\":[],\"mesh\":null}", "\"mesh\" is no string"},
            {"{\"version\":1,\"keys\":[],\"addresses\":[],\"certificate\":[]}",
                    "\"certificate\" is no string"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(f, cases[i][0], cases[i][1]);
}

static void entries_that_are_none_or_there_twice_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, "{\"version\":1,\"keys\":[\"" KEY_A "\",\"short\"],\"addresses\":[]}",
            "entry 2 of \"keys\" is no link key");
    assert_refused(f, "{\"version\":1,\"keys\":[\"" KEY_A "\",\"" KEY_A "\"],\"addresses\":[]}",
            "entry 2 of \"keys\" is there twice");
    assert_refused(f, "{\"version\":1,\"keys\":[],\"addresses\":[\"a:1\",\"b:0\"]}",
            "entry 2 of \"addresses\" is no address");
    assert_refused(f, "{\"version\":1,\"keys\":[],\"addresses\":[\"a:1\",\"b:2\",\"a:1\"]}",
            "entry 3 of \"addresses\" is there twice");
}

static void an_address_of_256_bytes_is_refused(void **state)
{
    struct fixture *f = *state;
    char text[512], address[MEMBERSHIP_ADDRESS_MAX + 2];
    memset(address, 'a', sizeof(address));
    strcpy(address + MEMBERSHIP_ADDRESS_MAX + 1 - strlen(":65535"), ":65535");
    (void)snprintf(
            text, sizeof(text), "{\"version\":1,\"keys\":[],\"addresses\":[\"%s\"]}", address);
    assert_refused(f, text, "entry 1 of \"addresses\" is no address");
    assert_false(membership_add_address(&f->membership, address));
}

/* `before`, then `count` different keys or addresses, then "]}". */
static void assert_list_refused(
        struct fixture *f, const char *before, bool keys, unsigned count, const char *because)
{
    struct buf text;
    buf_init(&text, MEMBERSHIP_FILE_MAX);
    assert_int_equal(buf_append_str(&text, before), 0);
    for (unsigned i = 0; i < count; i++) {
        const char *comma = i ? "," : "";
        assert_int_equal(keys ? buf_appendf(&text, "%s\"%040u\"", comma, i)
                              : buf_appendf(&text, "%s\"host-%u:8421\"", comma, i),
                0);
    }
    assert_int_equal(buf_append_str(&text, "]}"), 0);
    assert_int_equal(buf_terminate(&text), 0);
    assert_refused(f, buf_at(&text), because);
    buf_fini(&text);
}

static void too_many_entries_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_list_refused(f, "{\"version\":1,\"addresses\":[],\"keys\":[", true,
            MEMBERSHIP_COORDINATOR_KEYS_MAX + 1, "\"keys\" has more than 8 entries");
    assert_list_refused(f, "{\"version\":1,\"keys\":[],\"addresses\":[", false,
            MEMBERSHIP_ADDRESSES_MAX + 1, "\"addresses\" has more than 32 entries");
    assert_list_refused(
            f, "{\"version\":1,\"keys\":[],\"addresses\":[", false, 1000, "more than 80 values");
}

static void assert_certificate_refused(
        struct fixture *f, const char *mesh, const char *certificate, const char *because)
{
    char text[1024];
    (void)snprintf(text, sizeof(text),
            "{\"version\":1,%s%s%s\"certificate\":\"%s\",\"keys\":[],\"addresses\":[]}",
            mesh ? "\"mesh\":\"" : "", mesh ? mesh : "", mesh ? "\"," : "", certificate);
    assert_refused(f, text, because);
}

static void meshes_and_certificates_that_are_none_are_refused(void **state)
{
    struct fixture *f = *state;
    char broken[CERTIFICATE_TEXT_MAX + 2];
    assert_certificate_refused(f, "short", f->certificate, "\"mesh\": \"short\" is no mesh");
    assert_certificate_refused(f, f->mesh, "", "\"certificate\": the certificate is cut off");
    assert_certificate_refused(f, f->mesh, "!", "\"certificate\"");
    strcpy(broken, f->certificate);
    broken[10] = broken[10] == 'A' ? 'B' : 'A';
    assert_certificate_refused(f, f->mesh, broken, "signature");
    memset(broken, 'A', sizeof(broken) - 1);
    broken[sizeof(broken) - 1] = '\0';
    assert_certificate_refused(f, f->mesh, broken, "too many for a certificate");
}

static void a_certificate_must_be_of_the_pinned_mesh(void **state)
{
    struct fixture *f = *state;
    assert_certificate_refused(f, MESH, f->certificate, "not of the mesh");
    assert_certificate_refused(f, NULL, f->certificate, "not of the mesh");
}

static void a_file_that_others_can_write_is_refused(void **state)
{
    struct fixture *f = *state;
    write_it(f);
    assert_int_equal(chmod(path_of(f), 0620), 0);
    assert_int_equal(read_back(f), -EPERM);
    assert_false(f->read.pinned);
}

static void a_file_that_is_too_big_is_refused(void **state)
{
    struct fixture *f = *state;
    char *text = malloc(MEMBERSHIP_FILE_MAX + 2);
    assert_non_null(text);
    memset(text, ' ', MEMBERSHIP_FILE_MAX + 1);
    text[MEMBERSHIP_FILE_MAX + 1] = '\0';
    scratch_write(&f->scratch, "membership.json", text);
    free(text);
    assert_int_equal(read_back(f), -EFBIG);
}

/* --- failing to write --- */

static void where_no_file_can_be_made_writing_fails(void **state)
{
    struct fixture *f = *state;
    const char *path = scratch_path(&f->scratch, "missing/membership.json");
    assert_int_equal(membership_write(path, &f->membership, &f->err), -ENOENT);
    assert_non_null(strstr(f->err.text, "missing/membership.json"));
}

static int allocations_left;

static void *malloc_that_fails(size_t size)
{
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

static int write_with_allocations(struct fixture *f, int count)
{
    cJSON_Hooks hooks = {.malloc_fn = malloc_that_fails, .free_fn = free};
    allocations_left = count;
    cJSON_InitHooks(&hooks);
    int r = membership_write(path_of(f), &f->membership, &f->err);
    cJSON_InitHooks(NULL);
    return r;
}

static void without_memory_the_old_file_stays(void **state)
{
    struct fixture *f = *state;
    int count = 0, r;
    write_it(f);
    char *before = file_text(f);
    membership_add_key(&f->membership, KEY_A);
    membership_add_address(&f->membership, "10.0.0.5:8421");
    while ((r = write_with_allocations(f, count)) != 0) {
        assert_int_equal(r, -ENOMEM);
        char *now = file_text(f);
        assert_string_equal(now, before);
        free(now);
        count++;
    }
    free(before);
    assert_true(count > 10); /* each of them failed once */
    assert_int_equal(read_back(f), 0);
    assert_int_equal(f->read.key_count, 1);
}

/* --- keeping the newest first --- */

static void the_newest_key_comes_first_and_once(void **state)
{
    struct fixture *f = *state;
    struct membership *m = &f->membership;
    assert_false(membership_has_key(m, KEY_A));
    assert_true(membership_add_key(m, KEY_A));
    assert_false(membership_add_key(m, KEY_A));
    assert_true(membership_add_key(m, KEY_B));
    assert_string_equal(m->keys[0], KEY_B);
    assert_string_equal(m->keys[1], KEY_A);
    assert_true(membership_add_key(m, KEY_A));
    assert_int_equal(m->key_count, 2);
    assert_string_equal(m->keys[0], KEY_A);
    assert_string_equal(m->keys[1], KEY_B);
    assert_true(membership_has_key(m, KEY_A));
    assert_true(membership_has_key(m, KEY_B));
}

static void the_oldest_address_makes_room(void **state)
{
    struct fixture *f = *state;
    struct membership *m = &f->membership;
    char address[32];
    for (unsigned i = 0; i < MEMBERSHIP_ADDRESSES_MAX + 2; i++) {
        (void)snprintf(address, sizeof(address), "host-%u:8421", i);
        assert_true(membership_add_address(m, address));
    }
    assert_int_equal(m->address_count, MEMBERSHIP_ADDRESSES_MAX);
    assert_string_equal(m->addresses[0], "host-33:8421");
    assert_string_equal(m->addresses[MEMBERSHIP_ADDRESSES_MAX - 1], "host-2:8421");
    assert_true(membership_add_address(m, "host-2:8421"));
    assert_string_equal(m->addresses[0], "host-2:8421");
    assert_string_equal(m->addresses[1], "host-33:8421");
    assert_string_equal(m->addresses[MEMBERSHIP_ADDRESSES_MAX - 1], "host-3:8421");
}

static void one_of_the_list_may_be_put_first(void **state)
{
    struct fixture *f = *state;
    struct membership *m = &f->membership;
    assert_true(membership_add_address(m, "a:1"));
    assert_true(membership_add_address(m, "bb:1"));
    assert_true(membership_add_address(m, "ccc:1"));
    assert_true(membership_add_address(m, m->addresses[2]));
    assert_string_equal(m->addresses[0], "a:1");
    assert_string_equal(m->addresses[1], "ccc:1");
    assert_string_equal(m->addresses[2], "bb:1");
}

static void what_is_none_is_not_added(void **state)
{
    struct fixture *f = *state;
    assert_false(membership_add_key(&f->membership, ""));
    assert_false(membership_add_key(&f->membership, "no key"));
    assert_false(membership_add_address(&f->membership, ""));
    assert_false(membership_add_address(&f->membership, "host"));
    assert_false(membership_add_address(&f->membership, "host:0"));
    assert_int_equal(f->membership.key_count, 0);
    assert_int_equal(f->membership.address_count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(a_missing_file_is_no_membership),
            TEST(what_was_written_is_read_back),
            TEST(an_empty_membership_is_read_back),
            TEST(a_mesh_without_a_certificate_is_read_back),
            TEST(a_full_membership_fits_its_file),
            TEST(writing_is_deterministic_and_private),
            TEST(what_is_no_json_object_is_refused),
            TEST(another_version_is_refused_before_all_else),
            TEST(members_that_are_unknown_or_there_twice_are_refused),
            TEST(values_of_the_wrong_type_are_refused),
            TEST(entries_that_are_none_or_there_twice_are_refused),
            TEST(an_address_of_256_bytes_is_refused),
            TEST(too_many_entries_are_refused),
            TEST(meshes_and_certificates_that_are_none_are_refused),
            TEST(a_certificate_must_be_of_the_pinned_mesh),
            TEST(a_file_that_others_can_write_is_refused),
            TEST(a_file_that_is_too_big_is_refused),
            TEST(where_no_file_can_be_made_writing_fails),
            TEST(without_memory_the_old_file_stays),
            TEST(the_newest_key_comes_first_and_once),
            TEST(the_oldest_address_makes_room),
            TEST(one_of_the_list_may_be_put_first),
            TEST(what_is_none_is_not_added),
    };
    return cmocka_run_group_tests_name("membership", tests, NULL, NULL);
}
