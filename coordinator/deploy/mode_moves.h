/* The modes as they are in force: those of the config, and on top of them what deploys have moved,
 * which outlives the coordinator in STATE/mode-moves.json. A move puts one model first in a mode's
 * list, takes the one that it replaced off, and lets it answer where rules named that one. The
 * config is read anew under it: what is moved stays moved, the rest of the list is the config's,
 * until the move is undone. Writes block on one small file. Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "coordinator/modes/modes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MODE_MOVES_OF_MODE_MAX = MODE_MODELS_MAX + 1, /* entries of one mode: one first, others off */
    MODE_MOVES_MAX = 1024,                        /* entries in the file */
    MODE_MOVES_FILE_MAX = 512 * 1024,
};

struct mode_move { /* one entry: `model` is first in the mode's list, or off it */
    char mode[MSG_NAME_MAX + 1], model[MSG_NAME_MAX + 1];
    bool off;
    int64_t moved_ms; /* Unix time */
};

struct mode_moves;

/* Takes `config` (moved), also where it fails. What is in the file of modes that the config does
 * not have, or of models that it does not name, is told in the log and kept. Errors: as book_read()
 * returns them, -ENOMEM. */
MUST_CHECK int mode_moves_open(
        const char *path, struct modes *config, struct mode_moves **ret_moves, struct err *err);
void mode_moves_close(struct mode_moves *moves); /* takes NULL */

/* The config was read again: takes `config` (moved), also where it fails. -ENOMEM: all is as it
 * was. */
MUST_CHECK int mode_moves_reload(struct mode_moves *moves, struct modes *config, struct err *err);
/* As they are in force. The struct stays where it is; what is in it, until the next change. */
const struct modes *mode_moves_modes(const struct mode_moves *moves);
/* As the config has it; NULL where it does not. Until the next reload. */
const struct mode *mode_moves_config(const struct mode_moves *moves, const char *mode);

/* The model is first in the mode's list from now on, and what was first is off it. -ENOENT: the
 * config has no such mode; -ENOSPC at a limit; or what book_commit() returns; then nothing has
 * changed. */
MUST_CHECK int mode_moves_put(struct mode_moves *moves, const char *mode, const char *model,
        int64_t now_ms, struct err *err);
/* The mode is as the config has it. 0 also where it was so. Errors as above. */
MUST_CHECK int mode_moves_undo(struct mode_moves *moves, const char *mode, struct err *err);

/* What is moved of one mode, to be put back should the move turn out to have been for nothing. */
struct mode_moves_saved {
    char mode[MSG_NAME_MAX + 1];
    struct mode_move entries[MODE_MOVES_OF_MODE_MAX];
    size_t count;
};
void mode_moves_save(
        const struct mode_moves *moves, const char *mode, struct mode_moves_saved *ret_saved);
/* Errors as of mode_moves_put(). */
MUST_CHECK int mode_moves_restore(
        struct mode_moves *moves, const struct mode_moves_saved *saved, struct err *err);
