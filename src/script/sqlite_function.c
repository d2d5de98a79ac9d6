// instr, replace and the trims: see the header. What they do otherwise is what SQLite's documentation
// says (lang_corefunc.html), with NULs and text that is not UTF-8 taken as its own functions take them.
#include "script/sqlite_function.h"

#include "base/str.h"
#include "script/sqlite_library.h"

#include <string.h>

// The argument as text; without p for NULL, and without memory.
static struct str text_of(struct sqlite3_value *v)
{
    const char *p = (const char *)sqlite.value_text(v);
    return str_of(p, p ? (size_t)sqlite.value_bytes(v) : 0);
}

static const char *find(struct str in, struct str what)
{
    return what.n > in.n ? NULL : memmem(in.p, in.n, what.p, what.n);
}

// instr -------------------------------------------------------------------------------------------

static bool continues(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

static int64_t characters(const char *p, const char *end)
{
    int64_t n = 0;
    for (; p < end; p++)
        n += !continues(*p);
    return n;
}

// The place is counted in bytes for blobs, else in characters, which begin at the first byte and wherever
// a byte does not go on with one.
static int64_t place_of(struct str in, struct str what, bool text)
{
    if (what.n == 0)
        return 1;
    if (text && continues(what.p[0])) // no later character begins so
        return what.n <= in.n && memcmp(in.p, what.p, what.n) == 0;
    const char *at = find(in, what);
    if (!at)
        return 0;
    if (!text)
        return at - in.p + 1;
    return characters(in.p + (at > in.p), at) + (at > in.p) + 1;
}

static void instr_of_blobs(struct sqlite3_context *c, struct sqlite3_value **v)
{
    struct str in = str_of(sqlite.value_blob(v[0]), (size_t)sqlite.value_bytes(v[0]));
    struct str what = str_of(sqlite.value_blob(v[1]), (size_t)sqlite.value_bytes(v[1]));
    if ((in.n && !in.p) || (what.n && !what.p))
        sqlite.result_error_nomem(c);
    else
        sqlite.result_int64(c, place_of(in, what, false));
}

// Copies, since a blob that is looked at as text would be text for others, too.
static void instr_of_texts(struct sqlite3_context *c, struct sqlite3_value **v)
{
    struct sqlite3_value *a = sqlite.value_dup(v[0]), *b = sqlite.value_dup(v[1]);
    struct str in = a ? text_of(a) : str_of(NULL, 0), what = b ? text_of(b) : str_of(NULL, 0);
    if (in.p && what.p)
        sqlite.result_int64(c, place_of(in, what, true));
    else
        sqlite.result_error_nomem(c);
    sqlite.value_free(a);
    sqlite.value_free(b);
}

static void run_instr(struct sqlite3_context *c, int n, struct sqlite3_value **v)
{
    (void)n;
    int a = sqlite.value_type(v[0]), b = sqlite.value_type(v[1]);
    if (a == SQLITE_NULL || b == SQLITE_NULL)
        return;
    if (a == SQLITE_BLOB && b == SQLITE_BLOB)
        instr_of_blobs(c, v);
    else
        instr_of_texts(c, v);
}

// replace -----------------------------------------------------------------------------------------

static void add(char **to, const char *from, size_t n)
{
    if (n)
        memcpy(*to, from, n);
    *to += n;
}

static size_t count(struct str in, struct str what)
{
    size_t n = 0;
    const char *end = in.p + in.n, *at;
    while ((at = find(in, what))) {
        n++;
        in = str_of(at + what.n, (size_t)(end - at) - what.n);
    }
    return n;
}

static void put_replaced(struct sqlite3_context *c, struct str in, struct str what, struct str by)
{
    const char *end = in.p + in.n, *at;
    size_t times = count(in, what), kept = in.n - times * what.n;
    size_t limit = (size_t)sqlite.limit(sqlite.context_db_handle(c), SQLITE_LIMIT_LENGTH, -1);
    if (kept > limit || (by.n && times > (limit - kept) / by.n)) {
        sqlite.result_error_toobig(c);
        return;
    }
    size_t size = kept + times * by.n;
    char *out = sqlite.malloc64(size + 1), *to = out;
    if (!out) {
        sqlite.result_error_nomem(c);
        return;
    }
    while ((at = find(in, what))) {
        add(&to, in.p, (size_t)(at - in.p));
        add(&to, by.p, by.n);
        in = str_of(at + what.n, (size_t)(end - at) - what.n);
    }
    add(&to, in.p, in.n);
    *to = '\0';
    sqlite.result_text64(c, out, size, sqlite.free, SQLITE_UTF8);
}

// Text without a p is NULL, or there was no memory for it, which SQLite notices by itself.
static void run_replace(struct sqlite3_context *c, int n, struct sqlite3_value **v)
{
    (void)n;
    struct str in = text_of(v[0]), what = text_of(v[1]);
    if (!in.p || !what.p)
        return;
    if (what.n == 0 || what.p[0] == '\0') {
        sqlite.result_value(c, v[0]);
        return;
    }
    struct str by = text_of(v[2]);
    if (by.p)
        put_replaced(c, in, what, by);
}

// trim, ltrim, rtrim ------------------------------------------------------------------------------

enum { LEFT = 1, RIGHT = 2 };

static size_t length_of_first(struct str s)
{
    size_t n = 1;
    if ((unsigned char)s.p[0] >= 0xc0)
        while (n < s.n && continues(s.p[n]))
            n++;
    return n;
}

// The bytes of the character of the set that s begins or ends with; 0: none.
static size_t match(struct str s, struct str set, int side)
{
    while (set.n) {
        size_t n = length_of_first(set);
        if (n <= s.n && memcmp(side == LEFT ? s.p : s.p + s.n - n, set.p, n) == 0)
            return n;
        set = str_of(set.p + n, set.n - n);
    }
    return 0;
}

static void run_trim(struct sqlite3_context *c, int n, struct sqlite3_value **v)
{
    const int *sides = sqlite.user_data(c);
    size_t off;
    (void)n;
    if (sqlite.value_type(v[0]) == SQLITE_NULL)
        return;
    struct str s = text_of(v[0]), set = text_of(v[1]);
    if (!s.p || !set.p)
        return;
    set.n = strnlen(set.p, set.n);
    if (set.n > TRIM_BYTES_MAX) {
        sqlite.result_error(c, "trim takes away a set of at most 128 bytes of characters", -1);
        return;
    }
    while (*sides & LEFT && (off = match(s, set, LEFT)))
        s = str_of(s.p + off, s.n - off);
    while (*sides & RIGHT && (off = match(s, set, RIGHT)))
        s = str_of(s.p, s.n - off);
    sqlite.result_text64(c, s.p, s.n, SQLITE_TRANSIENT, SQLITE_UTF8);
}

bool sqlite_function_register(struct sqlite3 *db)
{
    static int left = LEFT, right = RIGHT, both = LEFT | RIGHT;
    static const struct {
        const char *name;
        int arguments;
        int *data;
        void (*run)(struct sqlite3_context *, int, struct sqlite3_value **);
    } functions[] = {
        {"instr", 2, NULL, run_instr}, {"replace", 3, NULL, run_replace},
        {"ltrim", 2, &left, run_trim}, {"rtrim", 2, &right, run_trim},
        {"trim", 2, &both, run_trim},
    };
    static const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (sqlite.create_function_v2(db, functions[i].name, functions[i].arguments, flags,
                                      functions[i].data, functions[i].run, NULL, NULL,
                                      NULL) != SQLITE_OK)
            return false;
    return true;
}
