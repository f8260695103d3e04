/* Measures a decision as the coordinator makes it for each request: for three models what of the
 * prompt their instances hold, and which of 3,000 instances answers. 1,000 nodes with 20 models
 * each, and a prefix index that is filled to its bound. Prompts are turns of conversations, all of
 * which begin alike. Between the measurements what was decided is sent there and noted, others
 * bring their first token or end, and a node tells its state anew.
 *
 *     bench-decision [DECISIONS=200000] [SEED=1]
 *
 * Prints lines of a name, a tab and a value. "decision" and its parts, "find" (the prefix index)
 * and "choose", are nanoseconds of CLOCK_MONOTONIC_RAW; each part contains one reading of it
 * (clock_ns). "own" is what the thread's own clock says of the same decisions, without the time
 * that other programs took from it; it contains three readings of the other clock and one of its
 * own (own_clock_ns). "arithmetic", in turns with them, needs no memory, and would always take as
 * long as the median decision: more is what the machine does besides, as in its timer's
 * interrupts. Then the processor's counters run over further decisions, where the kernel lets us
 * have them. */
#include "common/text.h"
#include "coordinator/scheduling/fleet.h"
#include "coordinator/scheduling/prefix_index.h"
#include "coordinator/scheduling/routing.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    NODES = 1000,
    MODELS = 20,
    OPTIONS = 3,
    INDEX_BYTES = 64 * 1024 * 1024,
    CACHE_BLOCKS = 4096, /* of an instance: a million tokens */
    BLOCK_TOKENS = 256,
    SYSTEM_BLOCKS = 40, /* what all prompts begin with: 10k tokens */
    SESSIONS = 30000,
    SESSION_TOKENS_MIN = 2000,
    SESSION_TOKENS_MAX = 100000,
    BLOCKS_MAX = SESSION_TOKENS_MAX / BLOCK_TOKENS + 1,
    FLIGHTS = 4000, /* under way at once, over all instances */
    DECISIONS = 200000,
    DECISIONS_MIN = 1000,
    DECISIONS_MAX = 10000000,
    COUNTED_SHARE = 10, /* every tenth decision again, under the processor's counters */
    CLOCK_READINGS = 100000,
    STEPS_TRIED = 1000, /* of arithmetic */
    TRIES = 1000,
};

struct session {
    uint32_t blocks;
    uint32_t model; /* where it was last: … */
    uint32_t node;  /* … NODES: nowhere yet */
};

struct world {
    uint64_t chance;
    struct prefix_index *index;
    struct fleet *fleet;
    struct routing *routing;
    struct fleet_handle handles[MODELS][NODES];
    const struct fleet_model *models[MODELS];
    struct session sessions[SESSIONS];
    struct flight flights[FLIGHTS];
    size_t next_flight;
    double now_s;
    size_t run, wait, reused;
    uint64_t reckoned; /* by arithmetic, so that it is done */
};

/* What a decision is made of; made before it is measured. */
struct prompt {
    struct session *session;
    uint64_t chain[BLOCKS_MAX];
    struct routing_option options[OPTIONS];
    uint32_t held[OPTIONS][PREFIX_HOLDERS_MAX];
    struct routing_request request;
};

static const char usage_text[] =
        "usage: bench-decision [DECISIONS [SEED]]; DECISIONS is 1000 to 10000000\n"
        "(200000), SEED a whole number (1)\n";

/* What is printed, in its order. */
static const char help_text[] =
        "\nMeasures how long the coordinator takes to decide which node answers a request: 1,000\n"
        "nodes with 20 models each, three models that may answer, a full prefix index.\n"
        "\nPrints a name, a tab and a value a line; SHARE is p50, p90, p99, p99.9 or max of all:\n"
        "  clock_ns            one reading of the clock, which each part below contains\n"
        "  own_clock_ns        one of the thread's own clock\n"
        "  preempted           times that other programs took the processor away\n"
        "  decision_SHARE_ns   a decision\n"
        "  find_SHARE_ns       of it: what of the prompt is held where\n"
        "  choose_SHARE_ns     of it: which instance answers\n"
        "  own_SHARE_ns        a decision by the thread's own clock, without the time of others\n"
        "  arithmetic_SHARE_ns what would always take as long as the median decision, in turns\n"
        "                      with them: more is what the machine does besides\n"
        "  run                 decisions that sent the request at once, with those beforehand\n"
        "                      that fill the nodes and the index …\n"
        "  wait                … that had it wait for a slot\n"
        "  reused              … that found more of the prompt than all prompts begin with\n"
        "  cycles              of the processor, a decision, where the kernel tells them\n"
        "  instructions        likewise\n"
        "  decisions           that were measured\n"
        "  index_bytes         that the prefix index takes\n"
        "  index_held          blocks of prompts that it has\n";

enum { EXIT_USAGE = 2 };

static void die(const char *what)
{
    fprintf(stderr, "bench-decision: %s\n", what);
    exit(1);
}

/* splitmix64 */
static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31);
}

static uint64_t below(struct world *world, uint64_t bound)
{
    return mix(world->chance += 0x9e3779b97f4a7c15ULL) % bound;
}

static double between(struct world *world, double low, double high)
{
    return low + (high - low) * (double)below(world, 1 << 20) / (1 << 20);
}

/* Evenly over the orders of magnitude. */
static double between_orders(struct world *world, double low, double high)
{
    return exp(between(world, log(low), log(high)));
}

static uint64_t read_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* --- the fleet --- */

static enum instance_state some_state(struct world *world)
{
    uint64_t dice = below(world, 100);
    if (dice < 80)
        return INSTANCE_RESIDENT;
    if (dice < 85)
        return INSTANCE_LOADING;
    return dice < 97 ? INSTANCE_AVAILABLE : INSTANCE_FAILED;
}

static struct fleet_instance some_instance(struct world *world, uint32_t node)
{
    return (struct fleet_instance){
            .rates = {.prefill_tok_s = (float)between_orders(world, 100, 5000),
                    .half_depth = (float)between(world, 20000, 120000),
                    .step_s = (float)between(world, 0.005, 0.05),
                    .step_sequence_s = (float)between(world, 0.0005, 0.003)},
            .state = some_state(world),
            .capabilities = CAPABILITY_CHAT | CAPABILITY_TOOLS | CAPABILITY_EXACT,
            .context = below(world, 10) ? 131072 : 32768,
            .slots = 1 + (uint32_t)below(world, 8),
            .epoch = node + 1,
            .usable = below(world, 100) > 0,
            .silent = true,
            .fits = below(world, 10) > 0,
            .rtt_s = (float)between(world, 0.0002, 0.02),
            .load_s = (float)between(world, 5, 60),
            .failure_rate = below(world, 10) ? 0 : 0.05f,
            .ready_s = between(world, 0, 30)};
}

static void make_fleet(struct world *world)
{
    for (uint32_t m = 0; m < MODELS; m++) {
        char name[16];
        snprintf(name, sizeof(name), "model-%u", m);
        for (uint32_t n = 0; n < NODES; n++) {
            struct fleet_instance first = some_instance(world, n);
            if (fleet_add(world->fleet, name, &first, CACHE_BLOCKS, &world->handles[m][n]))
                die("no memory for the fleet");
        }
        world->models[m] = fleet_find(world->fleet, name);
    }
}

/* --- prompts --- */

static void make_sessions(struct world *world)
{
    for (size_t i = 0; i < SESSIONS; i++) {
        double tokens = between_orders(world, SESSION_TOKENS_MIN, SESSION_TOKENS_MAX);
        world->sessions[i] = (struct session){.blocks = 1 + (uint32_t)tokens / BLOCK_TOKENS,
                .model = (uint32_t)below(world, MODELS),
                .node = NODES};
    }
}

static void make_chain(
        const struct world *world, const struct session *session, uint64_t *ret_chain)
{
    uint64_t own = mix((uint64_t)(session - world->sessions) + 1);
    for (uint32_t i = 0; i < session->blocks; i++)
        ret_chain[i] = mix(i < SYSTEM_BLOCKS ? i + 1 : own + i);
}

/* The session's model, and two others. */
static void make_prompt(struct world *world, struct prompt *prompt)
{
    struct session *session = &world->sessions[below(world, SESSIONS)];
    uint32_t first = session->model;
    prompt->session = session;
    make_chain(world, session, prompt->chain);
    for (uint32_t i = 0; i < OPTIONS; i++)
        prompt->options[i] = (struct routing_option){
                .model = world->models[(first + i * (1 + first % 5)) % MODELS],
                .held_blocks = prompt->held[i],
                .block_tokens = BLOCK_TOKENS,
                .prompt_tokens = (double)session->blocks * BLOCK_TOKENS,
                .quality = (uint8_t)(80 - 10 * i)};
    prompt->request = (struct routing_request){.options = prompt->options,
            .option_count = OPTIONS,
            .output_tokens = 400,
            .output_reserve = 1024,
            .beta = COST_BETA_INTERACTIVE,
            .gamma = COST_GAMMA,
            .sigma = COST_SIGMA,
            .needs = CAPABILITY_CHAT | CAPABILITY_TOOLS,
            .now_s = world->now_s};
    if (session->node < NODES)
        prompt->request.session = (struct routing_place){session->node + 1, world->models[first]};
}

/* --- a decision --- */

static void find(struct prompt *prompt)
{
    for (size_t i = 0; i < OPTIONS; i++)
        prefix_find(prompt->options[i].model->prefixes, prompt->chain, prompt->session->blocks,
                prompt->held[i]);
}

static void choose(struct world *world, struct prompt *prompt, struct routing_plan *ret_plan)
{
    if (routing_choose(world->routing, world->fleet, &prompt->request, NULL, NULL, ret_plan))
        die("no memory for a decision");
}

static uint32_t model_of(const struct world *world, const struct fleet_model *model)
{
    uint32_t m = 0;
    while (world->models[m] != model)
        m++;
    return m;
}

/* With 1,000 nodes and as many decisions a second, one node tells its state between two. */
static void tell_state(struct world *world)
{
    uint64_t node = below(world, NODES);
    for (uint32_t m = 0; m < MODELS; m++)
        fleet_at(&world->handles[m][node])->rtt_s = (float)between(world, 0.0002, 0.02);
}

/* Half of those under way are past their first token. */
static void move_on(struct world *world)
{
    world->now_s += between(world, 0, 0.004);
    tell_state(world);
    fleet_ended(world->fleet, &world->flights[world->next_flight], world->now_s);
    fleet_first_token(world->fleet, &world->flights[(world->next_flight + FLIGHTS / 2) % FLIGHTS],
            world->now_s);
}

static void carry_out(struct world *world, struct prompt *prompt, const struct routing_plan *plan)
{
    move_on(world);
    world->run += plan->verdict == ROUTING_RUN;
    world->wait += plan->verdict == ROUTING_WAIT;
    world->reused += plan->held_tokens > SYSTEM_BLOCKS * BLOCK_TOKENS;
    if (plan->verdict != ROUTING_RUN)
        return;
    const struct fleet_model *model = prompt->options[plan->option].model;
    prefix_note(model->prefixes, plan->instance->holder, prompt->chain, prompt->session->blocks);
    prompt->session->model = model_of(world, model);
    prompt->session->node = plan->instance->epoch - 1;
    fleet_sent(world->fleet, plan->instance->handle, &world->flights[world->next_flight],
            &plan->cost, between(world, 1, 20), world->now_s);
    world->next_flight = (world->next_flight + 1) % FLIGHTS;
}

/* Each session has been somewhere, and what there is room for is remembered. */
static void warm_up(struct world *world, struct prompt *prompt)
{
    for (size_t i = 0; i < SESSIONS; i++) {
        struct session *session = &world->sessions[i];
        session->node = (uint32_t)below(world, NODES);
        make_chain(world, session, prompt->chain);
        struct fleet_handle *handle = &world->handles[session->model][session->node];
        prefix_note(handle->model->prefixes, handle->model->at[handle->index].holder, prompt->chain,
                session->blocks);
    }
    for (size_t i = 0; i < 2 * FLIGHTS; i++) {
        struct routing_plan plan;
        make_prompt(world, prompt);
        find(prompt);
        choose(world, prompt, &plan);
        carry_out(world, prompt, &plan);
    }
}

static void make_world(struct world *world, uint64_t seed)
{
    world->chance = seed;
    world->index = prefix_index_create(INDEX_BYTES);
    world->fleet = world->index ? fleet_create(world->index) : NULL;
    world->routing = routing_create();
    if (!world->fleet || !world->routing)
        die("no memory");
    make_fleet(world);
    make_sessions(world);
}

static void free_world(struct world *world)
{
    routing_destroy(world->routing);
    fleet_destroy(world->fleet);
    prefix_index_destroy(world->index);
}

/* --- times --- */

static int by_value(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Frees them. */
static void print_times(const char *name, uint32_t *times, size_t count)
{
    static const struct {
        const char *name;
        double share;
    } shares[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};
    qsort(times, count, sizeof(*times), by_value);
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        size_t rank = (size_t)ceil(shares[i].share * (double)count);
        printf("%s_%s_ns\t%u\n", name, shares[i].name, times[rank - 1]);
    }
    free(times);
}

static uint32_t *times_of(size_t count)
{
    uint32_t *times = calloc(count, sizeof(*times));
    if (!times)
        die("no memory for the times");
    return times;
}

static void measure_clock(const char *name, clockid_t clock)
{
    uint32_t *times = times_of(CLOCK_READINGS);
    for (size_t i = 0; i < CLOCK_READINGS; i++) {
        uint64_t begin = read_ns(clock);
        times[i] = (uint32_t)(read_ns(clock) - begin);
    }
    qsort(times, CLOCK_READINGS, sizeof(*times), by_value);
    printf("%s\t%u\n", name, times[CLOCK_READINGS / 2]);
    free(times);
}

/* Each step needs the one before. */
static uint64_t reckon(struct world *world, size_t steps)
{
    uint64_t begin = read_ns(CLOCK_MONOTONIC_RAW);
    for (size_t i = 0; i < steps; i++)
        world->reckoned = mix(world->reckoned + i);
    return read_ns(CLOCK_MONOTONIC_RAW) - begin;
}

static long taken_away(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nivcsw;
}

/* In nanoseconds, of each decision. */
struct times {
    uint32_t *find, *choose, *decision, *own, *arithmetic;
    size_t steps; /* of the last one */
};

static void measure_one(
        struct world *world, struct prompt *prompt, size_t i, const struct times *times)
{
    struct routing_plan plan;
    make_prompt(world, prompt);
    uint64_t own_begin = read_ns(CLOCK_THREAD_CPUTIME_ID);
    uint64_t begin = read_ns(CLOCK_MONOTONIC_RAW);
    find(prompt);
    uint64_t found = read_ns(CLOCK_MONOTONIC_RAW);
    choose(world, prompt, &plan);
    uint64_t end = read_ns(CLOCK_MONOTONIC_RAW);
    times->own[i] = (uint32_t)(read_ns(CLOCK_THREAD_CPUTIME_ID) - own_begin);
    times->find[i] = (uint32_t)(found - begin);
    times->choose[i] = (uint32_t)(end - found);
    times->decision[i] = (uint32_t)(end - begin);
    carry_out(world, prompt, &plan);
    times->arithmetic[i] = (uint32_t)reckon(world, times->steps);
}

/* That take as long as the median decision. */
static size_t find_steps(struct world *world, struct prompt *prompt, const struct times *times)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < TRIES; i++) {
        uint64_t ns = reckon(world, STEPS_TRIED);
        least = ns < least ? ns : least;
        measure_one(world, prompt, i, times);
    }
    qsort(times->decision, TRIES, sizeof(*times->decision), by_value);
    return (size_t)(times->decision[TRIES / 2] * (uint64_t)STEPS_TRIED / least);
}

static void measure_times(struct world *world, struct prompt *prompt, size_t count)
{
    struct times times = {.find = times_of(count),
            .choose = times_of(count),
            .decision = times_of(count),
            .own = times_of(count),
            .arithmetic = times_of(count)};
    times.steps = find_steps(world, prompt, &times);
    long before = taken_away();
    for (size_t i = 0; i < count; i++)
        measure_one(world, prompt, i, &times);
    printf("preempted\t%ld\n", taken_away() - before);
    print_times("decision", times.decision, count);
    print_times("find", times.find, count);
    print_times("choose", times.choose, count);
    print_times("own", times.own, count);
    print_times("arithmetic", times.arithmetic, count);
}

/* --- the processor's counters --- */

static int open_counter(uint64_t config)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_HARDWARE,
            .size = sizeof(attr),
            .config = config,
            .disabled = 1,
            .exclude_kernel = 1,
            .exclude_hv = 1};
    return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static void count_one(
        struct world *world, struct prompt *prompt, const char *name, uint64_t config, size_t count)
{
    uint64_t counted = 0;
    int fd = open_counter(config);
    if (fd < 0) {
        printf("%s\tnot to be had: %s\n", name, strerror(errno));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct routing_plan plan;
        make_prompt(world, prompt);
        ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
        find(prompt);
        choose(world, prompt, &plan);
        ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
        carry_out(world, prompt, &plan);
    }
    if (read(fd, &counted, sizeof(counted)) == sizeof(counted))
        printf("%s\t%llu\n", name, (unsigned long long)(counted / count));
    close(fd);
}

static void measure(struct world *world, struct prompt *prompt, size_t count)
{
    measure_clock("clock_ns", CLOCK_MONOTONIC_RAW);
    measure_clock("own_clock_ns", CLOCK_THREAD_CPUTIME_ID);
    measure_times(world, prompt, count);
    printf("run\t%zu\nwait\t%zu\nreused\t%zu\n", world->run, world->wait, world->reused);
    count_one(world, prompt, "cycles", PERF_COUNT_HW_CPU_CYCLES, count / COUNTED_SHARE);
    count_one(world, prompt, "instructions", PERF_COUNT_HW_INSTRUCTIONS, count / COUNTED_SHARE);
    printf("decisions\t%zu\nindex_bytes\t%zu\nindex_held\t%zu\n", count,
            prefix_index_bytes(world->index), prefix_index_held(world->index));
}

static void refuse(const char *word)
{
    fprintf(stderr, "bench-decision: not '%s'; %s", word, usage_text);
    exit(EXIT_USAGE);
}

static uint64_t number_of(const char *word, uint64_t low, uint64_t high)
{
    uint64_t number = 0;
    if (text_parse_u64(word, &number, NULL) < 0 || number < low || number > high)
        refuse(word);
    return number;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf("%s%s", usage_text, help_text);
        return 0;
    }
    if (argc > 3)
        refuse(argv[3]);
    uint64_t count = argc > 1 ? number_of(argv[1], DECISIONS_MIN, DECISIONS_MAX) : DECISIONS;
    uint64_t seed = argc > 2 ? number_of(argv[2], 0, UINT64_MAX) : 1;
    struct world *world = calloc(1, sizeof(*world));
    struct prompt *prompt = calloc(1, sizeof(*prompt));
    if (!world || !prompt)
        die("no memory");
    make_world(world, seed);
    warm_up(world, prompt);
    measure(world, prompt, count);
    free_world(world);
    free(prompt);
    free(world);
    return 0;
}
