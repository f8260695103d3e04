#include "node/residency/orders.h"

#include "common/list.h"
#include "common/log.h"
#include "common/model/cache_type.h"
#include "common/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = SUPERVISOR_TEXT_MAX + 128, SIZE_TEXT_MAX = 32 };

struct orders {
    struct orders_config config;
    const struct orders_events *events;
    void *ctx;
    struct list open; /* struct order */
    size_t count;
    bool paused;
};

struct order {
    struct list link;
    struct orders *orders;
    uint64_t id; /* 0: nobody is to be told any more */
    enum msg_type type;
    struct instance_wait wait; /* LOAD */
    enum order_way way;
    uint64_t begin_ms, told_ms;
    char told[TEXT_MAX];
    /* What stood before, for a load that fails: */
    struct standing_order before, replaced_before;
    char model[MSG_NAME_MAX + 1], replaced[MSG_NAME_MAX + 1];
};

static uint64_t now_ms(const struct orders *orders)
{
    return env_now_ms(orders->config.env);
}

/* --- answers --- */

static void answer(const struct orders *orders, const struct msg_done *done)
{
    const struct msg msg = {.type = MSG_DONE, .done = *done};

    if (done->order != 0)
        orders->events->send(orders->ctx, &msg);
}

static void refuse(
        const struct orders *orders, uint64_t id, enum fail_code code, const char *message)
{
    const struct msg_done done = {.order = id, .code = code, .message = message};

    answer(orders, &done);
}

static void succeed(
        const struct orders *orders, uint64_t id, enum order_way way, const char *message)
{
    const struct msg_done done = {.order = id, .ok = true, .way = way, .message = message};

    answer(orders, &done);
}

static void tell(struct order *order, const char *text)
{
    const struct msg msg = {.type = MSG_PROGRESS, .progress = {.order = order->id, .text = text}};
    uint64_t now = now_ms(order->orders);

    if (order->id == 0 || now - order->told_ms < ORDERS_PROGRESS_MS ||
            strcmp(order->told, text) == 0)
        return;
    order->told_ms = now;
    (void)snprintf(order->told, sizeof order->told, "%s", text);
    order->orders->events->send(order->orders->ctx, &msg);
}

/* --- orders under way --- */

static struct order *find(const struct orders *orders, const char *model)
{
    list_for_each (it, &orders->open) {
        struct order *order = list_entry(it, struct order, link);
        if (strcmp(order->model, model) == 0)
            return order;
    }
    return NULL;
}

static struct order *begin(
        struct orders *orders, uint64_t id, enum msg_type type, const char *model)
{
    struct order *order = calloc(1, sizeof *order);

    if (order == NULL)
        return NULL;
    order->orders = orders;
    order->id = id;
    order->type = type;
    order->begin_ms = now_ms(orders);
    (void)snprintf(order->model, sizeof order->model, "%s", model);
    list_push_back(&orders->open, &order->link);
    orders->count++;
    return order;
}

static void end(struct order *order)
{
    list_del(&order->link);
    order->orders->count--;
    free(order);
}

/* Why nothing can be ordered of that model; NULL: it can. */
static const char *why_not(const struct orders *orders, const char *model)
{
    const struct instance *instance = supervisor_find(orders->config.supervisor, model);

    if (orders->config.models == NULL || instance == NULL || instance_is_gone(instance))
        return "the node does not have this model";
    if (instance_is_foreign(instance))
        return "its memory is not this node's to give: the engine that has it decides";
    return NULL;
}

/* Says why no order for `model` can begin now; true where it has. */
static bool refused(const struct orders *orders, uint64_t id, const char *model)
{
    if (orders->count == ORDERS_MAX)
        refuse(orders, id, FAIL_OVERLOADED, "as many orders as this node takes are under way");
    else if (find(orders, model) != NULL)
        refuse(orders, id, FAIL_OVERLOADED,
                "an order for this model is under way; wait for it, then say it again");
    else if (supervisor_draining(orders->config.supervisor))
        refuse(orders, id, FAIL_DRAINING, "the node is shutting down");
    else if (why_not(orders, model) != NULL)
        refuse(orders, id, FAIL_NO_MODEL, why_not(orders, model));
    else
        return false;
    return true;
}

/* --- what stays --- */

static struct standing_order standing_of(const struct orders *orders, const char *model)
{
    const struct standing_order *found = standing_orders_find(orders->config.standing, model);
    struct standing_order blank = {.context = 0};

    if (found != NULL)
        return *found;
    (void)snprintf(blank.model, sizeof blank.model, "%s", model);
    return blank;
}

static int keep(const struct orders *orders, const struct standing_order *order, struct err *err)
{
    int r = standing_orders_put(orders->config.standing, order, err);

    return r == 0 ? 0 : err_prefix(err, r, "the order cannot be kept");
}

static void restore(const struct orders *orders, const struct standing_order *before)
{
    struct err err;

    if (before->model[0] == '\0')
        return;
    if (keep(orders, before, &err) < 0)
        log_error("order not taken back", LOG_S("model", before->model), LOG_S("reason", err.text));
    models_reorder(orders->config.models, before->model);
}

static void pin(struct standing_order *order, bool pinned)
{
    order->keep = pinned;
    order->let_go = !pinned;
}

static void copy_type(char to[STANDING_TYPE_MAX + 1], const char *from)
{
    (void)snprintf(to, STANDING_TYPE_MAX + 1, "%s", from);
}

static int check_type(const char *text, struct err *err)
{
    enum cache_type type;

    return *text == '\0' ? 0 : cache_type_parse(text, &type, err);
}

/* What stands once the load has been done; -EINVAL. */
static int wish_of(const struct orders *orders, const struct msg_load *load,
        struct standing_order *ret_wish, struct err *err)
{
    int r = check_type(load->type_k, err);

    if (r == 0)
        r = check_type(load->type_v, err);
    if (r < 0)
        return r;
    *ret_wish = standing_of(orders, load->model);
    ret_wish->context = load->context;
    ret_wish->slots = load->slots;
    copy_type(ret_wish->type_k, load->type_k);
    copy_type(ret_wish->type_v, load->type_v);
    if (load->keep)
        pin(ret_wish, true);
    return 0;
}

/* --- LOAD --- */

static void word_success(const struct order *order, char text[TEXT_MAX])
{
    char bytes[SIZE_TEXT_MAX], age[SIZE_TEXT_MAX];
    struct msg_instance instance = {0};

    (void)supervisor_describe(order->orders->config.supervisor, order->model, &instance);
    text_format_size(instance.memory_bytes, bytes, sizeof bytes);
    text_format_age(now_ms(order->orders) - order->begin_ms, age, sizeof age);
    (void)snprintf(text, TEXT_MAX,
            "loaded after %s: %" PRIu32 " requests at once, %" PRIu32 " tokens each, %s", age,
            instance.slots, instance.context, bytes);
}

static void on_loaded(void *ctx, const struct msg_fail *fail)
{
    struct order *order = ctx;
    struct orders *orders = order->orders;
    char text[TEXT_MAX];

    if (fail == NULL) {
        word_success(order, text);
        log_info("order done", LOG_S("model", order->model), LOG_S("what", text));
        succeed(orders, order->id, order->way, text);
    } else {
        log_warn("order failed", LOG_S("model", order->model), LOG_S("reason", fail->message));
        refuse(orders, order->id, fail->code, fail->message);
    }
    if (fail != NULL && fail->code != FAIL_DRAINING) {
        restore(orders, &order->before);
        restore(orders, &order->replaced_before);
    }
    end(order);
}

/* The model whose place is taken must not come back by itself. */
static int release_replaced(struct order *order, const char *replaces, struct err *err)
{
    struct orders *orders = order->orders;
    struct standing_order standing = standing_of(orders, replaces);
    int r;

    order->replaced_before = standing;
    pin(&standing, false);
    r = keep(orders, &standing, err);
    if (r == 0)
        models_reorder(orders->config.models, replaces);
    return r;
}

static int prepare(struct order *order, const struct supervisor_load *how,
        const struct standing_order *wish, struct err *err)
{
    struct orders *orders = order->orders;
    int r;

    order->before = standing_of(orders, how->name);
    r = keep(orders, wish, err);
    if (r == 0 && order->way == ORDER_WAY_SWAP && how->replaces != NULL)
        r = release_replaced(order, how->replaces, err);
    return r;
}

/* Takes the settings of `how`. */
static void start(struct orders *orders, const struct msg_load *load,
        const struct standing_order *wish, struct supervisor_load *how, enum order_way way)
{
    struct order *order = begin(orders, load->order, MSG_LOAD, load->model);
    struct err err;

    if (order == NULL) {
        model_settings_destroy(how->settings);
        refuse(orders, load->order, FAIL_OVERLOADED, "out of memory");
        return;
    }
    order->way = way;
    order->wait = (struct instance_wait){.batch = true, .fn = on_loaded, .ctx = order};
    if (prepare(order, how, wish, &err) < 0) {
        model_settings_destroy(how->settings);
        refuse(orders, load->order, FAIL_OVERLOADED, err.text);
        restore(orders, &order->before);
        end(order);
        return;
    }
    log_info("order", LOG_S("load", load->model), LOG_S("way", order_way_name(way)),
            LOG_S("replaces", how->replaces));
    supervisor_load(orders->config.supervisor, how, way, &order->wait);
    if (how->settings == NULL)
        supervisor_engine_pin(orders->config.supervisor, load->model, wish->keep);
}

static bool changes_settings(const struct msg_load *load)
{
    return load->context > 0 || load->slots > 0 || *load->type_k != '\0' || *load->type_v != '\0';
}

/* Another model that can end for it; NULL: none. Its own older engine may in any case. */
static const char *replaced_by(const struct orders *orders, const struct msg_load *load)
{
    bool other = *load->replaces != '\0' && strcmp(load->replaces, load->model) != 0;

    return other && why_not(orders, load->replaces) == NULL ? load->replaces : NULL;
}

/* `*ret_how` names what `load` does, with settings that its user takes. */
static int plan(const struct orders *orders, const struct msg_load *load,
        const struct standing_order *wish, struct supervisor_load *ret_how, struct err *err)
{
    const struct catalogue_model *file = models_file(orders->config.models, load->model);

    *ret_how = (struct supervisor_load){
            .name = load->model, .replaces = replaced_by(orders, load), .model = file};
    if (file != NULL)
        return models_settings(orders->config.models, file, wish, &ret_how->settings, err);
    if (changes_settings(load))
        return err_set(err, -EINVAL,
                "%s is in an engine that runs already and has settings of its own; change its "
                "context and slots there",
                load->model);
    return 0;
}

static void on_load(struct orders *orders, const struct msg_load *load)
{
    char text[SUPERVISOR_TEXT_MAX];
    struct standing_order wish;
    struct supervisor_load how;
    enum order_way way;
    struct err err;

    if (refused(orders, load->order, load->model))
        return;
    if (wish_of(orders, load, &wish, &err) < 0 || plan(orders, load, &wish, &how, &err) < 0) {
        refuse(orders, load->order, FAIL_BAD_REQUEST, err.text);
        return;
    }
    way = supervisor_rehearse(orders->config.supervisor, &how, text);
    if (way != ORDER_WAY_NONE && !load->rehearse) {
        start(orders, load, &wish, &how, way);
        return;
    }
    model_settings_destroy(how.settings);
    if (way == ORDER_WAY_NONE)
        refuse(orders, load->order, FAIL_NO_MEMORY, text);
    else
        succeed(orders, load->order, way, text);
}

/* --- UNLOAD, PIN, DRAIN --- */

static bool is_pinned(const struct orders *orders, const char *model)
{
    struct msg_instance instance = {0};

    return supervisor_describe(orders->config.supervisor, model, &instance) && instance.pinned;
}

/* What the config says counts again, but for a pin. */
static int forget(const struct orders *orders, const char *model, struct err *err)
{
    struct standing_order standing = {.context = 0};
    int r;

    (void)snprintf(standing.model, sizeof standing.model, "%s", model);
    r = keep(orders, &standing, err);
    if (r < 0)
        return r;
    models_reorder(orders->config.models, model);
    if (!is_pinned(orders, model))
        return 0;
    pin(&standing, false);
    r = keep(orders, &standing, err);
    if (r == 0)
        models_reorder(orders->config.models, model);
    return r;
}

static void on_unload(struct orders *orders, const struct msg_unload *unload)
{
    struct order *order;
    struct err err;

    if (refused(orders, unload->order, unload->model))
        return;
    if (forget(orders, unload->model, &err) < 0) {
        refuse(orders, unload->order, FAIL_OVERLOADED, err.text);
        return;
    }
    order = begin(orders, unload->order, MSG_UNLOAD, unload->model);
    if (order == NULL) {
        refuse(orders, unload->order, FAIL_OVERLOADED, "out of memory");
        return;
    }
    log_info("order", LOG_S("unload", unload->model));
    supervisor_unload(orders->config.supervisor, unload->model);
}

static void on_pin(struct orders *orders, const struct msg_pin *order)
{
    struct standing_order standing;
    struct err err;

    if (refused(orders, order->order, order->model))
        return;
    standing = standing_of(orders, order->model);
    pin(&standing, order->pinned);
    if (keep(orders, &standing, &err) < 0) {
        refuse(orders, order->order, FAIL_OVERLOADED, err.text);
        return;
    }
    log_info("order", LOG_S(order->pinned ? "pin" : "unpin", order->model));
    models_reorder(orders->config.models, order->model);
    succeed(orders, order->order, ORDER_WAY_NONE,
            order->pinned ? "it is kept loaded" : "it may be unloaded for others");
}

static void pause_node(struct orders *orders, bool paused)
{
    if (orders->paused == paused)
        return;
    orders->paused = paused;
    orders->events->pause(orders->ctx, paused);
}

static void on_drain(struct orders *orders, const struct msg_drain *drain)
{
    log_info("order", LOG_S("drain", drain->draining ? "begins" : "ends"));
    pause_node(orders, drain->draining);
    if (!drain->draining)
        succeed(orders, drain->order, ORDER_WAY_NONE, "it takes requests again");
    else if (orders->count == ORDERS_MAX || begin(orders, drain->order, MSG_DRAIN, "") == NULL)
        succeed(orders, drain->order, ORDER_WAY_NONE,
                "it takes no new requests; those that run go on");
}

void orders_on_msg(struct orders *orders, const struct msg *msg)
{
    if (msg->type == MSG_LOAD)
        on_load(orders, &msg->load);
    else if (msg->type == MSG_UNLOAD)
        on_unload(orders, &msg->unload);
    else if (msg->type == MSG_PIN)
        on_pin(orders, &msg->pin);
    else if (msg->type == MSG_DRAIN)
        on_drain(orders, &msg->drain);
}

/* --- what time brings --- */

static void look_at_load(struct order *order)
{
    tell(order, instance_waits_for(order->wait.instance));
}

static void look_at_unload(struct order *order)
{
    const struct instance *instance =
            supervisor_find(order->orders->config.supervisor, order->model);
    bool again = instance != NULL && instance_has_engine(instance);

    if (again && instance_is_leaving(instance)) {
        tell(order, instance_is_busy(instance) ? "it finishes its requests" : "it ends");
        return;
    }
    succeed(order->orders, order->id, ORDER_WAY_NONE,
            again ? "it has ended, and is loaded again for requests that waited for it"
                  : "it is not loaded any more");
    end(order);
}

static void look_at_drain(struct order *order)
{
    size_t running = order->orders->events->running(order->orders->ctx);
    char text[TEXT_MAX];

    (void)snprintf(
            text, sizeof text, "%zu request%s", running, running == 1 ? " goes on" : "s go on");
    if (running > 0 && order->orders->paused) {
        tell(order, text);
        return;
    }
    succeed(order->orders, order->id, ORDER_WAY_NONE,
            order->orders->paused ? "it takes no new requests, and none is left"
                                  : "it takes requests again");
    end(order);
}

void orders_tick(struct orders *orders)
{
    list_for_each_safe (it, &orders->open) {
        struct order *order = list_entry(it, struct order, link);
        if (order->type == MSG_LOAD)
            look_at_load(order);
        else if (order->type == MSG_UNLOAD)
            look_at_unload(order);
        else
            look_at_drain(order);
    }
}

/* --- life --- */

void orders_session_end(struct orders *orders)
{
    list_for_each (it, &orders->open)
        list_entry(it, struct order, link)->id = 0;
}

struct orders *orders_create(
        const struct orders_config *config, const struct orders_events *events, void *ctx)
{
    struct orders *orders = calloc(1, sizeof *orders);

    if (orders == NULL)
        return NULL;
    orders->config = *config;
    orders->events = events;
    orders->ctx = ctx;
    list_init(&orders->open);
    return orders;
}

void orders_destroy(struct orders *orders)
{
    if (orders == NULL)
        return;
    list_for_each_safe (it, &orders->open) {
        struct order *order = list_entry(it, struct order, link);
        if (order->type == MSG_LOAD)
            instance_unwait(&order->wait);
        end(order);
    }
    free(orders);
}
