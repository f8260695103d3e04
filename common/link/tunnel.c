#include "common/link/tunnel.h"

#include "common/list.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

struct tunnel_set {
    struct loop *loop;
    const struct tunnel_events *events;
    void *ctx;
    struct stream_table *table; /* the tunnels that the peer still knows */
    struct list tunnels;        /* those, and what is leaving */
    size_t count;
    bool choked; /* the link has no room: no socket is read until the pump */
};

struct tunnel {
    struct tunnel_set *set;
    struct list link;
    uint64_t id;
    int fd;
    struct loop_watch *watch;
    int watched; /* the events that the watch waits for */
    struct stream_writer writer;
    struct stream_reader reader;
    struct buf held; /* came from the peer, not yet taken by the socket */
    bool deaf;       /* the socket takes no more; what it said before is still read */
    bool leaving;    /* the peer has closed: the id is free, what is held still goes out */
};

static void tunnel_free(struct tunnel *tunnel)
{
    list_del(&tunnel->link);
    tunnel->set->count--;
    loop_watch_destroy(tunnel->watch);
    close(tunnel->fd);
    buf_fini(&tunnel->held);
    free(tunnel);
}

/* The socket has nothing more to say, or can be served no longer. */
static void tunnel_end(struct tunnel *tunnel)
{
    struct tunnel_set *set = tunnel->set;
    uint64_t id = tunnel->id;
    stream_table_remove(set->table, id);
    tunnel_free(tunnel);
    set->events->send_close(set->ctx, id);
}

static void watch_socket(struct tunnel *tunnel)
{
    bool reads = !tunnel->leaving && !tunnel->set->choked && tunnel->writer.credit > 0;
    int events = (reads ? UV_READABLE : 0) | (tunnel->held.len > 0 ? UV_WRITABLE : 0);
    if (events == tunnel->watched)
        return;
    tunnel->watched = events;
    loop_watch_set(tunnel->watch, events);
}

static bool is_passing(int code)
{
    return code == EAGAIN || code == EWOULDBLOCK || code == EINTR;
}

/* Returns how much is done with: all of it where the socket takes no more. */
static size_t offer(struct tunnel *tunnel, const void *data, size_t len)
{
    if (tunnel->deaf)
        return len;
    ssize_t n = send(tunnel->fd, data, len, MSG_NOSIGNAL);
    if (n >= 0)
        return (size_t)n;
    tunnel->deaf = !is_passing(errno);
    return tunnel->deaf ? len : 0;
}

/* The last act of who calls it: the event may close the tunnel. */
static void return_credit(struct tunnel *tunnel, size_t taken)
{
    struct tunnel_set *set = tunnel->set;
    uint32_t credit = stream_reader_take(&tunnel->reader, (uint32_t)taken);
    if (credit > 0)
        set->events->send_credit(set->ctx, tunnel->id, credit);
}

static void write_held(struct tunnel *tunnel)
{
    size_t taken = offer(tunnel, buf_at(&tunnel->held), tunnel->held.len);
    buf_consume(&tunnel->held, taken);
    if (tunnel->held.len == 0)
        buf_fini(&tunnel->held); /* only a slow reader needs one */
    if (tunnel->leaving && tunnel->held.len == 0) {
        tunnel_free(tunnel);
        return;
    }
    watch_socket(tunnel);
    if (!tunnel->leaving)
        return_credit(tunnel, taken);
}

/* Sends one piece of what the socket says. */
static void read_piece(struct tunnel *tunnel)
{
    char piece[TUNNEL_PIECE_MAX];
    struct tunnel_set *set = tunnel->set;
    uint64_t credit = tunnel->writer.credit;
    size_t max = credit < sizeof(piece) ? (size_t)credit : sizeof(piece);
    ssize_t n = recv(tunnel->fd, piece, max, 0);
    if (n < 0 && is_passing(errno)) {
        watch_socket(tunnel);
        return;
    }
    if (n <= 0) {
        tunnel_end(tunnel);
        return;
    }
    bool spent = stream_writer_spend(&tunnel->writer, (uint32_t)n);
    assert(spent);
    (void)spent;
    watch_socket(tunnel);
    set->events->send_data(set->ctx, tunnel->id, piece, (size_t)n);
}

static void read_where_allowed(struct tunnel *tunnel)
{
    struct tunnel_set *set = tunnel->set;
    if (!set->choked)
        set->choked = !set->events->has_room(set->ctx);
    if (set->choked || tunnel->writer.credit == 0)
        watch_socket(tunnel);
    else
        read_piece(tunnel);
}

static void on_socket(void *ctx, int status, int events)
{
    struct tunnel *tunnel = ctx;
    struct stream_table *table = tunnel->set->table;
    uint64_t id = tunnel->id;
    if (status < 0) { /* reading and writing tell what it is, in their order */
        tunnel->watched = 0;
        events = UV_READABLE | UV_WRITABLE;
    }
    if ((events & UV_WRITABLE) && tunnel->held.len > 0)
        write_held(tunnel);
    /* It may be gone by now; and what is leaving is in no table. */
    if ((events & UV_READABLE) && stream_table_get(table, id) == tunnel)
        read_where_allowed(tunnel);
}

/* Without an id yet, and its socket is not watched. Takes `fd`, on failure too. */
static int tunnel_create(
        struct tunnel_set *set, int fd, uint32_t window, struct tunnel **ret_tunnel)
{
    bool full = set->count == TUNNELS_MAX;
    struct tunnel *tunnel = full ? NULL : calloc(1, sizeof(*tunnel));
    if (!tunnel) {
        close(fd);
        return full ? -ENFILE : -ENOMEM;
    }
    tunnel->set = set;
    tunnel->fd = fd;
    list_push_back(&set->tunnels, &tunnel->link);
    set->count++;
    buf_init(&tunnel->held, TUNNEL_WINDOW);
    stream_writer_init(&tunnel->writer, window);
    stream_reader_init(&tunnel->reader, TUNNEL_WINDOW);
    tunnel->watch = loop_watch_create(set->loop, fd, on_socket, tunnel);
    if (!tunnel->watch) {
        tunnel_free(tunnel);
        return -ENOMEM;
    }
    *ret_tunnel = tunnel;
    return 0;
}

struct tunnel_set *tunnel_set_create(
        struct loop *loop, uint32_t epoch, const struct tunnel_events *events, void *ctx)
{
    struct tunnel_set *set = calloc(1, sizeof(*set));
    if (!set)
        return NULL;
    set->loop = loop;
    set->events = events;
    set->ctx = ctx;
    list_init(&set->tunnels);
    set->table = stream_table_create(epoch);
    if (!set->table) {
        free(set);
        return NULL;
    }
    return set;
}

void tunnel_set_destroy(struct tunnel_set *set)
{
    if (!set)
        return;
    list_for_each_safe (it, &set->tunnels)
        tunnel_free(list_entry(it, struct tunnel, link));
    stream_table_destroy(set->table);
    free(set);
}

size_t tunnel_set_count(const struct tunnel_set *set)
{
    return set->count;
}

int tunnel_set_open(struct tunnel_set *set, int fd)
{
    struct tunnel *tunnel;
    int r = tunnel_create(set, fd, TUNNEL_WINDOW, &tunnel);
    if (r < 0)
        return r;
    r = stream_table_add(set->table, tunnel, &tunnel->id);
    if (r < 0) {
        tunnel_free(tunnel);
        return r;
    }
    watch_socket(tunnel);
    set->events->send_open(set->ctx, tunnel->id, TUNNEL_WINDOW);
    return 0;
}

int tunnel_set_accept(struct tunnel_set *set, uint64_t id, uint32_t window, int fd)
{
    struct tunnel *tunnel;
    int r = tunnel_create(set, fd, window, &tunnel);
    if (r < 0)
        return r;
    r = stream_table_put(set->table, id, tunnel);
    if (r < 0) {
        tunnel_free(tunnel);
        return r;
    }
    tunnel->id = id;
    watch_socket(tunnel);
    return 0;
}

int tunnel_set_on_data(struct tunnel_set *set, uint64_t id, const void *data, size_t len)
{
    struct tunnel *tunnel = stream_table_get(set->table, id);
    if (!tunnel || len == 0)
        return 0;
    if (len > UINT32_MAX || stream_reader_receive(&tunnel->reader, (uint32_t)len) < 0)
        return -EPROTO;
    size_t taken = tunnel->held.len > 0 ? 0 : offer(tunnel, data, len);
    int r = buf_append(&tunnel->held, (const char *)data + taken, len - taken);
    if (r < 0) {
        tunnel_end(tunnel);
        return r;
    }
    watch_socket(tunnel);
    return_credit(tunnel, taken);
    return 0;
}

int tunnel_set_on_credit(struct tunnel_set *set, uint64_t id, uint32_t bytes)
{
    struct tunnel *tunnel = stream_table_get(set->table, id);
    if (!tunnel)
        return 0;
    int r = stream_writer_grant(&tunnel->writer, bytes);
    if (r == 0)
        watch_socket(tunnel);
    return r;
}

void tunnel_set_on_close(struct tunnel_set *set, uint64_t id)
{
    struct tunnel *tunnel = stream_table_get(set->table, id);
    if (!tunnel)
        return;
    stream_table_remove(set->table, id);
    if (tunnel->held.len == 0) {
        tunnel_free(tunnel);
        return;
    }
    tunnel->leaving = true;
    shutdown(tunnel->fd, SHUT_RD); /* who still writes there learns that nobody reads */
    watch_socket(tunnel);
}

void tunnel_set_pump(struct tunnel_set *set)
{
    if (!set->choked)
        return;
    set->choked = false;
    list_for_each (it, &set->tunnels)
        watch_socket(list_entry(it, struct tunnel, link));
}
