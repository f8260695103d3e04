#include "node/residency/standing_orders.h"

#include "common/book.h"
#include "common/model/cache_type.h"
#include "proto/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct standing_orders {
    char *path;
    struct book_list list;
};

/* --- the file --- */

static int compare(const void *a, const void *b)
{
    const struct standing_order *one = a, *other = b;

    return strcmp(one->model, other->model);
}

static bool is_model(const char *text)
{
    struct err err;

    return rules_text(TEXT_MODEL_NAME, "model", text, strlen(text), &err) == 0;
}

static bool is_type(const char *text)
{
    enum cache_type type;
    struct err err;

    return cache_type_parse(text, &type, &err) == 0;
}

static const struct book_field fields[] = {
        {.name = "model",
                .type = BOOK_TEXT,
                .offset = offsetof(struct standing_order, model),
                .size = MSG_NAME_MAX + 1,
                .valid = is_model,
                .form = "a model's name"},
        {.name = "context",
                .type = BOOK_NUMBER,
                .offset = offsetof(struct standing_order, context),
                .optional = true,
                .max = UINT32_MAX,
                .form = "a number of tokens"},
        {.name = "slots",
                .type = BOOK_NUMBER,
                .offset = offsetof(struct standing_order, slots),
                .optional = true,
                .max = MSG_SLOTS_MAX,
                .form = "a number up to 1024"},
        {.name = "kv_k",
                .type = BOOK_TEXT,
                .offset = offsetof(struct standing_order, type_k),
                .optional = true,
                .size = STANDING_TYPE_MAX + 1,
                .valid = is_type,
                .form = "a cache type, as q8_0"},
        {.name = "kv_v",
                .type = BOOK_TEXT,
                .offset = offsetof(struct standing_order, type_v),
                .optional = true,
                .size = STANDING_TYPE_MAX + 1,
                .valid = is_type,
                .form = "a cache type, as q8_0"},
        {.name = "keep",
                .type = BOOK_FLAG,
                .offset = offsetof(struct standing_order, keep),
                .optional = true,
                .form = "true or false"},
        {.name = "let_go",
                .type = BOOK_FLAG,
                .offset = offsetof(struct standing_order, let_go),
                .optional = true,
                .form = "true or false"},
};

static const struct book_format format = {
        .list = "orders",
        .entry = "order",
        .fields = fields,
        .field_count = sizeof fields / sizeof fields[0],
        .entry_size = sizeof(struct standing_order),
        .max_entries = STANDING_ORDERS_MAX,
        .max_bytes = STANDING_ORDERS_FILE_MAX,
        .order = compare,
};

/* --- looking --- */

static struct standing_order *at(const struct book_list *list, size_t index)
{
    return (struct standing_order *)list->entries + index;
}

/* Their number where there is none. */
static size_t find(const struct book_list *list, const char *model)
{
    size_t i = 0;

    while (i < list->count && strcmp(at(list, i)->model, model) != 0)
        i++;
    return i;
}

const struct standing_order *standing_orders_find(
        const struct standing_orders *orders, const char *model)
{
    size_t i = find(&orders->list, model);

    return i < orders->list.count ? at(&orders->list, i) : NULL;
}

/* --- opening --- */

static int check(const struct standing_orders *orders, struct err *err)
{
    for (size_t i = 0; i < orders->list.count; i++) {
        const struct standing_order *order = at(&orders->list, i);
        if (find(&orders->list, order->model) != i)
            return err_set(err, -EINVAL, "%s: order %zu: a second one for %s", orders->path, i + 1,
                    order->model);
        if (order->keep && order->let_go)
            return err_set(err, -EINVAL, "%s: order %zu: \"keep\" and \"let_go\" at once",
                    orders->path, i + 1);
    }
    return 0;
}

static int load(struct standing_orders *orders, struct err *err)
{
    int r = book_read(&format, orders->path, &orders->list, err);

    return r == 0 ? check(orders, err) : r;
}

int standing_orders_open(const char *path, struct standing_orders **ret_orders, struct err *err)
{
    struct standing_orders *orders = calloc(1, sizeof *orders);
    int r;

    if (orders == NULL || (orders->path = strdup(path)) == NULL) {
        free(orders);
        return err_set(err, -ENOMEM, "no memory for the standing orders");
    }
    r = load(orders, err);
    if (r < 0) {
        standing_orders_close(orders);
        return r;
    }
    *ret_orders = orders;
    return 0;
}

void standing_orders_close(struct standing_orders *orders)
{
    if (orders == NULL)
        return;
    book_list_fini(&orders->list);
    free(orders->path);
    free(orders);
}

/* --- changing --- */

static bool says_nothing(const struct standing_order *order)
{
    return order->context == 0 && order->slots == 0 && order->type_k[0] == '\0' &&
           order->type_v[0] == '\0' && !order->keep && !order->let_go;
}

static void take_out(struct book_list *list, const char *model)
{
    size_t i = find(list, model);

    if (i == list->count)
        return;
    memmove(at(list, i), at(list, i) + 1, (list->count - i - 1) * sizeof(struct standing_order));
    list->count--;
}

int standing_orders_put(
        struct standing_orders *orders, const struct standing_order *order, struct err *err)
{
    struct book_list next;
    int r = book_copy(&format, &orders->list, &next, err);

    if (r < 0)
        return r;
    take_out(&next, order->model);
    if (!says_nothing(order) && next.count == STANDING_ORDERS_MAX) {
        book_list_fini(&next);
        return err_set(err, -ENOSPC,
                "orders for %d models are kept already; unload or unpin some that are not needed",
                STANDING_ORDERS_MAX);
    }
    if (!says_nothing(order))
        *at(&next, next.count++) = *order;
    return book_commit(&format, orders->path, &orders->list, &next, err);
}

/* --- what it means --- */

/* The text was checked when it was put or read. */
static void set_type(struct model_settings *settings, const char *text, enum cache_type *type)
{
    struct err err;

    if (*text != '\0' && cache_type_parse(text, type, &err) == 0)
        settings->cache_types_set = true;
}

void standing_order_apply(const struct standing_order *order, struct model_settings *settings)
{
    if (order == NULL)
        return;
    if (order->context > 0)
        settings->context = (uint32_t)order->context;
    if (order->slots > 0)
        settings->slots = (uint32_t)order->slots;
    set_type(settings, order->type_k, &settings->type_k);
    set_type(settings, order->type_v, &settings->type_v);
    settings->pin = order->keep || (settings->pin && !order->let_go);
}
