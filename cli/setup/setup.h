/* What one editor needs, as its own function in editors.h notes it down: which models stand for its
 * modes, the settings that go into its files, what is left to do by hand. Printed and written
 * elsewhere (setup_print.h, setup_write.h), from the same notes.
 *
 * The functions that note something never fail aloud: what memory or a limit refuses is remembered,
 * and setup_result() says so at the end. */
#pragma once

#include "cli/merge/merge.h"
#include "cli/setup/mesh.h"
#include "common/arena.h"

#include <limits.h>

enum {
    SETUP_FILES_MAX = MESH_MODES_MAX + 8,
    SETUP_USES_MAX = 4 * MESH_MODES_MAX,
    SETUP_TEXT_MAX = 64 * 1024,    /* bytes of all steps and notes */
    SETUP_WORDS_MAX = 1024 * 1024, /* bytes of setup_words() in sum */
};

struct setup_use { /* one row of the table of modes */
    const char *what;
    const struct mesh_mode *mode;
};

struct setup_file {
    enum merge_format format;
    char path[PATH_MAX];
    cJSON *patch;
    bool secret; /* it is for its owner's eyes: a key is in it */
};

/* Where the files of people are. */
struct setup_place {
    char home[PATH_MAX];
    bool foreign;     /* another's home, by --home: variables of ours do not count */
    const char *file; /* --file: instead of the editor's first file; NULL */
};

struct setup {
    const struct mesh *mesh;
    const struct setup_place *place;
    const char *editor, *title; /* its name, for programs and for people */
    struct setup_use uses[SETUP_USES_MAX];
    size_t use_count;
    struct setup_file files[SETUP_FILES_MAX];
    size_t file_count;
    struct buf steps, notes;
    struct buf environment; /* lines of a shell, where the editor reads no file for it */
    struct arena words;
    bool failed;
};

void setup_init(struct setup *setup, const struct mesh *mesh, const struct setup_place *place,
        const char *editor, const char *title);
/* Wipes the settings and texts, which may hold the key. */
void setup_fini(struct setup *setup);
/* Ends the notes. -ENOMEM where one could not be made. */
MUST_CHECK int setup_result(struct setup *setup, struct err *err);

/* --- the mesh as editors name it --- */

/* A formatted word that lives as long as the setup; "" where memory is short. */
const char *setup_words(struct setup *setup, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));
/* "http://127.0.0.1:8420" + `path`. */
const char *setup_url(struct setup *setup, const char *path);
/* The key; where none is needed, harmless text for editors that want some; where one is needed and
 * not known, text that says so. */
const char *setup_key(const struct setup *setup);
/* True where setup_key() is a real one. */
bool setup_has_key(const struct setup *setup);

/* The model for a role of mesh_mode_for(), with a row in the table of modes: `what` is the editor's
 * word for it. NULL where the mesh has none. */
const char *setup_use(struct setup *setup, const char *what, const char *role);
/* The same for a mode that is known already. */
const char *setup_use_mode(struct setup *setup, const char *what, const struct mesh_mode *mode);
/* The least context of all that setup_use() gave for roles that chat; 0: not known. */
uint64_t setup_context(const struct setup *setup);
/* How much of a context to leave for the answer. */
uint64_t setup_answer_tokens(uint64_t context);

/* --- files --- */

/* Where an editor keeps a file. */
struct setup_where {
    const char *variable;          /* environment that names its folder; NULL */
    const char *name;              /* the file in that folder; NULL: the variable names the file */
    const char *const *candidates; /* below the home, ends with NULL: the first one that is there,
                                      else the first */
};

/* True where the next setup_file() there would have a path that ends so. */
bool setup_finds(struct setup *setup, const struct setup_where *where, const char *suffix);
/* A file to merge into: returns the patch, an empty object, to be filled; NULL on failure. */
cJSON *setup_file(struct setup *setup, enum merge_format format, const struct setup_where *where);
/* The same with an array as its root. */
cJSON *setup_list_file(
        struct setup *setup, enum merge_format format, const struct setup_where *where);
/* A further file, beside the first one. */
cJSON *setup_file_beside(struct setup *setup, enum merge_format format, const char *name);

/* One member of `parent`, or one element where `key` is NULL. A NULL parent is passed over. */
cJSON *put_object(struct setup *setup, cJSON *parent, const char *key);
cJSON *put_array(struct setup *setup, cJSON *parent, const char *key);
void put_str(struct setup *setup, cJSON *parent, const char *key, const char *value);
void put_number(struct setup *setup, cJSON *parent, const char *key, uint64_t value);
void put_bool(struct setup *setup, cJSON *parent, const char *key, bool value);
/* The key of the mesh; marks the file as secret where it is a real one. */
void put_key(struct setup *setup, cJSON *parent, const char *key);

/* --- for people --- */

/* What is to be done by hand, in order. */
void setup_step(struct setup *setup, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What is good to know. */
void setup_note(struct setup *setup, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A variable that the editor must have from its environment. `value` has no single quote. */
void setup_variable(struct setup *setup, const char *name, const char *value);
/* The variable that names the mesh's certificate; nothing where none has to be named. */
void setup_certificate(struct setup *setup, const char *variable);
