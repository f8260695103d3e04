#include "coordinator/placement/placement.h"

#include "coordinator/placement/placement_search.h"
#include "coordinator/placement/placement_seating.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const action_names[] = {
        [PLACEMENT_KEEP] = "keep",
        [PLACEMENT_LOAD] = "load",
        [PLACEMENT_RELOAD] = "reload",
        [PLACEMENT_SPARE] = "spare",
        [PLACEMENT_UNLOAD] = "unload",
        [PLACEMENT_REFUSE] = "refuse",
};

const char *placement_action_name(enum placement_action action)
{
    return action_names[action];
}

/* ---- what is a fleet */

static int check_count(const char *what, size_t count, size_t most, struct err *err)
{
    if (count > most)
        return err_set(err, -E2BIG, "a plan is for at most %zu %s, not %zu", most, what, count);
    return 0;
}

static int check_counts(const struct placement_fleet *fleet, struct err *err)
{
    const struct {
        const char *what;
        size_t count, most;
    } counts[] = {
            {"nodes", fleet->node_count, PLACEMENT_NODES_MAX},
            {"models", fleet->model_count, PLACEMENT_MODELS_MAX},
            {"models on disks", fleet->file_count, PLACEMENT_FILES_MAX},
            {"modes", fleet->mode_count, PLACEMENT_MODES_MAX},
    };
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        int r = check_count(counts[i].what, counts[i].count, counts[i].most, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* `seen`: one bit for each model of each node. */
static int check_file(
        const struct placement_fleet *fleet, size_t index, unsigned char *seen, struct err *err)
{
    const struct placement_file *it = &fleet->files[index];
    if (it->node >= fleet->node_count || it->model >= fleet->model_count)
        return err_set(err, -EINVAL, "file %zu names a node or a model that is none", index);
    if ((it->resident || it->pinned) && (!it->context || !it->slots))
        return err_set(err, -EINVAL, "\"%s\" on \"%s\" is resident without context or slots",
                fleet->models[it->model], fleet->nodes[it->node].name);
    size_t bit = it->node * fleet->model_count + it->model;
    unsigned char mask = (unsigned char)(1u << bit % 8);
    if (seen[bit / 8] & mask)
        return err_set(err, -EINVAL, "\"%s\" is on \"%s\" twice", fleet->models[it->model],
                fleet->nodes[it->node].name);
    seen[bit / 8] |= mask;
    return 0;
}

static int check_files(const struct placement_fleet *fleet, struct err *err)
{
    unsigned char *seen = calloc(fleet->node_count * fleet->model_count / 8 + 1, 1);
    int r = seen ? 0 : err_set(err, -ENOMEM, "no memory for a plan");
    for (size_t i = 0; r == 0 && i < fleet->file_count; i++)
        r = check_file(fleet, i, seen, err);
    free(seen);
    return r;
}

static int check_range(const char *mode, const char *what, uint32_t value, uint32_t least,
        uint32_t most, struct err *err)
{
    if (value < least || value > most)
        return err_set(err, -EINVAL, "mode \"%s\": %s is %u, not %u to %u", mode, what, value,
                least, most);
    return 0;
}

static int check_choices(
        const struct placement_fleet *fleet, const struct placement_mode *mode, struct err *err)
{
    if (mode->choice_count == 0 || mode->choice_count > PLACEMENT_CHOICES_MAX)
        return err_set(err, -EINVAL, "mode \"%s\" has %zu models, not 1 to %d", mode->name,
                mode->choice_count, PLACEMENT_CHOICES_MAX);
    for (size_t i = 0; i < mode->choice_count; i++) {
        const struct placement_choice *it = &mode->choices[i];
        if (it->model >= fleet->model_count)
            return err_set(err, -EINVAL, "mode \"%s\" names a model that is none", mode->name);
        for (size_t k = 0; k < i; k++)
            if (mode->choices[k].model == it->model)
                return err_set(err, -EINVAL, "mode \"%s\" names \"%s\" twice", mode->name,
                        fleet->models[it->model]);
        int r = check_range(mode->name, "quality", it->quality, 0, PLACEMENT_QUALITY_MAX, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_mode(
        const struct placement_fleet *fleet, const struct placement_mode *mode, struct err *err)
{
    const struct {
        const char *what;
        uint32_t value, most;
    } ranges[] = {
            {"context", mode->context, UINT32_MAX},
            {"slots", mode->slots, PLACEMENT_SLOTS_MAX},
            {"copies", mode->copies, PLACEMENT_COPIES_MAX},
            {"weight", mode->weight, PLACEMENT_WEIGHT_MAX},
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        int r = check_range(mode->name, ranges[i].what, ranges[i].value, 1, ranges[i].most, err);
        if (r < 0)
            return r;
    }
    return check_choices(fleet, mode, err);
}

static int check(const struct placement_fleet *fleet, struct err *err)
{
    int r = check_counts(fleet, err);
    if (r == 0)
        r = check_files(fleet, err);
    for (size_t i = 0; r == 0 && i < fleet->mode_count; i++)
        r = check_mode(fleet, &fleet->modes[i], err);
    return r;
}

/* ---- seeking it, in rounds: from what the last round would make resident, until it stands */

struct rounds {
    const struct placement_fleet *fleet;
    struct residence *residences; /* of each file, at the beginning of a round */
    bool *spare;                  /* of each file, at its end */
    struct dear {
        uint32_t file, load_ms;
    } * dearest;             /* the files, the longest to load first */
    struct seating *seating; /* of the last round */
    uint64_t steps;          /* of all */
    bool exact;
};

static int by_load_time(const void *left, const void *right)
{
    const struct dear *a = left, *b = right;
    int order = (b->load_ms > a->load_ms) - (b->load_ms < a->load_ms);
    return order ? order : (a->file > b->file) - (a->file < b->file);
}

static void rounds_fini(struct rounds *rounds)
{
    seating_destroy(rounds->seating);
    free(rounds->residences);
    free(rounds->spare);
    free(rounds->dearest);
}

static struct residence residence_of(const struct placement_file *file)
{
    return (struct residence){.resident = file->resident,
            .context = file->context,
            .slots = file->slots,
            .bytes = file->resident_bytes};
}

static int rounds_init(struct rounds *rounds, const struct placement_fleet *fleet)
{
    size_t count = fleet->file_count;

    *rounds = (struct rounds){.fleet = fleet,
            .residences = calloc(count + 1, sizeof(*rounds->residences)),
            .spare = calloc(count + 1, sizeof(*rounds->spare)),
            .dearest = calloc(count + 1, sizeof(*rounds->dearest))};
    if (!rounds->residences || !rounds->spare || !rounds->dearest)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        rounds->residences[i] = residence_of(&fleet->files[i]);
        rounds->dearest[i] =
                (struct dear){.file = (uint32_t)i, .load_ms = seating_load_ms(fleet, i)};
    }
    qsort(rounds->dearest, count, sizeof(*rounds->dearest), by_load_time);
    return 0;
}

static bool is_small(const struct seating *seating)
{
    return !seating->fleet->greedy && seating->fleet->node_count <= PLACEMENT_EXACT_NODES &&
           seating->service_count <= PLACEMENT_EXACT_SERVICES;
}

static int seek(struct rounds *rounds, bool *ret_exact)
{
    seating_destroy(rounds->seating);
    rounds->seating = seating_create(rounds->fleet, rounds->residences);
    if (!rounds->seating)
        return -ENOMEM;
    int r = placement_search_greedy(rounds->seating);
    if (r < 0)
        return r;
    *ret_exact = is_small(rounds->seating) && placement_search_exact(rounds->seating);
    rounds->steps += rounds->seating->steps;
    return 0;
}

static bool wanted(const struct seating_file *file)
{
    return file->pinned || file->services > 0;
}

/* What is resident from the first and nobody wants stays where it leaves the rest its room. */
static void keep_spare(struct rounds *rounds)
{
    const struct placement_fleet *fleet = rounds->fleet;
    const struct seating *seating = rounds->seating;
    uint64_t filled[PLACEMENT_NODES_MAX];

    for (size_t i = 0; i < fleet->node_count; i++)
        filled[i] = seating->nodes[i].bytes;
    for (size_t i = 0; i < fleet->file_count; i++) {
        uint32_t file = rounds->dearest[i].file;
        size_t node = fleet->files[file].node;
        uint64_t bytes = fleet->files[file].resident_bytes;
        bool spare = fleet->files[file].resident && !wanted(&seating->files[file]) &&
                     bytes <= seating->nodes[node].capacity_bytes &&
                     filled[node] <= seating->nodes[node].capacity_bytes - bytes;
        filled[node] += spare ? bytes : 0;
        rounds->spare[file] = spare;
    }
}

static struct residence planned(const struct rounds *rounds, size_t file)
{
    const struct seating_file *it = &rounds->seating->files[file];
    if (rounds->spare[file])
        return residence_of(&rounds->fleet->files[file]);
    if (!wanted(it))
        return (struct residence){.resident = false};
    if (!it->kept)
        return (struct residence){true, it->context, it->slots, it->bytes};
    return (struct residence){true, it->residence.context, it->residence.slots, it->bytes};
}

static bool same(const struct residence *a, const struct residence *b)
{
    return a->resident == b->resident &&
           (!a->resident || (a->context == b->context && a->slots == b->slots));
}

/* False where the plan makes nothing resident that was not. */
static bool adopt(struct rounds *rounds)
{
    bool changed = false;
    for (size_t i = 0; i < rounds->fleet->file_count; i++) {
        struct residence next = planned(rounds, i);
        changed |= !same(&next, &rounds->residences[i]);
        rounds->residences[i] = next;
    }
    return changed;
}

static int run_rounds(struct rounds *rounds)
{
    for (int round = 0; round < PLACEMENT_ROUNDS_MAX; round++) {
        bool exact;
        int r = seek(rounds, &exact);
        if (r < 0)
            return r;
        keep_spare(rounds);
        rounds->exact = exact && round == 0;
        if (!adopt(rounds) || rounds->exact)
            break;
    }
    return 0;
}

/* ---- the plan */

static enum placement_action action_of(const struct rounds *rounds, size_t file)
{
    const struct placement_file *it = &rounds->fleet->files[file];
    const struct residence now = residence_of(it), *next = &rounds->residences[file];

    if (!next->resident)
        return it->resident ? PLACEMENT_UNLOAD : PLACEMENT_REFUSE;
    if (rounds->spare[file])
        return PLACEMENT_SPARE;
    if (!it->resident)
        return PLACEMENT_LOAD;
    return same(&now, next) ? PLACEMENT_KEEP : PLACEMENT_RELOAD;
}

static struct placement_engine engine_of(const struct rounds *rounds, size_t file)
{
    const struct placement_file *it = &rounds->fleet->files[file];
    const struct seating_file *seated = &rounds->seating->files[file];
    const struct seating_node *node = &rounds->seating->nodes[it->node];
    struct residence next = rounds->residences[file];
    enum placement_action action = action_of(rounds, file);

    if (action == PLACEMENT_UNLOAD)
        next = residence_of(it);
    if (action == PLACEMENT_REFUSE)
        next = seated->residence;
    bool loads = action == PLACEMENT_LOAD || action == PLACEMENT_RELOAD;
    bool swaps = wanted(seated) && node->engines == 1 && node->bytes > node->capacity_bytes;
    return (struct placement_engine){.file = file,
            .action = action,
            .context = next.context,
            .slots = next.slots,
            .memory_bytes = next.bytes,
            .swap_bytes = swaps ? node->bytes - node->capacity_bytes : 0,
            .load_ms = loads ? seating_load_ms(rounds->fleet, file) : 0,
            .service_count = seated->services};
}

static bool is_reported(const struct rounds *rounds, size_t file)
{
    const struct placement_file *it = &rounds->fleet->files[file];
    return rounds->residences[file].resident || it->resident || it->pinned;
}

/* `engines`: for each file, its index in the plan. */
static void put_engines(
        struct placement *placement, const struct rounds *rounds, size_t *ret_engines)
{
    for (size_t i = 0; i < rounds->fleet->file_count; i++) {
        if (!is_reported(rounds, i))
            continue;
        struct placement_engine it = engine_of(rounds, i);
        if (it.action == PLACEMENT_LOAD || it.action == PLACEMENT_RELOAD) {
            placement->load_count++;
            placement->load_cost += rounds->seating->files[i].load_cost;
        }
        ret_engines[i] = placement->engine_count;
        placement->engines[placement->engine_count++] = it;
    }
}

static struct placement_service service_of(
        const struct rounds *rounds, const struct seating_service *from, const size_t *engines)
{
    const struct placement_mode *mode = &rounds->fleet->modes[from->mode];
    struct placement_service service = {.mode = from->mode,
            .copy = from->copy,
            .slots = mode->slots,
            .engine = PLACEMENT_NONE,
            .loss = seating_loss(rounds->seating, from)};

    if (from->place) {
        service.engine = engines[from->place->file];
        service.choice = from->place->choice;
        service.context = from->place->context;
    }
    return service;
}

static void put_services(
        struct placement *placement, const struct rounds *rounds, const size_t *engines)
{
    const struct seating *seating = rounds->seating;
    size_t first[PLACEMENT_MODES_MAX + 1] = {0};

    for (size_t m = 0; m < rounds->fleet->mode_count; m++)
        first[m + 1] = first[m] + rounds->fleet->modes[m].copies;
    for (size_t i = 0; i < seating->service_count; i++) {
        const struct seating_service *it = &seating->services[i];
        placement->services[first[it->mode] + it->copy] = service_of(rounds, it, engines);
    }
    placement->service_count = seating->service_count;
}

static void put_hosts(struct placement *placement, const struct rounds *rounds)
{
    const struct placement_fleet *fleet = rounds->fleet;

    placement->host_count = fleet->node_count;
    for (size_t i = 0; i < fleet->node_count; i++)
        placement->hosts[i] =
                (struct placement_host){.capacity_bytes = rounds->seating->nodes[i].capacity_bytes,
                        .planned_bytes = rounds->seating->nodes[i].bytes};
    for (size_t i = 0; i < fleet->file_count; i++)
        if (rounds->spare[i])
            placement->hosts[fleet->files[i].node].spare_bytes += fleet->files[i].resident_bytes;
    for (size_t i = 0; i < fleet->node_count; i++) {
        struct placement_host *it = &placement->hosts[i];
        it->planned_bytes += it->spare_bytes;
        if (it->planned_bytes < it->capacity_bytes)
            it->free_bytes = it->capacity_bytes - it->planned_bytes;
    }
}

static struct placement *allocate(const struct rounds *rounds)
{
    const struct placement_fleet *fleet = rounds->fleet;
    struct placement *it = calloc(1, sizeof(*it));
    if (!it)
        return NULL;
    it->engines = calloc(fleet->file_count + 1, sizeof(*it->engines));
    it->services = calloc(rounds->seating->service_count + 1, sizeof(*it->services));
    it->hosts = calloc(fleet->node_count + 1, sizeof(*it->hosts));
    if (it->engines && it->services && it->hosts)
        return it;
    placement_destroy(it);
    return NULL;
}

static struct placement *write_down(const struct rounds *rounds)
{
    const struct seating *seating = rounds->seating;
    size_t *engines = calloc(rounds->fleet->file_count + 1, sizeof(*engines));
    struct placement *placement = engines ? allocate(rounds) : NULL;

    if (placement) {
        put_engines(placement, rounds, engines);
        put_services(placement, rounds, engines);
        put_hosts(placement, rounds);
        placement->loss = seating->loss;
        if (seating->weight)
            placement->lost_permille =
                    (uint32_t)(seating->loss * 1000 / (seating->weight * PLACEMENT_UNSERVED));
        placement->steps = rounds->steps;
        placement->exact = rounds->exact;
    }
    free(engines);
    return placement;
}

int placement_create(
        const struct placement_fleet *fleet, struct placement **ret_placement, struct err *err)
{
    struct rounds rounds;
    struct placement *placement = NULL;
    int r = check(fleet, err);
    if (r < 0)
        return r;

    r = rounds_init(&rounds, fleet);
    if (r == 0)
        r = run_rounds(&rounds);
    if (r == 0)
        placement = write_down(&rounds);
    rounds_fini(&rounds);
    if (!placement)
        return err_set(err, -ENOMEM, "no memory for a plan");
    *ret_placement = placement;
    return 0;
}

void placement_destroy(struct placement *placement)
{
    if (!placement)
        return;
    free(placement->engines);
    free(placement->services);
    free(placement->hosts);
    free(placement);
}
