// Whole writes and files: see the header.
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int io_write_all(int fd, struct str bytes)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENOSPC;
        bytes = str_of(bytes.p + n, bytes.n - (size_t)n);
    }
    return 0;
}

int io_read_file(int fd, struct buf *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return -errno;
    if (st.st_size == 0)
        return 0;
    char *p = buf_room(out, (size_t)st.st_size);
    if (!p)
        return -ENOMEM;
    for (off_t done = 0; done < st.st_size;) {
        ssize_t n = pread(fd, p + done, (size_t)(st.st_size - done), done);
        if (n == 0 || (n < 0 && errno != EINTR))
            return n < 0 ? -errno : -EIO;
        done += n > 0 ? n : 0;
    }
    buf_added(out, (size_t)st.st_size);
    return 0;
}

int io_keep_alone(int fd)
{
    enum { KEPT = STDERR_FILENO + 1 };
    if (fd == KEPT)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    else
        dup3(fd, KEPT, O_CLOEXEC);
    close_range(KEPT + 1, ~0U, 0);
    return KEPT;
}
