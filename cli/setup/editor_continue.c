/* Continue: config.yaml, one entry for each mode with the roles that it serves there. Completion
 * goes as a prompt with the model's own FIM tokens, which Continue picks by the model's name. */
#include "cli/setup/editors.h"

#include <string.h>

static const char *const files[] = {".continue/config.yaml", NULL};
static const struct setup_where config = {
        .variable = "CONTINUE_GLOBAL_DIR", .name = "config.yaml", .candidates = files};

static const char *const talk_roles[] = {"edit", "apply"};

static cJSON *put_entry(struct setup *setup, cJSON *models, const struct mesh_mode *mode)
{
    cJSON *entry = put_object(setup, models, NULL);

    put_str(setup, entry, "name", setup_words(setup, "modemesh %s", mode->name));
    put_str(setup, entry, "provider", "openai");
    put_str(setup, entry, "model", mode->id);
    put_str(setup, entry, "apiBase", setup_url(setup, "/v1"));
    put_key(setup, entry, "apiKey");
    if (*setup->mesh->ca)
        put_str(setup, put_object(setup, entry, "requestOptions"), "caBundlePath", setup->mesh->ca);
    return entry;
}

static void put_lengths(struct setup *setup, cJSON *entry, uint64_t context)
{
    cJSON *options;

    if (!context)
        return;
    options = put_object(setup, entry, "defaultCompletionOptions");
    put_number(setup, options, "contextLength", context);
    put_number(setup, options, "maxTokens", setup_answer_tokens(context));
}

static void put_role(
        struct setup *setup, cJSON *roles, const char *role, const struct mesh_mode *mode)
{
    setup_use_mode(setup, setup_words(setup, "role %s", role), mode);
    put_str(setup, roles, NULL, role);
}

static void put_talker(struct setup *setup, cJSON *models, const struct mesh_mode *mode)
{
    cJSON *entry = put_entry(setup, models, mode), *roles = put_array(setup, entry, "roles");
    cJSON *capabilities;

    put_role(setup, roles, "chat", mode);
    for (size_t i = 0; i < sizeof(talk_roles) / sizeof(*talk_roles); i++)
        if (mesh_mode_for(setup->mesh, talk_roles[i]) == mode)
            put_role(setup, roles, talk_roles[i], mode);
    capabilities = put_array(setup, entry, "capabilities");
    if (!mode->toolless)
        put_str(setup, capabilities, NULL, "tool_use");
    if (mode->sees)
        put_str(setup, capabilities, NULL, "image_input");
    put_lengths(setup, entry, mode->context);
}

static void put_silent(struct setup *setup, cJSON *models, const char *role)
{
    const struct mesh_mode *mode = mesh_mode_for(setup->mesh, role);
    cJSON *entry;

    if (!mode)
        return;
    entry = put_entry(setup, models, mode);
    put_role(setup, put_array(setup, entry, "roles"), role, mode);
    if (strcmp(role, "autocomplete") == 0)
        put_bool(setup, entry, "useLegacyCompletionsEndpoint", true);
}

void note_continue(struct setup *setup)
{
    const struct mesh_mode *first = mesh_mode_for(setup->mesh, "agent");
    cJSON *root = setup_file(setup, MERGE_YAML, &config), *models;

    put_str(setup, root, "?name", "modemesh");
    put_str(setup, root, "?version", "1.0.0");
    put_str(setup, root, "?schema", "v1");
    models = put_array(setup, root, "models");
    put_talker(setup, models, first);
    for (size_t i = 0; i < setup->mesh->mode_count; i++)
        if (mesh_mode_chats(&setup->mesh->modes[i]) && &setup->mesh->modes[i] != first)
            put_talker(setup, models, &setup->mesh->modes[i]);
    put_silent(setup, models, "autocomplete");
    put_silent(setup, models, "embed");
    put_silent(setup, models, "rerank");
    setup_note(setup, "Until another is picked in its menus, Continue and cn take the first model "
                      "of the file that has the role.");
}
