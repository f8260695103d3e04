#include "coordinator/delta_queue.h"

#include <errno.h>
#include <string.h>

struct piece { /* stands before the data of each delta */
    uint32_t len, choice;
    uint8_t kind;
    bool more;
};

void delta_queue_init(struct delta_queue *queue)
{
    buf_init(&queue->waiting, DELTA_QUEUE_MAX);
    buf_init(&queue->value, DELTA_QUEUE_MAX);
    queue->partial = false;
}

void delta_queue_fini(struct delta_queue *queue)
{
    buf_fini(&queue->waiting);
    buf_fini(&queue->value);
}

void delta_queue_clear(struct delta_queue *queue)
{
    buf_clear(&queue->waiting);
    buf_clear(&queue->value);
    queue->partial = false;
}

bool delta_queue_empty(const struct delta_queue *queue)
{
    return queue->waiting.len == 0;
}

bool delta_queue_partial(const struct delta_queue *queue)
{
    return queue->partial;
}

/* Text goes on as it comes; only JSON must be whole to be of use. */
static bool lacks_more(const struct msg_delta *delta)
{
    return delta->more && (delta->kind == DELTA_TOOL_CALLS || delta->kind == DELTA_LOGPROBS);
}

int delta_queue_put(struct delta_queue *queue, const struct msg_delta *delta)
{
    bool usage = delta->kind == DELTA_USAGE;
    const void *data = usage ? (const void *)&delta->usage : delta->data;
    struct piece piece = {.len = (uint32_t)(usage ? sizeof(delta->usage) : delta->len),
            .choice = delta->choice,
            .kind = (uint8_t)delta->kind,
            .more = lacks_more(delta)};
    void *room;
    int r = buf_reserve(&queue->waiting, sizeof(piece) + piece.len, &room);
    if (r)
        return r;
    memcpy(room, &piece, sizeof(piece));
    if (piece.len > 0)
        memcpy((char *)room + sizeof(piece), data, piece.len);
    buf_commit(&queue->waiting, sizeof(piece) + piece.len);
    return 0;
}

static void give_out(
        struct delta_queue *queue, const struct piece *piece, struct msg_delta *ret_delta)
{
    *ret_delta = (struct msg_delta){.kind = piece->kind, .choice = piece->choice};
    if (piece->kind == DELTA_USAGE) {
        memcpy(&ret_delta->usage, buf_at(&queue->value), sizeof(ret_delta->usage));
    } else {
        ret_delta->data = queue->value.len ? buf_at(&queue->value) : "";
        ret_delta->len = queue->value.len;
    }
}

static uint32_t cost_of(const struct piece *piece)
{
    struct msg_delta delta = {
            .kind = piece->kind, .len = piece->kind == DELTA_USAGE ? 0 : piece->len};
    return msg_delta_cost(&delta);
}

/* Moves the first piece into `value`. */
static int move_piece(struct delta_queue *queue, struct piece *ret_piece)
{
    memcpy(ret_piece, buf_at(&queue->waiting), sizeof(*ret_piece));
    if (queue->partial && (ret_piece->kind != queue->kind || ret_piece->choice != queue->choice))
        return -EPROTO;
    int r = buf_append(&queue->value, buf_at(&queue->waiting) + sizeof(*ret_piece), ret_piece->len);
    if (!r)
        buf_consume(&queue->waiting, sizeof(*ret_piece) + ret_piece->len);
    return r;
}

int delta_queue_take(struct delta_queue *queue, struct msg_delta *ret_delta, uint32_t *ret_cost)
{
    if (!queue->partial)
        buf_clear(&queue->value);
    while (!delta_queue_empty(queue)) {
        struct piece piece;
        int r = move_piece(queue, &piece);
        if (r)
            return r;
        *ret_cost += cost_of(&piece);
        queue->partial = piece.more;
        queue->kind = piece.kind;
        queue->choice = piece.choice;
        if (!piece.more) {
            give_out(queue, &piece, ret_delta);
            return 1;
        }
    }
    return 0;
}
