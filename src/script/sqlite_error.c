// Failures of SQLite: see the header.
#include "script/sqlite_error.h"
#include "script/sqlite_library.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

// Primary codes with their word, and those of their extended ones that a site may want to tell apart.
#define CODE(name, kind)                     \
    {                                        \
        SQLITE_##name, "SQLITE_" #name, kind \
    }
static const struct {
    int code;
    const char *name, *kind;
} codes[] = {
    CODE(ERROR, "sql"),
    CODE(INTERNAL, "internal"),
    CODE(PERM, "readonly"),
    CODE(ABORT, "abort"),
    CODE(BUSY, "busy"),
    CODE(LOCKED, "busy"),
    CODE(NOMEM, "memory"),
    CODE(READONLY, "readonly"),
    CODE(INTERRUPT, "interrupt"),
    CODE(IOERR, "io"),
    CODE(CORRUPT, "corrupt"),
    CODE(FULL, "full"),
    CODE(CANTOPEN, "open"),
    CODE(PROTOCOL, "busy"),
    CODE(SCHEMA, "sql"),
    CODE(TOOBIG, "too_big"),
    CODE(CONSTRAINT, "constraint"),
    CODE(MISMATCH, "mismatch"),
    CODE(MISUSE, "misuse"),
    CODE(NOLFS, "full"),
    CODE(AUTH, "denied"),
    CODE(RANGE, "misuse"),
    CODE(NOTADB, "corrupt"),
    CODE(CONSTRAINT_CHECK, NULL),
    CODE(CONSTRAINT_COMMITHOOK, NULL),
    CODE(CONSTRAINT_DATATYPE, NULL),
    CODE(CONSTRAINT_FOREIGNKEY, NULL),
    CODE(CONSTRAINT_FUNCTION, NULL),
    CODE(CONSTRAINT_NOTNULL, NULL),
    CODE(CONSTRAINT_PINNED, NULL),
    CODE(CONSTRAINT_PRIMARYKEY, NULL),
    CODE(CONSTRAINT_ROWID, NULL),
    CODE(CONSTRAINT_TRIGGER, NULL),
    CODE(CONSTRAINT_UNIQUE, NULL),
    CODE(CONSTRAINT_VTAB, NULL),
    CODE(ABORT_ROLLBACK, NULL),
    CODE(BUSY_RECOVERY, NULL),
    CODE(BUSY_SNAPSHOT, NULL),
    CODE(BUSY_TIMEOUT, NULL),
    CODE(CANTOPEN_FULLPATH, NULL),
    CODE(CANTOPEN_ISDIR, NULL),
    CODE(CANTOPEN_SYMLINK, NULL),
    CODE(CORRUPT_INDEX, NULL),
    CODE(CORRUPT_VTAB, NULL),
    CODE(ERROR_SNAPSHOT, NULL),
    CODE(IOERR_ACCESS, NULL),
    CODE(IOERR_CHECKRESERVEDLOCK, NULL),
    CODE(IOERR_CLOSE, NULL),
    CODE(IOERR_DELETE, NULL),
    CODE(IOERR_DIR_FSYNC, NULL),
    CODE(IOERR_FSTAT, NULL),
    CODE(IOERR_FSYNC, NULL),
    CODE(IOERR_LOCK, NULL),
    CODE(IOERR_NOMEM, "memory"),
    CODE(IOERR_READ, NULL),
    CODE(IOERR_SHMLOCK, NULL),
    CODE(IOERR_SHMMAP, NULL),
    CODE(IOERR_SHMOPEN, NULL),
    CODE(IOERR_SHMSIZE, NULL),
    CODE(IOERR_SHORT_READ, NULL),
    CODE(IOERR_TRUNCATE, NULL),
    CODE(IOERR_UNLOCK, NULL),
    CODE(IOERR_WRITE, NULL),
    CODE(READONLY_CANTINIT, NULL),
    CODE(READONLY_CANTLOCK, NULL),
    CODE(READONLY_DBMOVED, NULL),
    CODE(READONLY_DIRECTORY, NULL),
    CODE(READONLY_RECOVERY, NULL),
    CODE(READONLY_ROLLBACK, NULL),
};
enum { CODES = sizeof codes / sizeof *codes };

static int find(int code)
{
    for (int i = 0; i < CODES; i++)
        if (codes[i].code == code)
            return i;
    return -1;
}

static int find_or_primary(int code)
{
    int i = find(code);
    return i >= 0 ? i : find(code & 0xff);
}

const char *sqlite_kind(int code)
{
    int i = find_or_primary(code);
    if (i >= 0 && !codes[i].kind)
        i = find(code & 0xff);
    return i >= 0 ? codes[i].kind : "other";
}

const char *sqlite_code_name(int code)
{
    int i = find_or_primary(code);
    return i >= 0 ? codes[i].name : "SQLITE_UNKNOWN";
}

bool sqlite_is_fatal(int code)
{
    switch (code & 0xff) {
    case SQLITE_INTERNAL:
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_CANTOPEN:
    case SQLITE_NOTADB:
        return true;
    default:
        return false;
    }
}

void sqlite_fail(struct sqlite_failure *f, int code, const char *format, ...)
{
    va_list args;
    if (f->code != SQLITE_OK)
        return;
    f->code = code;
    va_start(args, format);
    vsnprintf(f->text, sizeof f->text, format, args);
    va_end(args);
}

void sqlite_fail_db(struct sqlite_failure *f, int code, struct sqlite3 *db)
{
    // The message may be of another failure, when there was no memory for this one's.
    const char *text = db && (sqlite.errcode(db) & 0xff) == (code & 0xff) ? sqlite.errmsg(db)
                                                                          : sqlite.errstr(code);
    sqlite_fail(f, code, "%s", text);
}
