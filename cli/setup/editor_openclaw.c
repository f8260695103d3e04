/* OpenClaw: openclaw.json, which may be JSON5; what we cannot read of that is refused. */
#include "cli/setup/editors.h"

static const char *const files[] = {".openclaw/openclaw.json", NULL};
static const struct setup_where config = {.variable = "OPENCLAW_CONFIG_PATH", .candidates = files};

static void put_model(struct setup *setup, cJSON *models, const struct mesh_mode *mode)
{
    cJSON *model = put_object(setup, models, NULL), *input;

    put_str(setup, model, "id", mode->id);
    put_str(setup, model, "name", setup_words(setup, "modemesh %s", mode->name));
    put_bool(setup, model, "reasoning", false);
    input = put_array(setup, model, "input");
    put_str(setup, input, NULL, "text");
    if (mode->sees)
        put_str(setup, input, NULL, "image");
    if (!mode->context)
        return;
    put_number(setup, model, "contextWindow", mode->context);
    put_number(setup, model, "maxTokens", setup_answer_tokens(mode->context));
}

void note_openclaw(struct setup *setup)
{
    cJSON *root = setup_file(setup, MERGE_JSONC, &config);
    cJSON *models = put_object(setup, root, "models"), *provider, *list, *primary;

    put_str(setup, models, "?mode", "merge");
    provider = put_object(setup, put_object(setup, models, "providers"), "modemesh");
    put_str(setup, provider, "baseUrl", setup_url(setup, "/v1"));
    put_key(setup, provider, "apiKey");
    put_str(setup, provider, "api", "openai-completions");
    list = put_array(setup, provider, "models");
    for (size_t i = 0; i < setup->mesh->mode_count; i++)
        if (mesh_mode_chats(&setup->mesh->modes[i]))
            put_model(setup, list, &setup->mesh->modes[i]);
    primary = put_object(
            setup, put_object(setup, put_object(setup, root, "agents"), "defaults"), "model");
    put_str(setup, primary, "primary",
            setup_words(setup, "modemesh/%s", setup_use(setup, "agents.defaults", "agent")));
    setup_certificate(setup, "NODE_EXTRA_CA_CERTS");
    setup_note(setup, "Other agents take others: agents.list[].model. Where agents.defaults.models "
                      "is set, it is a list of what is allowed: add modemesh/… there.");
}
