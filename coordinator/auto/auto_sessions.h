/* What the mesh knows of each conversation's mode, for `auto`. Lies in the table of conversations
 * (scheduling/affinity.h), which forgets those that ended; there a mode is a number, here it gets
 * its name back. Loop thread. */
#pragma once

#include "common/env.h"
#include "coordinator/auto/auto_mode.h"
#include "coordinator/scheduling/affinity.h"

enum {
    AUTO_SESSIONS_MODES_MAX = 1024, /* different names of modes in one run; of later ones nothing is
                                       remembered */
};

struct auto_sessions;

/* Both are borrowed. NULL where malloc refuses. */
struct auto_sessions *auto_sessions_create(const struct env *env, struct affinities *affinities);
void auto_sessions_destroy(struct auto_sessions *sessions); /* takes NULL */

/* What is known of the conversation that `tenant` calls `id`; nothing where `id` is "". */
struct auto_session auto_sessions_find(
        struct auto_sessions *sessions, const char *tenant, const char *id);
/* Remembers it, as far as there is memory. */
void auto_sessions_note(struct auto_sessions *sessions, const char *tenant, const char *id,
        const struct auto_session *session);
