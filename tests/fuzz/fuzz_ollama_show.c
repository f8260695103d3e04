/* The body of POST /api/show, any bytes, and the same bytes as a name that is asked for. What is
 * shown is one JSON object that holds what clients look for; what is refused says why in one line.
 */
#include "common/json/json.h"
#include "coordinator/api/list_llamacpp.h"
#include "coordinator/api/list_ollama.h"
#include "tests/lib/fake_offers.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ANSWER_MAX = 64 * 1024 };

static char ask[] = "ask", small[] = "small", coder[] = "coder:7b";
static char *models[] = {small, coder};
static struct mode mode = {.name = ask, .models = models, .model_count = 2};
static const struct modes modes = {.list = &mode, .count = 1};
static const struct offers offers = {.modes = &modes};

static void make_models(void)
{
    if (fake_offers_count > 0)
        return;
    fake_offers_add("small", CAPABILITY_CHAT);
    fake_offers_add("coder:7b", CAPABILITY_CHAT | CAPABILITY_FIM | CAPABILITY_TOOLS);
}

static cJSON *parse(const struct buf *out)
{
    cJSON *json;
    int r = json_parse(buf_at(out), out->len, &json_limits_event, &json, NULL);
    assert(r == 0);
    return json;
}

static void check_shown(const struct buf *out)
{
    cJSON *json = parse(out);
    const cJSON *info = json_obj(json, "model_info");
    const char *architecture = json_str(info, "general.architecture", NULL);
    assert(architecture && json_array(json, "capabilities") && json_obj(json, "details"));
    assert(json_str(json, "template", NULL) && json_str(json, "modified_at", NULL));
    cJSON_Delete(json);
}

static void check_show(const char *text, size_t len)
{
    struct err err = {.text = ""};
    struct buf out;
    buf_init(&out, ANSWER_MAX);
    int r = list_ollama_show(&offers, text, len, &out, &err);
    assert(r == 0 || r == -EINVAL || r == -ENOENT);
    if (r == 0)
        check_shown(&out);
    else
        assert(out.len == 0 && err.text[0] != '\0' && !strchr(err.text, '\n'));
    buf_fini(&out);
}

static void check_found(const char *name)
{
    struct offer offer;
    if (!offers_find(&offers, name, &offer))
        return;
    assert(strlen(offer.id) <= OFFER_ID_MAX);
    assert((offer.kind == OFFER_MODE) == (offer.mode != NULL));
    assert(offer.mode || (offer.instance && strcmp(offer.instance->model, offer.id) == 0));
}

static void check_lists(const char *name)
{
    struct buf out;
    buf_init(&out, ANSWER_MAX);
    int r = list_llamacpp_props(&offers, name, "b1", &out);
    assert(r == 0 || r == -ENOENT);
    if (r == 0)
        cJSON_Delete(parse(&out));
    buf_clear(&out);
    r = list_llamacpp_slots(&offers, name, &out);
    assert(r == 0 || r == -ENOENT);
    if (r == 0)
        cJSON_Delete(parse(&out));
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    make_models();
    check_show((const char *)data, size);
    char *name = strndup((const char *)data, size);
    if (strlen(name) <= MSG_NAME_MAX)
        check_found(name);
    check_lists(name);
    free(name);
    return 0;
}
