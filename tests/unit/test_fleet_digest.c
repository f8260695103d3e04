/* What a digest says of an instance is what the whole formula says (cost_of), for instances and
 * requests by chance. MODEMESH_SEED repeats the run that failed. */
#include "coordinator/scheduling/fleet_digest.h"

#include "coordinator/scheduling/prefix_index.h"
#include "coordinator/scheduling/refusal.h"
#include "tests/lib/virtual_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 20000, HOLDERS = 4, PASS = 7 };

#define NOW_S     1e6 /* of a coordinator that has run for days */
#define TOLERANCE 1e-4

static struct virtual_env world;
static uint64_t seed;

static uint64_t below(uint64_t bound)
{
    return env_random_u64(&world.env) % bound;
}

static bool chance(unsigned percent)
{
    return below(100) < percent;
}

static double between(double low, double high)
{
    return low + (high - low) * (double)below(1 << 24) / (1 << 24);
}

static struct fleet_instance some_instance(void)
{
    return (struct fleet_instance){
            .rates = {.prefill_tok_s = (float)between(50, 10000),
                    .half_depth = chance(20) ? INFINITY : (float)between(1000, 200000),
                    .step_s = (float)between(0.001, 0.1),
                    .step_sequence_s = (float)between(0, 0.01)},
            .state = (enum instance_state)below(INSTANCE_STATE_COUNT),
            .capabilities = (uint32_t)below(2 * CAPABILITY_EXACT),
            .context = (uint32_t)below(3) * 32768,
            .slots = (uint32_t)below(9),
            .running = (uint32_t)below(10),
            .epoch = (uint32_t)below(1000),
            .holder = chance(10) ? PREFIX_NO_HOLDER : (uint32_t)below(HOLDERS),
            .usable = chance(90),
            .silent = chance(50),
            .tripped = chance(5),
            .fits = chance(80),
            .ordered = chance(10),
            .batch_only = chance(10),
            .quality = (uint8_t)below(101),
            .rtt_s = (float)between(0, 0.1),
            .swap_token_s = chance(30) ? (float)between(0, 0.001) : 0,
            .load_s = (float)between(0, 100),
            .failure_rate = (float)between(0, 1),
            .price_s = (float)between(0, 10),
            .ready_s = NOW_S + between(-10, 100),
            .prefill_done_s = NOW_S + between(-100, 100),
            .slot_free_s = NOW_S + between(-100, 100),
            .promise_pass = PASS - (uint32_t)below(2),
            .promised = (uint32_t)below(5),
            .promised_prefill_s = (float)between(0, 50),
            .slot_turn_s = (float)between(0, 20)};
}

static uint32_t held_blocks[HOLDERS];

static struct fleet_question some_question(void)
{
    double prompt_tokens = between(0, 100000);
    for (size_t i = 0; i < HOLDERS; i++)
        held_blocks[i] = (uint32_t)below(500);
    return (struct fleet_question){.held_blocks = chance(80) ? held_blocks : NULL,
            .block_tokens = 256,
            .prompt_tokens = (float)prompt_tokens,
            .whole_tokens = (float)(prompt_tokens + between(0, 4096)),
            .decode_steps = (float)between(0, 4000),
            .gamma = (float)between(0, 1),
            .sigma = (float)between(0, 1),
            .quality_wanted = (float)below(101),
            .quality_floor = (float)below(60),
            .quality = chance(50) ? (float)below(101) : 0,
            .needs = (chance(80) ? FLEET_ABLE_OPEN : FLEET_ABLE_ALIVE) |
                     (chance(80) ? FLEET_ABLE_INTERACTIVE : 0) |
                     (chance(10) ? FLEET_ABLE_RESIDENT : 0) | (chance(10) ? FLEET_ABLE_LOADED : 0) |
                     CAPABILITY_CHAT | (chance(20) ? CAPABILITY_VISION : 0),
            .now_s = NOW_S};
}

static double quality_of(const struct fleet_question *question, const struct fleet_instance *it)
{
    return question->quality > 0 ? (double)question->quality : it->quality;
}

static bool is_feasible(const struct fleet_question *question, const struct fleet_instance *it)
{
    enum refusal refusal = refusal_for_all(it);
    bool open = refusal == REFUSAL_NONE ||
                (refusal == REFUSAL_TRIPPED && !(question->needs & FLEET_ABLE_OPEN));
    if (!open || (it->batch_only && question->needs & FLEET_ABLE_INTERACTIVE))
        return false;
    bool loading = it->state == INSTANCE_LOADING;
    if (it->state != INSTANCE_RESIDENT &&
            (question->needs & FLEET_ABLE_RESIDENT ||
                    (question->needs & FLEET_ABLE_LOADED && !loading)))
        return false;
    return !(question->needs & CAPABILITY_ALL & ~refusal_abilities(it)) &&
           quality_of(question, it) >= (double)question->quality_floor &&
           (!it->context || question->whole_tokens <= (float)it->context);
}

static double whole_cost_s(const struct fleet_question *question, const struct fleet_instance *it)
{
    bool holds = question->held_blocks && it->holder != PREFIX_NO_HOLDER;
    double held = holds ? (double)question->held_blocks[it->holder] * 256 : 0;
    double missing = (double)question->quality_wanted - quality_of(question, it);
    const struct cost_ask ask = {.prompt_tokens = (double)question->prompt_tokens,
            .output_tokens = (double)question->decode_steps,
            .beta = 1,
            .gamma = (double)question->gamma,
            .sigma = (double)question->sigma,
            .quality_missing = missing > 0 ? missing : 0};
    struct cost_state state;
    struct cost cost;
    fleet_cost_state(it, PASS, held, question->now_s, &state);
    cost_of(&ask, &state, &cost);
    return cost.total_s;
}

static void check_lane(
        const struct fleet_question *question, const struct fleet_instance *it, float total_s)
{
    double expected_s = whole_cost_s(question, it);
    bool feasible = is_feasible(question, it);
    bool as_expected = feasible ? fabs((double)total_s - expected_s) <= TOLERANCE * expected_s
                                : total_s == INFINITY;
    if (!as_expected)
        fail_msg("MODEMESH_SEED=%" PRIu64 ": %g and not %g, %sfeasible", seed, (double)total_s,
                expected_s, feasible ? "" : "not ");
}

static void begin(uint64_t new_seed)
{
    seed = new_seed;
    virtual_env_init(&world);
    world.random = seed;
}

static void check_block(void)
{
    struct fleet_instance instances[FLEET_LANES];
    struct fleet_block block;
    float totals[FLEET_LANES];
    memset(&block, 0xa5, sizeof(block));
    for (size_t i = 0; i < FLEET_LANES; i++) {
        instances[i] = some_instance();
        fleet_digest_make(&instances[i], PASS, &block, i);
    }
    struct fleet_question question = some_question();
    fleet_digest_costs(&question, &block, 1, totals);
    for (size_t i = 0; i < FLEET_LANES; i++)
        check_lane(&question, &instances[i], totals[i]);
}

static void it_says_what_the_formula_says(void **state)
{
    (void)state;
    const char *given = getenv("MODEMESH_SEED");
    for (uint64_t i = 0; i < (given ? 1 : ROUNDS); i++) {
        begin(given ? strtoull(given, NULL, 10) : i);
        check_block();
    }
}

static void where_there_is_no_instance_nothing_is_feasible(void **state)
{
    (void)state;
    begin(1);
    struct fleet_block block;
    struct fleet_question question = some_question();
    float totals[FLEET_LANES];
    memset(&block, 0xff, sizeof(block));
    for (size_t i = 0; i < FLEET_LANES; i++)
        fleet_digest_clear(&block, i);
    question.needs = FLEET_ABLE_OPEN;
    fleet_digest_costs(&question, &block, 1, totals);
    for (size_t i = 0; i < FLEET_LANES; i++)
        assert_true(totals[i] == INFINITY);
}

static const float extremes[] = {0, -1, FLT_MIN, FLT_MAX, 1e9F, INFINITY, -INFINITY, NAN};
static const size_t floats[] = {offsetof(struct fleet_instance, rates.prefill_tok_s),
        offsetof(struct fleet_instance, rates.half_depth),
        offsetof(struct fleet_instance, rates.step_s),
        offsetof(struct fleet_instance, rates.step_sequence_s),
        offsetof(struct fleet_instance, rtt_s), offsetof(struct fleet_instance, load_s),
        offsetof(struct fleet_instance, failure_rate), offsetof(struct fleet_instance, price_s),
        offsetof(struct fleet_instance, promised_prefill_s),
        offsetof(struct fleet_instance, slot_turn_s)};

/* Also what is beyond all reason can be compared. */
static void nothing_becomes_nan(void **state)
{
    (void)state;
    begin(1);
    struct fleet_question question = some_question();
    question.prompt_tokens = question.decode_steps = (float)COST_TERM_MAX_S;
    question.whole_tokens = question.quality_floor = 0;
    question.needs = FLEET_ABLE_OPEN;
    for (size_t field = 0; field < sizeof(floats) / sizeof(floats[0]); field++)
        for (size_t i = 0; i < sizeof(extremes) / sizeof(extremes[0]); i++) {
            struct fleet_instance it = some_instance();
            struct fleet_block block = {.able = {0}};
            float totals[FLEET_LANES];
            it.state = INSTANCE_AVAILABLE;
            it.usable = it.fits = true;
            it.tripped = false;
            *(float *)(void *)((char *)&it + floats[field]) = extremes[i];
            fleet_digest_make(&it, PASS, &block, 0);
            fleet_digest_costs(&question, &block, 1, totals);
            assert_true(totals[0] >= 0 && totals[0] < INFINITY);
        }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(it_says_what_the_formula_says),
            cmocka_unit_test(where_there_is_no_instance_nothing_is_feasible),
            cmocka_unit_test(nothing_becomes_nan),
    };
    return cmocka_run_group_tests_name("fleet_digest", tests, NULL, NULL);
}
