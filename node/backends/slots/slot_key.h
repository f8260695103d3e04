/* Whether what slots held fits the engine that would take it back: a name, for slot_files_folder(),
 * of all that decides what a prompt becomes in an engine's cache. Beside how it is started, as the
 * caller says, these are
 * - the variables LLAMA_ARG_… that it inherits, each of which stands for an option, in any order;
 *   not those that the node adds where it inherits none (how much is logged and kept);
 * - the files that its words and these variables name: model, adapters, control vectors, projector,
 *   draft model. Their content may change under one path, so that inode, size and the time of the
 *   last change count. (What is replaced between this look and the engine's own is not noticed.)
 *
 * Which options name files is not listed here, as engines get new ones: what is the path of a file
 * counts, be it a word, what is behind its first `=`, a part of either between commas, or what is
 * before the last colon of one (`env NAME=FILE`, `--lora-scaled FILE:0.5,FILE:1`). Blocking on a
 * few names; any thread. */
#pragma once

enum {
    SLOT_KEY_BYTES = 16,
    SLOT_KEY_MAX = 2 * SLOT_KEY_BYTES + 1, /* in hexadecimal, with the final NUL */
};

/* `words` of the engine and `environment` (NAME=VALUE) end with NULL. */
void slot_key_make(const char *start, const char *const *words, const char *const *environment,
        char ret_key[SLOT_KEY_MAX]);
