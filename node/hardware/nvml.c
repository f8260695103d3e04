#include "node/hardware/nvml.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* nvmlReturn_t, as far as it decides something here. */
enum { NVML_SUCCESS = 0, NVML_ERROR_NOT_SUPPORTED = 3 };

enum { MIG_ENABLED = 1, NVML_CLOCK_MEM = 2, NVML_NAME_MAX = 96 };

typedef struct nvml_handle *nvml_device; /* nvmlDevice_t: a pointer that is never looked into */

struct nvml_memory { /* nvmlMemory_t */
    unsigned long long total, free, used;
};

struct nvml_memory_v2 { /* nvmlMemory_v2_t */
    unsigned version;
    unsigned long long total, reserved, free, used;
};
static_assert(sizeof(struct nvml_memory_v2) == 40, "the size is part of the version");
static const unsigned memory_v2_version = (unsigned)sizeof(struct nvml_memory_v2) | 2u << 24;

struct nvml_pci { /* nvmlPciInfo_t since v3 */
    char bus_id_legacy[16];
    unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
    char bus_id[32];
};
static_assert(sizeof(struct nvml_pci) == 68, "as in nvml.h");

struct api {
    int (*init)(void);
    int (*shutdown)(void);
    const char *(*error_string)(int);
    int (*count)(unsigned *);
    int (*at)(unsigned, nvml_device *);
    int (*name)(nvml_device, char *, unsigned);
    int (*pci)(nvml_device, struct nvml_pci *);
    int (*memory)(nvml_device, struct nvml_memory *);
    int (*memory_v2)(nvml_device, struct nvml_memory_v2 *); /* since R510 */
    int (*clock)(nvml_device, unsigned type, unsigned *ret_mhz);
    int (*bus_width)(nvml_device, unsigned *ret_bits);                  /* since R510 */
    int (*mig_mode)(nvml_device, unsigned *current, unsigned *pending); /* since R450 */
    int (*mig_max)(nvml_device, unsigned *);                            /* since R450 */
    int (*mig_at)(nvml_device, unsigned, nvml_device *);                /* since R450 */
};

static const struct symbol {
    const char *name;
    size_t offset; /* in struct api */
    bool optional; /* older drivers have it not */
} symbols[] = {
        {"nvmlInit_v2", offsetof(struct api, init), false},
        {"nvmlShutdown", offsetof(struct api, shutdown), false},
        {"nvmlErrorString", offsetof(struct api, error_string), false},
        {"nvmlDeviceGetCount_v2", offsetof(struct api, count), false},
        {"nvmlDeviceGetHandleByIndex_v2", offsetof(struct api, at), false},
        {"nvmlDeviceGetName", offsetof(struct api, name), false},
        {"nvmlDeviceGetPciInfo_v3", offsetof(struct api, pci), false},
        {"nvmlDeviceGetMemoryInfo", offsetof(struct api, memory), false},
        {"nvmlDeviceGetMemoryInfo_v2", offsetof(struct api, memory_v2), true},
        {"nvmlDeviceGetMaxClockInfo", offsetof(struct api, clock), true},
        {"nvmlDeviceGetMemoryBusWidth", offsetof(struct api, bus_width), true},
        {"nvmlDeviceGetMigMode", offsetof(struct api, mig_mode), true},
        {"nvmlDeviceGetMaxMigDeviceCount", offsetof(struct api, mig_max), true},
        {"nvmlDeviceGetMigDeviceHandleByIndex", offsetof(struct api, mig_at), true},
};

struct gpu {
    nvml_device device;
    char name[DEVICE_TEXT_MAX], id[DEVICE_TEXT_MAX];
    uint64_t bandwidth_bytes;
};

struct nvml {
    void *library;
    struct api api;
    bool begun;
    bool instance; /* the only one in `gpus` is an instance of a GPU in MIG mode */
    size_t count;
    struct gpu gpus[HARDWARE_DEVICES_MAX];
    char trouble[DEVICE_TROUBLE_MAX]; /* of a GPU that could not be taken at the start */
};

/* --- the library --- */

static int find_symbols(struct nvml *nvml, const char *library, struct err *err)
{
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *address = dlsym(nvml->library, symbols[i].name);
        if (address == NULL && !symbols[i].optional)
            return err_set(err, -ELIBBAD, "%s is no NVML that we know: it has no %s", library,
                    symbols[i].name);
        /* ISO C has no cast from an object's pointer to a function's; POSIX has them alike. */
        memcpy((char *)&nvml->api + symbols[i].offset, &address, sizeof address);
    }
    return 0;
}

static int load(struct nvml *nvml, const char *library, struct err *err)
{
    const char *why;

    nvml->library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (nvml->library != NULL)
        return find_symbols(nvml, library, err);
    why = dlerror();
    if (why == NULL)
        why = "dlopen() does not say why";
    return err_set(
            err, strstr(why, "No such file") != NULL ? -ENOENT : -ELIBBAD, "cannot load %s", why);
}

static int begin(struct nvml *nvml, struct err *err)
{
    int code = nvml->api.init();

    if (code != NVML_SUCCESS)
        return err_set(err, -ENODEV, "the NVIDIA driver does not answer: %s",
                nvml->api.error_string(code));
    nvml->begun = true;
    return 0;
}

/* --- what there is --- */

static bool in_mig_mode(const struct nvml *nvml, nvml_device device)
{
    const struct api *api = &nvml->api;
    unsigned current, pending;

    return api->mig_mode != NULL && api->mig_max != NULL && api->mig_at != NULL &&
           api->mig_mode(device, &current, &pending) == NVML_SUCCESS && current == MIG_ENABLED;
}

static bool first_instance(const struct nvml *nvml, nvml_device device, nvml_device *ret_instance)
{
    unsigned max;

    if (nvml->api.mig_max(device, &max) != NVML_SUCCESS)
        return false;
    for (unsigned i = 0; i < max; i++)
        if (nvml->api.mig_at(device, i, ret_instance) == NVML_SUCCESS)
            return true;
    return false;
}

/* Two transfers a clock, over the whole width: 3.35 TB/s for an H100 at 2,619 MHz and 5,120 bits.
 */
static uint64_t bandwidth_of(const struct nvml *nvml, nvml_device device)
{
    unsigned mhz, bits;

    if (nvml->api.clock == NULL || nvml->api.bus_width == NULL ||
            nvml->api.clock(device, NVML_CLOCK_MEM, &mhz) != NVML_SUCCESS ||
            nvml->api.bus_width(device, &bits) != NVML_SUCCESS)
        return 0;
    return (uint64_t)mhz * 1000 * 1000 * 2 * (bits / 8);
}

/* An instance has a name of its own, and the address of its GPU. */
static void describe(
        const struct nvml *nvml, nvml_device device, nvml_device parent, struct gpu *ret_gpu)
{
    char name[NVML_NAME_MAX] = "";
    struct nvml_pci pci;

    *ret_gpu = (struct gpu){.device = device, .bandwidth_bytes = bandwidth_of(nvml, parent)};
    if (nvml->api.name(device, name, sizeof name) != NVML_SUCCESS)
        strcpy(name, "NVIDIA GPU");
    name[sizeof name - 1] = '\0';
    (void)snprintf(ret_gpu->name, sizeof ret_gpu->name, "%s", name);
    if (nvml->api.pci(parent, &pci) == NVML_SUCCESS)
        (void)snprintf(ret_gpu->id, sizeof ret_gpu->id, "%04x:%02x:%02x.0", pci.domain, pci.bus,
                pci.device);
}

static void take_instance(struct nvml *nvml, nvml_device parent, unsigned index)
{
    nvml_device instance;

    if (nvml->instance)
        return;
    if (!first_instance(nvml, parent, &instance)) {
        (void)snprintf(nvml->trouble, sizeof nvml->trouble,
                "NVIDIA GPU %u is in MIG mode and has no instance that we may use", index);
        return;
    }
    describe(nvml, instance, parent, &nvml->gpus[0]);
    nvml->count = 1;
    nvml->instance = true;
}

static void take_gpu(struct nvml *nvml, unsigned index)
{
    nvml_device device;
    int code = nvml->api.at(index, &device);

    if (code != NVML_SUCCESS)
        (void)snprintf(nvml->trouble, sizeof nvml->trouble, "NVIDIA GPU %u cannot be used: %s",
                index, nvml->api.error_string(code));
    else if (in_mig_mode(nvml, device))
        take_instance(nvml, device, index);
    else if (!nvml->instance && nvml->count < HARDWARE_DEVICES_MAX)
        describe(nvml, device, device, &nvml->gpus[nvml->count++]);
}

static int take_gpus(struct nvml *nvml, struct err *err)
{
    unsigned count;
    int code = nvml->api.count(&count);

    if (code != NVML_SUCCESS)
        return err_set(err, -ENODEV, "the NVIDIA driver does not tell its GPUs: %s",
                nvml->api.error_string(code));
    for (unsigned i = 0; i < count; i++)
        take_gpu(nvml, i);
    return 0;
}

/* --- one look --- */

/* nvmlReturn_t. */
static int read_memory(const struct nvml *nvml, nvml_device device, struct nvml_memory *ret_memory)
{
    struct nvml_memory_v2 memory = {.version = memory_v2_version};

    if (nvml->api.memory_v2 == NULL || nvml->api.memory_v2(device, &memory) != NVML_SUCCESS)
        return nvml->api.memory(device, ret_memory);
    *ret_memory = (struct nvml_memory){.total = memory.total, .free = memory.free};
    if (memory.reserved < memory.total)
        ret_memory->total -= memory.reserved;
    return NVML_SUCCESS;
}

static void fill(struct device *device, const struct gpu *gpu, const struct nvml_memory *memory,
        const struct host_memory *host)
{
    bool unified = memory->total == 0;

    *device = (struct device){.kind = DEVICE_NVIDIA,
            .bandwidth_bytes = gpu->bandwidth_bytes,
            .unified = unified,
            .total_bytes = unified ? host->total_bytes : memory->total,
            .free_bytes = unified ? host->available_bytes : memory->free};
    if (device->free_bytes > device->total_bytes)
        device->free_bytes = device->total_bytes;
    strcpy(device->name, gpu->name);
    strcpy(device->id, gpu->id);
}

void nvml_read(const struct nvml *nvml, const struct host_memory *host, struct device_list *list)
{
    if (nvml->trouble[0] != '\0')
        strcpy(list->trouble, nvml->trouble);
    for (size_t i = 0; i < nvml->count && list->count < HARDWARE_DEVICES_MAX; i++) {
        const struct gpu *gpu = &nvml->gpus[i];
        struct nvml_memory memory = {0};
        int code = read_memory(nvml, gpu->device, &memory);
        if (code == NVML_SUCCESS || code == NVML_ERROR_NOT_SUPPORTED)
            fill(&list->items[list->count++], gpu, &memory, host);
        else
            (void)snprintf(list->trouble, sizeof list->trouble,
                    "%s (%s) does not tell its memory: %s", gpu->name, gpu->id,
                    nvml->api.error_string(code));
    }
}

/* --- life --- */

int nvml_open(const char *library, struct nvml **ret_nvml, struct err *err)
{
    struct nvml *nvml = calloc(1, sizeof *nvml);
    int rc;

    if (nvml == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    rc = load(nvml, library, err);
    if (rc == 0)
        rc = begin(nvml, err);
    if (rc == 0)
        rc = take_gpus(nvml, err);
    if (rc < 0) {
        nvml_close(nvml);
        return rc;
    }
    *ret_nvml = nvml;
    return 0;
}

void nvml_close(struct nvml *nvml)
{
    if (nvml == NULL)
        return;
    if (nvml->begun)
        nvml->api.shutdown();
    if (nvml->library != NULL)
        dlclose(nvml->library);
    free(nvml);
}
