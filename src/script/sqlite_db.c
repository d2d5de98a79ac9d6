// Databases and who has their connections: see the header.
#include "script/sqlite_db.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

struct sqlite_link {
    struct sqlite_conn conn; // a thread's, while `working` or `tidying`
    struct pool_job tidy;
    struct sqlite_db *db;
    struct sqlite_link *next; // among those that are free
    bool leased, working, tidying;
    bool stopped; // its job was told to stop: nothing more is done with it before it is tidied
    bool closing; // tidying it means closing it
    enum sqlite_use use;
    uint64_t serial;
    uint64_t left[CURSORS_MAX];
    unsigned left_count;
};

// Those that wait for one kind of connection.
struct turns {
    struct sqlite_turn *first, **end;
};

struct sqlite_db {
    struct sqlite_db_options options;
    struct sqlite_setup setup;
    struct sqlite_link *free_readers;
    struct sqlite_link *to_close; // of a closed database: those that are free
    struct sqlite_link *writer;   // made when it is first wanted
    unsigned readers;             // there are
    unsigned loops;               // of them, leased for loops
    unsigned links;               // all of them: while there are any, the struct lives
    struct turns reading, writing;
    bool closed;
    bool closes; // one of its connections does
};

static void serve(struct sqlite_db *db);
static void give_back(struct sqlite_link *link);
static void close_next(struct sqlite_db *db);

static unsigned databases; // of this process that are not gone yet; a worker has one loop
static unsigned closing;   // of those, closed ones

// Making and closing ------------------------------------------------------------------------------

struct sqlite_db *sqlite_db_new(const struct sqlite_db_options *o)
{
    struct sqlite_db *db = databases < DATABASES_MAX ? calloc(1, sizeof *db) : NULL;
    if (!db) {
        free(o->path);
        errno = databases < DATABASES_MAX ? ENOMEM : EMFILE;
        return NULL;
    }
    databases++;
    assert(o->readers >= 2);
    db->options = *o;
    db->setup =
        (struct sqlite_setup){.path = o->path, .statements = o->statements, .full = o->full};
    db->reading.end = &db->reading.first;
    db->writing.end = &db->writing.first;
    return db;
}

const struct sqlite_db_options *sqlite_db_options(const struct sqlite_db *db)
{
    return &db->options;
}

bool sqlite_db_in_memory(const struct sqlite_db *db)
{
    return !db->options.path;
}

static void free_if_over(struct sqlite_db *db)
{
    if (!db->closed || db->links > 0)
        return;
    free(db->options.path);
    free(db);
    databases--;
    closing--;
}

static void free_link(struct sqlite_link *link)
{
    struct sqlite_db *db = link->db;
    if (db->writer == link)
        db->writer = NULL;
    else
        db->readers--;
    db->links--;
    free(link);
}

// Tidying -----------------------------------------------------------------------------------------

static void run_tidy(struct pool_job *j)
{
    struct sqlite_link *link =
        (struct sqlite_link *)((char *)j - offsetof(struct sqlite_link, tidy));
    sqlite_conn_tidy(&link->conn);
    if (link->closing || link->conn.bad)
        sqlite_conn_close(&link->conn);
}

static void end_closed(struct sqlite_link *link)
{
    struct sqlite_db *db = link->db;
    if (link->conn.db)
        sqlite_conn_close(&link->conn);
    free_link(link);
    db->closes = false;
    if (db->to_close)
        close_next(db);
    else
        free_if_over(db);
}

static void tidied(struct pool_job *j, bool ran)
{
    struct sqlite_link *link =
        (struct sqlite_link *)((char *)j - offsetof(struct sqlite_link, tidy));
    struct sqlite_db *db = link->db;
    if (!ran)
        run_tidy(j);
    link->tidying = link->stopped = false;
    link->left_count = 0;
    if (link->closing) {
        end_closed(link);
        return;
    }
    if (db->closed) { // meanwhile
        give_back(link);
        return;
    }
    if (link != db->writer) {
        link->next = db->free_readers;
        db->free_readers = link;
    }
    serve(db);
}

// In a thread, or here when there is none to be had.
static void tidy(struct sqlite_link *link)
{
    link->tidying = true;
    link->tidy = (struct pool_job){.run = run_tidy, .done = tidied};
    if (pool_submit(link->db->options.pool, &link->tidy) < 0)
        tidied(&link->tidy, false);
}

// Of a closed database: one goes after the other. Of two that are closed at the same moment each would
// take the other for one that goes on, and the write-ahead log would be put into the file by neither.
static void close_next(struct sqlite_db *db)
{
    struct sqlite_link *link = db->to_close;
    if (!link || db->closes)
        return;
    db->to_close = link->next;
    db->closes = link->closing = true;
    if (link->conn.db)
        tidy(link);
    else
        tidied(&link->tidy, true);
}

static void give_back(struct sqlite_link *link)
{
    struct sqlite_db *db = link->db;
    if (link->leased || link->working)
        return;
    if (db->closed) {
        link->next = db->to_close;
        db->to_close = link;
        close_next(db);
    } else if (link->stopped || link->conn.bad || sqlite_conn_is_untidy(&link->conn)) {
        tidy(link);
    } else {
        tidied(&link->tidy, true);
    }
}

// Turns -------------------------------------------------------------------------------------------

static bool is_reading(const struct sqlite_db *db, enum sqlite_use use)
{
    return (use == USE_READ || use == USE_LOOP) && !sqlite_db_in_memory(db);
}

static void join(struct sqlite_db *db, struct sqlite_turn *t)
{
    struct turns *in = is_reading(db, t->use) ? &db->reading : &db->writing;
    t->db = db;
    t->next = NULL;
    t->link = in->end;
    *in->end = t;
    in->end = &t->next;
}

void sqlite_db_leave(struct sqlite_turn *t)
{
    struct sqlite_db *db = t->db;
    if (!db)
        return;
    struct turns *in = is_reading(db, t->use) ? &db->reading : &db->writing;
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    else
        in->end = t->link;
    t->db = NULL;
    timeout_remove(db->options.loop, &t->timeout);
}

static void too_late(struct timeout *timeout)
{
    struct sqlite_turn *t =
        (struct sqlite_turn *)((char *)timeout - offsetof(struct sqlite_turn, timeout));
    sqlite_db_leave(t);
    t->ready(t);
}

static void lease_to(struct sqlite_link *link, const struct sqlite_turn *t)
{
    link->leased = true;
    link->use = t->use;
    link->serial = t->serial;
    link->conn.deadline = t->deadline;
    t->lease->link = link;
    if (is_reading(link->db, t->use) && t->use == USE_LOOP)
        link->db->loops++;
}

static struct sqlite_link *new_link(struct sqlite_db *db, bool reader)
{
    struct sqlite_link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    link->db = db;
    link->conn.setup = &db->setup;
    link->conn.reader = reader;
    db->links++;
    if (reader)
        db->readers++;
    else
        db->writer = link;
    return link;
}

static bool is_idle(const struct sqlite_link *link)
{
    return !link->leased && !link->working && !link->tidying;
}

// A connection for the use if one may be had now; *lacks is set when only memory was missing.
static struct sqlite_link *find(struct sqlite_db *db, enum sqlite_use use, bool *lacks)
{
    struct sqlite_link *link = NULL;
    *lacks = false;
    if (!is_reading(db, use)) {
        if (db->writer)
            return is_idle(db->writer) ? db->writer : NULL;
        link = new_link(db, false);
    } else if (use == USE_LOOP && db->loops >= db->options.readers - 1) {
        return NULL;
    } else if ((link = db->free_readers)) {
        db->free_readers = link->next;
    } else if (db->readers < db->options.readers) {
        link = new_link(db, true);
    } else {
        return NULL;
    }
    *lacks = !link;
    return link;
}

// Those of one line that may have a connection now, in their order.
static void serve_line(struct sqlite_db *db, struct turns *in)
{
    bool lacks;
    for (struct sqlite_turn *t = in->first, *next; t; t = next) {
        next = t->next;
        struct sqlite_link *link = find(db, t->use, &lacks);
        if (!link)
            continue; // a loop that has to wait keeps nobody else waiting
        sqlite_db_leave(t);
        lease_to(link, t);
        t->ready(t); // from a deferred call if Lua runs; else it may do anything, with the line too
        next = in->first;
    }
}

// The database may be closed by those who are served.
static void serve(struct sqlite_db *db)
{
    db->links++; // it lives until we are done
    serve_line(db, &db->writing);
    serve_line(db, &db->reading);
    db->links--;
    free_if_over(db);
}

bool sqlite_db_would_block(const struct sqlite_db *db, enum sqlite_use use, uint64_t serial)
{
    const struct sqlite_link *w = db->writer;
    return !is_reading(db, use) && serial && w && w->leased && w->use == USE_TRANSACTION &&
           w->serial == serial;
}

unsigned sqlite_db_loops(const struct sqlite_db *db)
{
    return db->loops;
}

bool sqlite_db_in_transaction(const struct sqlite_db *db)
{
    return db->writer && db->writer->leased && db->writer->use == USE_TRANSACTION;
}

// Whether somebody waits who would be passed.
static bool is_passing(const struct sqlite_db *db, enum sqlite_use use)
{
    const struct turns *in = is_reading(db, use) ? &db->reading : &db->writing;
    for (const struct sqlite_turn *t = in->first; t; t = t->next)
        if (t->use != USE_LOOP || use == USE_LOOP || in == &db->writing)
            return true;
    return false;
}

enum sqlite_taken sqlite_db_take(struct sqlite_db *db, struct sqlite_turn *t)
{
    bool lacks = false;
    t->db = NULL;
    t->lease->link = NULL;
    t->deadline = sqlite_conn_now() + db->options.timeout_ms;
    timeout_init(&t->timeout, too_late);
    struct sqlite_link *link = is_passing(db, t->use) ? NULL : find(db, t->use, &lacks);
    if (link) {
        lease_to(link, t);
        return TAKEN;
    }
    uint64_t ms = db->options.timeout_ms + loop_behind(db->options.loop);
    if (lacks || !timeout_set(db->options.loop, &t->timeout, ms))
        return TAKEN_FAILED;
    join(db, t);
    return TAKEN_LATER;
}

void sqlite_db_close(struct sqlite_db *db)
{
    struct sqlite_turn *t;
    db->closed = true;
    closing++;
    db->links++;
    while ((t = db->writing.first) || (t = db->reading.first)) {
        sqlite_db_leave(t);
        t->ready(t);
    }
    for (struct sqlite_link *link = db->free_readers, *next; link; link = next) {
        next = link->next;
        give_back(link);
    }
    db->free_readers = NULL;
    if (db->writer && is_idle(db->writer))
        give_back(db->writer);
    db->links--;
    free_if_over(db);
}

unsigned sqlite_db_closing(void)
{
    return closing;
}

bool sqlite_db_rest(struct sqlite_db *db)
{
    unsigned resting = 0;
    for (struct sqlite_link *link = db->free_readers; link; link = link->next, resting++)
        sqlite_conn_close(&link->conn);
    if (db->writer && is_idle(db->writer)) {
        sqlite_conn_close(&db->writer->conn);
        resting++;
    }
    return resting == db->links;
}

// Leases ------------------------------------------------------------------------------------------

void sqlite_lease_end(struct sqlite_lease *l)
{
    struct sqlite_link *link = l->link;
    if (!link)
        return;
    l->link = NULL;
    link->leased = false;
    if (is_reading(link->db, link->use) && link->use == USE_LOOP)
        link->db->loops--;
    give_back(link);
}

void sqlite_lease_leave_cursor(struct sqlite_lease *l, uint64_t cursor)
{
    struct sqlite_link *link = l->link;
    if (link && link->left_count < CURSORS_MAX) // there are never more
        link->left[link->left_count++] = cursor;
}

bool sqlite_lease_is_free(const struct sqlite_lease *l)
{
    return l->link && !l->link->working && !l->link->stopped;
}

struct sqlite_link *sqlite_link_begin(struct sqlite_lease *l)
{
    assert(sqlite_lease_is_free(l));
    l->link->working = true;
    return l->link;
}

struct sqlite_conn *sqlite_link_conn(struct sqlite_link *link)
{
    return &link->conn;
}

unsigned sqlite_link_left(struct sqlite_link *link, uint64_t ids[static CURSORS_MAX])
{
    unsigned n = link->left_count;
    for (unsigned i = 0; i < n; i++)
        ids[i] = link->left[i];
    link->left_count = 0;
    return n;
}

void sqlite_link_stop(struct sqlite_link *link)
{
    link->stopped = true;
    atomic_store_explicit(&link->conn.stop, true, memory_order_relaxed);
}

void sqlite_link_over(struct sqlite_link *link)
{
    link->working = false;
    give_back(link);
}
