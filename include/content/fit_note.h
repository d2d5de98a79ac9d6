// Which coding content/fit chose for a content lately: it lies with the content, and dies with it.
// Good for one fit_options. Zeroed: nothing yet.
#ifndef LUNETTE_CONTENT_FIT_NOTE_H
#define LUNETTE_CONTENT_FIT_NOTE_H

enum { FIT_NOTE_FIELD = 61 }; // bytes of an Accept-Encoding; longer ones are judged each time

// For requests that ask for nothing but a coding, with the n bytes of field. Only the last one is
// there: browsers of a kind all send the same.
struct fit_note {
    unsigned char n, coding, vary;
    char field[FIT_NOTE_FIELD];
};

#endif
