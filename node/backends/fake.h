/* The script of the fake engine: an instance that answers on the loop's timers, without a process,
 * for tests and benchmarks. It says what it is: its name is "fake", and every answer begins with
 * "[fake engine]". It is the first word of the engine's command, `fake:` and then settings between
 * commas:
 *
 *   fake:load=100ms,slots=4,context=8192,ttft=50ms,rate=200,tokens=40,text=some words
 *
 *   load=TIME        from start to ready                                    (0)
 *   slots=N          requests at once; more wait for a slot                  (the model's, or 1)
 *   context=N        tokens of one sequence, as it tells them                (the model's, or 4096)
 *   ttft=TIME        from a slot to the first token                          (0)
 *   rate=N           tokens a second                                         (0: all at once)
 *   tokens=N         of each answer, "[fake engine]" included                (16)
 *   text=WORDS       said one a token, over and over; takes the rest of the script
 *                                                                           (a fixed sentence)
 *   fail=STATUS      each request is answered with this error status
 *   die-after=N      the engine dies when a request has had N tokens
 *   hang-after=N     a request stands still after N tokens, for ever
 *   took=N           it says that it took N MiB of GPUs, once it has loaded   (it says nothing)
 *   refuse           it dies instead of getting ready
 *   never-ready      it loads until the start timeout
 *
 * A prompt counts one token for four bytes of its body, none of them cached. While a run is paused
 * its clock stands. It answers all kinds of requests; those that have one JSON object for an answer
 * (fake_result.h) get it when the first token is due, and it counts as one. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    FAKE_TEXT_MAX = 512,
    FAKE_TOKENS_MAX = 1000000,
    FAKE_NEVER = INT32_MAX, /* of die_after and hang_after */
};

struct fake_script {
    uint32_t load_ms, slots, context; /* slots, context 0: the model's */
    uint32_t ttft_ms, rate_tok_s, tokens;
    uint32_t fail_status; /* 0: none */
    uint32_t die_after, hang_after;
    uint32_t took_mib; /* 0: it does not say */
    bool refuse, never_ready;
    char text[FAKE_TEXT_MAX];
};

/* -EINVAL names the setting that cannot be used. */
MUST_CHECK int fake_script_parse(const char *word, struct fake_script *ret_script, struct err *err);
