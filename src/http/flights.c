// Requests under way: see the header. A place is written before its bit is set, so that the master
// never shows half of one, wherever the worker died.
#include "http/flights.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

// The worker is the only writer: a load and a store are enough.
static void set(_Atomic uint32_t *at, uint32_t value)
{
    atomic_store_explicit(at, value, memory_order_release);
}

static uint32_t get(const _Atomic uint32_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

unsigned flights_begin(struct flights *f, struct str line)
{
    if (!f)
        return FLIGHTS_NONE;
    set(&f->count, get(&f->count) + 1);
    uint32_t taken = get(&f->taken);
    unsigned place = (unsigned)__builtin_ctz(~taken);
    if (place >= FLIGHTS_SHOWN)
        return FLIGHTS_NONE;
    struct flight *one = &f->shown[place];
    size_t n = line.n < FLIGHT_LINE ? line.n : FLIGHT_LINE;
    memcpy(one->line, line.p, n);
    one->line_bytes = (uint8_t)n;
    one->id_bytes = 0;
    set(&f->taken, taken | 1u << place);
    return place;
}

void flights_name(struct flights *f, unsigned place, struct str id)
{
    if (!f || place >= FLIGHTS_SHOWN)
        return;
    size_t n = id.n < FLIGHT_ID ? id.n : FLIGHT_ID;
    memcpy(f->shown[place].id, id.p, n);
    f->shown[place].id_bytes = (uint8_t)n;
}

void flights_end(struct flights *f, unsigned place)
{
    if (!f)
        return;
    if (place < FLIGHTS_SHOWN)
        set(&f->taken, get(&f->taken) & ~(1u << place));
    set(&f->count, get(&f->count) - 1);
}

// --- the master's side ---

struct text {
    char *p;
    size_t n;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...)
{
    va_list args;
    size_t room = FLIGHTS_TEXT - t->n;
    va_start(args, format);
    int n = vsnprintf(t->p + t->n, room, format, args);
    va_end(args);
    if (n > 0)
        t->n += (size_t)n < room ? (size_t)n : room - 1;
}

// "GET /path", without what follows.
static struct str short_line(const struct flight *one)
{
    size_t n = one->line_bytes < FLIGHT_LINE ? one->line_bytes : FLIGHT_LINE;
    struct str line = str_of(one->line, n), rest = line, method, target;
    str_split(&rest, ' ', &method);
    if (!str_split(&rest, ' ', &target))
        return line;
    ptrdiff_t query = str_find(target, '?');
    size_t path = query < 0 ? target.n : (size_t)query;
    return str_of(line.p, method.n + 1 + path);
}

static void add_one(struct text *t, const struct flight *one, bool first)
{
    size_t n = one->id_bytes < FLIGHT_ID ? one->id_bytes : FLIGHT_ID;
    add(t, "%s%.*s", first ? ": " : ", ", STR_ARG(short_line(one)));
    if (n)
        add(t, " [%.*s]", (int)n, one->id);
}

const char *flights_describe(const struct flights *f, char dst[static FLIGHTS_TEXT])
{
    enum { MORE = 40 }; // room for "and … more"
    struct text t = {.p = dst};
    uint32_t count = get(&f->count), taken = get(&f->taken), said = 0;
    dst[0] = '\0';
    if (*f->ran)
        add(&t, ", in %.*s", (int)strnlen(f->ran, FLIGHTS_RAN), f->ran);
    if (count == 0)
        return dst;
    add(&t, ", with %u request%s under way", count, count == 1 ? "" : "s");
    for (unsigned i = 0; i < FLIGHTS_SHOWN; i++) {
        bool fits = t.n + FLIGHT_LINE + FLIGHT_ID + MORE < FLIGHTS_TEXT;
        if (taken & 1u << i && fits)
            add_one(&t, &f->shown[i], said++ == 0);
    }
    if (said && said < count)
        add(&t, " and %u more", count - said);
    return dst;
}

void flights_reset(struct flights *f)
{
    set(&f->count, 0);
    set(&f->taken, 0);
    f->ran[0] = '\0';
}
