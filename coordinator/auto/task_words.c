#include "coordinator/auto/task_words.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct cue {
    const char *word; /* lower case; ending with "*": how it begins */
    enum task task;
    unsigned worth;
};

static const struct cue cues[] = {
        {"explain*", TASK_QUESTION, 3},
        {"describe", TASK_QUESTION, 2},
        {"difference*", TASK_QUESTION, 2},
        {"does", TASK_QUESTION, 1},
        {"how", TASK_QUESTION, 1},
        {"mean*", TASK_QUESTION, 1},
        {"summari*", TASK_QUESTION, 2},
        {"understand", TASK_QUESTION, 1},
        {"what", TASK_QUESTION, 1},
        {"which", TASK_QUESTION, 1},
        {"why", TASK_QUESTION, 1},

        {"add", TASK_CODE, 2},
        {"change", TASK_CODE, 2},
        {"convert", TASK_CODE, 2},
        {"edit", TASK_CODE, 2},
        {"extract", TASK_CODE, 2},
        {"fix", TASK_CODE, 2},
        {"implement*", TASK_CODE, 3},
        {"migrat*", TASK_CODE, 2},
        {"move", TASK_CODE, 1},
        {"optimi*", TASK_CODE, 1},
        {"port", TASK_CODE, 1},
        {"refactor*", TASK_CODE, 3},
        {"remove", TASK_CODE, 1},
        {"rename*", TASK_CODE, 3},
        {"replace", TASK_CODE, 2},
        {"rewrite", TASK_CODE, 3},
        {"tests", TASK_CODE, 1},
        {"update", TASK_CODE, 1},
        {"write", TASK_CODE, 2},

        {"broken", TASK_DEBUG, 2},
        {"bug*", TASK_DEBUG, 2},
        {"crash*", TASK_DEBUG, 3},
        {"deadlock*", TASK_DEBUG, 3},
        {"debug*", TASK_DEBUG, 3},
        {"diagnos*", TASK_DEBUG, 3},
        {"error*", TASK_DEBUG, 2},
        {"exception*", TASK_DEBUG, 2},
        {"fail*", TASK_DEBUG, 2},
        {"flaky", TASK_DEBUG, 3},
        {"hang*", TASK_DEBUG, 2},
        {"incident*", TASK_DEBUG, 2},
        {"inconsistent*", TASK_DEBUG, 2},
        {"intermittent*", TASK_DEBUG, 3},
        {"investigat*", TASK_DEBUG, 2},
        {"leak*", TASK_DEBUG, 2},
        {"outage*", TASK_DEBUG, 3},
        {"race", TASK_DEBUG, 2},
        {"regression*", TASK_DEBUG, 2},
        {"reproduc*", TASK_DEBUG, 2},
        {"split-brain", TASK_DEBUG, 3},
        {"stuck", TASK_DEBUG, 2},
        {"timeout*", TASK_DEBUG, 2},
        {"wrong", TASK_DEBUG, 1},

        {"approach*", TASK_DESIGN, 1},
        {"architect*", TASK_DESIGN, 3},
        {"design*", TASK_DESIGN, 3},
        {"interfaces", TASK_DESIGN, 1},
        {"microservice*", TASK_DESIGN, 2},
        {"plan", TASK_DESIGN, 2},
        {"propos*", TASK_DESIGN, 2},
        {"requirements", TASK_DESIGN, 2},
        {"rfc", TASK_DESIGN, 2},
        {"roadmap", TASK_DESIGN, 3},
        {"scal*", TASK_DESIGN, 1},
        {"schema", TASK_DESIGN, 1},
        {"strategy", TASK_DESIGN, 2},
        {"trade-off*", TASK_DESIGN, 3},
        {"tradeoff*", TASK_DESIGN, 3},
};

static bool is_all_letters(const char *word, size_t len)
{
    size_t i = 0;
    while (i < len && isalpha((unsigned char)word[i]))
        i++;
    return i == len;
}

static bool is_cue(const struct cue *cue, const char *word, size_t len)
{
    size_t size = strcspn(cue->word, "*");
    if (len < size || strncasecmp(word, cue->word, size) != 0)
        return false;
    return len == size || (cue->word[size] == '*' && is_all_letters(word + size, len - size));
}

static const struct cue *find_cue(const char *word, size_t len)
{
    for (size_t i = 0; i < sizeof(cues) / sizeof(cues[0]); i++)
        if (is_cue(&cues[i], word, len))
            return &cues[i];
    return NULL;
}

/* Names of functions and files are one word each, and no cue. */
static size_t word_len(const char *text)
{
    size_t len = 0;
    while (isalnum((unsigned char)text[len]) || (text[len] && strchr("-_./\\", text[len])))
        len++;
    return len;
}

static size_t without_end(const char *word, size_t len)
{
    while (len > 0 && !isalnum((unsigned char)word[len - 1]))
        len--;
    return len;
}

void task_words_score(const char *words, unsigned score[TASK_GUESSED])
{
    unsigned times = 2;
    while (*words) {
        size_t len = word_len(words);
        const struct cue *cue = find_cue(words, without_end(words, len));
        if (cue) {
            score[cue->task] += times * cue->worth;
            times = 1;
        }
        words += len ? len : 1;
    }
}
