// The server's two logs: the error log, one line a record, and the access log, one line a request.
//
// Any thread may write to the error log; all else is the loop's thread's.
//
// One log is open for each process (descriptors are inherited by workers). Records are single
// lines whatever they contain: control bytes, and what is not UTF-8, are written as \xNN, so that
// nothing a client sends can forge a line. A record has 64 KiB at most; what is cut ends in an
// ellipsis. Access lines are kept in a buffer and written by log_flush(), once in a loop turn and
// at exit; a process that is killed loses what its last turn has left there.
//
// No log blocks the process, whoever reads it. A file takes what it is given. Where nobody empties
// a pipe, or the disk is full, access lines stay in the buffer, and what it cannot hold is lost,
// counted, and told in the error log once the access log takes lines again; records of the error
// log are lost after 100 ms of patience, and told there by the next record or log_flush that goes
// through.
#ifndef LUNETTE_BASE_LOG_H
#define LUNETTE_BASE_LOG_H

#include "base/str.h"

enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
};

struct log_options {
    const char *error;    // a path, "stderr", "stdout" or "off"
    const char *access;   // the same; "off" makes log_access free
    enum log_level level; // records below it are dropped
};

// Opens both. Files are opened for appending, created with mode 0640, never through a link,
// symbolic or hard. What an earlier call opened is closed, unless this one fails. 0 or −errno, with
// *failed the path that could not be opened. Before log_open, records go to stderr.
int log_open(const struct log_options *o, const char **failed);
// Opens stdout and stderr again for logs that are there (log_sink_share), while the process has the
// right to: a pipe that root has made can be opened by root alone. Until the process ends; logs are
// not opened by this. out, err: descriptors of the same that log_standard gave to a process before;
// −1: none.
void log_share(int out, int err);
// What log_share has opened, for a program that goes on in place of this; −1: nothing.
void log_standard(int *out, int *err);
// Writes what is buffered, as log_drain does, and closes what log_open opened.
void log_close(void);
// The descriptors of the log files, for a program that goes on with them; −1: it is no file of
// ours.
void log_files(int *error_fd, int *access_fd);
// Opens the file of a log as log_open does: the descriptor, or −errno.
int log_open_file(const char *path);
// Writes what is buffered to the old logs, which are closed; goes on with these descriptors, which
// are the log's from here on. −1: that log stays as it is.
void log_adopt(int error_fd, int access_fd);

// One record to the error log: "2026-11-22T21:04:27.123Z warn [1234] text". Written at once. Line
// feeds inside the text (tracebacks) begin continuation lines that are indented by a tab.
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
// The same for text that others have made, of which a zero byte is not the end.
void log_text(enum log_level level, struct str text);
// The same with the id of the request that it is about: "… warn [1234] [id] text". An id without
// bytes is none.
void log_about(struct str id, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Lines for whoever has started the process, on stderr, whatever the error log is: as they are, at
// once, and lost like its records where nobody reads them.
void log_say(struct str lines);
// log_write asks this function for the id of the request that runs now, when a record is written by
// the thread that calls here. NULL: there is none.
void log_ask_for_id(struct str (*fn)(void *arg), void *arg);
// The id that a record of this thread would have now; without bytes: none. Alive as long as what it
// names.
struct str log_running_id(void);
bool log_enabled(enum log_level level);
void log_set_level(enum log_level level); // from now on, in this process
// "debug", "info", "warn", "error" → level; -1 for another word.
int log_level_parse(struct str name);

// Whether access lines go anywhere: callers skip the work of making them otherwise.
bool log_access_enabled(void);
// One line, without its line feed, for the access log. It is the caller's duty to have escaped it
// with log_escape. Written by log_flush, or earlier when the buffer (64 KiB) is full.
void log_access(struct str line);
// Writes what the log takes without waiting, and tells of losses. False: some is left, so call it
// again later.
bool log_flush(void);
// The same, with up to ms milliseconds of waiting for a log that takes nothing.
void log_drain(int ms);
// Lines of the access log, and records of the error log, that this process has lost so far.
uint64_t log_lost(void);

// Appends s to dst with bytes below 0x20, above 0x7e, '"' and '\' written as \xNN; stops when cap
// bytes are used. Returns the new length.
size_t log_escape(char *dst, size_t used, size_t cap, struct str s);

#endif
