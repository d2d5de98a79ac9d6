// The script that refreshes pages, put into what a browser navigates to: for --dev.
//
// One element before the last </body> of a whole, uncoded page of HTML. Its URL holds a mark: which
// scripts and files the page was made with. So whoever comes with an old one is told to load again,
// and nothing that was saved between the page and the first word of its script is missed.
#ifndef LUNETTE_CONTENT_INJECT_H
#define LUNETTE_CONTENT_INJECT_H

#include "http/exchange.h"

// What is the same for all pages of a server at one moment.
struct inject_server {
    uint64_t id;    // another with each start
    uint32_t files; // counts the saves of public files
};
struct inject_mark {
    const struct inject_server *server;
    uint32_t scripts; // the number of the reload that made them
};

enum {
    INJECT_MARK = 48,          // bytes of a mark as text
    INJECT_TAG = 256,          // bytes of the element
    INJECT_NONCE = 128,        // a longer one of a policy is not taken
    INJECT_PAGE_MAX = 8 << 20, // a larger page stays as it is
    INJECT_ETAG = 256,         // a longer one is left out
};

#define INJECT_SCRIPT "/.lunette/live.js"

// "0123456789abcdef.4.17". Returns its length.
size_t inject_mark_text(const struct inject_mark *m, char dst[static INJECT_MARK]);

// Where the element goes: the place of the last </body>, in any case, that is an end tag: in no comment,
// value of an attribute, script or other element of mere text. -1 without one. Takes linear time.
ptrdiff_t inject_place(struct str html);

// The element, with the nonce of a Content-Security-Policy that has one; policy may be empty.
struct str inject_tag(struct str mark, struct str policy, char dst[static INJECT_TAG]);

// Whether a GET (or the HEAD for it) is a navigation: by Sec-Fetch-Mode or Sec-Fetch-Dest where the
// browser says so (Fetch Metadata, 2.1 and 2.2), else when it asks for text/html.
bool inject_wanted(const struct http_request *r);

// Puts the element into an answer that is not yet fitted to its request. False, with nothing changed,
// where it does not belong. Else the body is another, and so is its tag: "v" becomes "v-live-mark", and
// Last-Modified goes, which says nothing of the script. An answer to HEAD without a body loses its
// Content-Length, since nobody knows what GET would have.
bool inject_response(struct http_response *r, struct fields *f, const struct http_request *request,
                     const struct inject_mark *mark);

#endif
