#include "cli/report.h"
#include "cli/terminal.h"
#include "common/json.h"
#include "common/text.h"

#include <string.h>

static const struct table_column columns[] = {
        {.key = "node", .title = "NODE"},
        {.key = "state", .title = "STATE"},
        {.key = "used_bytes", .title = "MEMORY", .right = true, .number = true},
        {.key = "limit_bytes", .title = "OF", .right = true, .number = true},
        {.key = "resident", .title = "RESIDENT", .wrap = true},
        {.key = "running", .title = "RUNNING", .right = true, .number = true},
        {.key = "done", .title = "DONE", .right = true, .number = true},
        {.key = "failed", .title = "FAILED", .right = true, .number = true},
        {.key = "rtt_us", .title = "RTT", .right = true, .number = true},
        {.key = NULL},
};

static const char *node_state(const cJSON *node)
{
    return json_bool(node, "draining", false) ? "draining" : json_str(node, "state", "");
}

static bool node_is(const cJSON *node, const char *state)
{
    return strcmp(json_str(node, "state", ""), state) == 0;
}

static const char *join_resident(const cJSON *node, char *buf, size_t size)
{
    const cJSON *model;
    size_t len = 0;

    buf[0] = '\0';
    cJSON_ArrayForEach(model, json_array(node, "models"))
    {
        int n;

        if (strcmp(json_str(model, "state", ""), "resident") != 0)
            continue;
        n = snprintf(buf + len, size - len, "%s%s", len ? ", " : "", json_str(model, "name", ""));
        if (n < 0 || (size_t)n >= size - len)
            break;
        len += (size_t)n;
    }
    return buf;
}

static const char *rtt(enum table_format format, const cJSON *node, char *buf, size_t size)
{
    uint64_t rtt_us = report_u64(node, "rtt_us");

    if (format != TABLE_TEXT)
        snprintf(buf, size, "%llu", (unsigned long long)rtt_us);
    else if (rtt_us == 0)
        snprintf(buf, size, "-");
    else
        snprintf(buf, size, "%.1f ms", (double)rtt_us / 1000);
    return buf;
}

/* A node that is not here tells nothing, which is not the same as 0. */
static const char *memory(
        enum table_format format, const cJSON *node, const char *key, char *buf, size_t size)
{
    if (format == TABLE_TEXT && node_is(node, "offline"))
        snprintf(buf, size, "-");
    else
        report_bytes(format, report_u64(json_obj(node, "memory"), key), buf, size);
    return buf;
}

static const char *requests(const cJSON *node, const char *key, char *buf, size_t size)
{
    snprintf(buf, size, "%llu", (unsigned long long)report_u64(json_obj(node, "requests"), key));
    return buf;
}

static int add_node(struct table *table, const cJSON *node, enum table_format format)
{
    char resident[REPORT_CELL_MAX], cell[6][32];
    const char *cells[] = {
            json_str(node, "name", ""),
            node_state(node),
            memory(format, node, "used_bytes", cell[0], sizeof(cell[0])),
            memory(format, node, "limit_bytes", cell[1], sizeof(cell[1])),
            join_resident(node, resident, sizeof(resident)),
            requests(node, "running", cell[2], sizeof(cell[2])),
            requests(node, "done", cell[3], sizeof(cell[3])),
            requests(node, "failed", cell[4], sizeof(cell[4])),
            rtt(format, node, cell[5], sizeof(cell[5])),
    };

    return table_add(table, cells);
}

static int fill(struct table *table, const cJSON *status, enum table_format format)
{
    const cJSON *node;

    cJSON_ArrayForEach(node, json_array(status, "nodes"))
    {
        int rc = add_node(table, node, format);

        if (rc < 0)
            return rc;
    }
    return 0;
}

const struct report report_nodes = {.name = "nodes", .columns = columns, .fill = fill};

/* "2 of 3 nodes up, 1 request running, 0 waiting; modemesh 0.1.0 at http://127.0.0.1:8420, up 3
 * min" */
static void print_summary(const struct cli *cli, const cJSON *status, FILE *out)
{
    const cJSON *coordinator = json_obj(status, "coordinator"), *queue = json_obj(status, "queue");
    unsigned long long running = report_u64(queue, "running"),
                       waiting = report_u64(queue, "waiting");
    size_t known = 0, up = 0, len;
    char line[REPORT_CELL_MAX], age[32];
    const cJSON *node;

    cJSON_ArrayForEach(node, json_array(status, "nodes"))
    {
        known++;
        up += node_is(node, "up");
    }
    snprintf(line, sizeof(line),
            "%zu of %zu nodes up, %llu request%s running, %llu waiting; modemesh %s at %s, up %s",
            up, known, running, running == 1 ? "" : "s", waiting,
            json_str(coordinator, "version", "?"), cli->url,
            text_format_age(report_u64(coordinator, "uptime_ms"), age, sizeof(age)));
    len = terminal_strip(line, strlen(line));
    fprintf(out, "%.*s\n\n", (int)len, line);
}

static int print_status(const struct cli *cli, const cJSON *status, FILE *out, struct err *err)
{
    int rc;

    print_summary(cli, status, out);
    rc = report_print(&report_nodes, status, TABLE_TEXT, "No node is trusted yet.", out, err);
    if (rc < 0)
        return rc;
    fputc('\n', out);
    rc = report_print(&report_models, status, TABLE_TEXT, "No node has a model.", out, err);
    if (rc < 0)
        return rc;
    fputc('\n', out);
    return report_print(&report_modes, status, TABLE_TEXT, "No modes are configured.", out, err);
}

static void print_json(const struct buf *body, FILE *out)
{
    fwrite(buf_at(body), 1, body->len, out);
    if (body->len == 0 || buf_at(body)[body->len - 1] != '\n')
        fputc('\n', out);
}

int cmd_status(const struct cli *cli, const struct command_line *line, struct err *err)
{
    cJSON *status = NULL;
    struct buf body;
    int rc;

    buf_init(&body, CLIENT_ANSWER_MAX);
    rc = report_fetch(cli, &body, &status, err);
    if (rc == 0 && command_has(line, "json"))
        print_json(&body, stdout);
    else if (rc == 0)
        rc = print_status(cli, status, stdout, err);
    cJSON_Delete(status);
    buf_fini(&body);
    return rc;
}
