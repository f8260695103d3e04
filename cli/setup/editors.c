#include "cli/setup/editors.h"

#include "common/text.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

const struct editor editors[] = {
        {.name = "roo", .title = "Roo Code", .also = {"roo-code", "roo-cline"}, .note = note_roo},
        {.name = "cline", .title = "Cline", .note = note_cline},
        {.name = "kilo",
                .title = "Kilo Code",
                .also = {"kilo-code", "kilocode"},
                .note = note_kilo},
        {.name = "continue", .title = "Continue", .note = note_continue},
        {.name = "cursor",
                .title = "Cursor",
                .note = note_cursor,
                .by_hand = "Cursor keeps its model settings in a database of its own",
                .from_outside = true},
        {.name = "claude-code",
                .title = "Claude Code",
                .also = {"claude"},
                .note = note_claude_code},
        {.name = "codex", .title = "Codex", .note = note_codex},
        {.name = "opencode", .title = "opencode", .note = note_opencode},
        {.name = "zed", .title = "Zed", .note = note_zed},
        {.name = "copilot",
                .title = "Copilot in VS Code, own models",
                .also = {"vscode", "vs-code", "github-copilot"},
                .note = note_copilot},
        {.name = "jetbrains",
                .title = "JetBrains AI Assistant",
                .also = {"intellij", "idea", "pycharm"},
                .note = note_jetbrains,
                .by_hand = "JetBrains IDEs keep keys in the system's password store"},
        {.name = "aider", .title = "Aider", .note = note_aider},
        {.name = "openclaw", .title = "OpenClaw", .note = note_openclaw},
        {.name = "open-webui",
                .title = "Open WebUI",
                .note = note_open_webui,
                .by_hand = "Open WebUI keeps its connections in its database, behind the admin "
                           "page"},
        {.name = "llama.vim",
                .title = "llama.vim",
                .also = {"vim", "neovim", "nvim"},
                .note = note_llama_vim},
        {.name = "llama.vscode", .title = "llama.vscode", .note = note_llama_vscode},
        {.name = NULL},
};

enum { EDITORS_COUNT = sizeof(editors) / sizeof(*editors) - 1 };

/* The editor that goes by another name, too. */
static const char *find_alias(const char *alias)
{
    for (const struct editor *editor = editors; editor->name; editor++)
        for (size_t i = 0; i < sizeof(editor->also) / sizeof(*editor->also); i++)
            if (editor->also[i] && strcasecmp(editor->also[i], alias) == 0)
                return editor->name;
    return NULL;
}

const struct editor *editor_find(const char *name, struct err *err)
{
    const char *names[EDITORS_COUNT + 1] = {NULL}, *nearest;

    for (size_t i = 0; i < EDITORS_COUNT; i++) {
        if (strcmp(editors[i].name, name) == 0)
            return &editors[i];
        names[i] = editors[i].name;
    }
    nearest = find_alias(name);
    nearest = nearest ? nearest : text_nearest(name, names);
    err_set(err, -EINVAL, "no editor '%s' is known%s%s%s 'modemesh setup' lists them", name,
            nearest ? "; did you mean '" : ";", nearest ? nearest : "", nearest ? "'?" : "");
    return NULL;
}
