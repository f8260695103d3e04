/* What engines said that they took, by how they were started: worth more than an estimate
 * (common/model/estimate.h) for the next load of the same kind. And how many rows of logits a kind
 * of engine reserves, which makes the estimates of all other models better. A table of plain values
 * with a text to keep it in; who keeps it: node/residency/measurement_file.h. Pure; loop thread.
 *
 * The key of a start is a hash of all that changes what it takes: the file's fingerprint, context,
 * slots, cache types, projector, draft model, and all words that its engine is started with. An
 * engine that was replaced under the same name is measured anew at its first load. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/model/fingerprint.h"
#include "node/backends/backend.h"
#include "node/hardware/hardware.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MEASUREMENTS_MAX = 1024,        /* then the oldest goes */
    MEASUREMENTS_ENGINES_MAX = 64,  /* likewise */
    MEASUREMENTS_TEXT_MAX = 262144, /* bytes of the text */
    MEASUREMENT_ROWS_MAX = 65536,   /* of logits for one sequence */
    MEASUREMENT_KEY_BYTES = 32,
};
#define MEASUREMENT_BYTES_MAX (UINT64_C(1) << 50)

struct measurement_key {
    uint8_t bytes[MEASUREMENT_KEY_BYTES];
};

/* Of an engine that is started for a file. */
void measurement_key_of_start(const struct backend_host *host, const struct backend_model *model,
        const struct fingerprint *fingerprint, struct measurement_key *ret_key);
/* Of a model of an engine that runs already. */
void measurement_key_of_adopted(
        const char *url, const char *id, const char *version, struct measurement_key *ret_key);
/* Of a kind of engine: the words of its command. */
void measurement_key_of_engine(const struct backend_host *host, struct measurement_key *ret_key);

struct measurement {
    uint64_t device_bytes, host_bytes; /* as in struct backend_measured */
};

/* What counts of it in a pool: all of it where engines load into the host's memory or a GPU shares
 * that, what is on the cards where those are the pool. 0: it says nothing of this pool (an engine
 * that left the cards alone would not have been asked to load into them). */
uint64_t measurement_bytes(const struct measurement *measurement, enum pool_kind pool);

struct measurements;

/* NULL where malloc refuses. */
struct measurements *measurements_create(void);
/* Takes NULL. */
void measurements_destroy(struct measurements *measurements);

/* True where it is new or other than before. Not where it is past MEASUREMENT_BYTES_MAX, which no
 * engine takes, or nothing: that is not kept. */
bool measurements_put(struct measurements *measurements, const struct measurement_key *key,
        const struct measurement *measurement);
bool measurements_find(const struct measurements *measurements, const struct measurement_key *key,
        struct measurement *ret_measurement);

/* Rows of logits that this kind of engine reserves for each sequence, 0: one for each token of a
 * batch. As above. */
bool measurements_put_rows(
        struct measurements *measurements, const struct measurement_key *engine, uint32_t rows);
bool measurements_find_rows(const struct measurements *measurements,
        const struct measurement_key *engine, uint32_t *ret_rows);

/* Appends all of it as JSON, oldest first. -ENOMEM, -ENOBUFS. */
MUST_CHECK int measurements_print(const struct measurements *measurements, struct buf *out);
/* Puts what `text` holds into an empty table. -EINVAL says what is wrong with it, and -EMSGSIZE,
 * -ENOMEM as json_parse(); then the table holds a part of it. */
MUST_CHECK int measurements_parse(
        struct measurements *measurements, const char *text, size_t len, struct err *err);
