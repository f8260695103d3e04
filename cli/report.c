#include "cli/report.h"

#include "common/json.h"
#include "common/text.h"

#include <errno.h>
#include <math.h>

int report_fetch(const struct cli *cli, struct buf *body, cJSON **ret_status, struct err *err)
{
    return client_get_json(cli->client, "/mesh/v1/status", body, ret_status, err);
}

int report_print(const struct report *report, const cJSON *status, enum table_format format,
        const char *empty, FILE *out, struct err *err)
{
    struct table *table = table_create(report->name, report->columns, format);
    int rc = -ENOMEM;

    if (table)
        rc = report->fill(table, status, format);
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

static int read_format(
        const struct command_line *line, enum table_format *ret_format, struct err *err)
{
    bool json = command_has(line, "json"), raw = command_has(line, "raw");

    if (json && raw)
        return err_set(err, -EINVAL, "--json and --raw exclude each other");
    *ret_format = json ? TABLE_JSON : raw ? TABLE_RAW : TABLE_TEXT;
    return 0;
}

int report_run(const struct report *report, const char *empty, const struct cli *cli,
        const struct command_line *line, struct err *err)
{
    enum table_format format = TABLE_TEXT;
    cJSON *status = NULL;
    struct buf body;
    int rc = read_format(line, &format, err);

    if (rc < 0)
        return rc;
    buf_init(&body, CLIENT_ANSWER_MAX);
    rc = report_fetch(cli, &body, &status, err);
    if (rc == 0)
        rc = report_print(report, status, format, empty, stdout, err);
    cJSON_Delete(status);
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
