/* Marks of editors: lines "NAME: VALUE" as headers, an empty line, and a body of any bytes. What is
 * found is a word of the table, or stands in what was sent; what stands in no place of a mark says
 * nothing. */
#include "common/json/json.h"
#include "coordinator/auto/chat_texts.h"
#include "coordinator/auto/mode_marks.h"
#include "tests/lib/header_lines.h"

#include <assert.h>
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void is_a_word(const struct mode_mark *mark)
{
    size_t len = strlen(mark->word);
    assert(mark->editor && *mark->editor && len > 0 && len <= MODE_MARK_WORD_MAX);
    for (size_t i = 0; i < len; i++)
        assert(islower((unsigned char)mark->word[i]) || isdigit((unsigned char)mark->word[i]) ||
                mark->word[i] == '-' || mark->word[i] == '_');
}

/* Without a system's message and a user's, only headers can say something. */
static void others_say_nothing(const cJSON *body)
{
    struct mode_mark mark;
    if (!chat_system(body) && !chat_latest_user(body))
        assert(!mode_marks_find(body, header_lines_find, NULL, &mark));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct header_lines said = {.count = 0};
    struct mode_mark mark = {.editor = "before"}, again;
    cJSON *body = NULL;
    char *text = strndup((const char *)data, size), *rest = header_lines_read(&said, text);
    if (json_parse(rest, strlen(rest), &json_limits_event, &body, NULL))
        body = NULL;
    if (mode_marks_find(body, header_lines_find, &said, &mark)) {
        is_a_word(&mark);
        assert(mode_marks_find(body, header_lines_find, &said, &again));
        assert(strcmp(mark.word, again.word) == 0 && mark.editor == again.editor);
    } else {
        assert(strcmp(mark.editor, "before") == 0);
    }
    others_say_nothing(body);
    cJSON_Delete(body);
    free(text);
    return 0;
}
