// Settings → struct server_options: see the header.
#include "app/serving.h"

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
