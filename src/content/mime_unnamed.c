// Types by the first bytes: see the header.
#include "content/mime_unnamed.h"

#include "base/utf8.h"

#include <string.h>

static const struct str CHARSET = STR("; charset=utf-8");

// Whether head is UTF-8; where the file goes on, its last character may be cut.
static bool is_utf8(struct str head, bool whole)
{
    for (size_t i = 0; i < head.n;) {
        int n = utf8_step(head.p + i, head.n - i);
        if (n < 0)
            return !whole && (size_t)-n == head.n - i && (head.p[i] & 0x80) && -n < 4;
        i += (size_t)n;
    }
    return true;
}

// Bytes that stand in no text: control bytes but those of terminals and typewriters.
static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 && !strchr("\t\n\v\f\r\b\x1b", c ? c : 1))
            return true;
        if (c == 0x7f)
            return true;
    }
    return false;
}

static const struct str shown[] = {STR("image/"), STR("audio/"), STR("video/"), STR("font/")};

// Whether a browser may be told so: pictures, sound and what it keeps or hands on.
static bool is_harmless(struct str type)
{
    bool active = str_ends(type, STR("xml")) || str_ends(type, STR("script"));
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        if (str_starts(type, shown[i]))
            return !active;
    return str_starts(type, STR("application/")) && !active;
}

struct str mime_unnamed(struct str head, bool whole, char dst[static MIME_MAX])
{
    if (head.n > MIME_UNNAMED_LOOK) {
        head.n = MIME_UNNAMED_LOOK;
        whole = false;
    }
    bool utf8 = is_utf8(head, whole);
    if (head.n == 0)
        return STR("application/octet-stream");
    if (!has_control(head))
        return utf8 ? STR("text/plain; charset=utf-8") : STR("text/plain");
    struct str type = mime_by_content(head, dst);
    if (is_harmless(type))
        return type;
    return str_starts(type, STR("multipart/")) ? STR("application/octet-stream")
                                               : STR("text/plain");
}

struct str mime_with_charset(struct str type, struct str head, bool whole)
{
    if (!str_ends(type, CHARSET) || is_utf8(head, whole))
        return type;
    return str_of(type.p, type.n - CHARSET.n);
}
