/* Roo Code keeps its profiles in VS Code's secret storage, which no other program may write; it
 * imports them from a file: one profile for each of its modes. A model's name with o1, o3 or o4 in
 * it would change the roles that it sends. */
#include "cli/setup/editors.h"

#include <string.h>

static const char *const files[] = {".config/modemesh/roo-code-settings.json", NULL};
static const struct setup_where import = {.candidates = files};

static void put_profile(
        struct setup *setup, cJSON *profiles, const char *name, const struct mesh_mode *mode)
{
    cJSON *profile = put_object(setup, profiles, name), *info;

    put_str(setup, profile, "id", name);
    put_str(setup, profile, "apiProvider", "openai");
    put_str(setup, profile, "openAiBaseUrl", setup_url(setup, "/v1"));
    put_key(setup, profile, "openAiApiKey");
    put_str(setup, profile, "openAiModelId", mode->id);
    put_bool(setup, profile, "openAiStreamingEnabled", true);
    if (!mode->context)
        return;
    info = put_object(setup, profile, "openAiCustomModelInfo");
    put_number(setup, info, "contextWindow", mode->context);
    put_number(setup, info, "maxTokens", setup_answer_tokens(mode->context));
    put_bool(setup, info, "supportsImages", mode->sees);
    put_bool(setup, info, "supportsPromptCache", false);
}

static void check_name(struct setup *setup, const char *id)
{
    if (strstr(id, "o1") || strstr(id, "o3") || strstr(id, "o4"))
        setup_note(setup,
                "Roo takes %s for a model of OpenAI by its name, and sends it other "
                "roles: rename that mode.",
                id);
}

void note_roo(struct setup *setup)
{
    static const char *const slugs[] = {"ask", "code", "architect", "debug", "orchestrator"};
    cJSON *profiles =
            put_object(setup, setup_file(setup, MERGE_JSONC, &import), "providerProfiles");
    cJSON *configs = put_object(setup, profiles, "apiConfigs");
    cJSON *modes = put_object(setup, profiles, "modeApiConfigs");

    put_str(setup, profiles, "currentApiConfigName", "modemesh-code");
    for (size_t i = 0; i < sizeof(slugs) / sizeof(*slugs); i++) {
        const struct mesh_mode *mode = mesh_mode_for(setup->mesh, slugs[i]);
        const char *name = setup_words(setup, "modemesh-%s", slugs[i]);

        check_name(setup, setup_use_mode(setup, setup_words(setup, "mode %s", slugs[i]), mode));
        put_profile(setup, configs, name, mode);
        put_str(setup, modes, slugs[i], name);
    }
    setup_step(setup, "modemesh setup roo --write makes the file; Roo reads it when you say so:");
    setup_step(setup, "Roo's settings, About Roo Code, Import, and choose %s",
            setup->file_count ? setup->files[0].path : "the file");
    setup_step(setup, "Importing adds the profiles and keeps your others; again after a change.");
    setup_note(setup, "Roo gives up after 10 minutes without an answer: \"roo-cline."
                      "apiRequestTimeout\": 0 in VS Code's settings lifts that.");
    setup_certificate(setup, "NODE_EXTRA_CA_CERTS");
}
