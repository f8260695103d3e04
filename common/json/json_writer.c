#include "common/json/json_writer.h"

#include "common/json/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void json_writer_init(struct json_writer *writer, struct buf *out)
{
    *writer = (struct json_writer){.out = out};
}

int json_writer_result(const struct json_writer *writer)
{
    return writer->result;
}

static void put(struct json_writer *writer, const char *text)
{
    if (writer->result == 0)
        writer->result = buf_append_str(writer->out, text);
}

static void put_str(struct json_writer *writer, const char *text)
{
    if (writer->result == 0)
        writer->result = json_append_str(writer->out, text, strlen(text));
}

static void begin_value(struct json_writer *writer, const char *key)
{
    if (writer->comma)
        put(writer, ",");
    writer->comma = true;
    if (!key)
        return;
    put(writer, "\"");
    put(writer, key);
    put(writer, "\":");
}

static void open(struct json_writer *writer, const char *key, const char *bracket)
{
    begin_value(writer, key);
    put(writer, bracket);
    writer->comma = false;
}

static void close(struct json_writer *writer, const char *bracket)
{
    put(writer, bracket);
    writer->comma = true;
}

void json_writer_object(struct json_writer *writer, const char *key)
{
    open(writer, key, "{");
}

void json_writer_array(struct json_writer *writer, const char *key)
{
    open(writer, key, "[");
}

void json_writer_object_end(struct json_writer *writer)
{
    close(writer, "}");
}

void json_writer_array_end(struct json_writer *writer)
{
    close(writer, "]");
}

void json_writer_str(struct json_writer *writer, const char *key, const char *text)
{
    begin_value(writer, key);
    put_str(writer, text);
}

void json_writer_u64(struct json_writer *writer, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, value);
    begin_value(writer, key);
    put(writer, text);
}

void json_writer_num(struct json_writer *writer, const char *key, double value)
{
    char text[32];
    snprintf(text, sizeof(text), "%.6g", value);
    begin_value(writer, key);
    put(writer, text);
}

void json_writer_bool(struct json_writer *writer, const char *key, bool value)
{
    begin_value(writer, key);
    put(writer, value ? "true" : "false");
}

void json_writer_null(struct json_writer *writer, const char *key)
{
    begin_value(writer, key);
    put(writer, "null");
}
