/* The memory of NVIDIA GPUs, through NVML, the management library that comes with the driver. It is
 * loaded at run time and nothing of it is needed to build: a host without it has no such GPU.
 *
 * What is declared in nvml.c is NVML's stable ABI (versioned symbols, fixed structs), as the NVML
 * API Reference Guide (docs.nvidia.com/deploy/nvml-api) gives it. Memory that the driver keeps for
 * itself ("reserved", 638 MiB of an RTX PRO 6000) is in no figure here: no engine can take it.
 *
 * - A GPU whose memory is the host's (GB10 of the DGX Spark, Jetson) has none of its own to tell:
 *   NVML_ERROR_NOT_SUPPORTED, or a total of 0. It counts as unified, with the host's figures.
 * - A GPU in MIG mode is used by its instances. Before driver R570 a CUDA process takes the first
 *   one that it sees and no other GPU beside it (MIG User Guide, "CUDA Device Enumeration"), so it
 *   is the only one here, too; with a newer driver that is less than there may be, never more.
 *
 * The GPUs are those of the start: NVML itself looks once. As long as it is open a GPU stays
 * initialised, which makes a look cost microseconds. Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "node/hardware/device.h"
#include "node/hardware/host_memory.h"

#define NVML_LIBRARY "libnvidia-ml.so.1"

struct nvml;

/* Loads `library` (a name for dlopen()) and begins. -ENOENT: there is none, so no NVIDIA driver;
 * -ELIBBAD: it is there and is no NVML that we know; -ENODEV: the driver does not answer (not
 * loaded, another version than the library's, no permission); -ENOMEM. */
MUST_CHECK int nvml_open(const char *library, struct nvml **ret_nvml, struct err *err);
/* Takes NULL. */
void nvml_close(struct nvml *nvml);

/* Adds the GPUs that answer to `list`, at most as many as it holds. One that is lost, or that we
 * may not ask, is left out. */
void nvml_read(const struct nvml *nvml, const struct host_memory *host, struct device_list *list);
