// Which content coding a response gets, and the entity tags of coded forms (RFC 9110 §8.4, §8.8.3,
// §12.5.3). Pure functions of strings: nothing here knows how to code.
#ifndef LUNETTE_CONTENT_CODING_CHOICE_H
#define LUNETTE_CONTENT_CODING_CHOICE_H

#include "base/str.h"

enum coding {
    CODING_IDENTITY, // as it is
    CODING_GZIP,     // RFC 1952
    CODING_BROTLI,   // RFC 7932
    CODING_ZSTD,     // RFC 8878
    CODINGS,
};

// The name in Content-Encoding: "gzip", "br", "zstd"; "identity". Static storage.
struct str coding_name(enum coding c);

// What the site's configuration says.
struct coding_options {
    // 1u << CODING_…: which codings may be chosen; see coding_available. 0: none, and no Vary.
    unsigned offered;
    int level;               // 1 … 9, for the coder; not looked at here
    uint64_t min_bytes;      // a body that is known to be shorter is not worth it
    const struct str *types; // media types to code, see coding_type_fits; NULL: the built-in list
    size_t type_count;
};

// The response, as GET would get it, before conditions and Range are looked at.
struct coding_query {
    struct str accept_encoding; // all values joined by ", "; p NULL: absent
    struct str content_type;    // n 0: none
    struct str cache_control;   // of the response, all values joined by ", "
    int64_t length;             // of the body, in bytes; -1: not known
    unsigned ready;             // 1u << CODING_…: forms that exist already
    unsigned status;
    bool coded;    // there is a Content-Encoding already, whatever it says
    bool range;    // the request has Range
    bool disabled; // the route wants no coding
};

struct coding_choice {
    enum coding coding;
    bool vary;         // "Vary: Accept-Encoding" is due, whatever was chosen
    bool unacceptable; // identity is sent although the client refused it
};

// Chooses.
//
// A body is worth coding when its type is in the list, it is not known to be shorter than
// min_bytes, nor empty, and may be coded at all: no Content-Encoding yet, no no-transform in
// Cache-Control (RFC 9111 §5.2.2.6), not disabled, no status without a body. Such a response varies
// (§12.5.5), also one of 206 or 304, which show what 200 would have had.
//
// A form that is ready was made by who knows: it may be chosen whatever the type and the length are,
// and the response varies.
//
// It is then coded with what the client likes best. Where it likes several alike, the cheapest goes
// first: zstd takes about a tenth of the time of gzip for a few per cent more bytes, brotli about
// gzip's time, and seven times its memory, for a few per cent fewer. Of what is only covered by "*",
// gzip alone is tried: it is the one that everybody knows. A client without the field gets
// identity: its absence allows everything (§12.5.3), but comes from programs that decode nothing. A
// request with Range gets identity, for ranges are served from that.
//
// A client that refuses identity ("identity;q=0", or "*;q=0" without it) gets what it accepts for
// other types, short bodies and Range too: where that is a coding, Range is to be ignored. When
// nothing is left that may be sent, or 206 is the status, `unacceptable` is set on a success with a
// body. Both 406 and disregarding the field are then right (§12.5.3).
struct coding_choice coding_choose(const struct coding_query *q, const struct coding_options *o);

// Whether a Content-Type value matches an entry of coding_options.types: "text/html", "text/*",
// "*/*", or a structured suffix (RFC 6839), "*/*+json", "application/*+xml". Case and parameters
// do not count.
bool coding_type_fits(struct str content_type, struct str entry);

// Writes the tag of the coded form of etag to dst: "v" becomes "v-gzip", W/"v" becomes W/"v-gzip".
// Identity leaves it as it is. Returns the length; 0 when etag is no entity tag or cap is too
// small.
size_t coding_tag(struct str etag, enum coding c, char *dst, size_t cap);

// The coding that the tag of a client ends with, "v-gzip": CODING_IDENTITY when with none. A tag
// that was not made by coding_tag may look so too.
enum coding coding_of_tag(struct str tag);

// Whether tag is etag or the tag of one of its coded forms, which is then *c. Weakness does not
// count (§8.8.3.2, weak comparison).
bool coding_tag_is(struct str tag, struct str etag, enum coding *c);

#endif
