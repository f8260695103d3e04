/* A hostile peer and whimsical programs at the sockets of a following tunnel set, played from the
 * bytes, two for each step. Whatever they do, the set sends no more than was granted, grants no
 * more than its window, says nothing of ids that are not open, and closes every socket. */
#include "common/link/tunnel.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { EPOCH = 1, PLACES = 4, STEPS_MAX = 512 };

/* What the peer knows of one tunnel, and the program at the far end of its socket. */
struct place {
    uint64_t id;
    bool open;
    uint64_t we_may, set_may; /* bytes */
    int fd;                   /* −1: left */
};

struct game {
    struct tunnel_set *set;
    struct place places[PLACES];
    bool room;
    bool over; /* the set has told us to end the link */
};

static struct loop loop;
static char bytes[2 * TUNNEL_WINDOW];

static struct place *open_place(struct game *game, uint64_t id)
{
    struct place *place = &game->places[id & UINT16_MAX];
    assert((id & UINT16_MAX) < PLACES && place->id == id && place->open);
    return place;
}

static void send_open(void *ctx, uint64_t id, uint32_t window)
{
    (void)ctx;
    (void)id;
    (void)window;
    abort(); /* it follows */
}

static void send_data(void *ctx, uint64_t id, const void *data, size_t len)
{
    struct game *game = ctx;
    struct place *place = open_place(game, id);
    assert(data && game->room && len > 0 && len <= TUNNEL_PIECE_MAX && len <= place->set_may);
    place->set_may -= len;
}

static void send_credit(void *ctx, uint64_t id, uint32_t n)
{
    struct place *place = open_place(ctx, id);
    place->we_may += n;
    assert(n > 0 && place->we_may <= TUNNEL_WINDOW);
}

static void send_close(void *ctx, uint64_t id)
{
    open_place(ctx, id)->open = false;
}

static bool has_room(void *ctx)
{
    const struct game *game = ctx;
    return game->room;
}

static const struct tunnel_events events = {
        send_open, send_data, send_credit, send_close, has_room};

static void leave(struct place *place)
{
    if (place->fd >= 0)
        close(place->fd);
    place->fd = -1;
}

static void play_open(struct game *game, size_t index, uint8_t value)
{
    struct place *place = &game->places[index];
    uint64_t id = (uint64_t)(EPOCH + (value == 255)) << 32 | (uint64_t)value << 16 | index;
    uint32_t window = (uint32_t)value * 100;
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0)
        abort();
    int r = tunnel_set_accept(game->set, id, window, fds[0]);
    assert(r == (value == 255 ? -EPROTO : place->open ? -EEXIST : 0));
    if (r < 0) {
        close(fds[1]);
        return;
    }
    leave(place);
    *place = (struct place){
            .id = id, .open = true, .we_may = TUNNEL_WINDOW, .set_may = window, .fd = fds[1]};
}

static void play_data(struct game *game, struct place *place, uint8_t value)
{
    size_t len = (size_t)value * 300;
    bool overspends = place->open && len > place->we_may;
    if (place->open && !overspends)
        place->we_may -= len;
    int r = tunnel_set_on_data(game->set, place->id, bytes, len);
    assert(r == (overspends ? -EPROTO : 0));
    game->over = overspends;
}

static void play_credit(struct game *game, struct place *place, uint8_t value)
{
    uint32_t n = value == 255 ? UINT32_MAX : (uint32_t)value * 100;
    bool too_much = place->open && n > UINT32_MAX - place->set_may;
    if (place->open && !too_much)
        place->set_may += n;
    int r = tunnel_set_on_credit(game->set, place->id, n);
    assert(r == (too_much ? -EPROTO : 0));
    game->over = too_much;
}

static void play_close(struct game *game, struct place *place)
{
    place->open = false;
    tunnel_set_on_close(game->set, place->id);
}

static void play_program(struct place *place, uint8_t value)
{
    char taken[4096];
    size_t len = (size_t)(value / 3) * 200;
    if (place->fd < 0)
        return;
    if (value == 0)
        leave(place);
    else if (value % 3 == 0)
        (void)!send(place->fd, bytes, len, MSG_NOSIGNAL);
    else if (value % 3 == 1)
        (void)!recv(place->fd, taken, len < sizeof(taken) ? len : sizeof(taken), 0);
    else
        shutdown(place->fd, value & 4 ? SHUT_RD : SHUT_WR);
}

static void play_room(struct game *game, bool room)
{
    game->room = room;
    if (room)
        tunnel_set_pump(game->set);
}

static void play(struct game *game, uint8_t what, uint8_t value)
{
    struct place *place = &game->places[what / 8 % PLACES];
    switch (what % 8) {
    case 0:
        play_open(game, what / 8 % PLACES, value);
        break;
    case 1:
        play_data(game, place, value);
        break;
    case 2:
        play_credit(game, place, value);
        break;
    case 3:
        play_close(game, place);
        break;
    case 4:
    case 5:
        play_program(place, value);
        break;
    case 6:
        play_room(game, value & 1);
        break;
    default:
        uv_run(&loop.uv, UV_RUN_NOWAIT);
        break;
    }
}

static int lowest_free_descriptor(void)
{
    int fd = dup(STDERR_FILENO);
    if (fd < 0)
        abort();
    close(fd);
    return fd;
}

static void start_loop(void)
{
    static bool started;
    if (!started && loop_init(&loop) < 0)
        abort();
    started = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct game game = {.room = true};
    start_loop();
    int free_before = lowest_free_descriptor();
    for (size_t i = 0; i < PLACES; i++)
        game.places[i] = (struct place){.id = (uint64_t)EPOCH << 32 | i, .fd = -1};
    game.set = tunnel_set_create(&loop, EPOCH, &events, &game);
    if (!game.set)
        return 0;
    for (size_t i = 0; i + 1 < size && i < 2 * STEPS_MAX && !game.over; i += 2)
        play(&game, data[i], data[i + 1]);
    tunnel_set_destroy(game.set);
    for (size_t i = 0; i < PLACES; i++)
        leave(&game.places[i]);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    assert(lowest_free_descriptor() == free_before);
    return 0;
}
