#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/log.h"
#include "node/residency/orders.h"
#include "node/settings.h"
#include "tests/lib/gguf_maker.h"
#include "tests/lib/patience.h"
#include "tests/lib/puppet.h"
#include "tests/lib/scratch.h"
#include "tests/lib/virtual_env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATIENCE_MS = 30000, HEARD_MAX = 32 };

static const uint64_t gib = UINT64_C(1) << 30;

struct heard {
    enum msg_type type;
    uint64_t order;
    bool ok;
    enum fail_code code;
    enum order_way way;
    char text[MSG_TEXT_MAX + 1];
};

/* A node with the models a, b and c, each of which takes `model_bytes`. */
struct fixture {
    struct loop loop;
    struct loop_timer *patience;
    struct virtual_env world;
    struct scratch scratch;
    struct supervisor *supervisor;
    struct standing_orders *standing;
    struct models *models;
    struct orders *orders;
    struct heard heard[HEARD_MAX];
    size_t heard_count, running;
    bool paused;
    uint64_t last_order;
    uint64_t swap_bytes; /* swap_allowance of the node that is opened next */
};

static struct fixture f;
static uint64_t model_bytes;

/* --- what is told --- */

static void on_change(void *ctx, const char *model)
{
    (void)ctx;
    (void)model;
}

static void on_stopped(void *ctx)
{
    (void)ctx;
}

static void on_send(void *ctx, const struct msg *msg)
{
    struct heard *heard = &f.heard[f.heard_count++];

    (void)ctx;
    assert_true(f.heard_count < HEARD_MAX);
    heard->type = msg->type;
    if (msg->type == MSG_PROGRESS) {
        heard->order = msg->progress.order;
        (void)snprintf(heard->text, sizeof heard->text, "%s", msg->progress.text);
        return;
    }
    assert_int_equal(msg->type, MSG_DONE);
    heard->order = msg->done.order;
    heard->ok = msg->done.ok;
    heard->code = msg->done.code;
    heard->way = msg->done.way;
    (void)snprintf(heard->text, sizeof heard->text, "%s", msg->done.message);
}

static void on_pause(void *ctx, bool paused)
{
    (void)ctx;
    f.paused = paused;
}

static size_t on_running(void *ctx)
{
    (void)ctx;
    return f.running;
}

static const struct orders_events events = {
        .send = on_send, .pause = on_pause, .running = on_running};

/* --- the node --- */

static void tick_after(uint64_t ms)
{
    virtual_env_advance_ms(&f.world, ms);
    supervisor_tick(f.supervisor);
    orders_tick(f.orders);
}

static void tick(void)
{
    tick_after(0);
}

static void put_old_model(const char *name)
{
    const struct timespec times[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};
    char path[64];

    (void)snprintf(path, sizeof path, "models/%s.gguf", name);
    gguf_write_model(scratch_path(&f.scratch, path), 64);
    assert_int_equal(utimensat(AT_FDCWD, scratch_path(&f.scratch, path), times, 0), 0);
}

static bool scan_done(void)
{
    return supervisor_find(f.supervisor, "c") != NULL;
}

static void run_until_scanned(void)
{
    while (!scan_done())
        (void)uv_run(&f.loop.uv, UV_RUN_ONCE);
}

static void open_standing(void)
{
    struct err err;

    if (standing_orders_open(scratch_path(&f.scratch, "orders.json"), &f.standing, &err) < 0)
        fail_msg("%s", err.text);
}

static struct config *config_of(const char *settings)
{
    struct config *config = config_create(node_keys);
    char text[512];
    struct err err;

    (void)snprintf(text, sizeof text, "models: [%s/models]\nengine: {slots: 2, context: 1024}\n%s",
            f.scratch.path, settings);
    if (config_load_text(config, "node.yaml", text, strlen(text), &err) < 0)
        fail_msg("%s", err.text);
    return config;
}

static void reload(const char *settings)
{
    struct config *config = config_of(settings);
    struct err err;

    if (models_reload(f.models, config, &err) < 0)
        fail_msg("%s", err.text);
    config_destroy(config);
    tick();
}

static void open_models(const char *settings)
{
    struct config *config = config_of(settings);
    struct models_config models = {.loop = &f.loop,
            .env = &env_system,
            .supervisor = f.supervisor,
            .orders = f.standing,
            .settings = config};
    struct err err;

    if (models_create(&models, &f.models, &err) < 0)
        fail_msg("%s", err.text);
    config_destroy(config);
    run_until_scanned();
}

static void open_node(uint64_t limit_bytes, const char *settings)
{
    static const struct supervisor_events supervisor_events = {
            .on_change = on_change, .on_stopped = on_stopped};
    const struct supervisor_config config = {.ops = &puppet_ops,
            .host = {.loop = &f.loop, .env = &f.world.env},
            .node_name = "halo1",
            .swap_bytes = f.swap_bytes,
            .memory = {
                    .hardware = {.root = f.scratch.path, .nvml = ""}, .limit_bytes = limit_bytes}};
    struct orders_config orders = {.env = &f.world.env};
    struct err err;

    if (supervisor_create(&f.loop, &config, &supervisor_events, NULL, &f.supervisor, &err) < 0)
        fail_msg("%s", err.text);
    open_standing();
    open_models(settings);
    orders.supervisor = f.supervisor;
    orders.models = f.models;
    orders.standing = f.standing;
    f.orders = orders_create(&orders, &events, NULL);
    assert_non_null(f.orders);
    tick();
}

static void stop_engines(void)
{
    static const char *const names[] = {"a@old", "a", "b@old", "b", "c"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (puppet_running(names[i]))
            puppet_exit(names[i], "stopped");
}

static void close_node(void)
{
    orders_destroy(f.orders);
    models_destroy(f.models);
    supervisor_drain(f.supervisor);
    supervisor_tick(f.supervisor);
    stop_engines();
    supervisor_tick(f.supervisor);
    supervisor_destroy(f.supervisor);
    standing_orders_close(f.standing);
    puppet_reset();
}

static int setup(void **state)
{
    (void)state;
    log_init("test", LOG_LEVEL_ERROR);
    memset(&f, 0, sizeof f);
    virtual_env_init(&f.world);
    scratch_init(&f.scratch);
    scratch_write(&f.scratch, "proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 8388608 kB\n");
    scratch_write(&f.scratch, "models/readme", "");
    put_old_model("a");
    put_old_model("b");
    put_old_model("c");
    if (loop_init(&f.loop) < 0)
        return -1;
    f.patience = patience_start(&f.loop, PATIENCE_MS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close_node();
    loop_timer_destroy(f.patience);
    loop_fini(&f.loop);
    scratch_fini(&f.scratch);
    return 0;
}

static struct msg_instance describe(const char *name)
{
    struct msg_instance instance = {0};

    assert_true(supervisor_describe(f.supervisor, name, &instance));
    return instance;
}

/* Room for `models` of them and a half. */
static void open_for(unsigned models, const char *settings)
{
    if (model_bytes == 0) {
        open_node(4 * gib, "");
        model_bytes = describe("a").memory_bytes;
        assert_true(model_bytes > 0);
        close_node();
    }
    open_node(model_bytes * models + model_bytes / 2, settings);
}

/* --- orders --- */

static struct msg_load load_of(const char *model)
{
    return (struct msg_load){
            .order = ++f.last_order, .model = model, .replaces = "", .type_k = "", .type_v = ""};
}

static void say(struct msg msg)
{
    f.heard_count = 0;
    orders_on_msg(f.orders, &msg);
    supervisor_tick(f.supervisor);
}

static void say_load(struct msg_load load)
{
    say((struct msg){.type = MSG_LOAD, .load = load});
}

static void say_unload(const char *model)
{
    say((struct msg){.type = MSG_UNLOAD, .unload = {.order = ++f.last_order, .model = model}});
}

static void say_pin(const char *model, bool pinned)
{
    say((struct msg){
            .type = MSG_PIN, .pin = {.order = ++f.last_order, .model = model, .pinned = pinned}});
}

/* The last that was heard is this answer. */
static const struct heard *done(void)
{
    const struct heard *heard = &f.heard[f.heard_count > 0 ? f.heard_count - 1 : 0];

    assert_true(f.heard_count > 0);
    assert_int_equal(heard->type, MSG_DONE);
    assert_int_equal(heard->order, f.last_order);
    return heard;
}

static void assert_done(enum order_way way)
{
    if (!done()->ok)
        fail_msg("refused: %s", done()->text);
    assert_string_equal(order_way_name(done()->way), order_way_name(way));
}

static void assert_refused(enum fail_code code, const char *words)
{
    assert_false(done()->ok);
    assert_string_equal(fail_code_name(done()->code), fail_code_name(code));
    if (strstr(done()->text, words) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", words, done()->text);
}

static void ready(const char *name)
{
    virtual_env_advance_ms(&f.world, 100);
    puppet_ready(name, 2, 1024);
    tick();
}

static void exited(const char *name)
{
    puppet_exit(name, "stopped");
    tick();
}

static void load(const char *name)
{
    say_load(load_of(name));
    ready(name);
    assert_done(ORDER_WAY_BESIDE);
}

static struct instance *use(const char *name)
{
    struct instance *instance = supervisor_find(f.supervisor, name);

    assert_true(instance_ready(instance));
    assert_non_null(instance_acquire(instance));
    return instance;
}

/* --- LOAD --- */

static void test_a_load_into_free_memory(void **state)
{
    struct msg_load order;

    (void)state;
    open_for(2, "");
    order = load_of("a");
    order.rehearse = true;
    say_load(order);
    assert_done(ORDER_WAY_BESIDE);
    assert_false(puppet_running("a"));
    say_load(load_of("a"));
    assert_int_equal(f.heard_count, 0);
    assert_true(puppet_running("a"));
    tick_after(ORDERS_PROGRESS_MS);
    assert_int_equal(f.heard[0].type, MSG_PROGRESS);
    assert_string_equal(f.heard[0].text, "it loads");
    ready("a");
    assert_done(ORDER_WAY_BESIDE);
    assert_false(describe("a").pinned);
    say_load(load_of("a"));
    tick();
    assert_done(ORDER_WAY_THERE);
    assert_int_equal(puppet_starts("a"), 1);
}

static void test_a_load_that_is_kept(void **state)
{
    struct msg_load order;

    (void)state;
    open_for(2, "");
    order = load_of("a");
    order.keep = true;
    order.context = 512;
    order.slots = 1;
    order.type_k = "q8_0";
    say_load(order);
    ready("a");
    assert_done(ORDER_WAY_BESIDE);
    assert_true(describe("a").pinned);
    assert_int_equal(describe("a").run_context, 512);
    assert_int_equal(describe("a").run_slots, 1);
    assert_int_equal(describe("a").type_k, CACHE_TYPE_Q8_0);
    assert_int_equal(describe("a").type_v, CACHE_TYPE_F16);
    close_node();
    open_for(2, "");
    assert_true(puppet_running("a"));
    assert_int_equal(describe("a").run_context, 512);
}

/* The same model with other settings: the older engine serves until the new one can. */
static void test_other_settings_beside_the_old_ones(void **state)
{
    struct msg_load order;
    struct instance *old;

    (void)state;
    open_for(3, "");
    load("a");
    old = use("a");
    order = load_of("a");
    order.context = 512;
    say_load(order);
    assert_int_equal(puppet_starts("a"), 2);
    assert_true(instance_ready(old));
    ready("a");
    assert_done(ORDER_WAY_BESIDE);
    assert_int_equal(describe("a").run_context, 512);
    assert_ptr_not_equal(supervisor_find(f.supervisor, "a"), old);
    assert_false(puppet_stopping("a@old"));
    instance_release(old);
    tick();
    assert_true(puppet_stopping("a@old"));
    exited("a@old");
    assert_true(instance_ready(supervisor_find(f.supervisor, "a")));
    assert_non_null(supervisor_model_at(f.supervisor, 2));
    assert_null(supervisor_model_at(f.supervisor, 3));
}

static void on_waiter(void *ctx, const struct msg_fail *fail)
{
    int *answers = ctx;

    *answers += fail == NULL ? 1 : 1000;
}

/* … or, where there is no room for both, finishes what it has; who comes meanwhile waits. */
static void test_other_settings_in_the_place_of_the_old_ones(void **state)
{
    int answers = 0;
    struct instance_wait wait = {.fn = on_waiter, .ctx = &answers};
    struct msg_load order;
    struct instance *instance;

    (void)state;
    open_for(1, "");
    load("a");
    instance = use("a");
    order = load_of("a");
    order.context = 512;
    say_load(order);
    assert_false(instance_ready(instance));
    assert_false(puppet_stopping("a"));
    instance_wait(instance, &wait);
    instance_release(instance);
    tick();
    assert_true(puppet_stopping("a"));
    exited("a");
    assert_int_equal(puppet_starts("a"), 2);
    ready("a");
    assert_done(ORDER_WAY_SWAP);
    assert_int_equal(answers, 1);
    assert_int_equal(describe("a").run_context, 512);
}

static void test_a_model_in_the_place_of_another(void **state)
{
    struct msg_load order;
    struct instance *old;

    (void)state;
    open_for(1, "resident: [a]\n");
    ready("a");
    old = use("a");
    order = load_of("b");
    say_load(order);
    assert_refused(FAIL_NO_MEMORY, "there is room for");
    order = load_of("b");
    order.replaces = "a";
    order.keep = true;
    say_load(order);
    tick_after(ORDERS_PROGRESS_MS);
    assert_false(puppet_running("b"));
    assert_false(instance_ready(old));
    instance_release(old);
    tick();
    exited("a");
    assert_true(puppet_running("b"));
    ready("b");
    assert_done(ORDER_WAY_SWAP);
    tick_after(60 * 1000);
    assert_false(describe("a").pinned);
    assert_false(puppet_running("a"));
    assert_true(describe("b").pinned);
}

/* Its own older engine is no other model: what was ordered of it stays. */
static void test_a_model_in_its_own_place(void **state)
{
    struct msg_load order;

    (void)state;
    open_for(1, "");
    load("a");
    (void)use("a");
    order = load_of("a");
    order.replaces = "a";
    order.context = 512;
    order.keep = true;
    say_load(order);
    instance_release(supervisor_find(f.supervisor, "a"));
    tick();
    exited("a");
    ready("a");
    assert_done(ORDER_WAY_SWAP);
    reload("");
    assert_true(describe("a").pinned);
}

static void put_model_of_another_host(void)
{
    const struct found_model facts = {.name = "x", .file_bytes = 1000};
    const struct engines_model model = {
            .facts = &facts, .place = {.url = "http://mac:11434", .id = "x"}};

    supervisor_engine_model_put(f.supervisor, &puppet_ops, &model, true);
    tick();
    ready("x");
}

/* … nor is one whose memory is not this node's. */
static void test_a_model_in_the_place_of_a_foreign_one(void **state)
{
    struct msg_load order;
    struct instance *instance;

    (void)state;
    open_for(1, "");
    put_model_of_another_host();
    load("b");
    instance = use("b");
    order = load_of("a");
    order.replaces = "x";
    say_load(order);
    tick();
    assert_true(instance_ready(supervisor_find(f.supervisor, "x")));
    assert_null(standing_orders_find(f.standing, "x"));
    instance_release(instance);
    puppet_exit("x", "stopped");
}

/* What was ordered does not stay, and what it was to replace comes back. */
static void test_a_load_that_fails(void **state)
{
    struct msg_load order;

    (void)state;
    open_for(1, "resident: [a]\n");
    ready("a");
    order = load_of("b");
    order.replaces = "a";
    order.keep = true;
    order.context = 512;
    say_load(order);
    exited("a");
    puppet_exit("b", "exited with status 1: no such tensor");
    tick();
    assert_refused(FAIL_ENGINE_DIED, "no such tensor");
    assert_int_equal(describe("b").run_context, 1024);
    assert_false(describe("b").pinned);
    assert_true(describe("a").pinned);
    tick_after(60 * 1000);
    assert_true(puppet_running("a"));
}

/* The engine that serves goes on, with its settings. */
static void test_a_successor_that_fails(void **state)
{
    struct msg_load order;

    (void)state;
    open_for(3, "");
    load("a");
    order = load_of("a");
    order.context = 512;
    say_load(order);
    puppet_exit("a", "exited with status 1: no");
    tick();
    assert_refused(FAIL_ENGINE_DIED, "no");
    tick();
    assert_true(instance_ready(supervisor_find(f.supervisor, "a")));
    assert_int_equal(describe("a").run_context, 1024);
    assert_int_equal(puppet_starts("a"), 2);
    assert_false(puppet_stopping("a"));
}

/* … also while it waits for memory. */
static void test_a_successor_whose_model_goes(void **state)
{
    struct msg_load order;

    (void)state;
    open_for(2, "");
    load("a");
    load("b");
    order = load_of("a");
    order.context = 512;
    say_load(order);
    assert_int_equal(puppet_starts("a"), 1);
    supervisor_model_gone(f.supervisor, "a");
    tick();
    assert_refused(FAIL_NO_MODEL, "gone");
}

static void put_model_of_engine(void)
{
    const struct found_model facts = {.name = "a", .file_bytes = 1000};
    const struct engines_model model = {
            .facts = &facts, .place = {.url = "http://127.0.0.1:11434", .id = "a"}, .here = true};

    supervisor_engine_model_put(f.supervisor, &puppet_ops, &model, false);
}

static void begin_beside(uint32_t context)
{
    struct msg_load order = load_of("a");

    order.context = context;
    say_load(order);
}

/* The file counts: what an engine says that has a model of the same name changes nothing. */
static void test_a_successor_beside_an_engine_that_runs_already(void **state)
{
    (void)state;
    open_for(3, "");
    load("a");
    begin_beside(512);
    put_model_of_engine();
    supervisor_engine_model_gone(f.supervisor, "a");
    tick();
    ready("a");
    assert_done(ORDER_WAY_BESIDE);
    assert_int_equal(describe("a").run_context, 512);
}

/* … but there is no place to take where that goes and was the last that was known of it. */
static void test_a_successor_of_nobody(void **state)
{
    (void)state;
    open_for(3, "");
    load("a");
    put_model_of_engine();
    supervisor_model_gone(f.supervisor, "a");
    begin_beside(512);
    assert_int_equal(puppet_starts("a"), 2);
    supervisor_engine_model_gone(f.supervisor, "a");
    tick();
    assert_refused(FAIL_NO_MODEL, "or is gone");
    assert_true(puppet_stopping("a"));
    exited("a");
}

/* What changes no engine ends none. */
static void test_a_successor_of_another_quality(void **state)
{
    (void)state;
    open_for(3, "");
    load("a");
    begin_beside(512);
    reload("model-settings: {a: {quality: 50}}\n");
    assert_true(instance_ready(supervisor_find(f.supervisor, "a")));
    ready("a");
    assert_done(ORDER_WAY_BESIDE);
    assert_int_equal(describe("a").run_context, 512);
    assert_int_equal(describe("a").quality, 50);
    exited("a@old");
    assert_true(instance_ready(supervisor_find(f.supervisor, "a")));
}

/* … also where the one before it was given up, too, and has not ended yet. */
static void test_a_successor_of_other_settings(void **state)
{
    struct instance *old;

    (void)state;
    open_for(4, "");
    load("a");
    old = use("a");
    begin_beside(512);
    reload("model-settings: {a: {slots: 3}}\n");
    assert_refused(FAIL_NO_MODEL, "has changed");
    assert_true(puppet_stopping("a"));
    begin_beside(512);
    assert_int_equal(puppet_starts("a"), 3);
    reload("model-settings: {a: {slots: 1}}\n");
    assert_refused(FAIL_NO_MODEL, "has changed");
    instance_release(old);
    exited("a@old");
    exited("a");
}

static void test_what_no_load_can_do(void **state)
{
    struct msg_load order;

    (void)state;
    open_for(1, "");
    order = load_of("nobody");
    say_load(order);
    assert_refused(FAIL_NO_MODEL, "does not have this model");
    order = load_of("a");
    order.type_v = "q9";
    say_load(order);
    assert_refused(FAIL_BAD_REQUEST, "q9");
    say_load(load_of("a"));
    assert_int_equal(f.heard_count, 0);
    say_load(load_of("a"));
    assert_refused(FAIL_OVERLOADED, "is under way");
}

static void test_a_load_that_can_never_fit(void **state)
{
    (void)state;
    open_for(0, "");
    say_load(load_of("a"));
    assert_refused(FAIL_NO_MEMORY, "there is room for");
    assert_false(puppet_running("a"));
}

/* Who orders it does not wait in front of a screen. */
static void test_a_load_past_the_memory(void **state)
{
    (void)state;
    f.swap_bytes = gib;
    open_for(0, "");
    say_load(load_of("a"));
    assert_true(puppet_running("a"));
    ready("a");
    assert_done(ORDER_WAY_BESIDE);
}

/* It goes on, and nobody is told. */
static void test_a_link_that_is_lost(void **state)
{
    (void)state;
    open_for(1, "");
    say_load(load_of("a"));
    orders_session_end(f.orders);
    ready("a");
    tick_after(ORDERS_PROGRESS_MS);
    assert_int_equal(f.heard_count, 0);
    assert_int_equal(describe("a").state, INSTANCE_RESIDENT);
}

static void test_a_limit_of_orders(void **state)
{
    (void)state;
    open_for(1, "");
    f.running = 1;
    for (unsigned i = 0; i < ORDERS_MAX; i++)
        say((struct msg){.type = MSG_DRAIN, .drain = {.order = ++f.last_order, .draining = true}});
    assert_int_equal(f.heard_count, 0);
    say_load(load_of("a"));
    assert_refused(FAIL_OVERLOADED, "as many orders as this node takes");
}

/* --- the others --- */

static void test_an_unload(void **state)
{
    struct instance *instance;

    (void)state;
    open_for(2, "resident: [a]\n");
    ready("a");
    instance = use("a");
    say_unload("a");
    tick_after(ORDERS_PROGRESS_MS);
    assert_string_equal(f.heard[0].text, "it finishes its requests");
    assert_false(puppet_stopping("a"));
    instance_release(instance);
    tick();
    exited("a");
    assert_done(ORDER_WAY_NONE);
    assert_false(describe("a").pinned);
    tick_after(60 * 1000);
    assert_false(puppet_running("a"));
    say_unload("b");
    tick();
    assert_done(ORDER_WAY_NONE);
}

/* It does not come back by itself, neither before nor after its back-off is over. */
static void test_an_unload_of_one_that_died(void **state)
{
    (void)state;
    open_for(2, "");
    load("a");
    puppet_exit("a", "killed by signal 11");
    tick();
    say_unload("a");
    tick();
    assert_done(ORDER_WAY_NONE);
    tick_after(60 * 1000);
    assert_false(puppet_running("a"));
    load("b");
    puppet_exit("b", "killed by signal 11");
    tick_after(10 * 1000);
    assert_int_equal(puppet_starts("b"), 2);
    say_unload("b");
    assert_true(puppet_stopping("b"));
    exited("b");
    tick_after(60 * 1000);
    assert_false(puppet_running("b"));
}

static void test_an_unload_of_one_that_dies_meanwhile(void **state)
{
    struct instance *instance;

    (void)state;
    open_for(2, "");
    load("a");
    instance = use("a");
    say_unload("a");
    instance_release(instance);
    puppet_exit("a", "killed by signal 11");
    tick();
    assert_done(ORDER_WAY_NONE);
    tick_after(60 * 1000);
    assert_false(puppet_running("a"));
}

/* … but for those who wait for it; the order is done all the same. */
static void test_an_unload_while_others_wait(void **state)
{
    int answers = 0;
    struct instance_wait wait = {.fn = on_waiter, .ctx = &answers};
    struct instance *instance;

    (void)state;
    open_for(2, "");
    load("a");
    instance = use("a");
    say_unload("a");
    instance_wait(instance, &wait);
    instance_release(instance);
    tick();
    assert_true(puppet_stopping("a"));
    exited("a");
    assert_int_equal(puppet_starts("a"), 2);
    assert_done(ORDER_WAY_NONE);
    assert_non_null(strstr(done()->text, "again"));
    ready("a");
    assert_int_equal(answers, 1);
}

static void test_a_pin(void **state)
{
    (void)state;
    open_for(2, "");
    say_pin("a", true);
    assert_done(ORDER_WAY_NONE);
    assert_true(puppet_running("a"));
    assert_true(describe("a").pinned);
    ready("a");
    say_pin("a", false);
    assert_done(ORDER_WAY_NONE);
    assert_false(describe("a").pinned);
    assert_false(puppet_stopping("a"));
    say_pin("nobody", true);
    assert_refused(FAIL_NO_MODEL, "does not have this model");
}

static void test_a_pause(void **state)
{
    (void)state;
    open_for(1, "");
    f.running = 2;
    say((struct msg){.type = MSG_DRAIN, .drain = {.order = ++f.last_order, .draining = true}});
    assert_true(f.paused);
    tick_after(ORDERS_PROGRESS_MS);
    assert_string_equal(f.heard[0].text, "2 requests go on");
    f.running = 0;
    tick();
    assert_done(ORDER_WAY_NONE);
    say((struct msg){.type = MSG_DRAIN, .drain = {.order = ++f.last_order}});
    assert_false(f.paused);
    assert_done(ORDER_WAY_NONE);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_a_load_into_free_memory),
            TEST(test_a_load_that_is_kept),
            TEST(test_other_settings_beside_the_old_ones),
            TEST(test_other_settings_in_the_place_of_the_old_ones),
            TEST(test_a_model_in_the_place_of_another),
            TEST(test_a_model_in_its_own_place),
            TEST(test_a_model_in_the_place_of_a_foreign_one),
            TEST(test_a_load_that_fails),
            TEST(test_a_successor_that_fails),
            TEST(test_a_successor_whose_model_goes),
            TEST(test_a_successor_beside_an_engine_that_runs_already),
            TEST(test_a_successor_of_nobody),
            TEST(test_a_successor_of_another_quality),
            TEST(test_a_successor_of_other_settings),
            TEST(test_what_no_load_can_do),
            TEST(test_a_load_that_can_never_fit),
            TEST(test_a_load_past_the_memory),
            TEST(test_a_link_that_is_lost),
            TEST(test_a_limit_of_orders),
            TEST(test_an_unload),
            TEST(test_an_unload_of_one_that_died),
            TEST(test_an_unload_of_one_that_dies_meanwhile),
            TEST(test_an_unload_while_others_wait),
            TEST(test_a_pin),
            TEST(test_a_pause),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("orders", tests, NULL, NULL);
}
