/* The headers by which it is decided who may come in: a byte of facts, then lines with Host,
 * Origin, this host's name, Authorization, x-api-key, and the owner's list of origins. Nobody comes
 * in without a key who does not call a loopback listener by a loopback name (or a network listener
 * that needs none), and no page does whose origin is neither our own nor in the list. */
#include "coordinator/api/access.h"
#include "coordinator/api/cors.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum fact { FACT_LISTENER = 3, FACT_KEY = 4, FACT_KEYLESS = 8, FACT_FORWARDED = 16 };
enum line { HOST, ORIGIN, OWN_NAME, AUTHORIZATION, API_KEY, LIST, LINES_MAX = 12 };

/* "-" stands for a header that is not there. */
static size_t split(char *text, const char *lines[LINES_MAX])
{
    size_t count = 0;
    for (char *line, *rest = text; count < LINES_MAX && (line = strsep(&rest, "\n")); count++)
        lines[count] = strcmp(line, "-") == 0 ? NULL : line;
    return count;
}

static bool is_loopback_name(char *name)
{
    for (char *at = name; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    if (name[0] == '[' || strchr(name, ':') != strrchr(name, ':'))
        return strchr(name, ':') && strchr(name, '1');
    name[strcspn(name, ":")] = '\0';
    const char *last = strrchr(name, '.');
    return strcmp(last ? last + 1 : name, "localhost") == 0 || strncmp(name, "127.", 4) == 0;
}

/* By another way than the code's own: by the parts of the name. */
static bool looks_loopback(const char *host)
{
    char *name = strdup(host);
    bool is = is_loopback_name(name);
    free(name);
    return is;
}

static void check_loopback(const char *host)
{
    assert(!access_is_loopback(host) || looks_loopback(host));
}

static const char *host_of(const char *origin)
{
    const char *mark = strstr(origin, "://");
    return mark ? mark + 3 : "";
}

static void check_let_in(const struct access_facts *facts)
{
    if (!facts->has_key && facts->listener == ACCESS_NETWORK)
        assert(facts->keyless && facts->host);
    if (!facts->has_key && facts->listener < ACCESS_SOCKET && facts->listener != ACCESS_NETWORK)
        assert(!facts->forwarded && facts->host && looks_loopback(facts->host));
    if (!facts->origin || facts->origin_allowed)
        return;
    const char *host = host_of(facts->origin);
    if (facts->listener == ACCESS_NETWORK)
        assert(*host && strcasecmp(host, facts->host) == 0);
    else
        assert(looks_loopback(host));
}

static void check_access(const struct access_facts *facts)
{
    struct err err = {.text = ""};
    int r = access_check(facts, &err);
    assert(r == 0 || r == -EACCES || r == -EPERM);
    if (r == 0)
        check_let_in(facts);
    else
        assert(err.text[0] != '\0' && !strchr(err.text, '\n'));
    assert(r != -EPERM || (!facts->has_key && facts->listener == ACCESS_NETWORK));
}

/* Pages of the web are let in one by one only. */
static void check_allowed(const struct cors *cors, const char *origin)
{
    bool listed = false, web = strncasecmp(origin, "http", 4) == 0;
    for (size_t i = 0; i < cors->count; i++) {
        const char *entry = cors->origins[i], *mark = strstr(entry, "://"), *star;
        assert(mark);
        star = strchr(mark, '*');
        assert(!star || star[1] == '\0');
        listed |= strcasecmp(entry, origin) == 0;
        listed |= star && !web && strncasecmp(entry, origin, (size_t)(star - entry)) == 0;
    }
    bool other =
            web && strncasecmp(origin, "http:", 5) != 0 && strncasecmp(origin, "https:", 6) != 0;
    assert(listed || other);
}

static bool is_allowed(const struct cors *cors, const char *origin)
{
    struct err err = {.text = ""};
    int r = cors_check(cors, &err);
    assert(r == 0 || ((r == -EINVAL || r == -E2BIG) && err.text[0] != '\0'));
    if (r || !origin || !cors_allows(cors, origin))
        return false;
    check_allowed(cors, origin);
    return true;
}

static void check_key(const char *authorization, const char *api_key)
{
    const char *key = access_key(authorization, api_key);
    if (!key || key == api_key)
        return;
    assert(authorization && *key && *key != ' ');
    assert(key > authorization && key <= authorization + strlen(authorization));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *lines[LINES_MAX] = {NULL};
    if (size == 0)
        return 0;
    char *text = strndup((const char *)data + 1, size - 1);
    size_t count = split(text, lines);
    struct cors cors = {.origins = lines + LIST};
    while (LIST + cors.count < count && lines[LIST + cors.count])
        cors.count++;
    struct access_facts facts = {.listener = (enum access_listener)(data[0] & FACT_LISTENER),
            .has_key = data[0] & FACT_KEY,
            .keyless = data[0] & FACT_KEYLESS,
            .forwarded = data[0] & FACT_FORWARDED ? "for=x" : NULL,
            .host = lines[HOST],
            .origin = lines[ORIGIN],
            .origin_allowed = is_allowed(&cors, lines[ORIGIN]),
            .own_name = lines[OWN_NAME]};
    check_access(&facts);
    check_key(lines[AUTHORIZATION], lines[API_KEY]);
    for (size_t i = 0; i < count; i++)
        if (lines[i])
            check_loopback(lines[i]);
    free(text);
    return 0;
}
