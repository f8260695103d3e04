/* Editors whose settings no other program can write: what to type, and where. */
#include "cli/setup/editors.h"

/* "mesh-ask, mesh-code, …", each with a row in the table. */
static const char *list_modes(struct setup *setup, const char *what)
{
    const char *list = "";

    for (size_t i = 0; i < setup->mesh->mode_count; i++) {
        const struct mesh_mode *mode = &setup->mesh->modes[i];

        if (!mesh_mode_chats(mode))
            continue;
        setup_use_mode(setup, what, mode);
        list = setup_words(setup, "%s%s%s", list, *list ? ", " : "", mode->id);
    }
    return list;
}

void note_cursor(struct setup *setup)
{
    setup_step(setup, "Cursor Settings, Models, API Keys: turn on OpenAI API Key and paste %s",
            setup_key(setup));
    setup_step(setup, "Override OpenAI Base URL: %s", setup_url(setup, "/v1"));
    setup_step(setup, "Add Custom Model, one each: %s", list_modes(setup, "custom model"));
    setup_step(setup, "Verify, and pick one of them in the chat or agent panel");
    setup_note(setup, "Cursor's servers, not this machine, call that address with your prompts and "
                      "your key: it must be reachable from the internet, with a certificate that "
                      "they trust (not the mesh's own). Give it a key of its own, with limits: "
                      "modemesh keys create cursor --requests-per-minute 60");
    setup_note(setup, "The address stands for all of OpenAI in Cursor: its other OpenAI models "
                      "stop working. Tab completion stays with Cursor.");
}

void note_jetbrains(struct setup *setup)
{
    setup_step(setup, "Settings, Tools, AI Assistant, Providers & API keys (Models in older ones)");
    setup_step(setup, "Third-party AI providers: OpenAI-compatible");
    setup_step(setup, "URL: %s", setup_url(setup, "/v1"));
    setup_step(setup, "API Key: %s", setup_key(setup));
    setup_step(setup, "Test Connection, turn tool calling on, Apply");
    setup_step(setup, "Pick in the chat's model menu: %s", list_modes(setup, "model menu"));
    if (*setup->mesh->ca)
        setup_step(setup, "Settings, Tools, Server Certificates: add %s", setup->mesh->ca);
}

static void step_variable(struct setup *setup, const char *name, const char *value)
{
    if (value)
        setup_step(setup, "    %s=%s", name, value);
}

void note_open_webui(struct setup *setup)
{
    setup_step(setup, "Admin Panel, Settings, Connections, OpenAI API: add a connection");
    setup_step(setup, "URL: %s", setup_url(setup, "/v1"));
    setup_step(setup, "Key: %s", setup_key(setup));
    setup_step(setup, "The models come by themselves: %s", list_modes(setup, "model menu"));
    setup_step(setup, "A new installation takes the same from its environment, at first start:");
    step_variable(setup, "OPENAI_API_BASE_URL", setup_url(setup, "/v1"));
    step_variable(setup, "OPENAI_API_KEY", setup_key(setup));
    step_variable(setup, "TASK_MODEL_EXTERNAL", setup_use(setup, "titles and tags", "fast"));
    step_variable(setup, "ENABLE_FORWARD_USER_INFO_HEADERS", "true");
    step_variable(setup, "AIOHTTP_CLIENT_TIMEOUT", "1800");
    if (*setup->mesh->ca)
        step_variable(setup, "SSL_CERT_FILE", setup->mesh->ca);
    if (mesh_is_local(setup->mesh))
        setup_note(setup, "In a container, 127.0.0.1 is the container: run it with "
                          "--network host, or give it an address of the network (--url).");
}
