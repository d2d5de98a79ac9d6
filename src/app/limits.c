// `lunette limits`: see the header.
#include "app/limits.h"

#include "app/worker.h"

#include <string.h>

struct line {
    const char *name;
    char value[40];
    const char *origin;
};

// 16K, 64M; 1000 where it is no whole number of those.
static void say_size(char dst[static 40], uint64_t bytes)
{
    static const char units[] = "KMG";
    int unit = -1;
    while (unit < 2 && bytes && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    if (unit < 0)
        snprintf(dst, 40, "%llu bytes", (unsigned long long)bytes);
    else
        snprintf(dst, 40, "%llu%c", (unsigned long long)bytes, units[unit]);
}

// 250 ms, 30 s, 5 min, 2 h, 1 d
static void say_duration(char dst[static 40], uint64_t ms)
{
    static const struct {
        uint64_t ms;
        const char *name;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}, {1, "ms"}};
    unsigned i = 0;
    while (i < 4 && (ms < units[i].ms || ms % units[i].ms))
        i++;
    if (ms == 0)
        i = 3;
    snprintf(dst, 40, "%llu %s", (unsigned long long)(ms / units[i].ms), units[i].name);
}

static bool begins(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

static bool ends(const char *s, const char *with)
{
    size_t n = strlen(s), m = strlen(with);
    return n >= m && strcmp(s + n - m, with) == 0;
}

static void say_number(char dst[static 40], const struct config_number *n)
{
    if (begins(n->name, "timeouts."))
        say_duration(dst, n->value);
    else if (strcmp(n->name, "static.max_age") == 0)
        say_duration(dst, n->value * 1000);
    else if (ends(n->name, "bytes") || ends(n->name, "memory"))
        say_size(dst, n->value);
    else if (ends(n->name, "_per_ip") && n->value == 0)
        snprintf(dst, 40, "no limit");
    else
        snprintf(dst, 40, "%llu", (unsigned long long)n->value);
}

static void say_bound(char dst[static 40], const struct worker_bound *b)
{
    if (strcmp(b->unit, "B") == 0)
        say_size(dst, b->value);
    else
        snprintf(dst, 40, "%llu%s%s", (unsigned long long)b->value, *b->unit ? " " : "", b->unit);
}

static int print_line(FILE *out, const struct line *l, const char *on, bool colours)
{
    return fprintf(out, "%s%-29s %-12s %s%s\n", colours ? on : "", l->name, l->value, l->origin,
                   colours && *on ? "\x1b[0m" : "");
}

bool limits_print(const struct config *c, FILE *out, bool colours)
{
    struct line head = {.name = "limit", .value = "in force", .origin = "set in"};
    struct config_number n;
    print_line(out, &head, "\x1b[1m", colours);
    for (unsigned i = 0; config_number(c, i, &n); i++) {
        struct line l = {.name = n.name, .origin = n.origin};
        say_number(l.value, &n);
        print_line(out, &l, strcmp(n.origin, "default") == 0 ? "" : "\x1b[33m", colours);
    }
    for (const struct worker_bound *b = worker_bounds; b->name; b++) {
        struct line l = {.name = b->name, .origin = "fixed, in each worker"};
        say_bound(l.value, b);
        print_line(out, &l, "", colours);
    }
    return fflush(out) == 0 && !ferror(out);
}
