// ISO 8601 times from arbitrary bytes, and as the inverse any time that they may name.
#include "http/date.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct date_iso parsed(struct str s)
{
    struct date_iso t;
    bool good = date_parse_iso(s, &t);
    assert(good);
    return t;
}

// Written to the millisecond, and read again.
static struct str check_format(char dst[static DATE_ISO_MAX], int64_t ms)
{
    struct str text = str_of(dst, date_format_iso(dst, ms));
    struct date_iso t = parsed(text);
    assert(t.seconds * 1000 + t.nanoseconds / 1000000 == ms && t.nanoseconds % 1000000 == 0);
    assert(t.fraction == (ms % 1000 != 0) && text.n == (t.fraction ? 24 : 20));
    return text;
}

// A time in the full form without offset says the same when it is written again.
static void check_same(struct str s, const struct date_iso *t)
{
    char dst[DATE_ISO_MAX];
    struct str text = check_format(dst, t->seconds * 1000 + t->nanoseconds / 1000000);
    bool full = s.n >= 20 && (s.p[s.n - 1] | 0x20) == 'z';
    if (full && memcmp(s.p + 17, "60", 2) != 0) {
        assert(memcmp(s.p, text.p, 10) == 0 && memcmp(s.p + 11, text.p + 11, 8) == 0);
        assert(t->fraction == (s.n > 20));
    }
}

// HTTP's form and this one agree on the same second.
static void check_http(int64_t t)
{
    char http[DATE_LEN], iso[DATE_ISO_MAX];
    int64_t again;
    date_format(http, t);
    struct str text = check_format(iso, t * 1000);
    assert(date_parse(str_of(http, DATE_LEN), 0, &again) && again == t);
    assert(memcmp(http + 12, text.p, 4) == 0 && memcmp(http + 5, text.p + 8, 2) == 0);
    assert(memcmp(http + 17, text.p + 11, 8) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = str_of((const char *)data, size);
    struct date_iso t = {.seconds = 42};
    if (date_parse_iso(s, &t)) {
        assert(t.seconds >= DATE_MIN && t.seconds <= DATE_MAX && t.nanoseconds < 1000000000);
        check_same(s, &t);
    } else {
        assert(t.seconds == 42);
    }
    uint64_t any = 0;
    memcpy(&any, data, size < sizeof any ? size : sizeof any);
    char dst[DATE_ISO_MAX];
    int64_t ms = (int64_t)(any % (uint64_t)((DATE_MAX - DATE_MIN + 1) * 1000)) + DATE_MIN * 1000;
    check_format(dst, ms);
    check_http(ms / 1000);
    return 0;
}
