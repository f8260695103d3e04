/* POST /v1/rerank. Shapes: the API references of Jina and Cohere, where they agree. */
#include "coordinator/dialects/engine_result.h"
#include "coordinator/dialects/openai/openai.h"
#include "coordinator/dialects/openai/openai_body.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DOCUMENTS_MAX = 2048 };

/* Members of request->kept. */
#define KEPT_COUNT "count" /* of documents */
#define KEPT_TOP   "top_n" /* how many the client wants; absent: all */
#define KEPT_DOCUMENTS                                                                             \
    "documents" /* array of texts; absent: the client does not want them back                      \
                 */

/* --- request --- */

/* Documents are texts; as an object each has it in "text". */
static int read_document(
        struct openai_body *body, cJSON *documents, cJSON *document, size_t at, bool *ret_changed)
{
    cJSON *text = cJSON_IsObject(document)
                          ? cJSON_DetachItemFromObjectCaseSensitive(document, "text")
                          : NULL;
    if (cJSON_IsString(document))
        return 0;
    *ret_changed = true;
    if (cJSON_IsString(text) && cJSON_ReplaceItemViaPointer(documents, document, text))
        return 0;
    cJSON_Delete(text);
    return fields_refuse(&body->fields, "documents",
            "\"documents[%zu]\" must be a string or an object with one in \"text\", not %s", at,
            fields_type_name(document));
}

static int read_documents(struct openai_body *body, cJSON *documents)
{
    size_t at = 0;
    bool changed = false;
    int count = cJSON_GetArraySize(documents);
    if (!cJSON_IsArray(documents))
        return fields_refuse(&body->fields, "documents", "\"documents\" must be an array, not %s",
                fields_type_name(documents));
    if (count == 0 || count > DOCUMENTS_MAX)
        return fields_refuse(&body->fields, "documents",
                "\"documents\" must hold 1 to %d entries, not %d", DOCUMENTS_MAX, count);
    for (cJSON *document = documents->child, *next; document; document = next) {
        next = document->next;
        int r = read_document(body, documents, document, at++, &changed);
        if (r)
            return r;
    }
    if (changed)
        openai_body_set(body, "documents", documents);
    return 0;
}

static int read_query(struct openai_body *body)
{
    const cJSON *query = fields_member(body->json, "query");
    if (cJSON_IsString(query) && *query->valuestring)
        return 0;
    return fields_refuse(&body->fields, "query",
            "\"query\" must be a string that is not empty, not %s",
            cJSON_IsString(query) ? "an empty one" : fields_type_name(query));
}

/* The documents are moved, not copied. */
static int keep_facts(struct openai_body *body)
{
    bool wants_documents = json_bool(body->json, "return_documents", false);
    cJSON *documents = cJSON_DetachItemFromObjectCaseSensitive(body->json, "documents");
    cJSON *kept = body->request->kept = cJSON_CreateObject();
    double top = json_num(body->json, "top_n", 0);
    bool sound = cJSON_AddNumberToObject(kept, KEPT_COUNT, cJSON_GetArraySize(documents)) &&
                 (top == 0 || cJSON_AddNumberToObject(kept, KEPT_TOP, top));
    if (sound && wants_documents)
        sound = cJSON_AddItemToObject(kept, KEPT_DOCUMENTS, documents);
    if (!sound || !wants_documents)
        cJSON_Delete(documents);
    return sound ? 0 : err_set(body->fields.err, -ENOMEM, "no memory for the request");
}

static int read_body(struct openai_body *body)
{
    int r = openai_read_model(body);
    if (!r)
        r = read_query(body);
    if (!r)
        r = read_documents(body, cJSON_GetObjectItemCaseSensitive(body->json, "documents"));
    if (!r)
        r = fields_check_whole(&body->fields, "top_n", 1, INT32_MAX);
    if (!r)
        r = fields_check_bool(&body->fields, "return_documents");
    if (!r)
        r = keep_facts(body);
    if (r)
        return r;
    openai_body_drop(body, "return_documents");
    return openai_body_commit(body);
}

static int parse(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    ret_request->kind = REQUEST_RERANK;
    ret_request->needs |= CAPABILITY_RERANK;
    return openai_body_read(read_body, input, ret_request, ret_param, err);
}

/* --- answer --- */

struct score {
    size_t index;
    double value;
};

static int read_scores(const cJSON *results, struct score *scores, size_t room, size_t *ret_count)
{
    const cJSON *entry;
    size_t count = 0;
    cJSON_ArrayForEach(entry, results)
    {
        const cJSON *value = fields_member(entry, "relevance_score");
        uint64_t index;
        if (!json_whole(fields_member(entry, "index"), &index) || index >= room || count == room ||
                !cJSON_IsNumber(value) || !isfinite(value->valuedouble))
            return -EPROTO;
        scores[count++] = (struct score){.index = index, .value = value->valuedouble};
    }
    *ret_count = count;
    return cJSON_IsArray(results) ? 0 : -EPROTO;
}

/* The best first; of equals the earlier. */
static int compare(const void *left, const void *right)
{
    const struct score *a = left, *b = right;
    if (a->value != b->value)
        return a->value > b->value ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

static int append_document(const cJSON *documents, size_t index, struct buf *out)
{
    const cJSON *document = cJSON_GetArrayItem(documents, (int)index);
    if (!document)
        return 0;
    if (buf_append_str(out, ",\"document\":{\"text\":") || json_append(out, document))
        return -ENOBUFS;
    return buf_append_str(out, "}");
}

static int append_scores(
        const struct answer *answer, const struct score *scores, size_t count, struct buf *out)
{
    const cJSON *documents = json_array(answer->request->kept, KEPT_DOCUMENTS);
    int r = 0;
    for (size_t i = 0; !r && i < count; i++) {
        r = buf_appendf(out, "%s{\"index\":%zu,\"relevance_score\":%.9g", i ? "," : "",
                scores[i].index, scores[i].value);
        if (!r)
            r = append_document(documents, scores[i].index, out);
        if (!r)
            r = buf_append_str(out, "}");
    }
    return r;
}

static int append_results(const struct answer *answer, const cJSON *result, struct buf *out)
{
    size_t room = (size_t)json_num(answer->request->kept, KEPT_COUNT, 0), count;
    double top = json_num(answer->request->kept, KEPT_TOP, (double)room);
    struct score *scores = calloc(room, sizeof(*scores));
    if (!scores)
        return -ENOMEM;
    int r = read_scores(json_array(result, "results"), scores, room, &count);
    if (!r) {
        qsort(scores, count, sizeof(*scores), compare);
        r = append_scores(answer, scores, top < (double)count ? (size_t)top : count, out);
    }
    free(scores);
    return r;
}

static int append_head(const struct answer *answer, struct buf *out)
{
    const struct answer_facts *facts = &answer->facts;
    if (buf_appendf(
                out, "{\"id\":\"rerank-%s\",\"object\":\"list\",\"model\":", facts->request_id) ||
            json_append_str(out, facts->model, strlen(facts->model)))
        return -ENOBUFS;
    return buf_append_str(out, ",\"results\":[");
}

static int whole(struct answer *answer, struct buf *out)
{
    cJSON *result;
    int r = engine_result_read(answer, &result);
    if (r)
        return r;
    r = append_head(answer, out);
    if (!r)
        r = append_results(answer, result, out);
    cJSON_Delete(result);
    if (r)
        return r;
    return buf_appendf(out, "],\"usage\":{\"prompt_tokens\":%u,\"total_tokens\":%u}}",
            answer->usage.prompt_tokens, answer->usage.prompt_tokens);
}

const struct dialect dialect_openai_rerank = {
        .name = "openai rerank",
        .family = &family_openai,
        .whole_type = "application/json",
        .parse = parse,
        .answer_create = engine_result_create,
        .answer_destroy = engine_result_destroy,
        .gather = engine_result_gather,
        .whole = whole,
};
