#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/trust/certificate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY_A "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
#define KEY_B "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"

enum { /* places in the bytes */
    AT_ROLES = 4,
    AT_SERIAL = 5,
    AT_NOT_BEFORE = 13,
    AT_NOT_AFTER = 21,
    AT_MESH = 29,
    AT_KEY = 61,
    AT_NAME_LEN = 93,
    AT_NAME = 94,
    BEGIN_S = 1000000,
    END_S = 2000000,
};

struct fixture {
    struct identity identity;
    struct certificate certificate;
    struct certificate_bytes bytes;
    struct err err;
};

static void sign(struct fixture *f)
{
    certificate_sign(&f->identity, &f->certificate, &f->bytes);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    if (!f || identity_generate(&f->identity, &f->err))
        return -1;
    f->certificate = (struct certificate){.key = KEY_A,
            .name = "strix-1",
            .roles = CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE,
            .serial = 0x0102030405060708,
            .not_before_s = BEGIN_S,
            .not_after_s = END_S};
    memcpy(f->certificate.mesh, f->identity.public_key, IDENTITY_BYTES);
    sign(f);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    identity_fini(&f->identity);
    free(f);
    return 0;
}

/* From a copy without spare bytes, in which the sanitizer sees a read past the end. */
static int parse_bytes(struct fixture *f, const void *data, size_t len, struct certificate *ret)
{
    uint8_t *copy = malloc(len + !len);
    assert_non_null(copy);
    memcpy(copy, data, len);
    int r = certificate_parse(copy, len, ret, &f->err);
    free(copy);
    return r;
}

static void assert_refused(struct fixture *f, const char *because)
{
    struct certificate out, untouched;
    memset(&out, 0x5a, sizeof(out));
    memcpy(&untouched, &out, sizeof(out));
    assert_int_equal(parse_bytes(f, f->bytes.data, f->bytes.len, &out), -EINVAL);
    if (!strstr(f->err.text, because))
        fail_msg("\"%s\" does not say \"%s\"", f->err.text, because);
    assert_memory_equal(&out, &untouched, sizeof(out));
}

/* Signs what stands in the bytes now, whatever it is. */
static void sign_as_it_stands(struct fixture *f)
{
    static const char context[] = "modemesh certificate";
    uint8_t message[sizeof(context) + CERTIFICATE_BYTES_MAX];
    size_t len = f->bytes.len - SIGNATURE_BYTES;
    memcpy(message, context, sizeof(context));
    memcpy(message + sizeof(context), f->bytes.data, len);
    identity_sign(&f->identity, message, sizeof(context) + len, f->bytes.data + len);
}

static void replace_name(struct fixture *f, const void *name, size_t len)
{
    f->bytes.data[AT_NAME_LEN] = (uint8_t)len;
    memcpy(f->bytes.data + AT_NAME, name, len);
    f->bytes.len = AT_NAME + len + SIGNATURE_BYTES;
    sign_as_it_stands(f);
}

/* --- the way there and back --- */

static void what_was_signed_is_read_back(void **state)
{
    struct fixture *f = *state;
    struct certificate out;
    assert_int_equal(parse_bytes(f, f->bytes.data, f->bytes.len, &out), 0);
    assert_memory_equal(out.mesh, f->identity.public_key, IDENTITY_BYTES);
    assert_string_equal(out.key, KEY_A);
    assert_string_equal(out.name, "strix-1");
    assert_int_equal(out.roles, CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE);
    assert_int_equal(out.serial, 0x0102030405060708);
    assert_int_equal(out.not_before_s, BEGIN_S);
    assert_int_equal(out.not_after_s, END_S);
}

static void the_bytes_are_as_the_header_says(void **state)
{
    struct fixture *f = *state;
    static const uint8_t serial[] = {8, 7, 6, 5, 4, 3, 2, 1};
    static const uint8_t begin[] = {0x40, 0x42, 0x0f, 0, 0, 0, 0, 0};
    static const uint8_t end[] = {0x80, 0x84, 0x1e, 0, 0, 0, 0, 0};
    uint8_t key[KEY_BYTES];
    const uint8_t *data = f->bytes.data;
    assert_true(key_to_raw(KEY_A, key));
    assert_int_equal(f->bytes.len, AT_NAME + strlen("strix-1") + SIGNATURE_BYTES);
    assert_memory_equal(data, "mmc1", 4);
    assert_int_equal(data[AT_ROLES], 3);
    assert_memory_equal(data + AT_SERIAL, serial, sizeof(serial));
    assert_memory_equal(data + AT_NOT_BEFORE, begin, sizeof(begin));
    assert_memory_equal(data + AT_NOT_AFTER, end, sizeof(end));
    assert_memory_equal(data + AT_MESH, f->identity.public_key, IDENTITY_BYTES);
    assert_memory_equal(data + AT_KEY, key, KEY_BYTES);
    assert_int_equal(data[AT_NAME_LEN], strlen("strix-1"));
    assert_memory_equal(data + AT_NAME, "strix-1", strlen("strix-1"));

    struct certificate_bytes made = f->bytes;
    sign_as_it_stands(f);
    assert_memory_equal(f->bytes.data, made.data, made.len);
}

static void the_mesh_is_the_signing_identity(void **state)
{
    struct fixture *f = *state;
    struct certificate out;
    memset(f->certificate.mesh, 0, IDENTITY_BYTES);
    sign(f);
    assert_int_equal(parse_bytes(f, f->bytes.data, f->bytes.len, &out), 0);
    assert_memory_equal(out.mesh, f->identity.public_key, IDENTITY_BYTES);
}

static void the_largest_values_fit(void **state)
{
    struct fixture *f = *state;
    struct certificate out;
    memset(f->certificate.name, 'n', CERTIFICATE_NAME_MAX);
    f->certificate.roles =
            CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE | CERTIFICATE_ROLE_COORDINATOR;
    f->certificate.serial = f->certificate.not_before_s = f->certificate.not_after_s = UINT64_MAX;
    sign(f);
    assert_int_equal(f->bytes.len, CERTIFICATE_BYTES_MAX);
    assert_int_equal(parse_bytes(f, f->bytes.data, f->bytes.len, &out), 0);
    assert_int_equal(out.not_after_s, UINT64_MAX);
    assert_int_equal(strlen(out.name), CERTIFICATE_NAME_MAX);
}

/* True where signing `certificate` ends the process. */
static bool signing_aborts(struct fixture *f, const struct certificate *certificate)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        static const struct rlimit none;
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)close(STDERR_FILENO); /* assert() speaks */
        certificate_sign(&f->identity, certificate, &f->bytes);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status);
}

static void signing_what_is_not_valid_is_our_bug(void **state)
{
    struct fixture *f = *state;
    struct certificate bad[4];
    assert_false(signing_aborts(f, &f->certificate));
    for (size_t i = 0; i < 4; i++)
        bad[i] = f->certificate;
    bad[0].roles = 0;
    bad[1].roles = 8;
    strcpy(bad[2].name, "two words");
    strcpy(bad[3].key, "no key");
    for (size_t i = 0; i < 4; i++)
        assert_true(signing_aborts(f, &bad[i]));
}

/* --- what is refused --- */

static void any_changed_bit_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct certificate out;
    for (size_t i = 0; i < f->bytes.len * 8; i++) {
        f->bytes.data[i / 8] ^= (uint8_t)(1U << i % 8);
        assert_int_equal(parse_bytes(f, f->bytes.data, f->bytes.len, &out), -EINVAL);
        f->bytes.data[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    assert_int_equal(parse_bytes(f, f->bytes.data, f->bytes.len, &out), 0);
}

static void every_shorter_run_is_cut_off(void **state)
{
    struct fixture *f = *state;
    for (f->bytes.len--; f->bytes.len > 0; f->bytes.len--)
        assert_refused(f, "cut off");
    assert_refused(f, "cut off");
}

static void bytes_behind_it_are_refused(void **state)
{
    struct fixture *f = *state;
    f->bytes.len++;
    assert_refused(f, "1 bytes too many");
}

static void another_kind_or_version_is_refused(void **state)
{
    struct fixture *f = *state;
    f->bytes.data[3] = '2';
    sign_as_it_stands(f);
    assert_refused(f, "does not begin with \"mmc1\"");
}

static void roles_must_be_some_and_known(void **state)
{
    struct fixture *f = *state;
    static const uint8_t roles[] = {0, 8, 0x81, 0xff};
    for (size_t i = 0; i < sizeof(roles); i++) {
        f->bytes.data[AT_ROLES] = roles[i];
        sign_as_it_stands(f);
        assert_refused(f, "roles");
    }
}

static void names_that_are_none_are_refused(void **state)
{
    struct fixture *f = *state;
    struct certificate out;
    replace_name(f, "ok", 2);
    assert_int_equal(parse_bytes(f, f->bytes.data, f->bytes.len, &out), 0);
    replace_name(f, "", 0);
    assert_refused(f, "name");
    replace_name(f, "a b", 3);
    assert_refused(f, "name");
    replace_name(f, "a\0b", 3);
    assert_refused(f, "name");
    replace_name(f, "a\0", 2);
    assert_refused(f, "name");
    replace_name(f, "\xc3\xa4", 2);
    assert_refused(f, "name");
}

static void a_name_of_64_letters_is_too_long(void **state)
{
    struct fixture *f = *state;
    uint8_t data[CERTIFICATE_BYTES_MAX + 1];
    struct certificate out;
    memset(data, 'n', sizeof(data));
    memcpy(data, f->bytes.data, AT_NAME_LEN);
    data[AT_NAME_LEN] = CERTIFICATE_NAME_MAX + 1;
    assert_int_equal(parse_bytes(f, data, sizeof(data), &out), -EINVAL);
    assert_non_null(strstr(f->err.text, "name"));
}

static void the_signature_must_be_of_the_named_mesh(void **state)
{
    struct fixture *f = *state;
    struct identity other;
    assert_int_equal(identity_generate(&other, &f->err), 0);
    memcpy(f->bytes.data + AT_MESH, other.public_key, IDENTITY_BYTES);
    sign_as_it_stands(f); /* with our identity */
    assert_refused(f, "signature");
    identity_fini(&other);
}

static void a_signature_for_another_use_is_none(void **state)
{
    struct fixture *f = *state;
    size_t len = f->bytes.len - SIGNATURE_BYTES;
    identity_sign(&f->identity, f->bytes.data, len, f->bytes.data + len);
    assert_refused(f, "signature");
}

/* --- names --- */

static void names_have_a_small_alphabet(void **state)
{
    (void)state;
    char name[CERTIFICATE_NAME_MAX + 2];
    memset(name, 'n', sizeof(name));
    name[CERTIFICATE_NAME_MAX + 1] = '\0';
    assert_false(certificate_name_valid(name));
    name[CERTIFICATE_NAME_MAX] = '\0';
    assert_true(certificate_name_valid(name));
    assert_true(certificate_name_valid("Box_1.lan-2"));
    assert_false(certificate_name_valid(""));
    assert_false(certificate_name_valid("two words"));
    assert_false(certificate_name_valid("a/b"));
    assert_false(certificate_name_valid("line\n"));
}

/* --- judging --- */

static enum certificate_fault check_at(struct fixture *f, uint64_t now_s)
{
    return certificate_check(
            &f->certificate, f->identity.public_key, KEY_A, CERTIFICATE_ROLE_NODE, now_s);
}

static void it_proves_key_role_and_mesh_while_it_lasts(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(check_at(f, BEGIN_S), CERTIFICATE_FINE);
    assert_int_equal(check_at(f, END_S), CERTIFICATE_FINE);
    assert_int_equal(check_at(f, END_S + 1), CERTIFICATE_EXPIRED);
    assert_int_equal(check_at(f, UINT64_MAX), CERTIFICATE_EXPIRED);
}

static void clocks_may_differ_by_the_skew(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(check_at(f, BEGIN_S - CERTIFICATE_SKEW_S), CERTIFICATE_FINE);
    assert_int_equal(check_at(f, BEGIN_S - CERTIFICATE_SKEW_S - 1), CERTIFICATE_NOT_YET);
    assert_int_equal(check_at(f, 0), CERTIFICATE_NOT_YET);
    f->certificate.not_before_s = f->certificate.not_after_s = UINT64_MAX;
    assert_int_equal(check_at(f, UINT64_MAX), CERTIFICATE_FINE);
    assert_int_equal(check_at(f, 0), CERTIFICATE_NOT_YET);
}

static void what_it_does_not_prove_is_named(void **state)
{
    struct fixture *f = *state;
    const struct certificate *certificate = &f->certificate;
    const uint8_t *mesh = f->identity.public_key;
    static const uint8_t other_mesh[IDENTITY_BYTES] = {1};
    assert_int_equal(
            certificate_check(certificate, other_mesh, KEY_A, CERTIFICATE_ROLE_NODE, BEGIN_S),
            CERTIFICATE_FOREIGN);
    assert_int_equal(certificate_check(certificate, mesh, KEY_B, CERTIFICATE_ROLE_NODE, BEGIN_S),
            CERTIFICATE_OTHER_KEY);
    assert_int_equal(
            certificate_check(certificate, mesh, KEY_A, CERTIFICATE_ROLE_COORDINATOR, BEGIN_S),
            CERTIFICATE_WRONG_ROLE);
    assert_int_equal(certificate_check(certificate, mesh, KEY_A, CERTIFICATE_ROLE_EDGE, BEGIN_S),
            CERTIFICATE_FINE);
}

static void every_fault_has_its_own_text(void **state)
{
    (void)state;
    for (enum certificate_fault a = CERTIFICATE_FINE; a < CERTIFICATE_FAULT_COUNT; a++) {
        assert_non_null(certificate_fault_text(a));
        for (enum certificate_fault b = CERTIFICATE_FINE; b < a; b++)
            assert_string_not_equal(certificate_fault_text(a), certificate_fault_text(b));
    }
    assert_string_equal(certificate_fault_text(CERTIFICATE_FOREIGN), "of another mesh");
}

/* --- text --- */

static void text_leads_back_to_the_bytes(void **state)
{
    struct fixture *f = *state;
    char text[CERTIFICATE_TEXT_MAX + 1];
    struct certificate_bytes out;
    for (f->bytes.len = 0; f->bytes.len <= CERTIFICATE_BYTES_MAX; f->bytes.len++) {
        assert_int_equal(certificate_bytes_to_text(&f->bytes, text, sizeof(text)), 0);
        assert_int_equal(certificate_bytes_from_text(text, &out, &f->err), 0);
        assert_int_equal(out.len, f->bytes.len);
        assert_memory_equal(out.data, f->bytes.data, out.len);
    }
    assert_int_equal(strlen(text), CERTIFICATE_TEXT_MAX);
}

static void text_needs_its_room(void **state)
{
    struct fixture *f = *state;
    char text[8] = "before";
    f->bytes.len = 6; /* 8 letters, and the NUL */
    assert_int_equal(certificate_bytes_to_text(&f->bytes, text, sizeof(text)), -EMSGSIZE);
    assert_string_equal(text, "before");
    f->bytes.len = 5;
    assert_int_equal(certificate_bytes_to_text(&f->bytes, text, sizeof(text)), 0);
    assert_int_equal(strlen(text), 7);
}

static void text_that_is_none_leaves_the_output(void **state)
{
    struct fixture *f = *state;
    static const char *const broken[] = {
            "a", "ab=", "ab==", "a+bc", "a/bc", "ab\n", " abcd", "abc!"};
    char text[CERTIFICATE_TEXT_MAX + 2];
    struct certificate_bytes out = {.len = 7};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        assert_int_equal(certificate_bytes_from_text(broken[i], &out, &f->err), -EINVAL);
    memset(text, 'A', sizeof(text));
    text[CERTIFICATE_TEXT_MAX + 1] = '\0';
    assert_int_equal(certificate_bytes_from_text(text, &out, &f->err), -EMSGSIZE);
    assert_int_equal(out.len, 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(what_was_signed_is_read_back),
            TEST(the_bytes_are_as_the_header_says),
            TEST(the_mesh_is_the_signing_identity),
            TEST(the_largest_values_fit),
            TEST(signing_what_is_not_valid_is_our_bug),
            TEST(any_changed_bit_is_noticed),
            TEST(every_shorter_run_is_cut_off),
            TEST(bytes_behind_it_are_refused),
            TEST(another_kind_or_version_is_refused),
            TEST(roles_must_be_some_and_known),
            TEST(names_that_are_none_are_refused),
            TEST(a_name_of_64_letters_is_too_long),
            TEST(the_signature_must_be_of_the_named_mesh),
            TEST(a_signature_for_another_use_is_none),
            TEST(names_have_a_small_alphabet),
            TEST(it_proves_key_role_and_mesh_while_it_lasts),
            TEST(clocks_may_differ_by_the_skew),
            TEST(what_it_does_not_prove_is_named),
            TEST(every_fault_has_its_own_text),
            TEST(text_leads_back_to_the_bytes),
            TEST(text_needs_its_room),
            TEST(text_that_is_none_leaves_the_output),
    };
    return cmocka_run_group_tests_name("certificate", tests, NULL, NULL);
}
