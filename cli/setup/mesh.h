/* What an editor is told about the mesh: where it is, with which key, and which modes it has. From
 * the coordinator, or from words on the command line. Everything in it is safe to stand in a
 * config file of any kind: no quotes, no control characters. */
#pragma once

#include "cli/client.h"
#include "common/err.h"

#include <cjson/cJSON.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MESH_MODES_MAX = 64,
    MESH_WORD_MAX = 128, /* bytes of a mode's or a model's name; others are left out */
    MESH_LIST_MAX = 512, /* bytes of the names of one mode's models; more are left out */
};

struct mesh_mode {
    char name[MESH_WORD_MAX + 1];
    char id[sizeof("mesh--") + 2 * MESH_WORD_MAX]; /* what an editor asks for as its model */
    char models[MESH_LIST_MAX]; /* "first, second": of the coordinator's config; "" not known */
    bool sees;                  /* takes images */
    bool toolless;              /* known to take no tools */
    bool unfit;       /* known not to do what the mode is for, such as to complete: for no role */
    uint64_t context; /* tokens that each of its models takes at least; 0: not known */
};

struct mesh {
    char url[CLIENT_URL_MAX];     /* without a slash or /v1 behind */
    char key[CLIENT_KEY_MAX + 1]; /* "": none is known */
    bool keyless;                 /* no key is asked for */
    char ca[PATH_MAX]; /* file with the certificate to trust; "": http, or trusted already */
    struct mesh_mode modes[MESH_MODES_MAX];
    size_t mode_count;
};

/* Takes the modes that GET /v1/models lists from what GET /mesh/v1/status says, and behind them
 * "auto", where that is listed, as what the modes to talk to can together; what completes code by
 * the name with a model that is listed, else by the first of its models. -ENOENT: none. */
MUST_CHECK int mesh_take_modes(
        struct mesh *mesh, const cJSON *status, const cJSON *models, struct err *err);
/* "ask,code,autocomplete=MODEL", for a coordinator that is not asked. `context` goes for all. */
MUST_CHECK int mesh_take_words(
        struct mesh *mesh, const char *words, uint64_t context, struct err *err);

/* Checks and keeps each; -EINVAL says what is wrong, but never shows the key. `ca` is made
 * absolute.
 */
MUST_CHECK int mesh_set_url(struct mesh *mesh, const char *url, struct err *err);
MUST_CHECK int mesh_set_key(struct mesh *mesh, const char *key, struct err *err);
MUST_CHECK int mesh_set_ca(struct mesh *mesh, const char *ca, struct err *err);

/* True where the URL means this machine; where it begins with https:; where its host may be reached
 * from the internet, as far as a name can tell. */
bool mesh_is_local(const struct mesh *mesh);
bool mesh_is_https(const struct mesh *mesh);
bool mesh_is_public(const struct mesh *mesh);

/* The mode for an editor's role ("code", "plan", "autocomplete", …): the one of that name, else the
 * best that stands in. NULL where nothing can, which for roles that chat means no mode at all. */
const struct mesh_mode *mesh_mode_for(const struct mesh *mesh, const char *role);
/* True for a mode that people and agents talk to: not autocomplete, embed, rerank. */
bool mesh_mode_chats(const struct mesh_mode *mode);
