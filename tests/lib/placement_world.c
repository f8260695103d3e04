#include "tests/lib/placement_world.h"

#include <stdlib.h>

static const double kib = 1024, gib = 1024.0 * 1024 * 1024;

static uint64_t bytes_of(void *ctx, size_t file, uint32_t context, uint32_t slots)
{
    return world_bytes(ctx, file, context, slots);
}

struct world *world_create(void)
{
    struct world *world = calloc(1, sizeof(*world));
    if (!world)
        abort();
    world->nodes = calloc(PLACEMENT_NODES_MAX, sizeof(*world->nodes));
    world->files = calloc(PLACEMENT_FILES_MAX, sizeof(*world->files));
    world->modes = calloc(PLACEMENT_MODES_MAX, sizeof(*world->modes));
    world->choices = calloc(PLACEMENT_MODES_MAX, sizeof(*world->choices));
    if (!world->nodes || !world->files || !world->modes || !world->choices)
        abort();
    world->fleet = (struct placement_fleet){.nodes = world->nodes,
            .models = world->names,
            .files = world->files,
            .modes = world->modes,
            .bytes = bytes_of,
            .ctx = world};
    return world;
}

void world_destroy(struct world *world)
{
    free(world->nodes);
    free(world->files);
    free(world->modes);
    free(world->choices);
    free(world);
}

size_t world_model(struct world *world, const char *name, double fixed_gib, double token_kib)
{
    size_t index = world->fleet.model_count++;
    world->names[index] = name;
    world->models[index] = (struct world_model){
            .fixed_bytes = (uint64_t)(fixed_gib * gib), .token_bytes = (uint64_t)(token_kib * kib)};
    return index;
}

size_t world_node(struct world *world, const char *name, uint32_t pool_gib, uint32_t reserve_gib,
        uint32_t bandwidth_gib_s)
{
    size_t index = world->fleet.node_count++;
    world->nodes[index] = (struct placement_node){.name = name,
            .pool_bytes = (uint64_t)(pool_gib * gib),
            .reserve_bytes = (uint64_t)(reserve_gib * gib),
            .bandwidth_mib_s = bandwidth_gib_s * 1024};
    return index;
}

size_t world_file(struct world *world, size_t node, size_t model)
{
    size_t index = world->fleet.file_count++;
    world->files[index] = (struct placement_file){.node = node,
            .model = model,
            .file_bytes = world->models[model].fixed_bytes,
            .context_max = world->models[model].context_max};
    return index;
}

size_t world_mode(struct world *world, const char *name, uint32_t context, uint32_t weight)
{
    size_t index = world->fleet.mode_count++;
    world->modes[index] = (struct placement_mode){.name = name,
            .choices = world->choices[index],
            .context = context,
            .slots = 1,
            .copies = 1,
            .weight = weight};
    return index;
}

void world_choice(struct world *world, size_t mode, size_t model)
{
    world->choices[mode][world->modes[mode].choice_count++].model = model;
}

size_t world_find(const struct world *world, size_t node, size_t model)
{
    for (size_t i = 0; i < world->fleet.file_count; i++)
        if (world->files[i].node == node && world->files[i].model == model)
            return i;
    return PLACEMENT_NONE;
}

void world_files_everywhere(struct world *world)
{
    for (size_t n = 0; n < world->fleet.node_count; n++)
        for (size_t m = 0; m < world->fleet.model_count; m++)
            if (world_find(world, n, m) == PLACEMENT_NONE)
                world_file(world, n, m);
}

uint64_t world_bytes(const struct world *world, size_t file, uint32_t context, uint32_t slots)
{
    const struct world_model *model = &world->models[world->files[file].model];
    return model->fixed_bytes + model->token_bytes * context * slots;
}

void world_reside(struct world *world, size_t file, uint32_t context, uint32_t slots)
{
    struct placement_file *it = &world->files[file];
    it->resident = true;
    it->context = context;
    it->slots = slots;
    it->resident_bytes = world_bytes(world, file, context, slots);
}

static bool is_resident_after(enum placement_action action)
{
    return action != PLACEMENT_UNLOAD && action != PLACEMENT_REFUSE;
}

void world_apply(struct world *world, const struct placement *plan)
{
    for (size_t i = 0; i < plan->engine_count; i++) {
        const struct placement_engine *it = &plan->engines[i];
        struct placement_file *file = &world->files[it->file];
        file->resident = is_resident_after(it->action);
        if (!file->resident)
            continue;
        file->context = it->context;
        file->slots = it->slots;
        file->resident_bytes = it->memory_bytes;
    }
}

/* ---- promises */

struct engine_use {
    uint32_t slots, services, interactive, whole;
};

static struct engine_use use_of(
        const struct world *world, const struct placement *plan, size_t engine)
{
    struct engine_use use = {0};
    for (size_t i = 0; i < plan->service_count; i++) {
        const struct placement_service *it = &plan->services[i];
        const struct placement_mode *mode = &world->modes[it->mode];
        if (it->engine != engine)
            continue;
        use.services++;
        use.slots += mode->slots;
        use.interactive += !mode->batch;
        use.whole += it->context == mode->context;
    }
    return use;
}

static const char *engine_broken(
        const struct world *world, const struct placement *plan, size_t engine)
{
    const struct placement_engine *it = &plan->engines[engine];
    const struct placement_file *file = &world->files[it->file];
    struct engine_use use = use_of(world, plan, engine);

    if (use.services != it->service_count)
        return "an engine's services are counted wrong";
    if (use.services && !is_resident_after(it->action))
        return "a mode sits at an engine that goes";
    if (use.services && use.slots > it->slots)
        return "an engine has fewer slots than its modes want";
    if (it->action == PLACEMENT_LOAD && file->resident)
        return "what is resident is loaded";
    if (file->pinned && file->resident && it->action != PLACEMENT_KEEP)
        return "something pinned is touched";
    if (it->action == PLACEMENT_KEEP && (it->context != file->context || it->slots != file->slots))
        return "something kept changes";
    if (it->swap_bytes && (use.interactive || use.whole))
        return "swap for an interactive mode or a whole context";
    if (file->context_max && is_resident_after(it->action) && !file->resident && !file->pinned &&
            it->context > file->context_max)
        return "a context beyond what the model was trained for";
    return NULL;
}

static uint64_t capacity_of(const struct placement_node *node)
{
    return node->pool_bytes > node->reserve_bytes ? node->pool_bytes - node->reserve_bytes : 0;
}

static const char *node_broken(const struct world *world, const struct placement *plan, size_t node)
{
    const struct placement_host *host = &plan->hosts[node];
    const struct placement_node *own = &world->nodes[node];
    uint64_t sum = 0, spare = 0, pinned = 0;
    size_t engines = 0;

    for (size_t i = 0; i < plan->engine_count; i++) {
        const struct placement_engine *it = &plan->engines[i];
        const struct placement_file *file = &world->files[it->file];
        if (file->node != node || !is_resident_after(it->action))
            continue;
        engines++;
        sum += it->memory_bytes;
        spare += it->action == PLACEMENT_SPARE ? it->memory_bytes : 0;
        pinned += file->pinned && file->resident ? it->memory_bytes : 0;
    }
    if (sum != host->planned_bytes || spare != host->spare_bytes)
        return "a node's bytes are counted wrong";
    if (host->capacity_bytes != capacity_of(own))
        return "a node's capacity is wrong";
    if (sum <= host->capacity_bytes || sum == pinned)
        return NULL;
    return engines == 1 && sum <= host->capacity_bytes + own->swap_bytes ? NULL
                                                                         : "a node is over budget";
}

static const char *service_broken(
        const struct world *world, const struct placement *plan, size_t service)
{
    const struct placement_service *it = &plan->services[service];
    const struct placement_mode *mode = &world->modes[it->mode];
    uint32_t floor = mode->context_floor ? mode->context_floor : PLACEMENT_CONTEXT_FLOOR;

    if (it->engine == PLACEMENT_NONE)
        return it->loss.unserved == PLACEMENT_UNSERVED ? NULL : "to be unserved costs nothing";
    const struct placement_engine *engine = &plan->engines[it->engine];
    if (world->files[engine->file].model != mode->choices[it->choice].model)
        return "a mode gets a model that is not its choice";
    if (it->context > engine->context || it->context > mode->context)
        return "a mode gets more context than there is";
    if (it->context < mode->context && it->context < floor)
        return "a context is below the floor";
    return NULL;
}

/* By what the services say that they lose, in whole points. */
static const char *losses_broken(const struct world *world, const struct placement *plan)
{
    uint64_t least = 0, most = 0;
    for (size_t i = 0; i < plan->service_count; i++) {
        const struct placement_mode *mode = &world->modes[plan->services[i].mode];
        const struct placement_loss *it = &plan->services[i].loss;
        uint64_t weight = (uint64_t)mode->weight * 1000 / mode->copies;
        uint64_t points = it->model + it->context + it->time + it->swap + it->unserved;
        least += weight * points;
        most += weight * (points + 1);
    }
    /* Rounded down once for each service. */
    return plan->loss + plan->service_count < least || plan->loss > most
                   ? "the losses do not add up"
                   : NULL;
}

const char *world_broken(const struct world *world, const struct placement *plan)
{
    const char *broken = losses_broken(world, plan);
    for (size_t i = 0; !broken && i < plan->engine_count; i++)
        broken = engine_broken(world, plan, i);
    for (size_t i = 0; !broken && i < plan->host_count; i++)
        broken = node_broken(world, plan, i);
    for (size_t i = 0; !broken && i < plan->service_count; i++)
        broken = service_broken(world, plan, i);
    return broken;
}
