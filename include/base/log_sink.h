// Where a log's bytes go: a file, which takes them all, or something that another process has to
// empty (a pipe, a socket, a terminal), which must never hold up the one that writes.
#ifndef LUNETTE_BASE_LOG_SINK_H
#define LUNETTE_BASE_LOG_SINK_H

#include <stdbool.h>
#include <stddef.h>

enum log_sink_kind {
    SINK_FILE,   // writes until all is there
    SINK_PIPE,   // a description of our own, non-blocking
    SINK_SOCKET, // MSG_DONTWAIT
    SINK_OTHER,  // a terminal, or a pipe that may not be opened again: asked before each write
};

struct log_sink {
    int fd; // -1: none
    enum log_sink_kind kind;
    bool ours; // to be closed
};

// fd is another's too, as stdout is: O_NONBLOCK would be set for everybody, so a pipe is opened
// again where that is possible.
void log_sink_share(struct log_sink *s, int fd);
// fd is the sink's own.
void log_sink_own(struct log_sink *s, int fd);
void log_sink_close(struct log_sink *s);

// Writes n bytes of whole lines, or as much as goes without waiting for longer than ms
// milliseconds. A pipe that several processes write to gets them in pieces of whole lines up to
// PIPE_BUF, which do not mix. 0 when all was written; else −errno, −EAGAIN where it takes nothing
// now. *done grows by what was written.
int log_sink_put(struct log_sink *s, const char *p, size_t n, size_t *done, int ms);

#endif
