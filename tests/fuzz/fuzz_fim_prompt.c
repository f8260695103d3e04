/* A raw prompt. The texts around the cursor lie within it. */
#include "coordinator/fim_prompt.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_within(const char *prompt, const char *text, size_t len)
{
    size_t size = strlen(prompt);
    assert(text >= prompt && text <= prompt + size && len <= (size_t)(prompt + size - text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fim_prompt fim;
    char *prompt = malloc(size + 1);
    assert(prompt);
    memcpy(prompt, data, size);
    prompt[size] = '\0';
    if (fim_prompt_read(prompt, &fim)) {
        assert(fim.family && *fim.family);
        check_within(prompt, fim.before, fim.before_len);
        check_within(prompt, fim.after, fim.after_len);
        assert(fim.before + fim.before_len <= fim.after || fim.after + fim.after_len <= fim.before);
    }
    free(prompt);
    return 0;
}
