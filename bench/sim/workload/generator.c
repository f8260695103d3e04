#include "bench/sim/workload/generator.h"

#include "bench/sim/workload/chance.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum { STREAM_SESSIONS = 100, STREAM_SYSTEMS, CHAIN_MAX = WORKLOAD_TOKENS_MAX / 512 };

#define SYSTEM_SIGMA 0.5

/* Coding agents: long system prompts and files in the prompt, short answers, turns that come as
 * fast as tools run. */
const struct generator_params generator_defaults = {
        .duration_s = 3600,
        .sessions_s = 0.05,
        .arrival_cv = 1.5,
        .turns = 8,
        .think_s = 30,
        .think_cv = 1.5,
        .read_tok_s = 40,
        .systems = 16,
        .system_zipf = 1.1,
        .system_tokens = 4000,
        .prompt_tokens = 3000,
        .prompt_sigma = 1.0,
        .turn_tokens = 800,
        .turn_sigma = 1.2,
        .output_tokens = 200,
        .output_sigma = 1.0,
        .tokens_max = 128 * 1024,
        .users = 10,
};

struct generator {
    const struct generator_params *params;
    struct chance chance;
    struct zipf systems;
    uint32_t *system_tokens;
    uint64_t *chain;
    uint64_t seed;
    uint32_t begun; /* sessions, with or without a request */
    struct workload workload;
};

static uint32_t length(struct chance *chance, double median, double sigma)
{
    double tokens = chance_log_normal(chance, median, sigma);

    return (uint32_t)fmin(fmax(tokens, 1), WORKLOAD_TOKENS_MAX / 4.0);
}

static uint64_t block_id(const struct generator *generator, uint64_t owner, uint64_t index)
{
    return chance_mix(chance_mix(owner ^ chance_mix(generator->seed)) + index);
}

struct session {
    uint32_t number;
    uint32_t system;
    uint32_t system_blocks; /* whole ones: what others share */
    double at_s;
    uint32_t prompt_tokens;
    uint32_t turn;
};

/* A block that is not full is another one in each turn. */
static void make_chain(struct generator *generator, const struct session *session, uint32_t count)
{
    uint64_t system = UINT64_C(1) << 40 | session->system, own = session->number;
    bool full = session->prompt_tokens % WORKLOAD_BLOCK_TOKENS == 0;

    for (uint32_t i = 0; i < count; i++)
        generator->chain[i] = block_id(generator, i < session->system_blocks ? system : own, i);
    if (!full && count > session->system_blocks)
        generator->chain[count - 1] =
                block_id(generator, own, (uint64_t)(session->turn + 1) << 32 | count);
}

static int add_turn(struct generator *generator, const struct session *session, uint32_t output)
{
    uint32_t count = (session->prompt_tokens + WORKLOAD_BLOCK_TOKENS - 1) / WORKLOAD_BLOCK_TOKENS;

    make_chain(generator, session, count);
    return workload_add(&generator->workload,
            (struct work){
                    .arrival_s = session->at_s,
                    .prompt_tokens = session->prompt_tokens,
                    .output_tokens = output,
                    .session = session->number,
                    .user = (uint32_t)(chance_mix(session->number ^ generator->seed) %
                                       generator->params->users),
                    .block_count = count,
            },
            generator->chain);
}

static bool has_next_turn(struct generator *generator)
{
    return chance_unit(&generator->chance) > 1 / generator->params->turns;
}

/* One whose first prompt is too long has no request, and so no number. */
static int add_session(struct generator *generator, double at_s)
{
    const struct generator_params *params = generator->params;
    struct chance *chance = &generator->chance;
    struct session session = {.number = generator->workload.sessions, .at_s = at_s};
    int r = 0;

    session.system = zipf_draw(&generator->systems, chance);
    session.system_blocks = generator->system_tokens[session.system] / WORKLOAD_BLOCK_TOKENS;
    session.prompt_tokens = generator->system_tokens[session.system] +
                            length(chance, params->prompt_tokens, params->prompt_sigma);
    while (r == 0 && session.prompt_tokens <= params->tokens_max) {
        uint32_t output = length(chance, params->output_tokens, params->output_sigma);

        r = add_turn(generator, &session, output);
        session.at_s += output / params->read_tok_s +
                        chance_gamma(chance, params->think_s, params->think_cv);
        session.prompt_tokens += output + length(chance, params->turn_tokens, params->turn_sigma);
        session.turn++;
        if (!has_next_turn(generator))
            break;
    }
    generator->workload.sessions += session.turn > 0;
    return r;
}

static int make_systems(struct generator *generator)
{
    const struct generator_params *params = generator->params;
    struct chance chance;

    chance_init(&chance, generator->seed, STREAM_SYSTEMS);
    generator->chain = calloc(CHAIN_MAX, sizeof(*generator->chain));
    generator->system_tokens = calloc(params->systems, sizeof(*generator->system_tokens));
    if (!generator->chain || !generator->system_tokens)
        return -ENOMEM;
    for (uint32_t i = 0; i < params->systems; i++)
        generator->system_tokens[i] = length(&chance, params->system_tokens, SYSTEM_SIGMA);
    return zipf_init(&generator->systems, params->systems, params->system_zipf);
}

static int make_sessions(struct generator *generator)
{
    const struct generator_params *params = generator->params;
    double at_s = 0;
    int r = 0;

    while (r == 0) {
        at_s += chance_gamma(&generator->chance, 1 / params->sessions_s, params->arrival_cv);
        if (at_s > params->duration_s)
            break;
        r = generator->begun++ < GENERATOR_SESSIONS_MAX ? add_session(generator, at_s) : -E2BIG;
    }
    if ((r == 0 || r == -E2BIG) && generator->begun > 0 && generator->workload.count == 0)
        return -ERANGE;
    return r == 0 ? workload_sort(&generator->workload) : r;
}

int generator_make(
        const struct generator_params *params, uint64_t seed, struct workload *ret_workload)
{
    struct generator generator = {.params = params, .seed = seed};
    int r;

    workload_init(&generator.workload);
    generator.workload.users = params->users;
    chance_init(&generator.chance, seed, STREAM_SESSIONS);
    r = make_systems(&generator);
    if (r == 0)
        r = make_sessions(&generator);
    zipf_fini(&generator.systems);
    free(generator.system_tokens);
    free(generator.chain);
    if (r < 0)
        workload_fini(&generator.workload);
    else
        *ret_workload = generator.workload;
    return r;
}
