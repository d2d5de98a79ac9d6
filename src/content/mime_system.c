// The system's table: see the header. Of the file only the words that are needed are kept, side by
// side and in its order; the entries say where, sorted by extension.
#include "content/mime_system.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHARSET "; charset=utf-8"

enum { TYPE_MAX = 127 }; // bytes of one, without a charset
static_assert(MIME_SYSTEM_EXTENSION <= UINT8_MAX && TYPE_MAX + sizeof CHARSET <= UINT8_MAX,
              "a length is a byte");

struct entry {
    uint32_t extension, type; // where they begin in table.words
    uint8_t extension_n, type_n;
};

static struct {
    char *words;
    size_t used; // of words
    struct entry *entries;
    size_t n;
} table;

static struct str extension_of(const struct entry *e)
{
    return str_of(table.words + e->extension, e->extension_n);
}

static struct str type_of(const struct entry *e)
{
    return str_of(table.words + e->type, e->type_n);
}

void mime_system_unload(void)
{
    free(table.words);
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
    *text = NULL;
    if (fd < 0)
        return -errno;
    int err = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
    size_t max = MIME_SYSTEM_BYTES + 1;
    if (!err)
        *text = malloc(max);
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
    return slash > 0 && s.n <= TYPE_MAX && is_name(str_of(s.p, at)) &&
           is_name(str_of(s.p + at + 1, s.n - at - 1));
}

static bool is_extension(struct str s)
{
    return s.n <= MIME_SYSTEM_EXTENSION && is_name(s) && str_find(s, '.') < 0;
}

static void keep(struct str word)
{
    memcpy(table.words + table.used, word.p, word.n);
    table.used += word.n;
}

// Where type begins among the words; text types get their charset.
static uint32_t keep_type(struct str type, uint8_t *n)
{
    size_t at = table.used;
    keep(type);
    if (str_starts(type, STR("text/")))
        keep(STR(CHARSET));
    *n = (uint8_t)(table.used - at);
    return (uint32_t)at;
}

static void read_line(struct str line)
{
    struct str type, word;
    struct entry e = {0};
    ptrdiff_t comment = str_find(line, '#');
    if (comment >= 0)
        line.n = (size_t)comment;
    if (!take_word(&line, &type) || !is_type(type))
        return;
    while (take_word(&line, &word)) {
        if (!is_extension(word))
            continue;
        if (e.type_n == 0)
            e.type = keep_type(type, &e.type_n);
        e.extension = (uint32_t)table.used;
        e.extension_n = (uint8_t)word.n;
        keep(word);
        table.entries[table.n++] = e;
    }
}

// Of the same extension the earlier first.
static int compare(const void *a, const void *b)
{
    const struct entry *e = a, *f = b;
    struct str x = extension_of(e), y = extension_of(f);
    int order = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);
    if (order == 0 && x.n != y.n)
        order = x.n < y.n ? -1 : 1;
    return order ? order : e->extension < f->extension ? -1 : 1;
}

static void drop_doubles(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < table.n; i++)
        if (kept == 0 ||
            !str_eq(extension_of(&table.entries[kept - 1]), extension_of(&table.entries[i])))
            table.entries[kept++] = table.entries[i];
    table.n = kept;
}

// Two bytes of text hold one extension at most, and a type with one has seven at least.
static bool make_room(size_t n)
{
    table.entries = calloc(n / 2 + 1, sizeof *table.entries);
    table.words = malloc(n + (n / 7 + 1) * sizeof CHARSET);
    return table.entries && table.words;
}

// What was room for the worst file.
static void give_rest_back(void)
{
    char *words = realloc(table.words, table.used + 1);
    struct entry *entries = reallocarray(table.entries, table.n + 1, sizeof *entries);
    if (words)
        table.words = words;
    if (entries)
        table.entries = entries;
}

int mime_system_load(const char *path)
{
    char *text;
    size_t n = 0;
    mime_system_unload();
    int err = read_file(path, &text, &n);
    if (!err && !make_room(n))
        err = -ENOMEM;
    if (!err) {
        ascii_lower(text, text, n);
        struct str rest = str_of(text, n), line;
        while (str_split(&rest, '\n', &line))
            read_line(line);
        qsort(table.entries, table.n, sizeof *table.entries, compare);
        drop_doubles();
        give_rest_back();
    }
    free(text);
    if (err)
        mime_system_unload();
    return err;
}

// --- asking ---

static int find(const void *key, const void *entry)
{
    struct str s = *(const struct str *)key, e = extension_of(entry);
    int order = memcmp(s.p, e.p, s.n < e.n ? s.n : e.n);
    return order || s.n == e.n ? order : s.n < e.n ? -1 : 1;
}

struct str mime_system_type(struct str extension)
{
    if (table.n == 0 || extension.n == 0)
        return str_of(NULL, 0);
    const struct entry *e =
        bsearch(&extension, table.entries, table.n, sizeof *table.entries, find);
    return e ? type_of(e) : str_of(NULL, 0);
}

bool mime_system_at(size_t i, struct str *extension, struct str *type)
{
    if (i >= table.n)
        return false;
    *extension = extension_of(&table.entries[i]);
    *type = type_of(&table.entries[i]);
    return true;
}
