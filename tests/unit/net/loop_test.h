// What tests of the loop share: the loop itself, a trace of letters, descriptors that are ready.
#ifndef LUNETTE_UNIT_NET_LOOP_TEST_H
#define LUNETTE_UNIT_NET_LOOP_TEST_H

#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#include "net/loop.h"

static struct loop *loop;
static char trace[100]; // what ran, a letter each

static void note(char c)
{
    size_t n = strlen(trace);
    assert_true(n + 1 < sizeof trace);
    trace[n] = c;
}

static int setup(void **state)
{
    (void)state;
    loop = loop_new();
    memset(trace, 0, sizeof trace);
    return loop ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

static int ready_fd(void)
{
    int fd = eventfd(1, EFD_NONBLOCK);
    assert_true(fd >= 0);
    return fd;
}

#endif
