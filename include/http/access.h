// Private to h1*.c: what is noted of every answer, in the access log and in the tally.
#ifndef LUNETTE_HTTP_ACCESS_H
#define LUNETTE_HTTP_ACCESS_H

#include "http/h1_conn.h"

// In place of the status of an answer: the client left before there was one; the server ended before
// there was one.
enum { ACCESS_LEFT = 499, ACCESS_CUT = 503 };

// Microseconds of a monotonic clock when somebody wants durations, else 0.
uint64_t access_begin(const struct server_options *o);

// One answer: a line of the access log, and one more of its kind in the tally.
//
// The combined format is Apache's, byte for byte. JSON is one object a line: time (when the head was
// complete, UTC, milliseconds), id, remote_addr, method, target (as sent), protocol, status, bytes
// (of the body), duration (seconds, until the answer was handed over), host, route (the pattern;
// null for files and where there is none), referer, user_agent, pid. What is not there is null.
// Bytes that are not UTF-8 become U+FFFD. A line has 4,096 bytes at most, so that lines of several
// workers do not mix in a pipe: a value that is longer than its share ends in U+2026.
void access_note(const struct h1_conn *c, struct h1_exchange *x, unsigned status);
// The same of what was no request. came: the bytes of it, the first line of which is in the log in
// place of the request line, as far as ACCESS_LINE bytes of it; in JSON its words are method, target
// and protocol, unless there is none.
enum { ACCESS_LINE = 1500 };
void access_note_refused(const struct h1_conn *c, struct str came, unsigned status);

#endif
