// The logs, read back from files in a temporary folder.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/log_sink.h"

static char folder[40], error_path[60], access_path[60];
static char text[2 << 20]; // of the file read last

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test_log.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(error_path, sizeof error_path, "%s/error", folder);
    snprintf(access_path, sizeof access_path, "%s/access", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    log_close();
    unlink(error_path);
    unlink(access_path);
    return rmdir(folder);
}

static void open_logs(const char *access, enum log_level level)
{
    const char *failed = NULL;
    struct log_options o = {.error = error_path, .access = access, .level = level};
    assert_int_equal(log_open(&o, &failed), 0);
}

static size_t read_back(const char *path)
{
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    assert_true(n >= 0);
    close(fd);
    text[n] = '\0';
    return (size_t)n;
}

static void a_record_has_its_form(void **state)
{
    (void)state;
    open_logs("off", LOG_INFO);
    log_write(LOG_WARN, "the answer is %d", 42);
    read_back(error_path);
    int year, month, day, hour, minute, second, ms, pid, end = 0;
    sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ warn [%d] the answer is 42\n%n", &year, &month, &day,
           &hour, &minute, &second, &ms, &pid, &end);
    assert_int_equal(end, strlen(text));
    assert_int_equal(pid, getpid());
    struct stat st;
    assert_int_equal(stat(error_path, &st), 0);
    assert_int_equal(st.st_mode & 0777 & ~0640u, 0);
}

static void levels_are_obeyed(void **state)
{
    (void)state;
    open_logs("off", LOG_WARN);
    assert_false(log_enabled(LOG_INFO));
    assert_true(log_enabled(LOG_WARN));
    log_write(LOG_INFO, "quiet");
    log_write(LOG_ERROR, "loud");
    read_back(error_path);
    assert_null(strstr(text, "quiet"));
    assert_non_null(strstr(text, "error ["));
    assert_int_equal(log_level_parse(STR("debug")), LOG_DEBUG);
    assert_int_equal(log_level_parse(STR("error")), LOG_ERROR);
    assert_int_equal(log_level_parse(STR("Error")), -1);
    assert_int_equal(log_level_parse(STR("")), -1);
}

// Nothing that a client sends can look like a record of its own.
static void no_line_can_be_forged(void **state)
{
    (void)state;
    open_logs("off", LOG_INFO);
    log_write(LOG_INFO, "a\nb\r\x1b[0m\x7f \xc2\x9b[0m \xc2\xa9\n");
    read_back(error_path);
    assert_non_null(strstr(text, "a\n\tb\\x0d\\x1b[0m\\x7f \\xc2\\x9b[0m \xc2\xa9\n"));
    assert_null(strstr(text, "\n\n"));
}

// Of others' making: a zero byte hides nothing, and what is no UTF-8 is no byte of its own.
static void any_bytes_make_one_record(void **state)
{
    (void)state;
    static const char bytes[] = "a\0b \x9b[2J \xff \xe2\x82 \xe2\x82\xac \xed\xa0\x80\nc";
    open_logs("off", LOG_INFO);
    log_text(LOG_DEBUG, STR("below the level"));
    log_text(LOG_INFO, str_of(bytes, sizeof bytes - 1));
    read_back(error_path);
    assert_null(strstr(text, "below"));
    assert_non_null(
        strstr(text, "] a\\x00b \\x9b[2J \\xff \\xe2\\x82 \xe2\x82\xac \\xed\\xa0\\x80\n\tc\n"));
}

static void long_records_are_cut(void **state)
{
    (void)state;
    open_logs("off", LOG_INFO);
    char *big = malloc(200 * 1024);
    memset(big, '\x01', 200 * 1024); // each becomes four bytes
    big[200 * 1024 - 1] = '\0';
    log_write(LOG_INFO, "%s", big);
    free(big);
    size_t n = read_back(error_path);
    assert_true(n > 60 * 1024 && n <= 64 * 1024);
    assert_int_equal(text[n - 1], '\n');
    assert_memory_equal(text + n - 4, "\xe2\x80\xa6", 3);
}

static void access_lines_wait_for_the_flush(void **state)
{
    (void)state;
    open_logs(access_path, LOG_INFO);
    assert_true(log_access_enabled());
    log_access(STR("one"));
    log_access(STR("two"));
    assert_int_equal(read_back(access_path), 0);
    log_flush();
    log_flush();
    read_back(access_path);
    assert_string_equal(text, "one\ntwo\n");
    log_access(STR("three"));
    log_close();
    read_back(access_path);
    assert_string_equal(text, "one\ntwo\nthree\n");
    assert_false(log_access_enabled());
}

static void a_full_access_buffer_is_written_early(void **state)
{
    (void)state;
    open_logs(access_path, LOG_INFO);
    char line[1000];
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 200; i++)
        log_access(str_of(line, sizeof line));
    assert_true(read_back(access_path) >= 64 * 1024);
    assert_int_equal(strlen(text) % 1001, 0); // whole lines
    log_flush();
    assert_int_equal(read_back(access_path), 200 * 1001);
}

// Lines in a pipe that several workers share are written in pieces that stay whole.
static void a_pipe_gets_whole_lines(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(access_path, 0600), 0);
    int reader = open(access_path, O_RDONLY | O_NONBLOCK);
    open_logs(access_path, LOG_INFO);
    char line[1000];
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 10; i++)
        log_access(str_of(line, sizeof line));
    log_flush();
    assert_int_equal(read(reader, text, sizeof text), 10010);
    close(reader);
}

static void off_is_off(void **state)
{
    (void)state;
    const char *failed;
    struct log_options o = {.error = "off", .access = NULL, .level = LOG_DEBUG};
    assert_int_equal(log_open(&o, &failed), 0);
    assert_false(log_enabled(LOG_ERROR));
    assert_false(log_access_enabled());
    log_write(LOG_ERROR, "nowhere");
    log_access(STR("nowhere"));
    log_flush();
}

static int open_descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void opening_again_closes_what_was_open(void **state)
{
    (void)state;
    open_logs(access_path, LOG_INFO);
    int before = open_descriptors();
    log_access(STR("kept"));
    open_logs(access_path, LOG_INFO);
    assert_int_equal(open_descriptors(), before);
    read_back(access_path);
    assert_string_equal(text, "kept\n");
}

static void what_cannot_be_opened_is_named_and_the_old_logs_stay(void **state)
{
    (void)state;
    open_logs(access_path, LOG_INFO);
    int before = open_descriptors();
    const char *failed = NULL;
    struct log_options o = {.error = error_path, .access = "/nowhere/at/all"};
    assert_int_equal(log_open(&o, &failed), -ENOENT);
    assert_ptr_equal(failed, o.access);
    o = (struct log_options){.error = folder, .access = "off"};
    assert_int_equal(log_open(&o, &failed), -EISDIR);
    assert_ptr_equal(failed, o.error);
    assert_int_equal(open_descriptors(), before);
    log_write(LOG_INFO, "still here");
    read_back(error_path);
    assert_non_null(strstr(text, "still here"));
}

// What a reader took from a pipe so far, which is not waited for.
static size_t read_pipe(int fd)
{
    ssize_t n = read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

static void the_id_of_a_request_is_in_its_records(void **state)
{
    (void)state;
    open_logs("off", LOG_INFO);
    log_about(STR("abc"), LOG_WARN, "about %d", 1);
    log_about(STR(""), LOG_WARN, "about none");
    read_back(error_path);
    assert_non_null(strstr(text, "] [abc] about 1\n"));
    assert_non_null(strstr(text, "] about none\n"));
}

static struct str give_id(void *arg)
{
    return str_z(arg);
}

static void *write_elsewhere(void *arg)
{
    log_write(LOG_INFO, "elsewhere");
    return arg;
}

static void the_id_is_asked_for_when_a_record_is_written(void **state)
{
    (void)state;
    char id[] = "running";
    open_logs("off", LOG_INFO);
    log_ask_for_id(give_id, id);
    log_write(LOG_INFO, "within");
    pthread_t thread; // a pool's: it knows nothing of requests
    assert_int_equal(pthread_create(&thread, NULL, write_elsewhere, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    log_ask_for_id(NULL, NULL);
    log_write(LOG_INFO, "outside");
    read_back(error_path);
    assert_non_null(strstr(text, "] [running] within\n"));
    assert_non_null(strstr(text, "] outside\n"));
    assert_null(strstr(text, "] [running] elsewhere"));
    assert_non_null(strstr(text, "] elsewhere\n"));
}

static void an_adopted_log_goes_on_where_the_old_one_ended(void **state)
{
    (void)state;
    char moved[80];
    snprintf(moved, sizeof moved, "%s/moved", folder);
    open_logs(access_path, LOG_INFO);
    int before = open_descriptors();
    log_access(STR("one"));
    assert_int_equal(rename(access_path, moved), 0);
    log_access(STR("two"));
    int fd = log_open_file(access_path);
    assert_true(fd >= 0);
    log_adopt(-1, fd);
    assert_int_equal(open_descriptors(), before);
    log_access(STR("three"));
    assert_true(log_flush());
    read_back(moved);
    assert_string_equal(text, "one\ntwo\n");
    read_back(access_path);
    assert_string_equal(text, "three\n");
    log_write(LOG_INFO, "the error log stayed");
    read_back(error_path);
    assert_non_null(strstr(text, "the error log stayed"));
    unlink(moved);
}

// Nobody reads: the pipe is filled, then the buffer, and every line beyond that is counted.
static void lines_that_do_not_fit_are_counted_and_told(void **state)
{
    (void)state;
    int ends[2];
    char line[1000];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    open_logs(access_path, LOG_INFO);
    log_adopt(-1, ends[1]);
    memset(line, 'x', sizeof line);
    uint64_t before = log_lost();
    for (int i = 0; i < 300; i++)
        log_access(str_of(line, sizeof line));
    assert_false(log_flush());
    uint64_t lost = log_lost() - before;
    assert_true(lost > 100 && lost < 300);
    size_t got = 0;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 20; i++) {
        got += read_pipe(ends[0]);
        log_flush();
    }
    assert_true(log_flush());
    assert_int_equal(got, (300 - lost) * 1001);
    char told[80];
    snprintf(told, sizeof told, "] %u access lines were lost", (unsigned)lost);
    read_back(error_path);
    assert_non_null(strstr(text, told));
    close(ends[0]);
}

static void draining_gives_up(void **state)
{
    (void)state;
    int ends[2];
    char line[1000];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    open_logs(access_path, LOG_INFO);
    log_adopt(-1, ends[1]);
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 100; i++)
        log_access(str_of(line, sizeof line));
    uint64_t before = log_lost();
    log_drain(10);
    assert_true(log_lost() > before);
    assert_true(log_flush()); // nothing is left
    close(ends[0]);
}

static void records_that_nobody_reads_are_counted_and_told(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    open_logs("off", LOG_INFO);
    log_adopt(ends[1], -1);
    char *big = malloc(3000);
    memset(big, 'x', 3000);
    big[2999] = '\0';
    uint64_t before = log_lost();
    for (int i = 0; i < 30; i++)
        log_write(LOG_INFO, "%s", big);
    free(big);
    assert_true(log_lost() > before);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    read_pipe(ends[0]);
    log_write(LOG_INFO, "there again");
    read_pipe(ends[0]);
    assert_non_null(strstr(text, "records of this log were lost: it took no more\n"));
    assert_non_null(strstr(text, "] there again\n"));
    close(ends[0]);
}

// Both logs take nothing; each is told of what it lost once it does, without a further record, and
// what the access log lost as soon as the error log takes that.
static void losses_are_told_by_a_flush(void **state)
{
    (void)state;
    int error[2], access[2];
    char line[1000];
    assert_int_equal(pipe2(error, O_CLOEXEC) | pipe2(access, O_CLOEXEC), 0);
    open_logs(access_path, LOG_INFO);
    log_adopt(error[1], access[1]);
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 300; i++)
        log_access(str_of(line, sizeof line));
    while (write(error[1], line, sizeof line) > 0 || write(error[1], line, 1) > 0)
        continue;
    for (int i = 0; i < 3; i++)
        log_write(LOG_INFO, "lost");
    fcntl(access[0], F_SETFL, O_NONBLOCK);
    fcntl(error[0], F_SETFL, O_NONBLOCK);
    while (read_pipe(access[0]) > 0)
        assert_false(log_flush());
    read_pipe(error[0]);
    assert_null(strstr(text, "lost"));
    assert_true(log_flush());
    read_pipe(error[0]);
    assert_non_null(strstr(text, "] 3 records of this log were lost: it took no more\n"));
    assert_non_null(strstr(text, " access lines were lost: the log took no more\n"));
    assert_true(log_flush());
    assert_int_equal(read_pipe(error[0]), 0); // once
    close(error[0]);
    close(access[0]);
}

// One that is stopped (Ctrl-S), or whose other end nobody reads.
static void a_terminal_holds_nobody_up(void **state)
{
    (void)state;
    static const char line[4096] = {'x'};
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_int_equal(grantpt(master) | unlockpt(master), 0);
    int fd = open(ptsname(master), O_WRONLY | O_NOCTTY | O_CLOEXEC);
    assert_true(fd >= 0);
    struct log_sink sink;
    size_t done = 0;
    log_sink_share(&sink, fd);
    assert_true(log_sink_leads_to(&sink, fd) && !log_sink_leads_to(&sink, master));
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0); // it is others' as well
    int rc = 0;
    for (int i = 0; i < 1000 && rc == 0; i++)
        rc = log_sink_put(&sink, line, sizeof line, &done, 0);
    assert_int_equal(rc, -EAGAIN);
    log_sink_close(&sink);
    close(fd);
    close(master);
}

static void links_are_not_followed(void **state)
{
    (void)state;
    assert_int_equal(symlink(access_path, error_path), 0);
    const char *failed;
    struct log_options o = {.error = error_path, .access = "off"};
    assert_int_equal(log_open(&o, &failed), -ELOOP);
}

static void escaping(void **state)
{
    (void)state;
    char out[40];
    size_t n = log_escape(out, 0, sizeof out, STR("a \"\\\n\xc3\x7f~"));
    assert_int_equal(n, strlen("a \\x22\\x5c\\x0a\\xc3\\x7f~"));
    assert_memory_equal(out, "a \\x22\\x5c\\x0a\\xc3\\x7f~", n);
    n = log_escape(out, 2, 10, STR("xxxxxxxxxxxxxx"));
    assert_true(n <= 10);
    n = log_escape(out, 5, 8, STR("\n"));
    assert_int_equal(n, 5); // no room for a whole escape: none
}

// Where the room ends: a value is copied in runs, and goes on for as long as an escape would fit.
static void an_escaped_value_ends_at_its_bound(void **state)
{
    (void)state;
    static const struct {
        size_t used, cap;
        struct str value;
        const char *appended;
    } cases[] = {
        {0, 10, STR("sevenby"), "sevenby"},          // a run that ends where no more begins
        {0, 10, STR("sevenbyt"), "sevenby"},         // and one that would go on
        {0, 10, STR("sixbyt\n"), "sixbyt\\x0a"},     // an escape that fills it
        {0, 10, STR("sixbyt\nmore"), "sixbyt\\x0a"}, // with more behind it
        {0, 10, STR("sevenby\n"), "sevenby"},        // one that would cross it
        {0, 10, STR("five.\nx"), "five.\\x0a"}, // no byte behind it, though there is room for one
        {0, 9, STR("a\nb\n"), "a\\x0ab"}, // a run between two, the second of which would cross it
        {0, 9, STR("a\n\n"), "a\\x0a\\x0a"},  // two that fill it
        {0, 8, STR("a\n\n"), "a\\x0a"},       // and that do not
        {30, 40, STR("sevenbyt"), "sevenby"}, // behind others
        {36, 40, STR("\xff"), "\\xff"},       // as the last
        {36, 40, STR("xy"), "x"},
        {37, 40, STR("x"), ""}, // not even a byte, in whose place an escape could be
        {40, 40, STR("x"), ""},
        {0, 3, STR("x"), ""},
        {0, 0, STR("x"), ""},
        {5, 40, STR(""), ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char dst[64];
        memset(dst, '#', sizeof dst);
        size_t n = log_escape(dst, cases[i].used, cases[i].cap, cases[i].value);
        size_t grown = strlen(cases[i].appended);
        assert_int_equal(n, cases[i].used + grown);
        assert_memory_equal(dst + cases[i].used, cases[i].appended, grown);
        for (size_t k = 0; k < sizeof dst; k++)
            if (k < cases[i].used || k >= n)
                assert_int_equal(dst[k], '#');
    }
}

// One byte at a time.
static size_t escape_slowly(char *dst, size_t used, size_t cap, struct str s)
{
    for (size_t i = 0; i < s.n && used + 4 <= cap; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c <= 0x7e && c != '"' && c != '\\')
            dst[used++] = (char)c;
        else
            used += (size_t)sprintf(dst + used, "\\x%02x", c);
    }
    return used;
}

// Every byte before, between and behind every length of a run, for every bound.
static void runs_change_nothing_of_what_is_escaped(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        for (size_t run = 0; run < 12; run++) {
            char value[32], one[64], other[64];
            memset(value, 'x', sizeof value);
            value[0] = value[run + 1] = value[2 * run + 2] = (char)c;
            struct str s = str_of(value, 2 * run + 3);
            for (size_t cap = 0; cap <= 40; cap++) {
                memset(one, '#', sizeof one);
                memset(other, '#', sizeof other);
                size_t n = escape_slowly(other, 0, cap, s);
                other[n] = '#'; // where sprintf ends its text
                assert_int_equal(log_escape(one, 0, cap, s), n);
                assert_memory_equal(one, other, sizeof one);
            }
        }
    }
}

enum { WRITERS = 4, RECORDS = 4000 };

static void *write_records(void *arg)
{
    for (int i = 0; i < RECORDS; i++)
        log_write(LOG_WARN, "writer %d says %d, and that is all", *(int *)arg, i);
    return NULL;
}

// Counts the records of each writer, which must be whole and in their order.
static void count_records(const char *path, int next[static WRITERS])
{
    read_back(path);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        int who, i, end = 0;
        const char *says = strstr(line, "] writer ");
        assert_non_null(says);
        sscanf(says, "] writer %d says %d, and that is all%n", &who, &i, &end);
        assert_true(end > 0 && says[end] == '\0' && who >= 0 && who < WRITERS);
        assert_int_equal(i, next[who]);
        next[who]++;
    }
}

// While the file changes under them, again and again.
static void records_of_threads_are_whole_and_all_there(void **state)
{
    enum { FILES = 1500 };
    (void)state;
    pthread_t threads[WRITERS];
    int numbers[WRITERS] = {0, 1, 2, 3}, next[WRITERS] = {0};
    char path[FILES][80];
    uint64_t lost = log_lost();
    open_logs("off", LOG_INFO);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_records, &numbers[i]), 0);
    for (int i = 0; i < FILES; i++) {
        snprintf(path[i], sizeof path[i], "%s/error.%d", folder, i);
        int fd = log_open_file(path[i]);
        assert_true(fd >= 0);
        log_adopt(fd, -1);
    }
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    count_records(error_path, next);
    for (int i = 0; i < FILES; i++) {
        count_records(path[i], next);
        assert_int_equal(unlink(path[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(next[i], RECORDS);
    assert_int_equal(log_lost(), lost);
}

#ifndef __SANITIZE_ADDRESS__ // whose allocator ends the process
// In a process that can get no memory any more: its records are shorter, and there.
static void log_without_memory(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_AS, &none);
    for (size_t n = 1 << 20; n >= 16; n /= 2)
        while (malloc(n)) // what the process has already, too
            continue;
    log_write(LOG_ERROR, "no memory for %s: %0*d", "this", 5000, 7);
    _exit(0);
}

static void a_record_needs_no_memory(void **state)
{
    (void)state;
    int status;
    open_logs("off", LOG_INFO);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        log_without_memory();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    size_t n = read_back(error_path);
    assert_non_null(strstr(text, "] no memory for this: 00000"));
    assert_int_equal(text[n - 1], '\n');
}
#endif

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_record_has_its_form),
        TEST(levels_are_obeyed),
        TEST(no_line_can_be_forged),
        TEST(any_bytes_make_one_record),
        TEST(long_records_are_cut),
#ifndef __SANITIZE_ADDRESS__
        TEST(a_record_needs_no_memory),
#endif
        TEST(access_lines_wait_for_the_flush),
        TEST(a_full_access_buffer_is_written_early),
        TEST(a_pipe_gets_whole_lines),
        TEST(off_is_off),
        TEST(opening_again_closes_what_was_open),
        TEST(what_cannot_be_opened_is_named_and_the_old_logs_stay),
        TEST(links_are_not_followed),
        TEST(the_id_of_a_request_is_in_its_records),
        TEST(the_id_is_asked_for_when_a_record_is_written),
        TEST(an_adopted_log_goes_on_where_the_old_one_ended),
        TEST(lines_that_do_not_fit_are_counted_and_told),
        TEST(draining_gives_up),
        TEST(records_that_nobody_reads_are_counted_and_told),
        TEST(losses_are_told_by_a_flush),
        TEST(a_terminal_holds_nobody_up),
        TEST(records_of_threads_are_whole_and_all_there),
        TEST(escaping),
        TEST(an_escaped_value_ends_at_its_bound),
        TEST(runs_change_nothing_of_what_is_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
