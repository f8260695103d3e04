#include "common/model/fingerprint.h"

#include "common/saturating.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

enum { PIECE_BYTES = 16 * 1024 };

static void add_number(crypto_generichash_state *hash, uint64_t number)
{
    uint8_t raw[8];

    for (size_t i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t)(number >> (8 * i));
    (void)crypto_generichash_update(hash, raw, sizeof raw);
}

/* All of `len` bytes at `offset`. */
static int add_bytes(crypto_generichash_state *hash, const struct gguf_source *part,
        uint64_t offset, uint64_t len, struct err *err)
{
    uint8_t piece[PIECE_BYTES];

    while (len > 0) {
        size_t wanted = len < sizeof piece ? (size_t)len : sizeof piece;
        ssize_t n = part->read_at(part->ctx, offset, piece, wanted);
        if (n < 0)
            return err_set(err, (int)n, "cannot read: %s", strerror((int)-n));
        if (n == 0)
            return err_set(err, -ENODATA, "the file became shorter while it was read");
        (void)crypto_generichash_update(hash, piece, (size_t)n);
        offset += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return 0;
}

static int add_header(
        crypto_generichash_state *hash, const struct gguf_source *part, struct err *err)
{
    struct gguf_layout layout;
    int rc = gguf_read(part, NULL, NULL, &layout, err);

    if (rc < 0)
        return rc;
    add_number(hash, part->size_bytes);
    add_number(hash, layout.header_bytes);
    return add_bytes(hash, part, 0, layout.header_bytes, err);
}

static uint64_t total_bytes(const struct gguf_source *parts, size_t part_count)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < part_count; i++)
        bytes = saturating_sum(bytes, parts[i].size_bytes);
    return bytes;
}

/* The sample at `place` of all parts in a row; one that reaches over a part's end stops there. */
static int add_sample(crypto_generichash_state *hash, const struct gguf_source *parts,
        size_t part_count, uint64_t place, struct err *err)
{
    uint64_t left;
    size_t i = 0;

    while (i < part_count && place >= parts[i].size_bytes)
        place -= parts[i++].size_bytes;
    if (i == part_count)
        return 0;
    left = parts[i].size_bytes - place;
    return add_bytes(hash, &parts[i], place,
            left < FINGERPRINT_SAMPLE_BYTES ? left : FINGERPRINT_SAMPLE_BYTES, err);
}

/* Evenly from the first byte to the last. */
static int add_samples(crypto_generichash_state *hash, const struct gguf_source *parts,
        size_t part_count, struct err *err)
{
    uint64_t total = total_bytes(parts, part_count), last, step;
    int rc = 0;

    last = total > FINGERPRINT_SAMPLE_BYTES ? total - FINGERPRINT_SAMPLE_BYTES : 0;
    step = last / (FINGERPRINT_SAMPLES - 1);
    for (uint64_t i = 0; rc == 0 && i < FINGERPRINT_SAMPLES - 1; i++)
        rc = add_sample(hash, parts, part_count, i * step, err);
    return rc < 0 ? rc : add_sample(hash, parts, part_count, last, err);
}

int fingerprint_read(const struct gguf_source *parts, size_t part_count,
        struct fingerprint *ret_fingerprint, struct err *err)
{
    crypto_generichash_state hash;
    int rc = 0;

    if (part_count == 0)
        return err_set(err, -EINVAL, "no file to read");
    (void)crypto_generichash_init(&hash, NULL, 0, FINGERPRINT_BYTES);
    for (size_t i = 0; rc == 0 && i < part_count; i++)
        rc = add_header(&hash, &parts[i], err);
    if (rc == 0)
        rc = add_samples(&hash, parts, part_count, err);
    if (rc == 0)
        (void)crypto_generichash_final(&hash, ret_fingerprint->bytes, FINGERPRINT_BYTES);
    return rc;
}

const char *fingerprint_format(
        const struct fingerprint *fingerprint, char ret_text[FINGERPRINT_TEXT_MAX])
{
    return sodium_bin2hex(
            ret_text, FINGERPRINT_TEXT_MAX, fingerprint->bytes, sizeof fingerprint->bytes);
}
