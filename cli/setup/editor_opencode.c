/* opencode, and Kilo Code, which took its config over: a provider with its models, and a model for
 * each agent. Both give up after 300 s without a byte, and ask for a title with the small model
 * while the turn runs. */
#include "cli/setup/editors.h"

struct agent {
    const char *name, *role;
};

struct flavour {
    const struct setup_where *where;
    const char *schema;
    const struct agent *agents;
    size_t agent_count;
};

static const char *const opencode_files[] = {".config/opencode/opencode.json",
        ".config/opencode/opencode.jsonc", ".config/opencode/config.json", NULL};
static const struct setup_where opencode_where = {
        .variable = "OPENCODE_CONFIG", .candidates = opencode_files};
static const struct agent opencode_agents[] = {{"build", "code"}, {"plan", "plan"}};

static const char *const kilo_files[] = {
        ".config/kilo/kilo.jsonc", ".config/kilo/kilo.json", ".config/kilo/config.json", NULL};
static const struct setup_where kilo_where = {.variable = "KILO_CONFIG", .candidates = kilo_files};
static const struct agent kilo_agents[] = {{"code", "code"}, {"ask", "ask"}, {"debug", "debug"},
        {"orchestrator", "orchestrator"}, {"plan", "plan"}};

static const struct flavour opencode = {
        .where = &opencode_where,
        .schema = "https://opencode.ai/config.json",
        .agents = opencode_agents,
        .agent_count = sizeof(opencode_agents) / sizeof(*opencode_agents),
};
static const struct flavour kilo = {
        .where = &kilo_where,
        .agents = kilo_agents,
        .agent_count = sizeof(kilo_agents) / sizeof(*kilo_agents),
};

static const char *reference(struct setup *setup, const char *id)
{
    return setup_words(setup, "modemesh/%s", id);
}

static void put_model(struct setup *setup, cJSON *models, const struct mesh_mode *mode)
{
    cJSON *model = put_object(setup, models, mode->id), *limit;

    put_str(setup, model, "name", setup_words(setup, "modemesh %s", mode->name));
    put_bool(setup, model, "tool_call", !mode->toolless);
    put_bool(setup, model, "attachment", mode->sees);
    if (!mode->context)
        return;
    limit = put_object(setup, model, "limit");
    put_number(setup, limit, "context", mode->context);
    put_number(setup, limit, "output", setup_answer_tokens(mode->context));
}

static void put_provider(struct setup *setup, cJSON *root)
{
    cJSON *provider = put_object(setup, put_object(setup, root, "provider"), "modemesh");
    cJSON *options, *models;

    put_str(setup, provider, "npm", "@ai-sdk/openai-compatible");
    put_str(setup, provider, "name", "modemesh");
    options = put_object(setup, provider, "options");
    put_str(setup, options, "baseURL", setup_url(setup, "/v1"));
    put_key(setup, options, "apiKey");
    models = put_object(setup, provider, "models");
    for (size_t i = 0; i < setup->mesh->mode_count; i++)
        if (mesh_mode_chats(&setup->mesh->modes[i]))
            put_model(setup, models, &setup->mesh->modes[i]);
}

static void put_agents(struct setup *setup, cJSON *root, const struct flavour *flavour)
{
    cJSON *agents = put_object(setup, root, "agent");

    for (size_t i = 0; i < flavour->agent_count; i++) {
        const struct agent *agent = &flavour->agents[i];
        const char *what = setup_words(setup, "agent.%s.model", agent->name);

        put_str(setup, put_object(setup, agents, agent->name), "model",
                reference(setup, setup_use(setup, what, agent->role)));
    }
}

static void note_flavour(struct setup *setup, const struct flavour *flavour)
{
    cJSON *root = setup_file(setup, MERGE_JSONC, flavour->where);

    if (flavour->schema)
        put_str(setup, root, "?$schema", flavour->schema);
    put_provider(setup, root);
    put_str(setup, root, "model", reference(setup, setup_use(setup, "model", "code")));
    put_str(setup, root, "small_model", reference(setup, setup_use(setup, "small_model", "fast")));
    put_agents(setup, root, flavour);
    setup_certificate(setup, "NODE_EXTRA_CA_CERTS");
}

void note_opencode(struct setup *setup)
{
    note_flavour(setup, &opencode);
}

void note_kilo(struct setup *setup)
{
    note_flavour(setup, &kilo);
    setup_note(setup, "The extension and the CLI of Kilo Code (7 and later) share this file. Its "
                      "autocomplete has a setting of its own in the extension, which no file has.");
}
