// Looking up the fields of a request. A head has few of them (limits.headers), and their lengths
// differ mostly: a scan that compares lengths first beats any index that would have to be built.
#include "http/exchange.h"

#include <string.h>

static bool is_named(const struct http_field *f, struct str name)
{
    return f->name.n == name.n && str_ieq(f->name, name); // most are settled without a call
}

// A field that is there has a pointer, even where its value is empty.
static struct str present(struct str value)
{
    return value.p ? value : STR("");
}

struct str request_field(const struct http_request *r, struct str name)
{
    for (unsigned i = 0; i < r->field_count; i++)
        if (is_named(&r->fields[i], name))
            return present(r->fields[i].value);
    return (struct str){NULL, 0};
}

// The values of that name one after the other, ", " between them (RFC 9110 §5.3), from index on.
static struct str join(const struct http_request *r, struct str name, unsigned from, char *dst)
{
    size_t n = 0;
    for (unsigned i = from; i < r->field_count; i++) {
        if (!is_named(&r->fields[i], name))
            continue;
        if (i > from) {
            memcpy(dst + n, ", ", 2);
            n += 2;
        }
        struct str value = present(r->fields[i].value);
        memcpy(dst + n, value.p, value.n);
        n += value.n;
    }
    return str_of(dst, n);
}

struct str request_fields(const struct http_request *r, struct str name, struct arena *a)
{
    unsigned count = 0, first = 0;
    size_t n = 0;
    for (unsigned i = 0; i < r->field_count; i++) {
        if (!is_named(&r->fields[i], name))
            continue;
        if (count++ == 0)
            first = i;
        n += r->fields[i].value.n + 2;
    }
    if (count == 0)
        return (struct str){NULL, 0};
    if (count == 1)
        return present(r->fields[first].value);
    char *joined = arena_alloc(a, n);
    return joined ? join(r, name, first, joined) : (struct str){NULL, 0};
}
