#include "coordinator/plan/plan_digest.h"

#include "common/number.h"

#include <string.h>

enum { ROOM_STEPS = 8 }; /* so that what others take and give back in passing makes no new plan */

/* FNV-1a, 64 bits; of numbers all eight bytes at once. */
#define FNV_BASIS UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

static uint64_t add_text(uint64_t digest, const char *text)
{
    for (; *text; text++)
        digest = (digest ^ (unsigned char)*text) * FNV_PRIME;
    return digest * FNV_PRIME; /* where it ends */
}

static uint64_t add_number(uint64_t digest, uint64_t number)
{
    digest = (digest ^ number) * FNV_PRIME;
    return digest ^ digest >> 32; /* a multiplication takes no high bit down */
}

static uint64_t add_instance(uint64_t digest, const struct instance *instance)
{
    bool resident = instance->state == INSTANCE_RESIDENT;
    digest = add_text(digest, instance->model);
    for (size_t i = 0; i < instance->alias_count; i++)
        digest = add_text(digest, instance->aliases[i]);
    digest = add_number(digest, instance->state);
    digest = add_number(digest, instance->pinned);
    digest = add_number(digest, instance->quality);
    digest = add_number(digest, resident ? instance->context : instance->run_context);
    return add_number(digest, resident ? instance->slots : instance->run_slots);
}

/* Of ROOM_STEPS that the limit has, in whole ones. */
static uint64_t room_steps(const struct node_facts *facts)
{
    uint64_t limit = facts->memory_limit_bytes;
    uint64_t room = facts->memory_room_bytes ? facts->memory_room_bytes : limit;
    return number_lesser(room, limit) / (limit / ROOM_STEPS + 1);
}

static uint64_t digest_of_host(const struct plan_host *host)
{
    uint64_t digest = add_text(FNV_BASIS, host->name);
    digest = add_number(digest, host->facts.draining);
    digest = add_number(digest, host->facts.memory_limit_bytes);
    digest = add_number(digest, room_steps(&host->facts));
    digest = add_number(digest, host->facts.swap_allowance_bytes);
    for (size_t i = 0; i < host->count; i++)
        digest = add_instance(digest, host->instances[i]);
    return digest;
}

static uint64_t add_mode(uint64_t digest, const struct mode *mode)
{
    const uint32_t numbers[] = {mode->context, mode->context_is_set, mode->context_floor,
            mode->slots, mode->copies, mode->weight, mode->batch};
    digest = add_text(digest, mode->name);
    for (size_t i = 0; i < mode->model_count; i++) {
        digest = add_text(digest, mode->models[i]);
        digest = add_number(digest, mode_said_points(mode, mode->models[i]));
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        digest = add_number(digest, numbers[i]);
    return digest;
}

uint64_t plan_digest(const struct plan_host *hosts, size_t host_count, const struct modes *modes)
{
    uint64_t digest = FNV_BASIS;
    for (size_t i = 0; i < modes->count; i++)
        digest = add_mode(digest, &modes->list[i]);
    for (size_t i = 0; i < host_count; i++)
        digest += digest_of_host(&hosts[i]); /* in any order */
    return digest;
}
