// What a server, and the process around it, is told of the site's settings.
#ifndef LUNETTE_APP_SERVING_H
#define LUNETTE_APP_SERVING_H

#include "app/config.h"
#include "app/sandbox.h"
#include "http/server.h"

enum { SERVING_BODY_RATE = 500 }; // bytes a second that a request body must reach on average

// temp: the folder where large bodies wait, which must outlive what is made with these.
struct server_options serving_options(const struct config *c, const char *temp);

// What of the files it may use.
struct sandbox_options serving_sandbox_options(const struct config *c, const char *temp);

// What of the sandbox the kernel enforces in this process.
struct serving_sandbox {
    struct reach reach; // what it allows; empty where it is off
    bool has_landlock, has_seccomp;
};
// Enters it, for good, unless sandbox is false. The process must have one thread. False, with a
// sentence; the process must then end.
bool serving_enter_sandbox(const struct config *c, const char *temp, struct serving_sandbox *s,
                           char why[static SANDBOX_WHY_MAX]);

#endif
