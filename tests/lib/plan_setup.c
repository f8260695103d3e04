#include "tests/lib/plan_setup.h"

#include "common/model/estimate.h"
#include "common/model/nominal.h"
#include "coordinator/modes/mode_config.h"
#include "coordinator/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT_TRAINED = 131072, RUN_CONTEXT = 8192, GETS_MAX = 512 };

struct plan_setup {
    struct plan_host hosts[PLAN_SETUP_NODES_MAX];
    size_t host_count;
    struct modes modes;
    struct plan *plan;
    char gets[GETS_MAX];
};

static void must(int r, const struct err *err)
{
    if (r == 0)
        return;
    fprintf(stderr, "plan_setup: %s\n", err->text);
    abort();
}

static void *allocated(size_t size)
{
    void *room = calloc(1, size);
    if (!room)
        abort();
    return room;
}

struct plan_setup *plan_setup_create(void)
{
    return allocated(sizeof(struct plan_setup));
}

static void host_fini(struct plan_host *host)
{
    for (size_t i = 0; i < host->count; i++) {
        free(host->instances[i]->aliases);
        free(host->instances[i]);
    }
    free((void *)host->instances);
}

void plan_setup_destroy(struct plan_setup *setup)
{
    plan_destroy(setup->plan);
    for (size_t i = 0; i < setup->host_count; i++)
        host_fini(&setup->hosts[i]);
    modes_fini(&setup->modes);
    free(setup);
}

static uint64_t gib(double size)
{
    return (uint64_t)(size * (double)(UINT64_C(1) << 30));
}

struct plan_host *plan_setup_node(
        struct plan_setup *setup, const char *name, double limit_gib, uint32_t bandwidth_gib_s)
{
    if (setup->host_count == PLAN_SETUP_NODES_MAX)
        abort();
    struct plan_host *host = &setup->hosts[setup->host_count++];
    *host = (struct plan_host){.name = name,
            .key = name,
            .facts = {.memory_limit_bytes = gib(limit_gib),
                    .memory_bandwidth_bytes = gib(bandwidth_gib_s)},
            .instances = allocated(PLAN_SETUP_MODELS_MAX * sizeof(struct instance *))};
    return host;
}

static uint64_t estimated(const struct instance *instance, uint32_t context, uint32_t slots)
{
    const struct model_run run = {.context = context,
            .sequences = slots,
            .type_k = instance->type_k,
            .type_v = instance->type_v,
            .batch_tokens = instance->batch_tokens,
            .output_rows = instance->output_rows,
            .projector_bytes = instance->side_bytes};
    struct model_memory memory;
    estimate_memory(&instance->shape, &run, &memory);
    return memory.total_bytes;
}

static struct instance *add(
        struct plan_host *host, const char *model, const struct model_shape *shape)
{
    struct instance *instance = allocated(sizeof(*instance));
    if (host->count == PLAN_SETUP_MODELS_MAX)
        abort();
    ((struct instance **)host->instances)[host->count++] = instance;
    instance->node = host->name;
    snprintf(instance->model, sizeof(instance->model), "%s", model);
    instance->state = INSTANCE_AVAILABLE;
    instance->shape = *shape;
    instance->shape.context_trained = instance->context_trained = CONTEXT_TRAINED;
    instance->file_bytes = shape->tensor_bytes;
    instance->run_context = instance->context = RUN_CONTEXT;
    instance->run_slots = 1;
    instance->memory_bytes = estimated(instance, RUN_CONTEXT, 1);
    return instance;
}

struct instance *plan_setup_model(
        struct plan_host *host, const char *model, const char *size, const char *quantisation)
{
    struct nominal_size nominal;
    struct model_shape shape;
    uint32_t millibits;
    struct err err;
    must(nominal_parse(size, &nominal, &err), &err);
    must(nominal_parse_quantisation(quantisation, &millibits, &err), &err);
    nominal_shape(&nominal, millibits, &shape);
    return add(host, model, &shape);
}

struct instance *plan_setup_plain_model(
        struct plan_host *host, const char *model, double weights_gib, double token_kib)
{
    uint64_t elements = (uint64_t)(token_kib * 1024 / 4); /* of f16, for K as for V */
    const struct model_shape shape = {.tensor_bytes = gib(weights_gib),
            .full = {.layers = 1, .k_elements = elements, .v_elements = elements},
            .layers = 1};
    return add(host, model, &shape);
}

void plan_setup_reside(struct instance *instance, uint32_t context, uint32_t slots)
{
    instance->state = INSTANCE_RESIDENT;
    instance->context = instance->run_context = context;
    instance->slots = instance->run_slots = slots;
    instance->memory_bytes = estimated(instance, context, slots);
}

/* ---- modes */

static void take_config(struct plan_setup *setup, struct config *config)
{
    struct err err;
    modes_fini(&setup->modes);
    must(modes_from_config(config, &setup->modes, &err), &err);
    config_destroy(config);
}

void plan_setup_modes(struct plan_setup *setup, const char *yaml)
{
    struct config *config = config_create(coordinator_keys);
    struct err err;
    must(config_load_text(config, "setup.yaml", yaml, strlen(yaml), &err), &err);
    take_config(setup, config);
}

void plan_setup_config(struct plan_setup *setup, const char *name)
{
    const char *slash = strrchr(__FILE__, '/');
    struct config *config = config_create(coordinator_keys);
    struct err err;
    char path[512];
    snprintf(path, sizeof(path), "%.*s/../../configs/%s", (int)(slash - __FILE__), __FILE__, name);
    must(config_load_file(config, path, &err), &err);
    take_config(setup, config);
}

struct modes *plan_setup_all_modes(struct plan_setup *setup)
{
    return &setup->modes;
}

const struct plan_host *plan_setup_hosts(const struct plan_setup *setup, size_t *ret_count)
{
    *ret_count = setup->host_count;
    return setup->hosts;
}

/* ---- plans */

const struct plan *plan_setup_plan(struct plan_setup *setup)
{
    struct err err;
    plan_destroy(setup->plan);
    must(plan_create(setup->hosts, setup->host_count, &setup->modes, &setup->plan, &err), &err);
    must(plan_place(setup->plan, &err), &err);
    return setup->plan;
}

static struct instance *find_instance(
        const struct plan_setup *setup, const char *node, const char *model)
{
    for (size_t i = 0; i < setup->host_count; i++)
        for (size_t k = 0; k < setup->hosts[i].count; k++)
            if (strcmp(setup->hosts[i].name, node) == 0 &&
                    strcmp(setup->hosts[i].instances[k]->model, model) == 0)
                return setup->hosts[i].instances[k];
    return NULL;
}

static const char *node_of(const struct placement_fleet *fleet, size_t file)
{
    return fleet->nodes[fleet->files[file].node].name;
}

static const char *model_of(const struct placement_fleet *fleet, size_t file)
{
    return fleet->models[fleet->files[file].model];
}

void plan_setup_apply(struct plan_setup *setup)
{
    const struct placement_fleet *fleet = plan_fleet(setup->plan);
    const struct placement *placement = plan_placement(setup->plan);
    for (size_t i = 0; i < placement->engine_count; i++) {
        const struct placement_engine *it = &placement->engines[i];
        struct instance *instance =
                find_instance(setup, node_of(fleet, it->file), model_of(fleet, it->file));
        if (it->action == PLACEMENT_LOAD || it->action == PLACEMENT_RELOAD)
            plan_setup_reside(instance, it->context, it->slots);
        else if (it->action == PLACEMENT_UNLOAD)
            instance->state = INSTANCE_AVAILABLE;
    }
}

const struct placement_engine *plan_setup_engine(
        const struct plan_setup *setup, const char *node, const char *model)
{
    const struct placement_fleet *fleet = plan_fleet(setup->plan);
    const struct placement *placement = plan_placement(setup->plan);
    for (size_t i = 0; i < placement->engine_count; i++) {
        const struct placement_engine *it = &placement->engines[i];
        if (strcmp(node_of(fleet, it->file), node) == 0 &&
                strcmp(model_of(fleet, it->file), model) == 0)
            return it;
    }
    return NULL;
}

const struct placement_service *plan_setup_service(
        const struct plan_setup *setup, const char *mode, uint32_t copy)
{
    const struct placement_fleet *fleet = plan_fleet(setup->plan);
    const struct placement *placement = plan_placement(setup->plan);
    for (size_t i = 0; i < placement->service_count; i++) {
        const struct placement_service *it = &placement->services[i];
        if (strcmp(fleet->modes[it->mode].name, mode) == 0 && it->copy == copy)
            return it;
    }
    abort();
}

const char *plan_setup_gets(struct plan_setup *setup, const char *mode, uint32_t copy)
{
    const struct placement_fleet *fleet = plan_fleet(setup->plan);
    const struct placement_service *it = plan_setup_service(setup, mode, copy);
    if (it->engine == PLACEMENT_NONE)
        return "nothing";
    size_t file = plan_placement(setup->plan)->engines[it->engine].file;
    snprintf(setup->gets, sizeof(setup->gets), "%s on %s, %u", model_of(fleet, file),
            node_of(fleet, file), it->context);
    return setup->gets;
}
