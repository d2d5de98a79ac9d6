// What has changed in the scripts: see the header. Both snapshots are sorted by name.
#include "app/changes.h"

#include <stdarg.h>
#include <stdio.h>

enum { NAME_SHOWN = 100 }; // bytes of a name

struct words {
    char *p;
    size_t n;
    unsigned files;
};

static void put(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct words *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(w->p + w->n, CHANGES_TEXT - w->n, format, args);
    va_end(args);
    w->n += n > 0 ? (size_t)n : 0;
    if (w->n >= CHANGES_TEXT)
        w->n = CHANGES_TEXT - 1;
}

static void note(struct words *w, struct str name, const char *what)
{
    if (w->files++ >= CHANGES_NAMED)
        return;
    int shown = name.n > NAME_SHOWN ? NAME_SHOWN : (int)name.n;
    put(w, "%sscripts/%.*s %s", w->files > 1 ? ", " : "", shown, name.p, what);
}

void changes_describe(const struct snapshot *before, const struct snapshot *after,
                      char dst[static CHANGES_TEXT])
{
    struct words w = {.p = dst};
    struct str old_name, new_name, old_text, new_text;
    size_t i = 0, j = 0;
    dst[0] = '\0';
    for (;;) {
        bool has_old = snapshot_file(before, i, &old_name, &old_text);
        bool has_new = snapshot_file(after, j, &new_name, &new_text);
        if (!has_old && !has_new)
            break;
        int c = !has_old ? 1 : !has_new ? -1 : str_order(old_name, new_name);
        if (c < 0)
            note(&w, old_name, "is gone");
        else if (c > 0)
            note(&w, new_name, "is new");
        else if (!str_eq(old_text, new_text))
            note(&w, new_name, "changed");
        i += c <= 0;
        j += c >= 0;
    }
    if (w.files == 0)
        put(&w, "nothing of scripts/ changed");
    if (w.files > CHANGES_NAMED)
        put(&w, " and %u more", w.files - CHANGES_NAMED);
}

void changes_count(const struct snapshot *scripts, unsigned routes, unsigned middleware,
                   char dst[static CHANGES_TEXT])
{
    struct str name, text;
    unsigned views = 0;
    for (size_t i = 0; snapshot_file(scripts, i, &name, &text); i++)
        views += str_starts(name, STR("views/"));
    snprintf(dst, CHANGES_TEXT, "%u route%s, %u middleware, %u view%s", routes,
             routes == 1 ? "" : "s", middleware, views, views == 1 ? "" : "s");
}
