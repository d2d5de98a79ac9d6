// Request fields from arbitrary bytes: no parser reads beyond its slice, and each keeps its
// promises. The input is read as lines where more than one string is wanted.
#include "http/accept.h"
#include "http/conditions.h"
#include "http/cookie.h"
#include "http/date.h"
#include "http/form.h"
#include "http/h1_parse.h"
#include "http/range.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { NOW = 1795383000, LINES = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_within(struct str inner, struct str outer)
{
    assert(inner.n == 0 || (inner.p >= outer.p && inner.p + inner.n <= outer.p + outer.n));
}

static void check_cookie(struct str field)
{
    struct str rest = field, name, value;
    while (cookie_next(&rest, &name, &value)) {
        assert(name.n > 0 && h1_is_token(name) && str_find(value, ';') < 0);
        check_within(name, field);
        check_within(value, field);
    }
}

static void check_decode(struct str s)
{
    char *dst = malloc(s.n + !s.n), *same = malloc(s.n + !s.n);
    if (s.n)
        memcpy(same, s.p, s.n);
    struct str decoded = str_of(dst, form_decode(dst, s));
    assert(decoded.n <= s.n);
    assert(str_eq(decoded, str_of(same, form_decode(same, str_of(same, s.n)))));
    assert(str_find(s, '+') >= 0 || str_find(s, '%') >= 0 || str_eq(decoded, s));
    free(dst);
    free(same);
}

static void check_form(struct str form)
{
    struct str rest = form;
    struct form_pair pair;
    while (form_next(&rest, &pair)) {
        struct str name = pair.name, value = pair.value;
        check_within(name, form);
        check_within(value, form);
        assert(pair.name_coded == (str_find(name, '+') >= 0 || str_find(name, '%') >= 0));
        assert(pair.value_coded == (str_find(value, '+') >= 0 || str_find(value, '%') >= 0));
        assert(str_find(name, '=') < 0 && str_find(value, '&') < 0);
        check_decode(name);
        check_decode(value);
    }
}

static void check_date(struct str s)
{
    int64_t t, again;
    char text[DATE_LEN];
    if (!date_parse(s, NOW, &t))
        return;
    date_format(text, t); // asserts that t is in its range
    assert(date_parse(str_of(text, DATE_LEN), NOW, &again) && again == t);
    bool fixdate = s.n == DATE_LEN && s.p[3] == ',', leap = s.n == DATE_LEN && s.p[23] == '6';
    assert(!fixdate || leap || memcmp(s.p + 3, text + 3, DATE_LEN - 3) == 0);
}

static void check_range(struct str field, uint64_t size)
{
    struct byte_range r[RANGES_MAX];
    unsigned n, overlapping = 0;
    enum range_verdict v = range_parse(field, size, r, &n);
    assert((v == RANGE_SOME) == (n > 0) && n <= RANGES_MAX);
    for (unsigned i = 0; i < n; i++) {
        bool shares = false;
        assert(r[i].first <= r[i].last && r[i].last < size);
        for (unsigned k = 0; k < n; k++)
            shares |= k != i && r[k].first <= r[i].last && r[i].first <= r[k].last;
        overlapping += shares;
    }
    assert(overlapping <= 2);
}

static void check_conditions(const struct str line[static LINES])
{
    struct conditions c = {line[1], line[2], line[3], line[4], line[5]};
    struct validators v = {line[0], line[0].n % 2 ? 784111777 : -1, NOW, line[0].n % 3 == 0};
    enum verdict get = conditions_judge(&c, &v, true);
    enum verdict put = conditions_judge(&c, &v, false);
    assert(put != VERDICT_NOT_MODIFIED);
    assert(get != VERDICT_FAILED || put == VERDICT_FAILED);

    c = (struct conditions){.if_match = line[1]}; // what is named twice is there
    v.etag = line[1];
    bool tag =
        line[1].n > 1 && line[1].p[0] == '"' && conditions_judge(&c, &v, false) == VERDICT_GO;
    c = (struct conditions){.if_none_match = line[1], .if_range = line[1]};
    assert(!tag || conditions_judge(&c, &v, true) == VERDICT_NOT_MODIFIED);
    assert(!tag || conditions_range(&c, &v));
}

typedef int accept_fn(struct str field, const struct str *offered, int n);

// What is chosen among many is acceptable alone, and when none is, none is alone.
static void check_accept(accept_fn *fn, const struct str line[static LINES])
{
    int best = fn(line[0], line + 1, LINES - 1);
    assert(best >= -1 && best < LINES - 1);
    assert(best < 0 || fn(line[0], line + 1 + best, 1) == 0);
    for (int i = 1; best < 0 && i < LINES; i++)
        assert(fn(line[0], line + i, 1) == -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = str_of((const char *)data, size), rest = all, line[LINES] = {0};
    for (int i = 0; i < LINES && str_split(&rest, '\n', &line[i]); i++)
        ;
    check_cookie(all);
    check_form(all);
    check_decode(all);
    check_date(line[0]);
    check_range(line[0], 0);
    check_range(line[0], 1000);
    check_range(line[0], UINT64_MAX);
    check_conditions(line);
    check_accept(accept_type, line);
    check_accept(accept_language, line);
    check_accept(accept_encoding, line);
    return 0;
}
