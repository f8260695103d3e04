#include "cli/admin.h"
#include "cli/report.h"
#include "cli/setup/editors.h"
#include "cli/setup/setup_print.h"
#include "cli/setup/setup_write.h"
#include "common/file.h"
#include "common/json/json.h"
#include "common/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char usual_url[] = "http://127.0.0.1:8420";

static bool came_by_socket(const struct cli *cli)
{
    return *client_url(cli->client) == '/';
}

/* Where the editor finds the mesh: what --url says, else where we found it ourselves. */
static int choose_url(const struct cli *cli, const struct command_line *line, const cJSON *status,
        struct mesh *mesh, struct err *err)
{
    const char *given = command_value(line, "url");
    const char *listens = json_str(json_obj(status, "coordinator"), "http", "");

    if (given)
        return mesh_set_url(mesh, given, err);
    if (!came_by_socket(cli))
        return mesh_set_url(mesh, client_url(cli->client), err);
    return mesh_set_url(mesh, *listens ? listens : usual_url, err);
}

static int read_key_file(const char *path, struct mesh *mesh, struct err *err)
{
    char *text = NULL;
    size_t len = 0;
    int rc = file_read_secret(path, CLIENT_KEY_MAX + 2, &text, &len, err);

    if (rc == 0) {
        text[strcspn(text, "\r\n")] = '\0';
        rc = mesh_set_key(mesh, text, err);
        explicit_bzero(text, len);
    }
    free(text);
    return rc < 0 ? err_prefix(err, rc, "--key-file") : 0;
}

/* The editor's key is ours, and ours the editor's, where only one was given. */
static int choose_key(
        const struct cli *cli, const struct command_line *line, struct mesh *mesh, struct err *err)
{
    const char *file = command_value(line, "key-file"), *key = client_key(cli->client);
    int rc = 0;

    if (file)
        rc = read_key_file(file, mesh, err);
    else if (key)
        rc = mesh_set_key(mesh, key, err);
    if (rc == 0 && file && !key && !came_by_socket(cli))
        rc = client_set_key(cli->client, mesh->key, err);
    return rc;
}

/* Where we were answered without a key, so will be an editor. */
static bool is_keyless(const struct cli *cli, bool asked, const struct mesh *mesh)
{
    return mesh_is_local(mesh) || (asked && !client_key(cli->client) && !came_by_socket(cli) &&
                                          strcmp(client_url(cli->client), mesh->url) == 0);
}

static int choose_modes(const struct cli *cli, const struct command_line *line, struct mesh *mesh,
        cJSON **ret_status, struct err *err)
{
    const char *words = command_value(line, "modes"), *context = command_value(line, "context");
    cJSON *models = NULL;
    uint64_t tokens = 0;
    int rc = context ? text_parse_u64(context, &tokens, err) : 0;

    if (rc < 0)
        return err_prefix(err, -EINVAL, "--context");
    if (words)
        return mesh_take_words(mesh, words, tokens, err);
    if (context)
        return err_set(err, -EINVAL, "--context goes with --modes; else the coordinator is asked");
    rc = admin_get(cli, REPORT_STATUS_PATH, ret_status, err);
    if (rc == 0)
        rc = admin_get(cli, "/v1/models", &models, err);
    if (rc == 0)
        rc = mesh_take_modes(mesh, *ret_status, models, err);
    cJSON_Delete(models);
    return rc == -EHOSTUNREACH
                   ? err_set(err, rc, "%s; or name the modes yourself: --modes ask,code,…",
                             err->text)
                   : rc;
}

static int gather_mesh(
        const struct cli *cli, const struct command_line *line, struct mesh *mesh, struct err *err)
{
    const char *ca = client_ca(cli->client);
    cJSON *status = NULL;
    int rc = choose_key(cli, line, mesh, err);

    if (rc == 0)
        rc = choose_modes(cli, line, mesh, &status, err);
    if (rc == 0)
        rc = choose_url(cli, line, status, mesh, err);
    if (rc == 0)
        mesh->keyless = is_keyless(cli, status, mesh);
    if (rc == 0 && ca && mesh_is_https(mesh))
        rc = mesh_set_ca(mesh, ca, err);
    cJSON_Delete(status);
    return rc;
}

static int choose_place(const struct command_line *line, struct setup_place *place, struct err *err)
{
    const char *given = command_value(line, "home"), *home = given ? given : getenv("HOME");

    if (!home || !*home)
        return err_set(err, -EINVAL, "HOME is not set: say where the home is with --home DIR");
    if (!realpath(home, place->home))
        return err_set(err, -errno, "cannot find the home %s: %s", home, strerror(errno));
    place->foreign = given;
    place->file = command_value(line, "file");
    return 0;
}

static int check_editor(
        const struct editor *editor, const struct command_line *line, struct err *err)
{
    static const char *const flags[] = {"write", "print-path", "file"};

    for (size_t i = 0; editor->by_hand && i < sizeof(flags) / sizeof(*flags); i++)
        if (command_has(line, flags[i]))
            return err_set(err, -EINVAL,
                    "%s: there is no file for --%s; 'modemesh setup %s' prints the steps",
                    editor->by_hand, flags[i], editor->name);
    return 0;
}

static int check_mesh(const struct editor *editor, const struct command_line *line,
        const struct mesh *mesh, struct err *err)
{
    bool key = *mesh->key;

    if (editor->from_outside && !(key && mesh_is_https(mesh) && mesh_is_public(mesh)))
        return err_set(err, -EINVAL,
                "%s calls the model from its maker's servers, not from this machine: the mesh has "
                "to be on the internet, behind --url https://NAME with a certificate that they "
                "trust, and with a key of its own ('modemesh keys create %s', then --key-file "
                "FILE); %s",
                editor->title, editor->name,
                key ? "the address is none of that kind" : "no key was given");
    if (command_has(line, "write") && !key && !mesh->keyless)
        return err_set(err, -EINVAL,
                "the mesh at %s asks for a key: 'modemesh keys create NAME' makes one; give it "
                "with --key-file FILE, or in MODEMESH_KEY",
                mesh->url);
    return 0;
}

static int print_or_write(const struct cli *cli, const struct command_line *line,
        const struct editor *editor, struct setup *setup, struct err *err)
{
    int rc;

    if (command_has(line, "print-path")) {
        fprintf(cli->out, "%s\n", setup->files[0].path);
        return 0;
    }
    setup_print_warnings(cli, setup->mesh);
    if (!command_has(line, "write"))
        return setup_print(cli, editor, setup, err);
    rc = setup_write(cli, setup, err);
    if (rc == 0)
        setup_print_rest(cli, setup);
    return rc;
}

/* The command line was right by then: what is not valid is an editor's file. */
static int carry_out(const struct cli *cli, const struct command_line *line,
        const struct editor *editor, struct setup *setup, struct err *err)
{
    int rc;

    editor->note(setup);
    rc = setup_result(setup, err);
    if (rc == 0)
        rc = print_or_write(cli, line, editor, setup, err);
    return rc == -EINVAL ? -EBADMSG : rc;
}

static int set_up(const struct cli *cli, const struct command_line *line,
        const struct editor *editor, struct mesh *mesh, struct err *err)
{
    struct setup_place place = {.file = NULL};
    struct setup *setup = NULL;
    int rc = check_editor(editor, line, err);

    if (rc == 0)
        rc = choose_place(line, &place, err);
    /* Where its file is does not depend on the mesh. */
    if (rc == 0 && command_has(line, "print-path"))
        rc = mesh_take_words(mesh, "code", 0, err);
    else if (rc == 0)
        rc = gather_mesh(cli, line, mesh, err);
    if (rc == 0 && !command_has(line, "print-path"))
        rc = check_mesh(editor, line, mesh, err);
    if (rc < 0)
        return rc;
    setup = malloc(sizeof(*setup));
    if (!setup)
        return err_set(err, -ENOMEM, "out of memory");
    setup_init(setup, mesh, &place, editor->name, editor->title);
    rc = carry_out(cli, line, editor, setup, err);
    setup_fini(setup);
    free(setup);
    return rc;
}

static int list_editors(const struct cli *cli, const struct command_line *line, struct err *err)
{
    for (const struct command_flag *flag = line->command->flags; flag->name; flag++)
        if (command_has(line, flag->name))
            return err_set(
                    err, -EINVAL, "--%s of which editor? 'modemesh setup' lists them", flag->name);
    return setup_print_editors(cli, err);
}

int cmd_setup(const struct cli *cli, const struct command_line *line, struct err *err)
{
    const struct editor *editor;
    struct mesh *mesh;
    int rc;

    if (line->operand_count == 0)
        return list_editors(cli, line, err);
    editor = editor_find(line->operands[0], err);
    if (!editor)
        return -EINVAL;
    mesh = calloc(1, sizeof(*mesh));
    if (!mesh)
        return err_set(err, -ENOMEM, "out of memory");
    rc = set_up(cli, line, editor, mesh, err);
    explicit_bzero(mesh, sizeof(*mesh));
    free(mesh);
    return rc;
}
