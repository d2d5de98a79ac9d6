// Databases and who waits for their connections: see the header.
#include "script/sqlite_db.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

// Those that wait for one kind of connection.
struct turns {
    struct sqlite_turn *first, **end;
};

struct sqlite_db {
    struct sqlite_links links; // first: changed gets it back
    struct sqlite_db_options options;
    struct turns reading, writing;
    unsigned held; // by calls under way: it lives until they are over
};

static unsigned databases; // of this process that are not gone yet; a worker has one loop
static unsigned closing;   // of those, closed ones

static void free_if_over(struct sqlite_db *db)
{
    if (!db->links.closed || db->links.count > 0 || db->held > 0)
        return;
    free(db->options.path);
    free(db);
    databases--;
    closing--;
}

// Turns -------------------------------------------------------------------------------------------

static struct turns *turns_for(struct sqlite_db *db, enum sqlite_use use)
{
    return sqlite_links_reads(&db->links, use) ? &db->reading : &db->writing;
}

static void join(struct sqlite_db *db, struct sqlite_turn *t)
{
    struct turns *in = turns_for(db, t->use);
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
    struct turns *in = turns_for(db, t->use);
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

static void lease(const struct sqlite_turn *t, struct sqlite_link *link)
{
    sqlite_lease_begin(t->lease, link, t->use, t->serial, t->deadline);
}

// Those of one line that may have a connection now, in their order.
static void serve_line(struct sqlite_db *db, struct turns *in)
{
    bool lacks;
    for (struct sqlite_turn *t = in->first, *next; t; t = next) {
        next = t->next;
        struct sqlite_link *link = sqlite_links_find(&db->links, t->use, &lacks);
        if (!link)
            continue; // a loop that has to wait keeps nobody else waiting
        sqlite_db_leave(t);
        lease(t, link);
        t->ready(t); // from a deferred call if Lua runs; else it may do anything, with the line too
        next = in->first;
    }
}

// The database may be closed by those who are served: then nobody waits any more.
static void serve(struct sqlite_links *links)
{
    struct sqlite_db *db = (struct sqlite_db *)links; // its first member
    db->held++;
    if (!links->closed)
        serve_line(db, &db->writing);
    if (!links->closed)
        serve_line(db, &db->reading);
    db->held--;
    free_if_over(db);
}

// Whether somebody waits who would be passed.
static bool is_passing(struct sqlite_db *db, enum sqlite_use use)
{
    const struct turns *in = turns_for(db, use);
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
    struct sqlite_link *link =
        is_passing(db, t->use) ? NULL : sqlite_links_find(&db->links, t->use, &lacks);
    if (link) {
        lease(t, link);
        return TAKEN;
    }
    uint64_t ms = db->options.timeout_ms + loop_behind(db->options.loop);
    if (lacks || !timeout_set(db->options.loop, &t->timeout, ms))
        return TAKEN_FAILED;
    join(db, t);
    return TAKEN_LATER;
}

// Databases ---------------------------------------------------------------------------------------

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
    db->links = (struct sqlite_links){
        .setup = {.path = o->path, .statements = o->statements, .full = o->full},
        .pool = o->pool,
        .most_readers = o->readers,
        .changed = serve,
    };
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

void sqlite_db_close(struct sqlite_db *db)
{
    struct sqlite_turn *t;
    closing++;
    db->held++;
    sqlite_links_close(&db->links);
    while ((t = db->writing.first) || (t = db->reading.first)) {
        sqlite_db_leave(t);
        t->ready(t);
    }
    db->held--;
    free_if_over(db);
}

unsigned sqlite_db_closing(void)
{
    return closing;
}

bool sqlite_db_rest(struct sqlite_db *db)
{
    return sqlite_links_rest(&db->links);
}

bool sqlite_db_would_block(const struct sqlite_db *db, enum sqlite_use use, uint64_t serial)
{
    uint64_t writes;
    return !sqlite_links_reads(&db->links, use) && serial &&
           sqlite_links_in_transaction(&db->links, &writes) && writes == serial;
}

unsigned sqlite_db_loops(const struct sqlite_db *db)
{
    return db->links.loops;
}

bool sqlite_db_in_transaction(const struct sqlite_db *db)
{
    uint64_t writes;
    return sqlite_links_in_transaction(&db->links, &writes);
}
