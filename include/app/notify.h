// What the service manager is told: sd_notify(3)'s protocol, datagrams to $NOTIFY_SOCKET.
#ifndef LUNETTE_APP_NOTIFY_H
#define LUNETTE_APP_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
    int fd; // −1: nobody wants to know
    struct sockaddr_un to;
    socklen_t to_n;
    int64_t every, due; // of WATCHDOG=1, milliseconds; every 0: not wanted
    bool failed;        // it was told
};

// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and takes them out of the environment.
void notify_open(struct notify *n);
void notify_close(struct notify *n);
// Tells lines like "READY=1\nSTATUS=…". Never waits, and never fails.
void notify_tell(struct notify *n, const char *format, ...) __attribute__((format(printf, 2, 3)));
// WATCHDOG=1 when that is due; now and the due time are milliseconds of CLOCK_MONOTONIC.
void notify_turn(struct notify *n, int64_t now);
int64_t notify_due(const struct notify *n); // INT64_MAX: never
// Puts the variables back, for a program that process pid executes.
void notify_pass_on(const struct notify *n, int pid);

#endif
