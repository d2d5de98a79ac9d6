// multipart/form-data as a stream (RFC 7578; RFC 2046 §5.1): where its parts are, and their bytes.
//
// A pure push parser: it is fed the body in any pieces, allocates nothing and keeps none of them.
// Positions count from the body's first byte, so that whoever keeps the body can find a part again.
// The header block of a part is only bounded here; multipart_head reads it when it is whole.
#ifndef LUNETTE_HTTP_MULTIPART_H
#define LUNETTE_HTTP_MULTIPART_H

#include "base/str.h"

enum { MULTIPART_BOUNDARY_MAX = 70 }; // RFC 2046 §5.1.1

enum multipart_error {
    MULTIPART_OK,
    MULTIPART_NO_END,   // the body ends before the closing delimiter
    MULTIPART_BAD_LINE, // a delimiter is followed by something else than "--" or the line's end
    MULTIPART_BAD_HEAD, // a header block with a bare CR or LF, or a NUL
    // from here on: a limit
    MULTIPART_LARGE_HEAD,  // over limits.head_bytes
    MULTIPART_MANY_PARTS,  // over limits.parts
    MULTIPART_MANY_FIELDS, // over limits.fields
    MULTIPART_ERRORS,
};
// For the log: "the closing boundary is missing".
const char *multipart_why(enum multipart_error e);

enum multipart_event {
    MULTIPART_MORE, // everything was consumed: feed what follows
    MULTIPART_HEAD, // a part begins: head_at and head_n are its header block, which may be empty;
                    // body_at is where its body begins
    MULTIPART_DATA, // *data is the next piece of its body; not empty. It points into the bytes that
                    // were given, or into m (bytes held back that turned out to be data: *consumed
                    // may then be 0)
    MULTIPART_TAIL, // the part is over; body_n is the length of its body
    MULTIPART_DONE, // the closing delimiter was read: everything that follows is consumed as epilogue
    MULTIPART_BAD, // error and error_at say what, and at which byte of the body; final
};

struct multipart_limits {
    uint32_t parts;
    uint32_t head_bytes; // of one part's header block
    uint32_t fields;     // lines in it
};

struct multipart {
    // given
    struct multipart_limits limits;
    // result
    uint64_t head_at, body_at, body_n;
    uint32_t head_n;
    enum multipart_error error;
    uint64_t error_at;
    // state; see multipart.c
    char delimiter[4 + MULTIPART_BOUNDARY_MAX]; // CR LF "--" boundary
    uint8_t delimiter_n;
    uint8_t state;
    uint8_t matched; // bytes of the delimiter that the bytes so far end with
    uint32_t parts, fields;
    uint64_t at; // bytes consumed so far
};

// False for a boundary that is empty, longer than MULTIPART_BOUNDARY_MAX, ends in a space, or has
// other bytes than RFC 2046's bchars and RFC 9110's tchar. boundary and l are copied.
bool multipart_init(struct multipart *m, struct str boundary, const struct multipart_limits *l);
// Looks at bytes, sets *consumed. After any event but MULTIPART_MORE and MULTIPART_BAD call again
// with what follows the consumed bytes. The events and positions are the same for every split;
// only MULTIPART_DATA may be cut differently.
//
// A line that begins with "--" boundary is a delimiter wherever it stands, at the start of the body
// and at that of a part too; only spaces and tabs may follow it before its CRLF, and anything at
// all behind the closing one.
enum multipart_event multipart_parse(struct multipart *m, struct str bytes, size_t *consumed,
                                     struct str *data);
// The body is over: MULTIPART_DONE, or MULTIPART_BAD.
enum multipart_event multipart_end(struct multipart *m);

// The boundary of a Content-Type field of type multipart/form-data, with its quoted-pairs resolved
// into dst. 0: another type; -1: multipart/form-data whose boundary is missing, there twice, or none
// that multipart_init takes, or with a malformed parameter; else the boundary's length. One that is
// not quoted reaches up to the next ";", whatever bytes it has.
int multipart_boundary(struct str content_type, char dst[static MULTIPART_BOUNDARY_MAX]);

// The header block of one part.
struct multipart_head {
    struct str name;         // decoded; may be empty
    struct str filename;     // decoded and reduced to its bare name; p NULL when none was sent.
                             // "" for a file input that was left empty
    struct str content_type; // as sent; p NULL when there is none
};
// Reads block (whole lines, each with its CRLF, without the empty one). Decoded texts go to dst,
// which has room for 2 × block.n bytes. NULL, or why it is malformed, for the log.
//
// Content-Disposition (RFC 6266 §4, RFC 7578 §4.2): form-data with a name; neither name, filename
// nor filename* may be there twice. Of quoted-pairs only \" and \\ are resolved, for some clients
// send Windows paths unescaped; %22, %0D and %0A, which browsers send for bytes that would end the
// name, are kept, for they send "%" itself as it is; bytes that are no UTF-8 are delivered as they
// are. filename* (RFC 8187, UTF-8 or ISO-8859-1) goes before filename; a malformed one is ignored
// beside a filename, and an error alone, lest the file become a text field. The bare filename is
// what follows the last "/" or "\", without control bytes; "." and ".." become empty.
//
// A Content-Transfer-Encoding other than binary, 8bit and 7bit is an error (RFC 7578 §4.7), and so
// is a second field of this name, of Content-Disposition or of Content-Type.
const char *multipart_head(struct str block, char *dst, struct multipart_head *out);
// Takes the next field of *rest, the lines of a block: the value without spaces around it. False at
// the end. Only for a block that multipart_head accepted.
bool multipart_field(struct str *rest, struct str *name, struct str *value);

#endif
