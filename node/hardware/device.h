/* A device with memory that engines load into, as one look found it. Plain values. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HARDWARE_DEVICES_MAX = 16, /* of one host; more are not looked at */
    DEVICE_TEXT_MAX = 64,      /* of a name or an id, with its NUL */
    DEVICE_TROUBLE_MAX = 192,
};

enum device_kind { DEVICE_NVIDIA, DEVICE_AMD, DEVICE_KIND_COUNT };

struct device {
    enum device_kind kind;
    bool unified;               /* its memory is (also) the host's, not its own */
    char name[DEVICE_TEXT_MAX]; /* "NVIDIA RTX PRO 6000 …"; "AMD GPU 1002:1586" */
    char id[DEVICE_TEXT_MAX];   /* PCI address: "0000:c5:00.0" */
    uint64_t total_bytes;       /* that programs can take, what the driver keeps is not in it */
    uint64_t free_bytes;
    uint64_t bandwidth_bytes; /* a second, of its memory; 0: not known */
};

struct device_list {
    struct device items[HARDWARE_DEVICES_MAX];
    size_t count;
    /* Why a device that seems to be there is not among them, for people; "" where all is well. */
    char trouble[DEVICE_TROUBLE_MAX];
};
