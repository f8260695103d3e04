#include "node/hardware/hardware.h"

#include "common/saturating.h"
#include "node/hardware/amdgpu.h"
#include "node/hardware/nvml.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct hardware {
    char *root;
    struct nvml *nvml; /* NULL: none, or not wanted */
    struct amdgpu *amdgpu;
    enum pool_kind pool;
    enum device_kind maker; /* whose devices make the pool, where it is no POOL_HOST */
    uint64_t reserve_bytes;
    char trouble[DEVICE_TROUBLE_MAX]; /* of the start */
};

static const char *const pool_names[POOL_KIND_COUNT] = {"host", "unified", "gpu"};
static const char *const choice_names[POOL_CHOICE_COUNT] = {"auto", "host", "gpu"};
static const char *const device_names[DEVICE_KIND_COUNT] = {"nvidia", "amd"};

const char *pool_kind_name(enum pool_kind kind)
{
    return pool_names[kind];
}

const char *device_kind_name(enum device_kind kind)
{
    return device_names[kind];
}

int pool_choice_parse(const char *text, enum pool_choice *ret_choice)
{
    for (unsigned i = 0; i < POOL_CHOICE_COUNT; i++)
        if (strcmp(text, choice_names[i]) == 0) {
            *ret_choice = (enum pool_choice)i;
            return 0;
        }
    return -EINVAL;
}

/* --- the pool --- */

static bool belongs(const struct device *device, enum pool_kind pool, enum device_kind maker)
{
    return device->kind == maker && device->unified == (pool == POOL_UNIFIED);
}

/* An answer reads every card's part of the model in turn: the slowest says most. One that is not
 * known leaves all unknown. */
static void take_bandwidth(struct hardware_state *state, const struct device *device, bool first)
{
    if (first || device->bandwidth_bytes < state->pool_bandwidth_bytes)
        state->pool_bandwidth_bytes = device->bandwidth_bytes;
}

/* Cards add up; what shares the host's memory is counted once. */
static void sum_devices(struct hardware_state *state, enum pool_kind pool, enum device_kind maker)
{
    state->pool = pool;
    state->pool_total_bytes = state->pool_free_bytes = state->pool_bandwidth_bytes = 0;
    for (size_t i = 0; i < state->devices.count; i++) {
        const struct device *device = &state->devices.items[i];
        if (!belongs(device, pool, maker))
            continue;
        take_bandwidth(state, device, state->pool_total_bytes == 0);
        state->pool_total_bytes = saturating_sum(state->pool_total_bytes, device->total_bytes);
        state->pool_free_bytes = saturating_sum(state->pool_free_bytes, device->free_bytes);
        if (pool == POOL_UNIFIED)
            return;
    }
}

static void measure_pool(const struct hardware *hardware, struct hardware_state *state)
{
    if (hardware->pool != POOL_HOST) {
        sum_devices(state, hardware->pool, hardware->maker);
        return;
    }
    state->pool = POOL_HOST;
    state->pool_total_bytes = state->host.total_bytes;
    state->pool_free_bytes = state->host.available_bytes;
    state->pool_bandwidth_bytes = 0;
}

/* False where no device is of this kind. */
static bool choose_among(
        struct hardware *hardware, enum pool_kind pool, struct hardware_state *state)
{
    uint64_t most = 0;

    for (unsigned maker = 0; maker < DEVICE_KIND_COUNT; maker++) {
        sum_devices(state, pool, (enum device_kind)maker);
        if (state->pool_total_bytes > most) {
            most = state->pool_total_bytes;
            hardware->pool = pool;
            hardware->maker = (enum device_kind)maker;
        }
    }
    return most > 0;
}

static int choose_pool(struct hardware *hardware, enum pool_choice choice,
        struct hardware_state *state, struct err *err)
{
    hardware->pool = POOL_HOST;
    if (choice != POOL_CHOOSE_HOST && !choose_among(hardware, POOL_GPU, state) &&
            !choose_among(hardware, POOL_UNIFIED, state) && choice == POOL_CHOOSE_GPU)
        return err_set(err, -ENODEV, "no GPU tells its memory%s%s",
                state->devices.trouble[0] == '\0' ? "" : ": ", state->devices.trouble);
    measure_pool(hardware, state);
    return 0;
}

/* --- the reserve --- */

static bool has_graphical_login(const char *root)
{
    char path[PATH_MAX];
    struct stat st;

    /* The link itself: where it leads to is no matter of `root`. */
    return (size_t)snprintf(path, sizeof path, "%s/etc/systemd/system/display-manager.service",
                   root) < sizeof path &&
           lstat(path, &st) == 0;
}

static uint64_t reserve_for(const char *root, const struct hardware_state *state)
{
    uint64_t most = state->pool_total_bytes / HARDWARE_RESERVE_DIVISOR;
    uint64_t reserve = (uint64_t)HARDWARE_RESERVE_GIB << 30;

    if (state->pool != POOL_UNIFIED || !has_graphical_login(root))
        return 0;
    return reserve < most ? reserve : most;
}

uint64_t hardware_reserve_bytes(const struct hardware *hardware)
{
    return hardware->reserve_bytes;
}

/* --- life --- */

static int look(const struct hardware *hardware, struct hardware_state *state, struct err *err)
{
    int rc = host_memory_read(hardware->root, &state->host, err);

    if (rc < 0)
        return rc;
    state->devices.count = 0;
    strcpy(state->devices.trouble, hardware->trouble);
    if (hardware->nvml != NULL)
        nvml_read(hardware->nvml, &state->host, &state->devices);
    if (hardware->amdgpu != NULL)
        amdgpu_read(hardware->amdgpu, &state->host, &state->devices);
    return 0;
}

int hardware_read(
        const struct hardware *hardware, struct hardware_state *ret_state, struct err *err)
{
    struct hardware_state state;
    int rc = look(hardware, &state, err);

    if (rc < 0)
        return rc;
    measure_pool(hardware, &state);
    *ret_state = state;
    return 0;
}

/* An NVML that is there and does not work is told; none at all is how most hosts are. */
static int open_nvml(struct hardware *hardware, const char *library, struct err *err)
{
    int rc;

    if (library == NULL)
        library = NVML_LIBRARY;
    if (*library == '\0')
        return 0;
    rc = nvml_open(library, &hardware->nvml, err);
    if (rc == -ENOMEM)
        return rc;
    if (rc < 0 && rc != -ENOENT)
        (void)snprintf(hardware->trouble, sizeof hardware->trouble, "%s", err->text);
    return 0;
}

static int open_devices(
        struct hardware *hardware, const struct hardware_config *config, struct err *err)
{
    hardware->amdgpu = amdgpu_create(config->root);
    if (hardware->amdgpu == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    return open_nvml(hardware, config->nvml, err);
}

static int start(struct hardware *hardware, const struct hardware_config *config, struct err *err)
{
    struct hardware_state state;
    int rc = 0;

    hardware->root = strdup(config->root);
    if (hardware->root == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    if (config->choice != POOL_CHOOSE_HOST)
        rc = open_devices(hardware, config, err);
    if (rc == 0)
        rc = look(hardware, &state, err);
    if (rc == 0)
        rc = choose_pool(hardware, config->choice, &state, err);
    if (rc == 0)
        hardware->reserve_bytes = reserve_for(config->root, &state);
    return rc;
}

int hardware_create(
        const struct hardware_config *config, struct hardware **ret_hardware, struct err *err)
{
    struct hardware *hardware = calloc(1, sizeof *hardware);
    struct err own;
    int rc;

    if (hardware == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    rc = start(hardware, config, err == NULL ? &own : err);
    if (rc < 0) {
        hardware_destroy(hardware);
        return rc;
    }
    *ret_hardware = hardware;
    return 0;
}

void hardware_destroy(struct hardware *hardware)
{
    if (hardware == NULL)
        return;
    nvml_close(hardware->nvml);
    amdgpu_destroy(hardware->amdgpu);
    free(hardware->root);
    free(hardware);
}
