// Status codes (RFC 9110 §15) and their reason phrases.
#ifndef LUNETTE_HTTP_STATUS_H
#define LUNETTE_HTTP_STATUS_H

#include "base/str.h"

// "Not Found"; "" for a code that is not registered.
struct str status_reason(unsigned status);
// "HTTP/1.1 404 Not Found\r\n": made beforehand for registered codes; for others, 100 to 999,
// written to scratch with an empty phrase.
enum { STATUS_LINE_MAX = 64 };
struct str status_line(unsigned status, char scratch[static STATUS_LINE_MAX]);
// Never has a body: 1xx, 204, 304.
bool status_bodiless(unsigned status);

#endif
