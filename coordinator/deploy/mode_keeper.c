#include "coordinator/deploy/mode_keeper.h"

#include "common/log.h"
#include "coordinator/modes/mode_suggest.h"
#include "coordinator/modes/mode_yaml.h"

#include <stdlib.h>
#include <string.h>

enum { YAML_MAX = 256 * 1024 };

struct mode_keeper {
    struct mode_keeper_config config;
    struct suggest_models models;
    struct buf yaml; /* of the modes that were put last */
    uint64_t looked_ms;
};

struct mode_keeper *mode_keeper_create(const struct mode_keeper_config *config)
{
    struct mode_keeper *keeper = calloc(1, sizeof(*keeper));
    if (!keeper)
        return NULL;
    keeper->config = *config;
    buf_init(&keeper->yaml, YAML_MAX);
    return keeper;
}

void mode_keeper_destroy(struct mode_keeper *keeper)
{
    if (!keeper)
        return;
    buf_fini(&keeper->yaml);
    free(keeper);
}

static void look(struct mode_keeper *keeper)
{
    size_t count;
    struct instance *const *instances = node_table_instances(keeper->config.nodes, &count);
    suggest_look(&keeper->models, instances, count);
}

/* The modes that are derived, with the aliases that there are. */
static int derive(const struct mode_keeper *keeper, struct modes *ret_modes, struct err *err)
{
    struct modes made, next;
    int r = suggest_modes(&keeper->models, &made, err);
    if (r)
        return r;
    r = modes_copy(mode_moves_modes(keeper->config.moves), &next, err);
    if (!r) {
        const struct modes old = next;
        next.list = made.list;
        next.count = made.count;
        made.list = old.list;
        made.count = old.count;
        *ret_modes = next;
    }
    modes_fini(&made);
    return r;
}

static bool is_same(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(buf_at(a), buf_at(b), a->len) == 0);
}

/* After a reload there are none, whatever was put before. */
static bool is_in_force(const struct mode_keeper *keeper, const struct buf *yaml)
{
    const struct modes *now = mode_moves_modes(keeper->config.moves);
    return is_same(&keeper->yaml, yaml) && (now->count > 0) == (yaml->len > 0);
}

/* Takes `yaml` where it gives 1; 0: they are the same. */
static int put_if_changed(struct mode_keeper *keeper, struct buf *yaml, struct err *err)
{
    struct modes modes;
    int r = derive(keeper, &modes, err);
    if (r)
        return r;
    r = mode_yaml_append(&modes, yaml);
    if (r || is_in_force(keeper, yaml)) {
        modes_fini(&modes);
        return r ? err_set(err, r, "no memory for the modes") : 0;
    }
    size_t count = modes.count;
    r = mode_moves_reload(keeper->config.moves, &modes, err);
    if (r)
        return r;
    log_info("modes derived from what the nodes have; `modemesh modes --suggest` prints them to "
             "keep",
            LOG_U("modes", count));
    return 1;
}

static bool renew(struct mode_keeper *keeper)
{
    struct buf yaml;
    struct err err;
    buf_init(&yaml, YAML_MAX);
    look(keeper);
    int r = put_if_changed(keeper, &yaml, &err);
    if (r < 0)
        log_warn("modes not derived; the old ones stay", LOG_S("reason", err.text));
    if (r > 0) {
        buf_fini(&keeper->yaml);
        keeper->yaml = yaml;
    } else {
        buf_fini(&yaml);
    }
    return r > 0;
}

bool mode_keeper_tick(struct mode_keeper *keeper)
{
    const struct modes *now = mode_moves_modes(keeper->config.moves);
    uint64_t now_ms = env_now_ms(keeper->config.env);
    bool due = now->count == 0 || now_ms - keeper->looked_ms >= MODE_KEEPER_LOOK_MS;
    if (!now->derived || !due)
        return false;
    keeper->looked_ms = now_ms;
    return renew(keeper);
}
