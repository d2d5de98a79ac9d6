// Preloaded by test_steady_state.py: counts what is asked of malloc, calloc and realloc, by where it
// was asked from, in the file that the environment names. The program is a position-independent one:
// the addresses are those of the process.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CALLERS = 1024 };

struct counts {
    struct {
        _Atomic(void *) caller;
        _Atomic unsigned long calls;
    } of[CALLERS];
};

static struct counts *counts; // shared by the master and what it forks

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t n);

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("ALLOCATIONS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *p = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    counts = p == MAP_FAILED ? NULL : p;
    close(fd);
}

// The last place is for all that find no other.
static void note(void *caller)
{
    if (!counts)
        return;
    size_t i = 0;
    for (; i < CALLERS - 1; i++) {
        void *there = NULL;
        if (atomic_compare_exchange_strong(&counts->of[i].caller, &there, caller) ||
            there == caller)
            break;
    }
    counts->of[i].calls++;
}

void *malloc(size_t n)
{
    note(__builtin_return_address(0));
    return __libc_malloc(n);
}

void *calloc(size_t count, size_t size)
{
    note(__builtin_return_address(0));
    return __libc_calloc(count, size);
}

void *realloc(void *p, size_t n)
{
    note(__builtin_return_address(0));
    return __libc_realloc(p, n);
}
