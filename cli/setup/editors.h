/* The editors that `modemesh setup` knows, in one table. */
#pragma once

#include "cli/setup/setup.h"

struct editor {
    const char *name;                  /* "claude-code", on the command line; NULL ends the table */
    const char *title;                 /* "Claude Code", for people */
    const char *also[3];               /* what people call it besides, to be told its name */
    void (*note)(struct setup *setup); /* notes down all that it needs */
    /* Why nothing can be merged into a file of its own; NULL: it can. */
    const char *by_hand;
    /* Its maker's servers call the mesh: that takes a public https:// address and a key. */
    bool from_outside;
};

extern const struct editor editors[];

/* NULL writes the error, with the nearest name. */
const struct editor *editor_find(const char *name, struct err *err);

/* One function each, in editor_NAME.c. */
void note_aider(struct setup *setup);
void note_claude_code(struct setup *setup);
void note_cline(struct setup *setup);
void note_codex(struct setup *setup);
void note_continue(struct setup *setup);
void note_copilot(struct setup *setup);
void note_cursor(struct setup *setup);
void note_jetbrains(struct setup *setup);
void note_kilo(struct setup *setup);
void note_llama_vim(struct setup *setup);
void note_llama_vscode(struct setup *setup);
void note_open_webui(struct setup *setup);
void note_openclaw(struct setup *setup);
void note_opencode(struct setup *setup);
void note_roo(struct setup *setup);
void note_zed(struct setup *setup);
