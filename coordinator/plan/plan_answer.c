#include "coordinator/plan/plan_answer.h"

#include "common/json/json_writer.h"
#include "coordinator/placement/placement_explain.h"

static const char *node_name(const struct placement_fleet *fleet, size_t file)
{
    return fleet->nodes[fleet->files[file].node].name;
}

static const char *model_name(const struct placement_fleet *fleet, size_t file)
{
    return fleet->models[fleet->files[file].model];
}

static bool loads(const struct placement_engine *engine)
{
    return engine->action == PLACEMENT_LOAD || engine->action == PLACEMENT_RELOAD;
}

static size_t count_loads(const struct placement *placement)
{
    size_t count = 0;
    for (size_t i = 0; i < placement->engine_count; i++)
        count += loads(&placement->engines[i]);
    return count;
}

static size_t count_unloads(const struct placement *placement)
{
    size_t count = 0;
    for (size_t i = 0; i < placement->engine_count; i++)
        count += placement->engines[i].action == PLACEMENT_UNLOAD;
    return count;
}

static void add_engine(struct json_writer *out, const struct plan *plan, size_t index)
{
    const struct placement_fleet *fleet = plan_fleet(plan);
    const struct placement_engine *engine = &plan_placement(plan)->engines[index];
    const struct placement_file *file = &fleet->files[engine->file];
    char why[PLACEMENT_TEXT_MAX];
    json_writer_object(out, NULL);
    json_writer_str(out, "node", node_name(fleet, engine->file));
    json_writer_str(out, "model", model_name(fleet, engine->file));
    json_writer_str(out, "action", placement_action_name(engine->action));
    json_writer_u64(out, "context", engine->context);
    json_writer_u64(out, "slots", engine->slots);
    json_writer_u64(out, "memory_bytes", file->foreign ? 0 : engine->memory_bytes);
    json_writer_u64(out, "swap_bytes", engine->swap_bytes);
    json_writer_u64(out, "load_ms", engine->load_ms);
    json_writer_bool(out, "foreign", file->foreign);
    json_writer_str(out, "why", placement_explain_engine(fleet, plan_placement(plan), index, why));
    json_writer_object_end(out);
}

static void add_loss(struct json_writer *out, const struct placement_loss *loss)
{
    uint32_t sum = loss->model + loss->context + loss->time + loss->swap + loss->unserved;
    json_writer_u64(out, "lost_permille", sum);
    json_writer_object(out, "lost");
    json_writer_u64(out, "model", loss->model);
    json_writer_u64(out, "context", loss->context);
    json_writer_u64(out, "time", loss->time);
    json_writer_u64(out, "swap", loss->swap);
    json_writer_u64(out, "unserved", loss->unserved);
    json_writer_object_end(out);
}

static void add_service(struct json_writer *out, const struct plan *plan, size_t index)
{
    const struct placement_fleet *fleet = plan_fleet(plan);
    const struct placement *placement = plan_placement(plan);
    const struct placement_service *it = &placement->services[index];
    const struct placement_mode *mode = &fleet->modes[it->mode];
    bool served = it->engine != PLACEMENT_NONE;
    size_t file = served ? placement->engines[it->engine].file : 0;
    char why[PLACEMENT_TEXT_MAX];
    json_writer_object(out, NULL);
    json_writer_str(out, "mode", mode->name);
    json_writer_u64(out, "copy", it->copy + UINT64_C(1));
    json_writer_bool(out, "served", served);
    json_writer_str(out, "model", served ? model_name(fleet, file) : "");
    json_writer_str(out, "node", served ? node_name(fleet, file) : "");
    json_writer_u64(out, "context", it->context);
    json_writer_u64(out, "wanted_context", mode->context);
    json_writer_u64(out, "slots", it->slots);
    json_writer_u64(out, "choice", served ? it->choice + 1 : 0);
    json_writer_u64(out, "choices", mode->choice_count);
    add_loss(out, &it->loss);
    json_writer_str(out, "why", placement_explain_service(fleet, placement, index, why));
    json_writer_object_end(out);
}

static void add_node(struct json_writer *out, const struct plan *plan, size_t index)
{
    const struct placement_host *host = &plan_placement(plan)->hosts[index];
    json_writer_object(out, NULL);
    json_writer_str(out, "node", plan_fleet(plan)->nodes[index].name);
    json_writer_u64(out, "capacity_bytes", host->capacity_bytes);
    json_writer_u64(out, "planned_bytes", host->planned_bytes);
    json_writer_u64(out, "spare_bytes", host->spare_bytes);
    json_writer_u64(out, "free_bytes", host->free_bytes);
    json_writer_object_end(out);
}

static void add_list(struct json_writer *out, const char *key, const struct plan *plan,
        size_t count, void (*add)(struct json_writer *out, const struct plan *plan, size_t index))
{
    json_writer_array(out, key);
    for (size_t i = 0; i < count; i++)
        add(out, plan, i);
    json_writer_array_end(out);
}

static void add_notes(struct json_writer *out, const struct plan *plan)
{
    const char *note;
    json_writer_array(out, "notes");
    for (size_t i = 0; (note = plan_note(plan, i)); i++)
        json_writer_str(out, NULL, note);
    json_writer_array_end(out);
}

int plan_answer_append(const struct plan *plan, struct buf *out)
{
    const struct placement *placement = plan_placement(plan);
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_writer_object(&writer, NULL);
    json_writer_u64(&writer, "lost_permille", placement->lost_permille);
    json_writer_bool(&writer, "exact", placement->exact);
    json_writer_u64(&writer, "loads", count_loads(placement));
    json_writer_u64(&writer, "unloads", count_unloads(placement));
    add_list(&writer, "models", plan, placement->engine_count, add_engine);
    add_list(&writer, "modes", plan, placement->service_count, add_service);
    add_list(&writer, "nodes", plan, placement->host_count, add_node);
    add_notes(&writer, plan);
    json_writer_object_end(&writer);
    return json_writer_result(&writer);
}
