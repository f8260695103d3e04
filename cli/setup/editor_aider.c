/* Aider: its config is YAML in the home; context lengths stand in a JSON file beside it. */
#include "cli/setup/editors.h"

static const char *const files[] = {".aider.conf.yml", NULL};
static const struct setup_where config = {.candidates = files};

static const char *reference(struct setup *setup, const char *id)
{
    return setup_words(setup, "openai/%s", id);
}

static void put_metadata(struct setup *setup, cJSON *root, const struct mesh_mode *mode)
{
    uint64_t answer = setup_answer_tokens(mode->context);
    cJSON *model = put_object(setup, root, reference(setup, mode->id));

    put_number(setup, model, "max_tokens", answer);
    put_number(setup, model, "max_input_tokens", mode->context);
    put_number(setup, model, "max_output_tokens", answer);
    put_number(setup, model, "input_cost_per_token", 0);
    put_number(setup, model, "output_cost_per_token", 0);
    put_str(setup, model, "litellm_provider", "openai");
    put_str(setup, model, "mode", "chat");
}

static void put_all_metadata(struct setup *setup)
{
    cJSON *root = NULL;

    for (size_t i = 0; i < setup->mesh->mode_count; i++) {
        const struct mesh_mode *mode = &setup->mesh->modes[i];

        if (!mesh_mode_chats(mode) || !mode->context)
            continue;
        if (!root)
            root = setup_file_beside(setup, MERGE_JSONC, ".aider.model.metadata.json");
        put_metadata(setup, root, mode);
    }
}

void note_aider(struct setup *setup)
{
    cJSON *root = setup_file(setup, MERGE_YAML, &config);

    put_str(setup, root, "openai-api-base", setup_url(setup, "/v1"));
    put_key(setup, root, "openai-api-key");
    put_str(setup, root, "model", reference(setup, setup_use(setup, "model", "code")));
    put_str(setup, root, "weak-model", reference(setup, setup_use(setup, "weak-model", "fast")));
    put_str(setup, root, "editor-model",
            reference(setup, setup_use(setup, "editor-model", "edit")));
    put_all_metadata(setup);
    setup_certificate(setup, "SSL_CERT_FILE");
    setup_note(setup, "To let one model plan and another edit: aider --architect --model %s",
            reference(setup, setup_use(setup, "--architect --model", "architect")));
    if (*setup->mesh->ca)
        setup_note(setup, "SSL_CERT_FILE replaces the certificates that Aider trusts otherwise.");
}
