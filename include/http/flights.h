// The requests under way in each worker, in memory that processes share: what the master can say of
// a worker that died, whatever killed it.
//
// One struct a worker, who alone writes to it while it lives. All requests are counted; the first of
// them, up to FLIGHTS_SHOWN, have their method and path there, and their id once somebody has asked
// for it. Beginning and ending one is a handful of stores, no call and no lock.
#ifndef LUNETTE_HTTP_FLIGHTS_H
#define LUNETTE_HTTP_FLIGHTS_H

#include "base/str.h"

enum {
    FLIGHTS_SHOWN = 16,
    FLIGHTS_NONE = FLIGHTS_SHOWN, // the place of a request that is counted only
    FLIGHT_LINE = 95,             // bytes of "GET /path"; more is cut
    FLIGHT_ID = 30,
    FLIGHTS_TEXT = 1024, // of flights_describe, with its NUL
    FLIGHTS_RAN = 256,
};

struct flights {
    _Atomic uint32_t count; // of all
    _Atomic uint32_t taken; // bit i: shown[i] is one under way
    struct flight {
        uint8_t line_bytes, id_bytes;
        char line[FLIGHT_LINE], id[FLIGHT_ID];
    } shown[FLIGHTS_SHOWN];
    // What the worker was running when a signal of its own making ended it (app/crash.h), with a NUL;
    // "": it was not running a script.
    char ran[FLIGHTS_RAN];
};

// A request begins: its place, for the other two. line: "GET /path?query HTTP/1.1", of which what
// stands behind the path is left out, since a query may hold what no log should. f may be NULL.
unsigned flights_begin(struct flights *f, struct str line);
void flights_name(struct flights *f, unsigned place, struct str id);
void flights_end(struct flights *f, unsigned place);

// ", in GET /a at scripts/main.lua:3, with 3 requests under way: GET /a [id], GET /b and 1 more"; "" where
// nothing was. The bytes are as clients sent them. Returns dst.
const char *flights_describe(const struct flights *f, char dst[static FLIGHTS_TEXT]);
// The worker is gone, and its requests with it.
void flights_reset(struct flights *f);

#endif
