#include "common/link/zap.h"

#include "common/link/zsock_watch.h"
#include "common/trust/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"

enum { ZAP_FRAME_MAX = 256, ZAP_FRAMES = 7 };

/* The frames of a request, RFC 27 "Request": version, request id, domain, address, identity,
 * mechanism, key. */
enum { AT_VERSION, AT_REQUEST, AT_DOMAIN, AT_ADDRESS, AT_IDENTITY, AT_MECHANISM, AT_KEY };

struct zap_frame {
    size_t len;
    char data[ZAP_FRAME_MAX + 1]; /* NUL-terminated */
};

struct zap {
    void *zsock;
    struct zsock_watch *watch;
    zap_allow_fn allow;
    void *ctx;
};

static bool has_more(void *zsock)
{
    int more = 0;
    size_t size = sizeof(more);
    return zmq_getsockopt(zsock, ZMQ_RCVMORE, &more, &size) == 0 && more;
}

/* Reads all frames of one request. `*ret_count` may exceed ZAP_FRAMES: the rest was read and
 * dropped. False where no request waits. */
static bool read_request(struct zap *zap, struct zap_frame frames[ZAP_FRAMES], size_t *ret_count)
{
    size_t count = 0;
    do {
        struct zap_frame drop;
        struct zap_frame *frame = count < ZAP_FRAMES ? &frames[count] : &drop;
        int len = zmq_recv(zap->zsock, frame->data, ZAP_FRAME_MAX, ZMQ_DONTWAIT);
        if (len < 0)
            return false;
        frame->len = len < ZAP_FRAME_MAX ? (size_t)len : ZAP_FRAME_MAX;
        frame->data[frame->len] = '\0';
        count++;
    } while (has_more(zap->zsock));
    *ret_count = count;
    return true;
}

static bool frame_is(const struct zap_frame *frame, const char *text)
{
    return frame->len == strlen(text) && memcmp(frame->data, text, frame->len) == 0;
}

static void send_frame(struct zap *zap, const void *data, size_t len, bool more)
{
    /* A REP socket whose peer is libzmq itself, in this process: it takes the answer or is gone. */
    (void)zmq_send(zap->zsock, data, len, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
}

static void answer(struct zap *zap, const struct zap_frame *request_id, const char *user_id)
{
    const char *status = user_id ? "200" : "400";
    const char *text = user_id ? "OK" : "not a member of this mesh";
    send_frame(zap, "1.0", 3, true);
    send_frame(zap, request_id->data, request_id->len, true);
    send_frame(zap, status, 3, true);
    send_frame(zap, text, strlen(text), true);
    send_frame(zap, user_id ? user_id : "", user_id ? strlen(user_id) : 0, true);
    send_frame(zap, "", 0, false);
}

static bool on_request(void *ctx)
{
    struct zap *zap = ctx;
    struct zap_frame frames[ZAP_FRAMES] = {0};
    size_t count;
    if (!read_request(zap, frames, &count))
        return false;
    char key[KEY_Z85_LEN + 1];
    bool sound = count == ZAP_FRAMES && frame_is(&frames[AT_VERSION], "1.0") &&
                 frame_is(&frames[AT_DOMAIN], ZAP_DOMAIN) &&
                 frame_is(&frames[AT_MECHANISM], "CURVE") && frames[AT_KEY].len == KEY_BYTES &&
                 zmq_z85_encode(key, (const uint8_t *)frames[AT_KEY].data, KEY_BYTES);
    bool allowed = sound && zap->allow(zap->ctx, key, frames[AT_ADDRESS].data);
    answer(zap, &frames[AT_REQUEST], allowed ? key : NULL);
    return true;
}

int zap_create(struct loop *loop, void *zmq_context, zap_allow_fn allow, void *ctx,
        struct zap **ret_zap, struct err *err)
{
    struct zap *zap = calloc(1, sizeof(*zap));
    if (!zap)
        return err_set(err, -ENOMEM, "no memory for the link's door");
    zap->allow = allow;
    zap->ctx = ctx;
    zap->zsock = zmq_socket(zmq_context, ZMQ_REP);
    static const int linger_ms = 0;
    if (zap->zsock && zmq_setsockopt(zap->zsock, ZMQ_LINGER, &linger_ms, sizeof(linger_ms)) == 0 &&
            zmq_bind(zap->zsock, ZAP_ENDPOINT) == 0)
        zap->watch = zsock_watch_create(loop, zap->zsock, on_request, zap);
    if (!zap->watch) {
        int r = err_set(
                err, -EIO, "cannot bind the authentication handler: %s", zmq_strerror(zmq_errno()));
        zap_destroy(zap);
        return r;
    }
    *ret_zap = zap;
    return 0;
}

void zap_destroy(struct zap *zap)
{
    if (!zap)
        return;
    zsock_watch_destroy(zap->watch);
    if (zap->zsock)
        zmq_close(zap->zsock);
    free(zap);
}
