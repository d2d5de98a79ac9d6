// Counters and histograms in memory that processes share, and how Prometheus reads them.
//
// A counter has one writer, the process that its slot belongs to; others read it at any time. It is
// 64 bits that only grow, and outlives its writer: the next one goes on with it.
//
// The text is Prometheus's exposition format 0.0.4: "# HELP", "# TYPE", then a line a sample:
//
//      lunette_http_requests_total{route="/notes/:id",method="GET",status="200"} 17
#ifndef LUNETTE_BASE_METRIC_H
#define LUNETTE_BASE_METRIC_H

#include "base/buf.h"

#include <stdatomic.h>

typedef _Atomic uint64_t metric_counter;

static inline void metric_add(metric_counter *c, uint64_t n)
{
    uint64_t old = atomic_load_explicit(c, memory_order_relaxed);
    atomic_store_explicit(c, old + n, memory_order_relaxed);
}

// For a value that goes up and down.
static inline void metric_set(metric_counter *c, uint64_t n)
{
    atomic_store_explicit(c, n, memory_order_relaxed);
}

static inline uint64_t metric_read(const metric_counter *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

// Durations, from 1 ms to 10 s and beyond.
enum { METRIC_BUCKETS = 14 };
struct metric_histogram {
    metric_counter bucket[METRIC_BUCKETS]; // those of this bucket alone
    metric_counter sum_us;
};
void metric_observe(struct metric_histogram *h, uint64_t us);
// What was read of one or several.
struct metric_durations {
    uint64_t bucket[METRIC_BUCKETS], sum_us;
};
void metric_gather(struct metric_durations *to, const struct metric_histogram *from);

// Each appends whole lines, or sets b->n back and returns false when they do not fit.
// type: "counter", "gauge", "histogram".
bool metric_head(struct buf *b, const char *name, const char *type, const char *help);
// labels: what metric_label made, or "".
bool metric_sample(struct buf *b, const char *name, struct str labels, uint64_t value);
bool metric_sample_float(struct buf *b, const char *name, struct str labels, double value);
// name_bucket for every le, name_sum in seconds, name_count.
bool metric_samples(struct buf *b, const char *name, struct str labels,
                    const struct metric_durations *d);
// Appends name="value" to labels, with a comma in front where there is one already. Bytes that are
// not UTF-8 become U+FFFD.
bool metric_label(struct buf *labels, const char *name, struct str value);

#endif
