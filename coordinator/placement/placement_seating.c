#include "coordinator/placement/placement_seating.h"

#include "common/number.h"

#include <assert.h>
#include <stdlib.h>

enum {
    MILLI = 1000,
    BANDWIDTH_MAX = 100 * 1000 * 1000, /* MiB/s that a node is believed */
};

/* More counts as this, and fits nowhere: so no sum over the files of a node overflows. */
#define BYTES_MAX (UINT64_C(1) << 48)

/* What a service can lose while it is served must be less than PLACEMENT_UNSERVED. */
static_assert(PLACEMENT_STEP * PLACEMENT_STEPS_COUNTED +
                                      PLACEMENT_STEP_LATER * (PLACEMENT_CHOICES_MAX - 1) +
                                      PLACEMENT_HALVING * PLACEMENT_HALVINGS_MAX +
                                      PLACEMENT_TIME_BATCH + PLACEMENT_SWAP <
                              PLACEMENT_UNSERVED &&
                      PLACEMENT_TIME < PLACEMENT_TIME_BATCH + PLACEMENT_SWAP,
        "prices");

/* An engine takes at least a byte: by that it is known to be there. */
static uint64_t counted(uint64_t bytes)
{
    return bytes ? number_lesser(bytes, BYTES_MAX) : 1;
}

uint64_t seating_capacity(const struct placement_node *node)
{
    uint64_t reserve = number_lesser(node->reserve_bytes, node->pool_bytes);
    return number_lesser(node->pool_bytes - reserve, BYTES_MAX - 1);
}

uint64_t seating_most(const struct placement_node *node)
{
    return number_lesser(
            seating_capacity(node) + number_lesser(node->swap_bytes, BYTES_MAX), BYTES_MAX - 1);
}

uint64_t seating_bytes(
        const struct placement_fleet *fleet, size_t file, uint32_t context, uint32_t slots)
{
    return counted(fleet->bytes(fleet->ctx, file, context, slots));
}

uint32_t seating_load_ms(const struct placement_fleet *fleet, size_t file)
{
    const struct placement_file *it = &fleet->files[file];
    uint64_t speed = fleet->nodes[it->node].disk_bytes_s;
    uint64_t ms = it->load_ms;

    if (!ms) /* bytes per millisecond, so that no size overflows */
        ms = it->file_bytes / ((speed ? speed : PLACEMENT_DISK_BYTES_S) / MILLI + 1);
    return (uint32_t)number_lesser(ms, PLACEMENT_LOAD_MS_MAX);
}

/* ---- what a place costs */

static uint32_t time_points(const struct placement_mode *mode)
{
    return mode->batch ? PLACEMENT_TIME_BATCH : PLACEMENT_TIME;
}

/* Thousandths of the fastest node's speed, shared with services of weight `others`. */
static uint32_t shared_speed(
        const struct seating *seating, const struct seating_node *node, uint64_t others)
{
    return (uint32_t)(node->speed * seating->weight / (seating->weight + others));
}

static uint32_t time_lost(const struct seating *seating, const struct placement_mode *mode,
        const struct seating_node *node, uint64_t others)
{
    return time_points(mode) * (MILLI - shared_speed(seating, node, others));
}

static const struct placement_mode *mode_of(
        const struct seating *seating, const struct seating_service *service)
{
    return &seating->fleet->modes[service->mode];
}

static struct seating_node *node_of(const struct seating *seating, const struct place *place)
{
    return &seating->nodes[seating->fleet->files[place->file].node];
}

/* By weight, where services of weight `others` share the node. */
static uint64_t lost(const struct seating *seating, const struct seating_service *service,
        const struct place *place, uint64_t others, bool swapped)
{
    uint64_t milli = (uint64_t)place->points * MILLI +
                     time_lost(seating, mode_of(seating, service), node_of(seating, place), others);
    if (swapped)
        milli += PLACEMENT_SWAP * MILLI;
    return service->weight * milli / MILLI;
}

static bool swaps(const struct seating_node *node, uint32_t engines, uint64_t bytes)
{
    return engines == 1 && bytes > node->capacity_bytes;
}

/* Of those who sit there, with `more` weight beside them. */
static uint64_t node_loss(
        struct seating *seating, const struct seating_node *node, uint64_t more, bool swapped)
{
    uint64_t sum = 0;
    for (uint32_t i = node->first; i != SEATING_END; i = seating->services[i].next) {
        seating->steps++;
        const struct seating_service *it = &seating->services[i];
        sum += lost(seating, it, it->place, node->weight + more - it->weight, swapped);
    }
    return sum;
}

struct placement_loss seating_loss(
        const struct seating *seating, const struct seating_service *service)
{
    const struct placement_mode *mode = mode_of(seating, service);
    const struct place *place = service->place;
    if (!place)
        return (struct placement_loss){.unserved = PLACEMENT_UNSERVED};

    const struct seating_node *node = node_of(seating, place);
    uint64_t time = time_lost(seating, mode, node, node->weight - service->weight);
    uint32_t halvings = 0;
    while (place->context < mode->context >> halvings)
        halvings++;
    return (struct placement_loss){.model = place->points - halvings * PLACEMENT_HALVING,
            .context = halvings * PLACEMENT_HALVING,
            .time = (uint32_t)(time / MILLI),
            .swap = swaps(node, node->engines, node->bytes) ? PLACEMENT_SWAP : 0};
}

int64_t seating_unserved(const struct seating_service *service)
{
    return (int64_t)(service->weight * PLACEMENT_UNSERVED * SEATING_COST_OF_LOSS);
}

int64_t seating_cost(const struct seating *seating)
{
    return (int64_t)(seating->loss * SEATING_COST_OF_LOSS) + seating->load_cost;
}

int64_t seating_alone(const struct seating_service *service, const struct place *place)
{
    return (int64_t)(service->weight * place->alone / MILLI * SEATING_COST_OF_LOSS);
}

int64_t seating_least(const struct seating *seating, const struct seating_service *service,
        const struct place *place)
{
    uint64_t others = node_of(seating, place)->weight;
    return (int64_t)(lost(seating, service, place, others, false) * SEATING_COST_OF_LOSS);
}

/* ---- whether there is room */

static uint64_t engine_bytes(
        const struct seating *seating, size_t file, uint32_t context, uint32_t slots)
{
    const struct residence *is = &seating->files[file].residence;
    if (is->resident && is->context == context && is->slots == slots)
        return is->bytes; /* measured: better than any estimate */
    return seating_bytes(seating->fleet, file, context, slots);
}

/* Of the engine with the service beside those who sit there. False: it cannot take it. */
static bool grown_bytes(const struct seating *seating, const struct seating_service *service,
        const struct place *place, uint64_t *ret_bytes)
{
    const struct seating_file *file = &seating->files[place->file];
    uint32_t slots = mode_of(seating, service)->slots;

    if (file->services && file->kept != place->kept)
        return false;
    *ret_bytes = place->bytes;
    if (place->kept)
        return file->slots + slots <= file->residence.slots;
    if (file->services)
        *ret_bytes = engine_bytes(seating, place->file,
                (uint32_t)number_greater(file->context, place->context), file->slots + slots);
    return true;
}

/* An engine that is larger than the node's memory, alone there, and for batch work at less than the
 * context that is wanted. */
static bool may_swap(const struct seating *seating, const struct seating_service *service,
        const struct place *place, uint64_t bytes)
{
    const struct seating_file *file = &seating->files[place->file];
    const struct seating_node *node = node_of(seating, place);

    return bytes <= node->most_bytes && node->engines == (file->bytes ? 1 : 0) &&
           mode_of(seating, service)->batch && place->reduced && file->batch == file->services &&
           !file->whole;
}

static bool has_room(const struct seating *seating, const struct seating_service *service,
        const struct place *place, uint64_t bytes)
{
    const struct seating_file *file = &seating->files[place->file];
    const struct seating_node *node = node_of(seating, place);
    /* What is pinned takes its room anyway, also where others have taken memory since. */
    uint64_t total = file->pinned ? bytes : node->bytes - file->bytes + bytes;
    return total <= node->capacity_bytes || may_swap(seating, service, place, total);
}

int64_t seating_load(const struct seating *seating, const struct place *place)
{
    const struct seating_file *file = &seating->files[place->file];
    return file->services || place->kept ? 0
                                         : (int64_t)(file->load_cost * SEATING_COST_OF_LOSS + 1);
}

bool seating_offer(struct seating *seating, const struct seating_service *service,
        const struct place *place, int64_t *ret_change)
{
    const struct seating_file *file = &seating->files[place->file];
    const struct seating_node *node = node_of(seating, place);
    uint64_t bytes;

    seating->steps++;
    if (!grown_bytes(seating, service, place, &bytes) || !has_room(seating, service, place, bytes))
        return false;
    bool swapped =
            swaps(node, node->engines + (file->bytes ? 0 : 1), node->bytes - file->bytes + bytes);
    uint64_t after = node_loss(seating, node, service->weight, swapped) +
                     lost(seating, service, place, node->weight, swapped);
    *ret_change = (int64_t)(after * SEATING_COST_OF_LOSS) -
                  (int64_t)(node->loss * SEATING_COST_OF_LOSS) + seating_load(seating, place) -
                  seating_unserved(service);
    return true;
}

/* ---- sitting down and getting up */

static void settle_loss(struct seating *seating, struct seating_node *node)
{
    uint64_t loss = node_loss(seating, node, 0, swaps(node, node->engines, node->bytes));
    seating->loss = seating->loss - node->loss + loss;
    node->loss = loss;
}

static void set_bytes(struct seating_node *node, struct seating_file *file, uint64_t bytes)
{
    node->bytes += bytes - file->bytes;
    node->engines = node->engines - (file->bytes ? 1 : 0) + (bytes ? 1 : 0);
    file->bytes = bytes;
}

static void join(struct seating *seating, const struct seating_service *service)
{
    const struct place *place = service->place;
    struct seating_file *file = &seating->files[place->file];
    const struct placement_mode *mode = mode_of(seating, service);

    file->kept = place->kept;
    file->context = (uint32_t)number_greater(file->context, place->context);
    file->slots += mode->slots;
    file->services++;
    file->batch += mode->batch;
    file->whole += !place->reduced;
}

void seating_put(
        struct seating *seating, struct seating_service *service, const struct place *place)
{
    struct seating_node *node = node_of(seating, place);
    struct seating_file *file = &seating->files[place->file];
    uint64_t bytes = place->bytes;

    bool sound = !service->place && grown_bytes(seating, service, place, &bytes);
    assert(sound);
    (void)sound;
    seating->load_cost += seating_load(seating, place);
    service->place = place;
    service->next = node->first;
    node->first = (uint32_t)(service - seating->services);
    node->weight += service->weight;
    join(seating, service);
    set_bytes(node, file, bytes);
    seating->loss -= service->weight * PLACEMENT_UNSERVED;
    settle_loss(seating, node);
}

static void unlink_service(
        struct seating *seating, struct seating_node *node, struct seating_service *service)
{
    uint32_t *link = &node->first;
    while (*link != (uint32_t)(service - seating->services))
        link = &seating->services[*link].next;
    *link = service->next;
    service->place = NULL;
}

/* Counts again who sits at that file: the largest context cannot be undone otherwise. */
static void gather(struct seating *seating, const struct seating_node *node, uint32_t index)
{
    struct seating_file *file = &seating->files[index];
    file->services = file->batch = file->whole = file->slots = file->context = 0;
    for (uint32_t i = node->first; i != SEATING_END; i = seating->services[i].next)
        if (seating->services[i].place->file == index)
            join(seating, &seating->services[i]);
}

static uint64_t bytes_left(const struct seating *seating, uint32_t index)
{
    const struct seating_file *file = &seating->files[index];
    if (file->pinned || (file->services && file->kept))
        return file->residence.bytes;
    return file->services ? engine_bytes(seating, index, file->context, file->slots) : 0;
}

void seating_take(struct seating *seating, struct seating_service *service)
{
    const struct place *place = service->place;
    if (!place)
        return;

    struct seating_node *node = node_of(seating, place);
    struct seating_file *file = &seating->files[place->file];
    unlink_service(seating, node, service);
    node->weight -= service->weight;
    gather(seating, node, place->file);
    set_bytes(node, file, bytes_left(seating, place->file));
    seating->load_cost -= seating_load(seating, place);
    seating->loss += service->weight * PLACEMENT_UNSERVED;
    settle_loss(seating, node);
}

/* ---- the places of a mode */

struct place_list {
    struct seating *seating;
    const struct placement_mode *mode;
    struct place *items;
    size_t count;
};

static uint32_t model_points(const struct placement_mode *mode, size_t choice)
{
    uint32_t first = mode->choices[0].quality, own = mode->choices[choice].quality;
    uint32_t points = PLACEMENT_STEP_LATER * (uint32_t)choice;
    uint32_t most = PLACEMENT_STEP * PLACEMENT_STEPS_COUNTED, more;

    if (first && own)
        more = own < first ? PLACEMENT_QUALITY * (first - own) : 0;
    else
        more = PLACEMENT_STEP * (uint32_t)choice;
    return points + (more < most ? more : most);
}

static bool could_ever_fit(const struct place_list *list, size_t file, uint64_t bytes, bool reduced)
{
    const struct seating *seating = list->seating;
    const struct seating_node *node = &seating->nodes[seating->fleet->files[file].node];
    uint64_t pinned = node->bytes - seating->files[file].bytes;

    if (pinned + bytes <= node->capacity_bytes || seating->files[file].pinned)
        return true;
    return list->mode->batch && reduced && !pinned && bytes <= node->most_bytes;
}

static void add_place(
        struct place_list *list, size_t file, size_t choice, uint32_t halvings, bool kept)
{
    const struct seating *seating = list->seating;
    const struct placement_mode *mode = list->mode;
    const struct residence *is = &seating->files[file].residence;
    uint32_t context = mode->context >> halvings;
    struct place place = {.file = (uint32_t)file,
            .choice = (uint32_t)choice,
            .context = context,
            .points = model_points(mode, choice) + halvings * PLACEMENT_HALVING,
            .kept = kept,
            .reduced = halvings > 0};

    place.alone = place.points * MILLI +
                  time_lost(seating, mode, &seating->nodes[seating->fleet->files[file].node], 0);
    place.bytes = kept ? is->bytes : engine_bytes(seating, file, context, mode->slots);
    if (could_ever_fit(list, file, place.bytes, place.reduced))
        list->items[list->count++] = place;
}

static uint32_t floor_of(const struct placement_mode *mode)
{
    return mode->context_floor ? mode->context_floor : PLACEMENT_CONTEXT_FLOOR;
}

static bool acceptable(const struct placement_mode *mode, uint32_t halvings)
{
    uint32_t context = mode->context >> halvings;
    return context && (halvings == 0 || context >= floor_of(mode));
}

/* The resident engine gives a mode as many halvings less than it wants as it must; one that swaps
 * at least one, as if it were started for it. */
static void add_kept_place(struct place_list *list, size_t file, size_t choice)
{
    const struct seating *seating = list->seating;
    const struct residence *is = &seating->files[file].residence;
    const struct seating_node *node = &seating->nodes[seating->fleet->files[file].node];
    uint32_t halvings = is->bytes > node->capacity_bytes ? 1 : 0;

    while (halvings <= PLACEMENT_HALVINGS_MAX && is->context < list->mode->context >> halvings)
        halvings++;
    if (halvings <= PLACEMENT_HALVINGS_MAX && acceptable(list->mode, halvings))
        add_place(list, file, choice, halvings, true);
}

static void add_new_places(struct place_list *list, size_t file, size_t choice)
{
    uint32_t most = list->seating->fleet->files[file].context_max;
    for (uint32_t halvings = 0; halvings <= PLACEMENT_HALVINGS_MAX; halvings++)
        if (acceptable(list->mode, halvings) && (!most || list->mode->context >> halvings <= most))
            add_place(list, file, choice, halvings, false);
}

static void add_file(struct place_list *list, size_t file, size_t choice)
{
    const struct seating_file *it = &list->seating->files[file];
    if (it->residence.resident || it->pinned)
        add_kept_place(list, file, choice);
    if (!list->seating->fleet->files[file].pinned)
        add_new_places(list, file, choice);
}

static int by_number(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_places(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    int order = by_number(a->alone, b->alone);
    if (!order)
        order = by_number(b->kept, a->kept);
    if (!order)
        order = by_number(a->file, b->file);
    return order ? order : by_number(a->points, b->points);
}

/* The files of each model, in their order: `start[m]` to `start[m + 1]` of `files`. */
struct model_index {
    uint32_t *start, *files;
};

static bool index_models(
        struct arena *arena, const struct placement_fleet *fleet, struct model_index *ret_index)
{
    uint32_t *start = arena_alloc(arena, (fleet->model_count + 2) * sizeof(*start));
    uint32_t *files = arena_alloc(arena, fleet->file_count * sizeof(*files));
    if (!start || !files)
        return false;
    /* One further along, so that filling moves each start to where it belongs. */
    for (size_t i = 0; i < fleet->file_count; i++)
        start[fleet->files[i].model + 2]++;
    for (size_t m = 2; m < fleet->model_count + 2; m++)
        start[m] += start[m - 1];
    for (size_t i = 0; i < fleet->file_count; i++)
        files[start[fleet->files[i].model + 1]++] = (uint32_t)i;
    *ret_index = (struct model_index){.start = start, .files = files};
    return true;
}

static void list_places(struct place_list *list, const struct model_index *index)
{
    for (size_t c = 0; c < list->mode->choice_count; c++) {
        size_t model = list->mode->choices[c].model;
        for (uint32_t i = index->start[model]; i < index->start[model + 1]; i++)
            add_file(list, index->files[i], c);
    }
    qsort(list->items, list->count, sizeof(*list->items), compare_places);
}

static bool keep_places(struct seating *seating, struct seating_mode *mode, struct place_list *list)
{
    size_t count = list->count < SEATING_PLACES_MAX ? list->count : SEATING_PLACES_MAX;
    mode->places = arena_alloc(&seating->arena, count * sizeof(*mode->places));
    if (!mode->places)
        return false;
    for (size_t i = 0; i < count; i++)
        mode->places[i] = list->items[i];
    mode->place_count = count;
    return true;
}

/* A file gives at most one place as it is, and one for each context. */
static size_t places_at_most(const struct placement_fleet *fleet)
{
    return fleet->file_count * (PLACEMENT_HALVINGS_MAX + 2);
}

static bool make_places(struct seating *seating, struct arena *scratch)
{
    const struct placement_fleet *fleet = seating->fleet;
    struct place *items = arena_alloc(scratch, places_at_most(fleet) * sizeof(*items));
    struct model_index index;
    if (!items || !index_models(scratch, fleet, &index))
        return false;
    for (size_t m = 0; m < fleet->mode_count; m++) {
        struct place_list list = {.seating = seating, .mode = &fleet->modes[m], .items = items};
        list_places(&list, &index);
        if (!keep_places(seating, &seating->modes[m], &list))
            return false;
    }
    return true;
}

/* ---- making it */

static uint32_t bandwidth_of(const struct placement_node *node)
{
    return node->bandwidth_mib_s < BANDWIDTH_MAX ? node->bandwidth_mib_s : BANDWIDTH_MAX;
}

static void set_speeds(struct seating *seating)
{
    const struct placement_fleet *fleet = seating->fleet;
    uint32_t fastest = 0, slowest = 0;
    for (size_t i = 0; i < fleet->node_count; i++) {
        uint32_t it = bandwidth_of(&fleet->nodes[i]);
        fastest = (uint32_t)number_greater(fastest, it);
        if (it && (!slowest || it < slowest))
            slowest = it;
    }
    for (size_t i = 0; i < fleet->node_count; i++) {
        uint32_t it = bandwidth_of(&fleet->nodes[i]);
        uint64_t known = it ? it : slowest;
        seating->nodes[i].speed = fastest ? (uint32_t)(known * MILLI / fastest) : MILLI;
    }
}

static void set_nodes(struct seating *seating)
{
    for (size_t i = 0; i < seating->fleet->node_count; i++) {
        seating->nodes[i].capacity_bytes = seating_capacity(&seating->fleet->nodes[i]);
        seating->nodes[i].most_bytes = seating_most(&seating->fleet->nodes[i]);
        seating->nodes[i].first = SEATING_END;
    }
    set_speeds(seating);
}

/* What is resident is there, others wait for their room: so in two turns. */
static void pin(struct seating *seating, bool resident)
{
    const struct placement_fleet *fleet = seating->fleet;
    for (size_t i = 0; i < fleet->file_count; i++) {
        const struct placement_file *it = &fleet->files[i];
        struct seating_file *file = &seating->files[i];
        struct seating_node *node = &seating->nodes[it->node];
        if (!it->pinned || file->residence.resident != resident)
            continue;
        if (!resident)
            file->residence = (struct residence){.context = it->context,
                    .slots = it->slots,
                    .bytes = seating_bytes(fleet, i, it->context, it->slots)};
        if (!resident && node->bytes + file->residence.bytes > node->capacity_bytes)
            continue;
        file->pinned = file->kept = true;
        set_bytes(node, file, file->residence.bytes);
    }
}

static void set_files(struct seating *seating, const struct residence *residences)
{
    for (size_t i = 0; i < seating->fleet->file_count; i++) {
        uint64_t load_ms = seating_load_ms(seating->fleet, i);
        seating->files[i].residence = residences[i];
        seating->files[i].residence.bytes = counted(residences[i].bytes);
        seating->files[i].load_cost = seating->weight * load_ms / PLACEMENT_HORIZON_S;
    }
    pin(seating, true);
    pin(seating, false);
}

static int compare_services(const void *left, const void *right)
{
    const struct seating_service *a = left, *b = right;
    int order = by_number(b->weight, a->weight);
    if (!order)
        order = by_number(a->mode, b->mode);
    return order ? order : by_number(a->copy, b->copy);
}

static void set_services(struct seating *seating)
{
    const struct placement_fleet *fleet = seating->fleet;
    size_t n = 0;
    for (size_t m = 0; m < fleet->mode_count; m++)
        for (uint32_t copy = 0; copy < fleet->modes[m].copies; copy++) {
            uint64_t weight = (uint64_t)fleet->modes[m].weight * MILLI / fleet->modes[m].copies;
            seating->services[n++] = (struct seating_service){
                    .mode = (uint32_t)m, .copy = copy, .weight = weight, .next = SEATING_END};
            seating->weight += weight;
        }
    qsort(seating->services, n, sizeof(*seating->services), compare_services);
    seating->loss = seating->weight * PLACEMENT_UNSERVED;
}

static bool take_memory(struct seating *seating)
{
    const struct placement_fleet *fleet = seating->fleet;
    struct arena *arena = &seating->arena;

    for (size_t m = 0; m < fleet->mode_count; m++)
        seating->service_count += fleet->modes[m].copies;
    seating->modes = arena_alloc(arena, fleet->mode_count * sizeof(*seating->modes));
    seating->services = arena_alloc(arena, seating->service_count * sizeof(*seating->services));
    seating->files = arena_alloc(arena, fleet->file_count * sizeof(*seating->files));
    seating->nodes = arena_alloc(arena, fleet->node_count * sizeof(*seating->nodes));
    return seating->modes && seating->services && seating->files && seating->nodes;
}

struct seating *seating_create(
        const struct placement_fleet *fleet, const struct residence *residences)
{
    struct seating *seating = calloc(1, sizeof(*seating));
    struct arena scratch;
    bool made = false;

    if (!seating)
        return NULL;
    seating->fleet = fleet;
    arena_init(&seating->arena, SIZE_MAX);
    arena_init(&scratch, SIZE_MAX);
    if (!take_memory(seating))
        goto out;
    set_services(seating);
    set_nodes(seating);
    set_files(seating, residences);
    made = make_places(seating, &scratch);
out:
    arena_fini(&scratch);
    if (made)
        return seating;
    seating_destroy(seating);
    return NULL;
}

void seating_destroy(struct seating *seating)
{
    if (!seating)
        return;
    arena_fini(&seating->arena);
    free(seating);
}
