// The tally: see the header.
//
// The requests of one route take exactly one page of a slot, which comes when they are first
// written to; `seen` keeps the reader from touching those that never were.
#include "http/tally.h"

#include "base/metric.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    SERIES = TALLY_FIRST + TALLY_ROUTES,
    STATUSES = 64,
    METHODS = HTTP_METHODS + 1,
    PAGE = 4096
};

// Statuses by their place in a page: those below, and for all others of a class that class.
static const uint16_t statuses[STATUSES] = {
    2,   3,   4,   5, // classes: "2xx"
    200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307, 308, 400,
    401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421,
    422, 423, 424, 425, 426, 428, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 507, 508, 511,
};

struct page {
    alignas(PAGE) metric_counter answers[METHODS][STATUSES];
};
_Static_assert(sizeof(struct page) == PAGE, "one page for the answers of a route");

struct tally {
    struct page answers[SERIES];
    struct metric_histogram durations[SERIES];
    _Atomic bool seen[SERIES];
    metric_counter received, sent, events[TALLY_EVENTS];
    struct tally_board *board;
};

struct tally_board {
    pthread_mutex_t lock; // of names and count, for those that add
    unsigned workers;
    size_t bytes;
    _Atomic unsigned count; // of series that have a name
    uint8_t place_of[600];  // of a status in statuses
    struct {
        uint8_t n;
        char text[TALLY_NAME_MAX];
    } names[SERIES];
    struct tally slots[];
};

static void add_name(struct tally_board *b, struct str name)
{
    unsigned i = atomic_load_explicit(&b->count, memory_order_relaxed);
    memcpy(b->names[i].text, name.p, name.n);
    b->names[i].n = (uint8_t)name.n;
    atomic_store_explicit(&b->count, i + 1, memory_order_release);
}

static int init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    int rc = pthread_mutex_init(lock, &a);
    pthread_mutexattr_destroy(&a);
    return rc;
}

struct tally_board *tally_new(unsigned workers)
{
    size_t bytes = sizeof(struct tally_board) + workers * sizeof(struct tally);
    struct tally_board *b = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (b == MAP_FAILED)
        return NULL;
    b->bytes = bytes;
    b->workers = workers;
    int rc = init_lock(&b->lock);
    if (rc != 0) {
        munmap(b, bytes);
        errno = rc;
        return NULL;
    }
    for (unsigned i = 0; i < sizeof b->place_of; i++)
        b->place_of[i] = (uint8_t)(i < 300 ? 0 : i / 100 - 2);
    for (unsigned i = 4; i < STATUSES && statuses[i]; i++)
        b->place_of[statuses[i]] = (uint8_t)i;
    add_name(b, STR("(none)"));
    add_name(b, STR("(file)"));
    add_name(b, STR("(other)"));
    return b;
}

void tally_free(struct tally_board *b)
{
    if (b)
        munmap(b, b->bytes);
}

struct tally *tally_of(struct tally_board *b, unsigned worker)
{
    assert(worker < b->workers);
    b->slots[worker].board = b;
    return &b->slots[worker];
}

// --- writing ---

static unsigned find_name(const struct tally_board *b, struct str name)
{
    unsigned n = atomic_load_explicit(&b->count, memory_order_acquire);
    for (unsigned i = TALLY_FIRST; i < n; i++)
        if (str_eq(str_of(b->names[i].text, b->names[i].n), name))
            return i;
    return TALLY_OTHER;
}

unsigned tally_route(struct tally *t, struct str name)
{
    struct tally_board *b = t->board;
    if (name.n > TALLY_NAME_MAX)
        return TALLY_OTHER;
    // Who died with the lock had added the name or not: a count is one store.
    if (pthread_mutex_lock(&b->lock) == EOWNERDEAD)
        pthread_mutex_consistent(&b->lock);
    unsigned number = find_name(b, name);
    if (number == TALLY_OTHER && b->count < SERIES) {
        number = b->count;
        add_name(b, name);
    }
    pthread_mutex_unlock(&b->lock);
    return number;
}

void tally_answer(struct tally *t, const struct tally_answer *a)
{
    assert(a->route < SERIES && a->method <= HTTP_METHODS && a->status < sizeof t->board->place_of);
    metric_add(&t->answers[a->route].answers[a->method][t->board->place_of[a->status]], 1);
    metric_observe(&t->durations[a->route], a->duration_us);
    metric_add(&t->received, a->received);
    metric_add(&t->sent, a->sent);
    atomic_store_explicit(&t->seen[a->route], true, memory_order_relaxed);
}

void tally_count(struct tally *t, enum tally_event e)
{
    metric_add(&t->events[e], 1);
}

// --- reading ---

static bool add_answers(const struct tally_board *b, unsigned route, struct buf *labels,
                        struct buf *out, const char *name)
{
    uint64_t sums[METHODS][STATUSES] = {{0}};
    for (unsigned w = 0; w < b->workers; w++)
        for (unsigned i = 0; b->slots[w].seen[route] && i < METHODS * STATUSES; i++)
            sums[i / STATUSES][i % STATUSES] +=
                metric_read(&b->slots[w].answers[route].answers[i / STATUSES][i % STATUSES]);
    for (unsigned i = 0; i < METHODS * STATUSES; i++) {
        unsigned method = i / STATUSES, place = i % STATUSES;
        char status[8];
        if (!sums[method][place])
            continue;
        snprintf(status, sizeof status, place < 4 ? "%uxx" : "%u", statuses[place]);
        buf_clear(labels);
        if (!metric_label(labels, "route", str_of(b->names[route].text, b->names[route].n)) ||
            !metric_label(labels, "method",
                          method < HTTP_METHODS ? method_name(method) : STR("other")) ||
            !metric_label(labels, "status", str_z(status)) ||
            !metric_sample(out, name, buf_str(labels), sums[method][place]))
            return false;
    }
    return true;
}

static bool add_durations(const struct tally_board *b, unsigned route, struct buf *labels,
                          struct buf *out, const char *name)
{
    struct metric_durations sum = {.sum_us = 0};
    bool seen = false;
    for (unsigned w = 0; w < b->workers; w++) {
        if (!b->slots[w].seen[route])
            continue;
        metric_gather(&sum, &b->slots[w].durations[route]);
        seen = true;
    }
    buf_clear(labels);
    return !seen ||
           (metric_label(labels, "route", str_of(b->names[route].text, b->names[route].n)) &&
            metric_samples(out, name, buf_str(labels), &sum));
}

typedef bool add_fn(const struct tally_board *b, unsigned route, struct buf *labels,
                    struct buf *out, const char *name);

static bool add_family(const struct tally_board *b, struct buf *out, const char *name,
                       const char *type, const char *help, add_fn *add)
{
    struct buf labels;
    buf_init(&labels, 4096);
    unsigned n = atomic_load_explicit(&b->count, memory_order_acquire);
    bool ok = metric_head(out, name, type, help);
    for (unsigned route = 0; ok && route < n; route++)
        ok = add(b, route, &labels, out, name);
    buf_fini(&labels);
    return ok;
}

static bool add_sum(const struct tally_board *b, struct buf *out, const char *name,
                    const char *help, size_t at)
{
    uint64_t sum = 0;
    for (unsigned w = 0; w < b->workers; w++)
        sum += metric_read((const metric_counter *)((const char *)&b->slots[w] + at));
    return metric_head(out, name, "counter", help) && metric_sample(out, name, STR(""), sum);
}

static uint64_t sum_event(const struct tally_board *b, enum tally_event e)
{
    uint64_t sum = 0;
    for (unsigned w = 0; w < b->workers; w++)
        sum += metric_read(&b->slots[w].events[e]);
    return sum;
}

static bool add_refused(const struct tally_board *b, struct buf *out)
{
    static const char name[] = "lunette_connections_refused_total";
    return metric_head(out, name, "counter",
                       "Connections that were turned away, by the limit that was reached.") &&
           metric_sample(out, name, STR("limit=\"connections\""), sum_event(b, TALLY_REFUSED)) &&
           metric_sample(out, name, STR("limit=\"connections_per_ip\""),
                         sum_event(b, TALLY_REFUSED_FOR_IP));
}

bool tally_text(const struct tally_board *b, struct buf *out)
{
    return add_family(b, out, "lunette_http_requests_total", "counter",
                      "Answers, by route, method and status.", add_answers) &&
           add_family(b, out, "lunette_http_request_duration_seconds", "histogram",
                      "From a complete head until the answer was handed over, by route.",
                      add_durations) &&
           add_sum(b, out, "lunette_http_request_body_bytes_total",
                   "Bytes of request bodies that were received.",
                   offsetof(struct tally, received)) &&
           add_sum(b, out, "lunette_http_response_body_bytes_total",
                   "Bytes of response bodies that were handed over.",
                   offsetof(struct tally, sent)) &&
           add_sum(b, out, "lunette_connections_accepted_total", "Connections that were accepted.",
                   offsetof(struct tally, events[TALLY_ACCEPTED])) &&
           add_refused(b, out);
}
