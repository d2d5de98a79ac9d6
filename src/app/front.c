// What a server answers by itself: see the header.
#include "app/front.h"

#include <stdatomic.h>
#include <string.h>

enum { TEXT_MAX = 64 << 20, TEXT_KEEP = 64 << 10 };

void front_init(struct front *f)
{
    buf_init(&f->text, TEXT_MAX);
    fields_init(&f->fields);
}

void front_fini(struct front *f)
{
    buf_fini(&f->text);
    fields_fini(&f->fields);
}

// Answers with what is in text, which the connection copies.
static void answer(struct front *f, struct exchange *x, unsigned status)
{
    static const struct str type = STR("text/plain; charset=utf-8");
    struct http_response r = {
        .status = status,
        .fields = &f->fields,
        .default_type = type,
        .body = BODY_BYTES,
        .bytes = buf_str(&f->text),
    };
    fields_add(&f->fields, STR("Cache-Control"), STR("no-store"));
    if (status == 503)
        fields_add(&f->fields, STR("Retry-After"), STR("1"));
    exchange_respond(x, &r);
    if (f->text.cap > TEXT_KEEP)
        buf_fini(&f->text);
}

static void answer_words(struct front *f, struct exchange *x, unsigned status, struct str words)
{
    buf_clear(&f->text);
    buf_add(&f->text, words);
    answer(f, x, status);
}

// Whether the method is one of those that may be asked; else it is answered.
static bool may_ask(struct front *f, struct exchange *x)
{
    x->user = NULL; // the site's handler knows nothing of it
    fields_clear(&f->fields);
    if (x->request.method == HTTP_GET || x->request.method == HTTP_HEAD)
        return true;
    fields_add(&f->fields, STR("Allow"), STR("GET, HEAD"));
    answer_words(f, x, 405, STR("GET and HEAD only\n"));
    return false;
}

static void answer_health(struct front *f, struct exchange *x)
{
    if (!may_ask(f, x))
        return;
    if (f->stopping)
        answer_words(f, x, 503, STR("stopping\n"));
    else if (f->shared->starting)
        answer_words(f, x, 503, STR("starting\n"));
    else
        answer_words(f, x, 200, STR("ok\n"));
}

static void answer_metrics(struct front *f, struct exchange *x)
{
    if (!may_ask(f, x))
        return;
    buf_clear(&f->text);
    if (!figures_text(f->figures, f->places, f->cache, &f->text)) {
        answer_words(f, x, 503, STR("out of memory for the metrics\n"));
        return;
    }
    fields_add(&f->fields, STR("Content-Type"), STR("text/plain; version=0.0.4; charset=utf-8"));
    answer(f, x, 200);
}

// --- on the site's listeners ---

static bool is_at(const struct exchange *x, const char *path)
{
    return path && str_eq(x->request.path, str_z(path));
}

static void site_on_request(void *self, struct exchange *x)
{
    struct front *f = self;
    if (is_at(x, f->health_path)) {
        x->route = &f->health_route;
        answer_health(f, x);
    } else if (is_at(x, f->metrics_path)) {
        x->route = &f->metrics_route;
        answer_metrics(f, x);
    } else if (f->stopping && f->all_refused) {
        x->user = NULL;
        fields_clear(&f->fields);
        answer_words(f, x, 503, STR("stopping\n"));
    } else {
        f->site->on_request(f->self, x);
    }
}

static void site_on_body(void *self, struct exchange *x, unsigned status, const char *why)
{
    struct front *f = self;
    f->site->on_body(f->self, x, status, why);
}

static void site_on_data(void *self, struct exchange *x, struct str bytes)
{
    struct front *f = self;
    f->site->on_data(f->self, x, bytes);
}

static void site_on_end(void *self, struct exchange *x, bool sent)
{
    struct front *f = self;
    f->site->on_end(f->self, x, sent);
}

const struct http_handler front_site = {
    .on_request = site_on_request,
    .on_body = site_on_body,
    .on_data = site_on_data,
    .on_end = site_on_end,
};

// --- on an address of its own ---

static void side_on_request(void *self, struct exchange *x)
{
    struct front_side *s = self;
    if (s->metrics && is_at(x, "/metrics")) {
        answer_metrics(s->front, x);
    } else if (s->health) {
        answer_health(s->front, x);
    } else if (may_ask(s->front, x)) {
        answer_words(s->front, x, 404, STR("the metrics are at /metrics\n"));
    }
}

// No body is ever asked for, and nothing is kept for a request.
static void side_on_end(void *self, struct exchange *x, bool sent)
{
    (void)self;
    (void)x;
    (void)sent;
}

const struct http_handler front_side = {
    .on_request = side_on_request,
    .on_end = side_on_end,
};
