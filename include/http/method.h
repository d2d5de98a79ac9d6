// Request methods (RFC 9110 §9) that lunette knows; every other one is a 501.
#ifndef LUNETTE_HTTP_METHOD_H
#define LUNETTE_HTTP_METHOD_H

#include "base/str.h"

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_METHODS, // how many there are; as a result: none of them
};

// Methods are case-sensitive (§9.1).
enum http_method method_parse(struct str token);
struct str method_name(enum http_method m);

#endif
