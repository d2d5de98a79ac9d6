// The spool: see the header. Appends go to memory until they would pass options->memory; then what
// is there moves to a temporary file and the memory is given back. From then on the file has
// everything. Writes name their offset, so that one which failed half-way leaves no trace: the next
// starts at size again.
#include "http/spool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void spool_init(struct spool *s, const struct spool_options *options, uint64_t max)
{
    *s = (struct spool){.options = options, .fd = -1, .max = max};
    buf_init(&s->memory, options->memory);
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
    int fd = open(folder, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600); // O_EXCL: never linkable
    if (fd >= 0)
        return fd;
    if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)
        return open_unlinked(folder);
    return -errno;
}

static int write_at(int fd, uint64_t at, struct str bytes)
{
    while (bytes.n) {
        ssize_t n = pwrite(fd, bytes.p, bytes.n, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) // EFBIG is the file's limit here; for the spool it would mean its own
            return n < 0 && errno != EFBIG ? -errno : -ENOSPC;
        bytes = str_of(bytes.p + n, bytes.n - (size_t)n);
        at += (uint64_t)n;
    }
    return 0;
}

// Memory to file. The spool changes only when all of it is there.
static int move_out(struct spool *s)
{
    int fd = open_temporary(s->options->folder);
    if (fd < 0)
        return fd;
    int err = write_at(fd, 0, buf_str(&s->memory));
    if (err) {
        close(fd);
        return err;
    }
    buf_fini(&s->memory);
    s->fd = fd;
    return 0;
}

int spool_add(struct spool *s, struct str bytes)
{
    if (bytes.n > s->max - s->size || bytes.n > (uint64_t)INT64_MAX - s->size)
        return -EFBIG;
    bool fits = s->fd < 0 && bytes.n <= s->options->memory - s->memory.n;
    int err = 0;
    if (fits)
        err = buf_add(&s->memory, bytes) ? 0 : -ENOMEM;
    else if (s->fd < 0)
        err = move_out(s);
    if (!err && !fits)
        err = write_at(s->fd, s->size, bytes);
    if (err)
        return err;
    s->size += bytes.n;
    if (s->tap)
        s->tap(s->tap_arg, bytes);
    return 0;
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
    if (s->fd >= 0)
        return read_file(s->fd, at, dst, n);
    memcpy(dst, s->memory.p + at, n);
    return (int64_t)n;
}
