/* The answers of servers with OpenAI's endpoints, any bytes; the first says which they are an
 * answer to. What is read is bounded, has names that the link carries, and a refusal changes
 * nothing. Who is recognised by an answer can be read by that kind's reader, and a modemesh never
 * is. */
#include "node/backends/found/found_openai.h"
#include "proto/rules.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct found_list list, before;

static void check_model(const struct found_model *model)
{
    int r = rules_text(TEXT_MODEL_NAME, "name", model->name, strlen(model->name), NULL);

    assert(r == 0 && model->id[0]);
    r = rules_text(TEXT_LABEL, "fact", model->quantisation, strlen(model->quantisation), NULL);
    assert(r == 0);
    assert(model->file_bytes <= JSON_WHOLE_MAX && model->slots <= FOUND_SLOTS_MAX);
    assert(model->context <= FOUND_CONTEXT_MAX && model->context_trained <= FOUND_CONTEXT_MAX);
    assert((model->capabilities & ~(uint32_t)CAPABILITY_ALL) == 0);
}

static void begin(void)
{
    static const char known[] = "{\"data\":[{\"id\":\"m\"}]}";

    memset(&list, 0, sizeof(list));
    int r = found_openai_models(known, strlen(known), &list, NULL);
    assert(r == 0 && list.count == 1);
    before = list;
}

static void check_reader(unsigned which, const char *text, size_t len)
{
    static const found_read_fn readers[] = {found_openai_models, found_llama_props,
            found_lm_studio_models, found_lemonade_models, found_lemonade_health};
    struct err err = {.text = ""};
    int r = readers[which % (sizeof(readers) / sizeof(readers[0]))](text, len, &list, &err);

    assert(r == 0 || r == -EPROTO || r == -ELOOP);
    assert((r == 0) == (err.text[0] == '\0'));
    assert(list.count >= 1 && list.count <= FOUND_MODELS_MAX);
    for (size_t i = 0; i < list.count; i++)
        check_model(&list.models[i]);
    assert(r == 0 || memcmp(&list, &before, sizeof(list)) == 0);
}

static void check_probe(size_t index, const char *text, size_t len)
{
    enum engine_kind kind = ENGINE_KIND_COUNT;
    int r = found_probe_read(index, text, len, &kind, NULL);

    assert(r == 0 || r == -EPROTO || r == -ELOOP);
    assert((r == 0) == (kind < ENGINE_KIND_COUNT));
    if (r < 0 || strcmp(found_probe_path(index), engine_manner(kind)->questions[0].path) != 0)
        return;
    r = engine_manner(kind)->questions[0].read(text, len, &list, NULL);
    assert(r == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    begin();
    check_reader(data[0], text, size - 1);
    for (size_t i = 0; found_probe_path(i); i++)
        check_probe(i, text, size - 1);
    return 0;
}
