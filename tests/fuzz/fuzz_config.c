/* config_load_text() on any bytes: it takes all of the text or nothing of it, every value that it
 * took is in its range, every name well-formed, and every refusal says where. */
#include "common/config/config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct config_key keys[] = {
        {.path = "http", .type = CONFIG_ADDR, .def = "127.0.0.1:8420"},
        {.path = "slots", .type = CONFIG_UINT, .def = "4", .min = 1, .max = 64},
        {.path = "reserve", .type = CONFIG_SIZE, .min = 1024, .max = 1024 * 1024},
        {.path = "patience", .type = CONFIG_DURATION, .min = 10, .max = 60000},
        {.path = "log", .type = CONFIG_ENUM, .def = "info", .choices = "warn|info|debug"},
        {.path = "discover", .type = CONFIG_BOOL},
        {.path = "engine.args", .type = CONFIG_LIST},
        {.path = "engine.token", .type = CONFIG_UINT, .max = 5, .secret = true},
        {.path = "modes.*.models", .type = CONFIG_LIST},
        {.path = "modes.*.limits.*.tokens", .type = CONFIG_SIZE, .max = 1024 * 1024},
        {.path = "modes.*.ratio", .type = CONFIG_DECIMAL, .min = 50, .max = 2000},
        {.path = "modes.*.points.*", .type = CONFIG_UINT, .max = 100, .name_letters = " /:"},
        {.path = "aliases.*", .type = CONFIG_STR},
        {.path = NULL},
};
static const char before[] = "slots: 7\nmodes: {first: {models: [a, b]}}\n";

static void check_range(const struct config *config, const char *path, uint64_t min, uint64_t max)
{
    uint64_t value = config_uint(config, path);

    assert(!config_is_set(config, path) || (value >= min && value <= max));
}

static void check_list(const struct config *config, const char *path)
{
    size_t len = config_list_len(config, path);

    assert(len <= CONFIG_VALUES_MAX);
    for (size_t i = 0; i < len; i++)
        assert(config_list_at(config, path, i));
}

static void check_limits(const struct config *config, const char *mode)
{
    const char *name;
    char prefix[128], path[512];

    snprintf(prefix, sizeof(prefix), "modes.%s.limits", mode);
    for (size_t i = 0; (name = config_name_at(config, prefix, i)); i++) {
        snprintf(path, sizeof(path), "%s.%s.tokens", prefix, name);
        check_range(config, path, 0, 1024 * 1024);
    }
}

static void check_points(const struct config *config, const char *mode)
{
    const char *name;
    char prefix[128], path[512];

    snprintf(prefix, sizeof(prefix), "modes.%s.points", mode);
    for (size_t i = 0; (name = config_name_at(config, prefix, i)); i++) {
        assert(strlen(name) > 0 && strlen(name) <= 127);
        snprintf(path, sizeof(path), "%s.%s", prefix, name);
        check_range(config, path, 0, 100);
    }
}

static void check_ratio(const struct config *config, const char *mode)
{
    char path[512];

    snprintf(path, sizeof(path), "modes.%s.ratio", mode);
    if (!config_is_set(config, path))
        return;
    double ratio = config_decimal(config, path);
    assert(ratio >= 0.05 && ratio <= 2);
}

static void check_modes(const struct config *config)
{
    const char *name;
    char path[512];

    for (size_t i = 0; (name = config_name_at(config, "modes", i)); i++) {
        assert(strlen(name) > 0 && strlen(name) <= 63);
        if (strchr(name, '.')) /* it may end as a key does */
            continue;
        snprintf(path, sizeof(path), "modes.%s.models", name);
        check_list(config, path);
        check_limits(config, name);
        check_ratio(config, name);
        check_points(config, name);
    }
}

static void check_taken(const struct config *config)
{
    struct text_addr addr = config_addr(config, "http");

    assert(addr.host[0]);
    check_range(config, "slots", 1, 64);
    check_range(config, "reserve", 1024, 1024 * 1024);
    check_range(config, "patience", 10, 60000);
    check_range(config, "engine.token", 0, 5);
    assert(strlen(config_str(config, "log")) >= 4);
    (void)config_bool(config, "discover");
    check_list(config, "engine.args");
    check_modes(config);
}

static void check_unchanged(const struct config *config)
{
    assert(config_uint(config, "slots") == 7);
    assert(strcmp(config_name_at(config, "modes", 0), "first") == 0);
    assert(!config_name_at(config, "modes", 1));
    assert(config_list_len(config, "modes.first.models") == 2);
    assert(!config_is_set(config, "http") && !config_is_set(config, "log"));
    assert(!config_is_set(config, "engine.args") && !config_name_at(config, "aliases", 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config = config_create(keys);
    struct err err = {.text = ""};

    assert(config);
    int r = config_load_text(config, "f", before, strlen(before), &err);
    assert(r == 0);
    r = config_load_text(config, "f", (const char *)data, size, &err);
    assert(r == 0 || r == -EINVAL || r == -E2BIG);
    assert(r == 0 || strncmp(err.text, "f:", 2) == 0);
    if (r == 0)
        check_taken(config);
    else
        check_unchanged(config);
    config_destroy(config);
    return 0;
}
