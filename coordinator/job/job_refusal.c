#include "coordinator/job/job_internal.h"

#include "common/text.h"
#include "coordinator/router/why.h"
#include "proto/capability.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void reply_error(const struct reply *reply, const struct dialect_family *family,
        const struct api_error *error, const char *request_id)
{
    uint32_t retry_after_s = error->retry_after_s;
    struct buf body;
    buf_init(&body, DIALECT_ANSWER_MAX);
    if ((error->status == 429 || error->status == 503) && !retry_after_s)
        retry_after_s = JOB_RETRY_AFTER_S;
    if (retry_after_s) {
        char seconds[16];
        snprintf(seconds, sizeof(seconds), "%u", retry_after_s);
        reply_set_header(reply, "Retry-After", seconds);
    }
    if (family->error_body(error, request_id, &body))
        buf_clear(&body);
    reply_send(reply, error->status, "application/json", body.len ? buf_at(&body) : "", body.len);
    buf_fini(&body);
}

/* The engine's own word counts, but for what it says of credentials: those are the node's, not the
 * client's. */
static int status_of_engine(uint32_t status)
{
    bool usable = status >= 400 && status <= 599 && status != 401 && status != 403 && status != 407;
    return usable ? (int)status : 502;
}

/* The node's sentence has both numbers (node/backends/); an older one may say it otherwise. */
static void read_context_numbers(const char *message, struct api_error *error)
{
    unsigned prompt, context;
    if (sscanf(message, "request (%9u tokens) exceeds the available context size (%9u tokens)",
                &prompt, &context) == 2) {
        error->prompt_tokens = prompt;
        error->context_tokens = context;
    }
}

const struct api_error *job_error_of_fail(const struct msg_fail *fail, struct api_error *ret_error)
{
    const char *code = fail_code_name(fail->code);
    bool silent = !fail->message || !*fail->message;
    *ret_error = (struct api_error){
            .status = 502, .code = code, .message = silent ? code : fail->message};
    switch (fail->code) {
    case FAIL_ENGINE_ERROR:
        ret_error->status = status_of_engine(fail->http_status);
        if (ret_error->status == 429)
            ret_error->code = "rate_limit_exceeded";
        else if (ret_error->status < 500)
            ret_error->code = "invalid_request";
        break;
    case FAIL_CONTEXT_EXCEEDED:
        ret_error->status = 400;
        ret_error->param = "messages";
        read_context_numbers(ret_error->message, ret_error);
        break;
    case FAIL_NO_MEMORY:
    case FAIL_NO_MODEL:
    case FAIL_OVERLOADED:
    case FAIL_DRAINING:
        ret_error->status = 503;
        break;
    case FAIL_BAD_REQUEST:
        ret_error->status = 400;
        break;
    default:
        break;
    }
    return ret_error;
}

/* Whole seconds until the request would have had its first token, as estimated; 0: it was not. */
static uint32_t retry_after_s(const struct job *job)
{
    return (uint32_t)fmin(ceil(job->first_token_s), JOB_RETRY_AFTER_MAX_S);
}

/* The reason may be the job's own. */
static void tell(struct job *job, const char *reason)
{
    if (reason != job->reason)
        snprintf(job->reason, sizeof(job->reason), "%s", reason);
}

static void append_refusal(const struct job *job, const char *reason, struct text_writer *out)
{
    text_write(out, "no node can serve \"%s\" now", job->request.asked);
    for (const struct job_terms *terms = job->all_terms; terms != job->terms; terms = terms->next)
        text_write(out, ", nor \"%s\" in its place", terms->next->mode);
    text_write(out, ": %s; `modemesh status` shows the nodes", reason);
}

void job_refuse(struct job *job, const char *code, const char *reason)
{
    char text[JOB_REFUSAL_MAX + 1];
    struct text_writer out = {.text = text, .size = sizeof(text)};
    bool full = strcmp(code, "queue_full") == 0;
    append_refusal(job, reason, &out);
    tell(job, reason);
    job_fail(job, &(struct api_error){.status = full ? 429 : 503,
                          .code = code,
                          .message = text,
                          .retry_after_s = retry_after_s(job)});
}

/* Of its words those about now are true; that it waits no longer is. */
void job_refuse_waited(struct job *job)
{
    char reason[JOB_REASON_MAX + JOB_WAITED_MAX + 1];
    double waited_s = (double)(job_waited_ms(job) - job->terms_waited_ms) / 1e3;
    bool of_mode = strcmp(job->terms->mode, JOB_TERMS_NO_MODE) != 0;
    snprintf(reason, sizeof(reason), "%s; waited %.1f s, as long as %s", job->reason, waited_s,
            of_mode ? "the mode's patience" : "any request may");
    job_refuse(job, "overloaded", reason);
}

/* A mode with its models: "ask" (small, …). Those after the first go by their own names. */
static void append_mode(
        const struct job *job, const struct job_terms *terms, struct text_writer *out)
{
    const char *name = terms == job->all_terms ? job->request.asked : terms->mode;
    text_write(out, "\"%s\" (%s%s)", name, terms->models[0], terms->model_count == 1 ? "" : ", …");
}

/* No waiting helps: the request is refused as the client's fault. */
static void refuse_unable(struct job *job, const struct routing_plan *plan)
{
    char text[JOB_REFUSAL_MAX + 1];
    struct text_writer out = {.text = text, .size = sizeof(text)};
    tell(job, why_not(plan));
    for (const struct job_terms *terms = job->all_terms; terms != job->terms; terms = terms->next) {
        append_mode(job, terms, &out);
        text_write(&out, " has none for it, ");
    }
    text_write(&out, "%s", job->terms == job->all_terms ? "" : "and ");
    append_mode(job, job->terms, &out);
    text_write(&out, " cannot %s; ask for a model or a mode that can",
            capability_lack_name(plan->lacking));
    job_fail(job, &(struct api_error){.status = 400,
                          .code = "unsupported_by_model",
                          .param = "model",
                          .message = text});
}

/* Nothing is loaded only to say so. Editors look for the words of engines (node/backends/answers/):
 * by them they shorten and try again. */
static void refuse_too_long(struct job *job, const struct router_plan *plan)
{
    char why[WHY_MAX];
    char text[JOB_REFUSAL_MAX + 1];
    uint32_t context = plan->routing.context_max;
    why_not_full(plan, why, sizeof(why));
    tell(job, why);
    snprintf(text, sizeof(text), "%s: prompt is too long, maximum context length is %u tokens", why,
            context);
    job_fail(job, &(struct api_error){.status = 400,
                          .code = fail_code_name(FAIL_CONTEXT_EXCEEDED),
                          .param = "messages",
                          .message = text,
                          .prompt_tokens = (uint32_t)fmin(plan->prompt_tokens, UINT32_MAX),
                          .context_tokens = context});
}

void job_refuse_plan(struct job *job, const struct router_plan *plan)
{
    char why[WHY_MAX];
    why_not_full(plan, why, sizeof(why));
    if (plan->routing.refusal == REFUSAL_LACKS && plan->routing.absent == 0)
        refuse_unable(job, &plan->routing);
    else if (plan->far_too_long)
        refuse_too_long(job, plan);
    else
        job_refuse(job, "no_node_available", why);
}
