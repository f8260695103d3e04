#include "coordinator/dialects/conversation.h"

#include "common/json/json.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum role { ROLE_NONE, ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL, ROLE_OTHER };

static const char *const role_names[] = {
        [ROLE_SYSTEM] = "system",
        [ROLE_USER] = "user",
        [ROLE_ASSISTANT] = "assistant",
        [ROLE_TOOL] = "tool",
};

/* Pieces of the open turn wait in arrays and are joined when it is sealed: a turn of many small
 * texts then costs what they weigh, not the square of it. An array that is empty is NULL. */
struct conversation {
    cJSON *messages, *tools;
    cJSON *turn;      /* the message that takes pieces, last in `messages`; NULL: none */
    enum role role;   /* of the last message */
    cJSON *parts;     /* what `turn` says so far */
    cJSON *reasoning; /* its reasoning, as text parts */
    cJSON *calls;     /* its tool calls */
    cJSON *images;    /* pictures in the results of this turn; they follow them */
    int came;         /* cJSON type of the content that `turn` came with */
    bool closed;      /* the next piece begins a message of its own */
    bool loose;       /* `turn` is a user's that the user did not begin: it takes what they say */
    bool changed;     /* what goes out is not what came in */
    bool failed;      /* for lack of memory */
};

/* --- JSON that there may be no memory for --- */

/* Takes `item`, which may be NULL; what it does not fit in as well. */
static void set(struct conversation *conversation, cJSON *object, const char *key, cJSON *item)
{
    if (item && cJSON_AddItemToObject(object, key, item))
        return;
    conversation->failed = true;
    cJSON_Delete(item);
}

/* Takes `item`, which may be NULL. */
static void push(struct conversation *conversation, cJSON **array, cJSON *item)
{
    if (!*array)
        *array = cJSON_CreateArray();
    if (item && cJSON_AddItemToArray(*array, item))
        return;
    conversation->failed = true;
    cJSON_Delete(item);
}

static cJSON *take_member(cJSON *object, const char *key)
{
    return cJSON_DetachItemFromObjectCaseSensitive(object, key);
}

static cJSON *take_first(cJSON *array)
{
    return array && array->child ? cJSON_DetachItemViaPointer(array, array->child) : NULL;
}

/* --- parts of a turn --- */

/* NULL where it is no text. */
static const char *part_text(const cJSON *part)
{
    return strcmp(json_str(part, "type", ""), "text") == 0 ? json_str(part, "text", NULL) : NULL;
}

/* Takes `text`, a string, which may be NULL. */
static cJSON *text_part(struct conversation *conversation, cJSON *text)
{
    cJSON *part = cJSON_CreateObject();
    set(conversation, part, "type", cJSON_CreateString("text"));
    set(conversation, part, "text", text);
    return part;
}

static void push_text(struct conversation *conversation, cJSON **parts, const char *text)
{
    if (*text)
        push(conversation, parts, text_part(conversation, cJSON_CreateString(text)));
}

static cJSON *image_part(struct conversation *conversation, const char *url, const char *detail)
{
    cJSON *part = cJSON_CreateObject(), *image = cJSON_CreateObject();
    set(conversation, image, "url", cJSON_CreateString(url));
    if (detail)
        set(conversation, image, "detail", cJSON_CreateString(detail));
    set(conversation, part, "type", cJSON_CreateString("image_url"));
    set(conversation, part, "image_url", image);
    return part;
}

static size_t run_bytes(const cJSON *part)
{
    size_t bytes = 0;
    for (const char *text; (text = part_text(part)); part = part->next)
        bytes += strlen(text) + 1;
    return bytes;
}

/* Takes the texts that `parts` begins with, more than one, and joins them. */
static cJSON *join_run(struct conversation *conversation, cJSON *parts)
{
    char *joined = cJSON_malloc(run_bytes(parts->child)), *at = joined;
    for (const char *text; joined && (text = part_text(parts->child));) {
        at = stpcpy(at, text);
        *at++ = '\n';
        cJSON_Delete(take_first(parts));
    }
    if (!joined) {
        conversation->failed = true;
        return NULL;
    }
    at[-1] = '\0';
    cJSON *text = cJSON_CreateString(joined);
    cJSON_free(joined);
    conversation->changed = true;
    return text_part(conversation, text);
}

static cJSON *take_joined(struct conversation *conversation, cJSON *parts)
{
    const cJSON *first = parts->child;
    bool run = part_text(first) && part_text(first->next);
    return run ? join_run(conversation, parts) : take_first(parts);
}

/* Takes the parts: a string of their texts, or an array where they are not texts only; NULL where
 * there are none. */
static cJSON *join(struct conversation *conversation, cJSON **parts)
{
    cJSON *joined = NULL;
    while (*parts && (*parts)->child && !conversation->failed)
        push(conversation, &joined, take_joined(conversation, *parts));
    cJSON_Delete(*parts);
    *parts = NULL;
    if (!joined || joined->child == NULL || joined->child->next || !part_text(joined->child))
        return joined;
    cJSON *text = take_member(joined->child, "text");
    cJSON_Delete(joined);
    return text;
}

/* --- turns --- */

/* Another's turn must not have any: what stands there in their place says nothing. */
static bool has_calls(const struct conversation *conversation)
{
    const cJSON *calls = json_array(conversation->turn, "tool_calls");
    return conversation->role == ROLE_ASSISTANT && (conversation->calls || (calls && calls->child));
}

static void seal_content(struct conversation *conversation)
{
    cJSON *content = join(conversation, &conversation->parts);
    if (!content)
        content = has_calls(conversation) ? cJSON_CreateNull() : cJSON_CreateString("");
    if (content && (content->type & 0xff) != conversation->came)
        conversation->changed = true;
    set(conversation, conversation->turn, "content", content);
}

/* After this the turn takes no more pieces. */
static void seal(struct conversation *conversation)
{
    cJSON *turn = conversation->turn;
    if (!turn)
        return;
    seal_content(conversation);
    if (conversation->reasoning)
        set(conversation, turn, "reasoning_content", join(conversation, &conversation->reasoning));
    if (conversation->calls)
        set(conversation, turn, "tool_calls", conversation->calls);
    conversation->calls = NULL;
    conversation->turn = NULL;
    conversation->loose = false;
}

/* Takes `message`, which becomes the turn that takes pieces. */
static void begin_message(struct conversation *conversation, enum role role, cJSON *message)
{
    seal(conversation);
    push(conversation, &conversation->messages, message);
    conversation->role = role;
    conversation->came = cJSON_Invalid;
    conversation->closed = false;
    if (!conversation->failed)
        conversation->turn = message;
}

static void begin_turn(struct conversation *conversation, enum role role)
{
    cJSON *message = cJSON_CreateObject();
    set(conversation, message, "role", cJSON_CreateString(role_names[role]));
    begin_message(conversation, role, message);
    conversation->changed = true;
}

static void begin_loose(struct conversation *conversation)
{
    begin_turn(conversation, ROLE_USER);
    conversation->loose = true;
}

/* What is no result follows: the results' pictures come before it. */
static void end_results(struct conversation *conversation)
{
    if (!conversation->images)
        return;
    begin_loose(conversation);
    conversation->parts = conversation->images;
    conversation->images = NULL;
}

static bool takes(const struct conversation *conversation, enum role role)
{
    return conversation->turn && conversation->role == role && !conversation->closed;
}

static void begin_user(struct conversation *conversation)
{
    end_results(conversation);
    if (!conversation->loose && !takes(conversation, ROLE_USER))
        begin_turn(conversation, ROLE_USER);
    conversation->loose = false;
    conversation->closed = false;
}

static void begin_assistant(struct conversation *conversation)
{
    end_results(conversation);
    if (!takes(conversation, ROLE_ASSISTANT))
        begin_turn(conversation, ROLE_ASSISTANT);
}

static void finish(struct conversation *conversation)
{
    end_results(conversation);
    seal(conversation);
}

static bool at_start(const struct conversation *conversation)
{
    return conversation->role == ROLE_NONE || conversation->role == ROLE_SYSTEM;
}

/* What the system says later is heard in the user's turn at that place. */
static void begin_folded(struct conversation *conversation)
{
    end_results(conversation);
    if (conversation->role != ROLE_USER)
        begin_loose(conversation);
}

/* --- pieces --- */

struct conversation *conversation_create(void)
{
    struct conversation *conversation = calloc(1, sizeof(*conversation));
    if (!conversation || (conversation->messages = cJSON_CreateArray()))
        return conversation;
    free(conversation);
    return NULL;
}

static void fini(struct conversation *conversation)
{
    cJSON_Delete(conversation->messages);
    cJSON_Delete(conversation->tools);
    cJSON_Delete(conversation->parts);
    cJSON_Delete(conversation->reasoning);
    cJSON_Delete(conversation->calls);
    cJSON_Delete(conversation->images);
}

void conversation_destroy(struct conversation *conversation)
{
    if (!conversation)
        return;
    fini(conversation);
    free(conversation);
}

void conversation_system(struct conversation *conversation, const char *text)
{
    if (conversation->failed)
        return;
    if (conversation->role == ROLE_NONE)
        begin_turn(conversation, ROLE_SYSTEM);
    else if (!at_start(conversation) && *text)
        begin_folded(conversation);
    push_text(conversation, &conversation->parts, text);
}

void conversation_user_text(struct conversation *conversation, const char *text)
{
    if (conversation->failed)
        return;
    begin_user(conversation);
    push_text(conversation, &conversation->parts, text);
}

void conversation_user_image(struct conversation *conversation, const char *url, const char *detail)
{
    if (conversation->failed)
        return;
    begin_user(conversation);
    push(conversation, &conversation->parts, image_part(conversation, url, detail));
}

void conversation_assistant_text(struct conversation *conversation, const char *text)
{
    if (conversation->failed)
        return;
    begin_assistant(conversation);
    push_text(conversation, &conversation->parts, text);
}

void conversation_assistant_reasoning(struct conversation *conversation, const char *text)
{
    if (conversation->failed)
        return;
    begin_assistant(conversation);
    push_text(conversation, &conversation->reasoning, text);
}

void conversation_tool_call(
        struct conversation *conversation, const char *id, const char *name, const char *arguments)
{
    if (conversation->failed)
        return;
    begin_assistant(conversation);
    cJSON *call = cJSON_CreateObject(), *function = cJSON_CreateObject();
    set(conversation, call, "id", cJSON_CreateString(id));
    set(conversation, call, "type", cJSON_CreateString("function"));
    set(conversation, function, "name", cJSON_CreateString(name));
    set(conversation, function, "arguments", cJSON_CreateString(arguments));
    set(conversation, call, "function", function);
    push(conversation, &conversation->calls, call);
}

void conversation_begin_result(struct conversation *conversation, const char *id)
{
    if (conversation->failed)
        return;
    if (takes(conversation, ROLE_TOOL) &&
            strcmp(json_str(conversation->turn, "tool_call_id", ""), id) == 0)
        return;
    begin_turn(conversation, ROLE_TOOL);
    if (conversation->turn)
        set(conversation, conversation->turn, "tool_call_id", cJSON_CreateString(id));
}

void conversation_result_text(struct conversation *conversation, const char *text)
{
    if (conversation->failed)
        return;
    assert(takes(conversation, ROLE_TOOL));
    push_text(conversation, &conversation->parts, text);
}

void conversation_result_image(struct conversation *conversation, const char *url)
{
    if (conversation->failed)
        return;
    assert(takes(conversation, ROLE_TOOL));
    push(conversation, &conversation->images, image_part(conversation, url, NULL));
}

bool conversation_takes_name(const char *name)
{
    return strnlen(name, CONVERSATION_NAME_MAX + 1) <= CONVERSATION_NAME_MAX;
}

static cJSON *any_object(struct conversation *conversation)
{
    cJSON *schema = cJSON_CreateObject();
    set(conversation, schema, "type", cJSON_CreateString("object"));
    set(conversation, schema, "properties", cJSON_CreateObject());
    return schema;
}

void conversation_tool(struct conversation *conversation, const char *name, const char *description,
        const cJSON *schema, bool strict)
{
    if (conversation->failed)
        return;
    cJSON *tool = cJSON_CreateObject(), *function = cJSON_CreateObject();
    set(conversation, function, "name", cJSON_CreateString(name));
    if (description)
        set(conversation, function, "description", cJSON_CreateString(description));
    set(conversation, function, "parameters",
            schema ? cJSON_Duplicate(schema, true) : any_object(conversation));
    if (strict)
        set(conversation, function, "strict", cJSON_CreateTrue());
    set(conversation, tool, "type", cJSON_CreateString("function"));
    set(conversation, tool, "function", function);
    push(conversation, &conversation->tools, tool);
}

void conversation_next_turn(struct conversation *conversation)
{
    conversation->closed = true;
}

int conversation_take(struct conversation *conversation, cJSON *body)
{
    if (!conversation->failed)
        finish(conversation);
    if (conversation->failed)
        return -ENOMEM;
    set(conversation, body, "messages", conversation->messages);
    conversation->messages = NULL;
    if (conversation->tools)
        set(conversation, body, "tools", conversation->tools);
    conversation->tools = NULL;
    return conversation->failed ? -ENOMEM : 0;
}

/* --- messages that came in OpenAI's shape --- */

static void drop_member(struct conversation *conversation, cJSON *object, const char *key)
{
    cJSON *item = take_member(object, key);
    conversation->changed |= item != NULL;
    cJSON_Delete(item);
}

/* Takes `part`. Where clients want their caches cut moves from turn to turn, and says nothing. */
static void adopt_part(struct conversation *conversation, cJSON *part)
{
    const char *text = part_text(part);
    bool result_image = !text && conversation->role == ROLE_TOOL;
    drop_member(conversation, part, "cache_control");
    conversation->changed |= result_image || (text && !*text);
    if (text && !*text)
        cJSON_Delete(part);
    else
        push(conversation, result_image ? &conversation->images : &conversation->parts, part);
}

/* Takes `content`, which may be NULL. */
static void adopt_content(struct conversation *conversation, cJSON *content)
{
    if (cJSON_IsString(content)) {
        if (*content->valuestring)
            push(conversation, &conversation->parts, text_part(conversation, content));
        else
            cJSON_Delete(content);
        return;
    }
    for (cJSON *part; !conversation->failed && (part = take_first(content));)
        adopt_part(conversation, part);
    cJSON_Delete(content);
}

/* What means the same as its absence. */
static void drop_nothings(struct conversation *conversation, cJSON *message)
{
    const cJSON *reasoning = cJSON_GetObjectItemCaseSensitive(message, "reasoning_content"),
                *calls = cJSON_GetObjectItemCaseSensitive(message, "tool_calls");
    if (cJSON_IsNull(reasoning) || (cJSON_IsString(reasoning) && !*reasoning->valuestring))
        drop_member(conversation, message, "reasoning_content");
    if (cJSON_IsNull(calls) || (cJSON_IsArray(calls) && !calls->child))
        drop_member(conversation, message, "tool_calls");
    drop_member(conversation, message, "cache_control");
}

/* Takes `message`, which stays one of its own. */
static void adopt_turn(struct conversation *conversation, enum role role, cJSON *message)
{
    drop_nothings(conversation, message);
    begin_message(conversation, role, message);
    if (conversation->failed)
        return;
    cJSON *content = take_member(message, "content");
    conversation->came = content ? content->type & 0xff : cJSON_Invalid;
    adopt_content(conversation, content);
    conversation->closed = true;
}

/* Takes `message`; what it says goes to the turn that is open. */
static void absorb(struct conversation *conversation, cJSON *message)
{
    if (!conversation->failed)
        adopt_content(conversation, take_member(message, "content"));
    cJSON_Delete(message);
    conversation->changed = true;
}

static bool says_nothing(const cJSON *message)
{
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(message, "content"), *part;
    if (cJSON_IsString(content))
        return !*content->valuestring;
    cJSON_ArrayForEach(part, content)
    {
        const char *text = part_text(part);
        if (!text || *text)
            return false;
    }
    return true;
}

static void adopt_system(struct conversation *conversation, cJSON *message)
{
    cJSON *role = cJSON_GetObjectItemCaseSensitive(message, "role");
    if (conversation->role != ROLE_NONE) {
        if (!at_start(conversation) && !says_nothing(message))
            begin_folded(conversation);
        absorb(conversation, message);
        return;
    }
    conversation->changed |= strcmp(role->valuestring, role_names[ROLE_SYSTEM]) != 0;
    conversation->failed |= !cJSON_SetValuestring(role, role_names[ROLE_SYSTEM]);
    adopt_turn(conversation, ROLE_SYSTEM, message);
}

static void adopt_user(struct conversation *conversation, cJSON *message)
{
    end_results(conversation);
    if (!conversation->loose) {
        adopt_turn(conversation, ROLE_USER, message);
        return;
    }
    absorb(conversation, message);
    conversation->loose = false;
    conversation->closed = true;
}

static void adopt_assistant(struct conversation *conversation, cJSON *message)
{
    end_results(conversation);
    adopt_turn(conversation, ROLE_ASSISTANT, message);
}

/* Of a role or shape that nobody here knows: an engine may. */
static void adopt_other(struct conversation *conversation, cJSON *message)
{
    finish(conversation);
    push(conversation, &conversation->messages, message);
    conversation->role = ROLE_OTHER;
}

static enum role role_of(const cJSON *message)
{
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(message, "content");
    const char *name = json_str(message, "role", "");
    if (content && !cJSON_IsNull(content) && !cJSON_IsString(content) && !cJSON_IsArray(content))
        return ROLE_OTHER;
    if (strcmp(name, "developer") == 0)
        return ROLE_SYSTEM;
    for (size_t i = ROLE_SYSTEM; i <= ROLE_TOOL; i++)
        if (strcmp(name, role_names[i]) == 0)
            return (enum role)i;
    return ROLE_OTHER;
}

static void adopt(struct conversation *conversation, cJSON *message)
{
    switch (role_of(message)) {
    case ROLE_SYSTEM:
        adopt_system(conversation, message);
        break;
    case ROLE_USER:
        adopt_user(conversation, message);
        break;
    case ROLE_ASSISTANT:
        adopt_assistant(conversation, message);
        break;
    case ROLE_TOOL:
        adopt_turn(conversation, ROLE_TOOL, message);
        break;
    default:
        adopt_other(conversation, message);
    }
}

int conversation_normalise(cJSON *messages, bool *ret_changed)
{
    struct conversation conversation = {.messages = cJSON_CreateArray()};
    conversation.failed = !conversation.messages;
    for (cJSON *message; !conversation.failed && (message = take_first(messages));)
        adopt(&conversation, message);
    if (!conversation.failed)
        finish(&conversation);
    int r = conversation.failed ? -ENOMEM : 0;
    if (r == 0) {
        messages->child = conversation.messages->child;
        conversation.messages->child = NULL;
        *ret_changed = conversation.changed;
    }
    fini(&conversation);
    return r;
}
