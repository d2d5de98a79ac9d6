// A worker that crashes leaves a word on what it was doing: "GET /x at scripts/main.lua:3".
//
// Not for what comes from outside unasked (SIGKILL): of that http/flights.h tells what was under way.
#ifndef LUNETTE_APP_CRASH_H
#define LUNETTE_APP_CRASH_H

#include "http/flights.h"
#include "net/watchdog.h"

// From now on SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT write what runs in the watchdog's process
// into f->ran before they do what they did before: end the process, or have a sanitizer report. For the
// thread that calls it, on a stack of its own.
void crash_watch(struct flights *f, struct watchdog *w);
// The watchdog is about to go.
void crash_forget(void);

#endif
