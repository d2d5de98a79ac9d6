// Parameters and media types: "type/subtype; name=value; name=\"quoted\"" (RFC 9110 §5.6.6, §8.3.1).
// Pure functions of strings; slices point into what was given.
#ifndef LUNETTE_HTTP_PARAMS_H
#define LUNETTE_HTTP_PARAMS_H

#include "base/str.h"

struct param {
    struct str name;
    struct str value; // of a quoted string what stands between its quotes, quoted-pairs as sent
    bool quoted;
};

enum params_result {
    PARAMS_SOME,
    PARAMS_END,
    PARAMS_BAD, // *rest then begins at what is no ";", or at the parameter that is malformed
};

// Takes the next ";name=value" of *rest, with optional spaces and tabs around the ";" and none
// around the "="; a ";" with nothing behind it is skipped. A value is a token, or a quoted string of
// any bytes but controls: UTF-8 and worse come as they are. Names may come again.
//
// With PARAMS_BAD out->name is what stands at *rest of a name, and out->value, empty, is where the
// value begins that is neither token nor quoted string; their p is NULL when it did not come so far.
enum params_result params_next(struct str *rest, struct param *out);

// Resolves the quoted-pairs of a quoted value ("\\x" is "x") into dst, which has room for value.n
// bytes and may be value.p itself. Returns the length.
size_t params_unquote(char *dst, struct str value);

// Splits a field value into its media type, or another first word, and the parameters: what is
// before the first ";", without spaces around it, and the rest with it.
struct str params_split(struct str field, struct str *rest);

// Whether the field names a media type of JSON: application/json, text/json, or any type/x+json,
// with whatever parameters.
bool media_is_json(struct str field);
// Whether its type/subtype is that one, in any case.
bool media_is(struct str field, struct str type);

#endif
