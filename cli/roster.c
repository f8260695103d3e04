#include "cli/roster.h"

#include "cli/report.h"
#include "cli/terminal.h"
#include "common/json/json.h"
#include "common/text.h"
#include "common/trust/phrase.h"

#include <errno.h>
#include <string.h>

enum { NAMES_MAX = 512 }; /* pending names that are looked at for the nearest one */

static const char name_letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";

static const struct table_column member_columns[] = {
        {.key = "name", .title = "NAME"},
        {.key = "state", .title = "STATE"},
        {.key = "roles", .title = "ROLES"},
        {.key = "not_after_ms", .title = "UNTIL"},
        {.key = "source", .title = "SOURCE", .wrap = true},
        {.key = NULL},
};

static const struct table_column pending_columns[] = {
        {.key = "name", .title = "NAME"},
        {.key = "address", .title = "ADDRESS"},
        {.key = "phrase", .title = "PHRASE"},
        {.key = "first_ms_ago", .title = "WAITING", .right = true},
        {.key = "knocks", .title = "KNOCKS", .right = true},
        {.key = "note", .title = "NOTE", .wrap = true},
        {.key = NULL},
};

static const struct table_column all_columns[] = {
        {.key = "name"},
        {.key = "state"},
        {.key = "roles"},
        {.key = "not_after_ms"},
        {.key = "source"},
        {.key = "key"},
        {.key = "address"},
        {.key = "phrase"},
        {.key = "first_ms_ago"},
        {.key = "last_ms_ago"},
        {.key = "knocks"},
        {.key = "note"},
        {.key = NULL},
};

static const char *str(const cJSON *node, const char *key)
{
    return json_str(node, key, "");
}

static const char *state_of(const cJSON *member)
{
    return json_bool(member, "revoked", false) ? "revoked" : str(member, "state");
}

static int add_member(struct table *table, const cJSON *member, enum table_format format)
{
    char roles[REPORT_CELL_MAX], until[32];
    const char *cells[] = {
            str(member, "name"),
            state_of(member),
            report_list(format, json_array(member, "roles"), roles, sizeof(roles)),
            report_time(format, report_u64(member, "not_after_ms"), until, sizeof(until)),
            str(member, "source"),
            /* for programs only: */
            str(member, "key"),
            "",
            "",
            "",
            "",
            "",
            "",
    };

    return table_add(table, cells);
}

static int fill_members(struct table *table, const cJSON *answer, enum table_format format)
{
    const cJSON *member;
    int rc = 0;

    cJSON_ArrayForEach(member, json_array(answer, "nodes"))
    {
        rc = add_member(table, member, format);
        if (rc < 0)
            break;
    }
    return rc;
}

static int add_pending(struct table *table, const cJSON *node)
{
    char waiting[32], knocks[32];
    const char *name = str(node, "name");
    const char *cells[] = {
            *name ? name : "-",
            str(node, "address"),
            str(node, "phrase"),
            text_format_age(report_u64(node, "first_ms_ago"), waiting, sizeof(waiting)),
            report_count(report_u64(node, "knocks"), knocks, sizeof(knocks)),
            str(node, "note"),
    };

    return table_add(table, cells);
}

static int add_pending_raw(struct table *table, const cJSON *node)
{
    char first[32], last[32], knocks[32];
    const char *cells[] = {
            str(node, "name"),
            "pending",
            "",
            "",
            "",
            str(node, "key"),
            str(node, "address"),
            str(node, "phrase"),
            report_count(report_u64(node, "first_ms_ago"), first, sizeof(first)),
            report_count(report_u64(node, "last_ms_ago"), last, sizeof(last)),
            report_count(report_u64(node, "knocks"), knocks, sizeof(knocks)),
            str(node, "note"),
    };

    return table_add(table, cells);
}

static int fill_pending(struct table *table, const cJSON *answer, enum table_format format)
{
    const cJSON *node;
    int rc = 0;

    cJSON_ArrayForEach(node, json_array(answer, "pending"))
    {
        rc = table_is_text(format) ? add_pending(table, node) : add_pending_raw(table, node);
        if (rc < 0)
            break;
    }
    return rc;
}

static int fill_all(struct table *table, const cJSON *answer, enum table_format format)
{
    int rc = fill_members(table, answer, format);

    return rc < 0 ? rc : fill_pending(table, answer, format);
}

static const struct report members = {
        .name = "nodes", .columns = member_columns, .fill = fill_members};
static const struct report pending = {
        .name = "pending", .columns = pending_columns, .fill = fill_pending};
static const struct report all = {.name = "nodes", .columns = all_columns, .fill = fill_all};

/* A word that a shell takes as it is. */
static bool is_plain(const char *word)
{
    return *word && *word != '-' && word[strspn(word, name_letters)] == '\0';
}

static size_t count_named(const cJSON *answer, const char *name)
{
    const cJSON *node;
    size_t count = 0;

    cJSON_ArrayForEach(node, json_array(answer, "pending"))
    {
        count += strcmp(str(node, "name"), name) == 0;
    }
    return count;
}

/* People copy these lines into a shell, and the names in them are strangers' words. */
static void print_commands(const cJSON *answer, FILE *out)
{
    const cJSON *node;

    fputs("\nTo let one in, where its own log shows the same phrase:\n", out);
    cJSON_ArrayForEach(node, json_array(answer, "pending"))
    {
        const char *name = str(node, "name"), *phrase = str(node, "phrase");
        const char *word = count_named(answer, name) == 1 && is_plain(name) ? name : phrase;

        if (is_plain(word))
            fprintf(out, "  modemesh nodes approve %s\n", word);
    }
}

static int print_pending(const cJSON *answer, FILE *out, struct err *err)
{
    int rc;

    if (cJSON_GetArraySize(json_array(answer, "pending")) == 0) {
        fputs("\nNo node waits for approval.\n", out);
        return 0;
    }
    fputs("\nWaiting for approval:\n", out);
    rc = report_print(&pending, answer, TABLE_TEXT, "", out, err);
    if (rc == 0)
        print_commands(answer, out);
    return rc;
}

/* "Refused since the start: 12 stranger, 1 revoked" */
static void print_refused(const cJSON *answer, FILE *out)
{
    const cJSON *kind;
    bool first = true;

    cJSON_ArrayForEach(kind, json_obj(answer, "refused"))
    {
        char name[64];

        if (!cJSON_IsNumber(kind) || !(kind->valuedouble > 0))
            continue;
        fprintf(out, "%s%.0f %s", first ? "\nRefused since the start: " : ", ", kind->valuedouble,
                terminal_line(kind->string, name, sizeof(name)));
        first = false;
    }
    if (!first)
        fputc('\n', out);
}

static void print_window(const cJSON *answer, FILE *out)
{
    uint64_t left_ms = report_u64(answer, "accept_ms_left");
    char left[32];

    if (left_ms)
        fprintf(out,
                "\nWhoever comes in the next %s is taken without approval.\n"
                "'modemesh nodes accept --for 0' ends that.\n",
                text_format_age(left_ms, left, sizeof(left)));
}

static int print_text(const cJSON *answer, FILE *out, struct err *err)
{
    int rc = report_print(&members, answer, TABLE_TEXT, "No node is in the mesh yet.", out, err);

    if (rc == 0)
        rc = print_pending(answer, out, err);
    if (rc < 0)
        return rc;
    print_refused(answer, out);
    print_window(answer, out);
    return 0;
}

int roster_print(const cJSON *answer, enum table_format format, FILE *out, struct err *err)
{
    if (table_is_text(format))
        return print_text(answer, out, err);
    return report_print(&all, answer, format, "", out, err);
}

static bool has_phrase(const cJSON *node, const char *phrase)
{
    const char *own = str(node, "phrase");

    return phrase && *own && phrase_equal(own, phrase);
}

static bool is_meant(const cJSON *node, const char *what)
{
    static const char *const keys[] = {"name", "address", "key"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (*what && strcmp(str(node, keys[i]), what) == 0)
            return true;
    return has_phrase(node, what);
}

struct search {
    size_t count, exact_count;        /* that are meant, and of these with the phrase */
    const cJSON *found, *exact;       /* the last of each */
    size_t nameless_count;            /* with the phrase, under no name */
    const cJSON *nameless;            /* the last */
    const char *names[NAMES_MAX + 1]; /* of all, NULL at the end */
    size_t name_count;
};

static void look_at(struct search *search, const cJSON *node, const char *what, const char *phrase)
{
    const char *name = str(node, "name");

    if (is_meant(node, what)) {
        search->count++;
        search->found = node;
        if (has_phrase(node, phrase)) {
            search->exact_count++;
            search->exact = node;
        }
    } else if (!*name && has_phrase(node, phrase)) {
        search->nameless_count++;
        search->nameless = node;
    }
    if (*name && search->name_count < NAMES_MAX)
        search->names[search->name_count++] = name;
}

static const cJSON *find_member(const cJSON *answer, const char *what)
{
    const cJSON *member;

    cJSON_ArrayForEach(member, json_array(answer, "nodes"))
    {
        if (strcmp(str(member, "name"), what) == 0 || strcmp(str(member, "key"), what) == 0)
            return member;
    }
    return NULL;
}

static int nobody(
        const struct search *search, const cJSON *answer, const char *what, struct err *err)
{
    const cJSON *member = find_member(answer, what);
    const char *near = text_nearest(what, search->names);

    if (member && json_bool(member, "revoked", false))
        return err_set(err, -ENOENT,
                "'%.100s' was revoked: 'modemesh nodes forget %.100s' makes it a stranger again, "
                "who "
                "knocks and can be approved",
                what, what);
    if (member)
        return err_set(err, -ENOENT, "'%.100s' is in the mesh already", what);
    if (near)
        return err_set(
                err, -ENOENT, "nobody waits as '%.100s'; did you mean '%.100s'?", what, near);
    return err_set(err, -ENOENT,
            "nobody waits as '%.100s': 'modemesh nodes list' shows who does; a node that runs "
            "knocks every few seconds",
            what);
}

int roster_find_pending(const cJSON *answer, const char *what, const char *phrase,
        const cJSON **ret_node, struct err *err)
{
    struct search search = {0};
    const cJSON *node;

    cJSON_ArrayForEach(node, json_array(answer, "pending"))
    {
        look_at(&search, node, what, phrase);
    }
    if (search.exact_count == 1)
        *ret_node = search.exact;
    else if (search.nameless_count == 1)
        *ret_node = search.nameless;
    else if (search.count == 1)
        *ret_node = search.found;
    else if (search.count > 1)
        return err_set(err, -EEXIST,
                "%zu nodes wait as '%.100s': name yours by the phrase that it shows", search.count,
                what);
    else
        return nobody(&search, answer, what, err);
    return 0;
}
