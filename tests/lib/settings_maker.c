#include "tests/lib/settings_maker.h"

#include <stdlib.h>

struct model_settings *settings_make(uint32_t context, uint32_t slots, bool pin)
{
    static const char *const none[] = {NULL};
    struct model_settings *settings = calloc(1, sizeof *settings);

    if (settings == NULL)
        abort();
    settings->context = context;
    settings->slots = slots;
    settings->pin = pin;
    settings->extra_args = settings->aliases = none;
    arena_init(&settings->arena, 1024);
    return settings;
}
