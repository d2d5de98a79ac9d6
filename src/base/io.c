// Whole writes: see the header.
#include "base/io.h"

#include <errno.h>
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
