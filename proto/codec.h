/* The messages of the link as plain structs, and their way to bytes and back. The codec's own files
 * (codec*.c, encoder, decoder) are the only ones that see protobuf-c. What each message means, when
 * it may come and who sends it: PROTOCOL.md.
 *
 * Decoding copies everything into the caller's arena, whose limit bounds what a peer can make us
 * allocate; strings are checked (UTF-8, no NUL, length limits below), enums and counts too.
 * Encoding borrows. Pure. */
#pragma once

#include "common/arena.h"
#include "common/buf.h"
#include "common/env.h"
#include "common/err.h"
#include "common/model/cache_type.h"
#include "common/model/shape.h"
#include "common/trust/certificate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MSG_NODE_NAME_MAX = 63,  /* bytes of a node's name: it fits in a DNS label */
    MSG_NAME_MAX = 128,      /* bytes of a model's name, a request id, a label */
    MSG_TEXT_MAX = 1024,     /* bytes of a sentence for people */
    MSG_INSTANCES_MAX = 256, /* instances in one STATE */
    MSG_ALIASES_MAX = 16,    /* of one instance */
    MSG_FINGERPRINT_BYTES = 32,
    MSG_SLOTS_MAX = 1024,           /* of an engine that is planned or ordered */
    MSG_CONTEXT_MAX = 16 << 20,     /* tokens of one sequence, there and as trained */
    MSG_LAYERS_MAX = 1024,          /* of a model that is planned */
    MSG_BATCH_TOKENS_MAX = 1 << 20, /* of an engine that is planned; and rows of its logits */
    MSG_QUALITY_MAX = 100,
    MSG_ORDERS_MAX = 64,       /* not done yet, on one link */
    MSG_DELTAS_MAX = 4096,     /* deltas in one DELTAS */
    MSG_CREDITS_MAX = 4096,    /* grants in one CREDIT */
    MSG_CHUNK_MAX = 16 * 1024, /* bytes of one BODY or one delta */
    MSG_CHOICES_MAX = 128,     /* answers that one request may ask for */
    MSG_KEY_BYTES = 32,        /* of a link key, of a mesh's identity */
    MSG_CERTIFICATE_MAX =
            CERTIFICATE_BYTES_MAX, /* bytes of a certificate (common/trust/certificate.h) */
    MSG_CERTIFICATES_MAX = 8,      /* of coordinators, in one message */
    MSG_HEARTBEAT_MS_MIN = 10,     /* what a coordinator may ask a node for */
    MSG_HEARTBEAT_MS_MAX = 60 * 1000,
    MSG_ARENA_BYTES = 2 * 1024 * 1024, /* arena limit: what any legal message needs decoded */
};

enum msg_type {
    MSG_HELLO = 1,     /* node → coordinator: who I am */
    MSG_WELCOME = 2,   /* coordinator → node: the epoch of this session */
    MSG_STATE = 3,     /* node → coordinator: instances, memory; whole at first, then changes */
    MSG_HEARTBEAT = 4, /* both ways, when nothing else was sent */
    MSG_START = 5,     /* coordinator → node: begin a request */
    MSG_BODY = 6,      /* coordinator → node: a piece of the request's body */
    MSG_CREDIT = 7,    /* both ways: bytes taken, for several streams */
    MSG_CANCEL = 8,    /* coordinator → node: nobody wants the answer */
    MSG_DELTAS = 9,    /* node → coordinator: what all moving streams brought in this turn */
    MSG_END = 10,      /* node → coordinator: the stream is complete */
    MSG_FAIL = 11,     /* node → coordinator: the stream ended without completing */
    MSG_UNSUPPORTED = 12, /* both ways: the answer to a type that the receiver does not know */
    MSG_JOIN = 13,        /* node → coordinator: make this link key a member's */
    MSG_JOINED = 14,      /* coordinator → node: its certificate */
    MSG_CERTIFICATE = 15, /* coordinator → node: a newer certificate */
    MSG_REFUSE = 16, /* coordinator → node: why this connection ends, or a JOIN is not done */
    MSG_TUNNEL_OPEN = 17,   /* node → coordinator: an editor has connected */
    MSG_TUNNEL_DATA = 18,   /* both ways: bytes of its connection */
    MSG_TUNNEL_CREDIT = 19, /* both ways: bytes taken */
    MSG_TUNNEL_CLOSE = 20,  /* both ways: the connection has ended */
    MSG_LOAD = 21,          /* coordinator → node: have a model loaded, so and so */
    MSG_UNLOAD = 22,        /* coordinator → node: let it go */
    MSG_PIN = 23,           /* coordinator → node: keep it loaded, or not */
    MSG_DRAIN = 24,         /* coordinator → node: take no new work, or take it again */
    MSG_PROGRESS = 25,      /* node → coordinator: what an order waits for */
    MSG_DONE = 26,          /* node → coordinator: how an order ended */
};

/* "hello", "welcome", …; "unknown" for others. */
const char *msg_type_name(unsigned type);

enum instance_state {   /* of a model on a node */
    INSTANCE_AVAILABLE, /* on the disk, not loaded */
    INSTANCE_LOADING,
    INSTANCE_RESIDENT, /* its engine answers */
    INSTANCE_STOPPING,
    INSTANCE_FAILED, /* its engine died or did not start; tried again after a back-off; `note` says
                        why */
    INSTANCE_STATE_COUNT,
};
const char *instance_state_name(enum instance_state state); /* "available", "loading", … */

/* What is asked of an engine, and the JSON that its BODY then holds. Kinds after REQUEST_INFILL are
 * answered by one JSON value in DELTA_RESULT pieces. */
enum request_kind {
    REQUEST_CHAT,       /* OpenAI /v1/chat/completions */
    REQUEST_COMPLETION, /* OpenAI /v1/completions, without a suffix */
    REQUEST_INFILL,     /* llama.cpp /infill: input_prefix, input_suffix, input_extra, prompt */
    REQUEST_EMBEDDINGS, /* OpenAI /v1/embeddings; so is the answer */
    REQUEST_RERANK,   /* {query, documents: [text], top_n}; {results: [{index, relevance_score}]} */
    REQUEST_TOKENIZE, /* {content, add_special, parse_special, with_pieces}; {tokens} */
    REQUEST_DETOKENIZE,    /* {tokens}; {content} */
    REQUEST_TEMPLATE,      /* a chat's body; {prompt} */
    REQUEST_COUNT,         /* a chat's body; {input_tokens}: what the chat would cost, exactly */
    REQUEST_TRANSCRIPTION, /* {file: {data: base64, name}, language, prompt, temperature}; {text} */
    REQUEST_KIND_COUNT,
};
const char *request_kind_name(enum request_kind kind); /* "chat", "completion", … */

enum delta_kind {     /* the typed pieces of an answer, in the order that an engine brings them */
    DELTA_TEXT,       /* UTF-8 of the answer */
    DELTA_REASONING,  /* UTF-8 of the model's thinking */
    DELTA_TOOL_CALLS, /* JSON array in the shape of OpenAI's choices[].delta.tool_calls */
    DELTA_LOGPROBS,   /* JSON in the shape of choices[].logprobs */
    DELTA_FINISH,     /* the finish reason: "stop", "length", "tool_calls", … */
    DELTA_USAGE,      /* struct msg_usage in `usage`, no data; once, last */
    DELTA_PROGRESS, /* what the request waits for: "queued", "loading", "prefill"; no content yet */
    DELTA_RESULT,   /* bytes of one JSON value, in order: the whole answer of kinds that have one */
    DELTA_KIND_COUNT,
};
const char *delta_kind_name(enum delta_kind kind);

enum capability { /* bits: what a model on a node can do */
    CAPABILITY_CHAT = 1,
    CAPABILITY_TOOLS = 2, /* its chat template takes tools */
    CAPABILITY_VISION = 4,
    CAPABILITY_AUDIO = 8,
    CAPABILITY_FIM = 16, /* it has tokens to fill in the middle */
    CAPABILITY_EMBEDDINGS = 32,
    CAPABILITY_RERANK = 64,
    CAPABILITY_REASONING = 128, /* its chat template knows thinking */
    CAPABILITY_EXACT = 256,     /* the running engine says so; else it was read before */
    /* Without EXACT: what lacks of these was looked for, and is not only unknown. */
    CAPABILITY_TEMPLATE = 512, /* TOOLS, REASONING: the chat template was read */
    CAPABILITY_SENSES = 1024,  /* VISION, AUDIO: what its projector takes, or that it has none */
    CAPABILITY_ALL = 2047,
};

struct msg_bytes { /* raw */
    const uint8_t *data;
    size_t len;
};

struct msg_hello {
    const char *name;                  /* what people call the node, [A-Za-z0-9._-]{1,63} */
    const char *software;              /* "modemesh 0.1.0" */
    uint32_t version_min, version_max; /* of the link */
    struct msg_bytes certificate;      /* of its membership; empty: it has none yet */
};

struct msg_welcome {
    uint32_t epoch;               /* upper half of every stream id of this session; never 0 */
    uint32_t version;             /* of the link, both speak it from here on */
    uint32_t heartbeat_ms;        /* send something at least this often */
    const char *coordinator;      /* its name, for the node's log */
    struct msg_bytes mesh;        /* public half of the mesh's identity, MSG_KEY_BYTES */
    struct msg_bytes certificate; /* for the node; empty: the one that it has shown stays */
    const struct msg_bytes *coordinators; /* certificates of coordinators' link keys: of this one,
                                             of the key that will take its place, of others */
    size_t coordinator_count;
};

struct msg_instance {
    const char *model;
    enum instance_state state;
    bool pinned; /* the node's config keeps it resident */
    uint64_t file_bytes;
    uint64_t memory_bytes; /* what it takes, or would take, loaded: as the node counts it */
    uint32_t context;      /* tokens of one sequence, or what it would get; 0: not known */
    uint32_t slots, busy;  /* requests that the engine serves at once, and has now */
    float prefill_tok_s,
            decode_tok_s;     /* decayed means from the engine's own timings; 0: not measured */
    uint32_t restarts;        /* of its engine since the node started */
    const char *engine;       /* "llama-server", "fake" */
    const char *note;         /* "" or a sentence: why it failed, what it waits for */
    uint32_t capabilities;    /* CAPABILITY_… */
    uint32_t context_trained; /* tokens; 0: the file does not say */
    uint64_t parameters;      /* 0: not known */
    int64_t modified_s;       /* Unix time of the file; 0: not known */
    const char *architecture; /* "llama", "qwen3moe"; "" not known */
    const char *quantisation; /* "Q4_K_M"; "" not known */

    const char *const *aliases; /* more names to ask for it by */
    size_t alias_count;
    uint32_t quality;             /* of its answers, 1 to MSG_QUALITY_MAX; 0: not said */
    struct msg_bytes fingerprint; /* of its content, MSG_FINGERPRINT_BYTES; empty: not known */
    /* An engine on another host has it, or one here has loaded it for somebody else: none of it is
     * this node's memory, and no order is taken for it. */
    bool foreign;
    bool batch_only;  /* it is larger than the memory (swap_allowance) */
    uint32_t load_ms; /* of its last load; 0: none was measured */
    /* For planning: what it would take at another context or with other slots (estimate.h). As its
     * engine would be started now. Where one of these passes a limit (rules_plan()), all of them
     * come and go as not known. */
    struct model_shape shape;        /* tensor_bytes 0: not known */
    uint32_t run_context, run_slots; /* 0: not known */
    enum cache_type type_k, type_v;
    uint32_t batch_tokens;   /* 0: ESTIMATE_BATCH_DEFAULT */
    uint32_t output_rows;    /* as in struct model_run */
    uint64_t side_bytes;     /* projector and draft model */
    uint64_t measured_bytes; /* what an engine that was started so said that it took; 0: none
                                was seen */
    /* What it keeps of prompts between requests, in tokens: what its slots hold, or its prompt
     * cache where that holds more; 0: not known. */
    uint64_t cache_tokens;
    bool cache_swaps; /* a conversation is put away when another comes, so that each of its turns
                         waits until its part of the cache is copied back */
};

struct msg_state {
    bool full;     /* replaces all that was said before; else only what is named here changed */
    bool draining; /* takes no new work */
    uint64_t memory_total_bytes, memory_available_bytes; /* of the host */
    uint64_t memory_limit_bytes,
            memory_used_bytes;       /* what the node may load, what it counts as loaded */
    uint64_t memory_room_bytes;      /* what its engines could have in sum now: the limit, or less
                                        where others hold memory; 0: not told */
    uint64_t swap_allowance_bytes;   /* by how much one model may pass the limit; 0: by nothing */
    uint64_t memory_bandwidth_bytes; /* a second; 0: not known */
    const struct msg_instance *instances;
    size_t instance_count;
    const char *const *removed; /* names of models that are gone from the disk */
    size_t removed_count;
};

struct msg_heartbeat {
    uint64_t sent_us; /* sender's clock */
    uint64_t echo_us; /* the last sent_us that came from the other side, 0: none; gives the round
                         trip */
};

struct msg_start {
    uint64_t stream;
    const char *request_id; /* for both logs */
    const char *model;
    enum request_kind kind; /* decoded: REQUEST_KIND_COUNT where it is not known here */
    uint32_t window;        /* bytes of deltas that may be sent before CREDIT */
    uint64_t body_bytes;    /* of the whole body, which follows in BODY messages */
    bool batch;             /* nobody waits in front of a screen */
    uint64_t session;       /* of the conversation: the same for each of its turns; 0: none */
    uint32_t prompt_tokens; /* about so many; 0: not known */
    uint32_t needs; /* CAPABILITY_… without which the answer would be wrong; 0: not said */
};

struct msg_body {
    uint64_t stream;
    const void *data;
    size_t len;
    bool last;
};

struct msg_grant {
    uint64_t stream;
    uint32_t bytes;
};

struct msg_credit {
    const struct msg_grant *grants;
    size_t count;
};

struct msg_cancel {
    uint64_t stream;
};

struct msg_usage {
    uint32_t prompt_tokens, cached_tokens, completion_tokens;
    float prefill_ms, decode_ms;
};

struct msg_delta {
    uint64_t stream;
    enum delta_kind kind;
    uint32_t choice;  /* index of the choice, 0 but for n > 1 */
    bool more;        /* the next delta of this stream continues the same value (raw JSON past
                         MSG_CHUNK_MAX) */
    const char *data; /* not NUL-terminated when decoded */
    size_t len;
    struct msg_usage usage; /* DELTA_USAGE only */
};

struct msg_deltas {
    const struct msg_delta *deltas;
    size_t count;
};

struct msg_end {
    uint64_t stream;
};

enum fail_code {
    FAIL_ENGINE_DIED,  /* before or while it answered; another instance may do better */
    FAIL_ENGINE_ERROR, /* the engine answered with an error: `http_status` and `message` are its own
                        */
    FAIL_NO_MODEL,   /* the node does not have it (any more), or not one that can what is needed */
    FAIL_NO_MEMORY,  /* it does not fit; the message has the numbers */
    FAIL_OVERLOADED, /* the node's own limit on streams */
    FAIL_DRAINING,
    FAIL_BAD_REQUEST,      /* body not usable */
    FAIL_PROTOCOL,         /* credit overspent, bytes past body_bytes, … */
    FAIL_CONTEXT_EXCEEDED, /* the request is longer than the engine's context */
    FAIL_CODE_COUNT,
};
const char *fail_code_name(enum fail_code code);
/* True where another instance may well succeed with the same request. Pure. */
bool fail_code_retryable(enum fail_code code);

struct msg_fail {
    uint64_t stream;
    enum fail_code code;
    uint32_t http_status; /* FAIL_ENGINE_ERROR, FAIL_CONTEXT_EXCEEDED: the engine's; else 0 */
    const char *message;  /* for people */
};

struct msg_unsupported {
    uint32_t type; /* the one not known */
};

struct msg_join {
    const char *name, *software; /* as in HELLO */
    uint32_t version_min, version_max;
    struct msg_bytes key; /* the link key that it will come back with, raw, MSG_KEY_BYTES */
};

struct msg_joined {
    struct msg_bytes mesh;
    struct msg_bytes certificate;
    const struct msg_bytes *coordinators;
    size_t coordinator_count;
};

struct msg_certificate {
    struct msg_bytes certificate; /* empty: the node's own stays */
    const struct msg_bytes *coordinators;
    size_t coordinator_count;
};

enum refuse_code {
    REFUSE_OTHER,
    REFUSE_REVOKED,
    REFUSE_EXPIRED,
    REFUSE_FOREIGN_MESH, /* the certificate is of another mesh */
    REFUSE_BAD_CERTIFICATE,
    REFUSE_NAME_TAKEN,
    REFUSE_TOKEN, /* used up, or expired */
    REFUSE_VERSION,
    REFUSE_CODE_COUNT,
};
const char *refuse_code_name(enum refuse_code code); /* "other", "revoked", … */

struct msg_refuse {
    enum refuse_code code;
    const char *message; /* for people */
};

struct msg_tunnel_open {
    uint64_t tunnel;
    uint32_t window; /* bytes that may be sent before TUNNEL_CREDIT */
};

struct msg_tunnel_data {
    uint64_t tunnel;
    const void *data;
    size_t len;
};

struct msg_tunnel_credit {
    uint64_t tunnel;
    uint32_t bytes;
};

struct msg_tunnel_close {
    uint64_t tunnel;
};

/* Orders: what people, or the plan, want of a node. Ids are made by the coordinator as those of
 * streams are, never 0, in a space of their own. Each is answered by one DONE, maybe after some
 * PROGRESS. */

enum order_way {      /* how a node does a LOAD */
    ORDER_WAY_NONE,   /* not at all, or another order */
    ORDER_WAY_THERE,  /* it is loaded so already */
    ORDER_WAY_BESIDE, /* beside all that is loaded, or after idle models have left for it */
    ORDER_WAY_SWAP, /* what it replaces takes no new runs, finishes those it has, and ends first */
    ORDER_WAY_COUNT,
};
const char *order_way_name(enum order_way way); /* "none", "there", "beside", "swap" */

struct msg_load {
    uint64_t order;
    const char *model;
    const char *replaces;    /* the model that may end for it; "": none. With other settings its own
                                older engine always may */
    uint32_t context, slots; /* 0: as the config has them */
    const char *type_k, *type_v; /* names of cache types; "": as the config has them */
    bool keep;                   /* pin it */
    bool rehearse; /* change nothing: DONE says which way it would go, and with which numbers */
};

struct msg_unload {
    uint64_t order;
    const char *model; /* finishes its runs first; its pin and what LOAD set end */
};

struct msg_pin {
    uint64_t order;
    const char *model;
    bool pinned;
};

struct msg_drain {
    uint64_t order;
    bool draining;
};

struct msg_progress {
    uint64_t order;
    const char *text; /* for people */
};

struct msg_done {
    uint64_t order;
    bool ok;
    enum fail_code code; /* where not ok */
    enum order_way way;
    const char *message; /* for people: what was done, or why not and what would help */
};

struct msg {
    enum msg_type type;
    union {
        struct msg_hello hello;
        struct msg_welcome welcome;
        struct msg_state state;
        struct msg_heartbeat heartbeat;
        struct msg_start start;
        struct msg_body body;
        struct msg_credit credit;
        struct msg_cancel cancel;
        struct msg_deltas deltas;
        struct msg_end end;
        struct msg_fail fail;
        struct msg_unsupported unsupported;
        struct msg_join join;
        struct msg_joined joined;
        struct msg_certificate certificate;
        struct msg_refuse refuse;
        struct msg_tunnel_open tunnel_open;
        struct msg_tunnel_data tunnel_data;
        struct msg_tunnel_credit tunnel_credit;
        struct msg_tunnel_close tunnel_close;
        struct msg_load load;
        struct msg_unload unload;
        struct msg_pin pin;
        struct msg_drain drain;
        struct msg_progress progress;
        struct msg_done done;
    };
};

/* Bytes of credit that a delta costs: its data and MSG_DELTA_OVERHEAD. END, FAIL and the rest cost
 * nothing. */
enum {
    MSG_DELTA_OVERHEAD = 16,
    /* What a sender puts into one delta at most: it then costs half a window, which is what a
     * writer has for sure once its reader took everything (a reader keeps back just less than
     * half). */
    MSG_DELTA_PIECE_MAX = 8 * 1024 - MSG_DELTA_OVERHEAD,
};
uint32_t msg_delta_cost(const struct msg_delta *delta);

/* So many bytes of a STATE's FRAME_BODY_MAX an instance takes at most. Pure. */
size_t msg_instance_bytes(const struct msg_instance *instance);

/* Appends header and body; where it fails, nothing is appended. -EINVAL: which field breaks which
 * rule of rules.h (the other side would refuse it); -EMSGSIZE: the body would pass FRAME_BODY_MAX;
 * -ENOBUFS, -ENOMEM: from `out`. A NULL text is sent as "". Sentences for people (`note`,
 * `message`) often come from an engine's own output and must never stop a FAIL or a STATE: they are
 * cut and cleaned to fit. */
MUST_CHECK int codec_encode(const struct msg *msg, struct buf *out, struct err *err);

/* Encodes `msg` and gives it to the link, for who keeps no queue: 0, or what codec_encode() or the
 * transport returns, and then it is not sent. */
MUST_CHECK int codec_send(const struct transport *transport, const void *peer,
        const struct msg *msg, struct err *err);

/* Decodes one whole frame. -EBADMSG / -EPROTONOSUPPORT / -EMSGSIZE from the frame; -EOPNOTSUPP for
 * a type that we do not know (`ret_msg->type` then holds it, so that it can be answered with
 * UNSUPPORTED); -EPROTO: which field breaks which rule; -ENOMEM: the arena's limit. */
MUST_CHECK int codec_decode(
        const void *data, size_t len, struct arena *arena, struct msg *ret_msg, struct err *err);
