// One exchange of an HTTP/1 connection: see the header. Ended ones are kept, with their memory, for
// the next.
#include "http/access.h"
#include "http/h1_conn.h"

#include "http/uri.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
    SPARE_EXCHANGES = 64,
    ARENA_MAX = 1 << 20, // a request's arena: the head, its copies, what handlers add
};

static struct h1_exchange *take_exchange(struct h1_conn *c)
{
    struct h1_env *env = c->env;
    struct h1_exchange *x = env->spares;
    if (x) {
        env->spares = x->spare;
        env->spare_count--;
        size_t kept = offsetof(struct h1_exchange, pub.request); // arena and body
        memset((char *)x + kept, 0, sizeof *x - kept);
        spool_reuse(&x->pub.body, &env->options->spool, 0);
    } else {
        x = calloc(1, sizeof *x);
        if (!x)
            return NULL;
        arena_init(&x->pub.arena, ARENA_MAX);
        spool_init(&x->pub.body, &env->options->spool, 0);
    }
    x->conn = c;
    x->pub.peer = &c->peer;
    return c->x = x;
}

static void give_exchange(struct h1_env *env, struct h1_exchange *x)
{
    if (env->spare_count >= SPARE_EXCHANGES) {
        spool_fini(&x->pub.body);
        arena_fini(&x->pub.arena);
        free(x);
        return;
    }
    spool_reset(&x->pub.body);
    arena_reset(&x->pub.arena);
    x->spare = env->spares;
    env->spares = x;
    env->spare_count++;
}

void h1_tell_end(struct h1_conn *c, bool sent)
{
    struct h1_exchange *x = c->x;
    x->ended = true;
    flights_end(c->env->options->flights, x->flight);
    if (x->source) {
        x->source->ops->close(x->source);
        x->source = NULL;
    }
    c->env->handler->on_end(c->env->self, &x->pub, sent);
    if (x->answered)
        access_note(c, x, x->pub.status);
    else if (c->left)
        access_note(c, x, ACCESS_LEFT);
    else if (c->env->cuts)
        access_note(c, x, ACCESS_CUT);
}

void h1_end_exchange(struct h1_conn *c, bool sent)
{
    struct h1_exchange *x = c->x;
    if (!x->ended)
        h1_tell_end(c, sent);
    c->x = NULL;
    give_exchange(c->env, x);
}

// --- the request ---

// The one that a trusted proxy gave, if it is one.
static struct str given_id(struct exchange *x)
{
    struct str given = {NULL, 0};
    if (x->client)
        given = request_fields(&x->request, STR("x-request-id"), &x->arena); // two make no id
    return forwarded_is_id(given) ? given : STR("");
}

static struct h1_env *conn_env(struct exchange *x)
{
    return ((struct h1_exchange *)x)->conn->env;
}

static struct str new_id(struct exchange *x)
{
    enum { DIGITS = 16 };
    struct h1_env *env = conn_env(x);
    char *text = arena_alloc(&x->arena, DIGITS);
    if (!text)
        return STR("");
    uint64_t z = env->id_seed + ++env->id_count * 0x9e3779b97f4a7c15u; // splitmix64: one to one
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    for (int i = DIGITS; i-- > 0; z >>= 4)
        text[i] = "0123456789abcdef"[z & 15];
    return str_of(text, DIGITS);
}

struct str exchange_id(struct exchange *x)
{
    if (x->id.n)
        return x->id;
    x->id = given_id(x);
    if (x->id.n == 0)
        x->id = new_id(x);
    flights_name(conn_env(x)->options->flights, ((struct h1_exchange *)x)->flight, x->id);
    return x->id;
}

// A head in the arena, and room to decode its path.
struct copied_head {
    struct str text;
    struct http_field *fields;
    char *decoded;
};

static bool copy_head(struct arena *arena, const struct h1_head *h, const char *in,
                      struct copied_head *copy)
{
    size_t decoded_n = h->origin.n + 2; // of an absolute-form target without a path, "/" is decoded
    struct http_field *fields =
        arena_alloc(arena, (h->field_count + 1) * sizeof *fields + decoded_n + h->length);
    if (!fields)
        return false;
    char *decoded = (char *)(fields + h->field_count + 1);
    *copy = (struct copied_head){str_of(decoded + decoded_n, h->length), fields, decoded};
    memcpy(decoded + decoded_n, in, h->length);
    for (uint32_t i = 0; i < h->field_count; i++) {
        fields[i].name = h1_text(copy->text.p, h->fields[i].name);
        fields[i].value = h1_text(copy->text.p, h->fields[i].value);
    }
    return true;
}

static const char *set_path(struct http_request *r, char *decoded)
{
    struct uri_path path;
    const char *why;
    if (str_eq(r->raw_path, STR("*"))) {
        r->path = r->raw_path;
        return NULL;
    }
    if (!uri_normalise(r->raw_path, decoded, &path, &why))
        return why;
    r->path = path.path;
    r->encoded_slash = path.encoded_slash;
    return NULL;
}

// Points the request at a copy of the head. NULL, or why it is refused.
static const char *fill_request(struct h1_exchange *x, const struct h1_head *h, struct str in)
{
    struct http_request *r = &x->pub.request;
    struct copied_head copy;
    if (!copy_head(&x->pub.arena, h, in.p, &copy))
        return "";
    const char *text = copy.text.p;
    // Two hosts in one request would let a cache keep under one what was made of the other.
    if (h->absolute && h->known_lines[H1_HOST])
        copy.fields[h->known[H1_HOST]].value = h1_text(text, h->authority);
    *r = (struct http_request){
        .method = h->method,
        .minor = h->minor,
        .target = h1_text(text, h->target),
        .authority = h1_text(text, h->authority),
        .fields = copy.fields,
        .field_count = h->field_count,
        .chunked = h->chunked,
        .has_body = h->chunked || h->content_length > 0,
        .content_length = h->content_length,
    };
    const char *line = text + h->method_span.at;
    x->request_line =
        str_of(line, (size_t)(r->target.p + r->target.n - line) + strlen(" HTTP/1.x"));
    bool has_query;
    uri_split(h1_text(text, h->origin), &r->raw_path, &r->query, &has_query);
    return set_path(r, copy.decoded);
}

const char *h1_begin_exchange(struct h1_conn *c, const struct h1_head *h, struct str in)
{
    struct h1_exchange *x = take_exchange(c);
    const char *why = x ? fill_request(x, h, in) : "";
    if (why) {
        c->x = NULL;
        if (x)
            give_exchange(c->env, x);
        return why;
    }
    x->flight = flights_begin(c->env->options->flights, x->request_line);
    x->began = access_begin(c->env->options);
    x->close = !h->keep_alive || c->env->draining;
    x->expects_continue = h->expect_continue;
    x->body_left = (uint64_t)h->content_length;
    x->body_done = !x->pub.request.has_body;
    if (h->chunked)
        h1_chunked_init(&x->chunked, &c->env->options->head);
    return NULL;
}
