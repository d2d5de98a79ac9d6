// The logs: see the header. The one global of the project: a process has one error log.
//
// Any thread may write records; the lock is held while one is written, and while the log's file
// changes. The access log, and everything else that changes, is the loop's thread's alone.
#include "base/log.h"

#include "base/log_record.h"
#include "base/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    RECORD_MAX = 64 * 1024,
    SHORT_MAX = 1024, // bytes of a text for which there is no memory
    ACCESS_BUFFER = 64 * 1024,
    LOSSES_MAX = 256,   // bytes of the record that tells of losses
    PATIENCE = 100,     // milliseconds for an error log that takes nothing
    LAST_PATIENCE = 500 // and for an access log at the end
};

static struct {
    pthread_mutex_t lock; // of error and error_…, and of id_…
    struct log_sink error, access;
    _Atomic int level; // enum log_level
    _Atomic bool error_open;
    struct str (*id_fn)(void *arg);
    void *id_arg;
    pthread_t id_thread;           // whose records it is asked about; others know of no request
    bool error_stuck;              // it took nothing last time: no patience again
    bool error_cut;                // a record ended in the middle of its line
    _Atomic uint64_t error_losses; // not told yet
    uint64_t access_losses;
    int access_wrong;      // why the access log takes nothing, as errno; 0: it does
    _Atomic uint64_t lost; // of both, since the start
    size_t used;           // of lines
} the_log = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .error_open = true,
    .error = {.fd = STDERR_FILENO, .kind = SINK_OTHER},
    .access = {.fd = -1},
    .level = LOG_INFO,
};

// Of the access log; not in the_log, since that would be 64 KiB of the program's file, and in
// memory where there is no access log.
static char access_lines[ACCESS_BUFFER];

// A FIFO that nobody reads is an error (ENXIO): to wait for a reader would be to serve no more.
int log_open_file(const char *path)
{
    int fd = open(
        path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd < 0)
        return -errno;
    struct stat st; // a second name may have been given to a file that is not a log
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink > 1) {
        close(fd);
        return -EMLINK;
    }
    return fd;
}

// stdout and stderr, kept: a sink that has one of them is a copy that does not close it.
static struct log_sink standard[] = {{.fd = -1}, {.fd = -1}};

static struct log_sink copy_of(const struct log_sink *kept)
{
    return (struct log_sink){.fd = kept->fd, .kind = kept->kind};
}

// The descriptor leads elsewhere now: so do the copies.
static void renew(struct log_sink *kept, int fd)
{
    struct log_sink *copies[] = {&the_log.error, &the_log.access};
    int old = kept->fd;
    pthread_mutex_lock(&the_log.lock);
    log_sink_close(kept);
    log_sink_share(kept, fd);
    for (int i = 0; i < 2; i++)
        if (old >= 0 && !copies[i]->ours && copies[i]->fd == old)
            *copies[i] = copy_of(kept);
    pthread_mutex_unlock(&the_log.lock);
}

static struct log_sink standard_sink(int fd)
{
    struct log_sink *kept = &standard[fd - STDOUT_FILENO];
    if (!log_sink_leads_to(kept, fd))
        renew(kept, fd);
    return copy_of(kept);
}

static int open_target(const char *path, struct log_sink *s)
{
    if (!path || strcmp(path, "off") == 0) {
        *s = (struct log_sink){.fd = -1};
    } else if (strcmp(path, "stderr") == 0) {
        *s = standard_sink(STDERR_FILENO);
    } else if (strcmp(path, "stdout") == 0) {
        *s = standard_sink(STDOUT_FILENO);
    } else {
        int fd = log_open_file(path);
        if (fd < 0)
            return fd;
        log_sink_own(s, fd);
    }
    return 0;
}

// In place of the one there is, which is closed.
static void set_error(const struct log_sink *s)
{
    pthread_mutex_lock(&the_log.lock);
    log_sink_close(&the_log.error);
    the_log.error = *s;
    the_log.error_open = s->fd >= 0;
    the_log.error_stuck = the_log.error_cut = false;
    pthread_mutex_unlock(&the_log.lock);
}

void log_share(int out, int err)
{
    if (out >= 0)
        log_sink_own(&standard[0], out);
    if (err >= 0)
        log_sink_own(&standard[1], err);
    standard_sink(STDOUT_FILENO);
    standard_sink(STDERR_FILENO);
}

void log_standard(int *out, int *err)
{
    *out = standard[0].ours ? standard[0].fd : -1;
    *err = standard[1].ours ? standard[1].fd : -1;
}

int log_open(const struct log_options *o, const char **failed)
{
    struct log_sink error, access;
    int rc = open_target(o->error, &error);
    if (rc < 0) {
        *failed = o->error;
        return rc;
    }
    rc = open_target(o->access, &access);
    if (rc < 0) {
        *failed = o->access;
        log_sink_close(&error);
        return rc;
    }
    log_close(); // of an earlier log_open
    set_error(&error);
    the_log.access = access;
    the_log.level = o->level;
    return 0;
}

void log_adopt(int error_fd, int access_fd)
{
    if (access_fd >= 0) {
        log_drain(0);
        log_sink_close(&the_log.access);
        log_sink_own(&the_log.access, access_fd);
    }
    if (error_fd >= 0) {
        struct log_sink error;
        log_sink_own(&error, error_fd);
        set_error(&error);
    }
}

static int file_of(const struct log_sink *s)
{
    return s->ours && s->kind == SINK_FILE ? s->fd : -1;
}

void log_files(int *error_fd, int *access_fd)
{
    *error_fd = file_of(&the_log.error);
    *access_fd = file_of(&the_log.access);
}

void log_close(void)
{
    log_drain(LAST_PATIENCE);
    the_log.used = 0;
    log_sink_close(&the_log.access);
    struct log_sink error = standard_sink(STDERR_FILENO);
    set_error(&error);
}

uint64_t log_lost(void)
{
    return the_log.lost;
}

// --- the error log ---

void log_set_level(enum log_level level)
{
    the_log.level = level;
}

bool log_enabled(enum log_level level)
{
    return (int)level >= the_log.level && the_log.error_open;
}

static bool put_line(const char *line, size_t n, int ms)
{
    size_t done = 0;
    if (the_log.error_cut && log_sink_put(&the_log.error, "\n", 1, &done, 0) == 0)
        the_log.error_cut = false;
    done = 0;
    int rc = log_sink_put(&the_log.error, line, n, &done, ms);
    the_log.error_cut |= rc < 0 && done > 0;
    return rc == 0;
}

// The record that so many of them were lost, whatever they are: its length.
static size_t make_losses(char line[static LOSSES_MAX], uint64_t count, const char *them)
{
    size_t used = log_record_front(line, LOSSES_MAX, LOG_WARN, STR(""));
    return used + (size_t)snprintf(line + used, LOSSES_MAX - used, "%llu %s\n",
                                   (unsigned long long)count, them);
}

static void tell_losses(int ms)
{
    char line[LOSSES_MAX];
    size_t n =
        make_losses(line, the_log.error_losses, "records of this log were lost: it took no more");
    if (put_line(line, n, ms))
        the_log.error_losses = 0;
}

// Whether the log has taken it. counts: it is a loss if not.
static bool put_record(const char *line, size_t n, bool counts)
{
    pthread_mutex_lock(&the_log.lock);
    if (the_log.error_losses)
        tell_losses(0);
    bool stuck = the_log.error_losses || !put_line(line, n, the_log.error_stuck ? 0 : PATIENCE);
    the_log.error_stuck = stuck;
    the_log.error_losses += stuck && counts;
    the_log.lost += stuck && counts;
    pthread_mutex_unlock(&the_log.lock);
    return !stuck;
}

// What was lost before is told, if the log takes something within ms milliseconds. False: not yet.
static bool tell_losses_within(int ms)
{
    if (the_log.error_losses == 0 || !the_log.error_open)
        return true;
    pthread_mutex_lock(&the_log.lock);
    if (the_log.error_losses)
        tell_losses(ms);
    pthread_mutex_unlock(&the_log.lock);
    return the_log.error_losses == 0;
}

void log_say(struct str lines)
{
    size_t done = 0;
    struct log_sink out = standard_sink(STDERR_FILENO);
    pthread_mutex_lock(&the_log.lock);
    log_sink_put(&out, lines.p, lines.n, &done, PATIENCE);
    pthread_mutex_unlock(&the_log.lock);
}

static void put_text(struct str id, enum log_level level, struct str text, char *line, size_t room)
{
    size_t used = log_record_make(line, room, level, id, text);
    put_record(line, used, true);
}

// Without memory, which is what the record may be about: what there is room for here.
static void write_short(struct str id, enum log_level level, struct str text)
{
    char line[2 * SHORT_MAX];
    put_text(id, level, text, line, sizeof line);
}

static void write_text(struct str id, enum log_level level, struct str text)
{
    char *line = malloc(RECORD_MAX);
    if (line)
        put_text(id, level, text, line, RECORD_MAX);
    else
        write_short(id, level, text);
    free(line);
}

static void write_record(struct str id, enum log_level level, const char *format, va_list args)
{
    va_list again;
    char *text = NULL, brief[SHORT_MAX];
    va_copy(again, args);
    int n = vasprintf(&text, format, args);
    if (n >= 0) {
        write_text(id, level, str_of(text, (size_t)n));
        free(text);
    } else if ((n = vsnprintf(brief, sizeof brief, format, again)) >= 0) {
        write_short(id, level, str_z(brief));
    }
    va_end(again);
}

// Whether this is the thread whose records are about the request that runs.
static bool asks_for_id(void)
{
    pthread_mutex_lock(&the_log.lock);
    bool asks = the_log.id_fn && pthread_equal(the_log.id_thread, pthread_self());
    pthread_mutex_unlock(&the_log.lock);
    return asks;
}

struct str log_running_id(void)
{
    return asks_for_id() ? the_log.id_fn(the_log.id_arg) : STR("");
}

void log_write(enum log_level level, const char *format, ...)
{
    va_list args;
    if (!log_enabled(level))
        return;
    va_start(args, format);
    write_record(log_running_id(), level, format, args);
    va_end(args);
}

void log_text(enum log_level level, struct str text)
{
    if (log_enabled(level))
        write_text(log_running_id(), level, text);
}

void log_about(struct str id, enum log_level level, const char *format, ...)
{
    va_list args;
    if (!log_enabled(level))
        return;
    va_start(args, format);
    write_record(id, level, format, args);
    va_end(args);
}

void log_ask_for_id(struct str (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&the_log.lock);
    the_log.id_fn = fn;
    the_log.id_arg = arg;
    the_log.id_thread = pthread_self();
    pthread_mutex_unlock(&the_log.lock);
}

// --- the access log ---

bool log_access_enabled(void)
{
    return the_log.access.fd >= 0;
}

// Where the error log takes nothing either, what was lost is told later.
static void tell_access_losses(void)
{
    char line[LOSSES_MAX];
    if (!log_enabled(LOG_WARN)) {
        the_log.access_losses = 0;
        return;
    }
    size_t n =
        make_losses(line, the_log.access_losses, "access lines were lost: the log took no more");
    if (put_record(line, n, false))
        the_log.access_losses = 0;
}

// What the log has taken, or not: said once when it stops, and once when it goes on.
static void note(int rc)
{
    if (rc < 0 && rc != -EAGAIN && rc != the_log.access_wrong)
        log_about(
            STR(""), LOG_ERROR,
            "the access log cannot be written: %s. Its lines are kept as far as there is room",
            strerror(-rc));
    the_log.access_wrong = rc;
    if (rc == 0 && the_log.access_losses)
        tell_access_losses();
}

static bool flush_within(int ms)
{
    size_t done = 0;
    if (the_log.used == 0 && the_log.access_losses == 0)
        return true;
    int rc = the_log.used ? log_sink_put(&the_log.access, access_lines, the_log.used, &done, ms)
                          : the_log.access_wrong;
    the_log.used -= done;
    if (the_log.used)
        memmove(access_lines, access_lines + done, the_log.used);
    note(rc);
    return the_log.used == 0 && the_log.access_losses == 0;
}

bool log_flush(void)
{
    bool flushed = flush_within(0);
    return tell_losses_within(0) && flushed;
}

// What is left of the access log is lost.
static void give_up_lines(void)
{
    uint64_t left = 0;
    for (size_t i = 0; i < the_log.used; i++)
        left += access_lines[i] == '\n';
    the_log.access_losses += left;
    the_log.lost += left;
    the_log.used = 0;
}

void log_drain(int ms)
{
    if (!flush_within(ms))
        give_up_lines();
    tell_losses_within(ms < PATIENCE ? ms : PATIENCE);
    if (the_log.access_losses)
        note(0);
}

void log_access(struct str line)
{
    if (the_log.access.fd < 0 || line.n + 1 > ACCESS_BUFFER)
        return;
    if (line.n + 1 > ACCESS_BUFFER - the_log.used)
        flush_within(0);
    if (line.n + 1 > ACCESS_BUFFER - the_log.used) {
        the_log.access_losses++;
        the_log.lost++;
        return;
    }
    memcpy(access_lines + the_log.used, line.p, line.n);
    access_lines[the_log.used + line.n] = '\n';
    the_log.used += line.n + 1;
}
