#include "coordinator/auto/classifier.h"

#include "common/json/json.h"
#include "common/json/json_writer.h"
#include "common/list.h"
#include "common/log.h"
#include "coordinator/dialects/openai/openai.h"
#include "coordinator/inner_reply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 64 * 1024 };

struct classifier {
    struct classifier_config config;
    char *model; /* NULL: none */
    struct list questions;
    size_t count;
};

struct classifier_question {
    struct classifier *classifier;
    struct list link;
    struct loop_timer *timer;
    struct inner_reply answer;
    struct classifier_reply reply;
};

/* --- what is asked, and what is said --- */

static const char letters[TASK_GUESSED] = {
        [TASK_QUESTION] = 'A', [TASK_CODE] = 'B', [TASK_DEBUG] = 'C', [TASK_DESIGN] = 'D'};
static const char grammar[] = "root ::= \"A\" | \"B\" | \"C\" | \"D\"";
/* The same words each time, so that an engine has them in its cache. */
static const char instruction[] =
        "Say what a message to a programming assistant asks for. Answer with one letter.\n"
        "A: a question, an explanation, a chat.\n"
        "B: code to be written or changed.\n"
        "C: something fails, and the cause is to be found.\n"
        "D: a design, a plan, an architecture.";

static void write_message(struct json_writer *writer, const char *role, const char *text)
{
    json_writer_object(writer, NULL);
    json_writer_str(writer, "role", role);
    json_writer_str(writer, "content", text);
    json_writer_object_end(writer);
}

/* A model that thinks would spend its one token on that. */
static void write_settings(struct json_writer *writer)
{
    json_writer_u64(writer, "max_tokens", 1);
    json_writer_u64(writer, "temperature", 0);
    json_writer_str(writer, "grammar", grammar);
    json_writer_object(writer, "chat_template_kwargs");
    json_writer_bool(writer, "enable_thinking", false);
    json_writer_object_end(writer);
}

static int write_body(const char *model, const char *words, struct buf *out)
{
    struct json_writer writer;
    char text[CLASSIFIER_TEXT_MAX + 1];
    (void)snprintf(text, sizeof(text), "%s", words);
    json_writer_init(&writer, out);
    json_writer_object(&writer, NULL);
    json_writer_str(&writer, "model", model);
    json_writer_array(&writer, "messages");
    write_message(&writer, "system", instruction);
    write_message(&writer, "user", text);
    json_writer_array_end(&writer);
    write_settings(&writer);
    json_writer_object_end(&writer);
    return json_writer_result(&writer);
}

bool classifier_read_answer(const char *answer, size_t len, enum task *ret_task)
{
    cJSON *json = NULL;
    if (json_parse(answer, len, &json_limits_event, &json, NULL))
        return false;
    const cJSON *choices = json_array(json, "choices");
    const cJSON *message = choices ? json_obj(choices->child, "message") : NULL;
    const char *content = json_str(message, "content", "");
    const char *letter = strlen(content) == 1 ? memchr(letters, *content, TASK_GUESSED) : NULL;
    if (letter)
        *ret_task = (enum task)(letter - letters);
    cJSON_Delete(json);
    return letter != NULL;
}

/* --- the life of a question --- */

static void question_free(struct classifier_question *question)
{
    if (list_linked(&question->link))
        question->classifier->count--;
    list_del(&question->link);
    loop_timer_destroy(question->timer);
    free(question);
}

/* Frees the question. */
static void tell(struct classifier_question *question, const enum task *task)
{
    const struct classifier_reply reply = question->reply;
    question_free(question);
    reply.fn(reply.ctx, task);
}

static void on_deadline(void *ctx)
{
    struct classifier_question *question = ctx;
    inner_reply_leave(&question->answer);
    tell(question, NULL);
}

void classifier_cancel(struct classifier_question *question)
{
    inner_reply_leave(&question->answer);
    question_free(question);
}

/* --- its answer --- */

static void on_whole(void *ctx, int status, const void *body, size_t len)
{
    enum task task;
    bool said = status == 200 && classifier_read_answer(body, len, &task);
    tell(ctx, said ? &task : NULL);
}

/* Nothing that was asked for is a stream. */
static void on_end(void *ctx, bool complete)
{
    (void)complete;
    tell(ctx, NULL);
}

static const struct inner_reply_events answer_events = {.on_whole = on_whole, .on_end = on_end};

/* --- asking --- */

static const char *no_header(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return NULL;
}

/* As the client's own request, so that the rest of the way knows no other kind. */
static int make_request(const struct classifier *classifier, const struct request *about,
        const char *words, struct request *ret_request)
{
    const char *param;
    struct err err;
    struct buf body;
    buf_init(&body, BODY_MAX);
    strcpy(ret_request->id, about->id);
    strcpy(ret_request->client, about->client);
    strcpy(ret_request->told, "what auto asks of a small model");
    int r = write_body(classifier->model, words, &body);
    if (!r) {
        const struct dialect_input input = {.body = buf_at(&body),
                .len = body.len,
                .content_type = "application/json",
                .header = no_header,
                .owner = ret_request->client,
                .now_s = env_wall_ms(classifier->config.env) / 1000};
        r = dialect_openai_chat.parse(&input, ret_request, &param, &err);
    }
    buf_fini(&body);
    return r ? r : request_chain(ret_request, jobs_prompt_seed(classifier->config.jobs));
}

static bool has_room(const struct instance *instance, const char *model)
{
    uint32_t busy = instance->busy > instance->running ? instance->busy : instance->running;
    return strcmp(instance->model, model) == 0 && instance->state == INSTANCE_RESIDENT &&
           instance->usable && busy < instance->slots && !instance_lacks(instance, CAPABILITY_CHAT);
}

const char *classifier_model(const struct classifier *classifier)
{
    size_t count;
    if (!classifier->model)
        return NULL;
    const char *model = node_table_model(classifier->config.nodes, classifier->model);
    struct instance *const *instances = node_table_instances(classifier->config.nodes, &count);
    for (size_t i = 0; i < count; i++)
        if (has_room(instances[i], model))
            return instances[i]->model;
    return NULL;
}

static struct classifier_question *question_create(
        struct classifier *classifier, const struct classifier_reply *reply)
{
    struct classifier_question *question = calloc(1, sizeof(*question));
    if (!question)
        return NULL;
    question->classifier = classifier;
    question->reply = *reply;
    inner_reply_init(&question->answer, &answer_events, question);
    list_init(&question->link);
    question->timer = loop_timer_create(classifier->config.loop, on_deadline, question);
    if (question->timer)
        return question;
    question_free(question);
    return NULL;
}

static void start(struct classifier *classifier, struct classifier_question *question,
        struct request *request, const char *model)
{
    const struct reply reply = inner_reply_for_job(&question->answer);
    list_push_back(&classifier->questions, &question->link);
    classifier->count++;
    loop_timer_start(question->timer, classifier->config.deadline_ms, 0);
    jobs_start(classifier->config.jobs, &reply, &dialect_openai_chat, request,
            job_terms_of_models(NULL, &model, 1));
}

int classifier_ask(struct classifier *classifier, const struct request *request, const char *words,
        const struct classifier_reply *reply, struct classifier_question **ret_question)
{
    struct request asking;
    const char *model = classifier_model(classifier);
    if (!model)
        return -ENOENT;
    if (classifier->count >= CLASSIFIER_QUESTIONS_MAX)
        return -EBUSY;
    request_init(&asking);
    struct classifier_question *question = question_create(classifier, reply);
    int r = question ? make_request(classifier, request, words, &asking) : -ENOMEM;
    if (r == 0) {
        *ret_question = question;
        start(classifier, question, &asking, model);
    } else if (question) {
        question_free(question);
    }
    request_fini(&asking);
    return r;
}

/* --- all of them --- */

int classifier_set_model(struct classifier *classifier, const char *model)
{
    char *copy = model && *model ? strdup(model) : NULL;
    if (!copy && model && *model)
        return -ENOMEM;
    free(classifier->model);
    classifier->model = copy;
    return 0;
}

struct classifier *classifier_create(const struct classifier_config *config)
{
    struct classifier *classifier = calloc(1, sizeof(*classifier));
    if (!classifier)
        return NULL;
    classifier->config = *config;
    if (!classifier->config.deadline_ms)
        classifier->config.deadline_ms = CLASSIFIER_DEADLINE_MS;
    list_init(&classifier->questions);
    return classifier;
}

void classifier_destroy(struct classifier *classifier)
{
    if (!classifier)
        return;
    free(classifier->model);
    classifier->model = NULL; /* nobody asks anew */
    while (!list_empty(&classifier->questions))
        on_deadline(list_entry(classifier->questions.next, struct classifier_question, link));
    free(classifier);
}
