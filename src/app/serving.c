// What settings come to: see the header.
#include "app/serving.h"

#include <stdlib.h>

struct server_options serving_options(const struct config *c, const char *temp)
{
    return (struct server_options){
        .head = {.head_bytes = c->limits.header_bytes,
                 .uri_bytes = c->limits.uri_bytes,
                 .fields = c->limits.headers},
        .spool = {.folder = temp, .memory = c->limits.body_memory},
        .linger_bytes = c->limits.linger_bytes,
        .header_ms = c->timeouts.header,
        .body_ms = c->timeouts.body,
        .idle_ms = c->timeouts.idle,
        .send_ms = c->timeouts.send,
        .linger_ms = c->timeouts.linger,
        .stop_ms = c->timeouts.stop,
        .body_rate = SERVING_BODY_RATE,
        .access = config_logs_json(c) ? ACCESS_JSON : ACCESS_COMBINED,
    };
}

struct sandbox_options serving_sandbox_options(const struct config *c, const char *temp)
{
    return (struct sandbox_options){
        .site = c->site,
        .data = c->data,
        .temp = temp,
        .library = getenv("LUNETTE_LUA"),
        .read = c->sandbox.read.item,
        .write = c->sandbox.write.item,
        .exec = c->sandbox.exec.item,
    };
}

bool serving_enter_sandbox(const struct config *c, const char *temp, struct serving_sandbox *s,
                           char why[static SANDBOX_WHY_MAX])
{
    struct sandbox_options o = serving_sandbox_options(c, temp);
    if (!c->sandbox.on)
        return true;
    struct sandbox_kernel kernel = sandbox_kernel();
    s->has_landlock = kernel.landlock > 0;
    s->has_seccomp = kernel.seccomp;
    return sandbox_list(&o, &s->reach, why) &&
           sandbox_enter(&s->reach, c->sandbox.exec.n > 0, kernel, why);
}
