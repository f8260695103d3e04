/* Cline: the CLI keeps its provider in a file; the extension of VS Code asks for the same values.
 * It ends a turn for good after 300 s without a byte. */
#include "cli/setup/editors.h"

#include <time.h>

static const char *const files[] = {".cline/data/settings/providers.json", NULL};
static const struct setup_where providers = {.candidates = files};

static const char *now(struct setup *setup)
{
    time_t seconds = time(NULL);
    char text[sizeof("2026-01-01T00:00:00Z")] = "";
    struct tm utc;

    if (gmtime_r(&seconds, &utc))
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
    return setup_words(setup, "%s", text);
}

static void put_provider(struct setup *setup, cJSON *provider, const struct mesh_mode *mode)
{
    cJSON *settings = put_object(setup, provider, "settings");

    put_str(setup, settings, "provider", "openai-compatible");
    put_str(setup, settings, "baseUrl", setup_url(setup, "/v1"));
    put_key(setup, settings, "apiKey");
    put_str(setup, settings, "model", mode->id);
    if (mode->context)
        put_number(setup, settings, "contextWindow", mode->context);
    put_str(setup, provider, "?updatedAt", now(setup));
    put_str(setup, provider, "?tokenSource", "manual");
}

static void note_extension(struct setup *setup, const char *act, const char *plan)
{
    uint64_t context = setup_context(setup);

    setup_step(setup, "In VS Code: Cline's settings, API Provider: OpenAI Compatible");
    setup_step(setup, "Base URL: %s", setup_url(setup, "/v1"));
    setup_step(setup, "API Key: %s", setup_key(setup));
    setup_step(setup, "\"Use different models for Plan and Act\": Plan %s, Act %s", plan, act);
    if (context)
        setup_step(setup, "Model Configuration, Context Window Size: %llu",
                (unsigned long long)context);
}

void note_cline(struct setup *setup)
{
    cJSON *root = setup_file(setup, MERGE_JSONC, &providers);
    const char *act = setup_use(setup, "act (and the CLI)", "code");
    const char *plan = setup_use(setup, "plan", "plan");

    put_number(setup, root, "?version", 1);
    put_str(setup, root, "lastUsedProvider", "openai-compatible");
    put_object(setup, root, "?modes");
    put_provider(setup,
            put_object(setup, put_object(setup, root, "providers"), "openai-compatible"),
            mesh_mode_for(setup->mesh, "code"));
    note_extension(setup, act, plan);
    setup_certificate(setup, "NODE_EXTRA_CA_CERTS");
}
