#include "coordinator/dialects/fields.h"

#include "common/json/json.h"
#include "coordinator/dialects/exact_numbers.h"

#include <errno.h>
#include <math.h>
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
        r = err_set(err, -EINVAL, "the body must be a JSON object, not %s", fields_type_name(body));
        cJSON_Delete(body);
        return r;
    }
    *ret_body = body;
    return 0;
}

int fields_read(fields_read_fn read, const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    cJSON *body;
    *ret_param = NULL;
    int r = fields_parse_body(input, &body, err);
    if (r)
        return r;
    const struct fields fields = {.object = body, .ret_param = ret_param, .err = err};
    if (exact_numbers_keep(body, "arguments", input->body, input->len))
        r = err_set(err, -ENOMEM, "no memory for the request");
    if (!r)
        r = read(input, &fields, ret_request);
    cJSON_Delete(body);
    return r;
}

int fields_written(const struct fields *fields, int r)
{
    if (r == -ENOBUFS)
        return fields_refuse(fields, NULL,
                "the request is too large: it is made of more small pieces than there is room for");
    return r ? err_set(fields->err, -ENOMEM, "no memory for the request") : 0;
}

int fields_write_body(const struct fields *fields, const cJSON *body, struct request *request)
{
    return fields_written(fields, json_append(&request->body, body));
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

const char *fields_type_name(const cJSON *value)
{
    if (!value)
        return "nothing";
    switch (value->type & 0xff) {
    case cJSON_False:
    case cJSON_True:
        return "a boolean";
    case cJSON_NULL:
        return "null";
    case cJSON_Number:
    case cJSON_Raw: /* exact_numbers.h */
        return "a number";
    case cJSON_String:
        return "a string";
    case cJSON_Array:
        return "an array";
    default:
        return "an object";
    }
}

const cJSON *fields_member(const cJSON *object, const char *key)
{
    const cJSON *item =
            cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
    return cJSON_IsNull(item) ? NULL : item;
}

const cJSON *fields_given(const struct fields *fields, const char *key)
{
    return fields_member(fields->object, key);
}

/* --- checks --- */

static int check_type(const struct fields *fields, const char *key,
        cJSON_bool (*is_type)(const cJSON *value), const char *type)
{
    const cJSON *value = fields_given(fields, key);
    if (!value || is_type(value))
        return 0;
    return fields_refuse(
            fields, key, "\"%s\" must be %s, not %s", key, type, fields_type_name(value));
}

int fields_check_bool(const struct fields *fields, const char *key)
{
    return check_type(fields, key, cJSON_IsBool, "true or false");
}

int fields_check_str(const struct fields *fields, const char *key)
{
    return check_type(fields, key, cJSON_IsString, "a string");
}

int fields_check_object(const struct fields *fields, const char *key)
{
    return check_type(fields, key, cJSON_IsObject, "an object");
}

int fields_check_array(const struct fields *fields, const char *key)
{
    return check_type(fields, key, cJSON_IsArray, "an array");
}

static int check_range(const struct fields *fields, const char *key, double min, double max,
        bool whole, const char *what)
{
    const cJSON *value = fields_given(fields, key);
    if (!value)
        return 0;
    if (!cJSON_IsNumber(value))
        return fields_refuse(fields, key, "\"%s\" must be a %s from %.15g to %.15g, not %s", key,
                what, min, max, fields_type_name(value));
    double number = value->valuedouble;
    if (number >= min && number <= max && (!whole || number == floor(number)))
        return 0;
    return fields_refuse(fields, key, "\"%s\" must be a %s from %.15g to %.15g, not %.15g", key,
            what, min, max, number);
}

int fields_check_number(const struct fields *fields, const char *key, double min, double max)
{
    return check_range(fields, key, min, max, false, "number");
}

int fields_check_whole(const struct fields *fields, const char *key, double min, double max)
{
    return check_range(fields, key, min, max, true, "whole number");
}

/* --- values --- */

int fields_bool(const struct fields *fields, const char *key, bool def, bool *ret_value)
{
    int r = fields_check_bool(fields, key);
    if (!r)
        *ret_value = json_bool(fields->object, key, def);
    return r;
}

int fields_text(
        const struct fields *fields, const char *key, const char *def, const char **ret_text)
{
    int r = fields_check_str(fields, key);
    if (!r)
        *ret_text = json_str(fields->object, key, def);
    return r;
}

int fields_number(const struct fields *fields, const char *key, double min, double max,
        double *ret_number, bool *ret_given)
{
    const cJSON *item = fields_given(fields, key);
    int r = fields_check_number(fields, key, min, max);
    if (r)
        return r;
    *ret_given = item != NULL;
    if (item)
        *ret_number = item->valuedouble;
    return 0;
}

int fields_array(const struct fields *fields, const char *key, const cJSON **ret_array)
{
    int r = fields_check_array(fields, key);
    if (!r)
        *ret_array = fields_given(fields, key);
    return r;
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
