/* Codex: config.toml, and for each mode a profile that goes on top of it, in a file of its own. It
 * speaks Responses alone, and sends no key at all where it knows none. The name of the provider
 * must not be "OpenAI", which turns other things on. */
#include "cli/setup/editors.h"

static const char *const files[] = {".codex/config.toml", NULL};
static const struct setup_where config = {
        .variable = "CODEX_HOME", .name = "config.toml", .candidates = files};

static void put_model(struct setup *setup, cJSON *root, const struct mesh_mode *mode)
{
    put_str(setup, root, "model", mode->id);
    put_str(setup, root, "model_provider", "modemesh");
    if (mode->context)
        put_number(setup, root, "model_context_window", mode->context);
}

static void put_provider(struct setup *setup, cJSON *root)
{
    cJSON *provider = put_object(setup, put_object(setup, root, "model_providers"), "modemesh");

    put_str(setup, provider, "name", "modemesh");
    put_str(setup, provider, "base_url", setup_url(setup, "/v1"));
    put_str(setup, provider, "wire_api", "responses");
    if (setup_has_key(setup) || !setup->mesh->keyless)
        put_key(setup, provider, "experimental_bearer_token");
}

static void put_profile(struct setup *setup, const struct mesh_mode *mode)
{
    const char *name = setup_words(setup, "%s.config.toml", mode->id);

    setup_use_mode(setup, setup_words(setup, "codex -p %s", mode->id), mode);
    put_model(setup, setup_file_beside(setup, MERGE_TOML, name), mode);
}

void note_codex(struct setup *setup)
{
    const struct mesh *mesh = setup->mesh;
    const struct mesh_mode *mode = mesh_mode_for(mesh, "code");
    cJSON *root = setup_file(setup, MERGE_TOML, &config);

    setup_use_mode(setup, "codex", mode);
    put_model(setup, root, mode);
    put_provider(setup, root);
    for (size_t i = 0; i < mesh->mode_count; i++)
        if (mesh_mode_chats(&mesh->modes[i]))
            put_profile(setup, &mesh->modes[i]);
    setup_certificate(setup, "CODEX_CA_CERTIFICATE");
    setup_note(setup, "Codex warns that it does not know the model: that does no harm.");
}
