/* What memory this host has for engines: its GPUs, its main memory, and which of them is the pool
 * that engines load into.
 *
 *   POOL_GPU      cards with memory of their own: the sum of it, as an engine splits a model over
 *                 them; with cards of two makers those of the one that has more, as an engine is
 *                 built for one
 *   POOL_UNIFIED  no such card, but a GPU that shares the host's memory (an AMD APU, a DGX Spark):
 *                 what it may map, and never more than the host has free
 *   POOL_HOST     neither: main memory
 *
 * The pool is chosen once, so that a card that is lost takes its memory with it and does not make
 * models for a GPU go to main memory. Memory that other programs use counts at every look. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "node/hardware/device.h"
#include "node/hardware/host_memory.h"

#include <stdint.h>

enum {
    HARDWARE_RESERVE_GIB = 16,    /* for those who work on a unified-memory host … */
    HARDWARE_RESERVE_DIVISOR = 4, /* … and at most so large a part of it */
};

enum pool_kind { POOL_HOST, POOL_UNIFIED, POOL_GPU, POOL_KIND_COUNT };
enum pool_choice { POOL_AUTO, POOL_CHOOSE_HOST, POOL_CHOOSE_GPU, POOL_CHOICE_COUNT };

/* "host", "unified", "gpu". */
const char *pool_kind_name(enum pool_kind kind);
/* "auto", "host" (leaves GPUs alone), "gpu" (either kind; none is an error). -EINVAL. */
MUST_CHECK int pool_choice_parse(const char *text, enum pool_choice *ret_choice);
/* "nvidia", "amd". */
const char *device_kind_name(enum device_kind kind);

struct hardware_config {
    const char *root; /* before /proc, /sys and /etc: "" for this host */
    const char *nvml; /* library; NULL: NVML_LIBRARY, "": none */
    enum pool_choice choice;
};

/* One look. */
struct hardware_state {
    struct device_list devices;
    struct host_memory host;
    enum pool_kind pool;
    uint64_t pool_total_bytes, pool_free_bytes;
    uint64_t pool_bandwidth_bytes; /* a second, of its slowest part; 0: not known */
};

struct hardware;

/* -ENODATA … where the host's memory cannot be read, -ENODEV where a GPU was asked for and there is
 * none that tells its memory. A driver that does not answer is no error: the state's `trouble` says
 * so. What `config` points to is copied. */
MUST_CHECK int hardware_create(
        const struct hardware_config *config, struct hardware **ret_hardware, struct err *err);
/* Takes NULL. */
void hardware_destroy(struct hardware *hardware);

/* Looks now. Cheap: some small reads, for each second and before each load. */
MUST_CHECK int hardware_read(
        const struct hardware *hardware, struct hardware_state *ret_state, struct err *err);

/* Memory of the pool that stays free for the people who work on this host, unless they say
 * otherwise: HARDWARE_RESERVE_GIB where it is unified and the host has a graphical login
 * (/etc/systemd/system/display-manager.service, which every distribution's display manager brings),
 * else 0. Known from the start, so that the limit does not depend on who is logged in. */
uint64_t hardware_reserve_bytes(const struct hardware *hardware);
