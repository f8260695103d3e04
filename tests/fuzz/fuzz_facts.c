/* Facts of a body of any bytes, and the mode that follows from them: counts stay within what was
 * sent, and a choice is one of the modes that are there. */
#include "common/json/json.h"
#include "coordinator/auto/auto_mode.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const modes[] = {"ask", "code", "debug", "architect"};

static const char *find(void *ctx, const char *name)
{
    (void)ctx;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (strcmp(modes[i], name) == 0)
            return modes[i];
    return NULL;
}

/* As long as its room. */
static bool tell_passed(void *ctx, const char *name, char *text, size_t size)
{
    (void)ctx;
    memset(text, 'w', size - 1);
    text[size - 1] = '\0';
    return find(NULL, name) == NULL;
}

static void are_within(const struct facts *facts, size_t size)
{
    assert(facts->bytes <= size && facts->said_bytes <= facts->bytes);
    assert(facts->turns + facts->tool_results <= facts->messages && facts->messages <= size);
    assert(facts->editing_tools <= facts->tools && facts->tools <= size);
    assert(facts->fences <= size && facts->trace_lines <= size && facts->diff_hunks <= size);
    assert(facts->files <= TEXT_HINTS_FILES_MAX);
    assert(strlen(facts->words) <= TEXT_HINTS_WORDS_MAX);
}

static void choose(const struct facts *facts, struct auto_session *session)
{
    struct auto_choice choice;
    auto_choose(
            &(struct auto_input){
                    .facts = facts, .session = *session, .find = find, .tell_passed = tell_passed},
            &choice);
    assert(choice.mode && find(NULL, choice.mode));
    assert(choice.complexity >= 1 && choice.complexity <= AUTO_COMPLEXITY_MAX);
    assert(strlen(choice.reason) <= AUTO_REASON_MAX && !strchr(choice.reason, '\n'));
    uint8_t level = session->level;
    auto_learn(&choice, session);
    assert(session->level >= level && !session->marked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct auto_session session = {.level = 0};
    struct facts facts;
    cJSON *body = NULL;
    if (json_parse((const char *)data, size, &json_limits_event, &body, NULL))
        body = NULL;
    facts_read(body, &facts);
    are_within(&facts, size);
    choose(&facts, &session);
    choose(&facts, &session);
    cJSON_Delete(body);
    return 0;
}
