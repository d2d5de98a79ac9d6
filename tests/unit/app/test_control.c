// The control socket: where it may be, who is heard, and how words are answered.
#include "app/control.h"
#include "app/kin.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

#ifndef SO_PEERPIDFD // by headers older than Linux 6.5
#define SO_PEERPIDFD 77
#endif

static char folder[32], path[64];
static struct control *control;
static struct control_client *waiting;
static char heard[64];

static void on_word(void *arg, struct control_client *from, const char *word)
{
    (void)arg;
    snprintf(heard, sizeof heard, "%s", word);
    if (strcmp(word, "wait") == 0) {
        waiting = from;
        control_say(from, "a moment");
        control_wait(from, 5);
        return;
    }
    for (int i = 0; strcmp(word, "much") == 0 && i < 2000; i++)
        control_say(from, "%0100d", i);
    control_say(from, "heard %s", word);
    control_end(from, true);
}

static int setup(void **state)
{
    struct file_id id;
    (void)state;
    strcpy(folder, "/tmp/lunette-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/control", folder);
    int fd = control_bind(path, NULL, &id);
    control = fd < 0 ? NULL : control_new(fd, on_word, NULL);
    return control ? 0 : -1;
}

static int teardown(void **state)
{
    char command[64];
    (void)state;
    control_free(control);
    control = NULL;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static int say(const char *words)
{
    int fd = control_connect(path);
    assert_true(fd >= 0);
    assert_int_equal(send(fd, words, strlen(words), MSG_NOSIGNAL), strlen(words));
    control_turn(control); // it is let in
    control_turn(control); // and heard
    return fd;
}

// What has come; *end: the socket was closed behind it.
static const char *answer(int fd, bool *end)
{
    static char text[2 * CONTROL_ANSWER_MAX];
    size_t n = 0;
    ssize_t got;
    for (int i = 0; i < 200; i++) {
        while ((got = recv(fd, text + n, sizeof text - 1 - n, MSG_DONTWAIT)) > 0)
            n += (size_t)got;
        control_turn(control);
    }
    *end = got == 0;
    text[n] = '\0';
    return text;
}

static void expect(int fd, const char *text, bool ends)
{
    bool end;
    assert_string_equal(answer(fd, &end), text);
    assert_int_equal(end, ends);
}

static void a_word_is_answered(void **state)
{
    (void)state;
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    int fd = say("status\n");
    expect(fd, "heard status\nok\n", true);
    close(fd);
    fd = say("sta");
    expect(fd, "", false);
    assert_int_equal(send(fd, "tus\n", 4, 0), 4);
    expect(fd, "heard status\nok\n", true);
    close(fd);
}

static void words_that_are_too_long_fail(void **state)
{
    (void)state;
    int fd = say("0123456789012345678901234567890123456789\n");
    bool end;
    assert_non_null(strstr(answer(fd, &end), "31 bytes at most\nfailed\n"));
    assert_true(end);
    close(fd);
}

static void words_with_a_nul_byte_fail(void **state)
{
    (void)state;
    bool end;
    heard[0] = '\0';
    int fd = control_connect(path);
    assert_int_equal(send(fd, "stop\0ped\n", 9, MSG_NOSIGNAL), 9);
    assert_string_equal(answer(fd, &end), "a word has no NUL byte\nfailed\n");
    assert_true(end);
    assert_string_equal(heard, "");
    close(fd);
}

static void what_follows_a_word_is_no_other(void **state)
{
    (void)state;
    int fd = say("status\nstop\n");
    expect(fd, "heard status\nok\n", true);
    assert_string_equal(heard, "status");
    close(fd);
    fd = say("stop");
    shutdown(fd, SHUT_WR); // half a word
    expect(fd, "", true);
    assert_string_equal(heard, "status");
    close(fd);
}

static void a_link_in_its_place_is_not_followed(void **state)
{
    (void)state;
    char link[80];
    snprintf(link, sizeof link, "%s/link", folder);
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(control_connect(link), -ELOOP);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink("nowhere", link), 0);
    assert_int_equal(control_connect(link), -ELOOP);
}

static void an_answer_may_come_later(void **state)
{
    (void)state;
    int one = say("wait\n"), other = say("wait\n");
    expect(one, "a moment\n", false);
    control_end_waiting(control, 4, true, NULL); // not the number they wait for
    expect(one, "", false);
    assert_int_equal(control_due(control), INT64_MAX);
    close(other); // gone meanwhile
    control_turn(control);
    control_end_waiting(control, 5, false, "a reason\nof two lines");
    expect(one, "a reason\nof two lines\nfailed\n", true);
    close(one);
}

// Who waits, who has said a part of a word, all of it, or nothing yet; what was answered before
// stays.
static void whoever_has_no_answer_is_sent_on(void **state)
{
    (void)state;
    int answered = say("status\n"), waits = say("wait\n"), part = say("relo"), silent = say("");
    int said = control_connect(path);
    assert_true(said >= 0);
    control_turn(control); // let in, and not heard before its word is passed over
    assert_int_equal(send(said, "stop\n", 5, MSG_NOSIGNAL), 5);
    heard[0] = '\0';
    control_send_on(control);
    assert_string_equal(heard, "");
    expect(answered, "heard status\nok\n", true);
    expect(waits, "a moment\n" CONTROL_REPLACED "\nfailed\n", true);
    expect(part, CONTROL_REPLACED "\nfailed\n", true);
    expect(silent, CONTROL_REPLACED "\nfailed\n", true);
    bool end;
    assert_string_equal(answer(said, &end), CONTROL_REPLACED "\nfailed\n");
    const int all[] = {answered, waits, part, silent, said};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        close(all[i]);
    control_send_on(control); // nobody is left
    control_send_on(NULL);
    assert_int_equal(control_due(control), INT64_MAX);
}

static void answers_have_a_maximum(void **state)
{
    (void)state;
    bool end;
    int fd = say("much\n");
    const char *text = answer(fd, &end);
    size_t n = strlen(text);
    assert_true(end && n <= CONTROL_ANSWER_MAX && n > CONTROL_ANSWER_MAX - 200);
    assert_string_equal(text + n - 4, "\nok\n");
    close(fd);
}

static void a_client_that_stalls_holds_nobody_up(void **state)
{
    (void)state;
    int fd[CONTROL_CLIENTS];
    for (int i = 0; i < CONTROL_CLIENTS; i++)
        fd[i] = say("");
    assert_true(control_due(control) < INT64_MAX);
    int more = say("");
    bool end;
    assert_string_equal(answer(more, &end), "too many others talk to this server\nfailed\n");
    assert_true(end);
    close(more);
    close(fd[0]);
    control_turn(control);
    fd[0] = say("status\n");
    expect(fd[0], "heard status\nok\n", true);
    for (int i = 0; i < CONTROL_CLIENTS; i++)
        close(fd[i]);
}

static void the_place_of_a_living_server_is_taken(void **state)
{
    (void)state;
    struct file_id id;
    assert_int_equal(control_bind(path, NULL, &id), -EADDRINUSE);
    control_free(control);
    control = NULL;
    assert_int_equal(control_connect(path), -ECONNREFUSED);
    int fd = control_bind(path, NULL, &id);
    assert_true(fd >= 0);
    files_remove_socket(path, &id);
    assert_int_equal(control_connect(path), -ENOENT);
    close(fd);
}

static void what_is_no_socket_stays(void **state)
{
    (void)state;
    struct file_id id;
    char other[80];
    snprintf(other, sizeof other, "%s/file", folder);
    close(open(other, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(control_bind(other, NULL, &id), -EEXIST);
    assert_int_equal(access(other, F_OK), 0);
    snprintf(other, sizeof other, "%s/link", folder);
    assert_int_equal(symlink(path, other), 0);
    assert_int_equal(control_bind(other, NULL, &id), -EEXIST);
    snprintf(other, sizeof other, "%s/nowhere/control", folder);
    assert_int_equal(control_bind(other, NULL, &id), -ENOENT);
}

static void long_paths_have_room(void **state)
{
    (void)state;
    struct file_id id;
    char deep[300];
    int n = snprintf(deep, sizeof deep, "%s/%0120d", folder, 0);
    assert_int_equal(mkdir(deep, 0700), 0);
    snprintf(deep + n, sizeof deep - (size_t)n, "/control");
    int fd = control_bind(deep, NULL, &id), peer = control_connect(deep);
    assert_true(fd >= 0 && peer >= 0);
    close(peer);
    close(fd);
}

static void one_that_another_user_could_move_is_not_followed(void **state)
{
    (void)state;
    struct file_id id;
    char open_folder[64], link[80], through[96];
    snprintf(open_folder, sizeof open_folder, "%s/open", folder);
    assert_int_equal(mkdir(open_folder, 0700), 0);
    assert_int_equal(chmod(open_folder, 0777), 0);
    snprintf(link, sizeof link, "%s/there", open_folder);
    assert_int_equal(symlink(folder, link), 0);
    snprintf(through, sizeof through, "%s/control2", link);
    assert_int_equal(control_bind(through, NULL, &id), -ELOOP);
}

// What a child of this process hears, which stands for a worker.
static void its_own_children_are_not_heard(void **state)
{
    (void)state;
    int result[2];
    char text[200] = "";
    assert_int_equal(pipe(result), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = control_connect(path);
        struct pollfd has_come = {.fd = fd, .events = POLLIN};
        ssize_t n = poll(&has_come, 1, 10000) == 1 ? recv(fd, text, sizeof text, 0) : -1;
        _exit(n > 0 && write(result[1], text, (size_t)n) == n ? 0 : 1);
    }
    close(result[1]);
    struct pollfd p = {.fd = control_fd(control), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 10000), 1);
    control_turn(control);
    assert_true(read(result[0], text, sizeof text - 1) > 0);
    assert_string_equal(
        text, "the server's own workers, and what they start, are not heard here\nfailed\n");
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(result[0]);
}

// A process that is no child of ours has the number pid from now on, for a while. False where the
// kernel does not let us choose, or another one got it.
static bool give_number_away(pid_t pid)
{
    int status, fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    pid_t between = fork();
    if (between == 0) {
        pid_t got = fd >= 0 && dprintf(fd, "%d", (int)pid - 1) > 0 ? fork() : -1;
        if (got == 0) {
            sleep(2);
            _exit(0);
        }
        _exit(got == pid ? 0 : 1);
    }
    close(fd);
    return waitpid(between, &status, 0) == between && WEXITSTATUS(status) == 0;
}

// Its word can be read when it has ended, and who has its number by then is no child of ours.
static void one_that_has_ended_is_not_taken_for_who_has_its_number(void **state)
{
    (void)state;
    bool given = false;
    int pair[2], peer;
    socklen_t n = sizeof peer;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    if (getsockopt(pair[0], SOL_SOCKET, SO_PEERPIDFD, &peer, &n) != 0)
        skip(); // a kernel before 6.5
    close(peer), close(pair[0]), close(pair[1]);
    for (int i = 0; i < 20 && !given; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            int fd = control_connect(path);
            _exit(send(fd, "stop\n", 5, MSG_NOSIGNAL) != 5);
        }
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        given = give_number_away(pid);
        assert_true(!given || !kin_descends(pid, getpid()));
        heard[0] = '\0';
        control_turn(control);
        control_turn(control);
        assert_string_equal(heard, "");
    }
    if (!given)
        skip(); // not root, or a kernel that was built without it
    int fd = say("status\n");
    expect(fd, "heard status\nok\n", true);
    close(fd);
}

static void nor_are_those_of_the_process_that_it_shuns(void **state)
{
    (void)state;
    bool end;
    int fd;
    control_shun(control, getppid());
    assert_true(kin_descends(getpid(), getppid()));
    fd = say("hello\n"); // this very process is not meant
    assert_string_equal(answer(fd, &end), "heard hello\nok\n");
    close(fd);
    assert_false(kin_descends(1, getpid()));
    assert_false(kin_descends(getppid(), getpid()));
    assert_true(kin_descends(0x3fffffff, getpid())); // not to be told
}

static void another_listener_takes_over(void **state)
{
    (void)state;
    struct file_id id;
    bool end;
    int early = say("wait\n");
    assert_int_equal(unlink(path), 0);
    int fd = control_bind(path, NULL, &id);
    assert_true(fd >= 0);
    assert_int_equal(control_listen(control, fd), 0);
    int late = say("status\n");
    assert_string_equal(answer(late, &end), "heard status\nok\n");
    control_end_waiting(control, 5, true, NULL);
    assert_string_equal(answer(early, &end), "a moment\nok\n");
    close(early), close(late);
}

// Without a descriptor for it a client waits in the queue, and wakes nobody meanwhile.
static void without_a_descriptor_a_client_waits(void **state)
{
    struct rlimit before, few;
    struct pollfd p = {.fd = control_fd(control), .events = POLLIN};
    bool end;
    (void)state;
    int fd = control_connect(path), last = dup(fd);
    assert_true(fd >= 0 && last >= 0);
    close(last);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){(rlim_t)last, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_int_equal(poll(&p, 1, 0), 1);
    control_turn(control);
    assert_int_equal(poll(&p, 1, 0), 0);
    assert_true(control_due(control) != INT64_MAX);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    usleep(150 * 1000);
    assert_int_equal(send(fd, "hello\n", 6, MSG_NOSIGNAL), 6);
    control_turn(control);
    control_turn(control);
    assert_string_equal(answer(fd, &end), "heard hello\nok\n");
    close(fd);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_word_is_answered),
        TEST(words_that_are_too_long_fail),
        TEST(words_with_a_nul_byte_fail),
        TEST(what_follows_a_word_is_no_other),
        TEST(a_link_in_its_place_is_not_followed),
        TEST(an_answer_may_come_later),
        TEST(whoever_has_no_answer_is_sent_on),
        TEST(answers_have_a_maximum),
        TEST(a_client_that_stalls_holds_nobody_up),
        TEST(without_a_descriptor_a_client_waits),
        TEST(the_place_of_a_living_server_is_taken),
        TEST(what_is_no_socket_stays),
        TEST(long_paths_have_room),
        TEST(one_that_another_user_could_move_is_not_followed),
        TEST(its_own_children_are_not_heard),
        TEST(one_that_has_ended_is_not_taken_for_who_has_its_number),
        TEST(nor_are_those_of_the_process_that_it_shuns),
        TEST(another_listener_takes_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
