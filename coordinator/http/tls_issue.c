#include "coordinator/http/tls_issue.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    DAY_S = 24 * 3600,
    GRACE_S = 3600, /* for clocks that are behind ours */
    SERIAL_BYTES = 16,
    KEY_ID_BYTES = 20,
    COMMON_NAME_MAX = 64, /* RFC 5280, ub-common-name */
};

/* What is to be certified. A CA has neither `ca` nor `names`: it signs itself. */
struct subject {
    const struct env *env;
    const char *name;
    time_t not_after;
    const struct tls_pair *ca;
    const struct tls_names *names;
};

static time_t now_s(const struct env *env)
{
    return (time_t)(env_wall_ms(env) / 1000);
}

static int set_serial(gnutls_x509_crt_t certificate, const struct env *env)
{
    uint8_t serial[SERIAL_BYTES];
    env->random(env->ctx, serial, sizeof(serial));
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40); /* positive, and no leading zeros */
    return gnutls_x509_crt_set_serial(certificate, serial, sizeof(serial));
}

static int set_times(gnutls_x509_crt_t certificate, const struct subject *subject)
{
    time_t now = now_s(subject->env);
    int r = gnutls_x509_crt_set_activation_time(certificate, now > GRACE_S ? now - GRACE_S : 0);
    return r ? r : gnutls_x509_crt_set_expiration_time(certificate, subject->not_after);
}

/* Clients that check strictly look for the key ids. */
static int set_key_ids(gnutls_x509_crt_t certificate, gnutls_x509_crt_t issuer)
{
    uint8_t id[KEY_ID_BYTES];
    size_t size = sizeof(id);
    int r = gnutls_x509_crt_get_key_id(certificate, 0, id, &size);
    if (r == 0)
        r = gnutls_x509_crt_set_subject_key_id(certificate, id, size);
    if (r < 0 || issuer == certificate)
        return r;
    size = sizeof(id);
    r = gnutls_x509_crt_get_key_id(issuer, 0, id, &size);
    return r ? r : gnutls_x509_crt_set_authority_key_id(certificate, id, size);
}

static int set_ca_extensions(gnutls_x509_crt_t certificate)
{
    int r = gnutls_x509_crt_set_basic_constraints(certificate, 1, 0);
    if (r == 0)
        r = gnutls_x509_crt_set_key_usage(
                certificate, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
    return r;
}

static int set_server_extensions(gnutls_x509_crt_t certificate, const struct tls_names *names)
{
    int r = gnutls_x509_crt_set_basic_constraints(certificate, 0, -1);
    if (r == 0)
        r = gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_DIGITAL_SIGNATURE);
    if (r == 0)
        r = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER, 0);
    if (r == 0)
        r = tls_names_put(names, certificate);
    return r;
}

static int set_identity(
        gnutls_x509_crt_t certificate, const struct subject *subject, gnutls_x509_privkey_t key)
{
    int r = gnutls_x509_crt_set_version(certificate, 3);
    if (r == 0)
        r = set_serial(certificate, subject->env);
    if (r == 0)
        r = gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0,
                subject->name, (unsigned)strnlen(subject->name, COMMON_NAME_MAX));
    if (r == 0)
        r = set_times(certificate, subject);
    if (r == 0)
        r = gnutls_x509_crt_set_key(certificate, key);
    return r;
}

static int sign(gnutls_x509_crt_t certificate, const struct tls_pair *issuer)
{
    int r = set_key_ids(certificate, issuer->certificates[0]);
    return r ? r
             : gnutls_x509_crt_sign2(
                       certificate, issuer->certificates[0], issuer->key, GNUTLS_DIG_SHA256, 0);
}

/* GnuTLS finds no alternative names in a certificate that it has made and not read. */
static int read_again(gnutls_x509_crt_t made, gnutls_x509_crt_t *ret_read)
{
    gnutls_datum_t der;
    unsigned count = 1;
    int r = gnutls_x509_crt_export2(made, GNUTLS_X509_FMT_DER, &der);
    if (r < 0)
        return r;
    r = gnutls_x509_crt_list_import(ret_read, &count, &der, GNUTLS_X509_FMT_DER, 0);
    gnutls_free(der.data);
    return r < 0 ? r : 0;
}

static int make_key(gnutls_x509_privkey_t *key)
{
    int r = gnutls_x509_privkey_init(key);
    return r ? r
             : gnutls_x509_privkey_generate2(*key, GNUTLS_PK_ECDSA,
                       GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0, NULL, 0);
}

static int certify(const struct subject *subject, gnutls_x509_privkey_t key,
        gnutls_x509_crt_t *ret_certificate)
{
    gnutls_x509_crt_t made;
    int r = gnutls_x509_crt_init(&made);
    if (r < 0)
        return r;
    r = set_identity(made, subject, key);
    if (r == 0)
        r = subject->ca ? set_server_extensions(made, subject->names) : set_ca_extensions(made);
    const struct tls_pair self = {.certificates = {made}, .certificate_count = 1, .key = key};
    if (r == 0)
        r = sign(made, subject->ca ? subject->ca : &self);
    if (r == 0)
        r = read_again(made, ret_certificate);
    gnutls_x509_crt_deinit(made);
    return r;
}

static int issue(const struct subject *subject, struct tls_pair *ret_pair, struct err *err)
{
    struct tls_pair pair = {.certificate_count = 0};
    int r = make_key(&pair.key);
    if (r == 0)
        r = certify(subject, pair.key, &pair.certificates[0]);
    if (r < 0) {
        tls_pair_fini(&pair);
        return tls_error(err, r, "make a certificate");
    }
    pair.certificate_count = 1;
    *ret_pair = pair;
    return 0;
}

int tls_issue_ca(
        const struct env *env, const char *mesh_id, struct tls_pair *ret_ca, struct err *err)
{
    char name[COMMON_NAME_MAX + 1];
    (void)snprintf(name, sizeof(name), "modemesh %s", mesh_id);
    const struct subject subject = {
            .env = env,
            .name = name,
            .not_after = now_s(env) + (time_t)TLS_CA_DAYS * DAY_S,
    };
    return issue(&subject, ret_ca, err);
}

int tls_issue_server(const struct env *env, const struct tls_pair *ca,
        const struct tls_names *names, struct tls_pair *ret_server, struct err *err)
{
    time_t not_after = now_s(env) + (time_t)TLS_SERVER_DAYS * DAY_S;
    time_t ca_not_after = gnutls_x509_crt_get_expiration_time(ca->certificates[0]);
    const struct subject subject = {
            .env = env,
            .name = names->at[0],
            .not_after = not_after < ca_not_after ? not_after : ca_not_after,
            .ca = ca,
            .names = names,
    };
    return issue(&subject, ret_server, err);
}
