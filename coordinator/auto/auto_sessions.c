#include "coordinator/auto/auto_sessions.h"

#include <stdlib.h>
#include <string.h>

struct auto_sessions {
    const struct env *env;
    struct affinities *affinities;
    char **names; /* of modes; a mode's number is its place */
    size_t count;
};

struct auto_sessions *auto_sessions_create(const struct env *env, struct affinities *affinities)
{
    struct auto_sessions *sessions = calloc(1, sizeof(*sessions));
    if (!sessions)
        return NULL;
    sessions->env = env;
    sessions->affinities = affinities;
    sessions->names = calloc(AUTO_SESSIONS_MODES_MAX, sizeof(*sessions->names));
    if (sessions->names)
        return sessions;
    free(sessions);
    return NULL;
}

void auto_sessions_destroy(struct auto_sessions *sessions)
{
    if (!sessions)
        return;
    for (size_t i = 0; i < sessions->count; i++)
        free(sessions->names[i]);
    free(sessions->names);
    free(sessions);
}

/* UINT16_MAX where there is no room for another name. */
static uint16_t number_of(struct auto_sessions *sessions, const char *mode)
{
    size_t i = 0;
    while (i < sessions->count && strcmp(sessions->names[i], mode) != 0)
        i++;
    if (i < sessions->count)
        return (uint16_t)i;
    if (i == AUTO_SESSIONS_MODES_MAX || !(sessions->names[i] = strdup(mode)))
        return UINT16_MAX;
    sessions->count++;
    return (uint16_t)i;
}

static double now_s(const struct auto_sessions *sessions)
{
    return (double)env_now_us(sessions->env) / 1e6;
}

struct auto_session auto_sessions_find(
        struct auto_sessions *sessions, const char *tenant, const char *id)
{
    struct auto_session session = {.level = 0};
    const struct affinity *affinity =
            *id ? affinities_find(sessions->affinities,
                          affinity_id(sessions->affinities, tenant, id), now_s(sessions))
                : NULL;
    if (!affinity || affinity->mode >= sessions->count)
        return session;
    strcpy(session.mode, sessions->names[affinity->mode]);
    session.marked = affinity->mode_is_marked;
    session.level = affinity->level;
    return session;
}

void auto_sessions_note(struct auto_sessions *sessions, const char *tenant, const char *id,
        const struct auto_session *session)
{
    struct affinity *affinity =
            *id && session->mode[0]
                    ? affinities_touch(sessions->affinities,
                              affinity_id(sessions->affinities, tenant, id), now_s(sessions))
                    : NULL;
    if (!affinity)
        return;
    affinity->mode = number_of(sessions, session->mode);
    affinity->mode_is_marked = session->marked;
    affinity->level = session->level;
}
