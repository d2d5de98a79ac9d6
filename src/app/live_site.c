// What --dev answers in front of the site, and in its place: see app/live.h.
#include "app/live.h"

#include "base/log.h"
#include "http/page.h"
#include "script/handler.h"
#include "script/web.h"

// --- /.lunette/ ---

static void answer(struct live *l, struct exchange *x, unsigned status, const char *type,
                   struct str bytes)
{
    struct http_response r = {.status = status,
                              .fields = &l->fields,
                              .default_type = str_z(type),
                              .body = BODY_BYTES,
                              .bytes = bytes};
    fields_add(&l->fields, STR("Cache-Control"), STR("no-store"));
    fields_add(&l->fields, STR("Cross-Origin-Resource-Policy"), STR("same-origin"));
    exchange_respond(x, &r);
}

static void answer_stream(struct live *l, struct exchange *x)
{
    struct body_source *source = live_listen(l, x);
    if (!source) {
        fields_add(&l->fields, STR("Retry-After"), STR("5"));
        answer(l, x, 503, "text/plain; charset=utf-8",
               STR("too many pages listen on /.lunette/live\n"));
        return;
    }
    struct http_response r = {.status = 200,
                              .fields = &l->fields,
                              .default_type = STR("text/event-stream"),
                              .body = BODY_SOURCE,
                              .source = source,
                              .length = -1};
    fields_add(&l->fields, STR("Cache-Control"), STR("no-store"));
    fields_add(&l->fields, STR("X-Accel-Buffering"), STR("no"));
    fields_add(&l->fields, STR("Cross-Origin-Resource-Policy"), STR("same-origin"));
    exchange_respond(x, &r);
}

static void answer_own(struct live *l, struct exchange *x, struct str path)
{
    if (x->request.method != HTTP_GET && x->request.method != HTTP_HEAD) {
        fields_add(&l->fields, STR("Allow"), STR("GET, HEAD"));
        answer(l, x, 405, "text/plain; charset=utf-8", STR("GET and HEAD only\n"));
    } else if (str_eq(path, STR("live"))) {
        answer_stream(l, x);
    } else if (str_eq(path, STR("live.js"))) {
        answer(l, x, 200, "text/javascript; charset=utf-8", web_find(path));
    } else if (str_eq(path, STR("page.css"))) {
        answer(l, x, 200, "text/css; charset=utf-8", web_find(path));
    } else {
        answer(l, x, 404, "text/plain; charset=utf-8", STR("/.lunette/ is lunette's own\n"));
    }
}

// A page that had its own name lead here asks for that name; so does who has not told the site of one.
static void answer_stranger(struct live *l, struct exchange *x)
{
    answer(l, x, 421, "text/plain; charset=utf-8",
           STR("--dev answers here for localhost, IP addresses and the names of the site. "
               "app.host(\"name\", fn) in scripts/main.lua makes a name one of them.\n"));
}

// Not for every request: anybody can send them.
static void tell_of_stranger(struct live *l, const struct exchange *x)
{
    struct str host = x->request.authority;
    if (l->strangers == LIVE_STRANGERS)
        return;
    l->strangers++;
    log_write(LOG_WARN,
              "errors are not shown under the host \"%.*s\", nor are its pages refreshed: another "
              "site's page could have led here. app.host(\"name\", fn) makes a name the site's own",
              (int)(host.n < LIVE_HOST ? host.n : LIVE_HOST), host.p);
}

static void on_request(void *self, struct exchange *x)
{
    const struct str own = STR("/.lunette");
    struct live *l = self;
    struct str path = x->request.path;
    bool stranger = !handler_owns_host(l->scripts, x);
    if (stranger)
        tell_of_stranger(l, x);
    if (!str_starts(path, own) || (path.n > own.n && path.p[own.n] != '/')) {
        l->site->on_request(l->self, x);
        return;
    }
    x->user = NULL; // the site's handler knows nothing of it
    x->unlogged = true;
    fields_clear(&l->fields);
    size_t at = path.n > own.n ? own.n + 1 : own.n;
    if (stranger)
        answer_stranger(l, x);
    else
        answer_own(l, x, str_of(path.p + at, path.n - at));
}

static void on_body(void *self, struct exchange *x, unsigned status, const char *why)
{
    struct live *l = self;
    l->site->on_body(l->self, x, status, why);
}

static void on_data(void *self, struct exchange *x, struct str bytes)
{
    struct live *l = self;
    l->site->on_data(l->self, x, bytes);
}

static void on_end(void *self, struct exchange *x, bool sent)
{
    struct live *l = self;
    l->site->on_end(l->self, x, sent);
}

const struct http_handler live_site = {
    .on_request = on_request,
    .on_body = on_body,
    .on_data = on_data,
    .on_end = on_end,
};

// --- without scripts ---

static void on_failed_request(void *self, struct exchange *x)
{
    struct live *l = self;
    bool shows = handler_owns_host(l->scripts, x);
    x->user = NULL;
    buf_clear(&l->text);
    fields_clear(&l->fields);
    fields_add(&l->fields, STR("Cache-Control"), STR("no-store"));
    if (shows) {
        fields_add(&l->fields, STR("Content-Security-Policy"), str_z(web_policy()));
        web_page(&l->text, STR("The scripts cannot be loaded"), live_failure(l));
    } else {
        page_html(&l->text, 503, STR(""));
    }
    struct http_response r = {.status = 503,
                              .fields = &l->fields,
                              .default_type = STR("text/html; charset=utf-8"),
                              .body = BODY_BYTES,
                              .bytes = buf_str(&l->text)};
    if (shows)
        inject_response(&r, &l->fields, &x->request, &l->mark);
    exchange_respond(x, &r);
}

static void on_failed_end(void *self, struct exchange *x, bool sent)
{
    (void)self;
    (void)x;
    (void)sent;
}

// No body is ever asked for.
const struct http_handler live_failed_site = {
    .on_request = on_failed_request,
    .on_end = on_failed_end,
};
