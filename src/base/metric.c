// Counters and histograms, and their text: see the header.
#include "base/metric.h"

#include "base/utf8.h"

static const struct {
    uint64_t us;
    const char *le; // in seconds
} bounds[METRIC_BUCKETS] = {
    {1000, "0.001"},  {2500, "0.0025"}, {5000, "0.005"},  {10000, "0.01"},      {25000, "0.025"},
    {50000, "0.05"},  {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"},      {1000000, "1"},
    {2500000, "2.5"}, {5000000, "5"},   {10000000, "10"}, {UINT64_MAX, "+Inf"},
};

void metric_observe(struct metric_histogram *h, uint64_t us)
{
    unsigned i = 0;
    while (us > bounds[i].us)
        i++;
    metric_add(&h->bucket[i], 1);
    metric_add(&h->sum_us, us);
}

void metric_gather(struct metric_durations *to, const struct metric_histogram *from)
{
    for (unsigned i = 0; i < METRIC_BUCKETS; i++)
        to->bucket[i] += metric_read(&from->bucket[i]);
    to->sum_us += metric_read(&from->sum_us);
}

bool metric_head(struct buf *b, const char *name, const char *type, const char *help)
{
    return buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

// A line up to its value.
static bool add_name(struct buf *b, const char *name, const char *suffix, struct str labels)
{
    return labels.n ? buf_addf(b, "%s%s{%.*s} ", name, suffix, STR_ARG(labels))
                    : buf_addf(b, "%s%s ", name, suffix);
}

static bool add_integer(struct buf *b, const char *name, const char *suffix, struct str labels,
                        uint64_t value)
{
    return add_name(b, name, suffix, labels) && buf_addf(b, "%llu\n", (unsigned long long)value);
}

static bool whole(struct buf *b, size_t before, bool ok)
{
    if (!ok)
        b->n = before;
    return ok;
}

bool metric_sample(struct buf *b, const char *name, struct str labels, uint64_t value)
{
    return whole(b, b->n, add_integer(b, name, "", labels, value));
}

bool metric_sample_float(struct buf *b, const char *name, struct str labels, double value)
{
    return whole(b, b->n, add_name(b, name, "", labels) && buf_addf(b, "%.6f\n", value));
}

static bool add_buckets(struct buf *b, const char *name, struct str labels,
                        const struct metric_durations *d, uint64_t *count)
{
    for (unsigned i = 0; i < METRIC_BUCKETS; i++) {
        *count += d->bucket[i];
        if (!buf_addf(b, "%s_bucket{%.*s%sle=\"%s\"} %llu\n", name, STR_ARG(labels),
                      labels.n ? "," : "", bounds[i].le, (unsigned long long)*count))
            return false;
    }
    return true;
}

bool metric_samples(struct buf *b, const char *name, struct str labels,
                    const struct metric_durations *d)
{
    uint64_t count = 0;
    size_t before = b->n;
    return whole(b, before,
                 add_buckets(b, name, labels, d, &count) && add_name(b, name, "_sum", labels) &&
                     buf_addf(b, "%llu.%06u\n", (unsigned long long)(d->sum_us / 1000000),
                              (unsigned)(d->sum_us % 1000000)) &&
                     add_integer(b, name, "_count", labels, count));
}

// A backslash, a quote and a line feed are escaped, and nothing else is (exposition format 0.0.4).
static bool add_character(struct buf *b, const char *p, int n)
{
    if (n < 0)
        return buf_add(b, STR("\xEF\xBF\xBD"));
    if (*p == '\n')
        return buf_add(b, STR("\\n"));
    if ((*p == '"' || *p == '\\') && !buf_addc(b, '\\'))
        return false;
    return buf_add(b, str_of(p, (size_t)n));
}

bool metric_label(struct buf *labels, const char *name, struct str value)
{
    size_t before = labels->n;
    bool ok = buf_addf(labels, "%s%s=\"", labels->n ? "," : "", name);
    for (size_t i = 0; ok && i < value.n;) {
        int n = utf8_step(value.p + i, value.n - i);
        ok = add_character(labels, value.p + i, n);
        i += (size_t)(n < 0 ? -n : n);
    }
    return whole(labels, before, ok && buf_addc(labels, '"'));
}
