// A chunked body (RFC 9112 §7.1), byte by byte but for the data, which is handed out in slices.
//
// drawing:
//      ┌──────────────────────────────────────────────────────────────────────────┐
//      ▼                                                                          │
//    SIZE ─hex─▶ SIZE ─CR─▶ SIZE_LF ─LF, not 0─▶ DATA ─▶ DATA_CR ─▶ DATA_LF ──────┘
//      │ ';'                 ▲   │
//      └──▶ EXT ──────CR─────┘   └─LF, size 0─▶ LINE ─CR─▶ END_LF ─LF─▶ END
//                                              ▲  │ tchar
//                                              │  ▼
//                              VALUE_LF ◀─CR─ VALUE ◀─':'─ NAME
//
// Nothing of a trailer section is stored, so its lines are judged as they come: the first bad byte
// decides, where a head would look at the whole line first.
#include "http/h1_parse.h"

#include <assert.h>

enum state {
    SIZE,     // digits of the chunk size: none yet, or some
    EXT,      // behind a ';', up to the CR
    SIZE_LF,  // behind the CR of the size line
    DATA,     // left > 0 bytes of data to come
    DATA_CR,  // data is complete
    DATA_LF,  //
    LINE,     // at the start of a trailer line, or of the empty line
    NAME,     // at least one byte of a field name
    VALUE,    // behind the colon
    VALUE_LF, // behind the CR of a trailer line
    END_LF,   // behind the CR of the empty line
    END,      // after H1_DONE and H1_BAD: nothing more may come
};

enum { DIGITS_MAX = 16 };

static enum h1_error go(struct h1_chunked *c, enum state state)
{
    c->state = (unsigned char)state;
    return H1_OK;
}

static enum h1_error add_digit(struct h1_chunked *c, int digit)
{
    if (c->digits == DIGITS_MAX || c->left > INT64_MAX >> 4)
        return H1_CHUNK_OVERFLOW;
    c->digits++;
    c->left = c->left << 4 | (unsigned)digit;
    return H1_OK;
}

static enum h1_error extend(struct h1_chunked *c)
{
    if (c->ext == H1_CHUNK_EXT_MAX || c->ext_total == H1_CHUNK_EXT_TOTAL)
        return H1_CHUNK_EXT_TOO_LONG;
    c->ext++;
    c->ext_total++;
    return go(c, EXT);
}

static enum h1_error size_byte(struct h1_chunked *c, char byte)
{
    int digit = hex_value((unsigned char)byte);
    if (digit >= 0)
        return add_digit(c, digit);
    if (byte == '\n')
        return H1_BARE_LF;
    if (c->digits == 0)
        return H1_BAD_CHUNK_SIZE;
    if (byte == '\r')
        return go(c, SIZE_LF);
    return byte == ';' ? extend(c) : H1_BAD_CHUNK_SIZE;
}

static enum h1_error ext_byte(struct h1_chunked *c, char byte)
{
    if (byte == '\r')
        return go(c, SIZE_LF);
    if (byte == '\n')
        return H1_BARE_LF;
    return h1_is(H1_VALUE, byte) ? extend(c) : H1_BAD_CHUNK_EXT;
}

static enum h1_error size_end(struct h1_chunked *c, char byte)
{
    if (byte != '\n')
        return H1_BARE_CR;
    c->digits = 0;
    c->ext = 0;
    return go(c, c->left ? DATA : LINE);
}

static enum h1_error line_byte(struct h1_chunked *c, char byte)
{
    if (byte == '\r')
        return go(c, END_LF);
    if (byte == '\n')
        return H1_BARE_LF;
    if (c->trailer_fields == c->fields_max)
        return H1_TOO_MANY_FIELDS;
    c->trailer_fields++;
    if (byte == ' ' || byte == '\t')
        return H1_FOLD;
    return h1_is(H1_TCHAR, byte) ? go(c, NAME) : H1_BAD_FIELD_NAME;
}

static enum h1_error name_byte(struct h1_chunked *c, char byte)
{
    if (h1_is(H1_TCHAR, byte))
        return H1_OK;
    if (byte == ':')
        return go(c, VALUE);
    if (byte == '\n')
        return H1_BARE_LF;
    return byte == '\r' ? H1_NO_COLON : H1_BAD_FIELD_NAME;
}

static enum h1_error value_byte(struct h1_chunked *c, char byte)
{
    if (h1_is(H1_VALUE, byte))
        return H1_OK;
    if (byte == '\r')
        return go(c, VALUE_LF);
    return byte == '\n' ? H1_BARE_LF : H1_BAD_FIELD_VALUE;
}

static enum h1_error trailer_byte(struct h1_chunked *c, char byte)
{
    if (c->trailer_bytes == c->trailer_max)
        return H1_HEAD_TOO_LONG;
    c->trailer_bytes++;
    switch ((enum state)c->state) {
    case LINE:
        return line_byte(c, byte);
    case NAME:
        return name_byte(c, byte);
    case VALUE:
        return value_byte(c, byte);
    case VALUE_LF:
        return byte == '\n' ? go(c, LINE) : H1_BARE_CR;
    default:
        return byte == '\n' ? go(c, END) : H1_BARE_CR;
    }
}

static enum h1_error step(struct h1_chunked *c, char byte)
{
    switch ((enum state)c->state) {
    case SIZE:
        return size_byte(c, byte);
    case EXT:
        return ext_byte(c, byte);
    case SIZE_LF:
        return size_end(c, byte);
    case DATA_CR:
        return byte == '\r' ? go(c, DATA_LF) : H1_BAD_CHUNK_END;
    case DATA_LF:
        return byte == '\n' ? go(c, SIZE) : H1_BAD_CHUNK_END;
    default:
        return trailer_byte(c, byte);
    }
}

// The part of the rest that is data of this chunk.
static struct str take_data(struct h1_chunked *c, struct str rest)
{
    size_t n = rest.n < c->left ? rest.n : (size_t)c->left;
    c->left -= n;
    if (c->left == 0)
        go(c, DATA_CR);
    return str_of(rest.p, n);
}

void h1_chunked_init(struct h1_chunked *c, const struct h1_limits *limits)
{
    *c = (struct h1_chunked){.trailer_max = limits->head_bytes, .fields_max = limits->fields};
}

enum h1_result h1_chunked_parse(struct h1_chunked *c, struct str bytes, size_t *consumed,
                                struct str *data)
{
    assert(c->state != END);
    size_t i = 0;
    while (i < bytes.n && c->state != DATA && c->state != END && !c->error) {
        c->error = step(c, bytes.p[i]);
        i += !c->error;
    }
    *consumed = i;
    if (c->error) {
        go(c, END);
        return H1_BAD;
    }
    if (c->state == END)
        return H1_DONE;
    if (i == bytes.n)
        return H1_MORE;
    *data = take_data(c, str_of(bytes.p + i, bytes.n - i));
    *consumed += data->n;
    return H1_DATA;
}
