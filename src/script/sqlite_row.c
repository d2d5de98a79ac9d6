// Rows as bytes, on their way from a thread to Lua: see sqlite_query.h. Numbers are as the machine has
// them, since they never leave the process.
#include "script/sqlite_row.h"
#include "script/sqlite_library.h"

#include <assert.h>
#include <string.h>

static bool add(struct buf *b, const void *p, size_t n)
{
    return buf_add(b, str_of(p, n));
}

static bool add_bytes(struct buf *b, const void *p, size_t n)
{
    uint32_t count = (uint32_t)n; // VALUE_BYTES_MAX is below
    return add(b, &count, sizeof count) && (n == 0 || add(b, p, n));
}

bool sqlite_add_names(struct buf *b, struct sqlite3_stmt *stmt)
{
    uint32_t count = (uint32_t)sqlite.column_count(stmt);
    bool ok = add(b, &count, sizeof count);
    for (uint32_t i = 0; ok && i < count; i++) {
        const char *name = sqlite.column_name(stmt, (int)i); // NULL without memory
        ok = name && add_bytes(b, name, strlen(name));
    }
    return ok;
}

// Without memory the pointer is NULL; that of an empty blob is NULL, too.
static bool add_text(struct buf *b, struct sqlite3_stmt *stmt, int i)
{
    bool blob = sqlite.column_type(stmt, i) == SQLITE_BLOB;
    const void *p = blob ? sqlite.column_blob(stmt, i) : (const void *)sqlite.column_text(stmt, i);
    if (!p && (!blob || sqlite.errcode(sqlite.db_handle(stmt)) == SQLITE_NOMEM))
        return false;
    return add_bytes(b, p, (size_t)sqlite.column_bytes(stmt, i));
}

static bool add_column(struct buf *b, struct sqlite3_stmt *stmt, int i)
{
    switch (sqlite.column_type(stmt, i)) {
    case SQLITE_INTEGER: {
        int64_t integer = sqlite.column_int64(stmt, i);
        return buf_addc(b, VALUE_INTEGER) && add(b, &integer, sizeof integer);
    }
    case SQLITE_FLOAT: {
        double number = sqlite.column_double(stmt, i);
        return buf_addc(b, VALUE_FLOAT) && add(b, &number, sizeof number);
    }
    case SQLITE_NULL:
        return buf_addc(b, VALUE_NULL);
    default:
        return buf_addc(b, VALUE_TEXT) && add_text(b, stmt, i);
    }
}

bool sqlite_add_row(struct buf *b, struct sqlite3_stmt *stmt)
{
    int count = sqlite.data_count(stmt);
    for (int i = 0; i < count; i++)
        if (!add_column(b, stmt, i))
            return false;
    return true;
}

static void take(struct str *s, void *dst, size_t n)
{
    assert(s->n >= n);
    memcpy(dst, s->p, n);
    *s = str_of(s->p + n, s->n - n);
}

uint32_t sqlite_take_count(struct str *s)
{
    uint32_t count;
    take(s, &count, sizeof count);
    return count;
}

struct str sqlite_take_bytes(struct str *s)
{
    size_t n = sqlite_take_count(s);
    assert(s->n >= n);
    struct str bytes = str_of(s->p, n);
    *s = str_of(s->p + n, s->n - n);
    return bytes;
}

struct sqlite_value sqlite_take_value(struct str *s)
{
    char type;
    take(s, &type, 1);
    struct sqlite_value v = {.type = (enum sqlite_type)type};
    if (v.type == VALUE_INTEGER)
        take(s, &v.integer, sizeof v.integer);
    else if (v.type == VALUE_FLOAT)
        take(s, &v.number, sizeof v.number);
    else if (v.type == VALUE_TEXT)
        v.bytes = sqlite_take_bytes(s);
    return v;
}
