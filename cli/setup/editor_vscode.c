/* What lives in the user folder of VS Code: the list of own models for Copilot, and the settings of
 * llama.vscode. */
#include "cli/setup/editors.h"

static const char *const model_files[] = {".config/Code/User/chatLanguageModels.json",
        ".config/Code - Insiders/User/chatLanguageModels.json",
        "Library/Application Support/Code/User/chatLanguageModels.json", NULL};
static const struct setup_where model_list = {.candidates = model_files};

static const char *const settings_files[] = {".config/Code/User/settings.json",
        ".config/VSCodium/User/settings.json", ".config/Code - Insiders/User/settings.json",
        "Library/Application Support/Code/User/settings.json", NULL};
static const struct setup_where settings = {.candidates = settings_files};

static void put_model(struct setup *setup, cJSON *models, const struct mesh_mode *mode)
{
    enum { CONTEXT_UNKNOWN = 32768 }; /* VS Code must have some number */
    uint64_t context = mode->context ? mode->context : CONTEXT_UNKNOWN;
    uint64_t answer = setup_answer_tokens(context);
    cJSON *model = put_object(setup, models, NULL);

    setup_use_mode(setup, setup_words(setup, "modemesh %s", mode->name), mode);
    put_str(setup, model, "id", mode->id);
    put_str(setup, model, "name", setup_words(setup, "modemesh %s", mode->name));
    put_str(setup, model, "url", setup_url(setup, "/v1/chat/completions"));
    put_bool(setup, model, "toolCalling", !mode->toolless);
    put_bool(setup, model, "vision", mode->sees);
    put_number(setup, model, "maxInputTokens", context - answer);
    put_number(setup, model, "maxOutputTokens", answer);
}

void note_copilot(struct setup *setup)
{
    cJSON *group = put_object(setup, setup_list_file(setup, MERGE_JSONC, &model_list), NULL);
    cJSON *models;

    put_str(setup, group, "name", "modemesh");
    put_str(setup, group, "vendor", "customendpoint");
    put_key(setup, group, "?apiKey"); /* VS Code moves it to its secret storage */
    put_str(setup, group, "apiType", "chat-completions");
    models = put_array(setup, group, "models");
    for (size_t i = 0; i < setup->mesh->mode_count; i++)
        if (mesh_mode_chats(&setup->mesh->modes[i]))
            put_model(setup, models, &setup->mesh->modes[i]);
    setup_note(setup, "This is VS Code 1.122 or later with Copilot Chat; the models are in the "
                      "menu below the chat. A new key: \"Chat: Manage Language Models\".");
    setup_note(setup, "Inline suggestions stay with GitHub; llama.vscode or Continue do them on "
                      "the mesh.");
    setup_certificate(setup, "NODE_EXTRA_CA_CERTS");
}

static void put_endpoint(struct setup *setup, cJSON *root, const char *endpoint, const char *key)
{
    put_str(setup, root, endpoint, setup_url(setup, ""));
    if (setup_has_key(setup) || !setup->mesh->keyless)
        put_key(setup, root, key);
}

void note_llama_vscode(struct setup *setup)
{
    cJSON *root = setup_file(setup, MERGE_JSONC, &settings);

    setup_use(setup, "completion", "autocomplete");
    put_endpoint(setup, root, "llama-vscode.endpoint", "llama-vscode.api_key");
    put_endpoint(setup, root, "llama-vscode.endpoint_chat", "llama-vscode.api_key_chat");
    put_endpoint(setup, root, "llama-vscode.endpoint_tools", "llama-vscode.api_key_tools");
    if (setup_use(setup, "embeddings", "embed"))
        put_endpoint(
                setup, root, "llama-vscode.endpoint_embeddings", "llama-vscode.api_key_embeddings");
    put_str(setup, root, "llama-vscode.ai_model", setup_use(setup, "chat and tools", "code"));
    put_str(setup, root, "llama-vscode.ai_api_version", "v1");
    if (*setup->mesh->ca)
        put_str(setup, root, "llama-vscode.self_signed_certificate", setup->mesh->ca);
    if (!mesh_mode_for(setup->mesh, "autocomplete"))
        setup_note(setup, "Without a mode autocomplete, any model with FIM tokens completes.");
}
