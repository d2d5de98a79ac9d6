// Forms: see the header. An entry is referred to by the store, while it is kept, and by each who it
// is lent to; its memory goes with the last of them.
#include "content/forms.h"

#include "base/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRIES_MAX = 1 << 20, PARTS = 8 };

struct entry {
    struct form form; // first: what is lent
    struct map_link link;
    struct entry *newer, *older;
    struct buf text;
    unsigned refs;
    char key[]; // link.key is this
};

struct forms {
    struct map map;
    struct entry *newest, *oldest;
    size_t used, max;
};

static size_t cost(const struct entry *e)
{
    return sizeof *e + e->link.key.n + e->text.cap;
}

static void unref(struct entry *e)
{
    if (--e->refs > 0)
        return;
    buf_fini(&e->text);
    free(e);
}

static void unlink_entry(struct forms *f, struct entry *e)
{
    *(e->newer ? &e->newer->older : &f->newest) = e->older;
    *(e->older ? &e->older->newer : &f->oldest) = e->newer;
}

static void link_newest(struct forms *f, struct entry *e)
{
    e->newer = NULL;
    e->older = f->newest;
    *(f->newest ? &f->newest->newer : &f->oldest) = e;
    f->newest = e;
}

static void forget(struct forms *f, struct entry *e)
{
    unlink_entry(f, e);
    map_remove(&f->map, &e->link);
    f->used -= cost(e);
    unref(e);
}

static struct entry *find(const struct forms *f, struct str key)
{
    struct map_link *l = map_find(&f->map, key);
    return l ? (struct entry *)((char *)l - offsetof(struct entry, link)) : NULL;
}

struct forms *forms_new(size_t bytes)
{
    struct forms *f = calloc(1, sizeof *f);
    if (f && map_init(&f->map, ENTRIES_MAX)) {
        f->max = bytes;
        return f;
    }
    free(f);
    errno = ENOMEM;
    return NULL;
}

void forms_free(struct forms *f)
{
    if (!f)
        return;
    while (f->oldest)
        forget(f, f->oldest);
    map_fini(&f->map);
    free(f);
}

const struct form *forms_get(struct forms *f, struct str key)
{
    struct entry *e = find(f, key);
    if (!e)
        return NULL;
    unlink_entry(f, e);
    link_newest(f, e);
    e->refs++;
    return &e->form;
}

void form_close(const struct form *form)
{
    unref((struct entry *)(uintptr_t)form);
}

size_t forms_largest(const struct forms *f)
{
    return f->max / PARTS;
}

// An entry that owns the text, in nobody's list yet. NULL without memory.
static struct entry *new_entry(struct str key, struct buf *text)
{
    struct entry *e = malloc(sizeof *e + key.n);
    if (!e)
        return NULL;
    buf_trim(text); // it grew by doubling
    *e = (struct entry){.text = *text, .refs = 1};
    buf_init(text, text->max);
    e->form.bytes = buf_str(&e->text);
    memcpy(e->key, key.p, key.n);
    e->link.key = str_of(e->key, key.n);
    return e;
}

static bool keep(struct forms *f, struct entry *e)
{
    if (cost(e) > f->max) // an odd key, or memory that did not shrink: nobody makes room for it
        return false;
    while (f->used + cost(e) > f->max)
        forget(f, f->oldest);
    if (!map_add(&f->map, &e->link, e->link.key))
        return false;
    link_newest(f, e);
    f->used += cost(e);
    return true;
}

void forms_put(struct forms *f, struct str key, struct buf *text)
{
    struct entry *old = find(f, key);
    if (old)
        forget(f, old);
    struct entry *e = text->n <= forms_largest(f) ? new_entry(key, text) : NULL;
    if (e && !keep(f, e))
        unref(e);
    buf_fini(text);
}
