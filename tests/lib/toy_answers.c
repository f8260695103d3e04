#include "tests/lib/toy_answers.h"

#include "tests/lib/toy_http.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ASKED_COUNT_MAX = 512, STALL_MS = 60000, REQUEST_MAX = 64 };

struct asked {
    char request[REQUEST_MAX];
    char text[TOY_ASKED_MAX];
};

struct toy_answers {
    struct toy_server *server;
    char url[64];
    pthread_mutex_t lock; /* of what follows */
    struct toy_answer answers[TOY_ANSWERS_MAX];
    size_t answer_count;
    struct asked asked[ASKED_COUNT_MAX];
    size_t asked_count;
    unsigned closed;
};

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "# toy_answers: %s\n", what);
    abort();
}

static void add(struct toy_answers *toy, const struct toy_answer *answer)
{
    must(toy->answer_count < TOY_ANSWERS_MAX, "too many answers");
    toy->answers[toy->answer_count++] = *answer;
}

static bool is_request(const char *head, const char *request)
{
    size_t len = strlen(request);

    return strncmp(head, request, len) == 0 && head[len] == ' ';
}

static void remember(struct toy_answers *toy, const struct toy_request *request)
{
    struct asked *asked;
    size_t len = strcspn(request->head, " ");

    must(toy->asked_count < ASKED_COUNT_MAX, "too many requests");
    asked = &toy->asked[toy->asked_count++];
    len += 1 + strcspn(request->head + len + 1, " ");
    (void)snprintf(asked->request, sizeof(asked->request), "%.*s", (int)len, request->head);
    (void)snprintf(asked->text, sizeof(asked->text), "%s%s", request->head, request->body);
}

/* {0} where none fits. */
static struct toy_answer choose(struct toy_answers *toy, const struct toy_request *request)
{
    struct toy_answer chosen = {.request = NULL};

    for (size_t i = toy->answer_count; i-- > 0 && !chosen.request;)
        if (is_request(request->head, toy->answers[i].request) &&
                (!toy->answers[i].holds || strstr(request->body, toy->answers[i].holds)))
            chosen = toy->answers[i];
    if (chosen.request && chosen.then)
        add(toy, &(struct toy_answer){.request = chosen.then, .body = chosen.then_body});
    return chosen;
}

static void send_body(int fd, const struct toy_answer *answer)
{
    if (!answer->body)
        return;
    if (strncmp(answer->body, "data:", 5) == 0) {
        toy_send_text(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                          "Connection: close\r\n\r\n");
        toy_send_text(fd, answer->body);
    } else {
        toy_answer(fd, answer->status ? answer->status : 200, "application/json", answer->body);
    }
}

static void handle(void *ctx, int fd, const struct toy_request *request)
{
    struct toy_answers *toy = ctx;
    struct toy_answer answer;

    pthread_mutex_lock(&toy->lock);
    remember(toy, request);
    answer = choose(toy, request);
    pthread_mutex_unlock(&toy->lock);
    if (!answer.request) {
        toy_answer(fd, 404, "text/plain", "404 page not found");
        return;
    }
    send_body(fd, &answer);
    if ((answer.stalls || !answer.body) && toy_wait_closed(fd, STALL_MS)) {
        pthread_mutex_lock(&toy->lock);
        toy->closed++;
        pthread_mutex_unlock(&toy->lock);
    }
}

struct toy_answers *toy_answers_create(void)
{
    struct toy_answers *toy = calloc(1, sizeof(*toy));

    must(toy != NULL, "no memory");
    pthread_mutex_init(&toy->lock, NULL);
    toy->server = toy_server_create(NULL, handle, toy);
    (void)snprintf(toy->url, sizeof(toy->url), "http://127.0.0.1:%u",
            (unsigned)toy_server_port(toy->server));
    return toy;
}

void toy_answers_destroy(struct toy_answers *toy)
{
    if (!toy)
        return;
    toy_server_destroy(toy->server);
    pthread_mutex_destroy(&toy->lock);
    free(toy);
}

const char *toy_answers_url(const struct toy_answers *toy)
{
    return toy->url;
}

void toy_answers_add(struct toy_answers *toy, const struct toy_answer *answer)
{
    pthread_mutex_lock(&toy->lock);
    add(toy, answer);
    pthread_mutex_unlock(&toy->lock);
}

void toy_answers_set(struct toy_answers *toy, const char *request, const char *body)
{
    toy_answers_add(toy, &(struct toy_answer){.request = request, .body = body});
}

unsigned toy_answers_count(struct toy_answers *toy, const char *request, const char *holds)
{
    unsigned count = 0;

    pthread_mutex_lock(&toy->lock);
    for (size_t i = 0; i < toy->asked_count; i++)
        count += strcmp(toy->asked[i].request, request) == 0 &&
                 (!holds || strstr(toy->asked[i].text, holds));
    pthread_mutex_unlock(&toy->lock);
    return count;
}

void toy_answers_last(struct toy_answers *toy, const char *request, char ret_text[TOY_ASKED_MAX])
{
    ret_text[0] = '\0';
    pthread_mutex_lock(&toy->lock);
    for (size_t i = 0; i < toy->asked_count; i++)
        if (strcmp(toy->asked[i].request, request) == 0)
            memcpy(ret_text, toy->asked[i].text, TOY_ASKED_MAX);
    pthread_mutex_unlock(&toy->lock);
}

unsigned toy_answers_closed(struct toy_answers *toy)
{
    unsigned closed;

    pthread_mutex_lock(&toy->lock);
    closed = toy->closed;
    pthread_mutex_unlock(&toy->lock);
    return closed;
}
