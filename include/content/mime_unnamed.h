// The Content-Type of a file whose name does not tell it, and the charset of one whose name does:
// by the first bytes.
//
// Who may put a file into a public folder does not for that reason speak for the site: a type that
// browsers would run or render as a page of its own (HTML, SVG, XML, scripts) is never guessed. Such
// a file, and everything else that is text, is text/plain; to be a page it needs a name that says so.
#ifndef LUNETTE_CONTENT_MIME_UNNAMED_H
#define LUNETTE_CONTENT_MIME_UNNAMED_H

#include "content/mime.h"

enum { MIME_UNNAMED_LOOK = 4096 }; // bytes that are looked at

// head: the first bytes of the file, at least MIME_UNNAMED_LOOK where there are as many; whole: all
// of it. The answer is in dst or static.
//
// What is free of control bytes is text, which is told without libmagic: that takes up to 8 ms for
// text made to be slow, but 0.3 ms for 4 KiB of anything else.
struct str mime_unnamed(struct str head, bool whole, char dst[static MIME_MAX]);

// type, one of mime_known, without its charset=utf-8 where head is not UTF-8: a page may then say
// itself what it is.
struct str mime_with_charset(struct str type, struct str head, bool whole);

#endif
