/* The engines that run already, on this host or at a URL: finds them by the config's `engines`,
 * watches them, and tells which of their models the mesh can use. Nothing is known of an address
 * but what answers there (engine_watch.h).
 *
 * An entry of `engines` is `none`, `auto` (the usual ports of this host), or a URL, after which a
 * blank and the path of a file with an API key may stand:
 *
 *   engines: [auto, "http://mac.local:11434", "https://box:8000 /etc/modemesh/box.key"]
 *
 * The file must not be readable by others. A "/v1" at the end of a URL does no harm.
 *
 * A model is told where it can answer: it is resident there, or its engine loads on demand. Its
 * name is the engine's own as far as the mesh's rules allow; where two engines of a node have one
 * name, the first keeps it and the other model is not told. Loop thread only; no callback from
 * inside these functions. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "node/backends/engine_watch.h"
#include "node/backends/found/adopted.h"

enum {
    ENGINES_MAX = 16,          /* addresses */
    ENGINES_PERIOD_MS = 10000, /* between two looks */
    ENGINES_KEY_MAX = 4096,    /* bytes of an API key's file */
};

struct engines_model {               /* borrowed, `place.url` and the key until engines_destroy() */
    const struct found_model *facts; /* `name` is unique among all that is told */
    struct adopted_model place;      /* for the backend's create(); `lent` is its caller's to say */
    bool here; /* at a loopback address: what it takes is this host's memory */
};

struct engines_report { /* of one engine, borrowed */
    const char *url;
    enum engine_presence presence;
    const char *label;  /* "Ollama"; "" unless present */
    const char *untold; /* what it cannot tell: "slots"; "" unless present */
    const char *why;    /* why it is not present, "" */
    size_t model_count; /* that were told */
    size_t left_out;    /* further ones: not loaded there, without a usable name or with one that is
                           taken, answered by another computer, past the limit */
};

struct engines_events {
    /* New, or other than it was told before. */
    void (*on_model)(void *ctx, const struct engines_model *model);
    void (*on_gone)(void *ctx, const char *name);
    /* Something in the report is new; that nobody is at a usual port is no news. Comes after the
     * models that it counts. */
    void (*on_engine)(void *ctx, const struct engines_report *report);
};

struct engines_config {
    struct loop *loop;
    struct http_client *http;
    const char *const *entries; /* ends with NULL; read by engines_create() only */
    uint32_t period_ms;         /* 0: ENGINES_PERIOD_MS */
    const char *const *usual;   /* URLs that `auto` means, ends with NULL; NULL: engines_usual */
};

/* Ollama, LM Studio, vLLM and older Lemonades, llama-server, Lemonade. */
extern const char *const engines_usual[];

struct engines;
/* -EINVAL names the entry that cannot be used; else what reading a key's file says; -ENOMEM. */
MUST_CHECK int engines_create(const struct engines_config *config,
        const struct engines_events *events, void *ctx, struct engines **ret_engines,
        struct err *err);
/* Takes NULL. The models that were told are not taken back. */
void engines_destroy(struct engines *engines);

/* True where the URL is a loopback address or "localhost". */
bool engines_is_here(const char *url);
/* The backend that runs what such an engine has. */
const struct backend_ops *engines_backend(enum engine_kind kind);
