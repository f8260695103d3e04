#include "cli/report.h"
#include "cli/terminal.h"
#include "common/file.h"
#include "common/json/json.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    PEM_FILE_MAX = 256 * 1024, /* bytes of a file that --write may replace */
    PEM_FILE_MODE = 0644,      /* a certificate is for everybody */
};

/* One certificate and nothing else: not a key, and not the bundle that a system trusts. */
static bool is_one_certificate(const char *text)
{
    static const char begin[] = "-----BEGIN ", certificate[] = "-----BEGIN CERTIFICATE-----";
    const char *first = strstr(text, begin);

    return first && strncmp(first, certificate, strlen(certificate)) == 0 &&
           !strstr(first + strlen(begin), begin) && strstr(first, "-----END CERTIFICATE-----");
}

static int check_target(const char *path, struct err *err)
{
    char *text = NULL;
    size_t len;
    int rc = file_read(path, PEM_FILE_MAX, &text, &len, err);

    if (rc == -ENOENT)
        return 0;
    if (rc == 0 && len > 0 && !is_one_certificate(text))
        rc = err_set(err, -EEXIST,
                "%s is there and is no file with one PEM certificate: it stays as it is", path);
    free(text);
    return rc;
}

static int write_ca(const char *path, const char *pem, struct err *err)
{
    int rc = check_target(path, err);

    if (rc == 0)
        rc = file_write_private(path, pem, strlen(pem), err);
    if (rc == 0 && chmod(path, PEM_FILE_MODE) != 0)
        rc = err_set(err, -errno, "cannot let others read %s: %s", path, strerror(errno));
    return rc;
}

static void print_row(const struct cli *cli, const char *title, const char *value)
{
    char line[REPORT_CELL_MAX];

    fprintf(cli->out, "%-11s  %s\n", title, terminal_line(value, line, sizeof(line)));
}

static void print_facts(const struct cli *cli, const cJSON *tls)
{
    char list[REPORT_CELL_MAX], until[32];

    print_row(cli, "made by",
            json_bool(tls, "ours", false) ? "modemesh: its own CA, which must be trusted once"
                                          : "you: the files in the coordinator's config");
    print_row(cli, "trust", json_str(tls, "fingerprint", ""));
    print_row(cli, "server", json_str(tls, "server_fingerprint", ""));
    print_row(cli, "names", report_list(TABLE_TEXT, json_array(tls, "names"), list, sizeof(list)));
    print_row(cli, "until",
            report_time(TABLE_TEXT, report_u64(tls, "not_after_ms"), until, sizeof(until)));
    report_list(TABLE_TEXT, json_array(tls, "listeners"), list, sizeof(list));
    print_row(cli, "listens on",
            *list ? list : "loopback only, without TLS (see 'http' in the coordinator's config)");
}

/* `file` NULL: not written yet. */
static void print_use(const struct cli *cli, const char *file)
{
    if (!file)
        fputs("\nTo trust it on another machine: modemesh tls show --write ca.pem, copy it there, "
              "then\n",
                cli->out);
    else
        fprintf(cli->out, "\nThe CA's certificate is in %s. To trust it, there or in a copy:\n",
                file);
    if (!file)
        file = "ca.pem";
    fprintf(cli->out,
            "  editors on Node.js  NODE_EXTRA_CA_CERTS=%s\n"
            "  curl                curl --cacert %s https://HOST:PORT/v1/models\n"
            "  modemesh            --ca %s, or MODEMESH_CA\n",
            file, file, file);
}

static int show(
        const struct cli *cli, const cJSON *tls, const char *file, bool quiet, struct err *err)
{
    const char *pem = json_str(tls, "ca_pem", "");
    int rc = 0;

    if (!is_one_certificate(pem))
        return err_set(err, -EPROTO, "the coordinator at %s answers without a certificate",
                client_url(cli->client));
    if (file)
        rc = write_ca(file, pem, err);
    if (rc < 0 || quiet)
        return rc;
    print_facts(cli, tls);
    print_use(cli, file);
    return 0;
}

int cmd_tls_show(const struct cli *cli, const struct command_line *line, struct err *err)
{
    const char *file = command_value(line, "write");
    bool json = command_has(line, "json");
    cJSON *tls = NULL;
    struct buf body;
    int rc;

    if (file && !*file)
        return err_set(err, -EINVAL, "--write needs the name of a file");
    buf_init(&body, CLIENT_ANSWER_MAX);
    rc = client_get_json(cli->client, "/mesh/v1/tls", &body, &tls, err);
    if (rc == 0)
        rc = show(cli, tls, file, json, err);
    if (rc == 0 && json)
        report_print_json(&body, cli->out);
    cJSON_Delete(tls);
    buf_fini(&body);
    return rc;
}
