#include "coordinator/dialects/fields.h"

#include "common/json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int fields_parse_body(const struct dialect_input *input, cJSON **ret_body, struct err *err)
{
    cJSON *body;
    int r = json_parse(input->body, input->len, &json_limits_request, &body, err);
    if (r)
        return r == -ENOMEM ? r : err_prefix(err, -EINVAL, "the body is no usable JSON");
    if (!cJSON_IsObject(body)) {
        cJSON_Delete(body);
        return err_set(err, -EINVAL, "the body must be a JSON object");
    }
    *ret_body = body;
    return 0;
}

int fields_refuse(const struct fields *fields, const char *param, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    *fields->ret_param = param;
    return err_set(fields->err, -EINVAL, "%s", text);
}

const cJSON *fields_given(const struct fields *fields, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(fields->object, key);
    return cJSON_IsNull(item) ? NULL : item;
}

int fields_bool(const struct fields *fields, const char *key, bool def, bool *ret_value)
{
    const cJSON *item = fields_given(fields, key);
    if (item && !cJSON_IsBool(item))
        return fields_refuse(fields, key, "\"%s\" must be true or false", key);
    *ret_value = item ? cJSON_IsTrue(item) : def;
    return 0;
}

int fields_text(
        const struct fields *fields, const char *key, const char *def, const char **ret_text)
{
    const cJSON *item = fields_given(fields, key);
    if (item && !cJSON_IsString(item))
        return fields_refuse(fields, key, "\"%s\" must be a string", key);
    *ret_text = item ? item->valuestring : def;
    return 0;
}

int fields_number(const struct fields *fields, const char *key, double min, double max,
        double *ret_number, bool *ret_given)
{
    const cJSON *item = fields_given(fields, key);
    if (item && (!cJSON_IsNumber(item) || !(item->valuedouble >= min && item->valuedouble <= max)))
        return fields_refuse(
                fields, key, "\"%s\" must be a number from %.10g to %.10g", key, min, max);
    *ret_given = item != NULL;
    if (item)
        *ret_number = item->valuedouble;
    return 0;
}

int fields_array(const struct fields *fields, const char *key, const cJSON **ret_array)
{
    const cJSON *item = fields_given(fields, key);
    if (item && !cJSON_IsArray(item))
        return fields_refuse(fields, key, "\"%s\" must be an array", key);
    *ret_array = item;
    return 0;
}

int fields_model(const struct fields *fields, struct request *request)
{
    const char *name;
    int r = fields_text(fields, "model", "", &name);
    if (r)
        return r;
    if (strlen(name) > MSG_NAME_MAX)
        return fields_refuse(fields, "model", "\"model\" must have at most %d bytes", MSG_NAME_MAX);
    strcpy(request->asked, name);
    return 0;
}
