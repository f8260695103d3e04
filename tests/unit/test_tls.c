#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/host_addrs.h"
#include "coordinator/http/tls.h"
#include "coordinator/http/tls_issue.h"
#include "tests/lib/scratch.h"
#include "tests/lib/virtual_env.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DAY_S = 24 * 3600, OWN_NAMES_MAX = 5 };

static const uint64_t day_ms = DAY_S * 1000ull;

struct fixture {
    struct scratch scratch;
    struct virtual_env world;
    char dir[PATH_MAX], certificate[PATH_MAX], key[PATH_MAX];
    struct tls *tls;
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    scratch_init(&f->scratch);
    virtual_env_init(&f->world);
    strcpy(f->dir, scratch_path(&f->scratch, "tls"));
    strcpy(f->certificate, scratch_path(&f->scratch, "own.pem"));
    strcpy(f->key, scratch_path(&f->scratch, "own.key"));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    tls_destroy(f->tls);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

static struct tls_config config_ours(struct fixture *f)
{
    return (struct tls_config){.env = &f->world.env, .dir = f->dir, .mesh_id = "k3vqz7m2a5tdh4ef"};
}

static struct tls_config config_owners(struct fixture *f)
{
    struct tls_config config = config_ours(f);
    config.certificate = f->certificate;
    config.key = f->key;
    return config;
}

static int try_open(struct fixture *f, const struct tls_config *config)
{
    return tls_create(config, &f->tls, &f->err);
}

static void open_ours(struct fixture *f)
{
    const struct tls_config config = config_ours(f);
    assert_int_equal(try_open(f, &config), 0);
}

static void close_it(struct fixture *f)
{
    tls_destroy(f->tls);
    f->tls = NULL;
}

static time_t now_s(struct fixture *f)
{
    return env_wall_ms(&f->world.env) / 1000;
}

/* --- looking at what was made --- */

static gnutls_x509_crt_t parse(const char *pem)
{
    gnutls_x509_crt_t certificate;
    gnutls_datum_t data = {.data = (unsigned char *)(uintptr_t)pem, .size = (unsigned)strlen(pem)};
    assert_int_equal(gnutls_x509_crt_init(&certificate), 0);
    assert_int_equal(gnutls_x509_crt_import(certificate, &data, GNUTLS_X509_FMT_PEM), 0);
    return certificate;
}

static char *slurp(struct fixture *f, const char *name)
{
    char *text, path[PATH_MAX];
    size_t len;
    assert_int_equal(file_join(path, sizeof(path), f->dir, name), 0);
    assert_int_equal(file_read(path, TLS_PEM_BYTES_MAX, &text, &len, NULL), 0);
    return text;
}

static gnutls_x509_crt_t parse_file(struct fixture *f, const char *name)
{
    char *text = slurp(f, name);
    gnutls_x509_crt_t certificate = parse(text);
    free(text);
    return certificate;
}

static unsigned mode_of(struct fixture *f, const char *name)
{
    struct stat st;
    char path[PATH_MAX];
    assert_int_equal(file_join(path, sizeof(path), f->dir, name), 0);
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static bool has_name(const struct tls *tls, const char *name)
{
    for (const char *const *at = tls_names(tls); *at; at++) {
        if (strcmp(*at, name) == 0)
            return true;
    }
    return false;
}

static void assert_p256(gnutls_x509_crt_t certificate)
{
    gnutls_ecc_curve_t curve;
    assert_int_equal(gnutls_x509_crt_get_pk_algorithm(certificate, NULL), GNUTLS_PK_ECDSA);
    assert_int_equal(gnutls_x509_crt_get_pk_ecc_raw(certificate, &curve, NULL, NULL), 0);
    assert_int_equal(curve, GNUTLS_ECC_CURVE_SECP256R1);
    assert_int_equal(
            gnutls_x509_crt_get_signature_algorithm(certificate), GNUTLS_SIGN_ECDSA_SHA256);
}

static unsigned usage_of(gnutls_x509_crt_t certificate)
{
    unsigned usage, critical;
    assert_int_equal(gnutls_x509_crt_get_key_usage(certificate, &usage, &critical), 0);
    assert_true(critical);
    return usage;
}

static void test_ca(void **state)
{
    struct fixture *f = *state;
    char name[128], fingerprint[TLS_FINGERPRINT_LEN + 1];
    size_t size = sizeof(name);
    unsigned critical, is_ca;
    int path_len;
    open_ours(f);
    assert_true(tls_is_ours(f->tls));
    gnutls_x509_crt_t ca = parse(tls_ca_pem(f->tls));
    assert_p256(ca);
    assert_int_equal(gnutls_x509_crt_get_dn(ca, name, &size), 0);
    assert_string_equal(name, "CN=modemesh k3vqz7m2a5tdh4ef");
    assert_true(gnutls_x509_crt_get_basic_constraints(ca, &critical, &is_ca, &path_len) >= 0);
    assert_true(critical && is_ca);
    assert_int_equal(path_len, 0);
    assert_int_equal(usage_of(ca), GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
    assert_int_equal(gnutls_x509_crt_get_activation_time(ca), now_s(f) - 3600);
    assert_int_equal(
            gnutls_x509_crt_get_expiration_time(ca), now_s(f) + (time_t)TLS_CA_DAYS * DAY_S);
    assert_int_equal(strlen(tls_fingerprint(f->tls)), TLS_FINGERPRINT_LEN);
    memcpy(fingerprint, tls_fingerprint(f->tls), sizeof(fingerprint));
    assert_int_equal(strspn(fingerprint, "0123456789ABCDEF:"), TLS_FINGERPRINT_LEN);
    gnutls_x509_crt_deinit(ca);
}

static void test_files_are_private(void **state)
{
    struct fixture *f = *state;
    open_ours(f);
    assert_int_equal(mode_of(f, "."), 0700);
    assert_int_equal(mode_of(f, "ca.key"), 0600);
    assert_int_equal(mode_of(f, "server.key"), 0600);
    char *pem = slurp(f, "ca.pem");
    assert_string_equal(pem, tls_ca_pem(f->tls));
    free(pem);
}

static void test_server_certificate(void **state)
{
    struct fixture *f = *state;
    char purpose[64];
    size_t size = sizeof(purpose);
    unsigned char id[64], issuer_id[64];
    size_t id_size = sizeof(id), issuer_id_size = sizeof(issuer_id);
    open_ours(f);
    gnutls_x509_crt_t server = parse_file(f, "server.pem"), ca = parse_file(f, "ca.pem");
    assert_p256(server);
    assert_int_equal(usage_of(server), GNUTLS_KEY_DIGITAL_SIGNATURE);
    assert_int_equal(gnutls_x509_crt_get_ca_status(server, NULL), 0);
    assert_int_equal(gnutls_x509_crt_get_key_purpose_oid(server, 0, purpose, &size, NULL), 0);
    assert_string_equal(purpose, GNUTLS_KP_TLS_WWW_SERVER);
    size = sizeof(purpose);
    assert_int_equal(gnutls_x509_crt_get_key_purpose_oid(server, 1, purpose, &size, NULL),
            GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE);
    assert_int_equal(gnutls_x509_crt_get_subject_key_id(ca, id, &id_size, NULL), 0);
    assert_int_equal(
            gnutls_x509_crt_get_authority_key_id(server, issuer_id, &issuer_id_size, NULL), 0);
    assert_int_equal(id_size, issuer_id_size);
    assert_memory_equal(id, issuer_id, id_size);
    gnutls_x509_crt_deinit(server);
    gnutls_x509_crt_deinit(ca);
}

static void test_server_times(void **state)
{
    struct fixture *f = *state;
    open_ours(f);
    gnutls_x509_crt_t server = parse_file(f, "server.pem");
    time_t begin = gnutls_x509_crt_get_activation_time(server);
    time_t end = gnutls_x509_crt_get_expiration_time(server);
    assert_int_equal(begin, now_s(f) - 3600);
    assert_in_range(end - begin, 300 * 24 * 3600, 397 * 24 * 3600);
    assert_int_equal(tls_not_after_s(f->tls), end);
    gnutls_x509_crt_deinit(server);
}

static void test_names(void **state)
{
    static const char *const more[] = {
            "mesh.example.org", "my_Box", "fd00:0::0001", "LOCALHOST", NULL};
    struct fixture *f = *state;
    struct tls_config config = config_ours(f);
    struct host_addrs addrs;
    char host[HOST_NAME_MAX + 1], local[sizeof(host) + 6];
    config.names = more;
    assert_int_equal(try_open(f, &config), 0);
    assert_int_equal(gethostname(host, sizeof(host)), 0);
    (void)snprintf(local, sizeof(local), "%.*s.local", (int)strcspn(host, "."), host);
    const char *const wanted[] = {
            host, local, "localhost", "127.0.0.1", "::1", "mesh.example.org", "my_Box", "fd00::1"};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        assert_true(has_name(f->tls, wanted[i]));
    assert_false(has_name(f->tls, "LOCALHOST"));
    assert_int_equal(host_addrs_get(&addrs, NULL), 0);
    for (size_t i = 0; i < addrs.count; i++)
        assert_true(has_name(f->tls, addrs.at[i]));
}

/* As a client sees it, not as we read it back. */
static void test_clients_accept_the_names(void **state)
{
    static const char *const more[] = {"mesh.example.org", "192.0.2.77", NULL};
    static const char *const good[] = {
            "localhost", "127.0.0.1", "::1", "mesh.example.org", "192.0.2.77"};
    struct fixture *f = *state;
    struct tls_config config = config_ours(f);
    unsigned status;
    config.names = more;
    assert_int_equal(try_open(f, &config), 0);
    gnutls_x509_crt_t server = parse_file(f, "server.pem"), ca = parse(tls_ca_pem(f->tls));
    assert_int_equal(
            gnutls_x509_crt_verify(server, &ca, 1, GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &status), 0);
    assert_int_equal(status, 0);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(gnutls_x509_crt_check_hostname(server, good[i]));
    assert_false(gnutls_x509_crt_check_hostname(server, "other.example.org"));
    assert_false(gnutls_x509_crt_check_hostname(server, "192.0.2.78"));
    gnutls_x509_crt_deinit(server);
    gnutls_x509_crt_deinit(ca);
}

static void test_bad_names(void **state)
{
    static const char *const bad[] = {
            "", "two words", "-x", ".x", "a..b", "h\xc3\xa9", "https://x"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *const more[] = {"good", bad[i], NULL};
        struct tls_config config = config_ours(f);
        config.names = more;
        assert_int_equal(try_open(f, &config), -EINVAL);
        assert_non_null(strstr(f->err.text, bad[i]));
    }
}

static void test_too_many_names(void **state)
{
    struct fixture *f = *state;
    struct tls_config config = config_ours(f);
    char texts[TLS_NAMES_MAX][32];
    const char *more[TLS_NAMES_MAX + 1] = {NULL};
    for (int i = 0; i < TLS_NAMES_MAX; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "name-%d", i);
        more[i] = texts[i];
    }
    config.names = more;
    assert_int_equal(try_open(f, &config), -E2BIG);
    more[TLS_NAMES_MAX - OWN_NAMES_MAX] = NULL;
    assert_int_equal(try_open(f, &config), 0);
    assert_true(has_name(f->tls, more[TLS_NAMES_MAX - OWN_NAMES_MAX - 1]));
}

/* --- what stays, and what is made again --- */

struct fingerprints {
    char ca[TLS_FINGERPRINT_LEN + 1], server[TLS_FINGERPRINT_LEN + 1];
};

static struct fingerprints take_fingerprints(struct fixture *f)
{
    struct fingerprints taken;
    strcpy(taken.ca, tls_fingerprint(f->tls));
    strcpy(taken.server, tls_server_fingerprint(f->tls));
    return taken;
}

static void assert_kept(struct fixture *f, const struct fingerprints *before)
{
    assert_string_equal(tls_fingerprint(f->tls), before->ca);
    assert_string_equal(tls_server_fingerprint(f->tls), before->server);
}

static void assert_made_again(struct fixture *f, const struct fingerprints *before)
{
    assert_string_equal(tls_fingerprint(f->tls), before->ca);
    assert_string_not_equal(tls_server_fingerprint(f->tls), before->server);
}

static void test_restart_keeps_all(void **state)
{
    struct fixture *f = *state;
    open_ours(f);
    struct fingerprints before = take_fingerprints(f);
    assert_int_equal(tls_refresh(f->tls, &f->err), 0);
    assert_kept(f, &before);
    close_it(f);
    open_ours(f);
    assert_kept(f, &before);
}

static void test_renewed_in_the_last_third(void **state)
{
    struct fixture *f = *state;
    open_ours(f);
    struct fingerprints before = take_fingerprints(f);
    int64_t end = tls_not_after_s(f->tls);
    virtual_env_advance_ms(&f->world, 243 * day_ms);
    assert_int_equal(tls_refresh(f->tls, &f->err), 0);
    assert_kept(f, &before);
    virtual_env_advance_ms(&f->world, day_ms);
    assert_int_equal(tls_refresh(f->tls, &f->err), 0);
    assert_made_again(f, &before);
    assert_int_equal(tls_not_after_s(f->tls), end + 244 * DAY_S);
    before = take_fingerprints(f);
    close_it(f);
    open_ours(f);
    assert_kept(f, &before);
}

static void test_serials_differ(void **state)
{
    struct fixture *f = *state;
    unsigned char first[32], second[32];
    size_t size = sizeof(first), second_size = sizeof(second);
    open_ours(f);
    gnutls_x509_crt_t server = parse_file(f, "server.pem");
    assert_int_equal(gnutls_x509_crt_get_serial(server, first, &size), 0);
    gnutls_x509_crt_deinit(server);
    virtual_env_advance_ms(&f->world, 300 * day_ms);
    assert_int_equal(tls_refresh(f->tls, &f->err), 0);
    server = parse_file(f, "server.pem");
    assert_int_equal(gnutls_x509_crt_get_serial(server, second, &second_size), 0);
    gnutls_x509_crt_deinit(server);
    assert_int_equal(size, 16);
    assert_int_equal(second_size, 16);
    assert_memory_not_equal(first, second, size);
}

static void test_renewed_for_other_names(void **state)
{
    static const char *const more[] = {"new.example.org", NULL};
    struct fixture *f = *state;
    struct tls_config config = config_ours(f);
    open_ours(f);
    struct fingerprints before = take_fingerprints(f);
    close_it(f);
    config.names = more;
    assert_int_equal(try_open(f, &config), 0);
    assert_made_again(f, &before);
    assert_true(has_name(f->tls, "new.example.org"));
}

static void test_renewed_when_the_clock_was_wrong(void **state)
{
    struct fixture *f = *state;
    virtual_env_advance_ms(&f->world, 100 * day_ms);
    open_ours(f);
    struct fingerprints before = take_fingerprints(f);
    f->world.now_us -= 50 * day_ms * 1000;
    assert_int_equal(tls_refresh(f->tls, &f->err), 0);
    assert_made_again(f, &before);
}

static void test_never_longer_than_the_ca(void **state)
{
    struct fixture *f = *state;
    open_ours(f);
    gnutls_x509_crt_t ca = parse(tls_ca_pem(f->tls));
    virtual_env_advance_ms(&f->world, (TLS_CA_DAYS - 30) * day_ms);
    assert_int_equal(tls_refresh(f->tls, &f->err), 0);
    assert_int_equal(tls_not_after_s(f->tls), gnutls_x509_crt_get_expiration_time(ca));
    gnutls_x509_crt_deinit(ca);

    struct fingerprints before = take_fingerprints(f);
    virtual_env_advance_ms(&f->world, 31 * day_ms);
    assert_int_equal(tls_refresh(f->tls, &f->err), -EINVAL);
    assert_non_null(strstr(f->err.text, "ca.pem has expired"));
    assert_kept(f, &before);
}

static void test_damaged_server_files(void **state)
{
    struct fixture *f = *state;
    open_ours(f);
    struct fingerprints before = take_fingerprints(f);
    scratch_write(&f->scratch, "tls/server.pem", "half of");
    assert_int_equal(chmod(scratch_path(&f->scratch, "tls/server.pem"), 0600), 0);
    assert_int_equal(tls_refresh(f->tls, &f->err), 0);
    assert_made_again(f, &before);

    before = take_fingerprints(f);
    assert_int_equal(unlink(scratch_path(&f->scratch, "tls/server.key")), 0);
    assert_int_equal(tls_refresh(f->tls, &f->err), 0);
    assert_made_again(f, &before);
}

static void test_server_of_another_ca(void **state)
{
    struct fixture *f = *state;
    open_ours(f);
    struct fingerprints before = take_fingerprints(f);
    close_it(f);
    assert_int_equal(unlink(scratch_path(&f->scratch, "tls/ca.key")), 0);
    assert_int_equal(unlink(scratch_path(&f->scratch, "tls/ca.pem")), 0);
    open_ours(f);
    assert_string_not_equal(tls_fingerprint(f->tls), before.ca);
    assert_string_not_equal(tls_server_fingerprint(f->tls), before.server);
}

static void test_half_a_ca(void **state)
{
    static const char *const halves[] = {"tls/ca.key", "tls/ca.pem"};
    struct fixture *f = *state;
    const struct tls_config config = config_ours(f);
    char aside[PATH_MAX];
    strcpy(aside, scratch_path(&f->scratch, "aside"));
    open_ours(f);
    struct fingerprints before = take_fingerprints(f);
    close_it(f);
    for (size_t i = 0; i < 2; i++) {
        const char *half = scratch_path(&f->scratch, halves[i]);
        assert_int_equal(rename(half, aside), 0);
        assert_int_equal(try_open(f, &config), -EINVAL);
        assert_non_null(strstr(f->err.text, halves[i]));
        assert_int_equal(access(half, F_OK), -1);
        assert_int_equal(rename(aside, half), 0);
    }
    open_ours(f);
    assert_kept(f, &before);
}

static void test_bad_ca(void **state)
{
    struct fixture *f = *state;
    const struct tls_config config = config_ours(f);
    open_ours(f);
    close_it(f);
    char *server = slurp(f, "server.pem"), *server_key = slurp(f, "server.key");
    scratch_write(&f->scratch, "tls/ca.pem", server);
    assert_int_equal(try_open(f, &config), -EINVAL);
    assert_non_null(strstr(f->err.text, "does not fit"));
    scratch_write(&f->scratch, "tls/ca.key", server_key);
    assert_int_equal(try_open(f, &config), -EINVAL);
    assert_non_null(strstr(f->err.text, "not the certificate of a CA"));
    scratch_write(&f->scratch, "tls/ca.pem", "nothing");
    assert_int_equal(try_open(f, &config), -EINVAL);
    assert_non_null(strstr(f->err.text, "ca.pem holds no certificate"));
    char *left = slurp(f, "ca.pem");
    assert_string_equal(left, "nothing");
    free(left);
    free(server);
    free(server_key);
}

static void test_open_key(void **state)
{
    struct fixture *f = *state;
    const struct tls_config config = config_ours(f);
    open_ours(f);
    close_it(f);
    assert_int_equal(chmod(scratch_path(&f->scratch, "tls/ca.key"), 0644), 0);
    assert_int_equal(try_open(f, &config), -EPERM);
    assert_non_null(strstr(f->err.text, "chmod 600"));
}

static void test_unwritable(void **state)
{
    struct fixture *f = *state;
    const struct tls_config config = config_ours(f);
    scratch_write(&f->scratch, "tls", "a file where the folder should be");
    assert_true(try_open(f, &config) < 0);
    assert_non_null(strstr(f->err.text, f->dir));
}

/* --- the owner's own --- */

static void write_owners(struct fixture *f, unsigned certificate_count)
{
    static const char *const more[] = {"owner.example.org", NULL};
    struct tls_pair ca, server;
    struct tls_names names;
    assert_int_equal(tls_names_gather(more, &names, NULL), 0);
    assert_int_equal(tls_issue_ca(&f->world.env, "owner", &ca, NULL), 0);
    assert_int_equal(tls_issue_server(&f->world.env, &ca, &names, &server, NULL), 0);
    if (certificate_count > 1) {
        server.certificates[server.certificate_count++] = ca.certificates[0];
        ca.certificate_count = 0;
    }
    assert_int_equal(tls_pair_write(&server, f->certificate, f->key, NULL), 0);
    tls_pair_fini(&server);
    tls_pair_fini(&ca);
}

static void test_owners_chain(void **state)
{
    struct fixture *f = *state;
    const struct tls_config config = config_owners(f);
    char name[128];
    size_t size = sizeof(name);
    write_owners(f, 2);
    assert_int_equal(try_open(f, &config), 0);
    assert_false(tls_is_ours(f->tls));
    assert_true(has_name(f->tls, "owner.example.org"));
    assert_string_not_equal(tls_fingerprint(f->tls), tls_server_fingerprint(f->tls));
    gnutls_x509_crt_t ca = parse(tls_ca_pem(f->tls));
    assert_int_equal(gnutls_x509_crt_get_dn(ca, name, &size), 0);
    assert_string_equal(name, "CN=modemesh owner");
    gnutls_x509_crt_deinit(ca);
    assert_int_equal(access(f->dir, F_OK), -1);
}

static void test_owners_single(void **state)
{
    struct fixture *f = *state;
    const struct tls_config config = config_owners(f);
    write_owners(f, 1);
    assert_int_equal(try_open(f, &config), 0);
    assert_string_equal(tls_fingerprint(f->tls), tls_server_fingerprint(f->tls));
}

static void test_owners_are_read_again(void **state)
{
    struct fixture *f = *state;
    const struct tls_config config = config_owners(f);
    write_owners(f, 2);
    assert_int_equal(try_open(f, &config), 0);
    struct fingerprints before = take_fingerprints(f);
    write_owners(f, 2);
    assert_int_equal(tls_refresh(f->tls, &f->err), 0);
    assert_string_not_equal(tls_server_fingerprint(f->tls), before.server);

    before = take_fingerprints(f);
    scratch_write(&f->scratch, "own.pem", "-----BEGIN CERTIFICATE-----\n");
    assert_int_equal(tls_refresh(f->tls, &f->err), -EINVAL);
    assert_kept(f, &before);
}

static void test_owners_without_one(void **state)
{
    struct fixture *f = *state;
    struct tls_config config = config_owners(f);
    assert_int_equal(try_open(f, &config), -ENOENT);
    assert_non_null(strstr(f->err.text, "own.pem"));
    write_owners(f, 1);
    assert_int_equal(unlink(f->key), 0);
    assert_int_equal(try_open(f, &config), -ENOENT);
    assert_non_null(strstr(f->err.text, "own.key"));
    config.key = NULL;
    assert_int_equal(try_open(f, &config), -EINVAL);
}

static void test_owners_key_does_not_fit(void **state)
{
    struct fixture *f = *state;
    const struct tls_config config = config_owners(f);
    char aside[PATH_MAX];
    strcpy(aside, scratch_path(&f->scratch, "aside"));
    write_owners(f, 1);
    assert_int_equal(rename(f->key, aside), 0);
    write_owners(f, 1);
    assert_int_equal(rename(aside, f->key), 0);
    assert_int_equal(try_open(f, &config), -EINVAL);
    assert_non_null(strstr(f->err.text, "own.key"));
    assert_non_null(strstr(f->err.text, "own.pem"));
}

static void test_owners_key_has_a_password(void **state)
{
    struct fixture *f = *state;
    const struct tls_config config = config_owners(f);
    struct tls_pair pair;
    gnutls_datum_t pem;
    write_owners(f, 1);
    assert_int_equal(tls_pair_read(f->certificate, f->key, &pair, NULL), 0);
    assert_int_equal(gnutls_x509_privkey_export2_pkcs8(pair.key, GNUTLS_X509_FMT_PEM, "secret",
                             GNUTLS_PKCS_PBES2_AES_128, &pem),
            0);
    assert_int_equal(file_write_private(f->key, pem.data, pem.size, NULL), 0);
    gnutls_free(pem.data);
    tls_pair_fini(&pair);
    assert_int_equal(try_open(f, &config), -EINVAL);
    assert_non_null(strstr(f->err.text, "without a password"));
}

static void test_too_long_a_chain(void **state)
{
    struct fixture *f = *state;
    const struct tls_config config = config_owners(f);
    struct buf many;
    write_owners(f, 1);
    char *one;
    size_t len;
    assert_int_equal(file_read(f->certificate, TLS_PEM_BYTES_MAX, &one, &len, NULL), 0);
    buf_init(&many, TLS_PEM_BYTES_MAX);
    for (int i = 0; i <= TLS_CHAIN_MAX; i++)
        assert_int_equal(buf_append(&many, one, len), 0);
    assert_int_equal(file_write_private(f->certificate, buf_at(&many), many.len, NULL), 0);
    buf_fini(&many);
    free(one);
    assert_int_equal(try_open(f, &config), -EINVAL);
    assert_non_null(strstr(f->err.text, "more than 16"));
}

/* --- handshakes --- */

struct handshake {
    int fds[2];
    gnutls_certificate_credentials_t server_cred, client_cred;
    gnutls_session_t server, client;
};

static gnutls_session_t make_session(
        unsigned flags, int fd, gnutls_certificate_credentials_t credentials)
{
    gnutls_session_t session;
    assert_int_equal(gnutls_init(&session, flags | GNUTLS_NONBLOCK), 0);
    assert_int_equal(gnutls_set_default_priority(session), 0);
    assert_int_equal(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials), 0);
    gnutls_transport_set_int(session, fd);
    return session;
}

static void handshake_init(struct handshake *h)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, h->fds), 0);
    assert_int_equal(gnutls_certificate_allocate_credentials(&h->server_cred), 0);
    assert_int_equal(gnutls_certificate_allocate_credentials(&h->client_cred), 0);
    gnutls_certificate_set_retrieve_function2(h->server_cred, tls_retrieve);
    h->server = make_session(GNUTLS_SERVER, h->fds[0], h->server_cred);
    h->client = make_session(GNUTLS_CLIENT, h->fds[1], h->client_cred);
}

static void handshake_fini(struct handshake *h)
{
    gnutls_deinit(h->server);
    gnutls_deinit(h->client);
    gnutls_certificate_free_credentials(h->server_cred);
    gnutls_certificate_free_credentials(h->client_cred);
    close(h->fds[0]);
    close(h->fds[1]);
}

static void handshake_finish(struct handshake *h)
{
    int server, client;
    do {
        client = gnutls_handshake(h->client);
        server = gnutls_handshake(h->server);
        assert_true(client == 0 || client == GNUTLS_E_AGAIN);
        assert_true(server == 0 || server == GNUTLS_E_AGAIN);
    } while (client != 0 || server != 0);
}

static void peer_fingerprint(struct handshake *h, char text[TLS_FINGERPRINT_LEN + 1])
{
    unsigned count;
    unsigned char bytes[32];
    size_t size = sizeof(bytes);
    const gnutls_datum_t *peers = gnutls_certificate_get_peers(h->client, &count);
    assert_int_equal(count, 1);
    assert_int_equal(gnutls_fingerprint(GNUTLS_DIG_SHA256, &peers[0], bytes, &size), 0);
    for (size_t i = 0; i < size; i++)
        text += sprintf(text, "%s%02X", i ? ":" : "", bytes[i]);
}

static void test_handshake(void **state)
{
    struct fixture *f = *state;
    struct handshake h;
    char seen[TLS_FINGERPRINT_LEN + 1];
    open_ours(f);
    handshake_init(&h);
    handshake_finish(&h);
    peer_fingerprint(&h, seen);
    assert_string_equal(seen, tls_server_fingerprint(f->tls));
    handshake_fini(&h);

    virtual_env_advance_ms(&f->world, 300 * day_ms);
    assert_int_equal(tls_refresh(f->tls, &f->err), 0);
    handshake_init(&h);
    handshake_finish(&h);
    peer_fingerprint(&h, seen);
    assert_string_equal(seen, tls_server_fingerprint(f->tls));
    handshake_fini(&h);
}

static void test_replaced_in_a_handshake(void **state)
{
    struct fixture *f = *state;
    struct handshake h;
    char seen[TLS_FINGERPRINT_LEN + 1];
    open_ours(f);
    handshake_init(&h);
    assert_int_equal(gnutls_handshake(h.client), GNUTLS_E_AGAIN);
    assert_int_equal(gnutls_handshake(h.server), GNUTLS_E_AGAIN);
    struct fingerprints before = take_fingerprints(f);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(unlink(scratch_path(&f->scratch, "tls/server.key")), 0);
        assert_int_equal(tls_refresh(f->tls, &f->err), 0);
    }
    assert_made_again(f, &before);
    handshake_finish(&h);
    peer_fingerprint(&h, seen);
    assert_string_equal(seen, before.server);
    handshake_fini(&h);
}

/* That what is retired is freed at last is for the leak checker and the one of addresses to see. */
static void test_retired_are_freed(void **state)
{
    struct fixture *f = *state;
    open_ours(f);
    for (int i = 0; i < 5; i++) {
        virtual_env_advance_ms(&f->world, 300 * day_ms);
        struct fingerprints before = take_fingerprints(f);
        assert_int_equal(tls_refresh(f->tls, &f->err), 0);
        assert_made_again(f, &before);
    }
    tls_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(test_ca),
            TEST(test_files_are_private),
            TEST(test_server_certificate),
            TEST(test_server_times),
            TEST(test_names),
            TEST(test_clients_accept_the_names),
            TEST(test_bad_names),
            TEST(test_too_many_names),
            TEST(test_restart_keeps_all),
            TEST(test_renewed_in_the_last_third),
            TEST(test_serials_differ),
            TEST(test_renewed_for_other_names),
            TEST(test_renewed_when_the_clock_was_wrong),
            TEST(test_never_longer_than_the_ca),
            TEST(test_damaged_server_files),
            TEST(test_server_of_another_ca),
            TEST(test_half_a_ca),
            TEST(test_bad_ca),
            TEST(test_open_key),
            TEST(test_unwritable),
            TEST(test_owners_chain),
            TEST(test_owners_single),
            TEST(test_owners_are_read_again),
            TEST(test_owners_without_one),
            TEST(test_owners_key_does_not_fit),
            TEST(test_owners_key_has_a_password),
            TEST(test_too_long_a_chain),
            TEST(test_handshake),
            TEST(test_replaced_in_a_handshake),
            TEST(test_retired_are_freed),
    };
    return cmocka_run_group_tests_name("tls", tests, NULL, NULL);
}
