/* Ollama's answers, any bytes; the first says which they are an answer to. What is read is bounded,
 * has names that the link carries, and a refusal changes nothing. */
#include "node/backends/found/found_ollama.h"
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
    r = rules_text(TEXT_LABEL, "fact", model->architecture, strlen(model->architecture), NULL);
    assert(r == 0);
    r = rules_text(TEXT_LABEL, "fact", model->quantisation, strlen(model->quantisation), NULL);
    assert(r == 0);
    assert(model->file_bytes <= JSON_WHOLE_MAX && model->memory_bytes <= JSON_WHOLE_MAX);
    assert(model->context <= FOUND_CONTEXT_MAX && model->context_trained <= FOUND_CONTEXT_MAX);
    assert((model->capabilities & ~(uint32_t)CAPABILITY_ALL) == 0);
}

static void begin(void)
{
    static const char known[] = "{\"models\":[{\"name\":\"m\",\"size\":5,\"context_length\":6}]}";

    memset(&list, 0, sizeof(list));
    int r = found_ollama_ps(known, strlen(known), &list, NULL);
    assert(r == 0 && list.count == 1 && list.models[0].resident);
    before = list;
}

static int read_answer(unsigned which, const char *text, size_t len, struct err *err)
{
    switch (which % 3) {
    case 0:
        return found_ollama_tags(text, len, &list, err);
    case 1:
        return found_ollama_ps(text, len, &list, err);
    default:
        return found_ollama_show(text, len, &list.models[0], err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {.text = ""};
    enum engine_kind kind = ENGINE_KIND_COUNT;

    if (size == 0)
        return 0;
    begin();
    int r = read_answer(data[0], (const char *)data + 1, size - 1, &err);
    assert(r == 0 || r == -EPROTO || r == -EREMOTE);
    assert((r == 0) == (err.text[0] == '\0'));
    assert(list.count >= 1 && list.count <= FOUND_MODELS_MAX);
    for (size_t i = 0; i < list.count; i++)
        check_model(&list.models[i]);
    assert(r == 0 || memcmp(&list, &before, sizeof(list)) == 0);
    r = found_ollama_recognise((const char *)data + 1, size - 1, &kind, NULL);
    assert(r == 0 ? kind == ENGINE_OLLAMA : r == -EPROTO && kind == ENGINE_KIND_COUNT);
    return 0;
}
