#include "coordinator/api/cors.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

static bool is_web(const char *origin)
{
    return strncasecmp(origin, "http://", 7) == 0 || strncasecmp(origin, "https://", 8) == 0;
}

/* What stands before the star at the end; 0 where the entry is a whole origin. */
static size_t wild_prefix(const char *entry)
{
    size_t len = strlen(entry);
    return len > 0 && entry[len - 1] == '*' ? len - 1 : 0;
}

/* RFC 3986, section 3.1 */
static bool is_scheme(const char *text, size_t len)
{
    if (len == 0 || !isalpha((unsigned char)text[0]))
        return false;
    for (size_t i = 1; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("+-.", text[i]))
            return false;
    return true;
}

static bool is_sound(const char *entry)
{
    const char *scheme_end = strstr(entry, "://");
    if (!scheme_end || !is_scheme(entry, (size_t)(scheme_end - entry)) || scheme_end[3] == '\0')
        return false;
    const char *rest = scheme_end + 3;
    if (wild_prefix(entry))
        return strcmp(rest, "*") == 0 && !is_web(entry);
    return strpbrk(rest, "/*? ") == NULL;
}

int cors_check(const struct cors *cors, struct err *err)
{
    if (cors->count > CORS_ORIGINS_MAX)
        return err_set(err, -E2BIG, "--cors-origin: at most %d origins", CORS_ORIGINS_MAX);
    for (size_t i = 0; i < cors->count; i++)
        if (!is_sound(cors->origins[i]))
            return err_set(err, -EINVAL,
                    "--cors-origin %.100s is no origin: write https://NAME or https://NAME:PORT, "
                    "with no path; only other schemes may end with ://*",
                    cors->origins[i]);
    return 0;
}

bool cors_allows(const struct cors *cors, const char *origin)
{
    for (size_t i = 0; i < cors->count; i++) {
        const char *entry = cors->origins[i];
        size_t prefix = wild_prefix(entry);
        if (prefix ? strncasecmp(entry, origin, prefix) == 0 : strcasecmp(entry, origin) == 0)
            return true;
    }
    return false;
}

void cors_set_headers(struct http_exchange *exchange, const char *origin)
{
    http_exchange_set_header(exchange, "Access-Control-Allow-Origin", origin);
    http_exchange_set_header(exchange, "Vary", "Origin");
    http_exchange_set_header(exchange, "Access-Control-Expose-Headers",
            "X-Modemesh-Request, X-Modemesh-Mode, X-Modemesh-Model, X-Modemesh-Node, "
            "X-Modemesh-Reason, X-Modemesh-Skipped, Retry-After");
}

void cors_answer_preflight(struct http_exchange *exchange, const char *origin)
{
    const char *wanted = http_exchange_header(exchange, "Access-Control-Request-Headers");
    cors_set_headers(exchange, origin);
    http_exchange_set_header(exchange, "Access-Control-Allow-Methods", "GET, POST, DELETE");
    if (wanted)
        http_exchange_set_header(exchange, "Access-Control-Allow-Headers", wanted);
    http_exchange_set_header(exchange, "Access-Control-Max-Age", "600");
    http_exchange_reply(exchange, 204, "text/plain", "", 0);
}
