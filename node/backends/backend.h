/* A backend knows one kind of inference engine: how its process is started and asked whether it is
 * well, and how a request is run on it. The supervisor owns instances and decides when they live;
 * the worker owns runs. Loop thread only. Callbacks never come from inside the function that caused
 * them. */
#pragma once

#include "common/buf.h"
#include "common/env.h"
#include "common/err.h"
#include "common/http_client.h"
#include "common/loop.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oom_watch;
struct slot_files;

/* What every backend needs to start an instance; borrowed strings live as long as the instance. */
struct backend_host {
    struct loop *loop;
    struct http_client *http;
    const struct env *env;
    const char *runtime_dir;    /* 0700, short enough for a Unix socket's name (108 bytes) */
    const char *self_path;      /* of the node's own program, for `guard` */
    const char *const *command; /* the engine's words, placeholders of engine_words.h allowed, ends
                                   with NULL: {"llama-server"}, {"podman", "run", …} */
    const char *const
            *stop_command;         /* a container's own way to stop, likewise; NULL: signals only */
    uint32_t start_timeout_ms;     /* until health says ready */
    uint32_t stop_timeout_ms;      /* between SIGTERM and SIGKILL */
    uint32_t health_interval_ms;   /* between two looks at a ready engine; 0: the backend's own */
    struct oom_watch *oom_watch;   /* to tell why an engine was killed; NULL: not told */
    struct slot_files *slot_files; /* what slots held outlives their engine; NULL: it does not */
};

struct adopted_model;

struct backend_model {
    const char *name;
    const char *path;              /* of the GGUF file */
    uint32_t context;              /* tokens a sequence; 0: the engine's choice */
    uint32_t slots;                /* sequences at once */
    uint32_t context_trained;      /* tokens; 0: not known */
    uint32_t capabilities;         /* as its files have it: node/models/capabilities.h */
    const char *type_k, *type_v;   /* names of the cache's types; NULL: the engine's choice */
    const char *projector, *draft; /* paths; NULL: none */
    /* Of earlier prompts, that the engine may keep in the host's memory, its checkpoints included;
     * 0: none. And how many of those a slot may have; 0: the engine's choice. */
    uint64_t prompt_cache_bytes;
    uint32_t checkpoints;
    const char *start_key; /* of the file and of how the engine is started, the same where both are;
                              NULL: what its slots held is not kept */
    uint32_t nice;         /* of its engine beyond ours, 0 to 19 */
    uint64_t token_bytes;  /* of its cache; 0: not known */
    bool keeps_no_prompts; /* the engine is known to be older than its kind's prompt cache */
    const char *const *extra_args; /* more words for the engine, ends with NULL; may be NULL */
    const struct adopted_model *adopted; /* of an engine that runs already (adopted.h): then there
                                            is no path, no words, and slots and context 0 mean
                                            what the engine tells. NULL: an engine is started.
                                            Needed by create() only */
};

/* What an engine says that it has taken to load its model. */
struct backend_measured {
    uint64_t device_bytes, host_bytes; /* on GPUs, and in the host's own memory */
    uint64_t prompt_cache_bytes;       /* that it may take in the host's memory beside that, for
                                          earlier prompts; 0: none, no limit, or not told */
    bool unified;                      /* all its sequences share one cache */
    uint32_t output_rows;              /* of logits that it reserves; 0: one for each token of a
                                          batch (older engines) */
};

struct backend_events {
    /* The engine answers its health check and has told its numbers and what it can do
     * (CAPABILITY_…): from now on runs may start. */
    void (*on_ready)(void *ctx, uint32_t slots, uint32_t context, uint32_t capabilities);
    /* The engine is gone and nothing of it is left; exactly once for each start, also after stop.
     * Of an adopted one: it is left, and the model is not loaded there any more as far as is known.
     * `reason` is for people ("exited with status 1: …last words…", "killed by signal 9", "killed
     * by the kernel for want of memory (…)", "not ready after 60 s", "stopped"). All runs have
     * ended before. The instance may be destroyed or started again inside this call. */
    void (*on_exit)(void *ctx, bool wanted, const char *reason);
    /* Some time after on_ready, and again when it has loaded anew; not at all where an engine does
     * not tell. May be NULL. */
    void (*on_measured)(void *ctx, const struct backend_measured *measured);
};

struct run_spec {
    const char *request_id;
    enum request_kind kind;
    const char *body; /* JSON as proto/codec.h has it for the kind; copied where needed after the
                         call */
    size_t body_len;
    uint64_t session;       /* of the conversation, the same for each of its turns; 0: none */
    uint32_t prompt_tokens; /* about; 0: not known */
};

struct run_events {
    /* A typed piece of the answer; `delta->stream` is 0, its data is borrowed. */
    void (*on_delta)(void *ctx, const struct msg_delta *delta);
    /* Last, once, never after cancel. `fail` is NULL where the answer is complete. The run is freed
     * on return. */
    void (*on_end)(void *ctx, const struct msg_fail *fail);
};

struct instance_backend; /* one engine */
struct run;              /* one request on it */

struct backend_ops {
    const char *name; /* "llama-server", "fake" */
    /* What an engine that is started for this model will be able to do, as far as is known before:
     * by its files, the words that it gets and the variables that it inherits. */
    uint32_t (*expect)(const struct backend_host *host, const struct backend_model *model);
    struct instance_backend *(*create)(const struct backend_host *host,
            const struct backend_model *model, const struct backend_events *events, void *ctx,
            struct err *err);
    /* Not started, or on_exit has come. Takes NULL. */
    void (*destroy)(struct instance_backend *instance);
    /* Begins; on_ready or on_exit follows. */
    int (*start)(struct instance_backend *instance, struct err *err);
    /* Ends all runs with FAIL_ENGINE_DIED and the engine for sure; on_exit follows. Repeatable. */
    void (*stop)(struct instance_backend *instance);
    /* Process id of the engine (or of its guard), 0 where it has none. */
    int64_t (*pid)(const struct instance_backend *instance);

    int (*run)(struct instance_backend *instance, const struct run_spec *spec,
            const struct run_events *events, void *ctx, struct run **ret_run, struct err *err);
    /* Aborts on the engine too, at once; no callback after it. May be called from on_delta. */
    void (*run_cancel)(struct run *run);
    /* Stops reading from the engine. Deltas of what was read already (at most 16 KiB, and the event
     * that they complete) still come. */
    void (*run_pause)(struct run *run);
    void (*run_resume)(struct run *run);
};

extern const struct backend_ops backend_llama_server;
/* Engines that run already and are never ended: Ollama, which loads and unloads when it is asked
 * to, and servers with OpenAI's endpoints, which have a model or do not (adopted.h). */
extern const struct backend_ops backend_ollama, backend_openai;
/* A scripted engine for tests and benchmarks, never chosen unless the config says `engine.backend:
 * fake`. Its script is in node/backends/fake.h. */
extern const struct backend_ops backend_fake;
