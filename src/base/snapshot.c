// A folder's files in a memfd: see the header.
//
//      struct head │ struct entry × count, sorted by name │ names and texts
//
// All positions count from the first byte. Names end in a NUL that their length does not count.
#include "base/snapshot.h"

#include "base/buf.h"
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static const char MAGIC[8] = "lunette\1";

struct head {
    char magic[8];
    uint64_t count;
};

struct entry {
    uint64_t name_at, name_n, text_at, text_n;
};

struct snapshot {
    const char *p;
    size_t n;
    uint64_t count;
    const struct entry *entries;
};

// Reading -----------------------------------------------------------------------------------------

struct reading {
    struct buf names, texts;
    struct entry *entries; // positions count from names.p and texts.p until the end
    size_t count, cap;
    char path[PATH_MAX]; // of the file that is read
    size_t folder_n;     // of it
    char *why;
};

static bool fail(struct reading *r, const char *what)
{
    snprintf(r->why, SNAPSHOT_WHY_MAX, "cannot read %s: %s", r->path, what);
    return false;
}

static struct entry *new_entry(struct reading *r)
{
    if (r->count == SNAPSHOT_FILES) {
        fail(r, "the folder holds more files than a snapshot takes (10000)");
        return NULL;
    }
    if (r->count == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 64;
        struct entry *entries = reallocarray(r->entries, cap, sizeof *entries);
        if (!entries) {
            fail(r, strerror(ENOMEM));
            return NULL;
        }
        r->entries = entries;
        r->cap = cap;
    }
    return &r->entries[r->count];
}

// The bytes of fd, of which there were n. What grows or shrinks meanwhile is read as far as it is
// there: whoever writes scripts in place sees half of them with any server.
static bool add_text(struct reading *r, int fd, size_t n, struct entry *e)
{
    e->text_at = r->texts.n;
    while (n > 0) {
        char *p = buf_room(&r->texts, n);
        if (!p)
            return fail(r, "the folder holds more bytes than a snapshot takes (256 MiB)");
        ssize_t got = read(fd, p, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(r, strerror(errno));
        if (got == 0)
            break;
        buf_added(&r->texts, (size_t)got);
        n -= (size_t)got;
    }
    e->text_n = r->texts.n - e->text_at;
    return true;
}

static bool add_file(struct reading *r, int fd, const struct stat *st)
{
    struct entry *e = new_entry(r);
    struct str name = str_z(r->path + r->folder_n + 1);
    if (!e)
        return false;
    if (st->st_size > SNAPSHOT_FILE_BYTES)
        return fail(r, "it is larger than 16 MiB");
    e->name_at = r->names.n;
    e->name_n = name.n;
    if (!buf_add(&r->names, str_of(name.p, name.n + 1)))
        return fail(r, strerror(ENOMEM));
    if (!add_text(r, fd, (size_t)st->st_size, e))
        return false;
    r->count++;
    return true;
}

static bool add_folder(struct reading *r, int fd, int depth);

// What r->path names. A link that leads nowhere is left out, as are pipes and devices.
static bool add_path(struct reading *r, int depth)
{
    struct stat st;
    int fd = open(r->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENXIO || errno == ELOOP || fail(r, strerror(errno));
    bool ok = fstat(fd, &st) == 0 || fail(r, strerror(errno));
    if (ok && S_ISDIR(st.st_mode))
        return add_folder(r, fd, depth + 1);
    if (ok && S_ISREG(st.st_mode))
        ok = add_file(r, fd, &st);
    close(fd);
    return ok;
}

// Takes fd over.
static bool add_folder(struct reading *r, int fd, int depth)
{
    DIR *d = depth < SNAPSHOT_DEPTH ? fdopendir(fd) : NULL;
    size_t n = strlen(r->path);
    struct dirent *e;
    bool ok = true;
    if (!d) {
        ok = fail(r, depth < SNAPSHOT_DEPTH ? strerror(errno)
                                            : "more than 16 folders are in each other");
        close(fd);
        return ok;
    }
    while (ok && (e = readdir(d))) {
        size_t length = strlen(e->d_name);
        if (e->d_name[0] == '.' || e->d_name[length - 1] == '~')
            continue;
        int more = snprintf(r->path + n, sizeof r->path - n, "/%s", e->d_name);
        ok =
            more < (int)(sizeof r->path - n) ? add_path(r, depth) : fail(r, strerror(ENAMETOOLONG));
        if (ok)
            r->path[n] = '\0';
    }
    closedir(d);
    return ok;
}

static bool add_all(struct reading *r)
{
    if (r->folder_n >= sizeof r->path)
        return fail(r, strerror(ENAMETOOLONG));
    int fd = open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || fail(r, strerror(errno));
    return add_folder(r, fd, 0);
}

// Writing -----------------------------------------------------------------------------------------

static int by_name(const void *a, const void *b, void *names)
{
    const struct entry *x = a, *y = b;
    const char *p = names;
    return str_order(str_of(p + x->name_at, x->name_n), str_of(p + y->name_at, y->name_n));
}

static int write_down(struct reading *r, int fd)
{
    struct head head = {.count = r->count};
    memcpy(head.magic, MAGIC, sizeof head.magic);
    if (r->count)
        qsort_r(r->entries, r->count, sizeof *r->entries, by_name, r->names.p);
    uint64_t names_at = sizeof head + r->count * sizeof *r->entries;
    for (size_t i = 0; i < r->count; i++) {
        r->entries[i].name_at += names_at;
        r->entries[i].text_at += names_at + r->names.n;
    }
    const struct str pieces[] = {
        {(const char *)&head, sizeof head},
        {(const char *)r->entries, r->count * sizeof *r->entries},
        buf_str(&r->names),
        buf_str(&r->texts),
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof pieces / sizeof *pieces; i++)
        rc = io_write_all(fd, pieces[i]);
    if (rc == 0 && fcntl(fd, F_ADD_SEALS, SEALS) != 0)
        rc = -errno;
    return rc;
}

static int make(struct reading *r)
{
    int fd = memfd_create("lunette-scripts", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int rc = fd < 0 ? -errno : write_down(r, fd);
    if (rc == 0)
        return fd;
    snprintf(r->why, SNAPSHOT_WHY_MAX, "cannot keep the files of %s in memory: %s", r->path,
             strerror(-rc));
    if (fd >= 0)
        close(fd);
    return -1;
}

int snapshot_make(const char *folder, char why[static SNAPSHOT_WHY_MAX])
{
    struct reading *r = calloc(1, sizeof *r);
    int fd = -1;
    if (!r) {
        snprintf(why, SNAPSHOT_WHY_MAX, "cannot read %s: %s", folder, strerror(ENOMEM));
        return -1;
    }
    r->why = why;
    buf_init(&r->names, (size_t)SNAPSHOT_FILES * PATH_MAX);
    buf_init(&r->texts, SNAPSHOT_BYTES);
    r->folder_n = strlen(folder);
    snprintf(r->path, sizeof r->path, "%s", folder);
    if (add_all(r))
        fd = make(r);
    buf_fini(&r->names);
    buf_fini(&r->texts);
    free(r->entries);
    free(r);
    return fd;
}

// Looking -----------------------------------------------------------------------------------------

static bool within(const struct snapshot *s, uint64_t at, uint64_t n)
{
    return at <= s->n && n <= s->n - at;
}

static struct str name_of(const struct snapshot *s, uint64_t i)
{
    return str_of(s->p + s->entries[i].name_at, s->entries[i].name_n);
}

static struct str text_of(const struct snapshot *s, uint64_t i)
{
    return str_of(s->p + s->entries[i].text_at, s->entries[i].text_n);
}

static bool is_whole(const struct snapshot *s)
{
    const struct head *h = (const struct head *)s->p;
    if (s->n < sizeof *h || memcmp(h->magic, MAGIC, sizeof MAGIC) != 0 ||
        h->count > (s->n - sizeof *h) / sizeof *s->entries)
        return false;
    for (uint64_t i = 0; i < h->count; i++) {
        const struct entry *e = &s->entries[i];
        if (!within(s, e->name_at, e->name_n) || !within(s, e->text_at, e->text_n))
            return false;
    }
    return true;
}

struct snapshot *snapshot_open(int fd)
{
    struct stat st;
    struct snapshot *s = calloc(1, sizeof *s);
    if (!s || fstat(fd, &st) != 0)
        goto fail;
    s->n = (size_t)st.st_size;
    s->p = mmap(NULL, s->n, PROT_READ, MAP_SHARED, fd, 0);
    if (s->p == MAP_FAILED)
        goto fail;
    s->entries = (const struct entry *)(s->p + sizeof(struct head));
    if (is_whole(s)) {
        s->count = ((const struct head *)s->p)->count;
        return s;
    }
    munmap((void *)(uintptr_t)s->p, s->n);
    errno = EPROTO;
fail:
    free(s);
    return NULL;
}

void snapshot_close(struct snapshot *s)
{
    if (!s)
        return;
    munmap((void *)(uintptr_t)s->p, s->n);
    free(s);
}

bool snapshot_find(const struct snapshot *s, struct str name, struct str *text)
{
    uint64_t low = 0, high = s->count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int c = str_order(name, name_of(s, middle));
        if (c == 0) {
            *text = text_of(s, middle);
            return true;
        }
        if (c < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

bool snapshot_file(const struct snapshot *s, size_t i, struct str *name, struct str *text)
{
    if (i >= s->count)
        return false;
    *name = name_of(s, i);
    *text = text_of(s, i);
    return true;
}

bool snapshot_same(const struct snapshot *a, const struct snapshot *b)
{
    if (a->count != b->count)
        return false;
    for (uint64_t i = 0; i < a->count; i++)
        if (!str_eq(name_of(a, i), name_of(b, i)) || !str_eq(text_of(a, i), text_of(b, i)))
            return false;
    return true;
}
