// The file cache: see the header.
//
// An entry is one allocation: the struct, then the key, the lines and the bytes. It is counted once
// while it is on a shelf and once for every answer that sends from it, and goes with the last of
// these; so it may outlive its place in the cache, and the cache.
//
// There are two shelves, since memory and descriptors run out apart. Each is a list in the order of
// the last look, which is at the same time the order of use: whoever is asked for in a second is
// looked at in that second. Within a second, use does not count, and a hit writes nothing but the
// count.
//
// What a look saw is worth keeping only when a later change cannot have the same times. A file that
// was changed just before (RECENT) may change again within the same tick of the file system's
// clock, so it is read anew at each look until it has been left alone for a while.
#include "content/filecache.h"

#include "base/map.h"
#include "content/mime_unnamed.h"
#include "content/siblings.h"
#include "http/date.h"
#include "http/fields.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TRIES = 3,  // to read a file that is being written to
    RECENT = 2, // seconds; more than the coarsest clock of a file system ticks in
    KEY_MAX = sizeof(uint64_t) + PATH_MAX,
};

struct shelf {
    struct entry *newest, *oldest;
    size_t count, max;
    size_t bytes, bytes_max; // memory of its entries
};

struct entry {
    struct cached_file pub; // first: filecache_close gets a pointer to it
    struct map_link link;
    struct shelf *shelf; // NULL: not kept, or not any more
    struct entry *newer, *older;
    struct file facts; // what the last look saw; fd as in pub
    int64_t looked;    // when that was
    bool settled;      // it had not been changed for a while when it was read
    size_t cost;       // bytes of the allocation
    unsigned count;    // who still needs it
    char data[];       // key, type_line, lines, bytes
};

struct filecache {
    struct map map; // all entries that are on a shelf
    struct shelf memory, descriptors;
    bool look_always;
};

struct filecache *filecache_new(const struct filecache_options *o)
{
    struct filecache *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->memory = (struct shelf){.max = o->files, .bytes_max = o->bytes};
    c->descriptors = (struct shelf){.max = o->descriptors, .bytes_max = SIZE_MAX};
    c->look_always = o->look_always;
    if (!map_init(&c->map, o->files + o->descriptors)) {
        free(c);
        return NULL;
    }
    return c;
}

// --- entries and shelves ---

static void let_go(struct entry *e)
{
    if (--e->count)
        return;
    if (e->pub.fd >= 0)
        close(e->pub.fd);
    free(e);
}

static void unlink_entry(struct shelf *s, struct entry *e)
{
    *(e->newer ? &e->newer->older : &s->newest) = e->older;
    *(e->older ? &e->older->newer : &s->oldest) = e->newer;
}

static void link_newest(struct shelf *s, struct entry *e)
{
    e->newer = NULL;
    e->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
}

static void forget(struct filecache *c, struct entry *e)
{
    struct shelf *s = e->shelf;
    map_remove(&c->map, &e->link);
    unlink_entry(s, e);
    s->count--;
    s->bytes -= e->cost;
    e->shelf = NULL;
    let_go(e);
}

static void forget_all(struct filecache *c, struct shelf *s)
{
    while (s->oldest)
        forget(c, s->oldest);
}

void filecache_free(struct filecache *c)
{
    if (!c)
        return;
    forget_all(c, &c->memory);
    forget_all(c, &c->descriptors);
    map_fini(&c->map);
    free(c);
}

// Puts e on its shelf, from which the oldest make way. One that does not fit is just not kept.
static void keep(struct filecache *c, struct entry *e, size_t key_n)
{
    struct shelf *s = e->pub.in_memory ? &c->memory : &c->descriptors;
    if (s->max == 0 || e->cost > s->bytes_max)
        return;
    while (s->count == s->max || s->bytes > s->bytes_max - e->cost)
        forget(c, s->oldest);
    if (!map_add(&c->map, &e->link, str_of(e->data, key_n)))
        return;
    e->shelf = s;
    e->count++;
    s->count++;
    s->bytes += e->cost;
    link_newest(s, e);
}

// --- loading ---

// The time of change: that of modification can be set to what it was, and often is (cp -p, tar,
// builds whose files are all of one date).
static bool add_etag(struct fields *lines, const struct file *f)
{
    char tag[64];
    uint64_t ns = (uint64_t)f->ctime.tv_sec * 1000000000u + (uint64_t)f->ctime.tv_nsec;
    int n = snprintf(tag, sizeof tag, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"", (uint64_t)f->inode,
                     f->size, ns);
    return fields_add(lines, STR("ETag"), str_of(tag, (size_t)n)) == FIELDS_OK;
}

static bool add_last_modified(struct fields *lines, int64_t when)
{
    char date[DATE_LEN];
    if (when < 0)
        return true;
    date_format(date, when);
    return fields_add(lines, STR("Last-Modified"), str_of(date, sizeof date)) == FIELDS_OK;
}

// The lines of f; *type_n: how long the first of them is, which is Content-Type.
static bool describe(struct fields *lines, const struct file *f, struct str type,
                     int64_t last_modified, size_t *type_n)
{
    bool ok = fields_add(lines, STR("Content-Type"), type) == FIELDS_OK;
    *type_n = lines->lines.n;
    return ok && add_etag(lines, f) && add_last_modified(lines, last_modified) &&
           fields_add(lines, STR("Accept-Ranges"), STR("bytes")) == FIELDS_OK;
}

// The value of the line that begins with "ETag: ".
static struct str etag_of(struct str lines)
{
    size_t name = strlen("ETag: ");
    return str_of(lines.p + name, (size_t)str_find(lines, '\r') - name);
}

static bool is_small(const struct file *f)
{
    return f->size <= FILECACHE_SMALL;
}

// An entry for f, whose bytes these are where it is small. Counted once, for the caller.
static struct entry *new_entry(const struct file *f, struct str key, int64_t now, struct str type,
                               struct str bytes)
{
    struct fields lines;
    struct entry *e = NULL;
    size_t type_n;
    // Not in the future (RFC 9110 §8.8.2.1), and none at all for a date before 1970.
    int64_t mtime = f->mtime.tv_sec, last_modified = mtime < 0 ? -1 : mtime < now ? mtime : now;
    bool small = is_small(f);
    fields_init(&lines);
    if (!describe(&lines, f, type, last_modified, &type_n))
        goto out;
    struct str text = buf_str(&lines.lines);
    size_t cost = sizeof *e + key.n + text.n + (small ? bytes.n : 0);
    e = malloc(cost);
    if (!e)
        goto out;
    char *at = e->data + key.n;
    *e = (struct entry){.facts = *f, .looked = now, .cost = cost, .count = 1};
    e->settled = f->ctime.tv_sec < now - RECENT;
    e->facts.fd = small ? -1 : f->fd;
    e->facts.type = str_of(NULL, 0);
    memcpy(e->data, key.p, key.n);
    memcpy(at, text.p, text.n);
    if (small && bytes.n)
        memcpy(at + text.n, bytes.p, bytes.n);
    e->pub = (struct cached_file){
        .size = f->size,
        .last_modified = last_modified,
        .type_line = str_of(at, type_n),
        .lines = str_of(at + type_n, text.n - type_n),
        .has = lines.has & ~(unsigned)FIELDS_TYPE,
        .in_memory = small,
        .bytes = str_of(at + text.n, small ? bytes.n : 0),
        .fd = e->facts.fd,
        .mtime = f->mtime,
        .loaded = now,
    };
    e->pub.etag = etag_of(e->pub.lines);
out:
    fields_fini(&lines);
    return e;
}

// All n bytes of the file; −EAGAIN when it has fewer by now.
static int read_all(int fd, char *dst, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = pread(fd, dst + at, n - at, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EAGAIN;
        at += (size_t)got;
    }
    return 0;
}

// Bytes at the front of f that are read at once: all of a small file, and of a larger one what its
// type needs.
static size_t head_size(const struct file *f)
{
    bool plain = f->type.p && !str_starts(f->type, STR("text/"));
    return is_small(f) ? (size_t)f->size : plain ? 0 : MIME_UNNAMED_LOOK;
}

// Reads the head of f. −EAGAIN, and *f as it is now, when it is all of the file and that changed
// meanwhile, or when the file became shorter than the head.
static int read_head(struct file *f, char *dst, size_t n)
{
    struct file after;
    int err = n ? read_all(f->fd, dst, n) : 0;
    if (err == 0 && !is_small(f))
        return 0;
    int again = file_again(f, &after);
    if (again)
        return again;
    if (err == 0 && !file_same(f, &after))
        err = -EAGAIN;
    *f = after;
    return err;
}

static struct str type_of(const struct file *f, struct str head, char text[static MIME_MAX])
{
    bool whole = head.n == f->size;
    return f->type.p ? mime_with_charset(f->type, head, whole) : mime_unnamed(head, whole, text);
}

static int try_load(struct file *f, struct str key, int64_t now, struct entry **out)
{
    char block[FILECACHE_SMALL], text[MIME_MAX];
    struct str head = str_of(block, head_size(f));
    int err = read_head(f, block, head.n);
    if (err)
        return err;
    *out = new_entry(f, key, now, type_of(f, head, text), head);
    return *out ? 0 : -ENOMEM;
}

// Makes an entry of an open file, whose descriptor is taken over in any case.
static int load(struct file *f, struct str key, int64_t now, struct entry **out)
{
    int err = -EAGAIN;
    for (int tries = 0; tries < TRIES && err == -EAGAIN; tries++)
        err = try_load(f, key, now, out);
    if (err || (*out)->pub.in_memory)
        close(f->fd);
    return err;
}

// --- looking ---

// Whether what is kept may be believed without another look at the path.
static bool is_fresh(const struct filecache *c, const struct entry *e, int64_t now)
{
    return !c->look_always && e->looked == now;
}

bool filecache_holds(const struct cached_file *pub)
{
    const struct entry *e = (const struct entry *)pub;
    struct file f;
    return pub->in_memory || (file_again(&e->facts, &f) == 0 && file_same(&e->facts, &f));
}

static int lend(struct entry *e, const struct cached_file **out)
{
    e->count++;
    *out = &e->pub;
    return 0;
}

// Opens a file, for which descriptors are given up when there are no others.
static int open_file(struct filecache *c, const struct file_root *r, struct str path,
                     struct file *f)
{
    int err = file_open(r, path, f);
    if ((err == -EMFILE || err == -ENFILE) && c && c->descriptors.count) {
        forget_all(c, &c->descriptors);
        err = file_open(r, path, f);
    }
    return err == 0 && f->is_dir ? -EISDIR : err;
}

static struct entry *find(const struct filecache *c, struct str key)
{
    struct map_link *l = c ? map_find(&c->map, key) : NULL;
    return l ? (struct entry *)((char *)l - offsetof(struct entry, link)) : NULL;
}

// What was found out about content codings holds for the forms that there were.
static void note_siblings(struct cached_file *f, unsigned ready)
{
    if (f->ready == ready)
        return;
    f->ready = (unsigned char)ready;
    f->varies = 0;
    f->note.n = 0;
}

// Looks at the path, and keeps what is there instead of what was kept.
static int look(struct filecache *c, const struct file_root *r, struct str path, struct str key,
                int64_t now, const struct cached_file **out)
{
    struct file f;
    int err = open_file(c, r, path, &f);
    unsigned ready = err == 0 ? siblings_of(r, path, &f) : 0;
    struct entry *e = find(c, key); // not before: it may have been given up
    if (err == 0 && e && e->settled && file_same(&e->facts, &f)) {
        close(f.fd);
        e->looked = now;
        note_siblings(&e->pub, ready);
        unlink_entry(e->shelf, e);
        link_newest(e->shelf, e);
        return lend(e, out);
    }
    if (e)
        forget(c, e);
    if (err == 0)
        err = load(&f, key, now, &e);
    if (err)
        return err;
    note_siblings(&e->pub, ready);
    if (c)
        keep(c, e, key.n);
    *out = &e->pub;
    return 0;
}

static int open_kept(struct filecache *c, const struct file_root *r, struct str path, int64_t now,
                     bool sure, const struct cached_file **out)
{
    char bytes[KEY_MAX];
    uint64_t id = file_root_id(r);
    if (path.n > PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(bytes, &id, sizeof id);
    if (path.n)
        memcpy(bytes + sizeof id, path.p, path.n);
    struct str key = str_of(bytes, sizeof id + path.n);
    struct entry *e = find(c, key);
    if (e && is_fresh(c, e, now) && (!sure || filecache_holds(&e->pub)))
        return lend(e, out);
    return look(c, r, path, key, now, out);
}

int filecache_open(struct filecache *c, const struct file_root *r, struct str path, int64_t now,
                   const struct cached_file **out)
{
    return open_kept(c, r, path, now, true, out);
}

int filecache_glance(struct filecache *c, const struct file_root *r, struct str path, int64_t now,
                     const struct cached_file **out)
{
    return open_kept(c, r, path, now, false, out);
}

void filecache_close(const struct cached_file *f)
{
    let_go((struct entry *)(uintptr_t)f);
}

void filecache_trim(struct filecache *c, int64_t now)
{
    struct shelf *s = &c->descriptors;
    while (s->oldest && (s->oldest->looked < now - FILECACHE_IDLE || s->oldest->looked > now))
        forget(c, s->oldest);
}

size_t filecache_descriptors(const struct filecache *c)
{
    return c->descriptors.count;
}
