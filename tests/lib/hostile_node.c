/* A peer that does what a node must not, for the tests on hosts: each errand prints one line that
 * says how the coordinator took it. No test of ours but a program that they run; what fails that
 * should not ends it with 1.
 *
 *   hostile-node plain ENDPOINT
 *       No CURVE at all.
 *   hostile-node knock ENDPOINT SERVER_KEY COUNT
 *       So many strangers, each with a key of its own.
 *   hostile-node hello ENDPOINT SERVER_KEY KEY_FILE NAME [CERTIFICATE]
 *       Says HELLO with the link key in the file (made where there is none).
 *   hostile-node certify SEED_FILE KEY NAME SECONDS
 *       Prints a certificate for the link key that ends so many seconds from now, signed by the
 *       identity in the file (made where there is none).
 *
 * An ENDPOINT may name the address to come from: "tcp://10.0.0.7:0;10.0.0.1:8421". */
#include "common/buf.h"
#include "common/trust/certificate.h"
#include "common/trust/keys.h"
#include "proto/codec.h"
#include "proto/frame.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

enum { PATIENCE_MS = 10000, AT_ONCE = 64 };

static void die(const char *what)
{
    fprintf(stderr, "hostile-node: %s\n", what);
    exit(1);
}

static void must(int r, const char *what)
{
    if (r < 0)
        die(what);
}

struct dealer {
    void *zsock, *monitor;
};

/* `pair` NULL: without CURVE. */
static struct dealer dial(
        void *context, const char *endpoint, const char *server_key, const struct key_pair *pair)
{
    static unsigned number;
    static const int linger_ms = 0, retry_ms = -1;
    struct dealer dealer = {.zsock = zmq_socket(context, ZMQ_DEALER)};
    char name[64];
    must(zmq_setsockopt(dealer.zsock, ZMQ_LINGER, &linger_ms, sizeof(linger_ms)), "LINGER");
    must(zmq_setsockopt(dealer.zsock, ZMQ_RECONNECT_IVL, &retry_ms, sizeof(retry_ms)), "IVL");
    if (pair) {
        must(zmq_setsockopt(dealer.zsock, ZMQ_CURVE_SERVERKEY, server_key, KEY_Z85_LEN + 1), "key");
        must(zmq_setsockopt(dealer.zsock, ZMQ_CURVE_PUBLICKEY, pair->public_z85, KEY_Z85_LEN + 1),
                "key");
        must(zmq_setsockopt(dealer.zsock, ZMQ_CURVE_SECRETKEY, pair->secret_z85, KEY_Z85_LEN + 1),
                "key");
    }
    snprintf(name, sizeof(name), "inproc://monitor-%u", number++);
    must(zmq_socket_monitor(dealer.zsock, name, ZMQ_EVENT_ALL), "monitor");
    dealer.monitor = zmq_socket(context, ZMQ_PAIR);
    must(zmq_connect(dealer.monitor, name), "monitor");
    must(zmq_connect(dealer.zsock, endpoint), "connect");
    return dealer;
}

/* The monitor ends before its reader: libzmq's thread would wait for one. */
static void hang_up(struct dealer *dealer)
{
    must(zmq_socket_monitor(dealer->zsock, NULL, 0), "monitor");
    zmq_close(dealer->monitor);
    zmq_close(dealer->zsock);
}

/* The next event of the monitor, 0 where none comes in time. */
static uint16_t next_event(struct dealer *dealer, int patience_ms)
{
    zmq_pollitem_t item = {.socket = dealer->monitor, .events = ZMQ_POLLIN};
    uint8_t data[6];
    char address[256];
    uint16_t event;
    if (zmq_poll(&item, 1, patience_ms) <= 0)
        return 0;
    must(zmq_recv(dealer->monitor, data, sizeof(data), 0), "event");
    must(zmq_recv(dealer->monitor, address, sizeof(address), 0), "event");
    memcpy(&event, data, sizeof(event));
    return event;
}

/* How the handshake ends, in one word. */
static const char *handshake(struct dealer *dealer)
{
    uint16_t event;
    while ((event = next_event(dealer, PATIENCE_MS)) != 0) {
        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            return "welcome";
        if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
            return "refused";
        if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL ||
                event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL || event == ZMQ_EVENT_DISCONNECTED)
            return "failed";
    }
    return "nothing";
}

static void plain(void *context, const char *endpoint)
{
    struct dealer dealer = dial(context, endpoint, NULL, NULL);
    puts(handshake(&dealer));
    hang_up(&dealer);
}

/* In a context of its own, whose end waits until libzmq has given back what they held. */
static size_t knock_some(const char *endpoint, const char *server_key, size_t count)
{
    void *context = zmq_ctx_new();
    struct dealer dealers[AT_ONCE];
    struct key_pair pairs[AT_ONCE];
    size_t refused = 0;
    for (size_t i = 0; i < count; i++) {
        must(keys_generate(&pairs[i], NULL), "key");
        dealers[i] = dial(context, endpoint, server_key, &pairs[i]);
    }
    for (size_t i = 0; i < count; i++) {
        refused += strcmp(handshake(&dealers[i]), "refused") == 0;
        hang_up(&dealers[i]);
        keys_fini(&pairs[i]);
    }
    zmq_ctx_term(context);
    return refused;
}

static void knock(const char *endpoint, const char *server_key, const char *count)
{
    size_t left = strtoul(count, NULL, 10), refused = 0;
    while (left > 0) {
        size_t some = left < AT_ONCE ? left : AT_ONCE;
        refused += knock_some(endpoint, server_key, some);
        left -= some;
    }
    printf("%zu refused\n", refused);
}

static void certify(const char *seed_path, const char *key, const char *name, const char *seconds)
{
    struct identity identity;
    struct certificate_bytes bytes;
    struct err err;
    char text[CERTIFICATE_TEXT_MAX + 1];
    int64_t now_s = time(NULL), left_s = strtoll(seconds, NULL, 10);
    struct certificate certificate = {.roles = CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE,
            .serial = 4711,
            .not_before_s = (uint64_t)(now_s - 1000000),
            .not_after_s = (uint64_t)(now_s + left_s)};
    if (identity_load_or_create(seed_path, &identity, &err) < 0)
        die(err.text);
    snprintf(certificate.key, sizeof(certificate.key), "%s", key);
    snprintf(certificate.name, sizeof(certificate.name), "%s", name);
    certificate_sign(&identity, &certificate, &bytes);
    must(certificate_bytes_to_text(&bytes, text, sizeof(text)), "text");
    puts(text);
    identity_fini(&identity);
}

static void say_hello(struct dealer *dealer, const char *name, const char *certificate)
{
    struct certificate_bytes bytes = {.len = 0};
    struct buf frame;
    struct err err;
    if (certificate && certificate_bytes_from_text(certificate, &bytes, &err) < 0)
        die(err.text);
    const struct msg msg = {.type = MSG_HELLO,
            .hello = {.name = name,
                    .software = "hostile",
                    .version_min = FRAME_VERSION_MIN,
                    .version_max = FRAME_VERSION,
                    .certificate = {.data = bytes.data, .len = bytes.len}}};
    buf_init(&frame, FRAME_MAX);
    if (codec_encode(&msg, &frame, &err) < 0)
        die(err.text);
    must(zmq_send(dealer->zsock, buf_at(&frame), frame.len, 0), "send");
    buf_fini(&frame);
}

/* The first frame that comes, as "welcome" or "refuse CODE". */
static void print_answer(struct dealer *dealer)
{
    zmq_pollitem_t item = {.socket = dealer->zsock, .events = ZMQ_POLLIN};
    static uint8_t data[FRAME_MAX];
    struct arena arena;
    struct msg msg;
    struct err err;
    if (zmq_poll(&item, 1, PATIENCE_MS) <= 0) {
        puts("nothing");
        return;
    }
    int len = zmq_recv(dealer->zsock, data, sizeof(data), 0);
    must(len, "recv");
    arena_init(&arena, MSG_ARENA_BYTES);
    if (codec_decode(data, (size_t)len, &arena, &msg, &err) < 0)
        die(err.text);
    printf("%s %s\n", msg_type_name(msg.type),
            msg.type == MSG_REFUSE ? refuse_code_name(msg.refuse.code) : "");
    arena_fini(&arena);
}

/* endpoint, server's key, key file, name, certificate or NULL */
static void hello(void *context, char **words)
{
    struct key_pair pair;
    struct err err;
    if (keys_load_or_create(words[2], &pair, &err) < 0)
        die(err.text);
    struct dealer dealer = dial(context, words[0], words[1], &pair);
    const char *how = handshake(&dealer);
    if (strcmp(how, "welcome") != 0) {
        puts(how);
    } else {
        say_hello(&dealer, words[3], words[4]);
        print_answer(&dealer);
    }
    hang_up(&dealer);
    keys_fini(&pair);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        die("usage: see the head of tests/lib/hostile_node.c");
    void *context = zmq_ctx_new();
    if (strcmp(argv[1], "plain") == 0 && argc == 3)
        plain(context, argv[2]);
    else if (strcmp(argv[1], "knock") == 0 && argc == 5)
        knock(argv[2], argv[3], argv[4]);
    else if (strcmp(argv[1], "certify") == 0 && argc == 6)
        certify(argv[2], argv[3], argv[4], argv[5]);
    else if (strcmp(argv[1], "hello") == 0 && (argc == 6 || argc == 7))
        hello(context, argv + 2);
    else
        die("no such errand");
    zmq_ctx_term(context);
    return 0;
}
