// How a record of the error log is written: see the header; and log_escape and log_level_parse of log.h.
#include "base/log_record.h"

#include "base/utf8.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warn", "error"};

size_t log_record_front(char *line, size_t room, enum log_level level, struct str id)
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t used = strftime(line, room, "%Y-%m-%dT%H:%M:%S", &utc);
    used += (size_t)snprintf(line + used, room - used, ".%03dZ %s [%d] ",
                             (int)(now.tv_nsec / 1000000), level_names[level], (int)getpid());
    if (id.n)
        used += (size_t)snprintf(line + used, room - used, "[%.*s] ",
                                 (int)(id.n < 256 ? id.n : 256), id.p);
    return used;
}

// U+0080 to U+009F, which terminals take for control characters, too.
static bool is_upper_control(struct str s)
{
    return (unsigned char)s.p[0] == 0xc2 && ((unsigned char)s.p[1] & 0xe0) == 0x80;
}

// How many bytes at the front of s may stand in a record as they are; 0: the first may not. What is not
// UTF-8 may not: a terminal may take it for something else, and journald for no text at all.
static size_t plain_bytes(struct str s)
{
    unsigned char c = (unsigned char)s.p[0];
    if (c < 0x80)
        return (c >= 0x20 && c != 0x7f) || c == '\t';
    int step = utf8_step(s.p, s.n);
    return step < 0 || is_upper_control(s) ? 0 : (size_t)step;
}

static size_t put_hex(char *dst, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    memcpy(dst, (char[]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4);
    return 4;
}

// Line feeds become continuation lines, other control bytes \xNN; what is cut ends in an ellipsis.
// Returns the length in dst.
static size_t one_record(char *dst, size_t cap, struct str text)
{
    size_t n = 0, step;
    for (size_t i = 0; i < text.n; i += step) {
        struct str rest = str_of(text.p + i, text.n - i);
        if (n + 8 > cap) {
            memcpy(dst + n, "\xE2\x80\xA6", 3);
            return n + 3;
        }
        step = plain_bytes(rest);
        memcpy(dst + n, rest.p, step);
        n += step;
        if (step)
            continue;
        step = 1;
        if (*rest.p != '\n')
            n += put_hex(dst + n, (unsigned char)*rest.p);
        else if (rest.n > 1)
            n += (size_t)(stpcpy(dst + n, "\n\t") - (dst + n));
    }
    return n;
}

size_t log_record_make(char *line, size_t room, enum log_level level, struct str id,
                       struct str text)
{
    size_t used = log_record_front(line, room, level, id);
    used += one_record(line + used, room - used - 1, text);
    line[used++] = '\n';
    return used;
}

int log_level_parse(struct str name)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++)
        if (str_eq(name, str_z(level_names[i])))
            return i;
    return -1;
}

// Bytes at the front of s, at most `most`, that a quoted value has as they are.
static size_t unescaped(struct str s, size_t most)
{
    static const bool plain[256] = {
        [' ' ... '!'] = true, ['#' ... '['] = true, [']' ... '~'] = true};
    size_t n = 0;
    while (n < s.n && n < most && plain[(unsigned char)s.p[n]])
        n++;
    return n;
}

size_t log_escape(char *dst, size_t used, size_t cap, struct str s)
{
    while (s.n && used + 4 <= cap) {
        size_t n = unescaped(s, cap - used - 3);
        memcpy(dst + used, s.p, n);
        used += n;
        if (n == 0) {
            used += put_hex(dst + used, (unsigned char)*s.p);
            n = 1;
        }
        s = str_of(s.p + n, s.n - n);
    }
    return used;
}
