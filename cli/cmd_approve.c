#include "cli/admin.h"
#include "cli/roster.h"
#include "common/json/json.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* Nothing is approved that nobody has looked at, unless they say so. */
static int check_flags(const struct cli *cli, const struct command_line *line, struct err *err)
{
    bool phrase = command_has(line, "phrase"), yes = command_has(line, "yes");

    if (phrase && yes)
        return err_set(err, -EINVAL, "--phrase and --yes exclude each other");
    if (!phrase && !yes && !cli->interactive)
        return err_set(err, -EINVAL,
                "nobody to ask here (no terminal): give --phrase PHRASE as the node shows it, or "
                "--yes to approve it unseen");
    return 0;
}

static void show(const struct cli *cli, const cJSON *node)
{
    char name[ADMIN_WORD_MAX], address[ADMIN_WORD_MAX], phrase[ADMIN_WORD_MAX];

    admin_word(node, "name", name);
    fprintf(cli->notes, "name     %s\naddress  %s\nphrase   %s\n",
            *name ? name : "(not announced: it says it when it comes in)",
            admin_word(node, "address", address), admin_word(node, "phrase", phrase));
}

static int ask(const struct cli *cli, struct err *err)
{
    char answer[16];

    fputs("Does the node show the same phrase? [y/N] ", cli->notes);
    fflush(cli->notes);
    if (!fgets(answer, sizeof(answer), cli->in)) {
        fputc('\n', cli->notes);
        answer[0] = '\0';
    }
    answer[strcspn(answer, "\r\n")] = '\0';
    if (strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0)
        return 0;
    return err_set(err, -ECANCELED, "nothing was approved");
}

/* By its key, which is proven, so that no other node can take the place of the one that was shown;
 * the phrase goes along, and the coordinator compares. */
static int make_request(
        const struct command_line *line, const cJSON *node, cJSON *request, struct err *err)
{
    const char *name = command_value(line, "name"), *phrase = command_value(line, "phrase");
    int rc = admin_add_string(request, "node", json_str(node, "key", ""), err);

    if (!phrase && !command_has(line, "yes"))
        phrase = json_str(node, "phrase", "");
    if (rc == 0 && phrase)
        rc = admin_add_string(request, "phrase", phrase, err);
    if (rc == 0 && name)
        rc = admin_add_string(request, "name", name, err);
    return rc < 0 ? rc : admin_add_roles(line, request, err);
}

static int post(const struct cli *cli, const cJSON *request, struct err *err)
{
    char name[ADMIN_WORD_MAX], address[ADMIN_WORD_MAX];
    cJSON *answer = NULL;
    int rc = admin_post(cli, "/mesh/v1/nodes/approve", request, &answer, err);

    if (rc == 0) {
        admin_word(answer, "name", name);
        admin_word(answer, "address", address);
        fprintf(cli->out, "%s is approved, and is in at its next try, in seconds.\n",
                *name ? name : address);
    }
    admin_free(answer);
    return rc;
}

static int approve(const struct cli *cli, const struct command_line *line, const cJSON *roster,
        struct err *err)
{
    const char *phrase = command_value(line, "phrase");
    cJSON *request = cJSON_CreateObject();
    const cJSON *node = NULL;
    int rc = roster_find_pending(roster, line->operands[0], phrase, &node, err);

    if (rc == 0)
        rc = make_request(line, node, request, err);
    if (rc < 0)
        goto out;
    show(cli, node);
    if (!phrase && !command_has(line, "yes"))
        rc = ask(cli, err);
    if (rc == 0)
        rc = post(cli, request, err);
out:
    cJSON_Delete(request);
    return rc;
}

int cmd_nodes_approve(const struct cli *cli, const struct command_line *line, struct err *err)
{
    cJSON *roster = NULL;
    int rc = check_flags(cli, line, err);

    if (rc == 0)
        rc = admin_get(cli, "/mesh/v1/nodes", &roster, err);
    if (rc == 0)
        rc = approve(cli, line, roster, err);
    cJSON_Delete(roster);
    return rc;
}
