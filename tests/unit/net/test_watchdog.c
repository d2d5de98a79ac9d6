// The watchdog: which runs it interrupts, and which never. Runs here are loops that look at what the
// signal handler wrote; only their ends are bounded by the clock, generously.
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/watchdog.h"

enum { LIMIT = 40, PATIENCE = 20 };

static struct watchdog *dog;
static volatile sig_atomic_t steps[4];          // how often each was taken
static volatile sig_atomic_t late_before_still; // how often LATE was taken before STILL was
static void *volatile last_subject;
static _Atomic int lost, refusals; // calls of it; how many are still to be refused
static char lost_text[WATCHDOG_TEXT];
static int here, there; // two subjects

static void interrupt(void *subject, enum watchdog_step step, struct watchdog_words *words)
{
    if (step == WATCHDOG_STILL && steps[step] == 0)
        late_before_still = steps[WATCHDOG_LATE];
    steps[step]++;
    last_subject = subject;
    if (step == WATCHDOG_LOST) {
        watchdog_say(words, STR("line "));
        watchdog_say_number(words, 4071);
    }
}

static bool on_lost(void *arg, const char *text)
{
    assert_ptr_equal(arg, &here);
    snprintf(lost_text, sizeof lost_text, "%s", text);
    return atomic_fetch_add(&lost, 1) >= refusals;
}

static int setup(void **state)
{
    struct watchdog_options o = {LIMIT, interrupt, on_lost, &here};
    (void)state;
    memset((void *)steps, 0, sizeof steps);
    late_before_still = lost = refusals = 0;
    dog = watchdog_start(&o);
    return dog ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    watchdog_stop(dog);
    return 0;
}

static void sleep_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&t, &t) < 0)
        ;
}

static void until_step(enum watchdog_step step, int times)
{
    time_t end = time(NULL) + PATIENCE;
    while (steps[step] < times && time(NULL) <= end)
        ;
    assert_int_equal(steps[step], times);
}

static long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// On a busy machine one may not be in time, whatever it does.
static void run_for(long ms)
{
    int late = steps[WATCHDOG_LATE], still = steps[WATCHDOG_STILL];
    long start = now_ms();
    watchdog_begin(dog, &here);
    if (ms)
        sleep_ms(ms);
    watchdog_end(dog);
    if (now_ms() - start >= LIMIT)
        return;
    assert_int_equal(steps[WATCHDOG_LATE], late);
    assert_int_equal(steps[WATCHDOG_STILL], still);
}

static void a_run_in_time_is_left_alone(void **state)
{
    (void)state;
    for (int i = 0; i < 1000000; i++)
        run_for(0);
    for (int i = 0; i < 4 * LIMIT; i++) // each of them new, though one seems to follow the other
        run_for(1);
}

static void a_long_run_is_interrupted_step_by_step(void **state)
{
    (void)state;
    watchdog_begin(dog, &there);
    until_step(WATCHDOG_LATE, 1);
    assert_ptr_equal(last_subject, &there);
    until_step(WATCHDOG_STILL, 1);
    assert_int_equal(late_before_still, 1);
    until_step(WATCHDOG_LOST, 1);
    for (time_t end = time(NULL) + PATIENCE; !lost && time(NULL) <= end;)
        sleep_ms(1);
    assert_string_equal(lost_text, "line 4071");
    sleep_ms(3 * LIMIT);
    assert_int_equal(lost, 1); // once is enough
    watchdog_end(dog);
    assert_int_equal(steps[WATCHDOG_LATE], 1);
    assert_int_equal(steps[WATCHDOG_STILL], 1);
    assert_int_equal(steps[WATCHDOG_LOST], 1);
}

static void who_could_not_be_told_is_told_again(void **state)
{
    (void)state;
    refusals = 3;
    watchdog_begin(dog, &here);
    for (time_t end = time(NULL) + PATIENCE; lost < 4 && time(NULL) <= end;)
        sleep_ms(1);
    watchdog_end(dog);
    assert_true(lost >= 4);
}

static void every_run_has_its_own_time(void **state)
{
    (void)state;
    for (int i = 1; i <= 3; i++) {
        watchdog_begin(dog, &here);
        until_step(WATCHDOG_LATE, i);
        watchdog_end(dog);
        sleep_ms(i * LIMIT); // so that the thread sleeps, or does not
    }
}

// A signal that was on its way when its run ended.
static void a_signal_that_comes_too_late_does_nothing(void **state)
{
    (void)state;
    watchdog_begin(dog, &here);
    until_step(WATCHDOG_LATE, 1);
    watchdog_end(dog);
    raise(watchdog_signal());
    assert_int_equal(steps[WATCHDOG_LATE], 1);
    watchdog_begin(dog, &there);
    raise(watchdog_signal());
    assert_int_equal(steps[WATCHDOG_LATE], 1);
    watchdog_end(dog);
    kill(getpid(), watchdog_signal());
    assert_int_equal(steps[WATCHDOG_LATE], 1);
}

// Voluntary context switches of the thread that is not this one.
static long switches(void)
{
    char path[300], line[128];
    long n = -1;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *e; (e = readdir(tasks));) {
        if (e->d_name[0] == '.' || atoi(e->d_name) == getpid())
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
        FILE *f = fopen(path, "r");
        while (f && fgets(line, sizeof line, f))
            sscanf(line, "voluntary_ctxt_switches: %ld", &n);
        if (f)
            fclose(f);
    }
    closedir(tasks);
    return n;
}

static void the_thread_sleeps_while_nothing_runs(void **state)
{
    (void)state;
    watchdog_begin(dog, &here);
    watchdog_end(dog);
    long before = -1;
    for (int i = 0; i < 100 && switches() != before; i++) { // until it has looked twice
        before = switches();
        sleep_ms(4 * LIMIT);
    }
    sleep_ms(10 * LIMIT);
    assert_true(before >= 0);
    assert_int_equal(switches(), before);
    watchdog_begin(dog, &here); // and wakes
    until_step(WATCHDOG_LATE, 1);
    watchdog_end(dog);
}

static void *ask_elsewhere(void *words)
{
    return watchdog_what(dog, words) ? words : NULL;
}

static void what_runs_is_said_in_its_own_thread_alone(void **state)
{
    (void)state;
    struct watchdog_words words = {.n = 0};
    pthread_t thread;
    void *said;
    assert_false(watchdog_what(dog, &words)); // nothing runs
    watchdog_begin(dog, &there);
    assert_int_equal(pthread_create(&thread, NULL, ask_elsewhere, &words), 0);
    assert_int_equal(pthread_join(thread, &said), 0);
    assert_null(said);
    assert_true(watchdog_what(dog, &words));
    assert_string_equal(words.text, "line 4071");
    assert_ptr_equal(last_subject, &there);
    watchdog_end(dog);
    assert_false(watchdog_what(dog, &words));
}

static void words_have_a_bound(void **state)
{
    (void)state;
    struct watchdog_words words = {.n = 0};
    for (int i = 0; i < 100; i++)
        watchdog_say(&words, STR("twelve bytes"));
    watchdog_say_number(&words, 0);
    assert_int_equal(strlen(words.text), sizeof words.text - 1);
    words.n = 0;
    watchdog_say_number(&words, 0);
    watchdog_say_number(&words, 4294967295u);
    assert_string_equal(words.text, "04294967295");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_in_time_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_run_is_interrupted_step_by_step, setup, teardown),
        cmocka_unit_test_setup_teardown(who_could_not_be_told_is_told_again, setup, teardown),
        cmocka_unit_test_setup_teardown(every_run_has_its_own_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_signal_that_comes_too_late_does_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_thread_sleeps_while_nothing_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(what_runs_is_said_in_its_own_thread_alone, setup, teardown),
        cmocka_unit_test(words_have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
