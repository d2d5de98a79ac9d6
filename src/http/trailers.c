// Trailers: see the header. What may not be one is a list of names, as RFC 9110 §6.5.1 leaves it to
// the definition of every field.
#include "http/trailers.h"

static const struct str forbidden[] = {
    // framing and the connection
    STR("Connection"),
    STR("Content-Length"),
    STR("Keep-Alive"),
    STR("Proxy-Connection"),
    STR("TE"),
    STR("Trailer"),
    STR("Transfer-Encoding"),
    STR("Upgrade"),
    // routing, and modifiers of a request
    STR("Cache-Control"),
    STR("Expect"),
    STR("Forwarded"),
    STR("Host"),
    STR("Max-Forwards"),
    STR("Pragma"),
    STR("Range"),
    STR("Via"),
    // authentication and state
    STR("Authorization"),
    STR("Cookie"),
    STR("Proxy-Authenticate"),
    STR("Proxy-Authorization"),
    STR("Set-Cookie"),
    STR("WWW-Authenticate"),
    // what a response is, and for how long
    STR("Age"),
    STR("Date"),
    STR("Expires"),
    STR("Location"),
    STR("Retry-After"),
    STR("Vary"),
    STR("Warning"),
    // how its content is to be read
    STR("Content-Disposition"),
    STR("Content-Encoding"),
    STR("Content-Language"),
    STR("Content-Location"),
    STR("Content-Range"),
    STR("Content-Type"),
    STR("X-Content-Type-Options"),
};

static bool is_condition(struct str name)
{
    return name.n > 3 && str_ieq(str_of(name.p, 3), STR("if-"));
}

bool trailers_forbid(struct str name)
{
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        if (str_ieq(name, forbidden[i]))
            return true;
    return is_condition(name);
}

// One TE field. A quoted comma of a coding's parameter would split it; nobody is harmed by that.
static bool names_trailers(struct str value)
{
    struct str coding, name;
    while (str_split(&value, ',', &coding))
        if (str_split(&coding, ';', &name) && str_ieq(str_trim(name), STR("trailers")))
            return true;
    return false;
}

bool trailers_wanted(const struct http_request *r)
{
    for (unsigned i = 0; i < r->field_count; i++)
        if (str_ieq(r->fields[i].name, STR("te")) && names_trailers(r->fields[i].value))
            return true;
    return false;
}
