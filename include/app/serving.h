// What a server is told of the site's settings.
#ifndef LUNETTE_APP_SERVING_H
#define LUNETTE_APP_SERVING_H

#include "app/config.h"
#include "http/server.h"

enum { SERVING_BODY_RATE = 500 }; // bytes a second that a request body must reach on average

// temp: the folder where large bodies wait, which must outlive what is made with these.
struct server_options serving_options(const struct config *c, const char *temp);

#endif
