// The HTTP/1 parser: bytes → consumed, more or bad. No I/O, no allocation, base only.
//
// RFC 9112 (message syntax), RFC 9110 §5 (fields), §7.2 (Host), read strictly: what could be
// understood in two ways is bad. The result depends on the bytes alone, never on how they were
// split: a line is judged when its end has come, and limits are positions in the stream.
//
// What is bad in several ways is bad for the first of these:
//   a line, when it is complete: BARE_LF, BARE_CR; of a start line BAD_START_LINE, BAD_METHOD,
//       BAD_VERSION, VERSION_UNSUPPORTED, TARGET_TOO_LONG, BAD_TARGET; of a field line
//       TOO_MANY_FIELDS, FOLD, NO_COLON, BAD_FIELD_NAME, BAD_FIELD_VALUE;
//   the head, when its empty line has come: MANY_HOSTS, NO_HOST, BAD_HOST; LENGTH_AND_CODING,
//       CODING_IN_10, BAD_CODING; MANY_LENGTHS, BAD_LENGTH, LENGTH_OVERFLOW; and what leaves no
//       doubt about the framing after that:
//       UNKNOWN_CODING, UNKNOWN_METHOD, LENGTH_REQUIRED, BAD_EXPECT.
//
// h1_parse.c reads the lines of a head, h1_framing.c judges it as a whole, h1_chunked.c reads
// bodies.
//
//      head:  h1_head_init → h1_head_parse(all bytes so far) … → H1_DONE, head->length consumed
//      body:  h1_chunked_init → h1_chunked_parse(next bytes) … → H1_DATA…, H1_DONE
#ifndef LUNETTE_HTTP_H1_PARSE_H
#define LUNETTE_HTTP_H1_PARSE_H

#include "base/str.h"
#include "http/method.h"

enum h1_result {
    H1_MORE, // every byte was looked at and the element is not complete
    H1_DONE,
    H1_DATA, // h1_chunked_parse only: some body bytes
    H1_BAD,  // the error says why; the connection cannot go on
};

// Why a message is bad. Each has a status and a phrase for the log in one table: h1_error_info.
enum h1_error {
    H1_OK,
    H1_BAD_START_LINE,      // not three words with single spaces; or empty lines over H1_LEAD_MAX
    H1_BAD_METHOD,          // method is not a token: 400
    H1_UNKNOWN_METHOD,      // a token, but none of ours: 501
    H1_BAD_TARGET,          // a byte outside the grammar, or a form the method does not allow
    H1_TARGET_TOO_LONG,     // 414
    H1_BAD_VERSION,         // not HTTP/digit.digit: 400
    H1_VERSION_UNSUPPORTED, // a major version other than 1: 505
    H1_BARE_CR,             // a CR that no LF follows
    H1_BARE_LF,             // an LF that no CR precedes
    H1_FOLD,                // a field line that begins with a space or tab (obs-fold, §5.2; §2.2)
    H1_BAD_FIELD_NAME,      // empty, or a byte that is not a tchar (a space before the colon too)
    H1_NO_COLON,
    H1_BAD_FIELD_VALUE, // a control byte, NUL or DEL
    H1_HEAD_TOO_LONG,   // 431
    H1_TOO_MANY_FIELDS, // 431
    H1_NO_HOST,         // HTTP/1.1 without Host
    H1_MANY_HOSTS,
    H1_BAD_HOST,
    H1_BAD_LENGTH,        // Content-Length that is not 1*DIGIT
    H1_LENGTH_OVERFLOW,   // more than INT64_MAX
    H1_MANY_LENGTHS,      // Content-Length twice, or a list, even of equal values
    H1_LENGTH_AND_CODING, // Content-Length beside Transfer-Encoding
    H1_BAD_CODING,        // Transfer-Encoding: the last is not chunked, chunked twice, or malformed
    H1_UNKNOWN_CODING,    // known grammar, final chunked, but a coding before it: 501 (§6.1)
    H1_CODING_IN_10,      // Transfer-Encoding in HTTP/1.0
    H1_LENGTH_REQUIRED,   // HTTP/1.0 POST, PUT or PATCH without Content-Length: 411
    H1_BAD_EXPECT,        // an expectation other than 100-continue: 417
    H1_BAD_CHUNK_SIZE, // no hexadecimal digit, or behind them neither ';' nor CRLF (no BWS, §7.1.1)
    H1_CHUNK_OVERFLOW,     // over INT64_MAX, or more than 16 digits
    H1_BAD_CHUNK_EXT,      // a control byte in an extension
    H1_CHUNK_EXT_TOO_LONG, // over H1_CHUNK_EXT_MAX bytes in a line or H1_CHUNK_EXT_TOTAL in all
    H1_BAD_CHUNK_END,      // chunk data not followed by CRLF
    H1_ERRORS,
};

struct h1_error_info {
    unsigned short status; // the answer
    const char *why;       // "a line folded onto the next (obs-fold)"
};
const struct h1_error_info *h1_error_info(enum h1_error e);

enum { H1_CHUNK_EXT_MAX = 256, H1_CHUNK_EXT_TOTAL = 16 * 1024 };

struct h1_limits {
    uint32_t head_bytes; // from the first byte of the start line to the end of the empty line
    uint32_t uri_bytes;  // the request target
    uint32_t fields;     // number of field lines
};

// A range of the head's bytes. Offsets, not pointers: the buffer may move while the head grows.
struct h1_span {
    uint32_t at;
    uint32_t n;
};

struct h1_field {
    struct h1_span name;
    struct h1_span value; // without surrounding whitespace
};

// Fields that the server itself has to know, found while parsing.
enum h1_known {
    H1_HOST,
    H1_CONTENT_LENGTH,
    H1_TRANSFER_ENCODING,
    H1_CONNECTION,
    H1_EXPECT,
    H1_KNOWN,
};

struct h1_head {
    // given
    struct h1_limits limits;
    struct h1_field *fields; // room for limits.fields, the caller's
    // state
    uint32_t line;    // offset of the line being read
    uint32_t seen;    // bytes known to hold no line end
    uint32_t skipped; // CRLFs before the start line: at most H1_LEAD_MAX bytes (§2.2)
    // result
    enum h1_error error; // with H1_BAD
    uint32_t error_at;   // offset of the line that is bad
    uint32_t length;     // with H1_DONE: bytes of the head
    enum http_method method;
    unsigned minor;             // 0 or 1 (a higher minor version is answered as 1.1)
    struct h1_span method_span; // as sent, also when unknown
    struct h1_span target;      // as sent
    uint32_t field_count;
    int32_t known[H1_KNOWN];        // the first such line: an index into fields, or -1
    uint32_t known_lines[H1_KNOWN]; // how many lines have that name
    bool keep_alive;                // by version and Connection (RFC 9112 §9.3)
    bool chunked;
    bool expect_continue; // and a body follows; HTTP/1.1 only, ignored in 1.0 (RFC 9110 §10.1.1)
    bool has_length;
    int64_t content_length; // 0 when absent
    struct h1_span host;    // the Host value; n 0 when absent or empty
    // An absolute-form target (§3.2.2) replaces Host: authority is then its host[:port] and origin
    // what follows, which is empty for "http://h" and begins with '?' for "http://h?q"; else
    // authority equals host and origin equals target. "*" is left as it is.
    struct h1_span authority;
    struct h1_span origin;
    bool absolute;
    bool secure; // the absolute target's scheme was https
};

enum { H1_LEAD_MAX = 64 };

// fields: room for limits->fields, the caller's while the head is in use. head_bytes at most 1 GiB.
void h1_head_init(struct h1_head *h, const struct h1_limits *limits, struct h1_field *fields);

// bytes: everything since the start of the request, the bytes of earlier calls included (at the
// same offsets, not at the same address). H1_MORE, H1_DONE or H1_BAD; after the latter two the head
// must be initialised again before another call. Cost is linear in the bytes however they are
// split. A target holds VCHAR without '"', '#', '<', '>' and '\\': RFC 3986 has fewer, but browsers
// send "^`{|}" and brackets as they are. Percent-codes are left to uri.
enum h1_result h1_head_parse(struct h1_head *h, struct str bytes);

// The judgement of a head whose lines are all good: Host, framing, Connection, Expect. Sets the
// results, or error_at with an error. h1_head_parse calls it; base is its bytes.p.
enum h1_error h1_head_judge(struct h1_head *h, const char *base);

static inline struct str h1_text(const char *base, struct h1_span s)
{
    return (struct str){base + s.at, s.n};
}

struct h1_chunked {
    // state
    unsigned char state;
    unsigned char digits; // of this chunk's size
    uint32_t ext;         // extension bytes in this size line
    uint32_t ext_total;   // and in this body
    uint64_t left;        // bytes left in this chunk
    // the trailer section, parsed as field lines with their own limits; h1_chunked_parse keeps its
    // bytes out of the caller's way: they are judged and dropped
    uint32_t trailer_bytes;
    uint32_t trailer_fields;
    uint32_t trailer_max; // head_bytes and fields of the limits
    uint32_t fields_max;
    // result
    enum h1_error error;
};

void h1_chunked_init(struct h1_chunked *c, const struct h1_limits *limits);

// Looks at bytes, sets *consumed, and with H1_DATA *data, a slice of bytes that is body. H1_DATA:
// call again with what follows the consumed bytes. H1_MORE: everything was consumed. H1_DONE: the
// trailer section ended at *consumed. H1_BAD: the byte at *consumed is the one; no further call may
// follow. Trailer fields are checked like header fields, and never merged with them (RFC 9110
// §6.5.1).
enum h1_result h1_chunked_parse(struct h1_chunked *c, struct str bytes, size_t *consumed,
                                struct str *data);

// What a byte may be part of.
enum h1_class {
    H1_TCHAR = 1,  // a token (RFC 9110 §5.6.2)
    H1_VALUE = 2,  // a field value: HTAB, SP, VCHAR, obs-text (RFC 9110 §5.5)
    H1_TARGET = 4, // a request target, see h1_head_parse
    H1_NAME = 8,   // a host name: letters, digits, "-._~"
};
extern const unsigned char h1_classes[256];

static inline bool h1_is(enum h1_class c, char byte)
{
    return h1_classes[(unsigned char)byte] & c;
}

// One or more tchar; any number of bytes allowed in a field value.
bool h1_is_token(struct str s);
bool h1_is_field_value(struct str s);

// host [ ":" port ]: a name, an IPv4 address or a bracketed IPv6 address, and a port of at most
// 65535, which may be empty; "" is valid (RFC 9110 §7.2), a port alone is not. Names are narrower
// than the reg-name of RFC 3986 §3.2.2: letters, digits, "-._~" and %XX, for no real name has a
// sub-delim, and what one side takes for a list or a parameter ("a, b", "a;b") another takes for a
// name.
bool h1_is_host(struct str s);

#endif
