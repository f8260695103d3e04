#include "coordinator/dialects/engine_result.h"

#include "common/json/json.h"

#include <errno.h>
#include <stdlib.h>

static const struct json_limits result_limits = {
        .max_bytes = DIALECT_ANSWER_MAX, .max_depth = 16, .max_values = 1000 * 1000};

struct answer *engine_result_create(const struct request *request, const struct answer_facts *facts)
{
    struct answer *answer = calloc(1, sizeof(*answer));
    if (!answer)
        return NULL;
    answer->request = request;
    answer->facts = *facts;
    buf_init(&answer->result, DIALECT_ANSWER_MAX);
    return answer;
}

void engine_result_destroy(struct answer *answer)
{
    if (!answer)
        return;
    buf_fini(&answer->result);
    free(answer);
}

int engine_result_gather(struct answer *answer, const struct msg_delta *delta)
{
    if (delta->kind == DELTA_USAGE)
        answer->usage = delta->usage;
    if (delta->kind == DELTA_RESULT)
        return buf_append(&answer->result, delta->data, delta->len);
    return 0;
}

int engine_result_read(const struct answer *answer, cJSON **ret_result)
{
    const struct buf *result = &answer->result;
    cJSON *json;
    int r = json_parse(result->len ? buf_at(result) : "", result->len, &result_limits, &json, NULL);
    if (r == -EMSGSIZE)
        return -ENOBUFS;
    if (r)
        return r == -ENOMEM ? r : -EPROTO;
    if (cJSON_IsObject(json)) {
        *ret_result = json;
        return 0;
    }
    cJSON_Delete(json);
    return -EPROTO;
}
