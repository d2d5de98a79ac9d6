// Why scripts cannot be loaded, on its way from the process that tried to those that show it: bytes of a
// file, one that says what follows, then HTML that is shown as it is, or text.
#ifndef LUNETTE_APP_REPORT_H
#define LUNETTE_APP_REPORT_H

#include "base/buf.h"

enum { REPORT_MAX = 512 * 1024 };

// Writes the HTML, or where there is none (n 0) the text. 0 or −errno.
int report_write(int fd, struct str html, struct str text);
// Appends what is shown, as HTML. 0 or −errno; −EPROTO for what report_write has not written.
int report_read(int fd, struct buf *out);
// Appends what is shown of such a pair. False when out has no room.
bool report_show(struct buf *out, struct str html, struct str text);

#endif
