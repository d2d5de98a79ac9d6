// Text of others for a terminal: see the header.
#include "base/plain.h"

#include "base/utf8.h"

// The character of n bytes (1 to 4) at p.
static unsigned decode(const char *p, int n)
{
    unsigned char lead = (unsigned char)p[0];
    unsigned c = n == 1 ? lead : lead & (0x7fu >> n);
    for (int i = 1; i < n; i++)
        c = c << 6 | ((unsigned char)p[i] & 0x3f);
    return c;
}

static bool is_harmless(unsigned c)
{
    static const struct {
        unsigned first, last;
    } not [] = {{0x00, 0x08},     {0x0b, 0x1f},     {0x7f, 0x9f},
                {0x2028, 0x2029}, {0x202a, 0x202e}, {0x2066, 0x2069}};
    for (size_t i = 0; i < sizeof not / sizeof *not ; i++)
        if (c >= not [i].first && c <= not [i].last)
            return false;
    return true;
}

void plain_write(FILE *out, struct str text)
{
    for (size_t i = 0; i < text.n;) {
        int step = utf8_step(text.p + i, text.n - i);
        size_t n = (size_t)(step < 0 ? -step : step);
        if (step > 0 && is_harmless(decode(text.p + i, step)))
            fwrite(text.p + i, 1, n, out);
        else
            fputc('?', out);
        i += n;
    }
}
