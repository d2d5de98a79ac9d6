// The heads of requests: see the header.
#include "http/h1_head.h"

#include "base/log.h"
#include "http/access.h"
#include "http/h1_answer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- refusal ---

void h1_refuse(struct h1_conn *c, bool head, unsigned status, const char *why, struct str came)
{
    char text[ADDR_TEXT_MAX];
    log_write(LOG_INFO, "%u to %s: %s", status, addr_host(&c->peer, text), why);
    h1_write_page(c, status, head);
    access_note_refused(c, came, status);
    h1_linger(c);
}

static void refuse_head(struct h1_conn *c, const struct h1_head *h, struct str in)
{
    char why[160];
    bool head = str_eq(h1_text(in.p, h->method_span), STR("HEAD"));
    snprintf(why, sizeof why, "%s, in the line at byte %u", h1_error_info(h->error)->why,
             h->error_at);
    h1_refuse(c, head, h1_error_info(h->error)->status, why, in);
}

// --- a whole head ---

// Calls on_request. Returns how many of the bytes behind the head it took.
static size_t hand_request(struct h1_conn *c, struct str behind)
{
    struct h1_env *env = c->env;
    // What wakes a request or a stream defers it: nothing comes here from on_request.
    assert(!env->fresh);
    env->fresh = c->x;
    env->ahead = behind;
    env->handler->on_request(env->self, &c->x->pub);
    env->fresh = NULL;
    return behind.n - env->ahead.n;
}

// Returns how many bytes of in it took, the head's and perhaps the body's.
static size_t start_exchange(struct h1_conn *c, const struct h1_head *h, struct str in)
{
    bool head = h->method == HTTP_HEAD;
    const char *why = h1_begin_exchange(c, h, in);
    if (why && *why) {
        h1_refuse(c, head, 400, why, in);
    } else if (why) {
        h1_refuse(c, head, 503, "out of memory for the request", in);
    } else {
        h1_set_state(c, CONN_HANDLE);
        h1_arm_for_handler(c); // no more that of the head
        c->served = true;
        return h->length + hand_request(c, str_of(in.p + h->length, in.n - h->length));
    }
    return h->length;
}

// --- a part of one ---

static struct h1_head *partial_head(struct h1_conn *c, const struct h1_head *so_far)
{
    const struct h1_limits *limits = &c->env->options->head;
    struct h1_head *h = malloc(sizeof *h + limits->fields * sizeof(struct h1_field));
    if (!h)
        return NULL;
    *h = *so_far;
    h->fields = (struct h1_field *)(h + 1);
    memcpy(h->fields, so_far->fields, so_far->field_count * sizeof(struct h1_field));
    return h;
}

static void wait_for_rest(struct h1_conn *c, const struct h1_head *so_far, struct str in)
{
    if (!c->partial && !(c->partial = partial_head(c, so_far))) {
        h1_refuse(c, false, 503, "out of memory for the request", in);
    } else if (c->state == CONN_IDLE) {
        h1_set_state(c, CONN_HEAD);
        if (c->served)
            h1_arm(c); // the first request's deadline counts from accept
    }
}

size_t h1_step_head(struct h1_conn *c, struct str in)
{
    struct h1_head scratch, *h = c->partial;
    if (in.n == 0)
        return 0;
    if (!h) {
        h = &scratch;
        h1_head_init(h, &c->env->options->head, c->env->fields);
    }
    enum h1_result r = h1_head_parse(h, in);
    if (r == H1_MORE) {
        wait_for_rest(c, h, in);
        return 0;
    }
    struct h1_head *partial = c->partial;
    c->partial = NULL;
    size_t used = in.n;
    if (r == H1_DONE)
        used = start_exchange(c, h, in);
    else
        refuse_head(c, h, in);
    free(partial);
    return used;
}
