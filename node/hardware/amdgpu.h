/* The memory of AMD GPUs, as the kernel's amdgpu driver tells it in sysfs, without any library:
 *
 *   /sys/class/drm/cardN/device/uevent                       DRIVER=amdgpu, PCI_ID, PCI_SLOT_NAME
 *   …/mem_info_vram_total, mem_info_vram_used                bytes
 *   …/mem_info_gtt_total, mem_info_gtt_used                  bytes of main memory that it may map
 *   …/hwmon/hwmonN/in1_label                                 "vddnb"
 *
 * (Documentation/gpu/amdgpu/driver-misc.rst and thermal.rst of the kernel.) A card of its own
 * memory has VRAM; GTT is main memory that it reaches over the bus, and counts nothing here. An APU
 * has a carve-out of main memory as VRAM, which MemTotal does not contain, and the rest as GTT; the
 * driver uses either for the same things, so both count, GTT no further than the host's memory.
 * An APU is told by the voltage "vddnb", which the driver shows for APUs alone (amdgpu_pm.c: "only
 * APUs have vddnb"), and where the driver shows no sensors by a VRAM that no card is sold with.
 *
 * Cards are looked for once; those that come later need a new look for them. Loop thread. */
#pragma once

#include "node/hardware/device.h"
#include "node/hardware/host_memory.h"

struct amdgpu;

/* `root` as in host_memory.h. NULL where malloc refuses; a host without such cards has none in it.
 */
struct amdgpu *amdgpu_create(const char *root);
/* Takes NULL. */
void amdgpu_destroy(struct amdgpu *amdgpu);

/* Adds the cards that answer to `list`, at most as many as it holds. */
void amdgpu_read(
        const struct amdgpu *amdgpu, const struct host_memory *host, struct device_list *list);
