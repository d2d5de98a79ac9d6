// What the service manager is told: see the header.
#include "app/notify.h"

#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool number_of(const char *variable, uint64_t *n)
{
    const char *text = getenv(variable);
    return text && str_to_u64(str_z(text), n);
}

// "/run/…" is a path, "@…" an abstract name.
static bool read_address(struct notify *n, const char *text)
{
    size_t length = text ? strlen(text) : 0;
    n->to = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (length < 2 || length >= sizeof n->to.sun_path || (text[0] != '/' && text[0] != '@'))
        return false;
    memcpy(n->to.sun_path, text, length);
    if (text[0] == '@')
        n->to.sun_path[0] = '\0';
    n->to_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return true;
}

void notify_open(struct notify *n)
{
    uint64_t usec, pid = (uint64_t)getpid();
    *n = (struct notify){.fd = -1};
    if (read_address(n, getenv("NOTIFY_SOCKET")))
        n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool ours = !getenv("WATCHDOG_PID") || number_of("WATCHDOG_PID", &pid);
    if (n->fd >= 0 && ours && pid == (uint64_t)getpid() && number_of("WATCHDOG_USEC", &usec) &&
        usec > 0 && usec < UINT32_MAX * (uint64_t)1000)
        n->every = usec < 4000 ? 1 : (int64_t)(usec / 2000); // half of it
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_close(struct notify *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

void notify_tell(struct notify *n, const char *format, ...)
{
    char text[2048];
    va_list args;
    if (n->fd < 0)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ssize_t sent =
        sendto(n->fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&n->to, n->to_n);
    if (sent < 0 && !n->failed)
        log_write(LOG_WARN, "the service manager cannot be told how the server is: %s",
                  strerror(errno));
    n->failed = sent < 0;
}

void notify_turn(struct notify *n, int64_t now)
{
    if (n->every == 0 || now < n->due)
        return;
    notify_tell(n, "WATCHDOG=1");
    n->due = now + n->every;
}

int64_t notify_due(const struct notify *n)
{
    return n->every ? n->due : INT64_MAX;
}

void notify_pass_on(const struct notify *n, int pid)
{
    char text[sizeof n->to.sun_path + 1], number[24];
    if (n->fd < 0)
        return;
    size_t length = n->to_n - offsetof(struct sockaddr_un, sun_path);
    snprintf(text, sizeof text, "%c%.*s", n->to.sun_path[0] ? n->to.sun_path[0] : '@',
             (int)length - 1, n->to.sun_path + 1);
    setenv("NOTIFY_SOCKET", text, 1);
    if (n->every == 0)
        return;
    snprintf(number, sizeof number, "%lld", (long long)n->every * 2000);
    setenv("WATCHDOG_USEC", number, 1);
    snprintf(number, sizeof number, "%d", pid);
    setenv("WATCHDOG_PID", number, 1);
}
