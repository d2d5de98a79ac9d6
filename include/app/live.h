// What --dev answers by itself, in front of the site: everything beneath /.lunette/.
//
//      /.lunette/live.js   the script that pages are given (content/inject.h)
//      /.lunette/page.css  the style of failures, for that script
//      /.lunette/live      what happens, as server-sent events (the WHATWG's HTML Standard, 9.2)
//
// The query of /.lunette/live is the mark that the page was made with, and "&failed" behind it when it
// shows a failure. The events:
//
//      reload   the page is an old one. Data: the mark of now
//      css      style sheets alone were saved. Data: the path of one, percent-encoded. Id: the mark
//      error    the scripts that were saved cannot be loaded. Data: why, as HTML to be shown over the page
//      mended   they can
//
// All that is for hosts that cannot be somebody else's (handler_owns_host); others get a 421, and the site
// as it is without --dev.
//
// While no scripts could be loaded since the start, live_failed_site answers for the site.
#ifndef LUNETTE_APP_LIVE_H
#define LUNETTE_APP_LIVE_H

#include "base/buf.h"
#include "content/inject.h"
#include "http/exchange.h"
#include "net/timeout.h"

enum {
    LIVE_STREAMS = 64,        // open at a time; one more is a 503
    LIVE_WAITING = 1 << 20,   // bytes that a client has not taken: it is dropped
    LIVE_BEAT_MS = 15 * 1000, // of silence, then a comment goes out
    LIVE_SETTLE_MS = 50,      // what is saved together is told together,
    LIVE_SETTLED_MS = 500,    // but not later than that
    LIVE_STYLES = 16,         // style sheets that are told by name
    LIVE_PATH = 1024,         // bytes of such a name, percent-encoded
    LIVE_STRANGERS = 8,       // requests for other hosts that the log tells of,
    LIVE_HOST = 253,          // and bytes of such a host there
};

struct live_stream;
struct handler;

struct live {
    const struct http_handler *site; // who answers everything else
    void *self;
    const struct handler *scripts; // whose names of app.host are the site's; NULL: no names
    unsigned strangers;            // how many the log was told of
    struct loop *loop;
    struct inject_server server; // of all marks
    struct inject_mark mark;     // of now
    struct buf failure;          // of the last reload, as HTML; n 0: none
    struct buf start_failure;    // of the start
    struct live_stream *first;
    unsigned count;
    struct timeout beat, settle;
    uint64_t unsettled_since;           // 0: nothing waits to be told
    bool pages;                         // more than style sheets does
    unsigned styles;                    // how many do; LIVE_STYLES: more than have a place
    char style[LIVE_STYLES][LIVE_PATH]; // their paths
    bool ends;
    struct fields fields; // scratch
    struct buf text;
};

// site and self are set already.
void live_init(struct live *l, struct loop *loop, uint64_t server, uint32_t files,
               uint32_t scripts);
void live_fini(struct live *l); // after all its exchanges are over; harmless for what is all zeroes

// The scripts of that reload answer from now on.
void live_reloaded(struct live *l, uint32_t scripts);
// Something of site/ was saved, for the number-th time: a path beneath it, or "" where that is not known.
void live_saved(struct live *l, uint32_t number, struct str path);
// A reload has failed: a file of app/report.h, which stays the caller's. 0 or −errno.
int live_failed(struct live *l, int report);
// No scripts could be loaded at the start: why as HTML, or where there is none (n 0) as text.
void live_start_failed(struct live *l, struct str html, const char *text);
void live_mended(struct live *l); // what is saved is what runs
void live_stop(struct live *l);   // every stream ends, and no other begins

struct str live_failure(const struct live *l); // what is shown, as HTML; n 0: nothing fails
// Who asks for /.lunette/live listens from now on, and is answered with this source. NULL: there are too
// many already.
struct body_source *live_listen(struct live *l, struct exchange *x);

// self is the struct live, for both.
extern const struct http_handler live_site;
extern const struct http_handler live_failed_site;

#endif
