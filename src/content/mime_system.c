// The system's table: see the header. Its text is kept as it was read but for letters made small;
// the entries point into it, sorted by extension. A type is copied only to get its charset.
#include "content/mime_system.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHARSET "; charset=utf-8"

struct entry {
    struct str extension, type;
};

static struct {
    char *text, *types; // types: those with a charset
    struct entry *entries;
    size_t n;
} table;

void mime_system_unload(void)
{
    free(table.text);
    free(table.types);
    free(table.entries);
    memset(&table, 0, sizeof table);
}

// --- reading ---

static int read_text(int fd, char *text, size_t max, size_t *n)
{
    for (*n = 0; *n < max;) {
        ssize_t got = read(fd, text + *n, max - *n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            return 0;
        *n += (size_t)got;
    }
    return -EFBIG;
}

// The whole file in memory of its own. A file that is no regular one could keep us waiting.
static int read_file(const char *path, char **text, size_t *n)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    int err = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
    size_t max = MIME_SYSTEM_BYTES + 1;
    *text = err ? NULL : malloc(max);
    if (!err)
        err = *text ? read_text(fd, *text, max, n) : -ENOMEM;
    close(fd);
    return err;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool take_word(struct str *rest, struct str *word)
{
    size_t from = 0;
    while (from < rest->n && is_space(rest->p[from]))
        from++;
    size_t to = from;
    while (to < rest->n && !is_space(rest->p[to]))
        to++;
    *word = str_of(rest->p + from, to - from);
    *rest = str_of(rest->p + to, rest->n - to);
    return word->n > 0;
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr("!#$&^_.+-", c))))
            return false;
    }
    return s.n > 0;
}

static bool is_type(struct str s)
{
    ptrdiff_t slash = str_find(s, '/');
    size_t at = (size_t)slash;
    return slash > 0 && s.n <= 127 && is_name(str_of(s.p, at)) &&
           is_name(str_of(s.p + at + 1, s.n - at - 1));
}

static bool is_extension(struct str s)
{
    return s.n <= MIME_SYSTEM_EXTENSION && is_name(s) && str_find(s, '.') < 0;
}

// Text types get their charset, in table.types, where *at bytes are in use.
static struct str settle_type(struct str type, size_t *at)
{
    if (!str_starts(type, STR("text/")))
        return type;
    char *p = table.types + *at;
    memcpy(p, type.p, type.n);
    memcpy(p + type.n, CHARSET, sizeof CHARSET - 1);
    *at += type.n + sizeof CHARSET - 1;
    return str_of(p, type.n + sizeof CHARSET - 1);
}

static void read_line(struct str line, size_t *types)
{
    struct str type, word;
    ptrdiff_t comment = str_find(line, '#');
    if (comment >= 0)
        line.n = (size_t)comment;
    if (!take_word(&line, &type) || !is_type(type))
        return;
    for (bool first = true; take_word(&line, &word);) {
        if (!is_extension(word))
            continue;
        if (first)
            type = settle_type(type, types);
        first = false;
        table.entries[table.n++] = (struct entry){word, type};
    }
}

// Of the same extension the earlier first: its text, or its extension's, lies before.
static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    size_t n = x->extension.n < y->extension.n ? x->extension.n : y->extension.n;
    int order = memcmp(x->extension.p, y->extension.p, n);
    if (order == 0 && x->extension.n != y->extension.n)
        order = x->extension.n < y->extension.n ? -1 : 1;
    return order ? order : x->extension.p < y->extension.p ? -1 : 1;
}

static void drop_doubles(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < table.n; i++)
        if (kept == 0 || !str_eq(table.entries[kept - 1].extension, table.entries[i].extension))
            table.entries[kept++] = table.entries[i];
    table.n = kept;
}

// Two bytes of text hold one extension at most, and a type with one has seven at least.
static bool make_room(size_t n)
{
    table.entries = calloc(n / 2 + 1, sizeof *table.entries);
    table.types = malloc(n + (n / 7 + 1) * sizeof CHARSET);
    return table.entries && table.types;
}

int mime_system_load(const char *path)
{
    size_t n = 0, types = 0;
    mime_system_unload();
    int err = read_file(path, &table.text, &n);
    if (!err && !make_room(n))
        err = -ENOMEM;
    if (err) {
        mime_system_unload();
        return err;
    }
    ascii_lower(table.text, table.text, n);
    struct str rest = str_of(table.text, n), line;
    while (str_split(&rest, '\n', &line))
        read_line(line, &types);
    qsort(table.entries, table.n, sizeof *table.entries, compare);
    drop_doubles();
    return 0;
}

// --- asking ---

static int find(const void *key, const void *entry)
{
    struct str s = *(const struct str *)key, e = ((const struct entry *)entry)->extension;
    int order = memcmp(s.p, e.p, s.n < e.n ? s.n : e.n);
    return order || s.n == e.n ? order : s.n < e.n ? -1 : 1;
}

struct str mime_system_type(struct str extension)
{
    if (table.n == 0 || extension.n == 0)
        return str_of(NULL, 0);
    const struct entry *e =
        bsearch(&extension, table.entries, table.n, sizeof *table.entries, find);
    return e ? e->type : str_of(NULL, 0);
}

bool mime_system_at(size_t i, struct str *extension, struct str *type)
{
    if (i >= table.n)
        return false;
    *extension = table.entries[i].extension;
    *type = table.entries[i].type;
    return true;
}
