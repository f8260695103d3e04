/* A model of this node, loaded or not: where it comes from (source.h), the engine that runs it, and
 * who waits for it. Where there are a file and an engine that runs already with a model of the same
 * name, the file counts, and the engine's model while there is none. The supervisor owns instances
 * and decides when an engine lives; the worker waits for one and runs requests on it. Loop thread.
 * Callbacks never come from inside the call that caused them, on_change excepted.
 *
 * Its life (enum instance_state of the link):
 *
 *   AVAILABLE ──load──▶ LOADING ──ready──▶ RESIDENT
 *   LOADING, RESIDENT ──stop──▶ STOPPING ──exit──▶ AVAILABLE
 *   LOADING, RESIDENT ──exit──▶ FAILED ──back-off over──▶ LOADING where wanted, else AVAILABLE
 *
 *   LOADING, RESIDENT ──let go by an engine that is not ours──▶ AVAILABLE
 *
 * A stop is for want of memory, for a model that has changed or gone, or because the node drains.
 *
 * An instance is foreign where it takes no memory that is this node's to give: an engine on another
 * host has it or is to load it, or one on this host has loaded it for somebody else. Such a load
 * needs nobody's leave and begins as soon as it is wanted; what is loaded for somebody else is
 * wanted as soon as it is seen, as to take it up costs nothing. It is never stopped for want of
 * memory. What an engine that is not ours lets go stays so until a request wants it, or there is
 * another version of it, or for INSTANCE_DOUBT_MS: others decide there too. */
#pragma once

#include "common/err.h"
#include "common/list.h"
#include "node/backends/backend.h"
#include "node/hardware/hardware.h"
#include "node/residency/footprint.h"
#include "node/residency/measurements.h"
#include "node/residency/residency.h"
#include "node/residency/source.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    INSTANCE_BACKOFF_MIN_MS = 1000,  /* after the first failure; doubles … */
    INSTANCE_BACKOFF_MAX_MS = 60000, /* … up to this; a tenth of jitter either way */
    INSTANCE_HEALTHY_MS = 60000,     /* resident for so long: earlier failures are forgotten */
    INSTANCE_PATIENCE_MS = 5000,     /* a request waits for a shorter back-off, else is refused */
    INSTANCE_WAIT_MAX_MS = 600000,   /* a request waits at most so long for memory; a load that has
                                        begun ends by its own timeout */
    INSTANCE_DOUBT_MS = 60000,       /* an engine that is not ours has let it go: it is not loaded
                                        or taken up by itself for so long */
    INSTANCE_PROMPTS_DIVISOR = 4,    /* such a part of spare memory is for earlier prompts */
    INSTANCE_PROGRAM_BYTES =
            256 << 20,             /* what an engine's program takes beside the model at most */
    INSTANCE_OUTGROWN_MS = 600000, /* what a load was seen to take counts for so long: it may have
                                      been a passing peak */
    INSTANCE_NOTE_MAX = 384,       /* bytes of its note */
    INSTANCE_RENEW_MS = 10000,     /* a note of the same refusal with other numbers is not newer
                                      than this */
};

/* Two instances of a node may have one name, while one takes the place of the other. */
enum instance_role {
    INSTANCE_SERVING,   /* the one that its name means */
    INSTANCE_SUCCESSOR, /* loads beside it, with other settings; serves nobody yet */
    INSTANCE_RETIRED,   /* has been replaced: finishes its runs and ends */
};

/* What the instances of a node have in common. */
struct instance_common {
    struct backend_host host;          /* its env gives time and jitter */
    enum pool_kind pool;               /* that engines load into */
    struct measurements *measurements; /* of earlier loads; borrowed, and put into */
    /* What instance_describe() says of it is new. */
    void (*on_change)(void *ctx, const char *model);
    /* There is something to decide or to look at. */
    void (*on_due)(void *ctx);
    /* An engine that counted so much has ended; not where it was foreign. */
    void (*on_released)(void *ctx, uint64_t bytes);
    /* `measurements` have changed; what any instance says of itself may be new. */
    void (*on_measured)(void *ctx);
    void *ctx;
};

struct instance;

/* `common` is borrowed for life, `name` copied; instance_put() must follow. NULL where malloc
 * refuses. */
struct instance *instance_create(
        const struct instance_common *common, const char *name, enum instance_role role);
/* Nobody waits, and no engine runs. Takes NULL. */
void instance_destroy(struct instance *instance);

/* --- for the supervisor --- */

/* Takes `source`: a file or an engine's model that is new, or other than before. Another one than
 * runs is taken up when that is idle. */
void instance_put(struct instance *instance, struct source *source);
/* The file, or the engine's model, is gone. Where there is not the other of the two, the instance
 * is, once it is idle. */
void instance_lose(struct instance *instance, bool adopted);

/* Starts its engine. AVAILABLE or FAILED; LOADING or FAILED afterwards. `spare_bytes`: of memory
 * that no model needs just now. Where no setting says what it may keep of earlier prompts, a part
 * of that is it, and counts while it is loaded; before, it stands in no model's way. */
void instance_load(struct instance *instance, uint64_t spare_bytes);
/* Stops its engine, where one is LOADING or RESIDENT; `why` is logged. */
void instance_stop(struct instance *instance, const char *why);
/* It takes no new run, and its engine ends when it is idle; then it is as any other that is not
 * loaded: who waits for it waits for a new load. One that died in service is not started again for
 * that alone. `why` is logged; static. */
void instance_leave(struct instance *instance, const char *why);
/* `heir`, resident, takes the place and all who wait; `instance` retires. */
void instance_succeed(struct instance *instance, struct instance *heir);
enum instance_role instance_role(const struct instance *instance);

/* Answers those who wait. */
void instance_refuse(struct instance *instance, enum fail_code code, const char *message);
/* … who are not batch work. */
void instance_refuse_interactive(struct instance *instance, const char *message);
/* … and notes why there is no memory for it: at once where `reason` is another than before, else
 * no more often than each INSTANCE_RENEW_MS, as the numbers in it are never still. */
void instance_refuse_memory(
        struct instance *instance, enum residency_reason reason, const char *message);
/* Answers who can be answered now, notices what time brings, and loads what is foreign and wanted.
 */
void instance_look(struct instance *instance, uint64_t now_ms);
/* When it wants to be looked at again; UINT64_MAX: not by itself. */
uint64_t instance_due_ms(const struct instance *instance, uint64_t now_ms);

/* True where somebody waits, it died in service, the config keeps it resident, or its engine has it
 * loaded for somebody else. */
bool instance_is_wanted(const struct instance *instance);
bool instance_is_foreign(const struct instance *instance);
/* For the decision; its strings are borrowed until the loop's next turn. */
void instance_snapshot(const struct instance *instance, struct residency_model *ret_model);
/* … and what became of it. For what those wait who wait, in a sentence; its note says it as long as
 * the reason is the same, not each new number. */
void instance_note_wait(
        struct instance *instance, enum residency_reason reason, const char *explanation);
/* A closed model takes no new run, until it is opened or its engine has ended. Opening it answers
 * those who wait, and asks for no other decision: that could be to close it again. */
void instance_close(struct instance *instance, bool closed);

/* Of a model of an engine that runs already. */
void instance_pin(struct instance *instance, bool pin);

const char *instance_name(const struct instance *instance);
enum instance_state instance_state(const struct instance *instance);
/* Of the file that it comes from; NULL where that is an engine. */
const struct model_settings *instance_settings(const struct instance *instance);
/* What its engine counts at the next load; 0 where it would be foreign. */
uint64_t instance_load_bytes(const struct instance *instance);
/* … and with other settings of its file `model`, of which `footprint` is the estimate. */
uint64_t instance_load_bytes_with(const struct instance *instance,
        const struct catalogue_model *model, const struct model_settings *settings,
        const struct footprint *footprint);
/* The largest context with which it would be within `bytes`; 0: none, or not known. */
uint32_t instance_context_within(const struct instance *instance, uint64_t bytes);
/* What it is to have loaded need not end for `source`. */
bool instance_is_for(const struct instance *instance, const struct source *source);
/* What is loaded already, or loads now, is that. */
bool instance_is_current(const struct instance *instance);
bool instance_is_gone(const struct instance *instance); /* from wherever it came */
bool instance_is_busy(const struct instance *instance); /* serves requests */
/* What those wait for who wait for it; "" where nobody does. Borrowed until the loop's next turn.
 */
const char *instance_waits_for(const struct instance *instance);
/* Its engine ends, now or once it is idle. */
bool instance_is_leaving(const struct instance *instance);
bool instance_has_engine(const struct instance *instance);
/* Of its engine, or of the engine's guard; 0: it has none. */
int64_t instance_pid(const struct instance *instance);
/* Past so many bytes an engine that loads has taken more than it counts, whatever its program needs
 * beside the model. (One that serves keeps prompts in memory, too, which it would give up.) */
uint64_t instance_outgrown_bytes(const struct instance *instance);
/* … so that it counts `bytes` from now on, and so does the next load, for INSTANCE_OUTGROWN_MS or
 * until one has come to its end or there is another file or other settings. */
void instance_outgrow(struct instance *instance, uint64_t bytes);
/* What its engine counts; 0 where none runs. */
uint64_t instance_memory_bytes(const struct instance *instance);
/* Strings are borrowed until the loop's next turn. */
void instance_describe(const struct instance *instance, struct msg_instance *ret_instance);

/* --- for the worker --- */

/* One who waits for a model; the caller owns the struct. */
struct instance_wait {
    struct list link;
    struct instance *instance; /* waited for; another one once that has taken its place */
    uint64_t since_ms;
    bool batch; /* nobody waits in front of a screen */
    /* Once. Ready where `fail` is NULL: acquire it now, or it may be stopped again. `fail->stream`
     * is 0. */
    void (*fn)(void *ctx, const struct msg_fail *fail);
    void *ctx;
};
void instance_wait(struct instance *instance, struct instance_wait *wait);
/* Before `fn` has come. */
void instance_unwait(struct instance_wait *wait);

/* True where a run may start on it now. */
bool instance_ready(const struct instance *instance);
/* Counts a run; the engine is not stopped for want of memory before the release. Only where ready.
 */
struct instance_backend *instance_acquire(struct instance *instance);
/* CAPABILITY_…, as STATE tells them: of its engine, or what is expected of it. */
uint32_t instance_capabilities(const struct instance *instance);
/* Of the acquired one. */
const struct backend_ops *instance_ops(const struct instance *instance);
void instance_release(struct instance *instance);
/* Takes a run's own timings into the instance's rates. */
void instance_measured(struct instance *instance, const struct msg_usage *usage);
