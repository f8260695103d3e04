#include "cli/report.h"

#include "cli/terminal.h"
#include "common/json/json.h"
#include "common/text.h"

#include <errno.h>
#include <math.h>
#include <time.h>
#include <unistd.h>

int report_print(const struct report *report, const cJSON *answer, enum table_format format,
        const char *empty, FILE *out, struct err *err)
{
    struct table *table = table_create(report->name, report->columns, format);
    int rc = -ENOMEM;

    if (table)
        rc = report->fill(table, answer, format);
    if (rc < 0) {
        rc = err_set(err, rc, "out of memory");
        goto out;
    }
    if (table_is_text(format) && table_rows(table) == 0)
        fprintf(out, "%s\n", empty);
    else
        rc = table_print(table, out, 0, err);
out:
    table_destroy(table);
    return rc;
}

int report_format(const struct command_line *line, enum table_format *ret_format, struct err *err)
{
    bool json = command_has(line, "json"), raw = command_has(line, "raw");

    if (json && raw)
        return err_set(err, -EINVAL, "--json and --raw exclude each other");
    *ret_format = json ? TABLE_JSON : raw ? TABLE_RAW : TABLE_TEXT;
    return 0;
}

void report_print_json(struct buf *body, FILE *out)
{
    size_t len = body->len;
    char *text = body->data + body->start;

    if (len && isatty(fileno(out)))
        len = terminal_strip(text, len);
    fwrite(text, 1, len, out);
    if (len == 0 || text[len - 1] != '\n')
        fputc('\n', out);
}

int report_run(const struct report *report, const char *empty, const struct cli *cli,
        const struct command_line *line, struct err *err)
{
    enum table_format format = TABLE_TEXT;
    cJSON *answer = NULL;
    struct buf body;
    int rc = report_format(line, &format, err);

    if (rc < 0)
        return rc;
    buf_init(&body, CLIENT_ANSWER_MAX);
    rc = client_get_json(cli->client, report->path, &body, &answer, err);
    if (rc == 0 && report->whole && format == TABLE_JSON)
        report_print_json(&body, cli->out);
    else if (rc == 0)
        rc = report_print(report, answer, format, empty, cli->out, err);
    cJSON_Delete(answer);
    buf_fini(&body);
    return rc;
}

uint64_t report_u64(const cJSON *object, const char *key)
{
    double value = json_num(object, key, 0);

    if (!(value > 0))
        return 0;
    return value < 0x1p63 ? (uint64_t)value : UINT64_MAX;
}

const char *report_bytes(enum table_format format, uint64_t bytes, char *buf, size_t size)
{
    if (table_is_text(format))
        return text_format_size(bytes, buf, size);
    snprintf(buf, size, "%llu", (unsigned long long)bytes);
    return buf;
}

const char *report_rate(enum table_format format, double rate_tok_s, char *buf, size_t size)
{
    bool measured = isfinite(rate_tok_s) && rate_tok_s > 0;

    if (table_is_text(format) && !measured)
        snprintf(buf, size, "-");
    else
        snprintf(buf, size, "%.1f", measured ? rate_tok_s : 0.0);
    return buf;
}

const char *report_time(enum table_format format, uint64_t unix_ms, char *buf, size_t size)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm local;

    if (!table_is_text(format))
        return report_count(unix_ms, buf, size);
    if (unix_ms == 0 || !localtime_r(&seconds, &local) ||
            strftime(buf, size, "%Y-%m-%d %H:%M", &local) == 0)
        snprintf(buf, size, "-");
    return buf;
}

const char *report_count(uint64_t count, char *buf, size_t size)
{
    snprintf(buf, size, "%llu", (unsigned long long)count);
    return buf;
}

static const char *separator_of(enum table_format format)
{
    if (format == TABLE_JSON)
        return "\n";
    return format == TABLE_RAW ? "," : ", ";
}

const char *report_list(enum table_format format, const cJSON *array, char *buf, size_t size)
{
    const cJSON *item;
    size_t len = 0;

    buf[0] = '\0';
    cJSON_ArrayForEach(item, array)
    {
        int n = snprintf(buf + len, size - len, "%s%s", len ? separator_of(format) : "",
                cJSON_IsString(item) ? item->valuestring : "");

        if (n < 0 || (size_t)n >= size - len) {
            buf[len] = '\0';
            break;
        }
        len += (size_t)n;
    }
    return buf;
}
