// Trailer fields: which may stand behind a body, and who wants them (RFC 9110 §6.5). Pure functions
// of strings and requests.
#ifndef LUNETTE_HTTP_TRAILERS_H
#define LUNETTE_HTTP_TRAILERS_H

#include "http/exchange.h"

// Whether a field of that name (any case) must not be sent as a trailer: it is needed before the body
// for framing, routing, authentication, caching, or to make sense of the content (§6.5.1).
bool trailers_forbid(struct str name);

// Whether the client says that it will not throw trailers away: TE names them (§10.1.4).
bool trailers_wanted(const struct http_request *r);

#endif
