/* The neutral request: what an editor asked for, in no editor's API. A dialect makes it, everything
 * behind reads it. The body stays JSON, in the shape that proto/codec.h names for its kind, so that
 * fields nobody here knows survive. */
#pragma once

#include "common/buf.h"
#include "coordinator/scheduling/prefix_chain.h"
#include "proto/codec.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    REQUEST_ID_MAX = 32, /* "req_" and 24 hex digits */
    REQUEST_CLIENT_MAX = 96,
    REQUEST_CHOICES_MAX = 16, /* answers asked for in one request */
    REQUEST_PEER_MAX = 79,
    REQUEST_SESSION_MAX = 128,
    REQUEST_SKIPPED_MAX = 200, /* it has to fit in a header's value */
    REQUEST_TOLD_MAX = 200,    /* as above */
};

enum request_lane {
    LANE_CHAT,
    LANE_AUTOCOMPLETE, /* a person waits at the cursor: overtakes chat, and has room of its own */
    LANE_COUNT,
};
/* Of a request of which nothing is known but what it needs, of CAPABILITY_…. */
enum request_lane request_lane_for(uint32_t needs);

struct cursor;
struct response_store;

/* What body and headers tell of a conversation's turn (api/request_signs.h). */
struct request_signs {
    bool read;         /* else all of it is not known yet */
    bool tools;        /* are offered */
    bool tool_results; /* are in the conversation */
    bool plan_mark;    /* the editor says that it plans */
};

/* What the body says of the answer, before a mode has said anything. */
struct request_said {
    bool temperature;    /* it says one */
    double limit_tokens; /* less than 0: it says none */
};

struct request {
    char id[REQUEST_ID_MAX];
    char client[REQUEST_CLIENT_MAX]; /* who asks: "local", "key NAME", "edge NODE"; for the log */
    char peer[REQUEST_PEER_MAX + 1]; /* the address that it came from */
    enum request_kind kind;
    enum request_lane lane;
    struct cursor *cursor; /* that it completes at; owned; NULL: not known */
    char asked[MSG_NAME_MAX +
               1];      /* a mode, a model or "auto": what stood in `model`; "": nothing */
    bool stream;        /* the client wants the tokens as they come */
    bool include_usage; /* … and a last piece with the usage */
    bool settled;       /* the dialect's answer is complete as it is: no engine is asked */
    bool background;    /* nobody waits: the answer is recorded and fetched later */
    bool follows_mode;  /* it may get whatever its mode names, also what that names later */
    uint32_t choices;   /* 1 … REQUEST_CHOICES_MAX */
    uint32_t needs;     /* CAPABILITY_… without which the answer would be wrong */
    char session[REQUEST_SESSION_MAX + 1]; /* what ties requests of one conversation; "": unknown */
    uint8_t complexity; /* as it was guessed for `auto`, 1 to 5; 0: not guessed */
    double beta;        /* … with how its user waits (scheduling/cost.h); 0: not guessed */
    char told[REQUEST_TOLD_MAX + 1];       /* how `auto` chose the mode; "": it was asked for */
    char skipped[REQUEST_SKIPPED_MAX + 1]; /* what was left out, "tool web_search, field x" */
    const char *whole_type; /* static; of a whole answer where not the dialect's; NULL: that */
    cJSON *kept;            /* what the dialect's answer needs of the request; owned; may be NULL */
    struct response_store *responses; /* where its answer is kept; borrowed; NULL: nowhere */
    struct request_signs signs;
    struct request_said said;  /* from mode_body_read() on */
    struct prefix_chain chain; /* of the prompt, from request_chain() on; owned */
    struct buf body;           /* what goes to the engine */
};

void request_init(struct request *request);
void request_fini(struct request *request);
/* Makes `chain` of the body, for the client. `seed`: jobs_prompt_seed(). Once. -ENOMEM. */
MUST_CHECK int request_chain(struct request *request, uint64_t seed);
/* Notes where the completion is asked for: before the cursor stands `before` and then `line`.
 * -ENOMEM. */
MUST_CHECK int request_set_cursor(
        struct request *request, const char *before, const char *line, const char *after);
/* Looks for a model's own tokens in a raw prompt (fim_prompt.h). Where it has them, a person waits
 * at the cursor between its texts, which is noted too where both are known; not where no token is
 * asked for, which only fills the cache. -ENOMEM. */
MUST_CHECK int request_note_fim(struct request *request, const char *prompt, bool warms_up);
/* Memory that `kept`, `chain` and `cursor` take, about. */
size_t request_kept_bytes(const struct request *request);
/* Notes that something was left out of the body, once for each `what`; past REQUEST_SKIPPED_MAX the
 * list ends with an ellipsis. */
void request_skip(struct request *request, const char *what);
