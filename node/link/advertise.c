#include "node/link/advertise.h"

#include <stdlib.h>
#include <string.h>

/* Nodes listen on no port for others. */
enum { NO_PORT = 0 };

static void add_models(struct announcement *announcement, struct supervisor *supervisor)
{
    struct msg_instance instance;
    const char *model;

    for (size_t i = 0; (model = supervisor_model_at(supervisor, i)) != NULL; i++)
        if (supervisor_describe(supervisor, model, &instance) &&
                instance.state == INSTANCE_RESIDENT)
            (void)announcement_add_model(announcement, model);
}

static void describe(struct announcement *announcement, struct supervisor *supervisor,
        const char *name, const char *key)
{
    struct msg_state memory = {0};

    *announcement = (struct announcement){.name = ""};
    strcpy(announcement->name, name);
    strcpy(announcement->key, key);
    if (supervisor == NULL)
        return;
    add_models(announcement, supervisor);
    supervisor_memory(supervisor, &memory);
    announcement->memory_total_bytes = memory.memory_total_bytes;
    announcement->memory_available_bytes = memory.memory_available_bytes;
}

static bool memory_moved(const struct announcement *a, const struct announcement *b)
{
    uint64_t moved = a->memory_available_bytes > b->memory_available_bytes
                             ? a->memory_available_bytes - b->memory_available_bytes
                             : b->memory_available_bytes - a->memory_available_bytes;

    return moved > b->memory_total_bytes / ADVERTISE_MEMORY_PARTS;
}

void advertise_tick(struct advertise *advertise, struct discovery *discovery,
        struct supervisor *supervisor, const char *name, const char *key, uint64_t now_ms)
{
    struct announcement now;
    bool first = advertise->said.key[0] == '\0';

    if (!first && (now_ms - advertise->said_ms < ADVERTISE_MIN_MS ||
                          now_ms - advertise->looked_ms < ADVERTISE_LOOK_MS))
        return;
    advertise->looked_ms = now_ms;
    describe(&now, supervisor, name, key);
    if (!first && strcmp(now.models, advertise->said.models) == 0 &&
            strcmp(now.key, advertise->said.key) == 0 && !memory_moved(&advertise->said, &now))
        return;
    advertise->said = now;
    advertise->said_ms = now_ms;
    discovery_announce(discovery, ANNOUNCEMENT_NODE, NO_PORT, &now);
}
