// Where a log's bytes go: a file, which takes them all, or something that another process has to
// empty (a pipe, a socket, a terminal), which must never hold up the one that writes.
#ifndef LUNETTE_BASE_LOG_SINK_H
#define LUNETTE_BASE_LOG_SINK_H

#include <stdbool.h>
#include <stddef.h>

enum log_sink_kind {
    SINK_FILE,   // writes until all is there
    SINK_PIPE,   // or a terminal: a description of our own, non-blocking
    SINK_SOCKET, // MSG_DONTWAIT
    SINK_OTHER, // the same, where it may not be opened again: RWF_NOWAIT, or asked before each write
};

struct log_sink {
    int fd; // -1: none
    enum log_sink_kind kind;
    bool ours; // to be closed
};

// fd is another's too, as stdout is: O_NONBLOCK would be set for everybody, so a pipe or a terminal is
// opened again where that is possible: for its owner and for root.
void log_sink_share(struct log_sink *s, int fd);
// fd is the sink's own.
void log_sink_own(struct log_sink *s, int fd);
void log_sink_close(struct log_sink *s);
// Whether it goes where fd goes.
bool log_sink_leads_to(const struct log_sink *s, int fd);

// Writes n bytes of whole lines, or as much as goes without waiting for longer than ms
// milliseconds. A pipe that several processes write to gets them in pieces of whole lines up to
// PIPE_BUF, which do not mix. 0 when all was written; else −errno, −EAGAIN where it takes nothing
// now. *done grows by what was written.
int log_sink_put(struct log_sink *s, const char *p, size_t n, size_t *done, int ms);

#endif
