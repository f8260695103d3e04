#include "bench/sim/nodes/fleet_spec.h"

#include "bench/sim/world.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kind {
    double prefill_tok_s;
    double slots;
    double step_ms, step_sequence_ms;
};

static const struct kind fast = {4500, 8, 5, 0.7};
static const struct kind slow = {1000, 4, 18.5, 3};
static const struct kind equal = {2000, 4, 10, 1.5};

/* Of one answer alone a step takes 1 s ÷ its rate, of which, as with the fast and the slow kind, 7
 * parts of 8 are the step's own. */
static const struct kind first_users[] = {
        {1135, 4, 0.875 * 1000 / 46.0, 0.125 * 1000 / 46.0},
        {801, 4, 0.875 * 1000 / 37.5, 0.125 * 1000 / 37.5},
        {131, 4, 0.875 * 1000 / 17.1, 0.125 * 1000 / 17.1},
        {101, 4, 0.875 * 1000 / 11.5, 0.125 * 1000 / 11.5},
};

void fleet_spec_fini(struct fleet_spec *spec)
{
    free(spec->nodes);
    *spec = (struct fleet_spec){0};
}

/* Why so many more nodes do not belong to the fleet. */
static int refuse_count(const struct fleet_spec *spec, double count, struct err *err)
{
    char there[32] = "";

    if (spec->count > 0)
        snprintf(there, sizeof(there), " more than %u", spec->count);
    return err_set(err, -EINVAL, "a fleet has 1 to %d nodes, whole ones, not %.10g%s",
            WORLD_NODES_MAX, count, there);
}

static int add(struct fleet_spec *spec, double count, const struct kind *kind,
        const struct node_params *common, struct err *err)
{
    struct node_params node = *common;

    if (count < 1 || count > WORLD_NODES_MAX - spec->count || count != floor(count))
        return refuse_count(spec, count, err);
    node.rates.prefill_tok_s = (float)kind->prefill_tok_s;
    node.rates.step_s = (float)(kind->step_ms / 1000);
    node.rates.step_sequence_s = (float)(kind->step_sequence_ms / 1000);
    node.slots = (uint32_t)kind->slots;
    for (uint32_t i = 0; i < (uint32_t)count; i++)
        spec->nodes[spec->count++] = node;
    return 0;
}

/* A number that `mark` follows; false: it is none. */
static bool take(const char **at, char mark, double *ret_value)
{
    char *end;
    double value = strtod(*at, &end);

    if (end == *at || *end != mark || !isfinite(value) || value < 0)
        return false;
    *at = end + (mark != '\0');
    *ret_value = value;
    return true;
}

static bool is_step(double ms)
{
    return ms == 0 || (ms >= FLEET_STEP_MIN_MS && ms <= FLEET_STEP_MAX_MS);
}

static int check_kind(const char *part, const struct kind *kind, struct err *err)
{
    if (kind->prefill_tok_s < 1 || kind->prefill_tok_s > FLEET_PREFILL_MAX_TOK_S)
        return err_set(err, -EINVAL, "'%s': a node computes 1 to %d prompt tok/s, not %g", part,
                FLEET_PREFILL_MAX_TOK_S, kind->prefill_tok_s);
    if (kind->slots < 1 || kind->slots > NODE_SLOTS_MAX || kind->slots != floor(kind->slots))
        return err_set(err, -EINVAL, "'%s': a node has 1 to %d slots, whole ones, not %g", part,
                NODE_SLOTS_MAX, kind->slots);
    if (!is_step(kind->step_ms) || !is_step(kind->step_sequence_ms))
        return err_set(err, -EINVAL, "'%s': a step takes 0 ms, or %g to %d, not %g", part,
                FLEET_STEP_MIN_MS, FLEET_STEP_MAX_MS,
                is_step(kind->step_ms) ? kind->step_sequence_ms : kind->step_ms);
    if (kind->step_ms + kind->step_sequence_ms <= 0)
        return err_set(
                err, -EINVAL, "'%s': a step takes more than 0 ms, by itself or a sequence", part);
    return 0;
}

static int add_part(
        struct fleet_spec *spec, char *part, const struct node_params *common, struct err *err)
{
    const char *at = part;
    struct kind kind;
    double count;
    int r;

    if (!take(&at, 'x', &count) || !take(&at, '/', &kind.prefill_tok_s) ||
            !take(&at, '/', &kind.slots) || !take(&at, '/', &kind.step_ms) ||
            !take(&at, '\0', &kind.step_sequence_ms))
        return err_set(err, -EINVAL,
                "'%s' is no part of a fleet: 2x1000/4/18.5/3 is 2 nodes of 1,000 tok/s, 4 slots, "
                "18.5 ms + 3 ms a sequence",
                part);
    r = check_kind(part, &kind, err);
    return r < 0 ? r : add(spec, count, &kind, common, err);
}

static int add_parts(struct fleet_spec *spec, const char *text, const struct node_params *common,
        struct err *err)
{
    char *copy = strdup(text), *rest = copy, *part;
    int r = 0;

    if (!copy)
        return -ENOMEM;
    while (r == 0 && (part = strsep(&rest, ",")))
        r = add_part(spec, part, common, err);
    free(copy);
    return r;
}

static int add_two_kinds(struct fleet_spec *spec, double fast_count, double slow_count,
        const struct node_params *common, struct err *err)
{
    int r = fast_count > 0 ? add(spec, fast_count, &fast, common, err) : 0;

    if (r == 0 && (slow_count > 0 || fast_count == 0))
        r = add(spec, slow_count, &slow, common, err);
    return r;
}

static int add_first_users(
        struct fleet_spec *spec, const struct node_params *common, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(first_users) / sizeof(first_users[0]); i++)
        r = add(spec, 1, &first_users[i], common, err);
    return r;
}

/* All of `text` is digits and the marks of one pattern. */
static int add_words(struct fleet_spec *spec, const char *text, const struct node_params *common,
        struct err *err)
{
    const char *at = text;
    double first, second;

    if (strcmp(text, "first-users") == 0)
        return add_first_users(spec, common, err);
    if (strncmp(text, "equal:", 6) == 0 && (at += 6, take(&at, '\0', &first)))
        return add(spec, first, &equal, common, err);
    at = text;
    if (take(&at, '+', &first) && take(&at, '\0', &second))
        return add_two_kinds(spec, first, second, common, err);
    return add_parts(spec, text, common, err);
}

int fleet_spec_parse(const char *text, const struct node_params *common,
        struct fleet_spec *ret_spec, struct err *err)
{
    struct fleet_spec spec = {.nodes = calloc(WORLD_NODES_MAX, sizeof(*spec.nodes))};
    int r = spec.nodes ? add_words(&spec, text, common, err) : -ENOMEM;

    if (r < 0) {
        fleet_spec_fini(&spec);
        return r == -ENOMEM ? err_set(err, r, "no memory for the fleet") : r;
    }
    *ret_spec = spec;
    return 0;
}
