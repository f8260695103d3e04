#include "coordinator/auto/auto_mode.h"

#include "common/text.h"
#include "coordinator/auto/task_words.h"
#include "coordinator/scheduling/cost.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum {
    TASK_MODES = 4,
    TEXT_SIZE_MAX = 32, /* bytes of "3.5 KiB" */
};

static const struct {
    const char *modes[TASK_MODES]; /* where it may go, the best first */
    uint8_t complexity;            /* at the least */
    enum patience patience;
} tasks[TASK_COUNT] = {
        [TASK_QUESTION] = {{"ask", "chat", "fast"}, 1, PATIENCE_SOME},
        [TASK_CODE] = {{"code", "agent", "edit"}, 2, PATIENCE_SOME},
        [TASK_DEBUG] = {{"debug", "code", "agent"}, 3, PATIENCE_MUCH},
        [TASK_DESIGN] = {{"architect", "plan", "agent", "code"}, 4, PATIENCE_MUCH},
        [TASK_COORDINATE] = {{"orchestrator", "plan", "architect", "agent"}, 3, PATIENCE_MUCH},
        [TASK_TITLE] = {{"title", "fast"}, 1, PATIENCE_NONE},
        [TASK_SUMMARY] = {{"compaction"}, 2, PATIENCE_SOME},
        [TASK_COMPLETION] = {{"autocomplete"}, 1, PATIENCE_NONE},
};

/* --- words of editors --- */

static bool task_of_word(const char *word, enum task *ret_task)
{
    static const struct {
        const char *word;
        enum task task;
    } words[] = {{"act", TASK_CODE}, {"agent", TASK_CODE}, {"architect", TASK_DESIGN},
            {"ask", TASK_QUESTION}, {"build", TASK_CODE}, {"chat", TASK_QUESTION},
            {"code", TASK_CODE}, {"compaction", TASK_SUMMARY}, {"debug", TASK_DEBUG},
            {"edit", TASK_CODE}, {"orchestrator", TASK_COORDINATE}, {"plan", TASK_DESIGN},
            {"subagent", TASK_CODE}, {"title", TASK_TITLE}, {"yolo", TASK_CODE}};
    for (size_t i = 0; i < LENGTH(words); i++) {
        if (strcmp(words[i].word, word) == 0) {
            *ret_task = words[i].task;
            return true;
        }
    }
    return false;
}

/* --- modes --- */

static const char *find(const struct auto_input *input, const char *name)
{
    return input->find(input->ctx, name);
}

static const char *find_any(const struct auto_input *input, const char *const *names, size_t count)
{
    const char *mode = NULL;
    for (size_t i = 0; !mode && i < count && names[i]; i++)
        mode = find(input, names[i]);
    return mode;
}

/* The first that is there, where find() passes it over. */
static const char *passed_mode(const struct auto_input *input, enum task task)
{
    char why[AUTO_PASSED_MAX + 1];
    const char *const *modes = tasks[task].modes;
    for (size_t i = 0; i < TASK_MODES && modes[i] && !find(input, modes[i]); i++)
        if (input->tell_passed(input->ctx, modes[i], why, sizeof(why)))
            return modes[i];
    return NULL;
}

static const char *mode_of_task(const struct auto_input *input, enum task task)
{
    static const char *const last[] = {"ask", "chat", "code"};
    const char *mode = find_any(input, tasks[task].modes, TASK_MODES);
    return mode ? mode : find_any(input, last, LENGTH(last));
}

/* By where tasks go here, also where that only stands in. One that is none of these: no guess
 * leaves what its owner has made. */
static enum task task_of_mode(const struct auto_input *input, const char *mode)
{
    for (enum task task = 0; task < TASK_GUESSED; task++) {
        const char *found = find_any(input, tasks[task].modes, TASK_MODES);
        if (found && strcmp(found, mode) == 0)
            return task;
    }
    return TASK_GUESSED;
}

/* --- the guess --- */

static uint8_t by_length(uint64_t tokens)
{
    static const uint64_t limits[] = {2 * 1024, 8 * 1024, 32 * 1024, AUTO_WHOLE_TOKENS};
    uint8_t level = 1;
    for (size_t i = 0; i < LENGTH(limits); i++)
        level = (uint8_t)(level + (tokens >= limits[i]));
    return level;
}

static bool has_many_files(const struct facts *facts)
{
    return facts->files >= AUTO_FILES || facts->fences >= AUTO_FILES;
}

static uint8_t complexity_of(const struct facts *facts, enum task task)
{
    int level = by_length(facts_said_tokens(facts));
    if (level < tasks[task].complexity)
        level = tasks[task].complexity;
    level += has_many_files(facts) || facts->effort == EFFORT_HIGH;
    level -= facts->effort == EFFORT_LOW;
    return (uint8_t)(level < 1 ? 1 : level > AUTO_COMPLEXITY_MAX ? AUTO_COMPLEXITY_MAX : level);
}

static void score_facts(const struct facts *facts, unsigned score[TASK_GUESSED])
{
    bool edits = facts->editing_tools > 0;
    task_words_score(facts->words, score);
    score[TASK_CODE] += (edits ? 2U : 0) + (facts->diff_hunks > 0 ? 2U : 0);
    score[TASK_CODE] += (edits && facts->tool_results > 0 ? 1U : 0) + has_many_files(facts);
    score[TASK_DEBUG] += facts->trace_lines >= 3 ? 3 : facts->trace_lines > 0 ? 2 : 0;
    score[TASK_QUESTION] += facts->fences > 0 && facts->tools == 0;
}

struct guess {
    enum task task;
    unsigned points;
    bool unsure;
};

static struct guess best_of(const unsigned score[TASK_GUESSED])
{
    struct guess guess = {.task = 0, .points = score[0]};
    for (enum task task = 1; task < TASK_GUESSED; task++)
        if (score[task] > guess.points)
            guess = (struct guess){.task = task, .points = score[task]};
    guess.unsure = guess.points < AUTO_SURE_POINTS;
    for (enum task task = 0; task < TASK_GUESSED; task++)
        guess.unsure |= task != guess.task && score[task] == guess.points;
    return guess;
}

static struct guess guess_task(const struct facts *facts)
{
    unsigned score[TASK_GUESSED] = {0};
    score_facts(facts, score);
    struct guess guess = best_of(score);
    bool whole = facts->tools == 0 && facts_said_tokens(facts) >= AUTO_WHOLE_TOKENS;
    if (whole && guess.task != TASK_DEBUG)
        guess = (struct guess){.task = TASK_DESIGN, .points = AUTO_SURE_POINTS};
    return guess;
}

/* --- the choice --- */

static void choose_task(const struct auto_input *input, enum task task, enum auto_source source,
        struct auto_choice *choice)
{
    choice->mode = mode_of_task(input, task);
    choice->passed = passed_mode(input, task);
    choice->task = task;
    choice->source = source;
}

/* It is for more than the task that this one is taken. */
static void take_mode(struct auto_choice *choice, const char *mode)
{
    choice->mode = mode;
    choice->passed = NULL;
}

static bool choose_short(const struct auto_input *input, struct auto_choice *choice)
{
    const struct facts *facts = input->facts;
    bool is_short =
            facts->answer_max > 0 && facts->answer_max <= AUTO_SHORT_ANSWER && facts->tools == 0;
    if (is_short)
        choose_task(input, TASK_TITLE, AUTO_BY_FACTS, choice);
    return is_short;
}

static const char *mode_of_session(const struct auto_input *input)
{
    return input->session.mode[0] ? find(input, input->session.mode) : NULL;
}

/* False where nothing completes here: then it is a prompt like any other. */
static bool choose_completion(const struct auto_input *input, struct auto_choice *choice)
{
    const char *mode = input->facts->fim ? find(input, tasks[TASK_COMPLETION].modes[0]) : NULL;
    if (mode)
        choose_task(input, TASK_COMPLETION, AUTO_BY_FACTS, choice);
    return mode;
}

/* A summary finds the conversation's cache where that is. */
static void choose_summary(const struct auto_input *input, struct auto_choice *choice)
{
    const char *mode = mode_of_session(input);
    choose_task(input, TASK_SUMMARY, AUTO_BY_MARK, choice);
    if (mode)
        take_mode(choice, mode);
}

/* False where it says nothing that is known here. */
static bool choose_mark(const struct auto_input *input, struct auto_choice *choice)
{
    enum task task;
    const char *named = input->mark ? find(input, input->mark->word) : NULL;
    bool known = input->mark && task_of_word(input->mark->word, &task);
    if (!named && !known)
        return false;
    if (known && task == TASK_SUMMARY) {
        choose_summary(input, choice);
        return true;
    }
    choose_task(input, known ? task : TASK_CODE, AUTO_BY_MARK, choice);
    if (named)
        take_mode(choice, named);
    return true;
}

static bool stays(const struct auto_input *input, const struct auto_choice *guess, const char *mode)
{
    return input->session.marked || guess->complexity <= input->session.level ||
           guess->task < task_of_mode(input, mode);
}

static void choose_guess(const struct auto_input *input, struct auto_choice *choice)
{
    const char *known = mode_of_session(input);
    struct guess guess = guess_task(input->facts);
    enum auto_source source = guess.points > 0 ? AUTO_BY_FACTS : AUTO_BY_FALLBACK;
    choose_task(input, input->answered ? input->answer : guess.task,
            input->answered ? AUTO_BY_MODEL : source, choice);
    choice->complexity = complexity_of(input->facts, choice->task);
    choice->unsure = guess.unsure && !known && !input->answered;
    if (!known || !stays(input, choice, known))
        return;
    take_mode(choice, known);
    choice->source = AUTO_BY_SESSION;
}

/* --- why --- */

struct count {
    uint64_t count;
    const char *what;
};

static int say_count(char *text, size_t size, const struct count *it)
{
    const char *plural = it->count == 1 ? "" : "s";
    if (it->count == 0 || size == 0)
        return 0;
    return snprintf(text, size, ", %" PRIu64 " %s%s", it->count, it->what, plural);
}

/* ", 3.5 KiB of text, 5 files, 9 tools": every count is bounded, and so is the text. How many
 * tokens the text comes to is the model's to say, which is not chosen yet. */
static void say_facts(const struct facts *facts, char *text, size_t size)
{
    const struct count counts[] = {{facts->files, "file"}, {facts->fences, "code block"},
            {facts->trace_lines, "trace line"}, {facts->diff_hunks, "diff hunk"},
            {facts->tools, "tool"}, {facts->images, "image"}};
    char much[TEXT_SIZE_MAX];
    size_t len = (size_t)snprintf(text, size, "%s%s, %s of text", facts->fim ? ", tokens of " : "",
            facts->fim ? facts->fim : "", text_format_size(facts->bytes, much, sizeof(much)));
    for (size_t i = 0; i < LENGTH(counts) && len < size; i++)
        len += (size_t)say_count(text + len, size - len, &counts[i]);
}

static void say_source(
        const struct auto_input *input, const struct auto_choice *choice, char *text, size_t size)
{
    char facts[AUTO_REASON_MAX / 2];
    switch (choice->source) {
    case AUTO_BY_MARK:
        snprintf(text, size, "the mark \"%s\" of %s", input->mark->word, input->mark->editor);
        break;
    case AUTO_BY_MODEL:
        snprintf(text, size, "a small model's answer");
        break;
    case AUTO_BY_SESSION:
        snprintf(text, size, "its conversation%s", input->session.marked ? ", by a mark" : "");
        break;
    case AUTO_BY_FALLBACK:
        snprintf(text, size, "default: nothing says more");
        break;
    case AUTO_BY_FACTS:
        say_facts(input->facts, facts, sizeof(facts));
        snprintf(text, size, "facts: %s%s", task_name(choice->task), facts);
        break;
    }
}

static void say_reason(const struct auto_input *input, struct auto_choice *choice)
{
    char source[AUTO_REASON_MAX - 40], passed[AUTO_PASSED_MAX + 1] = "";
    say_source(input, choice, source, sizeof(source));
    bool told = choice->passed &&
                input->tell_passed(input->ctx, choice->passed, passed, sizeof(passed));
    snprintf(choice->reason, sizeof(choice->reason), "auto, complexity %u, by %s%s%s",
            choice->complexity, source, told ? "; " : "", passed);
}

double auto_beta(enum patience patience)
{
    static const double betas[PATIENCE_COUNT] = {
            [PATIENCE_NONE] = 0.15, [PATIENCE_SOME] = COST_BETA_INTERACTIVE, [PATIENCE_MUCH] = 0.6};
    return betas[patience];
}

void auto_choose(const struct auto_input *input, struct auto_choice *ret_choice)
{
    struct auto_choice choice = {.tools_needed = input->facts->tools > 0};
    if (!choose_completion(input, &choice) && !choose_short(input, &choice) &&
            !choose_mark(input, &choice))
        choose_guess(input, &choice);
    choice.complexity = complexity_of(input->facts, choice.task);
    choice.patience = tasks[choice.task].patience;
    say_reason(input, &choice);
    *ret_choice = choice;
}

void auto_learn(const struct auto_choice *choice, struct auto_session *session)
{
    if (!choice->mode || task_is_beside(choice->task))
        return;
    session->marked = choice->source == AUTO_BY_MARK ||
                      (choice->source == AUTO_BY_SESSION && session->marked);
    snprintf(session->mode, sizeof(session->mode), "%s", choice->mode);
    if (choice->complexity > session->level)
        session->level = choice->complexity;
}
