// Shared libraries that are loaded when they are first needed: see the header.
#include "base/library.h"

#include <assert.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WHY_MAX = 256 };

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER; // loads, and has the spare one
static int spare = -1;                                            // descriptor; -1: none

static bool find_all(void *handle, const struct library *l)
{
    size_t at = 0;
    for (const char *name = l->names; *name; name += strlen(name) + 1) {
        void *function = dlsym(handle, name);
        if (!function)
            return false;
        assert(at + sizeof function <= l->size);
        memcpy((char *)l->pointers + at, &function, sizeof function);
        at += sizeof function;
    }
    assert(at == l->size);
    return true;
}

static void keep_spare(void)
{
    spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

// It gives no names to other libraries, and stays: it may have handlers for the end of the process.
static void *open_library(const char *file)
{
    return dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

static void *open_instead_of_spare(const char *file)
{
    close(spare);
    void *handle = open_library(file);
    keep_spare();
    return handle;
}

static bool load(const struct library *l, char why[static WHY_MAX])
{
    void *handle = open_library(l->file);
    if (!handle && spare >= 0)
        handle = open_instead_of_spare(l->file);
    if (handle && find_all(handle, l))
        return true;
    snprintf(why, WHY_MAX, "%s is missing: %s", l->what, dlerror());
    return false;
}

void library_keep_descriptor(void)
{
    pthread_mutex_lock(&one_at_a_time);
    if (spare < 0)
        keep_spare();
    pthread_mutex_unlock(&one_at_a_time);
}

const char *library_load(struct library *l)
{
    static _Thread_local char why[WHY_MAX];
    if (atomic_load_explicit(&l->loaded, memory_order_acquire))
        return NULL;
    pthread_mutex_lock(&one_at_a_time);
    bool ok = l->loaded || load(l, why);
    atomic_store_explicit(&l->loaded, ok, memory_order_release);
    pthread_mutex_unlock(&one_at_a_time);
    return ok ? NULL : why;
}
