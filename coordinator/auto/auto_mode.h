/* The mode of a request that asks for `auto`: from its facts, the editor's mark, what is known of
 * its conversation, and what a small model said, to a mode and how it was known. Pure. In order,
 * the first that says something:
 *
 * 1. A prompt that is written with a model's tokens to fill in the middle: "autocomplete", where
 *    there is such a mode. Moves no conversation.
 * 2. An answer of at most AUTO_SHORT_ANSWER tokens, without tools, and what a mark says is beside
 *    the conversation: a short answer goes to "title", else "fast", a summary stays with its
 *    conversation. Neither moves it.
 * 3. The editor's mark (mode_marks.h), by the name of a mode or what editors call one. It moves the
 *    conversation at once, and from then on only another mark does.
 * 4. The conversation's mode, where a mark has told it.
 * 5. A guess of the task by points: words of the user (task_words.h); 2 for tools that change files
 *    and for a diff, 1 for results of tools beside such; 2 for a line of a trace, 3 for three; 1
 * for AUTO_FILES files or blocks of code; 1 for a block of code without tools, as a question. Most
 *    points win, of equals the first in the order of `enum task`. Without tools, from
 *    AUTO_WHOLE_TOKENS on, all but debugging is design: that is a code base to be understood.
 * 6. Where the guess has less than AUTO_SURE_POINTS or no more than another task has, and nothing
 *    is known of the conversation: `unsure`; the caller may ask a small model, and again with its
 *    answer.
 * 7. In a conversation a guess only moves up: to a task that is no lower in the order, where its
 *    complexity is above the highest so far. Else the mode stays.
 *
 * Complexity, 1 to 5: what a task is at the least (question 1, code 2, debugging 3, design 4), or
 * by the tokens that were said (below 2k 1, 8k 2, 32k 3, 64k 4, else 5), the larger; one more for
 * AUTO_FILES files or high effort, one less for low effort.
 *
 * A mode that is not there, or that the caller may not use, or none of whose models can do what the
 * request needs, is passed over for the next that such a task may go to: at last "ask", "chat" or
 * "code". Of one that is there the reason says why. */
#pragma once

#include "coordinator/auto/facts.h"
#include "coordinator/auto/mode_marks.h"
#include "coordinator/auto/task.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    AUTO_SHORT_ANSWER = 64, /* tokens */
    AUTO_WHOLE_TOKENS = 65536,
    AUTO_FILES = 3,
    AUTO_SURE_POINTS = 2,
    AUTO_COMPLEXITY_MAX = 5,
    AUTO_REASON_MAX = 199,
    AUTO_PASSED_MAX = 79, /* bytes of why a mode is passed over */
};

enum auto_source { AUTO_BY_MARK, AUTO_BY_FACTS, AUTO_BY_MODEL, AUTO_BY_SESSION, AUTO_BY_FALLBACK };

/* How long its user waits for the first token without minding. */
enum patience { PATIENCE_NONE, PATIENCE_SOME, PATIENCE_MUCH, PATIENCE_COUNT };

struct auto_session {            /* what is known of a conversation */
    char mode[MSG_NAME_MAX + 1]; /* "": nothing */
    bool marked;                 /* an editor's own mark said so; else it was guessed */
    uint8_t level;               /* the highest complexity so far; 0: none */
};

struct auto_input { /* borrowed */
    const struct facts *facts;
    const struct mode_mark *mark; /* NULL: none */
    struct auto_session session;
    bool answered; /* a small model said that it is `answer`, one that is guessed */
    enum task answer;
    /* The mode that `name` means, by its own name, where the caller may use it and it can do what
     * is needed; NULL: there is no such. */
    const char *(*find)(void *ctx, const char *name);
    /* Why find() passes over a mode that is there, for people: "no model of ask can call tools".
     * False where there is no mode of that name, or it is not passed over. */
    bool (*tell_passed)(void *ctx, const char *name, char *text, size_t size);
    void *ctx;
};

struct auto_choice {
    const char *mode;   /* as find() gave it; NULL: no mode that such a request may go to */
    const char *passed; /* static; of the modes of its task the first, where that one is there and
                           another takes its place; NULL: none */
    enum auto_source source;
    enum task task;
    bool tools_needed;
    bool unsure;
    uint8_t complexity;
    enum patience patience;
    char reason[AUTO_REASON_MAX +
                1]; /* "auto, complexity 5, by facts: code, 129.0 KiB of text, 5 files" */
};

/* β of the cost (scheduling/cost.h): the more patience, the more the time after the first token
 * counts beside the wait for it. */
double auto_beta(enum patience patience);

void auto_choose(const struct auto_input *input, struct auto_choice *ret_choice);
/* What is known of the conversation from then on. */
void auto_learn(const struct auto_choice *choice, struct auto_session *session);
