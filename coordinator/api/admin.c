#include "coordinator/api/admin.h"

#include "common/json/json_writer.h"
#include "coordinator/api/caller.h"
#include "coordinator/api/mode_now.h"
#include "coordinator/modes/mode_names.h"
#include "coordinator/modes/mode_policy.h"
#include "coordinator/modes/mode_suggest.h"
#include "coordinator/modes/mode_yaml.h"
#include "coordinator/router/why.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REASON_MAX = WHY_MAX + 2 * MSG_NAME_MAX + 32 };

static void add_coordinator(struct json_writer *out, const struct admin_view *view)
{
    json_writer_object(out, "coordinator");
    json_writer_str(out, "name", view->name);
    json_writer_str(out, "version", view->version);
    json_writer_u64(out, "uptime_ms", (env_now_us(view->env) - view->started_us) / 1000);
    json_writer_str(out, "http", view->http ? view->http : "");
    json_writer_str(out, "link", view->link);
    json_writer_str(out, "key", view->key);
    json_writer_str(out, "mesh", view->mesh);
    json_writer_object_end(out);
}

static void add_queue(struct json_writer *out, const struct admin_view *view)
{
    json_writer_object(out, "queue");
    json_writer_u64(out, "waiting", jobs_waiting(view->jobs));
    json_writer_u64(out, "waiting_for_models", jobs_waiting_in(view->jobs, JOB_TERMS_NO_MODE));
    json_writer_u64(out, "running", jobs_running(view->jobs));
    json_writer_u64(out, "waiting_max", JOBS_WAITING_MAX);
    json_writer_object_end(out);
}

static void add_place(struct json_writer *out, const char *key, const struct instance *instance)
{
    if (!instance) {
        json_writer_null(out, key);
        return;
    }
    json_writer_object(out, key);
    json_writer_str(out, "model", instance->model);
    json_writer_str(out, "node", instance->node);
    json_writer_object_end(out);
}

static void add_reason(struct json_writer *out, const struct mode *mode, const struct mode_now *now)
{
    char why[WHY_MAX], reason[REASON_MAX];
    if (now->plan.routing.verdict == ROUTING_RUN)
        snprintf(why, sizeof(why), "%s", why_there(&now->plan.routing));
    else
        why_not_full(&now->plan, why, sizeof(why));
    snprintf(
            reason, sizeof(reason), "%s has none for it; %s: %s", mode->name, now->mode->name, why);
    json_writer_str(out, "reason", now->mode == mode ? why : reason);
}

/* Where a request goes now; else what it would wait for, and why. */
static void add_choice(struct json_writer *out, const struct call *call, const struct mode *mode)
{
    struct mode_now now;
    int r = mode_now_find(call, mode, &now);
    if (r) {
        add_place(out, "now", NULL);
        add_place(out, "waits_for", NULL);
        json_writer_str(out, "reason",
                r == -EACCES ? "the API key does not allow it" : "no memory to choose");
        return;
    }
    bool goes = now.plan.routing.verdict == ROUTING_RUN;
    add_place(out, "now", goes ? now.plan.instance : NULL);
    add_place(out, "waits_for", now.waits ? now.plan.instance : NULL);
    add_reason(out, mode, &now);
}

/* What a deploy has moved: "" and nothing where the mode is as the config has it. */
static void add_moves(
        struct json_writer *out, const struct admin_view *view, const struct mode *mode)
{
    struct mode_moves_saved moved = {.count = 0};
    int64_t moved_ms = 0;
    if (view->moves)
        mode_moves_save(view->moves, mode->name, &moved);
    for (size_t i = 0; i < moved.count; i++)
        if (moved.entries[i].moved_ms > moved_ms)
            moved_ms = moved.entries[i].moved_ms;
    json_writer_str(out, "deployed", moved.count ? mode->models[0] : "");
    json_writer_array(out, "replaced");
    for (size_t i = 0; i < moved.count; i++)
        if (moved.entries[i].off)
            json_writer_str(out, NULL, moved.entries[i].model);
    json_writer_array_end(out);
    json_writer_u64(out, "deployed_ms", (uint64_t)moved_ms);
}

/* By what plans go. */
static void add_needs(struct json_writer *out, const struct mode *mode)
{
    json_writer_u64(out, "context", mode->context);
    json_writer_u64(out, "context_floor", mode->context_floor);
    json_writer_u64(out, "slots", mode->slots);
    json_writer_u64(out, "copies", mode->copies);
    json_writer_u64(out, "weight", mode->weight);
    json_writer_bool(out, "batch", mode->batch);
}

/* The most that a node says of the model. */
static uint8_t points_by_nodes(const struct admin_view *view, const char *name)
{
    const char *model = node_table_model(view->nodes, name);
    uint32_t points = 0;
    size_t count;
    struct instance *const *instances = node_table_instances(view->nodes, &count);
    for (size_t i = 0; i < count; i++)
        if (instances[i]->quality > points && strcmp(instances[i]->model, model) == 0)
            points = instances[i]->quality;
    return (uint8_t)points;
}

static void add_points(
        struct json_writer *out, const struct admin_view *view, const struct mode *mode)
{
    struct mode_model_facts facts[MODE_MODELS_MAX] = {{.points = 0}};
    uint8_t points[MODE_MODELS_MAX];
    for (size_t i = 0; i < mode->model_count; i++)
        facts[i].points = points_by_nodes(view, mode->models[i]);
    mode_points_of(mode, facts, points);
    json_writer_array(out, "quality");
    for (size_t i = 0; i < mode->model_count; i++) {
        uint8_t said = mode_said_points(mode, mode->models[i]);
        json_writer_object(out, NULL);
        json_writer_str(out, "model", mode->models[i]);
        json_writer_u64(out, "points", points[i]);
        json_writer_str(out, "from", said ? "config" : facts[i].points ? "node" : "place");
        json_writer_object_end(out);
    }
    json_writer_array_end(out);
}

static void add_models(struct json_writer *out, const char *key, char *const *names, size_t count)
{
    json_writer_array(out, key);
    for (size_t i = 0; i < count; i++)
        json_writer_str(out, NULL, names[i]);
    json_writer_array_end(out);
}

static void add_rules(struct json_writer *out, const struct mode *mode)
{
    json_writer_array(out, "rules");
    for (size_t i = 0; i < mode->rule_count; i++) {
        const struct mode_rule *rule = &mode->rules[i];
        json_writer_object(out, NULL);
        json_writer_u64(out, "up_to", rule->tokens);
        add_models(out, "models", rule->models.names, rule->models.count);
        json_writer_u64(out, "floor", mode_floor_at(mode, rule->tokens));
        json_writer_object_end(out);
    }
    json_writer_array_end(out);
    add_models(out, "planning", mode->planning.names, mode->planning.count);
    json_writer_u64(out, "floor", mode->floor);
    json_writer_array(out, "floors");
    for (size_t i = 0; i < mode->floor_count; i++) {
        json_writer_object(out, NULL);
        json_writer_u64(out, "up_to", mode->floors[i].tokens);
        json_writer_u64(out, "points", mode->floors[i].points);
        json_writer_object_end(out);
    }
    json_writer_array_end(out);
}

/* How its requests are served. */
static void add_service(struct json_writer *out, const struct mode *mode)
{
    json_writer_bool(out, "stand_in", mode->stand_in);
    json_writer_u64(out, "priority", mode->priority);
    json_writer_num(out, "beta", mode->beta);
    if (mode->has_temperature)
        json_writer_num(out, "temperature", mode->temperature);
    else
        json_writer_null(out, "temperature");
    json_writer_u64(out, "max_output", mode->max_output);
    json_writer_str(out, "when_none", mode_when_none_name(mode->when_none));
    json_writer_str(out, "next", mode->next ? mode->next : "");
    json_writer_u64(out, "patience_ms", mode->patience_ms);
}

static void add_mode(struct json_writer *out, const struct call *call, const struct mode *mode)
{
    const struct admin_view *view = call->api->view;
    json_writer_object(out, NULL);
    json_writer_str(out, "name", mode->name);
    add_models(out, "models", mode->models, mode->model_count);
    add_points(out, view, mode);
    add_rules(out, mode);
    add_service(out, mode);
    add_moves(out, view, mode);
    add_needs(out, mode);
    add_choice(out, call, mode);
    json_writer_u64(out, "waiting", jobs_waiting_in(view->jobs, mode->name));
    json_writer_object_end(out);
}

static void add_modes(struct json_writer *out, const struct call *call)
{
    const struct modes *modes = call->api->view->modes;
    json_writer_array(out, "modes");
    for (size_t i = 0; i < modes->count; i++)
        add_mode(out, call, &modes->list[i]);
    json_writer_array_end(out);
    json_writer_bool(out, "modes_derived", modes->derived);
}

/* What stands for modes and models. */
static void add_aliases(struct json_writer *out, const struct modes *modes)
{
    struct mode_alias_view alias;
    json_writer_array(out, "aliases");
    for (size_t i = 0; modes_alias_at(modes, i, &alias); i++) {
        json_writer_object(out, NULL);
        json_writer_str(out, "name", alias.name);
        json_writer_str(out, "means", alias.target);
        json_writer_str(out, "kind", alias.foreign ? "model" : "mode");
        json_writer_bool(out, "known", alias.known);
        json_writer_object_end(out);
    }
    json_writer_array_end(out);
}

static void add_fingerprint(struct json_writer *out, const struct instance *instance)
{
    char hex[2 * MSG_FINGERPRINT_BYTES + 1] = "";
    if (instance->has_fingerprint)
        sodium_bin2hex(hex, sizeof(hex), instance->fingerprint, MSG_FINGERPRINT_BYTES);
    json_writer_str(out, "fingerprint", hex);
}

/* Those of its aliases that mean another model: one that is called so, or comes before it. */
static void add_other_aliases(
        struct json_writer *out, struct node_table *nodes, const struct instance *instance)
{
    json_writer_array(out, "aliases_of_others");
    for (size_t i = 0; i < instance->alias_count; i++) {
        const char *model = node_table_model(nodes, instance->aliases[i]);
        if (strcmp(model, instance->model) == 0)
            continue;
        json_writer_object(out, NULL);
        json_writer_str(out, "alias", instance->aliases[i]);
        json_writer_str(out, "model", model);
        json_writer_object_end(out);
    }
    json_writer_array_end(out);
}

/* Who it is, beside its name. */
static void add_identity(
        struct json_writer *out, struct node_table *nodes, const struct instance *instance)
{
    const struct instance *other = node_table_differing(nodes, instance);
    json_writer_array(out, "aliases");
    for (size_t i = 0; i < instance->alias_count; i++)
        json_writer_str(out, NULL, instance->aliases[i]);
    json_writer_array_end(out);
    add_other_aliases(out, nodes, instance);
    json_writer_str(out, "quantisation", instance->quantisation);
    add_fingerprint(out, instance);
    json_writer_str(out, "differs_from", other ? other->node : "");
    json_writer_u64(out, "quality", instance->quality);
    json_writer_bool(out, "foreign", instance->foreign);
    json_writer_bool(out, "batch_only", instance->batch_only);
    json_writer_u64(out, "load_ms", instance->load_ms);
}

static void add_instance(
        struct json_writer *out, struct node_table *nodes, const struct instance *instance)
{
    json_writer_object(out, NULL);
    json_writer_str(out, "name", instance->model);
    json_writer_str(out, "state", instance_state_name(instance->state));
    json_writer_bool(out, "pinned", instance->pinned);
    json_writer_u64(out, "file_bytes", instance->file_bytes);
    json_writer_u64(out, "memory_bytes", instance->memory_bytes);
    json_writer_u64(out, "context", instance->context);
    json_writer_u64(out, "slots", instance->slots);
    json_writer_u64(out, "busy", instance->busy);
    json_writer_u64(out, "running", instance->running);
    json_writer_num(out, "prefill_tok_s", (double)instance->prefill_tok_s);
    json_writer_num(out, "decode_tok_s", (double)instance->decode_tok_s);
    json_writer_u64(out, "restarts", instance->restarts);
    json_writer_str(out, "engine", instance->engine);
    json_writer_str(out, "note", instance->note);
    add_identity(out, nodes, instance);
    json_writer_object_end(out);
}

static void add_memory(struct json_writer *out, const struct node_facts *facts)
{
    json_writer_object(out, "memory");
    json_writer_u64(out, "total_bytes", facts->memory_total_bytes);
    json_writer_u64(out, "available_bytes", facts->memory_available_bytes);
    json_writer_u64(out, "limit_bytes", facts->memory_limit_bytes);
    json_writer_u64(out, "used_bytes", facts->memory_used_bytes);
    json_writer_u64(out, "swap_allowance_bytes", facts->swap_allowance_bytes);
    json_writer_u64(out, "bandwidth_bytes", facts->memory_bandwidth_bytes);
    json_writer_object_end(out);
}

static void add_requests(struct json_writer *out, const struct node_facts *facts)
{
    json_writer_object(out, "requests");
    json_writer_u64(out, "running", facts->running);
    json_writer_u64(out, "done", facts->done);
    json_writer_u64(out, "failed", facts->failed);
    json_writer_object_end(out);
}

static void add_facts(struct json_writer *out, const struct node_facts *facts, uint64_t now_us)
{
    json_writer_str(out, "software", facts->software);
    json_writer_u64(out, "connected_ms", (now_us - facts->connected_us) / 1000);
    json_writer_u64(out, "last_seen_ms", (now_us - facts->last_heard_us) / 1000);
    json_writer_u64(out, "rtt_us", facts->rtt_us);
    json_writer_bool(out, "draining", facts->draining);
    add_memory(out, facts);
    add_requests(out, facts);
}

static void add_connected(
        struct json_writer *out, const struct admin_view *view, const struct node_session *session)
{
    struct node_facts facts = node_session_facts(session);
    json_writer_str(out, "state", session_state_name(node_session_state(session)));
    json_writer_str(out, "address", node_session_peer(session)->address);
    add_facts(out, &facts, env_now_us(view->env));
    json_writer_array(out, "models");
    for (size_t i = 0; i < node_session_instance_count(session); i++)
        add_instance(out, view->nodes, node_session_instance(session, i));
    json_writer_array_end(out);
}

static void add_offline(struct json_writer *out)
{
    static const struct node_facts nothing = {.software = ""};
    json_writer_str(out, "state", "offline");
    json_writer_str(out, "address", "");
    add_facts(out, &nothing, 0);
    json_writer_array(out, "models");
    json_writer_array_end(out);
}

static void add_node(
        struct json_writer *out, const struct admin_view *view, const struct member *member)
{
    const struct node_session *session = node_table_find_key(view->nodes, member->key);
    json_writer_object(out, NULL);
    json_writer_str(out, "name", member->name);
    json_writer_str(out, "key", member->key);
    json_writer_bool(out, "revoked", member->revoked);
    json_writer_bool(out, "edge_only", !(member->roles & CERTIFICATE_ROLE_NODE));
    json_writer_u64(out, "editors", session ? node_table_editors(view->nodes, session) : 0);
    if (session)
        add_connected(out, view, session);
    else
        add_offline(out);
    json_writer_object_end(out);
}

static void add_nodes(struct json_writer *out, const struct admin_view *view)
{
    const struct members *members = door_members(view->door);
    json_writer_array(out, "nodes");
    for (size_t i = 0; i < members_count(members); i++)
        add_node(out, view, members_at(members, i));
    json_writer_array_end(out);
    json_writer_u64(out, "pending_nodes", pending_count(door_pending(view->door)));
}

int admin_append_status(const struct call *call, struct buf *out)
{
    const struct admin_view *view = call->api->view;
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_writer_object(&writer, NULL);
    add_coordinator(&writer, view);
    add_queue(&writer, view);
    add_modes(&writer, call);
    add_aliases(&writer, view->modes);
    add_nodes(&writer, view);
    json_writer_object_end(&writer);
    return json_writer_result(&writer);
}

/* --- modes to keep --- */

/* From what the nodes have now; those that are derived already are what is in force. */
static int append_suggested(const struct admin_view *view, struct buf *yaml)
{
    struct suggest_models *models = calloc(1, sizeof(*models));
    struct modes modes;
    size_t count;
    struct instance *const *instances = node_table_instances(view->nodes, &count);
    if (!models)
        return -ENOMEM;
    suggest_look(models, instances, count);
    int r = suggest_modes(models, &modes, NULL);
    free(models);
    if (r)
        return r;
    r = mode_yaml_append(&modes, yaml);
    modes_fini(&modes);
    return r;
}

int admin_append_suggestion(const struct admin_view *view, struct buf *out)
{
    struct json_writer writer;
    struct buf yaml;
    buf_init(&yaml, ADMIN_YAML_MAX);
    int r = view->modes->derived ? mode_yaml_append(view->modes, &yaml)
                                 : append_suggested(view, &yaml);
    if (!r)
        r = buf_terminate(&yaml);
    if (!r) {
        json_writer_init(&writer, out);
        json_writer_object(&writer, NULL);
        json_writer_bool(&writer, "derived", view->modes->derived);
        json_writer_str(&writer, "yaml", buf_at(&yaml));
        json_writer_object_end(&writer);
        r = json_writer_result(&writer);
    }
    buf_fini(&yaml);
    return r;
}
