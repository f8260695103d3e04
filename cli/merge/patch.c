#include "cli/merge/patch.h"

#include <string.h>

const char *patch_name(const cJSON *member)
{
    return member->string + patch_is_default(member);
}

bool patch_is_default(const cJSON *member)
{
    return member->string && *member->string == '?';
}

const cJSON *patch_identity(const cJSON *element)
{
    static const char *const names[] = {"id", "name", "model"};

    for (size_t i = 0; cJSON_IsObject(element) && i < sizeof(names) / sizeof(*names); i++) {
        const cJSON *member = cJSON_GetObjectItemCaseSensitive(element, names[i]);

        if (cJSON_IsString(member))
            return member;
    }
    return NULL;
}

bool patch_is_keyed(const cJSON *array)
{
    const cJSON *element;

    cJSON_ArrayForEach(element, array)
    {
        if (!patch_identity(element))
            return false;
    }
    return cJSON_IsArray(array) && array->child;
}
