/* Claude Code: variables, which its settings.json carries in "env". It appends /v1/messages itself,
 * assumes a context of a million tokens where none is given, and sends a block that differs per
 * conversation before everything else, which costs the cache. */
#include "cli/setup/editors.h"

static const char *const files[] = {".claude/settings.json", NULL};
static const struct setup_where settings = {
        .variable = "CLAUDE_CONFIG_DIR", .name = "settings.json", .candidates = files};

static void put_lengths(struct setup *setup, cJSON *env, uint64_t context)
{
    put_str(setup, env, "CLAUDE_CODE_MAX_CONTEXT_TOKENS",
            setup_words(setup, "%llu", (unsigned long long)context));
    put_str(setup, env, "CLAUDE_CODE_MAX_OUTPUT_TOKENS",
            setup_words(setup, "%llu", (unsigned long long)setup_answer_tokens(context)));
}

static void put_models(struct setup *setup, cJSON *env)
{
    static const struct {
        const char *variable, *role;
    } models[] = {
            {"ANTHROPIC_MODEL", "code"},
            {"ANTHROPIC_DEFAULT_SONNET_MODEL", "code"},
            {"ANTHROPIC_DEFAULT_OPUS_MODEL", "plan"},
            {"ANTHROPIC_DEFAULT_HAIKU_MODEL", "fast"},
            {"CLAUDE_CODE_SUBAGENT_MODEL", "agent"},
    };

    for (size_t i = 0; i < sizeof(models) / sizeof(*models); i++)
        put_str(setup, env, models[i].variable,
                setup_use(setup, models[i].variable, models[i].role));
}

void note_claude_code(struct setup *setup)
{
    cJSON *env = put_object(setup, setup_file(setup, MERGE_JSONC, &settings), "env");
    uint64_t context;

    put_str(setup, env, "ANTHROPIC_BASE_URL", setup_url(setup, ""));
    put_key(setup, env, "ANTHROPIC_AUTH_TOKEN");
    put_models(setup, env);
    context = setup_context(setup);
    if (context)
        put_lengths(setup, env, context);
    put_str(setup, env, "CLAUDE_CODE_ATTRIBUTION_HEADER", "0");
    put_str(setup, env, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1");
    put_str(setup, env, "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY", "1");
    put_str(setup, env, "ENABLE_TOOL_SEARCH", "false");
    if (*setup->mesh->ca)
        put_str(setup, env, "NODE_EXTRA_CA_CERTS", setup->mesh->ca);
    if (!context)
        setup_note(setup, "The context of the models is not known: set "
                          "CLAUDE_CODE_MAX_CONTEXT_TOKENS too, as Claude Code assumes 1,000,000.");
    setup_note(setup, "'claude --model opusplan' plans with the Opus model above and works with "
                      "the Sonnet one.");
}
