// Preloaded by test_faults.py: calls that move bytes of files and stream sockets move a few only, and
// every fifth one is interrupted before it moves any. Both are what the kernel may do at any time.
// The calls are named as the program was linked: __read_chk and its like are those of
// _FORTIFY_SOURCE.
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static _Atomic unsigned calls, seed = 1;

static bool is_concerned(int fd)
{
    struct stat st;
    int type = 0;
    socklen_t n = sizeof type;
    if (fstat(fd, &st) != 0)
        return false;
    if (S_ISREG(st.st_mode))
        return true;
    return S_ISSOCK(st.st_mode) && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 &&
           type == SOCK_STREAM;
}

static bool is_interrupted(int fd)
{
    errno = EINTR;
    return is_concerned(fd) && ++calls % 5 == 0;
}

static size_t few(int fd, size_t n)
{
    unsigned r = (seed = seed * 1103515245 + 12345) >> 16;
    size_t most = r % 7 == 0 ? 1 : 1 + r % 4000;
    return n > most && is_concerned(fd) ? most : n;
}

ssize_t read(int fd, void *p, size_t n)
{
    return is_interrupted(fd) ? -1 : syscall(SYS_read, fd, p, few(fd, n));
}
ssize_t __read_chk(int fd, void *p, size_t n, size_t room)
{
    return read(fd, p, n < room ? n : room);
}
ssize_t pread(int fd, void *p, size_t n, off_t at)
{
    return is_interrupted(fd) ? -1 : syscall(SYS_pread64, fd, p, few(fd, n), at);
}
ssize_t __pread_chk(int fd, void *p, size_t n, off_t at, size_t room)
{
    return pread(fd, p, n < room ? n : room, at);
}
ssize_t recv(int fd, void *p, size_t n, int flags)
{
    if (flags & MSG_TRUNC) // drops what comes: not a read
        return syscall(SYS_recvfrom, fd, p, n, flags, NULL, NULL);
    return is_interrupted(fd) ? -1 : syscall(SYS_recvfrom, fd, p, few(fd, n), flags, NULL, NULL);
}
ssize_t __recv_chk(int fd, void *p, size_t n, size_t room, int flags)
{
    return recv(fd, p, n < room ? n : room, flags);
}
ssize_t write(int fd, const void *p, size_t n)
{
    return is_interrupted(fd) ? -1 : syscall(SYS_write, fd, p, few(fd, n));
}
ssize_t send(int fd, const void *p, size_t n, int flags)
{
    return is_interrupted(fd) ? -1 : syscall(SYS_sendto, fd, p, few(fd, n), flags, NULL, 0);
}
ssize_t sendfile(int out, int in, off_t *at, size_t n)
{
    return is_interrupted(out) ? -1 : syscall(SYS_sendfile, out, in, at, few(out, n));
}

// The first piece that has bytes, cut.
static struct iovec first(int fd, const struct iovec *iov, size_t n)
{
    size_t i = 0;
    while (i + 1 < n && iov[i].iov_len == 0)
        i++;
    return (struct iovec){iov[i].iov_base, few(fd, iov[i].iov_len)};
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
    if (n == 0 || !is_concerned(fd))
        return syscall(SYS_pwritev, fd, iov, n, at, 0);
    struct iovec one = first(fd, iov, (size_t)n);
    return is_interrupted(fd) ? -1 : syscall(SYS_pwrite64, fd, one.iov_base, one.iov_len, at);
}
ssize_t writev(int fd, const struct iovec *iov, int n)
{
    if (n == 0 || !is_concerned(fd))
        return syscall(SYS_writev, fd, iov, n);
    struct iovec one = first(fd, iov, (size_t)n);
    return is_interrupted(fd) ? -1 : syscall(SYS_write, fd, one.iov_base, one.iov_len);
}
ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    if (m->msg_iovlen == 0 || m->msg_controllen || !is_concerned(fd))
        return syscall(SYS_sendmsg, fd, m, flags);
    struct iovec one = first(fd, m->msg_iov, m->msg_iovlen);
    if (is_interrupted(fd))
        return -1;
    return syscall(SYS_sendto, fd, one.iov_base, one.iov_len, flags, NULL, 0);
}
