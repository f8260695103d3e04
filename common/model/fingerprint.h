/* Which model a file holds, told from its content and not from its name: the same bytes have the
 * same fingerprint on every host. BLAKE2b-256 over the size of each part, its header (metadata and
 * tensor infos) and FINGERPRINT_SAMPLES samples of the whole, at places that follow from the size:
 * little is read of a file of any size, and two quantisations of one model or two models of one
 * layout are told apart. Against mistakes, not against forgery: what lies between the samples is
 * not looked at. Blocking and without shared state: any thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/model/gguf_reader.h"

#include <stddef.h>
#include <stdint.h>

enum {
    FINGERPRINT_BYTES = 32,
    FINGERPRINT_TEXT_MAX = 2 * FINGERPRINT_BYTES + 1, /* in hexadecimal, with the final NUL */
    FINGERPRINT_SAMPLES = 64,
    FINGERPRINT_SAMPLE_BYTES = 4096,
};

struct fingerprint {
    uint8_t bytes[FINGERPRINT_BYTES];
};

/* Of one file, or of all parts of a split in their order. As gguf_read(); -EINVAL where there are
 * no parts. */
MUST_CHECK int fingerprint_read(const struct gguf_source *parts, size_t part_count,
        struct fingerprint *ret_fingerprint, struct err *err);

/* Lower-case hexadecimal into `ret_text`, which is returned. */
const char *fingerprint_format(
        const struct fingerprint *fingerprint, char ret_text[FINGERPRINT_TEXT_MAX]);
