#include "coordinator/api/operation_body.h"

#include "common/json/json.h"

#include <errno.h>

int operation_take_text(
        const cJSON *body, const char *key, const char *def, const char **ret_text, struct err *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(body, key);
    if (!item && def) {
        *ret_text = def;
        return 0;
    }
    if (!cJSON_IsString(item) || !*item->valuestring)
        return err_set(err, -EINVAL, "\"%s\" must be a string that is not empty", key);
    *ret_text = item->valuestring;
    return 0;
}

int operation_take_whole(const cJSON *body, const char *key, uint64_t def, uint64_t max,
        uint64_t *ret_value, struct err *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(body, key);
    if (!item) {
        *ret_value = def;
        return 0;
    }
    uint64_t value;
    if (!json_whole(item, &value) || value > max)
        return err_set(err, -EINVAL, "\"%s\" must be a whole number from 0 to %llu", key,
                (unsigned long long)max);
    *ret_value = value;
    return 0;
}

int operation_take_flag(const cJSON *body, const char *key, bool *ret_flag, struct err *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(body, key);
    if (item && !cJSON_IsBool(item))
        return err_set(err, -EINVAL, "\"%s\" must be true or false", key);
    *ret_flag = cJSON_IsTrue(item);
    return 0;
}

int operation_take_list(
        const cJSON *body, const char *key, struct operation_words *ret_list, struct err *err)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(body, key), *item;
    ret_list->count = 0;
    if (!array)
        return 0;
    if (!cJSON_IsArray(array))
        return err_set(err, -EINVAL, "\"%s\" must be a list of strings", key);
    cJSON_ArrayForEach(item, array)
    {
        if (!cJSON_IsString(item) || !*item->valuestring)
            return err_set(
                    err, -EINVAL, "\"%s\" must be a list of strings that are not empty", key);
        if (ret_list->count == OPERATION_WORDS_MAX)
            return err_set(
                    err, -E2BIG, "\"%s\" has more than %d entries", key, OPERATION_WORDS_MAX);
        ret_list->at[ret_list->count++] = item->valuestring;
    }
    return 0;
}
