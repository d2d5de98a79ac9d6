// Reading and sorting a folder: see the header. The page is made in listing_page.c.
#include "content/listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_MAX = LISTING_ENTRIES * (NAME_MAX + 1) };

// --- reading ---

static bool add(struct listing *l, struct str name, struct listing_entry e)
{
    e.name = l->names.n;
    e.name_n = name.n;
    if (!buf_add(&l->names, name))
        return false;
    l->entries[l->n++] = e;
    return true;
}

// A link is what it leads to, by the rules of file_open.
static bool follow(const struct file_root *r, struct str folder, struct str name,
                   struct listing_entry *e)
{
    char path[PATH_MAX];
    struct file f;
    if (folder.n + name.n > sizeof path)
        return false;
    memcpy(path, folder.p, folder.n);
    memcpy(path + folder.n, name.p, name.n);
    if (file_open(r, str_of(path, folder.n + name.n), &f) != 0)
        return false;
    if (f.fd >= 0)
        close(f.fd);
    *e = (struct listing_entry){.size = f.size, .modified = f.mtime.tv_sec, .is_dir = f.is_dir};
    return true;
}

// False for what is not shown.
static bool look_at(const struct file_root *r, struct str folder, int fd, const char *name,
                    struct listing_entry *e)
{
    struct stat st;
    if (name[0] == '.' || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    if (S_ISLNK(st.st_mode))
        return follow(r, folder, str_z(name), e);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return false;
    *e = (struct listing_entry){.modified = st.st_mtim.tv_sec, .is_dir = S_ISDIR(st.st_mode)};
    e->size = e->is_dir ? 0 : (uint64_t)st.st_size;
    return true;
}

static int read_entries(const struct file_root *r, struct str path, DIR *dir, struct listing *l)
{
    for (size_t seen = 0;; seen++) {
        struct listing_entry e;
        errno = 0;
        const struct dirent *d = readdir(dir);
        if (!d)
            return -errno;
        if (seen == LISTING_SEEN) {
            l->more = true;
            return 0;
        }
        if (!look_at(r, path, dirfd(dir), d->d_name, &e))
            continue;
        l->more = l->n == LISTING_ENTRIES;
        if (l->more)
            return 0;
        if (!add(l, str_z(d->d_name), e))
            return -ENOMEM;
    }
}

int listing_read(const struct file_root *r, struct str path, int fd, struct listing *out)
{
    *out = (struct listing){.entries = malloc(LISTING_ENTRIES * sizeof *out->entries)};
    buf_init(&out->names, NAMES_MAX);
    DIR *dir = out->entries ? fdopendir(fd) : NULL;
    int err = !out->entries ? -ENOMEM : dir ? 0 : -errno;
    if (!err)
        err = read_entries(r, path, dir, out);
    if (dir)
        closedir(dir);
    else
        close(fd);
    if (err)
        listing_free(out);
    return err;
}

void listing_free(struct listing *l)
{
    buf_fini(&l->names);
    free(l->entries);
    *l = (struct listing){0};
}

// --- sorting ---

static bool key_of(struct str text, enum listing_key *key)
{
    static const struct str names[] = {
        [LISTING_NAME] = STR("name"), [LISTING_SIZE] = STR("size"), [LISTING_TIME] = STR("time")};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!str_eq(text, names[i]))
            continue;
        *key = (enum listing_key)i;
        return true;
    }
    return false;
}

struct listing_order listing_order_of(struct str query)
{
    struct listing_order order = {LISTING_NAME, false};
    struct str piece;
    int told = -1;
    while (str_split(&query, '&', &piece)) {
        if (str_starts(piece, STR("sort=")))
            key_of(str_of(piece.p + 5, piece.n - 5), &order.key);
        else if (str_eq(piece, STR("order=asc")) || str_eq(piece, STR("order=desc")))
            told = piece.n == 10;
    }
    order.descending = told < 0 ? order.key != LISTING_NAME : told;
    return order;
}

struct sorting {
    const char *names;
    struct listing_order order;
};

static unsigned char fold(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static int compare_names(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    for (size_t i = 0; i < n; i++)
        if (fold(a.p[i]) != fold(b.p[i]))
            return fold(a.p[i]) < fold(b.p[i]) ? -1 : 1;
    int order = memcmp(a.p, b.p, n);
    return a.n != b.n ? (a.n < b.n ? -1 : 1) : order;
}

static int compare_keys(const struct listing_entry *a, const struct listing_entry *b,
                        enum listing_key key)
{
    if (key == LISTING_SIZE && a->size != b->size)
        return a->size < b->size ? -1 : 1;
    if (key == LISTING_TIME && a->modified != b->modified)
        return a->modified < b->modified ? -1 : 1;
    return 0;
}

// What is alike by its key is in the order of names, whichever way.
static int compare(const void *x, const void *y, void *arg)
{
    const struct listing_entry *a = x, *b = y;
    const struct sorting *s = arg;
    if (a->is_dir != b->is_dir)
        return a->is_dir ? -1 : 1;
    int order = compare_keys(a, b, s->order.key);
    bool by_name = s->order.key == LISTING_NAME;
    if (order == 0) {
        order = compare_names(str_of(s->names + a->name, a->name_n),
                              str_of(s->names + b->name, b->name_n));
        if (!by_name)
            return order;
    }
    return s->order.descending ? -order : order;
}

void listing_sort(struct listing *l, struct listing_order order)
{
    struct sorting s = {l->names.p, order};
    qsort_r(l->entries, l->n, sizeof *l->entries, compare, &s);
}
