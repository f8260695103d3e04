/* llama.vim: a dictionary that must be there when the plug-in loads. In a vimrc ours goes last, on
 * top of what the owner has set; in an init.lua first, as plug-in managers load at once. */
#include "cli/setup/editors.h"

static const char *const files[] = {
        ".vimrc", ".vim/vimrc", ".config/nvim/init.lua", ".config/nvim/init.vim", NULL};
static const struct setup_where config = {.candidates = files};

struct entry {
    const char *name, *value; /* NULL: left out */
};

enum { ENTRIES = 5 };

static void put_vim(struct setup *setup, cJSON *root, const struct entry *entries)
{
    const char *text = "let g:llama_config = extend(get(g:, 'llama_config', {}), {\n";

    for (size_t i = 0; i < ENTRIES; i++)
        if (entries[i].value)
            text = setup_words(
                    setup, "%s    \\ '%s': '%s',\n", text, entries[i].name, entries[i].value);
    put_str(setup, root, "llama.vim", setup_words(setup, "%s    \\ })\n", text));
}

static void put_lua(struct setup *setup, cJSON *root, const struct entry *entries)
{
    const char *text = "vim.g.llama_config = vim.tbl_extend('force', vim.g.llama_config or {}, {\n";

    for (size_t i = 0; i < ENTRIES; i++)
        if (entries[i].value)
            text = setup_words(setup, "%s  %s = '%s',\n", text, entries[i].name, entries[i].value);
    put_str(setup, root, "llama.vim", setup_words(setup, "%s})\n", text));
}

void note_llama_vim(struct setup *setup)
{
    bool lua = setup_finds(setup, &config, ".lua"), key = setup_has_key(setup);
    cJSON *root = setup_file(setup, lua ? MERGE_LUA : MERGE_VIM, &config);
    const char *fim = setup_use(setup, "completion", "autocomplete");
    const char *instruction = setup_use(setup, "instruction", "edit");
    const struct entry entries[ENTRIES] = {
            {"endpoint_fim", setup_url(setup, "/infill")},
            {"endpoint_inst", setup_url(setup, "/v1/chat/completions")},
            {"model_fim", fim},
            {"model_inst", instruction},
            {"api_key", key || !setup->mesh->keyless ? setup_key(setup) : NULL},
    };

    if (lua)
        put_lua(setup, root, entries);
    else
        put_vim(setup, root, entries);
    if (key && setup->file_count)
        setup->files[0].secret = true;
    setup_certificate(setup, "CURL_CA_BUNDLE");
    if (!fim)
        setup_note(setup, "Without a mode autocomplete, any model with FIM tokens completes.");
    setup_note(setup, "Where your own settings set g:llama_config as a whole behind this, "
                      "they win.");
}
