// A running coder: one of the libraries, behind the one interface that coding.h needs.
//
// A coder takes bytes and gives coded ones, as many at a time as there is room for; it never holds
// the caller's memory between two calls. Inside content only: others use coding.h.
#ifndef LUNETTE_CONTENT_CODER_H
#define LUNETTE_CONTENT_CODER_H

#include "content/coding_choice.h"

enum coder_op {
    CODER_MORE,  // take the bytes; what comes out may be nothing yet
    CODER_FLUSH, // the same, and all that was taken so far comes out, so that it can be decoded
    CODER_END,   // the same, and the coded text ends
};

enum coder_step {
    CODER_DONE,    // the operation is complete: all bytes are taken
    CODER_GOES_ON, // there was not enough room: the same again, with what is left of the bytes
    CODER_FAILED,  // memory is out; nothing but free may follow
};

struct coder {
    const struct coder_ops *ops;
};

struct coder_ops {
    // level 1 … 9, see coding.h. small: the state is to be small rather than what it makes. NULL
    // when memory is out.
    struct coder *(*new)(int level, bool small);
    // As if newly made, whatever it did before. NULL for a library that cannot.
    bool (*reset)(struct coder *c, int level);
    // Advances *in behind what was taken and writes at most *room bytes, 64 KiB at most, to out;
    // *room is then how many. room is over 0.
    enum coder_step (*step)(struct coder *c, enum coder_op op, struct str *in, char *out,
                            size_t *room);
    void (*free)(struct coder *c);
    // Gives back what is held beside the coders, of which none lives; NULL: nothing is.
    void (*fini)(void);
    // A whole body of up to so many bytes loses nothing by a small state.
    size_t small_max;
};

// new is NULL where the library was not there when the program was built.
extern const struct coder_ops coder_gzip, coder_brotli, coder_zstd;

// The coder of a coding, or NULL for identity and for what is not built in.
const struct coder_ops *coder_of(enum coding c);

#endif
