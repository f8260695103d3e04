#include "coordinator/http/tls_pair.h"

#include "common/file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_ID_BYTES = 32 };

int tls_error(struct err *err, int code, const char *what)
{
    int r = code == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EIO;
    return err_set(err, r, "cannot %s: %s", what, gnutls_strerror(code));
}

static gnutls_datum_t as_datum(char *data, size_t len)
{
    return (gnutls_datum_t){.data = (unsigned char *)data, .size = (unsigned)len};
}

static void wipe_and_free(char *data, size_t len)
{
    if (data)
        explicit_bzero(data, len);
    free(data);
}

static int parse_certificates(
        const char *path, const gnutls_datum_t *pem, struct tls_pair *pair, struct err *err)
{
    unsigned count = TLS_CHAIN_MAX;
    int r = gnutls_x509_crt_list_import(pair->certificates, &count, pem, GNUTLS_X509_FMT_PEM,
            GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
    if (r == GNUTLS_E_SHORT_MEMORY_BUFFER)
        return err_set(err, -EINVAL, "%s holds more than %d certificates", path, TLS_CHAIN_MAX);
    if (r <= 0)
        return err_set(
                err, -EINVAL, "%s holds no certificate in PEM form: %s", path, gnutls_strerror(r));
    pair->certificate_count = (unsigned)r;
    return 0;
}

static int parse_key(
        const char *path, const gnutls_datum_t *pem, struct tls_pair *pair, struct err *err)
{
    int r = gnutls_x509_privkey_init(&pair->key);
    if (r < 0)
        return tls_error(err, r, "read a private key");
    r = gnutls_x509_privkey_import2(pair->key, pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (r < 0)
        return err_set(err, -EINVAL, "%s holds no private key in PEM form without a password: %s",
                path, gnutls_strerror(r));
    return 0;
}

static bool key_fits(const struct tls_pair *pair)
{
    uint8_t of_key[KEY_ID_BYTES], of_certificate[KEY_ID_BYTES];
    size_t key_size = sizeof(of_key), certificate_size = sizeof(of_certificate);
    return gnutls_x509_privkey_get_key_id(pair->key, GNUTLS_KEYID_USE_SHA256, of_key, &key_size) ==
                   0 &&
           gnutls_x509_crt_get_key_id(pair->certificates[0], GNUTLS_KEYID_USE_SHA256,
                   of_certificate, &certificate_size) == 0 &&
           memcmp(of_key, of_certificate, sizeof(of_key)) == 0;
}

static int read_certificates(const char *path, struct tls_pair *pair, struct err *err)
{
    char *data;
    size_t len;
    int r = file_read_guarded(path, TLS_PEM_BYTES_MAX, &data, &len, err);
    if (r < 0)
        return r;
    gnutls_datum_t pem = as_datum(data, len);
    r = parse_certificates(path, &pem, pair, err);
    free(data);
    return r;
}

static int read_key(const char *path, struct tls_pair *pair, struct err *err)
{
    char *data;
    size_t len;
    int r = file_read_secret(path, TLS_PEM_BYTES_MAX, &data, &len, err);
    if (r < 0)
        return r;
    gnutls_datum_t pem = as_datum(data, len);
    r = parse_key(path, &pem, pair, err);
    wipe_and_free(data, len);
    return r;
}

int tls_pair_read(const char *certificate_path, const char *key_path, struct tls_pair *ret_pair,
        struct err *err)
{
    struct tls_pair pair = {.certificate_count = 0};
    int r = read_certificates(certificate_path, &pair, err);
    if (r == 0)
        r = read_key(key_path, &pair, err);
    if (r == 0 && !key_fits(&pair))
        r = err_set(err, -EINVAL, "the key in %s does not fit the first certificate in %s",
                key_path, certificate_path);
    if (r < 0)
        tls_pair_fini(&pair);
    else
        *ret_pair = pair;
    return r;
}

static int write_key(const struct tls_pair *pair, const char *path, struct err *err)
{
    gnutls_datum_t pem;
    int r = gnutls_x509_privkey_export2(pair->key, GNUTLS_X509_FMT_PEM, &pem);
    if (r < 0)
        return tls_error(err, r, "write out a private key");
    r = file_write_private(path, pem.data, pem.size, err);
    explicit_bzero(pem.data, pem.size);
    gnutls_free(pem.data);
    return r;
}

static int append_certificate(struct buf *all, gnutls_x509_crt_t certificate)
{
    gnutls_datum_t pem;
    if (gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem) < 0)
        return -ENOMEM;
    int r = buf_append(all, pem.data, pem.size);
    gnutls_free(pem.data);
    return r;
}

static int write_certificates(const struct tls_pair *pair, const char *path, struct err *err)
{
    struct buf all;
    int r = 0;
    buf_init(&all, TLS_PEM_BYTES_MAX);
    for (unsigned i = 0; i < pair->certificate_count && r == 0; i++)
        r = append_certificate(&all, pair->certificates[i]);
    if (r < 0)
        err_set(err, r, "no memory to write out a certificate");
    else
        r = file_write_private(path, buf_at(&all), all.len, err);
    buf_fini(&all);
    return r;
}

int tls_pair_write(const struct tls_pair *pair, const char *certificate_path, const char *key_path,
        struct err *err)
{
    int r = write_key(pair, key_path, err);
    return r < 0 ? r : write_certificates(pair, certificate_path, err);
}

void tls_pair_fini(struct tls_pair *pair)
{
    for (unsigned i = 0; i < pair->certificate_count; i++)
        gnutls_x509_crt_deinit(pair->certificates[i]);
    gnutls_x509_privkey_deinit(pair->key);
    *pair = (struct tls_pair){.certificate_count = 0};
}
