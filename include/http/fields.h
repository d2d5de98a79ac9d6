// The header fields of a response while it is being made: checked lines, ready for the wire.
//
// Nothing with a CR, LF, NUL or another control byte gets in (response splitting). Fields that the
// core writes itself are noticed here, so that the writer neither doubles nor contradicts them.
#ifndef LUNETTE_HTTP_FIELDS_H
#define LUNETTE_HTTP_FIELDS_H

#include "base/buf.h"

enum fields_has {
    FIELDS_DATE = 1,
    FIELDS_SERVER = 2,
    FIELDS_TYPE = 4,
    FIELDS_NOSNIFF = 8,
    FIELDS_VARY = 16,
    FIELDS_ETAG = 32,
    FIELDS_LAST_MODIFIED = 64,
    FIELDS_ENCODING = 128,
    FIELDS_CACHE_CONTROL = 256,
};

struct fields {
    struct buf lines; // "Name: value\r\n" each
    unsigned has;     // which of fields_has are among them
    bool close;       // "Connection: close" was asked for
    int64_t length;   // the Content-Length that was given, for a bodiless answer to HEAD; -1: none
};

enum { FIELDS_MAX = 64 * 1024 };

void fields_init(struct fields *f);
void fields_clear(struct fields *f); // empty again, memory kept
void fields_fini(struct fields *f);

enum fields_result {
    FIELDS_OK,        // added, or deliberately left out: see fields_add
    FIELDS_BAD_NAME,  // not a token (RFC 9110 §5.1)
    FIELDS_BAD_VALUE, // CR, LF, NUL or another control byte but tab (§5.5)
    FIELDS_TWICE,     // a field that a message has once (§5.3), in whatever case, is there already
    FIELDS_FULL,      // over FIELDS_MAX, or memory is out
};

// Appends one line; the value loses its surrounding spaces and tabs. What frames the message is the
// connection's to say and is left out with FIELDS_OK: Connection (a "close" in it is noted),
// Content-Length (noted when it is a number), Transfer-Encoding, Keep-Alive, Upgrade, Trailer.
// Any result but FIELDS_OK changes nothing.
enum fields_result fields_add(struct fields *f, struct str name, struct str value);

// A line that was added, for others that are the same: handlers give the same few over and over. All
// zero: none.
enum { FIELDS_NOTED = 84 }; // bytes of a line that is noted
struct fields_note {
    unsigned char name_n, value_n;
    unsigned short has;
    char line[FIELDS_NOTED]; // "Name: value\r\n"
};
// fields_add, which looks at the note first, and leaves the line there. It takes a quarter of the time
// (110 instructions of 400) where it is the same.
enum fields_result fields_add_noted(struct fields *f, struct fields_note *note, struct str name,
                                    struct str value);

// The value of the first line of that name, in any case; p NULL when there is none. Valid until the
// next change.
struct str fields_find(const struct fields *f, struct str name);
// Gives the first line of that name another value, already checked. Where there is none, or no room
// for it, nothing changes: false.
bool fields_replace(struct fields *f, struct str name, struct str value);
// Takes all lines of that name away.
void fields_remove(struct fields *f, struct str name);

// Appends lines that fields_add made earlier, in other fields whose bits were `has`: what is sent
// often is checked once. FIELDS_OK or FIELDS_FULL.
enum fields_result fields_add_lines(struct fields *f, struct str lines, unsigned has);
// Appends all that src has: its lines, their bits, and a noted "close". FIELDS_OK or FIELDS_FULL.
enum fields_result fields_add_all(struct fields *f, const struct fields *src);

#endif
