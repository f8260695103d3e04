#include "cli/report.h"
#include "cli/terminal.h"
#include "common/json/json.h"
#include "common/text.h"

#include <string.h>

static const struct table_column columns[] = {
        {.key = "node", .title = "NODE"},
        {.key = "state", .title = "STATE"},
        {.key = "used_bytes", .title = "MEMORY", .type = TABLE_NUMBER, .right = true},
        {.key = "limit_bytes", .title = "OF", .type = TABLE_NUMBER, .right = true},
        {.key = "resident", .title = "RESIDENT", .wrap = true},
        {.key = "running", .title = "RUNNING", .type = TABLE_NUMBER, .right = true},
        {.key = "done", .title = "DONE", .type = TABLE_NUMBER, .right = true},
        {.key = "failed", .title = "FAILED", .type = TABLE_NUMBER, .right = true},
        {.key = "rtt_us", .title = "RTT", .type = TABLE_NUMBER, .right = true},
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

    if (!table_is_text(format))
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
    if (table_is_text(format) && node_is(node, "offline"))
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

const struct report report_nodes = {
        .path = REPORT_STATUS_PATH, .name = "nodes", .columns = columns, .fill = fill};

/* Requests that were sent to an engine whose slots are all taken. */
static uint64_t waiting_for_slots(const cJSON *status)
{
    const cJSON *node, *model;
    uint64_t waiting = 0;

    cJSON_ArrayForEach(node, json_array(status, "nodes"))
    {
        cJSON_ArrayForEach(model, json_array(node, "models"))
        {
            uint64_t running = report_u64(model, "running"), slots = report_u64(model, "slots");

            waiting += running > slots ? running - slots : 0;
        }
    }
    return waiting;
}

/* "; 3 queued, 1 of them for a model by its name": no instance has them yet. */
static void print_queued(const cJSON *queue, FILE *out)
{
    unsigned long long queued = report_u64(queue, "waiting"),
                       for_models = report_u64(queue, "waiting_for_models");

    if (queued)
        fprintf(out, "; %llu queued", queued);
    if (queued && for_models)
        fprintf(out, ", %llu of them for a model by its name", for_models);
}

/* "9 requests running, 2 of them wait for a slot; 5 queued" */
static void print_requests(const cJSON *status, FILE *out)
{
    const cJSON *queue = json_obj(status, "queue");
    unsigned long long running = report_u64(queue, "running"),
                       in_engines = waiting_for_slots(status);

    fprintf(out, "%llu request%s running", running, running == 1 ? "" : "s");
    if (in_engines)
        fprintf(out, ", %llu of them wait%s for a slot", in_engines, in_engines == 1 ? "s" : "");
    print_queued(queue, out);
    fputs("\n\n", out);
}

/* "modemesh 0.1.0 at http://127.0.0.1:8420, up 3 min: 2 of 3 nodes up" */
static void print_summary(const struct cli *cli, const cJSON *status, FILE *out)
{
    const cJSON *coordinator = json_obj(status, "coordinator");
    char line[REPORT_CELL_MAX], age[32];
    size_t known = 0, up = 0, len;
    const cJSON *node;

    cJSON_ArrayForEach(node, json_array(status, "nodes"))
    {
        known++;
        up += node_is(node, "up");
    }
    snprintf(line, sizeof(line), "modemesh %s at %s, mesh %s, up %s: %zu of %zu nodes up",
            json_str(coordinator, "version", "?"), client_url(cli->client),
            json_str(coordinator, "mesh", "?"),
            text_format_age(report_u64(coordinator, "uptime_ms"), age, sizeof(age)), up, known);
    len = terminal_strip(line, strlen(line));
    fprintf(out, "%.*s\n", (int)len, line);
}

static int print_status(const struct cli *cli, const cJSON *status, FILE *out, struct err *err)
{
    int rc;

    print_summary(cli, status, out);
    print_requests(status, out);
    rc = report_print(&report_nodes, status, TABLE_BRIEF, "No node is trusted yet.", out, err);
    if (rc < 0)
        return rc;
    fputc('\n', out);
    rc = report_print(&report_models, status, TABLE_BRIEF, "No node has a model.", out, err);
    if (rc < 0)
        return rc;
    fputc('\n', out);
    return report_print(&report_modes, status, TABLE_BRIEF, "No modes are configured.", out, err);
}

int cmd_status(const struct cli *cli, const struct command_line *line, struct err *err)
{
    cJSON *status = NULL;
    struct buf body;
    int rc;

    buf_init(&body, CLIENT_ANSWER_MAX);
    rc = client_get_json(cli->client, REPORT_STATUS_PATH, &body, &status, err);
    if (rc == 0 && command_has(line, "json"))
        report_print_json(&body, cli->out);
    else if (rc == 0)
        rc = print_status(cli, status, cli->out, err);
    cJSON_Delete(status);
    buf_fini(&body);
    return rc;
}
