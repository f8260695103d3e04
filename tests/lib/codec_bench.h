/* What tests of the codec stand on: a message of each type, and a frame on its way to bytes and
 * back. */
#pragma once

#include "common/arena.h"
#include "common/buf.h"
#include "common/err.h"
#include "proto/codec.h"
#include "tests/lib/wire_maker.h"

#include <stddef.h>
#include <stdint.h>

#define CODEC_SAMPLE_STREAM 0xfedcba9800020001 /* the id in every sample, whatever it is of */

/* One message of each type, no field of it zero. */
extern const struct msg codec_samples[];
extern const size_t codec_sample_count;
const struct msg *codec_sample(enum msg_type type);

struct codec_bench {
    struct buf out; /* the frame */
    struct arena arena;
    struct err err;
    struct msg msg; /* what was decoded last */
};

/* For cmocka: `*state` is the bench. */
int codec_bench_setup(void **state);
int codec_bench_teardown(void **state);

/* `msg` is the frame now. */
void codec_bench_encode(struct codec_bench *bench, const struct msg *msg);
/* codec_decode() of the frame's first `len` bytes, out of an allocation of exactly that size. */
int codec_bench_decode(struct codec_bench *bench, size_t len);
/* Both. */
const struct msg *codec_bench_round_trip(struct codec_bench *bench, const struct msg *msg);

void codec_bench_assert_decodes(struct codec_bench *bench);
/* The frame is refused with `want`, in a text that begins with the message and names the field. */
void codec_bench_assert_refused(
        struct codec_bench *bench, int want, enum msg_type type, const char *field);
/* `msg` is refused likewise, and nothing of it is written. */
void codec_bench_assert_not_encoded(
        struct codec_bench *bench, int want, const struct msg *msg, const char *field);
void codec_bench_assert_bytes(const struct msg_bytes *got, const struct msg_bytes *want);
