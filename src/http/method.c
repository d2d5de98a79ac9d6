// Methods by name: a switch on the length leaves at most two names to compare.
#include "http/method.h"

#include <assert.h>
#include <string.h>

static const struct str names[HTTP_METHODS] = {
    [HTTP_GET] = STR("GET"),         [HTTP_HEAD] = STR("HEAD"),   [HTTP_POST] = STR("POST"),
    [HTTP_PUT] = STR("PUT"),         [HTTP_PATCH] = STR("PATCH"), [HTTP_DELETE] = STR("DELETE"),
    [HTTP_OPTIONS] = STR("OPTIONS"),
};

static enum http_method one_of(const char *p, enum http_method a, enum http_method b)
{
    if (memcmp(p, names[a].p, names[a].n) == 0)
        return a;
    return memcmp(p, names[b].p, names[b].n) == 0 ? b : HTTP_METHODS;
}

enum http_method method_parse(struct str token)
{
    switch (token.n) {
    case 3:
        return one_of(token.p, HTTP_GET, HTTP_PUT);
    case 4:
        return one_of(token.p, HTTP_POST, HTTP_HEAD);
    case 5:
        return one_of(token.p, HTTP_PATCH, HTTP_PATCH);
    case 6:
        return one_of(token.p, HTTP_DELETE, HTTP_DELETE);
    case 7:
        return one_of(token.p, HTTP_OPTIONS, HTTP_OPTIONS);
    default:
        return HTTP_METHODS;
    }
}

struct str method_name(enum http_method m)
{
    assert(m < HTTP_METHODS);
    return names[m];
}
