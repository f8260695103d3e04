#include "coordinator/fim_prompt.h"

#include <string.h>

static const struct family {
    const char *name;
    const char *before, *after; /* stand before the text on that side of the cursor */
    const char *end;            /* behind both; "": nothing does */
    const char *turn;           /* may stand behind that; "": nothing does */
    bool spaced;                /* one space is between a text and the token behind it */
} families[] = {
        {"Qwen, CodeGemma", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "", false},
        {"StarCoder, StableCode, CodeQwen, Granite", "<fim_prefix>", "<fim_suffix>", "<fim_middle>",
                "", false},
        {"SantaCoder", "<fim-prefix>", "<fim-suffix>", "<fim-middle>", "", false},
        {"CodeLlama", "<PRE>", "<SUF>", "<MID>", "", true},
        {"DeepSeek", "<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", "", false},
        {"Codestral", "[PREFIX]", "[SUFFIX]", "", "", false},
        {"CodeGeeX, GLM", "<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>", "<|assistant|>",
                false},
        {"Seed-Coder", "<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>", "", false},
};

struct text {
    const char *at;
    size_t len;
};

static void trim(struct text *text)
{
    while (text->len > 0 && strchr(" \t\r\n", text->at[text->len - 1]))
        text->len--;
}

static bool take_off(struct text *text, const char *ending)
{
    size_t len = strlen(ending);
    if (len > text->len || memcmp(text->at + text->len - len, ending, len) != 0)
        return false;
    text->len -= len;
    return true;
}

/* Leaves what stands before the end. */
static bool has_end(const struct family *family, struct text *prompt)
{
    if (!*family->end)
        return strncmp(prompt->at, family->after, strlen(family->after)) == 0;
    trim(prompt);
    if (take_off(prompt, family->turn))
        trim(prompt);
    return take_off(prompt, family->end);
}

static const char *find(struct text text, const char *token)
{
    return memmem(text.at, text.len, token, strlen(token));
}

static struct text behind(struct text text, const char *at, const char *token)
{
    const char *begin = at + strlen(token);
    return (struct text){.at = begin, .len = (size_t)(text.at + text.len - begin)};
}

static bool is_single(
        const struct family *family, struct text prompt, const char *token, const char *at)
{
    return !find(behind(prompt, at, token), token) && (!*family->end || !find(prompt, family->end));
}

/* What ends where the other token begins, or with the prompt. */
static struct text side(const struct family *family, struct text prompt, const char *at,
        const char *token, const char *other)
{
    struct text text = behind(prompt, at, token);
    if (other > at)
        text.len = (size_t)(other - text.at);
    if (family->spaced)
        (void)take_off(&text, " ");
    return text;
}

static bool read_as(const struct family *family, struct text prompt, struct fim_prompt *ret_fim)
{
    if (!has_end(family, &prompt))
        return false;
    const char *before = find(prompt, family->before), *after = find(prompt, family->after);
    if (!before || !after)
        return false;
    struct text left = side(family, prompt, before, family->before, after);
    struct text right = side(family, prompt, after, family->after, before);
    *ret_fim = (struct fim_prompt){.family = family->name,
            .before = left.at,
            .before_len = left.len,
            .after = right.at,
            .after_len = right.len,
            .sure = is_single(family, prompt, family->before, before) &&
                    is_single(family, prompt, family->after, after)};
    return true;
}

bool fim_prompt_read(const char *prompt, struct fim_prompt *ret_fim)
{
    const struct text text = {.at = prompt, .len = strlen(prompt)};
    bool is_one = false;
    for (size_t i = 0; !is_one && i < sizeof(families) / sizeof(families[0]); i++)
        is_one = read_as(&families[i], text, ret_fim);
    return is_one;
}
