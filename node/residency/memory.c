#include "node/residency/memory.h"

#include "common/log.h"
#include "common/model/estimate.h"
#include "common/number.h"
#include "common/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct memory {
    const struct env *env;
    struct hardware *hardware;
    struct hardware_state state;
    char *root; /* of the files of the kernel, for the watch */
    struct oom_watch oom_watch;
    uint64_t looked_ms, limit_bytes, keep_free_bytes;
    char trouble[ERR_TEXT_MAX]; /* told already */
};

static void tell_trouble(struct memory *memory, const char *trouble)
{
    if (strcmp(memory->trouble, trouble) == 0)
        return;
    (void)snprintf(memory->trouble, sizeof memory->trouble, "%s", trouble);
    if (memory->trouble[0] == '\0')
        log_info("all memory is known again", LOG_U("devices", memory->state.devices.count));
    else
        log_warn("memory is not known", LOG_S("reason", memory->trouble));
}

void memory_look(struct memory *memory)
{
    struct err err;

    memory->looked_ms = env_now_ms(memory->env);
    oom_watch_look(&memory->oom_watch);
    if (hardware_read(memory->hardware, &memory->state, &err) == 0) {
        tell_trouble(memory, memory->state.devices.trouble);
    } else {
        memory->state = (struct hardware_state){.pool = memory->state.pool};
        tell_trouble(memory, err.text);
    }
}

uint64_t memory_due_ms(const struct memory *memory)
{
    return memory->looked_ms + MEMORY_LOOK_MS;
}

void memory_refresh(struct memory *memory)
{
    if (env_now_ms(memory->env) >= memory_due_ms(memory))
        memory_look(memory);
}

struct oom_watch *memory_oom_watch(struct memory *memory)
{
    return &memory->oom_watch;
}

const struct hardware_state *memory_state(const struct memory *memory)
{
    return &memory->state;
}

uint64_t memory_limit_bytes(const struct memory *memory)
{
    return memory->limit_bytes;
}

uint64_t memory_keep_free_bytes(const struct memory *memory)
{
    return memory->keep_free_bytes;
}

static int set_limit(struct memory *memory, const struct memory_config *config, struct err *err)
{
    uint64_t total = memory->state.pool_total_bytes, reserve = config->reserve_bytes;
    uint64_t limit = config->limit_bytes;
    char kept[32], all[32];

    if (reserve == MEMORY_RESERVE_DEFAULT)
        reserve = hardware_reserve_bytes(memory->hardware);
    if (limit == 0 && reserve >= total)
        return err_set(err, -EINVAL, "a reserve of %s leaves nothing of %s for models",
                text_format_size(reserve, kept, sizeof kept),
                text_format_size(total, all, sizeof all));
    if (limit == 0 && memory->state.pool == POOL_HOST)
        limit = (total - reserve) / 100 * MEMORY_HOST_PERCENT;
    else if (limit == 0)
        limit = total - reserve;
    memory->keep_free_bytes = total - estimate_usable_bytes(total);
    memory->limit_bytes = number_lesser(limit, total - memory->keep_free_bytes);
    return 0;
}

static int start(struct memory *memory, const struct memory_config *config, struct err *err)
{
    int rc = hardware_create(&config->hardware, &memory->hardware, err);

    if (rc < 0)
        return rc;
    memory->root = strdup(config->hardware.root);
    if (memory->root == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    oom_watch_init(&memory->oom_watch, memory->root, memory->env);
    memory_look(memory);
    rc = set_limit(memory, config, err);
    if (rc == 0)
        log_info("memory", LOG_S("pool", pool_kind_name(memory->state.pool)),
                LOG_U("devices", memory->state.devices.count),
                LOG_U("total_bytes", memory->state.pool_total_bytes),
                LOG_U("free_bytes", memory->state.pool_free_bytes),
                LOG_U("limit_bytes", memory->limit_bytes));
    return rc;
}

int memory_create(const struct memory_config *config, const struct env *env,
        struct memory **ret_memory, struct err *err)
{
    struct memory *memory = calloc(1, sizeof *memory);
    int rc;

    if (memory == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    memory->env = env;
    rc = start(memory, config, err);
    if (rc < 0) {
        memory_destroy(memory);
        return rc;
    }
    *ret_memory = memory;
    return 0;
}

void memory_destroy(struct memory *memory)
{
    if (memory == NULL)
        return;
    hardware_destroy(memory->hardware);
    free(memory->root);
    free(memory);
}
