// The thread pool: order, limits, and every moment at which a job may be taken back or the pool go.
// Gates hold threads where a test wants them, so that nothing here depends on time.
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/pool.h"

enum { MANY = 1000 };

static struct loop *loop;
static struct pool *pool;
static int ends, number; // done calls so far; the next job's number

struct task {
    struct pool_job job;
    sem_t *begun, *gate; // posted when it runs; waited for before it ends. NULL: neither
    int number, ran_as;  // ran_as: what order_of_runs was when it ran, 0: it did not
    int dones;
    bool ran;                          // as done was told
    struct pool_job *then, *take_back; // for done to submit, and to withdraw
    bool taken;
};

static int order_of_runs;

static void run(struct pool_job *j)
{
    struct task *t = (struct task *)j;
    if (t->begun)
        sem_post(t->begun);
    if (t->gate)
        sem_wait(t->gate);
    t->ran_as = __atomic_add_fetch(&order_of_runs, 1, __ATOMIC_RELAXED);
}

static void done(struct pool_job *j, bool ran)
{
    struct task *t = (struct task *)j;
    ends++;
    t->dones++;
    t->ran = ran;
    if (t->take_back)
        t->taken = pool_withdraw(pool, t->take_back);
    struct pool_job *then = t->then;
    t->then = NULL;
    if (then)
        assert_int_equal(pool_submit(pool, then), 0);
}

static struct task new_task(sem_t *begun, sem_t *gate)
{
    return (struct task){
        .job = {.run = run, .done = done}, .begun = begun, .gate = gate, .number = ++number};
}

static void open_pool(unsigned threads, unsigned waiting)
{
    pool = pool_new(loop, threads, waiting);
    assert_non_null(pool);
}

static int setup(void **state)
{
    (void)state;
    loop = loop_new();
    ends = order_of_runs = number = 0;
    return loop ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    pool_free(pool);
    pool = NULL;
    loop_free(loop);
    return 0;
}

static void submit(struct task *t)
{
    assert_int_equal(pool_submit(pool, &t->job), 0);
}

static void turn_until(int n)
{
    for (int turns = 0; ends < n && turns < 10 * MANY; turns++)
        assert_int_equal(loop_turn(loop, 1000), 0);
    assert_int_equal(ends, n);
}

static void assert_done(const struct task *t, bool ran)
{
    assert_int_equal(t->dones, 1);
    assert_int_equal(t->ran, ran);
    assert_int_equal(t->ran_as != 0, ran);
}

static int threads_of_process(void)
{
    char line[128];
    int n = -1;
    FILE *f = fopen("/proc/self/status", "r");
    assert_non_null(f);
    while (n < 0 && fgets(line, sizeof line, f))
        sscanf(line, "Threads: %d", &n);
    fclose(f);
    return n;
}

static void one_thread_keeps_the_order(void **state)
{
    (void)state;
    static struct task tasks[MANY];
    open_pool(1, MANY);
    for (int i = 0; i < MANY; i++) {
        tasks[i] = new_task(NULL, NULL);
        submit(&tasks[i]);
    }
    turn_until(MANY);
    for (int i = 0; i < MANY; i++) {
        assert_done(&tasks[i], true);
        assert_int_equal(tasks[i].ran_as, i + 1);
    }
}

static void several_threads_do_them_all_once(void **state)
{
    (void)state;
    static struct task tasks[MANY];
    open_pool(4, MANY);
    for (int i = 0; i < MANY; i++) {
        tasks[i] = new_task(NULL, NULL);
        submit(&tasks[i]);
        if (i % 50 == 0)
            assert_int_equal(loop_turn(loop, 0), 0);
    }
    turn_until(MANY);
    for (int i = 0; i < MANY; i++)
        assert_done(&tasks[i], true);
}

static void threads_start_when_they_are_needed(void **state)
{
    (void)state;
    sem_t begun, gate;
    sem_init(&begun, 0, 0);
    sem_init(&gate, 0, 0);
    int before = threads_of_process();
    open_pool(2, 4);
    assert_int_equal(threads_of_process(), before);
    struct task tasks[4];
    for (int i = 0; i < 4; i++) {
        tasks[i] = new_task(&begun, &gate);
        submit(&tasks[i]);
    }
    sem_wait(&begun); // two run at the same time
    sem_wait(&begun);
    assert_int_equal(threads_of_process(), before + 2);
    for (int i = 0; i < 4; i++)
        sem_post(&gate);
    turn_until(4);
    // one job after the other needs no further thread
    struct task more = new_task(NULL, NULL);
    submit(&more);
    turn_until(5);
    assert_int_equal(threads_of_process(), before + 2);
}

static void one_thread_is_enough_for_one_at_a_time(void **state)
{
    (void)state;
    int before = threads_of_process();
    open_pool(4, 4);
    for (int i = 0; i < 20; i++) {
        struct task t = new_task(NULL, NULL);
        submit(&t);
        turn_until(i + 1);
    }
    assert_int_equal(threads_of_process(), before + 1);
}

static void look_at_mask(struct pool_job *j)
{
    struct task *t = (struct task *)j;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    t->ran_as = sigismember(&mask, SIGTERM) && sigismember(&mask, SIGUSR1) &&
                sigismember(&mask, SIGINT) && sigismember(&mask, SIGALRM);
}

static void threads_block_signals(void **state)
{
    (void)state;
    sigset_t before, after;
    open_pool(1, 1);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    struct task t = new_task(NULL, NULL);
    t.job.run = look_at_mask;
    submit(&t);
    turn_until(1);
    assert_done(&t, true);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
}

static void a_full_queue_refuses(void **state)
{
    (void)state;
    sem_t gate;
    sem_init(&gate, 0, 0);
    open_pool(2, 3);
    struct task tasks[5], one_more = new_task(NULL, NULL);
    for (int i = 0; i < 5; i++) {
        tasks[i] = new_task(NULL, &gate);
        submit(&tasks[i]);
    }
    assert_int_equal(pool_submit(pool, &one_more.job), -EAGAIN);
    sem_post(&gate);
    turn_until(1);
    submit(&one_more);
    for (int i = 0; i < 4; i++)
        sem_post(&gate);
    turn_until(6);
    assert_done(&one_more, true);
}

static void waiting_jobs_are_withdrawn_running_ones_are_not(void **state)
{
    (void)state;
    sem_t begun, gate;
    sem_init(&begun, 0, 0);
    sem_init(&gate, 0, 0);
    open_pool(1, 4);
    struct task tasks[5];
    for (int i = 0; i < 5; i++) {
        tasks[i] = new_task(i ? NULL : &begun, i ? NULL : &gate);
        submit(&tasks[i]);
    }
    sem_wait(&begun);
    assert_false(pool_withdraw(pool, &tasks[0].job));
    assert_true(pool_withdraw(pool, &tasks[2].job)); // in the middle
    assert_true(pool_withdraw(pool, &tasks[4].job)); // the last: the list's end moves
    struct task late = new_task(NULL, NULL);
    submit(&late);
    assert_true(pool_withdraw(pool, &tasks[1].job)); // the first
    sem_post(&gate);
    turn_until(3);
    assert_done(&tasks[0], true);
    assert_done(&tasks[3], true);
    assert_done(&late, true);
    assert_true(tasks[3].ran_as < late.ran_as);
    assert_int_equal(tasks[1].dones + tasks[2].dones + tasks[4].dones, 0);
}

static void a_job_that_is_over_is_not_withdrawn(void **state)
{
    (void)state;
    sem_t begun;
    sem_init(&begun, 0, 0);
    open_pool(1, 4);
    struct task a = new_task(&begun, NULL), b = new_task(&begun, NULL);
    a.take_back = &b.job; // both are over when the loop hears of the first
    submit(&a);
    submit(&b);
    sem_wait(&begun);
    sem_wait(&begun);
    for (int turns = 0; ends < 2 && turns < 10; turns++)
        loop_turn(loop, 1000);
    assert_false(a.taken);
    assert_done(&b, true);
}

static void done_may_submit(void **state)
{
    (void)state;
    open_pool(1, 0);
    struct task a = new_task(NULL, NULL), b = new_task(NULL, NULL);
    a.then = &b.job;
    b.then = &b.job; // itself, once
    submit(&a);
    turn_until(3);
    assert_done(&a, true);
    assert_int_equal(b.dones, 2);
}

static void many_ends_are_one_wakeup(void **state)
{
    (void)state;
    sem_t begun;
    sem_init(&begun, 0, 0);
    open_pool(1, 100);
    struct task tasks[50], last = new_task(&begun, NULL);
    for (int i = 0; i < 50; i++) {
        tasks[i] = new_task(NULL, NULL);
        submit(&tasks[i]);
    }
    submit(&last);
    sem_wait(&begun); // all others are over
    assert_int_equal(loop_turn(loop, 1000), 0);
    assert_true(ends >= 50);
    turn_until(51);
}

static void freeing_waits_for_the_running_and_tells_the_waiting(void **state)
{
    (void)state;
    sem_t begun, gate;
    sem_init(&begun, 0, 0);
    sem_init(&gate, 0, 0);
    open_pool(2, 4);
    struct task tasks[5];
    for (int i = 0; i < 5; i++) {
        tasks[i] = new_task(&begun, &gate);
        submit(&tasks[i]);
    }
    tasks[0].take_back = &tasks[4].job; // while the pool is being freed
    sem_wait(&begun);
    sem_wait(&begun);
    sem_post(&gate);
    sem_post(&gate);
    // A thread that is through with its first job may begin another before the pool is freed.
    for (int i = 0; i < 3; i++)
        sem_post(&gate);
    pool_free(pool);
    pool = NULL;
    int told = tasks[0].taken ? 4 : 5;
    assert_int_equal(ends, told);
    for (int i = 0; i < 5; i++)
        if (i < 4 || !tasks[0].taken)
            assert_done(&tasks[i], tasks[i].ran_as != 0);
    assert_done(&tasks[0], true);
    assert_done(&tasks[1], true);
}

static void *open_gate_later(void *gate)
{
    usleep(20 * 1000);
    sem_post(gate);
    return NULL;
}

static void freeing_with_a_job_that_runs_leaves_the_rest_undone(void **state)
{
    (void)state;
    sem_t begun, gate;
    pthread_t other;
    sem_init(&begun, 0, 0);
    sem_init(&gate, 0, 0);
    open_pool(1, 2);
    struct task running = new_task(&begun, &gate), waiting = new_task(NULL, NULL);
    submit(&running);
    submit(&waiting);
    sem_wait(&begun);
    pthread_create(&other, NULL, open_gate_later, &gate);
    pool_free(pool); // asks to stop long before the gate opens
    pool = NULL;
    pthread_join(other, NULL);
    assert_done(&running, true);
    assert_done(&waiting, false);
}

static void submit_to_freed(struct pool_job *j, bool ran)
{
    done(j, ran);
    assert_int_equal(pool_submit(pool, j), -EAGAIN);
}

static void a_pool_that_is_being_freed_takes_no_more(void **state)
{
    (void)state;
    open_pool(1, 2);
    struct task t = new_task(NULL, NULL);
    t.job.done = submit_to_freed;
    submit(&t);
    pool_free(pool);
    pool = NULL;
    assert_int_equal(t.dones, 1);
}

static void an_unused_pool_is_freed(void **state)
{
    (void)state;
    open_pool(4, 4);
    pool_free(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(one_thread_keeps_the_order),
        TEST(several_threads_do_them_all_once),
        TEST(threads_start_when_they_are_needed),
        TEST(one_thread_is_enough_for_one_at_a_time),
        TEST(threads_block_signals),
        TEST(a_full_queue_refuses),
        TEST(waiting_jobs_are_withdrawn_running_ones_are_not),
        TEST(a_job_that_is_over_is_not_withdrawn),
        TEST(done_may_submit),
        TEST(many_ends_are_one_wakeup),
        TEST(freeing_waits_for_the_running_and_tells_the_waiting),
        TEST(freeing_with_a_job_that_runs_leaves_the_rest_undone),
        TEST(a_pool_that_is_being_freed_takes_no_more),
        TEST(an_unused_pool_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
