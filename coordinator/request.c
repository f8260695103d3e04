#include "coordinator/request.h"

#include "coordinator/http/http_server.h"

enum { EDIT_ROOM = 4096 }; /* what a dialect may add to the body that came in */

void request_init(struct request *request)
{
    *request = (struct request){.choices = 1};
    buf_init(&request->body, HTTP_BODY_MAX + EDIT_ROOM);
}

void request_fini(struct request *request)
{
    buf_fini(&request->body);
}
