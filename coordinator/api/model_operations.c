#include "coordinator/api/model_operations.h"

#include "coordinator/api/operation_body.h"
#include "coordinator/deploy/tasks.h"
#include "proto/rules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- reading what was asked for --- */

/* A name that goes into messages: what no node could have is the caller's mistake. "" where it may
 * be left out and is. */
static int take_name(const cJSON *body, const char *key, enum text_rule rule, bool needed,
        char *name, size_t size, struct err *err)
{
    const char *text = "";
    int r = operation_take_text(body, key, needed ? NULL : "", &text, err);
    if (!r && *text)
        r = rules_text(rule, key, text, strlen(text), err);
    if (!r)
        snprintf(name, size, "%s", text);
    return r;
}

static int take_model(const cJSON *body, bool needed, struct task_spec *spec, struct err *err)
{
    return take_name(body, "model", TEXT_MODEL_NAME, needed, spec->model, sizeof(spec->model), err);
}

static int take_node(const cJSON *body, bool needed, struct task_spec *spec, struct err *err)
{
    return take_name(body, "node", TEXT_NODE_NAME, needed, spec->node, sizeof(spec->node), err);
}

static int take_number(
        const cJSON *body, const char *key, uint32_t max, uint32_t *ret_value, struct err *err)
{
    uint64_t value = 0;
    int r = operation_take_whole(body, key, 0, max, &value, err);
    *ret_value = (uint32_t)value;
    return r;
}

/* `def` where it is not there. */
static int take_type(
        const cJSON *body, const char *key, const char *def, const char **ret_type, struct err *err)
{
    const char *text;
    enum cache_type type;
    int r = operation_take_text(body, key, "", &text, err);
    if (r || !*text) {
        *ret_type = def;
        return r;
    }
    r = cache_type_parse(text, &type, err);
    if (r)
        return err_prefix(err, r, "\"%s\"", key);
    *ret_type = cache_type_name(type);
    return 0;
}

static int take_settings(const cJSON *body, struct task_spec *spec, struct err *err)
{
    const char *both = "";
    int r = take_number(body, "context", MSG_CONTEXT_MAX, &spec->context, err);
    if (!r)
        r = take_number(body, "slots", MSG_SLOTS_MAX, &spec->slots, err);
    if (!r)
        r = take_type(body, "kv", "", &both, err);
    if (!r)
        r = take_type(body, "kv_k", both, &spec->type_k, err);
    return r ? r : take_type(body, "kv_v", both, &spec->type_v, err);
}

/* One that must be there: nothing is switched by leaving it out. */
static int take_switch(const cJSON *body, const char *key, bool *ret_on, struct err *err)
{
    if (!cJSON_GetObjectItemCaseSensitive(body, key))
        return err_set(err, -EINVAL, "\"%s\" is missing: true or false", key);
    return operation_take_flag(body, key, ret_on, err);
}

static int check_undo(const struct task_spec *spec, struct err *err)
{
    bool settings = spec->context || spec->slots || *spec->type_k || *spec->type_v;
    if (!spec->undo || (!*spec->model && !settings))
        return 0;
    return err_set(err, -EINVAL,
            "\"undo\" goes back to the config's models and settings: no \"model\" and no settings "
            "beside it");
}

/* --- beginning it --- */

static int start(const struct operations *operations, const struct task_spec *spec,
        struct json_writer *out, struct err *err)
{
    const struct task_facts *task;
    int r = tasks_start(operations->tasks, spec, &task, err);
    if (!r)
        json_writer_str(out, "operation", task->id);
    return r;
}

static struct task_spec spec_of(enum task_kind kind)
{
    return (struct task_spec){.kind = kind, .type_k = "", .type_v = ""};
}

static int deploy(const struct operations *operations, const cJSON *body, struct json_writer *out,
        struct err *err)
{
    struct task_spec spec = spec_of(TASK_DEPLOY);
    int r = operation_take_flag(body, "undo", &spec.undo, err);
    if (!r)
        r = take_name(body, "mode", TEXT_LABEL, true, spec.mode, sizeof(spec.mode), err);
    if (!r)
        r = take_model(body, !spec.undo, &spec, err);
    if (!r)
        r = take_node(body, false, &spec, err);
    if (!r)
        r = take_settings(body, &spec, err);
    if (!r)
        r = operation_take_flag(body, "rehearse", &spec.rehearse, err);
    if (!r)
        r = check_undo(&spec, err);
    return r ? r : start(operations, &spec, out, err);
}

static int load_model(const struct operations *operations, const cJSON *body,
        struct json_writer *out, struct err *err)
{
    struct task_spec spec = spec_of(TASK_LOAD);
    int r = take_model(body, true, &spec, err);
    if (!r)
        r = take_node(body, false, &spec, err);
    if (!r)
        r = take_settings(body, &spec, err);
    if (!r)
        r = operation_take_flag(body, "keep", &spec.keep, err);
    if (!r)
        r = operation_take_flag(body, "rehearse", &spec.rehearse, err);
    return r ? r : start(operations, &spec, out, err);
}

static int unload_model(const struct operations *operations, const cJSON *body,
        struct json_writer *out, struct err *err)
{
    struct task_spec spec = spec_of(TASK_UNLOAD);
    int r = take_model(body, true, &spec, err);
    if (!r)
        r = take_node(body, false, &spec, err);
    return r ? r : start(operations, &spec, out, err);
}

static int pin_model(const struct operations *operations, const cJSON *body,
        struct json_writer *out, struct err *err)
{
    struct task_spec spec = spec_of(TASK_PIN);
    int r = take_model(body, true, &spec, err);
    if (!r)
        r = take_node(body, false, &spec, err);
    if (!r)
        r = take_switch(body, "pinned", &spec.on, err);
    return r ? r : start(operations, &spec, out, err);
}

static int drain_node(const struct operations *operations, const cJSON *body,
        struct json_writer *out, struct err *err)
{
    struct task_spec spec = spec_of(TASK_DRAIN);
    int r = take_node(body, true, &spec, err);
    if (!r)
        r = take_switch(body, "draining", &spec.on, err);
    return r ? r : start(operations, &spec, out, err);
}

static int apply_plan(const struct operations *operations, const cJSON *body,
        struct json_writer *out, struct err *err)
{
    const struct task_spec spec = spec_of(TASK_PLAN);
    bool apply = false;
    int r = take_switch(body, "apply", &apply, err);
    if (!r && !apply)
        r = err_set(err, -EINVAL, "\"apply\" is false: GET tells the plan and changes nothing");
    return r ? r : start(operations, &spec, out, err);
}

/* --- telling how it goes --- */

static uint64_t unix_ms(int64_t ms)
{
    return ms > 0 ? (uint64_t)ms : 0;
}

static void add_settings(struct json_writer *out, const struct task_spec *spec)
{
    json_writer_u64(out, "context", spec->context);
    json_writer_u64(out, "slots", spec->slots);
    json_writer_str(out, "kv_k", spec->type_k);
    json_writer_str(out, "kv_v", spec->type_v);
    json_writer_bool(out, "keep", spec->keep);
}

static void add_switch(struct json_writer *out, const struct task_spec *spec)
{
    if (spec->kind == TASK_PIN)
        json_writer_bool(out, "pinned", spec->on);
    else if (spec->kind == TASK_DRAIN)
        json_writer_bool(out, "draining", spec->on);
    else if (spec->kind == TASK_PLAN)
        json_writer_bool(out, "automatic", spec->automatic);
    else if (spec->kind != TASK_UNLOAD)
        add_settings(out, spec);
}

static void add_task(struct json_writer *out, const struct task_facts *task)
{
    json_writer_object(out, NULL);
    json_writer_str(out, "id", task->id);
    json_writer_str(out, "kind", task_kind_name(task->spec.kind));
    json_writer_str(out, "state", task_state_name(task->state));
    json_writer_str(out, "mode", task->spec.mode);
    json_writer_str(out, "model", task->spec.model);
    json_writer_str(out, "node", task->node);
    json_writer_bool(out, "rehearse", task->spec.rehearse);
    json_writer_bool(out, "undo", task->spec.undo);
    add_switch(out, &task->spec);
    json_writer_str(out, "way", order_way_name(task->way));
    json_writer_str(out, "progress", task->progress);
    json_writer_str(out, "message", task->message);
    json_writer_u64(out, "started_ms", unix_ms(task->started_ms));
    json_writer_u64(out, "ended_ms", unix_ms(task->ended_ms));
    json_writer_object_end(out);
}

static int list_tasks(const struct operations *operations, const cJSON *body,
        struct json_writer *out, struct err *err)
{
    (void)body;
    (void)err;
    json_writer_array(out, "operations");
    for (size_t i = 0; i < tasks_count(operations->tasks); i++)
        add_task(out, tasks_at(operations->tasks, i));
    json_writer_array_end(out);
    return 0;
}

const struct operation model_operations[MODEL_OPERATIONS] = {
        {"POST", "/mesh/v1/deploy", deploy},
        {"POST", "/mesh/v1/models/load", load_model},
        {"POST", "/mesh/v1/models/unload", unload_model},
        {"POST", "/mesh/v1/models/pin", pin_model},
        {"POST", "/mesh/v1/nodes/drain", drain_node},
        {"POST", "/mesh/v1/plan", apply_plan},
        {"GET", "/mesh/v1/operations", list_tasks},
};
