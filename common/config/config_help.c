#include "common/config/config_internal.h"

#include <string.h>

enum {
    HELP_COLUMN = 30, /* where the sentences begin */
    HELP_WIDTH = 80,
    HELP_TEXT_MAX = 1024,
};

/* Words of `text` from HELP_COLUMN on; the cursor stands there already. */
static void print_wrapped(FILE *out, const char *text)
{
    int column = HELP_COLUMN;

    while (*text) {
        int len = (int)strcspn(text, " ");
        if (column > HELP_COLUMN && column + 1 + len > HELP_WIDTH) {
            fprintf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        column += fprintf(out, "%s%.*s", column > HELP_COLUMN ? " " : "", len, text);
        text += len;
        text += strspn(text, " ");
    }
}

/* One entry: `head` on the left, `text` on the right, or below where the head is long. */
static void print_entry(FILE *out, const char *head, const char *text)
{
    int column = fprintf(out, "  %s", head);

    if (*text && column > HELP_COLUMN - 2) {
        fputc('\n', out);
        column = 0;
    }
    if (*text)
        fprintf(out, "%*s", HELP_COLUMN - column, "");
    print_wrapped(out, text);
    fputc('\n', out);
}

/* Notes are joined by "; " behind the sentence, in parentheses. */
static void add_note(char *notes, size_t size, const char *label, const char *text)
{
    size_t len = strlen(notes);

    if (text && *text)
        snprintf(notes + len, size - len, "%s%s%s", len > 0 ? "; " : "", label, text);
}

static void print_key(FILE *out, const char *head, const struct config_key *key)
{
    char notes[HELP_TEXT_MAX] = "", text[2 * HELP_TEXT_MAX], range[128];

    add_note(notes, sizeof(notes), "", config_range(key, range, sizeof(range)));
    add_note(notes, sizeof(notes), "default ", key->secret ? NULL : key->def);
    add_note(notes, sizeof(notes), "environment ", key->env);
    add_note(notes, sizeof(notes), "", key->reloadable ? "reloadable" : NULL);
    snprintf(text, sizeof(text), "%s%s%s%s", key->help ? key->help : "", *notes ? " (" : "", notes,
            *notes ? ")" : "");
    print_entry(out, head, text);
}

static void print_flag(FILE *out, const struct config_key *key)
{
    bool bare = key->type == CONFIG_BOOL;
    char head[HELP_TEXT_MAX];

    snprintf(head, sizeof(head), "--%s%s%s", key->flag, bare ? "" : " ",
            bare ? "" : config_metavar(key));
    print_key(out, head, key);
}

static void print_file_key(FILE *out, const struct config_key *key)
{
    bool list = key->type == CONFIG_LIST;
    char head[HELP_TEXT_MAX];

    snprintf(head, sizeof(head), "%s: %s%s%s", key->path, list ? "[" : "", config_metavar(key),
            list ? ", …]" : "");
    print_key(out, head, key);
}

static bool any_without_flag(const struct config_key *keys)
{
    for (; keys->path; keys++)
        if (!keys->flag)
            return true;
    return false;
}

void config_print_help(const struct config_key *keys, FILE *out)
{
    fputs("Options:\n", out);
    for (const struct config_key *key = keys; key->path; key++)
        if (key->flag)
            print_flag(out, key);
    print_entry(out, "--config FILE", "Read settings from this file.");
    print_entry(out, "--help", "Print this help and exit.");
    print_entry(out, "--version", "Print the version and exit.");
    if (!any_without_flag(keys))
        return;
    fputs("\nIn the file (a dot leads into a section, * is a name of your choice):\n", out);
    for (const struct config_key *key = keys; key->path; key++)
        if (!key->flag)
            print_file_key(out, key);
}
