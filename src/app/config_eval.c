// config.lua in a process of its own: see config_inside.h. What it may do there is bounded in time
// and memory; what comes back is 'S' and settings, or 'E' and a sentence.
#include "app/config.h"
#include "app/config_inside.h"
#include "app/signals.h"
#include "base/io.h"
#include "script/lua_config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    SOURCE_MAX = 1024 * 1024,       // bytes of config.lua
    CHILD_CPU = 5,                  // seconds of processor time
    CHILD_DEADLINE = 30 * 1000,     // milliseconds of any time
    CHILD_RUNS = 1000,              // milliseconds of processor time: one that used them runs
    CHILD_RUN_DEADLINE = 50 * 1000, // for that one: less than a reload waits for its checker
    CHILD_MEMORY = 512 * 1024 * 1024,
};

// The child ---------------------------------------------------------------------------------------

static void set_limit(int resource, rlim_t soft, rlim_t hard)
{
    setrlimit(resource, &(struct rlimit){soft, hard});
}

static void limit_child(void)
{
    set_limit(RLIMIT_CPU, CHILD_CPU, CHILD_CPU + 1); // SIGXCPU, then SIGKILL
    set_limit(RLIMIT_CORE, 0, 0);
    set_limit(RLIMIT_FSIZE, 0, 0);
    signals_spare(SIGXFSZ);        // writing to a file is then an error that Lua reports
#if !defined(__SANITIZE_ADDRESS__) // whose shadow alone is larger
    set_limit(RLIMIT_AS, CHILD_MEMORY, CHILD_MEMORY);
#endif
}

// The file's text into source, if it is the file that the parent saw.
static bool read_source(const struct config_evaluation *e, struct buf *source, struct buf *why)
{
    struct stat st;
    int fd = open(e->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) != 0) {
        buf_addf(why, "%s: %s", e->config->file, strerror(errno));
        return false;
    }
    const char *wrong = NULL;
    if (st.st_dev != e->file->st_dev || st.st_ino != e->file->st_ino)
        wrong = "it was replaced while it was being read";
    else if (!S_ISREG(st.st_mode))
        wrong = "it is not a regular file";
    while (!wrong) {
        char *room = buf_room(source, source->max - source->n < 65536 ? 1 : 65536);
        ssize_t n = room ? read(fd, room, source->max - source->n < 65536 ? 1 : 65536) : -1;
        if (!room)
            wrong = "it is larger than 1 MiB";
        else if (n < 0 && errno != EINTR)
            wrong = strerror(errno);
        else if (n == 0)
            break;
        else if (n > 0)
            buf_added(source, (size_t)n);
    }
    close(fd);
    if (wrong)
        buf_addf(why, "%s: %s", e->config->file, wrong);
    return !wrong;
}

// The first thing of the site that this process may not read, as a sentence.
static bool site_is_readable(const struct config *c, const struct identity *as, struct buf *why)
{
    static const char *const parts[] = {"", "/scripts", "/scripts/main.lua", "/scripts/config.lua",
                                        "/site"};
    char path[PATH_MAX], blocked[PATH_MAX];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct stat st;
        if (snprintf(path, sizeof path, "%s%s", c->site, parts[i]) >= (int)sizeof path)
            continue;
        bool folder = stat(path, &st) != 0 || S_ISDIR(st.st_mode);
        if (!privs_blocked(path, folder ? R_OK | X_OK : R_OK, blocked))
            continue;
        buf_addf(
            why,
            "%s:%s, whom the server would become, may not read %s. Give --user with one who may, "
            "change its owner or mode (chown, chmod)%s",
            as->user, as->group, blocked,
            c->dev ? "" : ", or use --dev to serve it to yourself on loopback");
        return false;
    }
    return true;
}

// Runs in the child: 'S' and settings, or 'E' and a sentence.
static void evaluate(const struct config_evaluation *e, struct buf *out)
{
    char why[PRIVS_WHY_MAX], scripts[PATH_MAX];
    struct buf source;
    buf_init(&source, SOURCE_MAX);
    buf_addc(out, 'E');
    bool root_stays = e->config->as_root && !e->as;
    if (root_stays ? !privs_drop_capabilities(why) : e->as && !privs_become(e->as, why)) {
        buf_add(out, str_z(why));
        return;
    }
    if (e->as && !site_is_readable(e->config, e->as, out))
        return;
    if (!e->file) {
        out->p[0] = 'S';
        return;
    }
    snprintf(scripts, sizeof scripts, "%s/scripts", e->config->site);
    limit_child();
    if (!read_source(e, &source, out))
        return;
    if (lua_config_eval(buf_str(&source), e->config->file, scripts, out))
        out->p[0] = 'S';
    buf_fini(&source);
}

static _Noreturn void run_child(const struct config_evaluation *e, int fd, pid_t parent)
{
    struct buf out;
    buf_init(&out, CONFIG_SETTINGS_MAX);
    fd = io_keep_alone(fd); // nothing of the server's is for a library in C that config.lua loads
    signals_release_held();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent)
        evaluate(e, &out);
    io_write_all(fd, buf_str(&out)); // what is missing is told by the end
    _exit(0);
}

// The parent's side -------------------------------------------------------------------------------

static int64_t ms_of(clockid_t clock)
{
    struct timespec t = {0};
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t now_ms(void)
{
    return ms_of(CLOCK_MONOTONIC);
}

// Its processor time ends one that runs, and not how many others want the processor.
static bool runs(pid_t pid)
{
    clockid_t clock;
    return clock_getcpuclockid(pid, &clock) == 0 && ms_of(clock) >= CHILD_RUNS;
}

static int64_t deadline(pid_t pid)
{
    return runs(pid) ? CHILD_RUN_DEADLINE : CHILD_DEADLINE;
}

// Everything the child writes until it ends; false at the deadline or when it is too much.
static bool collect(pid_t pid, int fd, struct buf *result)
{
    int64_t start = now_ms();
    for (;;) {
        int64_t left = start + CHILD_DEADLINE - now_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left <= 0)
            left = start + deadline(pid) - now_ms();
        if (left <= 0)
            return false;
        if (poll(&p, 1, (int)left) <= 0)
            continue;
        size_t want = result->max - result->n < 4096 ? result->max - result->n : 4096;
        char *room = want ? buf_room(result, want) : NULL;
        ssize_t n = room ? read(fd, room, want) : 0;
        if (n == 0)
            return room != NULL;
        if (n > 0)
            buf_added(result, (size_t)n);
        else if (errno != EINTR && errno != EAGAIN)
            return false;
    }
}

// had: milliseconds that it was given.
static bool explain_end(const struct config *c, bool finished, int64_t had, int status,
                        char why[static CONFIG_WHY_MAX])
{
    if (!finished)
        return config_fail(why, "%s did not finish within %d seconds", c->file, (int)(had / 1000));
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
        return config_fail(why, "%s used more than %d seconds of processor time", c->file,
                           CHILD_CPU);
    if (WIFSIGNALED(status) &&
        WTERMSIG(status) == SIGKILL) // the second limit, or the kernel's out-of-memory killer
        return config_fail(why, "%s was killed while it was evaluated: too much time or memory",
                           c->file);
    if (WIFSIGNALED(status))
        return config_fail(why, "%s crashed: signal %d (%s)", c->file, WTERMSIG(status),
                           strsignal(WTERMSIG(status)));
    return config_fail(why, "%s ended the process instead of returning a table", c->file);
}

bool config_evaluate(const struct config_evaluation *e, struct buf *result,
                     char why[static CONFIG_WHY_MAX])
{
    int pipe_fds[2], status = 0;
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return config_fail(why, "cannot evaluate %s: %s", e->config->file, strerror(errno));
    fflush(NULL);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        run_child(e, pipe_fds[1], parent);
    close(pipe_fds[1]);
    bool finished = pid > 0 && collect(pid, pipe_fds[0], result);
    close(pipe_fds[0]);
    if (pid < 0)
        return config_fail(why, "cannot evaluate %s: %s", e->config->file, strerror(errno));
    int64_t had = deadline(pid);
    kill(pid, SIGKILL); // it has ended, or its time is up; an end that was reached keeps its status
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!finished || result->n == 0 || (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL))
        return explain_end(e->config, finished, had, status, why);
    bool settings = result->p[0] == 'S';
    buf_drop(result, 1);
    return settings || config_fail(why, "%.*s", STR_ARG(buf_str(result)));
}
