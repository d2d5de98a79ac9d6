// The thread pool: see the header. One mutex guards two lists, of jobs that wait for a thread and
// of jobs whose done is to be called; what else there is belongs to the loop's thread.
//
// drawing:
//      pool_submit ──► queue ──a thread──► run ──► over ──the loop──► done
//                        │                          │
//          pool_withdraw ▼                          └─ the first one there writes to the eventfd
#include "net/pool.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct job_list {
    struct pool_job *first, **end; // end: where the next one is linked
};

struct pool {
    struct watch watch; // first: the watch's function finds the pool by it
    struct loop *loop;
    int event; // readable when jobs are over
    unsigned threads_max, waiting_max;
    bool telling; // a done is being called

    pthread_mutex_t lock;
    pthread_cond_t work;         // the queue has a job, or the pool is stopping
    struct job_list queue, over; // under lock, as are the next three
    unsigned queued, busy;       // jobs in the queue, and those that run
    bool stopping;

    unsigned started;
    pthread_t threads[]; // `started` of them run
};

static void list_init(struct job_list *list)
{
    *list = (struct job_list){.end = &list->first};
}

static void list_add(struct job_list *list, struct pool_job *j)
{
    j->next = NULL;
    *list->end = j;
    list->end = &j->next;
}

static struct pool_job *list_take(struct job_list *list)
{
    struct pool_job *j = list->first;
    list->first = j->next;
    if (!list->first)
        list->end = &list->first;
    return j;
}

static bool list_remove(struct job_list *list, struct pool_job *j)
{
    struct pool_job **at = &list->first;
    while (*at && *at != j)
        at = &(*at)->next;
    if (!*at)
        return false;
    *at = j->next;
    if (!*at)
        list->end = at;
    return true;
}

// A thread

// The next job, waiting for one; NULL when the pool is stopping. The lock is held.
static struct pool_job *next_job(struct pool *p)
{
    while (!p->queue.first && !p->stopping)
        pthread_cond_wait(&p->work, &p->lock);
    if (p->stopping)
        return NULL;
    p->queued--;
    p->busy++;
    return list_take(&p->queue);
}

// One write for all that are over before the loop looks.
static void tell_loop(struct pool *p)
{
    uint64_t one = 1;
    ssize_t n;
    do
        n = write(p->event, &one, sizeof one);
    while (n < 0 && errno == EINTR);
    assert(n == sizeof one); // the counter is far from full
}

static void *serve(void *arg)
{
    struct pool *p = arg;
    struct pool_job *j;
    pthread_mutex_lock(&p->lock);
    while ((j = next_job(p))) {
        pthread_mutex_unlock(&p->lock);
        j->run(j);
        pthread_mutex_lock(&p->lock);
        bool first = !p->over.first;
        list_add(&p->over, j);
        p->busy--;
        if (first)
            tell_loop(p);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

// 0 or −errno. The new thread inherits the mask.
static int start_thread(struct pool *p)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&p->threads[p->started], NULL, serve, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        pthread_setname_np(p->threads[p->started++], "lunette-pool");
    return -rc;
}

// The loop's side

static void tell(struct pool *p, struct job_list *list, bool ran)
{
    p->telling = true;
    while (list->first) {
        struct pool_job *j = list_take(list);
        j->done(j, ran);
    }
    p->telling = false;
}

// Moves the jobs of a list of the pool's into one that needs no lock.
static void take_all(struct pool *p, struct job_list *from, struct job_list *to)
{
    list_init(to);
    pthread_mutex_lock(&p->lock);
    while (from->first)
        list_add(to, list_take(from));
    pthread_mutex_unlock(&p->lock);
}

static void on_event(struct watch *w, uint32_t events)
{
    struct pool *p = (struct pool *)w;
    struct job_list over;
    uint64_t count;
    (void)events;
    if (read(p->event, &count, sizeof count) < 0)
        return;
    take_all(p, &p->over, &over);
    tell(p, &over, true);
}

struct pool *pool_new(struct loop *l, unsigned threads, unsigned waiting)
{
    assert(threads > 0);
    struct pool *p = calloc(1, sizeof *p + threads * sizeof p->threads[0]);
    if (!p)
        return NULL;
    p->loop = l;
    p->threads_max = threads;
    p->waiting_max = waiting;
    list_init(&p->queue);
    list_init(&p->over);
    pthread_mutex_init(&p->lock, NULL); // neither of them can fail on Linux
    pthread_cond_init(&p->work, NULL);
    p->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int rc = p->event < 0 ? -errno : loop_add(l, &p->watch, p->event, EPOLLIN, on_event);
    if (rc == 0)
        return p;
    if (p->event >= 0)
        close(p->event);
    free(p);
    errno = -rc;
    return NULL;
}

// The lock is held. False when the job would be one too many.
static bool enqueue(struct pool *p, struct pool_job *j)
{
    if (p->stopping || p->queued + p->busy >= p->threads_max + p->waiting_max)
        return false;
    list_add(&p->queue, j);
    p->queued++;
    pthread_cond_signal(&p->work);
    return true;
}

int pool_submit(struct pool *p, struct pool_job *j)
{
    pthread_mutex_lock(&p->lock);
    bool room = enqueue(p, j), wanted = p->queued + p->busy > p->started;
    pthread_mutex_unlock(&p->lock);
    if (!room)
        return -EAGAIN;
    if (wanted && p->started < p->threads_max && start_thread(p) < 0 && p->started == 0) {
        pool_withdraw(p, j);
        return -EAGAIN;
    }
    return 0;
}

bool pool_withdraw(struct pool *p, struct pool_job *j)
{
    pthread_mutex_lock(&p->lock);
    bool found = list_remove(&p->queue, j);
    if (found)
        p->queued--;
    pthread_mutex_unlock(&p->lock);
    return found;
}

static void stop_threads(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->started; i++)
        pthread_join(p->threads[i], NULL);
}

// What a done withdraws meanwhile is out of the pool's own lists.
unsigned pool_queued(struct pool *p)
{
    if (p->started == 0)
        return 0;
    pthread_mutex_lock(&p->lock);
    unsigned n = p->queued;
    pthread_mutex_unlock(&p->lock);
    return n;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    assert(!p->telling);
    stop_threads(p);
    tell(p, &p->over, true);
    tell(p, &p->queue, false);
    loop_del(p->loop, &p->watch);
    close(p->event);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
