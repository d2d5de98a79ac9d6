// The spool: see the header. Appends go to memory until they would pass options->memory; then what
// is there moves to a temporary file and the memory is given back. From then on memory gathers what
// comes until a write is worth its call. Writes name their offset, so that one which failed
// half-way leaves no trace: the next starts at in_file again.
#include "http/spool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

void spool_init(struct spool *s, const struct spool_options *options, uint64_t max)
{
    *s = (struct spool){.options = options, .fd = -1, .max = max};
    buf_init(&s->memory, options->memory);
}

void spool_reuse(struct spool *s, const struct spool_options *options, uint64_t max)
{
    assert(s->size == 0 && s->fd < 0);
    s->options = options;
    s->max = max;
    if (s->memory.cap > options->memory)
        buf_fini(&s->memory);
    s->memory.max = options->memory;
}

void spool_reset(struct spool *s)
{
#ifndef __SANITIZE_ADDRESS__ // which then sees what is used after its end
    if (s->fd < 0 && s->memory.cap <= SPOOL_KEPT) {
        buf_clear(&s->memory);
        s->in_file = s->size = s->max = 0;
        s->tap = NULL;
        return;
    }
#endif
    spool_fini(s);
    s->max = 0;
}

void spool_fini(struct spool *s)
{
    buf_fini(&s->memory);
    if (s->fd >= 0)
        close(s->fd);
    spool_init(s, s->options, s->max);
}

// A file with a name for an instant, where the file system has none without.
static int open_unlinked(const char *folder)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/.lunette-XXXXXX", folder);
    if (n < 0 || (size_t)n >= sizeof path)
        return -ENAMETOOLONG;
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (unlink(path) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

static int open_temporary(const char *folder)
{
    int flags = O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC;         // O_EXCL: never linkable
    int fd = (int)TEMP_FAILURE_RETRY(open(folder, flags, 0600)); // on another machine's disk
    if (fd >= 0)
        return fd;
    if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)
        return open_unlinked(folder);
    return -errno;
}

static struct str behind(struct str s, size_t n)
{
    return n ? str_of(s.p + n, s.n - n) : s; // which may be NULL and none
}

// Writes a and then b.
static int write_at(int fd, uint64_t at, struct str a, struct str b)
{
    while (a.n + b.n) {
        struct iovec iov[] = {{(void *)a.p, a.n}, {(void *)b.p, b.n}};
        ssize_t n = pwritev(fd, iov, 2, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) // EFBIG is the file's limit here; for the spool it would mean its own
            return n < 0 && errno != EFBIG ? -errno : -ENOSPC;
        size_t of_a = (size_t)n < a.n ? (size_t)n : a.n;
        a = behind(a, of_a);
        b = behind(b, (size_t)n - of_a);
        at += (uint64_t)n;
    }
    return 0;
}

// Memory and the bytes behind it to the file. The spool changes only when all of it is there.
static int write_out(struct spool *s, struct str bytes)
{
    int fd = s->fd >= 0 ? s->fd : open_temporary(s->options->folder);
    if (fd < 0)
        return fd;
    int err = write_at(fd, s->in_file, buf_str(&s->memory), bytes);
    if (err) {
        if (s->fd < 0)
            close(fd);
        return err;
    }
    s->in_file += s->memory.n + bytes.n;
    buf_clear(&s->memory);
    if (s->fd < 0) { // from now on it gathers
        buf_fini(&s->memory);
        buf_init(&s->memory, SPOOL_GATHER);
    }
    s->fd = fd;
    return 0;
}

static int add(struct spool *s, struct str bytes)
{
    size_t room = s->fd < 0 ? s->options->memory : SPOOL_GATHER;
    if (bytes.n > room - s->memory.n)
        return write_out(s, bytes);
    return buf_add(&s->memory, bytes) ? 0 : -ENOMEM;
}

int spool_add(struct spool *s, struct str bytes)
{
    if (bytes.n > s->max - s->size || bytes.n > (uint64_t)INT64_MAX - s->size)
        return -EFBIG;
    if (bytes.n == 0)
        return 0;
    int err = add(s, bytes);
    if (err)
        return err;
    s->size += bytes.n;
    if (s->tap)
        s->tap(s->tap_arg, bytes);
    return 0;
}

int spool_end(struct spool *s)
{
    int err = s->fd < 0 ? 0 : write_out(s, STR(""));
    if (!err && s->fd >= 0)
        buf_fini(&s->memory);
    return err;
}

static int64_t read_file(int fd, uint64_t at, char *dst, size_t n)
{
    size_t done = 0;
    while (done < n) {
        ssize_t got = pread(fd, dst + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        assert(got > 0); // nobody else can reach the file to cut it
        done += (size_t)got;
    }
    return (int64_t)done;
}

int64_t spool_read(const struct spool *s, uint64_t at, char *dst, size_t n)
{
    if (at >= s->size)
        return 0;
    if (n > s->size - at)
        n = (size_t)(s->size - at);
    size_t filed = 0;
    if (at < s->in_file) {
        filed = n < s->in_file - at ? n : (size_t)(s->in_file - at);
        int64_t got = read_file(s->fd, at, dst, filed);
        if (got < 0)
            return got;
    }
    if (filed < n)
        memcpy(dst + filed, s->memory.p + (at + filed - s->in_file), n - filed);
    return (int64_t)n;
}
