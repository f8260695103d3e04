#include "coordinator/dialects/picture.h"

#include <string.h>
#include <strings.h>

bool picture_is_inline(const char *url)
{
    static const char scheme[] = "data:image/", form[] = ";base64,";
    return strncasecmp(url, scheme, strlen(scheme)) == 0 && strstr(url, form);
}
