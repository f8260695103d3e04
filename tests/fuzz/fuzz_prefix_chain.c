/* A body of any kind and any bytes: the first says the kind. What is sound JSON has the same chain
 * however it is spaced, and what is appended to a conversation leaves all blocks before as they
 * were. */
#include "coordinator/scheduling/prefix_chain.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct prefix_chain make(enum request_kind kind, const char *body, size_t len)
{
    struct prefix_chain chain;
    int r = prefix_chain_make(kind, body, len, "tenant", 0, &chain);
    assert(r == 0);
    assert(chain.count <= chain.bytes / PREFIX_BLOCK_BYTES && chain.count <= PREFIX_CHAIN_MAX);
    assert((chain.hashes != NULL) == (chain.count > 0));
    return chain;
}

static struct prefix_chain make_printed(enum request_kind kind, const cJSON *body, int formatted)
{
    char *text = formatted ? cJSON_Print(body) : cJSON_PrintUnformatted(body);
    assert(text);
    struct prefix_chain chain = make(kind, text, strlen(text));
    cJSON_free(text);
    return chain;
}

/* The list of messages that counts where a body has several; NULL where the last is none. */
static cJSON *find_messages(const cJSON *body)
{
    cJSON *messages = NULL, *member;
    cJSON_ArrayForEach(member, body)
    {
        if (strcmp(member->string, "messages") == 0 &&
                (cJSON_IsArray(member) || cJSON_IsObject(member) || cJSON_IsString(member)))
            messages = member;
    }
    return cJSON_IsArray(messages) ? messages : NULL;
}

static void append_a_message(enum request_kind kind, cJSON *body)
{
    cJSON *messages = cJSON_IsObject(body) ? find_messages(body) : NULL;
    if (kind != REQUEST_CHAT || !messages)
        return;
    struct prefix_chain before = make_printed(kind, body, 0);
    cJSON_AddItemToArray(messages, cJSON_CreateString("one more"));
    struct prefix_chain after = make_printed(kind, body, 0);
    assert(after.count >= before.count && (after.bytes > before.bytes || !before.bytes));
    for (size_t i = 0; i < before.count; i++)
        assert(before.hashes[i] == after.hashes[i]);
    prefix_chain_fini(&before);
    prefix_chain_fini(&after);
}

static void space_out(enum request_kind kind, const cJSON *body)
{
    struct prefix_chain tight = make_printed(kind, body, 0), loose = make_printed(kind, body, 1);
    assert(tight.count == loose.count && tight.bytes == loose.bytes);
    for (size_t i = 0; i < tight.count; i++)
        assert(tight.hashes[i] == loose.hashes[i]);
    prefix_chain_fini(&tight);
    prefix_chain_fini(&loose);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum request_kind kind = (enum request_kind)(data[0] % REQUEST_KIND_COUNT);
    const char *text = (const char *)data + 1;
    struct prefix_chain chain = make(kind, text, size - 1);
    prefix_chain_fini(&chain);

    cJSON *body = cJSON_ParseWithLength(text, size - 1);
    if (body) {
        space_out(kind, body);
        append_a_message(kind, body);
    }
    cJSON_Delete(body);
    return 0;
}
