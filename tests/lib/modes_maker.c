#include "tests/lib/modes_maker.h"

#include "coordinator/modes/mode_config.h"
#include "coordinator/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int modes_maker_load(const char *yaml, struct modes *ret_modes, struct err *err)
{
    struct config *config = config_create(coordinator_keys);
    if (!config)
        abort();
    *err = (struct err){.text = ""};
    int r = config_load_text(config, "test.yaml", yaml, strlen(yaml), err);
    if (!r)
        r = modes_from_config(config, ret_modes, err);
    config_destroy(config);
    return r;
}

struct modes modes_maker_make(const char *yaml)
{
    struct modes modes;
    struct err err;
    if (modes_maker_load(yaml, &modes, &err)) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return modes;
}
