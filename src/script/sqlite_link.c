// The connections of a database: see the header.
#include "script/sqlite_link.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

struct sqlite_link {
    struct sqlite_conn conn; // a thread's, while `working` or `tidying`
    struct pool_job tidy;
    struct sqlite_links *set;
    struct sqlite_link *next; // among those that are free
    bool leased, working, tidying;
    bool stopped; // its job was told to stop: nothing more is done with it before it is tidied
    bool closing; // tidying it means closing it
    enum sqlite_use use;
    uint64_t serial;
    uint64_t left[CURSORS_MAX];
    unsigned left_count;
};

static void give_back(struct sqlite_link *link);
static void close_next(struct sqlite_links *ls);

// Tidying -----------------------------------------------------------------------------------------

static void free_link(struct sqlite_link *link)
{
    struct sqlite_links *ls = link->set;
    if (ls->writer == link)
        ls->writer = NULL;
    else
        ls->readers--;
    ls->count--;
    free(link);
}

static struct sqlite_link *link_of(struct pool_job *j)
{
    return (struct sqlite_link *)((char *)j - offsetof(struct sqlite_link, tidy));
}

static void run_tidy(struct pool_job *j)
{
    struct sqlite_link *link = link_of(j);
    sqlite_conn_tidy(&link->conn);
    if (link->closing || link->conn.bad)
        sqlite_conn_close(&link->conn);
}

static void end_closed(struct sqlite_link *link)
{
    struct sqlite_links *ls = link->set;
    if (link->conn.db)
        sqlite_conn_close(&link->conn);
    free_link(link);
    ls->closes = false;
    if (ls->to_close)
        close_next(ls);
    else if (ls->count == 0)
        ls->changed(ls);
}

static void tidied(struct pool_job *j, bool ran)
{
    struct sqlite_link *link = link_of(j);
    struct sqlite_links *ls = link->set;
    if (!ran)
        run_tidy(j);
    link->tidying = link->stopped = false;
    link->left_count = 0;
    if (link->closing) {
        end_closed(link);
        return;
    }
    if (ls->closed) { // meanwhile
        give_back(link);
        return;
    }
    if (link != ls->writer) {
        link->next = ls->free_readers;
        ls->free_readers = link;
    }
    ls->changed(ls);
}

// In a thread, or here when there is none to be had.
static void tidy(struct sqlite_link *link)
{
    link->tidying = true;
    link->tidy = (struct pool_job){.run = run_tidy, .done = tidied};
    if (pool_submit(link->set->pool, &link->tidy) < 0)
        tidied(&link->tidy, false);
}

// Of a closed set: one goes after the other. Of two that are closed at the same moment each would
// take the other for one that goes on, and the write-ahead log would be put into the file by neither.
static void close_next(struct sqlite_links *ls)
{
    struct sqlite_link *link = ls->to_close;
    if (!link || ls->closes)
        return;
    ls->to_close = link->next;
    ls->closes = link->closing = true;
    if (link->conn.db)
        tidy(link);
    else
        tidied(&link->tidy, true);
}

static void give_back(struct sqlite_link *link)
{
    struct sqlite_links *ls = link->set;
    if (link->leased || link->working)
        return;
    if (ls->closed) {
        link->next = ls->to_close;
        ls->to_close = link;
        close_next(ls);
    } else if (link->stopped || link->conn.bad || sqlite_conn_is_untidy(&link->conn)) {
        tidy(link);
    } else {
        tidied(&link->tidy, true);
    }
}

// The set -----------------------------------------------------------------------------------------

bool sqlite_links_reads(const struct sqlite_links *ls, enum sqlite_use use)
{
    return (use == USE_READ || use == USE_LOOP) && ls->setup.path;
}

static struct sqlite_link *new_link(struct sqlite_links *ls, bool reader)
{
    struct sqlite_link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    link->set = ls;
    link->conn.setup = &ls->setup;
    link->conn.reader = reader;
    ls->count++;
    if (reader)
        ls->readers++;
    else
        ls->writer = link;
    return link;
}

static bool is_idle(const struct sqlite_link *link)
{
    return !link->leased && !link->working && !link->tidying;
}

// Whether it is leased for a loop that only reads.
static bool is_loop(const struct sqlite_link *link)
{
    return link->use == USE_LOOP && sqlite_links_reads(link->set, link->use);
}

struct sqlite_link *sqlite_links_find(struct sqlite_links *ls, enum sqlite_use use, bool *lacks)
{
    struct sqlite_link *link = NULL;
    *lacks = false;
    if (!sqlite_links_reads(ls, use)) {
        if (ls->writer)
            return is_idle(ls->writer) ? ls->writer : NULL;
        link = new_link(ls, false);
    } else if (use == USE_LOOP && ls->loops >= ls->most_readers - 1) {
        return NULL;
    } else if ((link = ls->free_readers)) {
        ls->free_readers = link->next;
    } else if (ls->readers < ls->most_readers) {
        link = new_link(ls, true);
    } else {
        return NULL;
    }
    *lacks = !link;
    return link;
}

bool sqlite_links_in_transaction(const struct sqlite_links *ls, uint64_t *serial)
{
    const struct sqlite_link *w = ls->writer;
    if (!w || !w->leased || w->use != USE_TRANSACTION)
        return false;
    *serial = w->serial;
    return true;
}

bool sqlite_links_rest(struct sqlite_links *ls)
{
    unsigned resting = 0;
    for (struct sqlite_link *link = ls->free_readers; link; link = link->next, resting++)
        sqlite_conn_close(&link->conn);
    if (ls->writer && is_idle(ls->writer)) {
        sqlite_conn_close(&ls->writer->conn);
        resting++;
    }
    return resting == ls->count;
}

void sqlite_links_close(struct sqlite_links *ls)
{
    struct sqlite_link *readers = ls->free_readers;
    ls->free_readers = NULL;
    ls->closed = true;
    for (struct sqlite_link *link = readers, *next; link; link = next) {
        next = link->next;
        give_back(link);
    }
    if (ls->writer && is_idle(ls->writer))
        give_back(ls->writer);
}

// Leases ------------------------------------------------------------------------------------------

void sqlite_lease_begin(struct sqlite_lease *l, struct sqlite_link *link, enum sqlite_use use,
                        uint64_t serial, uint64_t deadline)
{
    link->leased = true;
    link->use = use;
    link->serial = serial;
    link->conn.deadline = deadline;
    l->link = link;
    if (is_loop(link))
        link->set->loops++;
}

void sqlite_lease_end(struct sqlite_lease *l)
{
    struct sqlite_link *link = l->link;
    if (!link)
        return;
    l->link = NULL;
    link->leased = false;
    if (is_loop(link))
        link->set->loops--;
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
