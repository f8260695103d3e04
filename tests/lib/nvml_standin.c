/* A stand-in for NVIDIA's libnvidia-ml.so.1, a shared library that node/hardware/nvml.c loads in
 * its place. It answers from the file that MODEMESH_NVML_ANSWERS names, read anew at each call, so
 * that a test changes what a GPU says under an open library. Lines of a key and a value; what is
 * not there is 0 or empty:
 *
 *   init 18                    what nvmlInit_v2() returns; `gpus.code` for the count
 *   gpus 2
 *   0.name NVIDIA …            of the GPU at index 0
 *   0.pci 0 193 0              domain, bus, device
 *   0.code 15                  what its handle's lookup returns
 *   0.total, 0.reserved, 0.free   bytes; 0.memory 3: what asking for them returns
 *   0.clock 2619, 0.bits 5120  MHz of its memory at most, and width of the bus to it
 *   0.mig 1                    in MIG mode, with 0.instances places; 0/2.name, 0/2.total … are
 * those of the instance at place 2, there where it has a total
 *
 * With NVML_STANDIN_OLD it has only what NVML had before R450. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };
enum { CLOCK_MEM = 2, NOT_SUPPORTED = 3 };
enum { LOST = 15, VERSION_MISMATCH = 18, ARGUMENT_VERSION_MISMATCH = 25 };
enum { KEY_MAX = 64, LINE_MAX_BYTES = 256, PLACES = 8, MEMORY_V2_VERSION = 2 << 24 | 40 };

struct memory {
    unsigned long long total, free, used;
};

struct memory_v2 {
    unsigned version;
    unsigned long long total, reserved, free, used;
};

struct pci {
    char bus_id_legacy[16];
    unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
    char bus_id[32];
};

/* A handle points to one of these. */
struct handle {
    unsigned gpu;
    int place; /* -1: the GPU itself */
};

int nvmlInit_v2(void);
int nvmlShutdown(void);
const char *nvmlErrorString(int code);
int nvmlDeviceGetCount_v2(unsigned *ret_count);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct handle **ret_handle);
int nvmlDeviceGetName(const struct handle *handle, char *ret_name, unsigned size);
int nvmlDeviceGetPciInfo_v3(const struct handle *handle, struct pci *ret_pci);
int nvmlDeviceGetMemoryInfo(const struct handle *handle, struct memory *ret_memory);
int nvmlDeviceGetMemoryInfo_v2(const struct handle *handle, struct memory_v2 *ret_memory);
int nvmlDeviceGetMaxClockInfo(const struct handle *handle, unsigned type, unsigned *ret_mhz);
int nvmlDeviceGetMemoryBusWidth(const struct handle *handle, unsigned *ret_bits);
int nvmlDeviceGetMigMode(const struct handle *handle, unsigned *ret_current, unsigned *ret_pending);
int nvmlDeviceGetMaxMigDeviceCount(const struct handle *handle, unsigned *ret_count);
int nvmlDeviceGetMigDeviceHandleByIndex(
        const struct handle *handle, unsigned place, struct handle **ret_handle);

static struct handle handles[PLACES][PLACES + 1]; /* [gpu][place + 1] */
static int open_count;

/* The rest of the line "KEY value"; "" where there is none. Valid until the next call. */
static const char *answer(const char *key)
{
    static char line[LINE_MAX_BYTES];
    const char *path = getenv("MODEMESH_NVML_ANSWERS");
    FILE *file = path == NULL ? NULL : fopen(path, "re");
    size_t len = strlen(key);
    const char *found = "";

    while (file != NULL && *found == '\0' && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, key, len) == 0 && line[len] == ' ')
            found = line + len + 1;
    }
    if (file != NULL)
        fclose(file);
    return found;
}

static const char *answer_of(const struct handle *handle, const char *key)
{
    char full[KEY_MAX];

    if (handle->place < 0)
        (void)snprintf(full, sizeof full, "%u.%s", handle->gpu, key);
    else
        (void)snprintf(full, sizeof full, "%u/%d.%s", handle->gpu, handle->place, key);
    return answer(full);
}

static unsigned long long number_of(const struct handle *handle, const char *key)
{
    return strtoull(answer_of(handle, key), NULL, 10);
}

static struct handle *handle_at(unsigned gpu, int place)
{
    struct handle *handle = &handles[gpu][place + 1];

    *handle = (struct handle){gpu, place};
    return handle;
}

int nvmlInit_v2(void)
{
    int code = atoi(answer("init"));

    open_count += code == SUCCESS;
    return code;
}

int nvmlShutdown(void)
{
    if (open_count == 0)
        return UNINITIALIZED;
    open_count--;
    return SUCCESS;
}

const char *nvmlErrorString(int code)
{
    switch (code) {
    case LOST:
        return "GPU is lost";
    case VERSION_MISMATCH:
        return "Driver/library version mismatch";
    default:
        return "Unknown Error";
    }
}

int nvmlDeviceGetCount_v2(unsigned *ret_count)
{
    if (open_count == 0)
        return UNINITIALIZED;
    *ret_count = (unsigned)atoi(answer("gpus"));
    return atoi(answer("gpus.code"));
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct handle **ret_handle)
{
    struct handle *handle;

    if (open_count == 0 || index >= PLACES)
        return open_count == 0 ? UNINITIALIZED : INVALID_ARGUMENT;
    handle = handle_at(index, -1);
    *ret_handle = handle;
    return (int)number_of(handle, "code");
}

int nvmlDeviceGetName(const struct handle *handle, char *ret_name, unsigned size)
{
    const char *name = answer_of(handle, "name");

    if (*name == '\0')
        return NOT_FOUND;
    return (unsigned)snprintf(ret_name, size, "%s", name) < size ? SUCCESS : INSUFFICIENT_SIZE;
}

int nvmlDeviceGetPciInfo_v3(const struct handle *handle, struct pci *ret_pci)
{
    struct pci pci = {.bus_id_legacy = ""};

    if (sscanf(answer_of(handle, "pci"), "%u %u %u", &pci.domain, &pci.bus, &pci.device) != 3)
        return NOT_FOUND;
    *ret_pci = pci;
    return SUCCESS;
}

/* used contains what is reserved, and total is all. */
int nvmlDeviceGetMemoryInfo(const struct handle *handle, struct memory *ret_memory)
{
    int code = (int)number_of(handle, "memory");

    if (code != SUCCESS)
        return code;
    ret_memory->total = number_of(handle, "total");
    ret_memory->free = number_of(handle, "free");
    ret_memory->used = ret_memory->total - ret_memory->free;
    return SUCCESS;
}

#ifndef NVML_STANDIN_OLD
int nvmlDeviceGetMemoryInfo_v2(const struct handle *handle, struct memory_v2 *ret_memory)
{
    int code = (int)number_of(handle, "memory");

    if (ret_memory->version != MEMORY_V2_VERSION)
        return ARGUMENT_VERSION_MISMATCH;
    if (code != SUCCESS)
        return code;
    ret_memory->total = number_of(handle, "total");
    ret_memory->reserved = number_of(handle, "reserved");
    ret_memory->free = number_of(handle, "free");
    ret_memory->used = ret_memory->total - ret_memory->reserved - ret_memory->free;
    return SUCCESS;
}

int nvmlDeviceGetMaxClockInfo(const struct handle *handle, unsigned type, unsigned *ret_mhz)
{
    if (type != CLOCK_MEM)
        return INVALID_ARGUMENT;
    *ret_mhz = (unsigned)number_of(handle, "clock");
    return *ret_mhz == 0 ? NOT_SUPPORTED : SUCCESS;
}

int nvmlDeviceGetMemoryBusWidth(const struct handle *handle, unsigned *ret_bits)
{
    *ret_bits = (unsigned)number_of(handle, "bits");
    return *ret_bits == 0 ? NOT_SUPPORTED : SUCCESS;
}

int nvmlDeviceGetMigMode(const struct handle *handle, unsigned *ret_current, unsigned *ret_pending)
{
    *ret_current = *ret_pending = (unsigned)number_of(handle, "mig");
    return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(const struct handle *handle, unsigned *ret_count)
{
    *ret_count = (unsigned)number_of(handle, "instances");
    return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(
        const struct handle *handle, unsigned place, struct handle **ret_handle)
{
    struct handle *instance;

    if (place >= PLACES)
        return INVALID_ARGUMENT;
    instance = handle_at(handle->gpu, (int)place);
    if (number_of(instance, "total") == 0)
        return NOT_FOUND;
    *ret_handle = instance;
    return SUCCESS;
}
#endif
