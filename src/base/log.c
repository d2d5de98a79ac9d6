// The logs: see the header. The one global of the project: a process has one error log.
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { RECORD_MAX = 64 * 1024, ACCESS_BUFFER = 64 * 1024 };

static struct {
    int error_fd;
    int access_fd; // -1: off
    enum log_level level;
    bool access_is_pipe; // writes up to PIPE_BUF are atomic there, larger ones are not
    size_t used;
    char access[ACCESS_BUFFER];
} the_log = {.error_fd = STDERR_FILENO, .access_fd = -1, .level = LOG_INFO};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static int open_target(const char *path, int *fd)
{
    if (!path || strcmp(path, "off") == 0) {
        *fd = -1;
    } else if (strcmp(path, "stderr") == 0) {
        *fd = STDERR_FILENO;
    } else if (strcmp(path, "stdout") == 0) {
        *fd = STDOUT_FILENO;
    } else {
        *fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
        if (*fd < 0)
            return -errno;
        struct stat st; // a second name may have been given to a file that is not a log
        if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink > 1) {
            close(*fd);
            return -EMLINK;
        }
    }
    return 0;
}

static void close_target(int *fd)
{
    if (*fd > STDERR_FILENO)
        close(*fd);
    *fd = -1;
}

int log_open(const struct log_options *o, const char **failed)
{
    int error_fd, access_fd;
    int rc = open_target(o->error, &error_fd);
    if (rc < 0) {
        *failed = o->error;
        return rc;
    }
    rc = open_target(o->access, &access_fd);
    if (rc < 0) {
        *failed = o->access;
        close_target(&error_fd);
        return rc;
    }
    log_close(); // of an earlier log_open
    struct stat st;
    the_log.error_fd = error_fd;
    the_log.access_fd = access_fd;
    the_log.level = o->level;
    the_log.access_is_pipe = access_fd >= 0 && fstat(access_fd, &st) == 0 && !S_ISREG(st.st_mode);
    return 0;
}

void log_close(void)
{
    log_flush();
    close_target(&the_log.access_fd);
    close_target(&the_log.error_fd);
    the_log.error_fd = STDERR_FILENO;
}

// Writes all of it. A log that cannot be written to is not a reason to stop serving.
static void write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return;
        p += w;
        n -= (size_t)w;
    }
}

bool log_enabled(enum log_level level)
{
    return level >= the_log.level && the_log.error_fd >= 0;
}

int log_level_parse(struct str name)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++)
        if (str_eq(name, str_z(level_names[i])))
            return i;
    return -1;
}

// Line feeds become continuation lines, other control bytes \xNN. Returns the length in dst.
static size_t one_record(char *dst, size_t cap, const char *text)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (; *text && n + 6 < cap; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '\n') {
            if (text[1]) {
                dst[n++] = '\n';
                dst[n++] = '\t';
            }
        } else if ((c < 0x20 && c != '\t') || c == 0x7f) {
            dst[n++] = '\\';
            dst[n++] = 'x';
            dst[n++] = hex[c >> 4];
            dst[n++] = hex[c & 15];
        } else {
            dst[n++] = (char)c;
        }
    }
    return n;
}

void log_write(enum log_level level, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    char *line = n < 0 ? NULL : malloc(RECORD_MAX);
    if (line) {
        struct timespec now;
        struct tm utc;
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &utc);
        size_t used = strftime(line, RECORD_MAX, "%Y-%m-%dT%H:%M:%S", &utc);
        used += (size_t)snprintf(line + used, RECORD_MAX - used, ".%03dZ %s [%d] ",
                                 (int)(now.tv_nsec / 1000000), level_names[level], (int)getpid());
        used += one_record(line + used, RECORD_MAX - used - 1, text);
        line[used++] = '\n';
        write_all(the_log.error_fd, line, used);
    }
    free(line);
    if (n >= 0)
        free(text);
}

bool log_access_enabled(void)
{
    return the_log.access_fd >= 0;
}

// A pipe may be shared by several workers: whole lines of at most PIPE_BUF bytes keep them apart.
static void flush_pipe(void)
{
    enum { ATOMIC = 4096 };
    size_t at = 0;
    while (at < the_log.used) {
        size_t n = the_log.used - at;
        if (n > ATOMIC) {
            const char *last = memrchr(the_log.access + at, '\n', ATOMIC);
            n = last ? (size_t)(last + 1 - (the_log.access + at)) : ATOMIC;
        }
        write_all(the_log.access_fd, the_log.access + at, n);
        at += n;
    }
}

void log_flush(void)
{
    if (the_log.used == 0)
        return;
    if (the_log.access_is_pipe)
        flush_pipe();
    else
        write_all(the_log.access_fd, the_log.access, the_log.used);
    the_log.used = 0;
}

void log_access(struct str line)
{
    if (the_log.access_fd < 0 || line.n + 1 > ACCESS_BUFFER)
        return;
    if (line.n + 1 > ACCESS_BUFFER - the_log.used)
        log_flush();
    memcpy(the_log.access + the_log.used, line.p, line.n);
    the_log.access[the_log.used + line.n] = '\n';
    the_log.used += line.n + 1;
}

size_t log_escape(char *dst, size_t used, size_t cap, struct str s)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < s.n && used + 4 <= cap; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            dst[used++] = (char)c;
            continue;
        }
        dst[used++] = '\\';
        dst[used++] = 'x';
        dst[used++] = hex[c >> 4];
        dst[used++] = hex[c & 15];
    }
    return used;
}
