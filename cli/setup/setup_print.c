#include "cli/setup/setup_print.h"

#include "cli/table.h"

#include <errno.h>
#include <string.h>

static int fail_memory(struct err *err)
{
    return err_set(err, -ENOMEM, "out of memory");
}

static int add_use(struct table *table, const struct setup_use *use)
{
    const struct mesh_mode *mode = use->mode;
    char context[32] = "-";
    const char *cells[] = {use->what, mode->id, *mode->models ? mode->models : "-", context};

    if (mode->context)
        snprintf(context, sizeof(context), "%llu", (unsigned long long)mode->context);
    return table_add(table, cells);
}

static int print_uses(const struct cli *cli, const struct setup *setup, struct err *err)
{
    static const struct table_column columns[] = {
            {.key = "for", .title = "FOR"},
            {.key = "model", .title = "MODEL"},
            {.key = "models", .title = "WHICH IS", .wrap = true},
            {.key = "context", .title = "CONTEXT", .right = true},
            {.key = NULL},
    };
    struct table *table = table_create("uses", columns, TABLE_TEXT);
    int rc = table ? 0 : fail_memory(err);

    for (size_t i = 0; i < setup->use_count && rc == 0; i++)
        if (add_use(table, &setup->uses[i]) < 0)
            rc = fail_memory(err);
    if (rc == 0)
        rc = table_print(table, cli->out, 0, err);
    table_destroy(table);
    return rc;
}

static int print_file(const struct cli *cli, const struct setup_file *file, struct err *err)
{
    struct buf text;
    int rc;

    buf_init(&text, MERGE_FILE_MAX);
    rc = merge_text(file->format, "", 0, file->patch, &text, err);
    if (rc == 0)
        fprintf(cli->out, "\n%s:\n\n%.*s", file->path, (int)text.len, buf_at(&text));
    if (text.data)
        explicit_bzero(text.data, text.cap);
    buf_fini(&text);
    return rc;
}

static void print_steps(const struct cli *cli, const struct buf *steps)
{
    if (steps->len > 0)
        fprintf(cli->out, "\nBy hand:\n");
    for (const char *line = buf_at(steps); steps->len && *line;) {
        size_t len = strcspn(line, "\n");

        fprintf(cli->out, "  %.*s\n", (int)len, line);
        line += len + (line[len] == '\n');
    }
}

void setup_print_rest(const struct cli *cli, const struct setup *setup)
{
    print_steps(cli, &setup->steps);
    if (setup->notes.len > 0)
        fprintf(cli->out, "\n%s", buf_at(&setup->notes));
}

/* What agents send before anybody has asked anything takes 10,000 to 25,000 tokens; with less than
 * this, no room is left to work in. */
enum { AGENT_CONTEXT_MIN = 32768 };

static const char *models_of(const struct mesh_mode *mode)
{
    return *mode->models ? mode->models : "its model";
}

static const char *what_fails(const struct mesh_mode *mode)
{
    if (strcmp(mode->name, "embed") == 0)
        return "makes no embeddings";
    return strcmp(mode->name, "rerank") == 0 ? "ranks nothing" : "has no FIM tokens";
}

static void warn_of_mode(const struct cli *cli, const struct mesh_mode *mode)
{
    if (mode->unfit)
        fprintf(cli->notes, "mode %s is left out: %s %s\n", mode->name, models_of(mode),
                what_fails(mode));
    if (mode->toolless)
        fprintf(cli->notes,
                "mode %s: %s: its chat template takes no tools: agents will be refused\n",
                mode->name, models_of(mode));
}

void setup_print_warnings(const struct cli *cli, const struct mesh *mesh)
{
    const struct mesh_mode *main_mode = mesh_mode_for(mesh, "code");

    for (size_t i = 0; i < mesh->mode_count; i++)
        warn_of_mode(cli, &mesh->modes[i]);
    if (main_mode && main_mode->context && main_mode->context < AGENT_CONTEXT_MIN)
        fprintf(cli->notes,
                "mode %s: %s: a context of %llu tokens is short for agents: give it %d or more, as "
                "their own prompts take 10,000 to 25,000\n",
                main_mode->name, models_of(main_mode), (unsigned long long)main_mode->context,
                AGENT_CONTEXT_MIN);
}

static void print_facts(
        const struct cli *cli, const struct editor *editor, const struct setup *setup)
{
    const struct mesh *mesh = setup->mesh;

    fprintf(cli->out, "%s, for the mesh at %s\n\n", editor->title, mesh->url);
    if (setup_has_key(setup))
        fprintf(cli->out, "key          the one that was given\n");
    else if (mesh->keyless)
        fprintf(cli->out, "key          none is needed there; where an editor wants text, any\n");
    else
        fprintf(cli->out, "key          needed: 'modemesh keys create NAME' makes one; give it in "
                          "--key-file\n");
    if (*mesh->ca)
        fprintf(cli->out, "certificate  %s\n", mesh->ca);
    else if (mesh_is_https(mesh) && !editor->from_outside)
        fprintf(cli->out, "certificate  one that this machine trusts; for the mesh's own, give "
                          "--ca FILE\n");
    fputc('\n', cli->out);
}

int setup_print(const struct cli *cli, const struct editor *editor, const struct setup *setup,
        struct err *err)
{
    int rc;

    print_facts(cli, editor, setup);
    rc = print_uses(cli, setup, err);
    for (size_t i = 0; i < setup->file_count && rc == 0; i++)
        rc = print_file(cli, &setup->files[i], err);
    if (rc < 0)
        return rc;
    setup_print_rest(cli, setup);
    if (editor->by_hand)
        fprintf(cli->out, "\n%s: --write cannot change it.\n", editor->by_hand);
    else
        fprintf(cli->out, "\n'modemesh setup %s --write' merges this, and keeps a backup.\n",
                editor->name);
    return 0;
}

int setup_print_editors(const struct cli *cli, struct err *err)
{
    static const struct table_column columns[] = {
            {.key = "editor", .title = "EDITOR"},
            {.key = "title", .title = "WHICH IS"},
            {.key = "how", .title = "HOW"},
            {.key = NULL},
    };
    struct table *table = table_create("editors", columns, TABLE_TEXT);
    int rc = table ? 0 : fail_memory(err);

    for (const struct editor *editor = editors; rc == 0 && editor->name; editor++) {
        const char *cells[] = {
                editor->name, editor->title, editor->by_hand ? "prints steps" : "--write"};

        if (table_add(table, cells) < 0)
            rc = fail_memory(err);
    }
    if (rc == 0)
        rc = table_print(table, cli->out, 0, err);
    table_destroy(table);
    return rc;
}
