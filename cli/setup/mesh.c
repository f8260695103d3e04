#include "cli/setup/mesh.h"

#include "common/json/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char id_prefix[] = "mesh-";

/* Who stands in for a role, best first; roles that chat fall back on `general` then. */
struct role {
    const char *name;
    const char *modes[5];
};

static const struct role roles[] = {
        {"ask", {"ask", "chat", "fast"}},
        {"chat", {"chat", "ask"}},
        {"fast", {"fast", "chat", "ask"}},
        {"code", {"code", "agent", "edit"}},
        {"agent", {"agent", "code"}},
        {"edit", {"edit", "code", "fast"}},
        {"apply", {"apply", "edit", "fast", "code"}},
        {"debug", {"debug", "code", "agent"}},
        {"plan", {"plan", "architect", "orchestrator"}},
        {"architect", {"architect", "plan", "orchestrator"}},
        {"orchestrator", {"orchestrator", "plan", "architect", "agent"}},
        {"autocomplete", {"autocomplete", "complete"}},
        {"embed", {"embed"}},
        {"rerank", {"rerank"}},
};
static const char *const general[] = {"code", "ask", NULL};
static const char *const silent[] = {"autocomplete", "complete", "embed", "rerank", NULL};

/* --- what may stand in a config file --- */

static bool is_word(const char *text, const char *more)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

    for (const char *at = text; *at; at++)
        if (!strchr(letters, *at) && !strchr(more, *at))
            return false;
    return *text;
}

static bool is_name(const char *text)
{
    return strlen(text) <= MESH_WORD_MAX && is_word(text, "._-:/@+");
}

int mesh_set_url(struct mesh *mesh, const char *url, struct err *err)
{
    const struct client_config config = {.url = url};
    struct client *client;
    int rc = client_create(&config, &client, err); /* tidies it, and says what is wrong */

    if (rc < 0)
        return rc;
    snprintf(mesh->url, sizeof(mesh->url), "%s", client_url(client));
    client_destroy(client);
    if (!is_word(mesh->url, ":/.-_~%[]"))
        return err_set(err, -EINVAL, "'%s' has letters that no address needs", mesh->url);
    return 0;
}

int mesh_set_key(struct mesh *mesh, const char *key, struct err *err)
{
    if (strlen(key) > CLIENT_KEY_MAX || !is_word(key, "._-+/="))
        return err_set(err, -EINVAL,
                "the key is no key: one word of at most %d letters, digits and ._-+/=",
                CLIENT_KEY_MAX);
    strcpy(mesh->key, key);
    return 0;
}

int mesh_set_ca(struct mesh *mesh, const char *ca, struct err *err)
{
    char path[PATH_MAX];

    if (!realpath(ca, path))
        return err_set(err, -errno, "cannot find the certificate %s: %s", ca, strerror(errno));
    for (const char *at = path; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f || strchr("'\"\\", *at))
            return err_set(err, -EINVAL,
                    "the certificate's path has quotes or control characters; copy it elsewhere");
    strcpy(mesh->ca, path);
    return 0;
}

bool mesh_is_https(const struct mesh *mesh)
{
    return strncmp(mesh->url, "https://", 8) == 0;
}

bool mesh_is_local(const struct mesh *mesh)
{
    return client_url_is_loopback(mesh->url);
}

static bool ends_with(const char *text, size_t len, const char *end)
{
    size_t end_len = strlen(end);

    return len >= end_len && strncasecmp(text + len - end_len, end, end_len) == 0;
}

/* The ranges for networks of one's own (RFC 1918, 3927, 6598); of the last two a part is enough. */
static bool is_private_v4(const char *host)
{
    unsigned a, b;

    if (sscanf(host, "%3u.%3u.", &a, &b) != 2)
        return false;
    return a == 0 || a == 10 || (a == 172 && b >= 16 && b < 32) || (a == 192 && b == 168) ||
           (a == 169 && b == 254) || (a == 100 && b >= 64 && b < 128);
}

bool mesh_is_public(const struct mesh *mesh)
{
    const char *scheme_end = strstr(mesh->url, "://");
    const char *host = scheme_end ? scheme_end + 3 : mesh->url;
    size_t len = strcspn(host, ":/");

    if (mesh_is_local(mesh) || is_private_v4(host))
        return false;
    if (*host == '[')
        return !strchr("fF", host[1]); /* fc00::/7, fe80::/10 */
    return memchr(host, '.', len) && !ends_with(host, len, ".local") &&
           !ends_with(host, len, ".lan") && !ends_with(host, len, ".internal");
}

/* --- modes --- */

static bool is_one_of(const char *name, const char *const *names)
{
    for (size_t i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* An editor that completes code picks its tokens by the model's name. */
static void set_names(struct mesh_mode *mode, const char *name, const char *model)
{
    bool named = is_one_of(name, silent) && strstr(name, "complete") && model;

    snprintf(mode->name, sizeof(mode->name), "%s", name);
    snprintf(mode->id, sizeof(mode->id), "%s%s%s%s", id_prefix, name, named ? "-" : "",
            named ? model : "");
}

static void add_model(struct mesh_mode *mode, const char *model)
{
    size_t len = strlen(mode->models), need = strlen(model) + sizeof(", ");

    if (len + need <= sizeof(mode->models))
        snprintf(mode->models + len, sizeof(mode->models) - len, "%s%s", len ? ", " : "", model);
}

/* Tokens that every instance of the model takes; 0: not known. */
static uint64_t context_of(const cJSON *status, const char *name)
{
    const cJSON *node, *model;
    uint64_t least = 0, context;

    cJSON_ArrayForEach(node, json_array(status, "nodes"))
    {
        cJSON_ArrayForEach(model, json_array(node, "models"))
        {
            if (strcmp(json_str(model, "name", ""), name) == 0 &&
                    json_whole(cJSON_GetObjectItemCaseSensitive(model, "context"), &context) &&
                    context && (!least || context < least))
                least = context;
        }
    }
    return least;
}

/* The first of them; NULL: none. */
static const char *take_models(struct mesh_mode *mode, const cJSON *status, const cJSON *names)
{
    const char *first = NULL;
    const cJSON *name;

    cJSON_ArrayForEach(name, names)
    {
        uint64_t context;

        if (!cJSON_IsString(name) || !is_name(name->valuestring))
            continue;
        first = first ? first : name->valuestring;
        add_model(mode, name->valuestring);
        context = context_of(status, name->valuestring);
        if (context && (!mode->context || context < mode->context))
            mode->context = context;
    }
    return first;
}

/* The entry of GET /v1/models for the mode; NULL where the caller may not use it. */
static const cJSON *find_entry(const cJSON *models, const char *mode)
{
    const cJSON *entry;

    cJSON_ArrayForEach(entry, json_array(models, "data"))
    {
        const char *id = json_str(entry, "id", "");

        if (strncmp(id, id_prefix, strlen(id_prefix)) == 0)
            id += strlen(id_prefix);
        if (strcmp(id, mode) == 0)
            return entry;
    }
    return NULL;
}

/* The model with which the coordinator lists the mode, the first that can do what it is for;
 * `first` where it lists none. */
static const char *listed_model(
        const cJSON *models, const char *mode, const cJSON *names, const char *first)
{
    char listed[2 * MESH_WORD_MAX + sizeof("-")];
    const cJSON *name;

    cJSON_ArrayForEach(name, names)
    {
        if (!cJSON_IsString(name) || !is_name(name->valuestring))
            continue;
        snprintf(listed, sizeof(listed), "%s-%s", mode, name->valuestring);
        if (find_entry(models, listed))
            return name->valuestring;
    }
    return first;
}

static bool lists_word(const cJSON *array, const char *word)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, array)
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, word) == 0)
            return true;
    }
    return false;
}

/* True where nodes tell of its model. Of one that no node has, the coordinator says what most can.
 */
static bool is_described(const cJSON *entry)
{
    return json_obj(entry, "meta") && cJSON_GetArraySize(json_array(entry, "capabilities")) > 0;
}

/* True where it is known that none of the mode's models can. Those of the caller's keys alone are
 * listed; `entry` is the mode's own, which speaks for the first that a node has. */
static bool cannot(
        const cJSON *models, const cJSON *entry, const cJSON *names, const char *capability)
{
    const cJSON *name;

    if (!is_described(entry) || lists_word(json_array(entry, "capabilities"), capability))
        return false;
    cJSON_ArrayForEach(name, names)
    {
        const cJSON *model = cJSON_IsString(name) ? find_entry(models, name->valuestring) : NULL;

        if (lists_word(json_array(model, "capabilities"), capability))
            return false;
    }
    return true;
}

/* What a model must be able to do to serve a mode that nobody talks to; NULL: a mode to talk to. */
static const char *purpose_of(const char *mode)
{
    static const char *const purposes[][2] = {{"autocomplete", "insert"}, {"complete", "insert"},
            {"embed", "embedding"}, {"rerank", "rerank"}};

    for (size_t i = 0; i < sizeof(purposes) / sizeof(*purposes); i++)
        if (strcmp(purposes[i][0], mode) == 0)
            return purposes[i][1];
    return NULL;
}

static void take_mode(struct mesh *mesh, const cJSON *status, const cJSON *models,
        const cJSON *mode, const cJSON *entry)
{
    const cJSON *names = json_array(mode, "models");
    const char *own = json_str(mode, "name", ""), *purpose = purpose_of(own);
    struct mesh_mode *taken = &mesh->modes[mesh->mode_count++];
    const char *first;
    uint64_t context;

    *taken = (struct mesh_mode){.context = 0};
    first = take_models(taken, status, names);
    set_names(taken, own, listed_model(models, own, names, first));
    taken->sees = lists_word(json_array(entry, "capabilities"), "vision");
    taken->toolless = !purpose && cannot(models, entry, names, "tools");
    taken->unfit = purpose && cannot(models, entry, names, purpose);
    if (json_whole(cJSON_GetObjectItemCaseSensitive(entry, "context_length"), &context) && context)
        taken->context = context;
}

/* It passes over modes that cannot do what is asked, so it can what one of them can. */
static void take_auto(struct mesh *mesh, const cJSON *entry)
{
    struct mesh_mode *taken = &mesh->modes[mesh->mode_count];

    *taken = (struct mesh_mode){.toolless = true};
    set_names(taken, "auto", NULL);
    for (size_t i = 0; i < mesh->mode_count; i++) {
        if (!mesh_mode_chats(&mesh->modes[i]))
            continue;
        taken->sees |= mesh->modes[i].sees;
        taken->toolless &= mesh->modes[i].toolless;
    }
    (void)json_whole(cJSON_GetObjectItemCaseSensitive(entry, "context_length"), &taken->context);
    mesh->mode_count++;
}

int mesh_take_modes(struct mesh *mesh, const cJSON *status, const cJSON *models, struct err *err)
{
    const cJSON *mode, *automatic = find_entry(models, "auto");

    mesh->mode_count = 0;
    cJSON_ArrayForEach(mode, json_array(status, "modes"))
    {
        const char *name = json_str(mode, "name", "");
        const cJSON *entry = is_name(name) ? find_entry(models, name) : NULL;

        if (entry && mesh->mode_count < MESH_MODES_MAX)
            take_mode(mesh, status, models, mode, entry);
    }
    if (!mesh_mode_for(mesh, "code"))
        return err_set(err, -ENOENT,
                "the coordinator offers no mode to talk to: name some under 'modes' in its config");
    if (automatic && mesh->mode_count < MESH_MODES_MAX)
        take_auto(mesh, automatic);
    return 0;
}

/* "MODE" or "MODE=MODEL" */
static int take_word(struct mesh *mesh, char *word, uint64_t context, struct err *err)
{
    struct mesh_mode *mode = &mesh->modes[mesh->mode_count];
    char *model = strchr(word, '=');

    if (model)
        *model++ = '\0';
    if (!is_name(word) || (model && !is_name(model)))
        return err_set(err, -EINVAL,
                "--modes takes ask,code,… or, with the model for autocomplete, "
                "ask,code,autocomplete=MODEL");
    if (mesh->mode_count == MESH_MODES_MAX)
        return err_set(err, -EINVAL, "--modes takes at most %d modes", MESH_MODES_MAX);
    *mode = (struct mesh_mode){.context = context};
    if (model)
        add_model(mode, model);
    set_names(mode, word, model);
    mesh->mode_count++;
    return 0;
}

int mesh_take_words(struct mesh *mesh, const char *words, uint64_t context, struct err *err)
{
    char *copy = strdup(words), *rest = copy;
    int rc = copy ? 0 : err_set(err, -ENOMEM, "out of memory");

    mesh->mode_count = 0;
    for (char *word = strsep(&rest, ","); rc == 0 && word; word = strsep(&rest, ","))
        rc = take_word(mesh, word, context, err);
    free(copy);
    if (rc == 0 && !mesh_mode_for(mesh, "code"))
        rc = err_set(err, -EINVAL, "--modes names no mode to talk to");
    return rc;
}

/* --- roles --- */

bool mesh_mode_chats(const struct mesh_mode *mode)
{
    return !is_one_of(mode->name, silent);
}

static const struct mesh_mode *find_mode(const struct mesh *mesh, const char *name)
{
    for (size_t i = 0; i < mesh->mode_count; i++)
        if (strcmp(mesh->modes[i].name, name) == 0 && !mesh->modes[i].unfit)
            return &mesh->modes[i];
    return NULL;
}

static const struct mesh_mode *find_first(const struct mesh *mesh, const char *const *names)
{
    const struct mesh_mode *mode = NULL;

    for (size_t i = 0; names[i] && !mode; i++)
        mode = find_mode(mesh, names[i]);
    return mode;
}

static const struct mesh_mode *find_talker(const struct mesh *mesh)
{
    const struct mesh_mode *mode = find_first(mesh, general);

    for (size_t i = 0; i < mesh->mode_count && !mode; i++)
        if (mesh_mode_chats(&mesh->modes[i]))
            mode = &mesh->modes[i];
    return mode;
}

const struct mesh_mode *mesh_mode_for(const struct mesh *mesh, const char *role)
{
    const struct mesh_mode *mode = NULL;

    for (size_t i = 0; i < sizeof(roles) / sizeof(*roles) && !mode; i++)
        if (strcmp(roles[i].name, role) == 0)
            mode = find_first(mesh, roles[i].modes);
    return mode || is_one_of(role, silent) ? mode : find_talker(mesh);
}
