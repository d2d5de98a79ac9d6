// UTF-8: see the header. Only the second byte's range depends on the lead byte (Unicode table 3-7).
#include "base/utf8.h"

int utf8_step(const char *p, size_t n)
{
    unsigned char lead = (unsigned char)p[0];
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return -1;
    unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    int len = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    for (int i = 1; i < len; i++) {
        unsigned char c = (size_t)i < n ? (unsigned char)p[i] : 0;
        if (c < low || c > high)
            return -i;
        low = 0x80;
        high = 0xbf;
    }
    return len;
}

bool utf8_valid(struct str s)
{
    for (size_t i = 0; i < s.n;) {
        int step = utf8_step(s.p + i, s.n - i);
        if (step < 0)
            return false;
        i += (size_t)step;
    }
    return true;
}
