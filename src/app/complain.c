// What a command cannot do: see the header.
#include "app/complain.h"

#include <stdarg.h>
#include <stdlib.h>

static bool is_control(const unsigned char *p)
{
    return (*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f;
}

// U+0080 to U+009F, which a terminal follows as it does ESC and a letter.
static bool is_c1(const unsigned char *p)
{
    return p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f;
}

void print_plain(FILE *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (is_control(p))
            fprintf(out, "\\x%02X", *p);
        else if (is_c1(p))
            fprintf(out, "\\u{%02X}", *++p);
        else
            putc(*p, out);
    }
}

bool is_plain(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (*p < 0x20 || is_control(p) || is_c1(p))
            return false;
    return true;
}

bool complain(const char *format, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    fputs("lunette: ", stderr);
    print_plain(stderr, n < 0 ? "out of memory" : text);
    fputc('\n', stderr);
    if (n >= 0)
        free(text);
    return false;
}
