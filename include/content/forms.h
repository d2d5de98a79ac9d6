// Coded forms of files, kept in memory so that a file is compressed once: a worker's own, for its
// one thread. What was not asked for the longest gives way to what is new.
//
// A key names the content and the coding: another state of the file has another key, and the forms
// of the old one go with time.
#ifndef LUNETTE_CONTENT_FORMS_H
#define LUNETTE_CONTENT_FORMS_H

#include "base/buf.h"

struct forms;

struct form {
    struct str bytes;
};

// bytes: what all texts and keys take at most. NULL with errno.
struct forms *forms_new(size_t bytes);
// Forms that are still lent stay valid until they are closed. NULL is harmless.
void forms_free(struct forms *f);

// The form of that key, lent until form_close; or NULL.
const struct form *forms_get(struct forms *f, struct str key);
void form_close(const struct form *form);

// Keeps a text, whose memory is taken over, in place of one with the same key; or gives its memory
// back, when it is longer than forms_largest or memory is out. *text is empty afterwards.
void forms_put(struct forms *f, struct str key, struct buf *text);
// The longest text that is kept: an eighth of all.
size_t forms_largest(const struct forms *f);

#endif
