// What --dev shows in the browser besides the site: files that are inside the program (src/web), and
// the page around a failure.
#ifndef LUNETTE_SCRIPT_WEB_H
#define LUNETTE_SCRIPT_WEB_H

#include "base/buf.h"

struct web_file {
    const char *name; // "live.js"
    const char *text;
    size_t n;
};
extern const struct web_file web_files[]; // made by the build from src/web; ends with a NULL name

struct str web_find(struct str name); // p NULL: there is none

// Appends a whole page: the title, escaped, and what is shown as HTML that is right already. Its style
// is in it, and it needs nothing else. False, with nothing added, when out is full.
bool web_page(struct buf *out, struct str title, struct str shown);
// The Content-Security-Policy of that page: its own style, the script that refreshes it, and nothing
// else, whatever was shown.
const char *web_policy(void);
// A failure as it is shown, of a text alone: what nobody could say more of.
bool web_plain(struct buf *out, struct str title, struct str text);

#endif
