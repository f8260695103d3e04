#include "common/json/json.h"
#include "coordinator/api/recordings.h"
#include "coordinator/api/responses.h"
#include "coordinator/dialects/responses/response_store.h"
#include "coordinator/dialects/responses/responses.h"
#include "tests/lib/fake_exchange.h"
#include "tests/lib/response_events.h"
#include "tests/lib/virtual_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The job, as the recording sees it: what a real one writes, the test lets it write. */
struct fake_job {
    struct reply reply;
    struct request request;
    struct answer *answer;
    struct buf out;
    bool open, gone;
    const struct api_error *refuses; /* at once */
};

static struct fake_job job;

static void fini_job(void)
{
    dialect_responses.answer_destroy(job.answer);
    job.answer = NULL;
    request_fini(&job.request);
    buf_fini(&job.out);
    job.open = false;
}

static void on_gone(void *ctx)
{
    assert_ptr_equal(ctx, &job);
    assert_true(job.open);
    fini_job();
    job.gone = true;
}

void reply_error(const struct reply *reply, const struct dialect_family *family,
        const struct api_error *error, const char *request_id)
{
    struct buf body;
    buf_init(&body, 10000);
    assert_int_equal(family->error_body(error, request_id, &body), 0);
    if (error->retry_after_s)
        reply_set_header(reply, "Retry-After", "5");
    reply_send(reply, error->status, "application/json", buf_at(&body), body.len);
    buf_fini(&body);
}

void jobs_start(struct jobs *jobs, const struct reply *reply, const struct dialect *dialect,
        struct request *request, struct job_terms *terms)
{
    static const struct http_exchange_events events = {.on_gone = on_gone};
    const struct answer_facts facts = {
            .request_id = job.request.id, .model = "small", .created_s = 17};
    (void)jobs;
    job_terms_destroy(terms);
    assert_ptr_equal(dialect, &dialect_responses);
    job.reply = *reply;
    job.request = *request;
    request_init(request);
    job.answer = dialect_responses.answer_create(&job.request, &facts);
    buf_init(&job.out, DIALECT_ANSWER_MAX);
    job.open = true;
    reply_watch(&job.reply, &events, &job);
    if (!job.refuses)
        return;
    reply_error(&job.reply, dialect->family, job.refuses, job.request.id);
    fini_job();
}

static void write_out(void)
{
    assert_true(reply_room(&job.reply) > 0);
    assert_int_equal(reply_write(&job.reply, buf_at(&job.out), job.out.len), 0);
    buf_clear(&job.out);
}

static void job_begins(void)
{
    reply_begin(&job.reply, 200, dialect_responses.stream_type);
    assert_int_equal(dialect_responses.stream_begin(job.answer, &job.out), 0);
    write_out();
}

static void job_says(enum delta_kind kind, const char *data)
{
    struct msg_delta delta = {.kind = kind, .data = data, .len = strlen(data)};
    assert_int_equal(dialect_responses.stream_delta(job.answer, &delta, &job.out), 0);
    write_out();
}

static void job_ends(void)
{
    job_says(DELTA_FINISH, "stop");
    assert_int_equal(dialect_responses.stream_end(job.answer, &job.out), 0);
    write_out();
    reply_end(&job.reply);
    fini_job();
}

/* --- a coordinator --- */

struct desk {
    struct virtual_env world;
    struct admin_view view;
    struct api api;
    unsigned requests;
};

static void open_desk(struct desk *desk, size_t count_max)
{
    *desk = (struct desk){0};
    job = (struct fake_job){0};
    virtual_env_init(&desk->world);
    struct response_store_config store = {.env = &desk->world.env};
    desk->view.env = &desk->world.env;
    desk->api.view = &desk->view;
    desk->api.responses = response_store_create(&store);
    struct recordings_config config = {
            .env = &desk->world.env, .store = desk->api.responses, .count_max = count_max};
    desk->api.recordings = recordings_create(&config);
    assert_non_null(desk->api.recordings);
}

static void close_desk(struct desk *desk)
{
    recordings_destroy(desk->api.recordings);
    response_store_destroy(desk->api.responses);
}

static struct api_key keys[2] = {{.name = "me"}, {.name = "you"}};

static void ask_as(struct desk *desk, struct http_exchange *exchange, int who,
        void (*serve)(const struct call *call), const char *id, const char *query)
{
    struct caller caller = {.key = &keys[who]};
    struct call call = {.api = &desk->api,
            .exchange = exchange,
            .caller = &caller,
            .family = &family_openai,
            .tail = id};
    fake_exchange_init(exchange);
    exchange->query = query;
    serve(&call);
}

static void ask(struct desk *desk, struct http_exchange *exchange,
        void (*serve)(const struct call *call), const char *id, const char *query)
{
    ask_as(desk, exchange, 0, serve, id, query);
}

/* resp_1, resp_2, … */
static void post(struct desk *desk, struct http_exchange *exchange, const char *body)
{
    struct caller caller = {.key = &keys[0]};
    struct call call = {.api = &desk->api,
            .exchange = exchange,
            .caller = &caller,
            .family = &family_openai,
            .dialect = &dialect_responses,
            .tail = ""};
    struct dialect_input input = {.body = body,
            .len = strlen(body),
            .content_type = "",
            .owner = "key me",
            .responses = desk->api.responses};
    struct request request;
    const char *param;
    struct err err;
    fake_exchange_init(exchange);
    request_init(&request);
    assert_int_equal(dialect_responses.parse(&input, &request, &param, &err), 0);
    assert_true(request.background);
    snprintf(request.id, sizeof(request.id), "req_%u", ++desk->requests);
    responses_start(&call, &request, NULL);
    request_fini(&request);
}

static void done_with(struct http_exchange *exchange)
{
    fake_exchange_fini(exchange);
}

static void told(struct http_exchange *exchange, int status, const char *text)
{
    if (exchange->status != status || !fake_exchange_has(exchange, text))
        fail_msg("%d %s\nnot %d … %s", exchange->status, fake_exchange_text(&exchange->body),
                status, text);
    done_with(exchange);
}

static void get(struct desk *desk, const char *id, int status, const char *text)
{
    struct http_exchange exchange;
    ask(desk, &exchange, responses_serve_get, id, NULL);
    told(&exchange, status, text);
}

#define BACKGROUND "{\"input\":\"hi\",\"background\":true"

/* --- background --- */

static void a_response_in_the_background_can_be_asked_for(void **state)
{
    (void)state;
    struct desk desk;
    struct http_exchange exchange;
    open_desk(&desk, 0);
    post(&desk, &exchange,
            BACKGROUND ",\"model\":\"m\",\"metadata\":{\"a\":\"b\"},\"truncation\":\"auto\"}");
    assert_true(fake_exchange_has_header(&exchange, "X-Modemesh-Skipped: truncation auto"));
    assert_true(fake_exchange_has(&exchange, "\"background\":true"));
    assert_true(fake_exchange_has(&exchange, "\"metadata\":{\"a\":\"b\"}"));
    assert_true(fake_exchange_has(&exchange, "\"model\":\"m\",\"output\":[]"));
    told(&exchange, 200, "{\"id\":\"resp_1\",\"object\":\"response\",");
    get(&desk, "resp_1", 200, "\"status\":\"queued\"");
    job_begins();
    get(&desk, "resp_1", 200, "\"status\":\"in_progress\"");
    job_says(DELTA_TEXT, "pong");
    job_ends();
    get(&desk, "resp_1", 200, "\"status\":\"completed\"");
    get(&desk, "resp_1", 200, "\"text\":\"pong\"");
    get(&desk, "resp_2", 404, "\"code\":\"not_found\"");
    close_desk(&desk);
}

static void it_is_the_object_and_nothing_else(void **state)
{
    (void)state;
    struct desk desk;
    struct http_exchange exchange;
    open_desk(&desk, 0);
    post(&desk, &exchange, BACKGROUND "}");
    done_with(&exchange);
    job_begins();
    job_says(DELTA_TEXT, ",\"response\":{}}\n\n");
    job_ends();
    ask(&desk, &exchange, responses_serve_get, "resp_1", NULL);
    cJSON *object = cJSON_ParseWithLengthOpts(
            fake_exchange_text(&exchange.body), exchange.body.len + 1, NULL, true);
    assert_non_null(object);
    assert_string_equal(json_str(object, "id", ""), "resp_1");
    cJSON_Delete(object);
    char *recorded = strdup(fake_exchange_text(&exchange.body));
    done_with(&exchange);
    virtual_env_advance_ms(&desk.world, RECORDING_AGE_MS + 1);
    recordings_tick(desk.api.recordings);
    assert_null(recordings_find(desk.api.recordings, "key me", "resp_1"));
    get(&desk, "resp_1", 200, recorded);
    free(recorded);
    close_desk(&desk);
}

static void another_cannot_see_it(void **state)
{
    (void)state;
    struct desk desk;
    struct http_exchange exchange;
    void (*const serve[])(const struct call *call) = {responses_serve_get, responses_serve_delete,
            responses_serve_cancel, responses_serve_input_items};
    open_desk(&desk, 0);
    post(&desk, &exchange, BACKGROUND "}");
    done_with(&exchange);
    job_begins();
    for (int ended = 0; ended <= 1; ended++) {
        for (size_t i = 0; i < sizeof(serve) / sizeof(serve[0]); i++) {
            ask_as(&desk, &exchange, 1, serve[i], "resp_1", NULL);
            told(&exchange, 404, "not_found");
            ask_as(&desk, &exchange, 1, serve[i], "resp_1", "stream=true");
            told(&exchange, 404, "not_found");
        }
        if (!ended)
            job_ends();
    }
    get(&desk, "resp_1", 200, "completed");
    close_desk(&desk);
}

static void follow_all(struct http_exchange *exchange, struct response_events *events)
{
    response_events_feed(events, fake_exchange_text(&exchange->body), exchange->body.len);
    buf_clear(&exchange->body);
}

static void a_client_may_leave_and_come_back(void **state)
{
    (void)state;
    struct desk desk;
    struct http_exchange first, again;
    struct response_events events = {0};
    open_desk(&desk, 0);
    post(&desk, &first, BACKGROUND ",\"stream\":true}");
    assert_int_equal(first.status, 200);
    assert_true(fake_exchange_has_header(&first, "Content-Type: text/event-stream"));
    job_begins();
    job_says(DELTA_TEXT, "po");
    follow_all(&first, &events);
    fake_exchange_leave(&first);
    done_with(&first);
    char query[64];
    snprintf(query, sizeof(query), "stream=true&starting_after=%zu", events.next - 1);
    job_says(DELTA_TEXT, "n");
    ask(&desk, &again, responses_serve_get, "resp_1", query);
    assert_int_equal(again.status, 200);
    job_says(DELTA_TEXT, "g");
    job_ends();
    assert_false(again.open);
    assert_false(again.aborted);
    follow_all(&again, &events);
    assert_true(events.ended);
    char *output =
            cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(events.response, "output"));
    assert_non_null(strstr(output, "\"pong\""));
    cJSON_free(output);
    done_with(&again);
    response_events_fini(&events);
    close_desk(&desk);
}

static void what_has_ended_can_be_read_from_any_place(void **state)
{
    (void)state;
    struct desk desk;
    struct http_exchange exchange;
    struct response_events events = {0};
    open_desk(&desk, 0);
    post(&desk, &exchange, BACKGROUND "}");
    done_with(&exchange);
    job_begins();
    job_says(DELTA_TEXT, "pong");
    job_ends();
    ask(&desk, &exchange, responses_serve_get, "resp_1", "stream=true");
    assert_false(exchange.open);
    follow_all(&exchange, &events);
    assert_true(events.ended);
    done_with(&exchange);
    for (size_t i = 0; i < events.next; i++) {
        char query[64], next[64];
        snprintf(query, sizeof(query), "starting_after=%zu&stream=true", i);
        snprintf(next, sizeof(next), "\"sequence_number\":%zu,", i + 1);
        ask(&desk, &exchange, responses_serve_get, "resp_1", query);
        assert_false(exchange.open);
        assert_int_equal(fake_exchange_has(&exchange, next), i + 1 < events.next);
        snprintf(next, sizeof(next), "\"sequence_number\":%zu,", i);
        assert_false(fake_exchange_has(&exchange, next));
        done_with(&exchange);
    }
    response_events_fini(&events);
    close_desk(&desk);
}

static void a_slow_reader_is_read_at_his_own_speed(void **state)
{
    (void)state;
    struct desk desk;
    struct http_exchange slow, fast;
    struct response_events events = {0};
    char text[1000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    open_desk(&desk, 0);
    post(&desk, &slow, BACKGROUND ",\"stream\":true}");
    ask(&desk, &fast, responses_serve_get, "resp_1", "stream=true");
    job_begins();
    for (int i = 0; i < 100; i++) {
        job_says(DELTA_TEXT, text);
        fake_exchange_read(&fast);
    }
    assert_true(slow.body.len < 4 * HTTP_STREAM_BUFFER);
    assert_true(fast.body.len > sizeof(text) * 100);
    job_ends();
    fake_exchange_read(&fast);
    assert_true(slow.open);
    while (slow.open)
        fake_exchange_read(&slow);
    follow_all(&slow, &events);
    assert_true(events.ended);
    response_events_fini(&events);
    fake_exchange_leave(&fast);
    done_with(&fast);
    done_with(&slow);
    close_desk(&desk);
}

static void cancel_ends_the_job(void **state)
{
    (void)state;
    struct desk desk;
    struct http_exchange reader, exchange;
    struct response_events events = {0};
    open_desk(&desk, 0);
    post(&desk, &reader, BACKGROUND ",\"stream\":true}");
    job_begins();
    job_says(DELTA_TEXT, "po");
    ask(&desk, &exchange, responses_serve_cancel, "resp_1", NULL);
    told(&exchange, 200, "\"status\":\"cancelled\"");
    assert_true(job.gone);
    assert_false(reader.open);
    follow_all(&reader, &events);
    assert_true(events.ended);
    assert_string_equal(json_str(events.response, "status", ""), "cancelled");
    response_events_fini(&events);
    done_with(&reader);
    ask(&desk, &exchange, responses_serve_cancel, "resp_1", NULL);
    told(&exchange, 200, "\"status\":\"cancelled\"");
    virtual_env_advance_ms(&desk.world, RECORDING_AGE_MS + 1);
    recordings_tick(desk.api.recordings);
    get(&desk, "resp_1", 200, "\"status\":\"cancelled\"");
    close_desk(&desk);
}

static void a_response_that_has_not_begun_can_be_cancelled(void **state)
{
    (void)state;
    struct desk desk;
    struct http_exchange exchange;
    open_desk(&desk, 0);
    post(&desk, &exchange, BACKGROUND "}");
    done_with(&exchange);
    ask(&desk, &exchange, responses_serve_cancel, "resp_1", NULL);
    told(&exchange, 200, "\"status\":\"cancelled\"");
    assert_true(job.gone);
    close_desk(&desk);
}

static void delete_forgets_it(void **state)
{
    (void)state;
    struct desk desk;
    struct http_exchange exchange;
    open_desk(&desk, 0);
    for (int ended = 0; ended <= 1; ended++) {
        char id[16];
        snprintf(id, sizeof(id), "resp_%d", ended + 1);
        job.gone = false;
        post(&desk, &exchange, BACKGROUND "}");
        done_with(&exchange);
        job_begins();
        if (ended)
            job_ends();
        ask(&desk, &exchange, responses_serve_delete, id, NULL);
        told(&exchange, 200, ",\"object\":\"response\",\"deleted\":true}");
        assert_int_equal(job.gone, !ended);
        get(&desk, id, 404, "not_found");
        ask(&desk, &exchange, responses_serve_delete, id, NULL);
        told(&exchange, 404, "not_found");
    }
    close_desk(&desk);
}

static void what_is_refused_at_once_is_refused_to_the_client(void **state)
{
    (void)state;
    static const struct api_error error = {
            .status = 503, .code = "overloaded", .message = "full", .retry_after_s = 5};
    struct desk desk;
    struct http_exchange exchange;
    open_desk(&desk, 0);
    job.refuses = &error;
    for (int follow = 0; follow <= 1; follow++) {
        post(&desk, &exchange, follow ? BACKGROUND ",\"stream\":true}" : BACKGROUND "}");
        assert_true(fake_exchange_has_header(&exchange, "Retry-After: 5"));
        told(&exchange, 503, "\"code\":\"overloaded\"");
        get(&desk, follow ? "resp_2" : "resp_1", 404, "not_found");
    }
    close_desk(&desk);
}

static void what_fails_later_is_a_failed_response(void **state)
{
    (void)state;
    static const struct api_error error = {
            .status = 502, .code = "engine_died", .message = "it died"};
    for (int way = 0; way < 3; way++) {
        struct desk desk;
        struct http_exchange exchange;
        struct response_events events = {0};
        open_desk(&desk, 0);
        post(&desk, &exchange, BACKGROUND "}");
        done_with(&exchange);
        if (way > 0)
            job_begins();
        if (way == 0)
            reply_error(&job.reply, &family_openai, &error, "");
        if (way == 1) {
            assert_int_equal(dialect_responses.stream_error(job.answer, &error, &job.out), 0);
            write_out();
            reply_end(&job.reply);
        }
        if (way == 2)
            reply_abort(&job.reply);
        fini_job();
        get(&desk, "resp_1", 200, "\"status\":\"failed\"");
        get(&desk, "resp_1", 200,
                way < 2 ? "{\"code\":\"engine_died\",\"message\":\"it died\"}" : "server_error");
        ask(&desk, &exchange, responses_serve_get, "resp_1", "stream=true");
        assert_false(exchange.open);
        follow_all(&exchange, &events);
        assert_true(events.ended);
        response_events_fini(&events);
        done_with(&exchange);
        virtual_env_advance_ms(&desk.world, RECORDING_AGE_MS + 1);
        recordings_tick(desk.api.recordings);
        get(&desk, "resp_1", 200, "\"status\":\"failed\"");
        close_desk(&desk);
    }
}

static void those_that_have_ended_make_room(void **state)
{
    (void)state;
    struct desk desk;
    struct http_exchange exchange;
    open_desk(&desk, 2);
    post(&desk, &exchange, BACKGROUND "}");
    done_with(&exchange);
    job_begins();
    job_ends();
    post(&desk, &exchange, BACKGROUND "}");
    done_with(&exchange);
    job_begins();
    job_ends();
    post(&desk, &exchange, BACKGROUND "}");
    told(&exchange, 200, "resp_3");
    assert_null(recordings_find(desk.api.recordings, "key me", "resp_1"));
    get(&desk, "resp_1", 200, "completed");
    ask(&desk, &exchange, responses_serve_get, "resp_1", "stream=true");
    told(&exchange, 400, "no events");
    close_desk(&desk);
}

static void too_many_that_run_are_refused(void **state)
{
    (void)state;
    struct desk desk;
    struct http_exchange exchange;
    open_desk(&desk, 1);
    post(&desk, &exchange, BACKGROUND "}");
    done_with(&exchange);
    post(&desk, &exchange, BACKGROUND "}");
    told(&exchange, 503, "\"code\":\"overloaded\"");
    get(&desk, "resp_1", 200, "queued");
    close_desk(&desk);
    assert_true(job.gone);
}

static void a_recording_has_a_largest_size(void **state)
{
    (void)state;
    struct desk desk;
    struct http_exchange exchange;
    static char event[1024 * 1024];
    open_desk(&desk, 0);
    post(&desk, &exchange, BACKGROUND "}");
    done_with(&exchange);
    job_begins();
    memset(event, 'x', sizeof(event));
    memcpy(event + sizeof(event) - 2, "\n\n", 2);
    int r = 0;
    for (size_t i = 0; i < RECORDING_BYTES_MAX / sizeof(event) - 1 && !r; i++)
        r = reply_write(&job.reply, event, sizeof(event));
    assert_int_equal(r, 0);
    for (size_t i = 0; i < 2 && !r; i++)
        r = reply_write(&job.reply, event, sizeof(event));
    assert_int_equal(r, -ENOBUFS);
    reply_abort(&job.reply);
    fini_job();
    get(&desk, "resp_1", 200, "\"status\":\"failed\"");
    close_desk(&desk);
}

/* What a request said weighs as much as what came of it. */
static void inputs_count_against_the_room(void **state)
{
    (void)state;
    struct virtual_env world;
    struct recording *first, *second, *third;
    struct err err;
    virtual_env_init(&world);
    struct response_store_config store_config = {.env = &world.env};
    struct response_store *store = response_store_create(&store_config);
    struct recordings_config config = {.env = &world.env, .store = store, .bytes_max = 100};
    struct recordings *recordings = recordings_create(&config);
    struct recording_config one = {.id = "resp_1",
            .owner = "me",
            .previous = "",
            .input = "[\"0123456789012345678901234567890123456\"]",
            .object = "{}"};
    assert_int_equal(recordings_begin(recordings, &one, &first, &err), 0);
    assert_int_equal(recordings_begin(recordings, &one, &second, &err), 0);
    assert_int_equal(recordings_begin(recordings, &one, &third, &err), -EBUSY);
    recording_delete(first);
    assert_int_equal(recordings_begin(recordings, &one, &third, &err), 0);
    recordings_destroy(recordings);
    response_store_destroy(store);
}

static void stopping_cuts_off_who_reads(void **state)
{
    (void)state;
    struct desk desk;
    struct http_exchange reader;
    open_desk(&desk, 0);
    post(&desk, &reader, BACKGROUND ",\"stream\":true}");
    job_begins();
    close_desk(&desk);
    assert_true(job.gone);
    assert_true(reader.aborted);
    done_with(&reader);
}

/* --- what was not in the background --- */

static void store(struct desk *desk)
{
    struct stored_response response = {.id = "resp_f",
            .owner = "key me",
            .previous = "",
            .input = "[{\"id\":\"a\"},{\"id\":\"b\"},{\"role\":\"user\"}]",
            .object = "{\"id\":\"resp_f\"}"};
    assert_int_equal(response_store_put(desk->api.responses, &response), 0);
}

static void a_stored_response_can_be_had_and_not_streamed(void **state)
{
    (void)state;
    struct desk desk;
    struct http_exchange exchange;
    open_desk(&desk, 0);
    store(&desk);
    get(&desk, "resp_f", 200, "{\"id\":\"resp_f\"}");
    ask(&desk, &exchange, responses_serve_get, "resp_f", "stream=true");
    told(&exchange, 400, "background");
    ask(&desk, &exchange, responses_serve_get, "resp_f", "stream=false");
    told(&exchange, 200, "resp_f");
    ask(&desk, &exchange, responses_serve_cancel, "resp_f", NULL);
    told(&exchange, 400, "background");
    ask(&desk, &exchange, responses_serve_delete, "resp_f", NULL);
    told(&exchange, 200, "{\"id\":\"resp_f\",\"object\":\"response\",\"deleted\":true}");
    get(&desk, "resp_f", 404, "not_found");
    close_desk(&desk);
}

static void an_input_comes_in_pages(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        int status;
        const char *body;
    } cases[] = {
            {NULL, 200,
                    "{\"object\":\"list\",\"data\":[{\"role\":\"user\",\"id\":\"in_f_2\"},{\"id\":"
                    "\"b\"},{\"id\":\"a\"}],\"first_id\":\"in_f_2\",\"last_id\":\"a\",\"has_more\":"
                    "false}"},
            {"order=asc&limit=2", 200,
                    "{\"object\":\"list\",\"data\":[{\"id\":\"a\"},{\"id\":\"b\"}],\"first_id\":"
                    "\"a\",\"last_id\":\"b\",\"has_more\":true}"},
            {"order=asc&limit=2&after=b", 200, "\"data\":[{\"role\":\"user\",\"id\":\"in_f_2\"}],"},
            {"order=desc&limit=1&after=b", 200,
                    "\"data\":[{\"id\":\"a\"}],\"first_id\":\"a\",\"last_id\":\"a\",\"has_more\":"
                    "false}"},
            {"after=a", 200, "\"data\":[],\"first_id\":null,\"last_id\":null,\"has_more\":false}"},
            {"after=nothing", 200, "\"data\":[]"},
            {"limit=0", 400, "from 1 to 100"},
            {"limit=101", 400, "from 1 to 100"},
            {"limit=x", 400, "\"param\":\"limit\""},
            {"order=up", 400, "\"param\":\"order\""},
    };
    struct desk desk;
    open_desk(&desk, 0);
    store(&desk);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_exchange exchange;
        ask(&desk, &exchange, responses_serve_input_items, "resp_f", cases[i].query);
        told(&exchange, cases[i].status, cases[i].body);
    }
    close_desk(&desk);
}

static void the_input_of_what_still_runs_is_there(void **state)
{
    (void)state;
    struct desk desk;
    struct http_exchange exchange;
    open_desk(&desk, 0);
    post(&desk, &exchange, BACKGROUND "}");
    done_with(&exchange);
    ask(&desk, &exchange, responses_serve_input_items, "resp_1", NULL);
    told(&exchange, 200, "\"text\":\"hi\"}],\"id\":\"in_1_0\"}]");
    ask(&desk, &exchange, responses_serve_input_items, "resp_2", NULL);
    told(&exchange, 404, "not_found");
    close_desk(&desk);
}

static void bad_questions_are_refused(void **state)
{
    (void)state;
    static const char *const queries[] = {"stream=true&starting_after=x",
            "stream=true&starting_after=-1",
            "stream=true&starting_after=", "stream=true&starting_after=99999999999999999999"};
    struct desk desk;
    struct http_exchange exchange;
    open_desk(&desk, 0);
    post(&desk, &exchange, BACKGROUND "}");
    done_with(&exchange);
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        ask(&desk, &exchange, responses_serve_get, "resp_1", queries[i]);
        told(&exchange, 400, "\"param\":\"starting_after\"");
    }
    close_desk(&desk);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_response_in_the_background_can_be_asked_for),
            cmocka_unit_test(it_is_the_object_and_nothing_else),
            cmocka_unit_test(another_cannot_see_it),
            cmocka_unit_test(a_client_may_leave_and_come_back),
            cmocka_unit_test(what_has_ended_can_be_read_from_any_place),
            cmocka_unit_test(a_slow_reader_is_read_at_his_own_speed),
            cmocka_unit_test(cancel_ends_the_job),
            cmocka_unit_test(a_response_that_has_not_begun_can_be_cancelled),
            cmocka_unit_test(delete_forgets_it),
            cmocka_unit_test(what_is_refused_at_once_is_refused_to_the_client),
            cmocka_unit_test(what_fails_later_is_a_failed_response),
            cmocka_unit_test(those_that_have_ended_make_room),
            cmocka_unit_test(too_many_that_run_are_refused),
            cmocka_unit_test(a_recording_has_a_largest_size),
            cmocka_unit_test(inputs_count_against_the_room),
            cmocka_unit_test(stopping_cuts_off_who_reads),
            cmocka_unit_test(a_stored_response_can_be_had_and_not_streamed),
            cmocka_unit_test(an_input_comes_in_pages),
            cmocka_unit_test(the_input_of_what_still_runs_is_there),
            cmocka_unit_test(bad_questions_are_refused),
    };
    return cmocka_run_group_tests_name("api_responses", tests, NULL, NULL);
}
