#include "node/hardware/amdgpu.h"

#include "common/number.h"
#include "common/saturating.h"
#include "node/hardware/kernel_file.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DRM_CARDS_MAX = 64, /* card0 … card63: the minor numbers that DRM keeps for them */
    TEXT_MAX = 4096,
    LABEL_MAX = 32,
};
static const uint64_t smallest_card_bytes = UINT64_C(1) << 30;

struct card {
    char folder[PATH_MAX]; /* /sys/class/drm/cardN/device */
    char name[DEVICE_TEXT_MAX], id[DEVICE_TEXT_MAX];
    bool apu;
};

struct amdgpu {
    size_t count;
    struct card cards[HARDWARE_DEVICES_MAX];
};

/* One kind of memory of a card. */
struct memory {
    uint64_t total_bytes, free_bytes;
};

static int read_memory(const struct card *card, const char *kind, struct memory *ret_memory)
{
    uint64_t total, used;
    int rc = kernel_file_u64(&total, "%s/mem_info_%s_total", card->folder, kind);

    if (rc == 0)
        rc = kernel_file_u64(&used, "%s/mem_info_%s_used", card->folder, kind);
    if (rc == 0)
        *ret_memory = (struct memory){total, used < total ? total - used : 0};
    return rc;
}

/* --- what there is --- */

/* The value of the line "KEY=value" into `ret_value`, cut where it does not fit. */
static bool uevent_value(const char *text, const char *key, char *ret_value, size_t size)
{
    size_t len = strlen(key);

    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, len) == 0 && line[len] == '=') {
            line += len + 1;
            (void)snprintf(ret_value, size, "%.*s", (int)strcspn(line, "\n"), line);
            return true;
        }
    }
    return false;
}

static bool is_vddnb(const struct card *card, const char *hwmon)
{
    char label[LABEL_MAX];

    return kernel_file_read(label, sizeof label, "%s/hwmon/%s/in1_label", card->folder, hwmon) ==
                   0 &&
           strcmp(label, "vddnb\n") == 0;
}

static bool has_vddnb(const struct card *card)
{
    char path[PATH_MAX + sizeof "/hwmon"];
    struct dirent *entry;
    bool found = false;
    DIR *dir;

    (void)snprintf(path, sizeof path, "%s/hwmon", card->folder);
    dir = opendir(path);
    if (dir == NULL)
        return false;
    while (!found && (entry = readdir(dir)) != NULL)
        found = is_vddnb(card, entry->d_name);
    closedir(dir);
    return found;
}

static bool is_apu(const struct card *card)
{
    struct memory vram;

    return has_vddnb(card) ||
           (read_memory(card, "vram", &vram) == 0 && vram.total_bytes < smallest_card_bytes);
}

/* Few cards know their own name: product_name is for boards with a memory of such facts. */
static void name_card(struct card *card, const char *uevent)
{
    char text[DEVICE_TEXT_MAX], pci_id[DEVICE_TEXT_MAX];

    if (kernel_file_read(text, sizeof text, "%s/product_name", card->folder) == 0) {
        text[strcspn(text, "\n")] = '\0';
        (void)snprintf(card->name, sizeof card->name, "%s", text);
    }
    if (card->name[0] != '\0')
        return;
    strcpy(card->name, "AMD GPU");
    if (uevent_value(uevent, "PCI_ID", pci_id, sizeof pci_id))
        (void)snprintf(card->name, sizeof card->name, "AMD GPU %.9s", pci_id);
}

/* Fills `card`, whatever it returns. */
static bool find_card(const char *root, unsigned number, struct card *card)
{
    char uevent[TEXT_MAX], driver[LABEL_MAX];
    struct memory vram;

    memset(card, 0, sizeof *card);
    if ((size_t)snprintf(card->folder, sizeof card->folder, "%s/sys/class/drm/card%u/device", root,
                number) >= sizeof card->folder ||
            kernel_file_read(uevent, sizeof uevent, "%s/uevent", card->folder) < 0)
        return false;
    if (!uevent_value(uevent, "DRIVER", driver, sizeof driver) || strcmp(driver, "amdgpu") != 0)
        return false;
    (void)uevent_value(uevent, "PCI_SLOT_NAME", card->id, sizeof card->id);
    name_card(card, uevent);
    card->apu = is_apu(card);
    return read_memory(card, "vram", &vram) == 0;
}

struct amdgpu *amdgpu_create(const char *root)
{
    struct amdgpu *amdgpu = calloc(1, sizeof *amdgpu);

    if (amdgpu == NULL)
        return NULL;
    for (unsigned i = 0; i < DRM_CARDS_MAX && amdgpu->count < HARDWARE_DEVICES_MAX; i++)
        if (find_card(root, i, &amdgpu->cards[amdgpu->count]))
            amdgpu->count++;
    return amdgpu;
}

void amdgpu_destroy(struct amdgpu *amdgpu)
{
    free(amdgpu);
}

/* --- one look --- */

static int look_at(
        const struct card *card, const struct host_memory *host, struct memory *ret_memory)
{
    struct memory vram, gtt;
    int rc = read_memory(card, "vram", &vram);

    if (rc == 0 && card->apu)
        rc = read_memory(card, "gtt", &gtt);
    if (rc != 0)
        return rc;
    if (card->apu) {
        vram.total_bytes =
                saturating_sum(vram.total_bytes, number_lesser(gtt.total_bytes, host->total_bytes));
        vram.free_bytes = saturating_sum(
                vram.free_bytes, number_lesser(gtt.free_bytes, host->available_bytes));
    }
    *ret_memory = vram;
    return 0;
}

/* The kernel does not tell it. AMD's data sheets do, for processors that people run models on. */
static uint64_t bandwidth_of(const struct card *card)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } known[] = {
            {"AMD GPU 1002:1586", UINT64_C(256000000000)}, /* Strix Halo: 256 bits, 8,000 MT/s */
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(card->name, known[i].name) == 0)
            return known[i].bytes;
    return 0;
}

void amdgpu_read(
        const struct amdgpu *amdgpu, const struct host_memory *host, struct device_list *list)
{
    struct memory memory;

    for (size_t i = 0; i < amdgpu->count && list->count < HARDWARE_DEVICES_MAX; i++) {
        const struct card *card = &amdgpu->cards[i];
        struct device *device = &list->items[list->count];
        int rc = look_at(card, host, &memory);
        if (rc != 0) {
            (void)snprintf(list->trouble, sizeof list->trouble,
                    "%s (%s) does not tell its memory: %s", card->name, card->id, strerror(-rc));
            continue;
        }
        *device = (struct device){.kind = DEVICE_AMD,
                .unified = card->apu,
                .total_bytes = memory.total_bytes,
                .free_bytes = memory.free_bytes,
                .bandwidth_bytes = bandwidth_of(card)};
        strcpy(device->name, card->name);
        strcpy(device->id, card->id);
        list->count++;
    }
}
