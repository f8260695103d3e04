#include "coordinator/api/local_token.h"

#include "common/buf.h"
#include "common/file.h"
#include "common/log.h"
#include "common/trust/certificate.h"
#include "common/trust/join_token.h"

#include <errno.h>
#include <string.h>

static void revoke_id(const struct operations *operations, const char *id)
{
    struct err err;
    if (tokens_revoke(door_tokens(operations->door), id, &err))
        log_warn("local token not revoked", LOG_S("reason", err.text));
}

/* One that an earlier start of ours has left behind, if it was not stopped in order. */
static void revoke_old(const struct operations *operations, const char *path)
{
    struct join_token old;
    if (join_token_read(path, &old, NULL))
        return;
    const struct token *known = tokens_find_key(
            door_tokens(operations->door), old.pair.public_z85, env_wall_ms(operations->env));
    if (known) {
        char id[TOKEN_ID_LEN + 1];
        strcpy(id, known->id); /* the book forgets its own copy */
        revoke_id(operations, id);
    }
    join_token_fini(&old);
}

static int make(
        const struct operations *operations, const char *path, struct buf *line, struct err *err)
{
    struct token token;
    int r = operations_make_token(operations, CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE,
            TOKEN_USES_MAX, OPERATIONS_TOKEN_EXPIRES_MAX_MS, NULL, 0, &token, line, err);
    if (r)
        return r;
    door_set_local_token(operations->door, token.id); /* revoked at the end, written or not */
    if (buf_append_str(line, "\n"))
        return err_set(err, -ENOMEM, "no memory for a token");
    return file_write_private(path, buf_at(line), line->len, err);
}

void local_token_write(const struct operations *operations, const char *path)
{
    struct err err;
    struct buf line;
    void *room;
    buf_init(&line, JOIN_TOKEN_TEXT_MAX + 2);
    int r = buf_reserve(&line, JOIN_TOKEN_TEXT_MAX + 2, &room); /* one piece, which is wiped */
    if (r) {
        r = err_set(&err, -ENOMEM, "no memory for a token");
    } else {
        revoke_old(operations, path);
        door_tick(operations->door); /* old tokens make room */
        r = make(operations, path, &line, &err);
    }
    if (r)
        log_warn("nodes on this host need approval: no " LOCAL_TOKEN_FILE_NAME,
                LOG_S("reason", err.text));
    if (line.data)
        explicit_bzero(line.data, line.cap);
    buf_fini(&line);
}

void local_token_revoke(const struct operations *operations)
{
    if (operations->door && *door_local_token(operations->door))
        revoke_id(operations, door_local_token(operations->door));
}
