/* Zed: settings.json. Its key for a provider comes from the system's key store or from a variable
 * named after the provider, never from a file, and some text must be there. */
#include "cli/setup/editors.h"

static const char *const files[] = {".config/zed/settings.json", NULL};
static const struct setup_where settings = {.candidates = files};

static void put_capabilities(struct setup *setup, cJSON *model, const struct mesh_mode *mode)
{
    cJSON *capabilities = put_object(setup, model, "capabilities");

    put_bool(setup, capabilities, "tools", !mode->toolless);
    put_bool(setup, capabilities, "images", mode->sees);
    put_bool(setup, capabilities, "parallel_tool_calls", !mode->toolless);
    put_bool(setup, capabilities, "prompt_cache_key", true);
    put_bool(setup, capabilities, "chat_completions", true);
}

static void put_model(struct setup *setup, cJSON *models, const struct mesh_mode *mode)
{
    enum { CONTEXT_UNKNOWN = 32768 }; /* Zed must have some number */
    uint64_t context = mode->context ? mode->context : CONTEXT_UNKNOWN;
    cJSON *model = put_object(setup, models, NULL);

    put_str(setup, model, "name", mode->id);
    put_str(setup, model, "display_name", setup_words(setup, "modemesh %s", mode->name));
    put_number(setup, model, "max_tokens", context);
    put_number(setup, model, "max_output_tokens", setup_answer_tokens(context));
    put_capabilities(setup, model, mode);
}

static void put_provider(struct setup *setup, cJSON *root)
{
    cJSON *kind =
            put_object(setup, put_object(setup, root, "language_models"), "openai_compatible");
    cJSON *provider = put_object(setup, kind, "modemesh"), *models;

    put_str(setup, provider, "api_url", setup_url(setup, "/v1"));
    models = put_array(setup, provider, "available_models");
    for (size_t i = 0; i < setup->mesh->mode_count; i++)
        if (mesh_mode_chats(&setup->mesh->modes[i]))
            put_model(setup, models, &setup->mesh->modes[i]);
}

static void put_features(struct setup *setup, cJSON *root)
{
    static const struct {
        const char *name, *role;
    } features[] = {
            {"default_model", "code"},
            {"inline_assistant_model", "edit"},
            {"commit_message_model", "fast"},
            {"thread_summary_model", "fast"},
    };
    cJSON *agent = put_object(setup, root, "agent");

    for (size_t i = 0; i < sizeof(features) / sizeof(*features); i++) {
        cJSON *model = put_object(setup, agent, features[i].name);
        const char *what = setup_words(setup, "agent.%s", features[i].name);

        put_str(setup, model, "provider", "modemesh");
        put_str(setup, model, "model", setup_use(setup, what, features[i].role));
    }
}

static void put_predictions(struct setup *setup, cJSON *root)
{
    const char *id = setup_use(setup, "edit_predictions", "autocomplete");
    cJSON *predictions, *api;

    if (!id)
        return;
    predictions = put_object(setup, root, "edit_predictions");
    put_str(setup, predictions, "provider", "open_ai_compatible_api");
    api = put_object(setup, predictions, "open_ai_compatible_api");
    put_str(setup, api, "api_url", setup_url(setup, "/v1/completions"));
    put_str(setup, api, "model", id);
    put_str(setup, api, "prompt_format", "infer");
    put_number(setup, api, "max_output_tokens", 128);
}

void note_zed(struct setup *setup)
{
    cJSON *root = setup_file(setup, MERGE_JSONC, &settings);

    put_provider(setup, root);
    put_features(setup, root);
    put_predictions(setup, root);
    setup_variable(setup, "MODEMESH_API_KEY", setup_key(setup));
    setup_certificate(setup, "SSL_CERT_FILE");
    setup_note(setup, "Zed takes the key from MODEMESH_API_KEY, or once by hand: Agent settings, "
                      "LLM Providers, modemesh. A Zed that the desktop starts sees no variables "
                      "of a shell.");
    if (*setup->mesh->ca)
        setup_note(setup, "SSL_CERT_FILE replaces the system's certificates: better put the "
                          "mesh's into the system's store.");
}
