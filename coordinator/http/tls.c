#include "coordinator/http/tls.h"

#include "common/arena.h"
#include "common/file.h"
#include "common/list.h"
#include "coordinator/http/tls_issue.h"
#include "coordinator/http/tls_names.h"
#include "coordinator/http/tls_pair.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    RENEW_IN_LAST = 3,                /* the last third of its time */
    RETIRED_KEPT_MS = 10 * 60 * 1000, /* longer than any handshake */
    FINGERPRINT_BYTES = 32,
    TEXTS_MAX = 64 * 1024, /* bytes of the settings that are kept */
};

/* A certificate as handshakes use it, with what people are told about it. */
struct served {
    struct list link;
    uint64_t retired_ms;
    gnutls_pcert_st chain[TLS_CHAIN_MAX];
    unsigned chain_count;
    gnutls_privkey_t key;
    gnutls_datum_t ca_pem;
    char ca_fingerprint[TLS_FINGERPRINT_LEN + 1], fingerprint[TLS_FINGERPRINT_LEN + 1];
    time_t not_after;
    struct tls_names names;
    const char *name_list[TLS_NAMES_MAX + 1];
};

struct tls {
    struct tls_config config; /* its texts are in `texts` */
    struct arena texts;
    struct served *newest;
    struct list retired; /* handshakes under way may still use these */
};

static struct tls *the_tls; /* libmicrohttpd hands no context to tls_retrieve() */

static time_t now_s(const struct tls *tls)
{
    return (time_t)(env_wall_ms(tls->config.env) / 1000);
}

static void served_free(struct served *served)
{
    if (!served)
        return;
    for (unsigned i = 0; i < served->chain_count; i++)
        gnutls_pcert_deinit(&served->chain[i]);
    gnutls_privkey_deinit(served->key);
    gnutls_free(served->ca_pem.data);
    free(served);
}

static int take_chain(struct served *served, const struct tls_pair *pair)
{
    int r = 0;
    for (unsigned i = 0; i < pair->certificate_count && r == 0; i++) {
        r = gnutls_pcert_import_x509(&served->chain[i], pair->certificates[i], 0);
        if (r == 0)
            served->chain_count++;
    }
    return r;
}

static int take_key(struct served *served, const struct tls_pair *pair)
{
    int r = gnutls_privkey_init(&served->key);
    return r ? r : gnutls_privkey_import_x509(served->key, pair->key, GNUTLS_PRIVKEY_IMPORT_COPY);
}

static int format_fingerprint(gnutls_x509_crt_t certificate, char text[TLS_FINGERPRINT_LEN + 1])
{
    unsigned char bytes[FINGERPRINT_BYTES];
    size_t size = sizeof(bytes);
    int r = gnutls_x509_crt_get_fingerprint(certificate, GNUTLS_DIG_SHA256, bytes, &size);
    for (size_t i = 0; i < sizeof(bytes) && r == 0; i++)
        text += sprintf(text, "%s%02X", i ? ":" : "", bytes[i]);
    return r;
}

static int take_facts(struct served *served, gnutls_x509_crt_t own, gnutls_x509_crt_t ca)
{
    served->not_after = gnutls_x509_crt_get_expiration_time(own);
    tls_names_of(own, &served->names);
    for (size_t i = 0; i < served->names.count; i++)
        served->name_list[i] = served->names.at[i];
    int r = format_fingerprint(own, served->fingerprint);
    if (r == 0)
        r = format_fingerprint(ca, served->ca_fingerprint);
    return r ? r : gnutls_x509_crt_export2(ca, GNUTLS_X509_FMT_PEM, &served->ca_pem);
}

/* `ca` is what clients must trust. Both are copied. */
static int served_create(const struct tls_pair *pair, gnutls_x509_crt_t ca,
        struct served **ret_served, struct err *err)
{
    struct served *served = calloc(1, sizeof(*served));
    if (!served)
        return err_set(err, -ENOMEM, "no memory for a certificate");
    int r = take_chain(served, pair);
    if (r == 0)
        r = take_key(served, pair);
    if (r == 0)
        r = take_facts(served, pair->certificates[0], ca);
    if (r < 0) {
        served_free(served);
        return tls_error(err, r, "take a certificate");
    }
    *ret_served = served;
    return 0;
}

struct paths {
    char key[PATH_MAX], certificate[PATH_MAX];
};

static int name_files(const char *dir, const char *what, struct paths *paths, struct err *err)
{
    int key = snprintf(paths->key, sizeof(paths->key), "%s/%s.key", dir, what);
    int certificate =
            snprintf(paths->certificate, sizeof(paths->certificate), "%s/%s.pem", dir, what);
    if (key >= PATH_MAX || certificate >= PATH_MAX)
        return err_set(err, -ENAMETOOLONG, "the name of folder %s is too long", dir);
    return 0;
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0 || errno != ENOENT;
}

static int make_ca(
        const struct tls *tls, const struct paths *paths, struct tls_pair *ret_ca, struct err *err)
{
    struct tls_pair ca;
    int r = tls_issue_ca(tls->config.env, tls->config.mesh_id, &ca, err);
    if (r < 0)
        return r;
    r = tls_pair_write(&ca, paths->certificate, paths->key, err);
    if (r < 0)
        tls_pair_fini(&ca);
    else
        *ret_ca = ca;
    return r;
}

static int check_ca(
        const struct tls *tls, const struct paths *paths, gnutls_x509_crt_t ca, struct err *err)
{
    if (gnutls_x509_crt_get_ca_status(ca, NULL) <= 0)
        return err_set(err, -EINVAL, "%s is not the certificate of a CA", paths->certificate);
    if (gnutls_x509_crt_get_expiration_time(ca) <= now_s(tls))
        return err_set(err, -EINVAL,
                "%s has expired: move it and %s away to get a new CA, which clients must be told "
                "to trust",
                paths->certificate, paths->key);
    return 0;
}

static int read_ca(
        const struct tls *tls, const struct paths *paths, struct tls_pair *ret_ca, struct err *err)
{
    struct tls_pair ca;
    int r = tls_pair_read(paths->certificate, paths->key, &ca, err);
    if (r < 0)
        return r;
    r = check_ca(tls, paths, ca.certificates[0], err);
    if (r < 0)
        tls_pair_fini(&ca);
    else
        *ret_ca = ca;
    return r;
}

/* A new CA is one that no client trusts yet: it is made only where there is nothing of an old one.
 */
static int open_ca(const struct tls *tls, struct tls_pair *ret_ca, struct err *err)
{
    struct paths paths;
    int r = name_files(tls->config.dir, "ca", &paths, err);
    if (r < 0)
        return r;
    bool has_key = is_there(paths.key), has_certificate = is_there(paths.certificate);
    if (has_key != has_certificate)
        return err_set(err, -EINVAL,
                "%s is there, but %s is not: restore it, or move the other away to get a new CA, "
                "which clients must be told to trust",
                has_key ? paths.key : paths.certificate, has_key ? paths.certificate : paths.key);
    return has_key ? read_ca(tls, &paths, ret_ca, err) : make_ca(tls, &paths, ret_ca, err);
}

static bool is_signed_by(gnutls_x509_crt_t certificate, gnutls_x509_crt_t ca)
{
    unsigned status;
    int r = gnutls_x509_crt_verify(certificate, &ca, 1, GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &status);
    return r == 0 && status == 0;
}

static bool is_in_its_time(const struct tls *tls, gnutls_x509_crt_t certificate)
{
    time_t now = now_s(tls);
    time_t begin = gnutls_x509_crt_get_activation_time(certificate);
    time_t end = gnutls_x509_crt_get_expiration_time(certificate);
    return begin <= now && now < end - (end - begin) / RENEW_IN_LAST;
}

static bool is_good(const struct tls *tls, gnutls_x509_crt_t certificate, gnutls_x509_crt_t ca,
        const struct tls_names *names)
{
    struct tls_names its_names;
    tls_names_of(certificate, &its_names);
    return tls_names_equal(&its_names, names) && is_in_its_time(tls, certificate) &&
           is_signed_by(certificate, ca);
}

static int make_server(const struct tls *tls, const struct tls_pair *ca,
        const struct tls_names *names, const struct paths *paths, struct tls_pair *ret_server,
        struct err *err)
{
    struct tls_pair server;
    int r = tls_issue_server(tls->config.env, ca, names, &server, err);
    if (r < 0)
        return r;
    r = tls_pair_write(&server, paths->certificate, paths->key, err);
    if (r < 0)
        tls_pair_fini(&server);
    else
        *ret_server = server;
    return r;
}

/* What is missing or damaged is made again like what is old: with our CA that costs nobody
 * anything. */
static int open_server(const struct tls *tls, const struct tls_pair *ca,
        struct tls_pair *ret_server, struct err *err)
{
    struct paths paths;
    struct tls_names names;
    struct tls_pair server;
    int r = name_files(tls->config.dir, "server", &paths, err);
    if (r == 0)
        r = tls_names_gather(tls->config.names, &names, err);
    if (r < 0)
        return r;
    r = tls_pair_read(paths.certificate, paths.key, &server, err);
    if (r < 0 && r != -ENOENT && r != -EINVAL)
        return r;
    if (r == 0 && is_good(tls, server.certificates[0], ca->certificates[0], &names)) {
        *ret_server = server;
        return 0;
    }
    if (r == 0)
        tls_pair_fini(&server);
    return make_server(tls, ca, &names, &paths, ret_server, err);
}

static int load_ours(const struct tls *tls, struct served **ret_served, struct err *err)
{
    struct tls_pair ca = {.certificate_count = 0}, server = {.certificate_count = 0};
    int r = file_make_private_dir(tls->config.dir, err);
    if (r == 0)
        r = open_ca(tls, &ca, err);
    if (r == 0)
        r = open_server(tls, &ca, &server, err);
    if (r == 0)
        r = served_create(&server, ca.certificates[0], ret_served, err);
    tls_pair_fini(&server);
    tls_pair_fini(&ca);
    return r;
}

static int load_owners(const struct tls *tls, struct served **ret_served, struct err *err)
{
    struct tls_pair pair;
    if (!tls->config.certificate || !tls->config.key)
        return err_set(err, -EINVAL,
                "a certificate needs its key and a key its certificate: "
                "name both files, or neither to get one made here");
    int r = tls_pair_read(tls->config.certificate, tls->config.key, &pair, err);
    if (r < 0)
        return r;
    r = served_create(&pair, pair.certificates[pair.certificate_count - 1], ret_served, err);
    tls_pair_fini(&pair);
    return r;
}

static int load(const struct tls *tls, struct served **ret_served, struct err *err)
{
    return tls_is_ours(tls) ? load_ours(tls, ret_served, err) : load_owners(tls, ret_served, err);
}

static const char *copy_text(struct tls *tls, const char *text)
{
    return text ? arena_strdup(&tls->texts, text) : NULL;
}

static const char *const *copy_names(struct tls *tls, const char *const *names)
{
    size_t count = 0;
    while (names && names[count])
        count++;
    const char **copy = arena_alloc(&tls->texts, (count + 1) * sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++) {
        copy[i] = arena_strdup(&tls->texts, names[i]);
        if (!copy[i])
            return NULL;
    }
    return copy;
}

static int copy_config(struct tls *tls, const struct tls_config *config, struct err *err)
{
    arena_init(&tls->texts, TEXTS_MAX);
    tls->config = (struct tls_config){.env = config->env,
            .dir = copy_text(tls, config->dir),
            .certificate = copy_text(tls, config->certificate),
            .key = copy_text(tls, config->key),
            .names = copy_names(tls, config->names),
            .mesh_id = copy_text(tls, config->mesh_id)};
    bool lost_owners =
            (config->certificate && !tls->config.certificate) || (config->key && !tls->config.key);
    if (lost_owners || !tls->config.dir || !tls->config.names || !tls->config.mesh_id)
        return err_set(err, -ENOMEM, "no memory for the TLS settings");
    return 0;
}

int tls_create(const struct tls_config *config, struct tls **ret_tls, struct err *err)
{
    assert(!the_tls);
    struct tls *tls = calloc(1, sizeof(*tls));
    if (!tls)
        return err_set(err, -ENOMEM, "no memory for a certificate");
    list_init(&tls->retired);
    int r = copy_config(tls, config, err);
    if (r == 0)
        r = load(tls, &tls->newest, err);
    if (r < 0) {
        arena_fini(&tls->texts);
        free(tls);
        return r;
    }
    *ret_tls = the_tls = tls;
    return 0;
}

/* Frees what was retired up to `until_ms`. */
static void free_retired(struct tls *tls, uint64_t until_ms)
{
    list_for_each_safe (it, &tls->retired) {
        struct served *served = list_entry(it, struct served, link);
        if (served->retired_ms > until_ms)
            continue;
        list_del(it);
        served_free(served);
    }
}

void tls_destroy(struct tls *tls)
{
    if (!tls)
        return;
    free_retired(tls, UINT64_MAX);
    served_free(tls->newest);
    arena_fini(&tls->texts);
    free(tls);
    the_tls = NULL;
}

static bool is_same(const struct served *a, const struct served *b)
{
    return strcmp(a->fingerprint, b->fingerprint) == 0 &&
           strcmp(a->ca_fingerprint, b->ca_fingerprint) == 0;
}

static void replace(struct tls *tls, struct served *served, uint64_t now_ms)
{
    tls->newest->retired_ms = now_ms;
    list_push_back(&tls->retired, &tls->newest->link);
    tls->newest = served;
}

int tls_refresh(struct tls *tls, struct err *err)
{
    struct served *served;
    uint64_t now_ms = env_now_ms(tls->config.env);
    if (now_ms > RETIRED_KEPT_MS)
        free_retired(tls, now_ms - RETIRED_KEPT_MS);
    int r = load(tls, &served, err);
    if (r < 0)
        return r;
    if (is_same(served, tls->newest))
        served_free(served);
    else
        replace(tls, served, now_ms);
    return 0;
}

int tls_retrieve(gnutls_session_t session, const gnutls_datum_t *ca_names, int ca_count,
        const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **ret_pcert,
        unsigned int *ret_pcert_count, gnutls_privkey_t *ret_key)
{
    (void)session;
    (void)ca_names;
    (void)ca_count;
    (void)algorithms;
    (void)algorithm_count;
    struct served *served = the_tls->newest;
    *ret_pcert = served->chain;
    *ret_pcert_count = served->chain_count;
    *ret_key = served->key;
    return 0;
}

const char *tls_ca_pem(const struct tls *tls)
{
    return (const char *)tls->newest->ca_pem.data;
}

const char *tls_fingerprint(const struct tls *tls)
{
    return tls->newest->ca_fingerprint;
}

const char *tls_server_fingerprint(const struct tls *tls)
{
    return tls->newest->fingerprint;
}

bool tls_is_ours(const struct tls *tls)
{
    return !tls->config.certificate && !tls->config.key;
}

int64_t tls_not_after_s(const struct tls *tls)
{
    return tls->newest->not_after;
}

const char *const *tls_names(const struct tls *tls)
{
    return tls->newest->name_list;
}
