// `lunette test`: see the header. There is one place where it ends, whatever signal comes, and the
// folder is always removed there.
#include "app/trial.h"

#include "app/attend.h"
#include "app/complain.h"
#include "app/config.h"
#include "app/solo.h"
#include "app/trial_watch.h"
#include "base/folder.h"
#include "base/io.h"
#include "script/lua_console.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILES_MAX = 10000 };

struct run {
    struct config config;
    bool tap;
    struct dirent **file;
    int files; // −1: there is no tests/
    char folder[PATH_MAX], data[PATH_MAX + 8], kept[PATH_MAX + 8];
    struct trial_score *score; // shared with the child
    struct attend attend;
    bool stopped; // the site cannot be loaded: no file can be run
};

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Unbuffered, since children write to the same descriptor.
static void say(const char *format, ...)
{
    char text[TRIAL_TITLE_MAX + 512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t len = n < (int)sizeof text ? (size_t)n : sizeof text - 1;
    io_write_all(STDOUT_FILENO, str_of(text, len)); // nobody to tell, when nobody reads
}

// Before ----------------------------------------------------------------------------------------------

static int is_test(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return e->d_name[0] != '.' && n > 4 && strcmp(e->d_name + n - 4, ".lua") == 0;
}

static bool find_files(struct run *r)
{
    char path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/tests", r->config.site);
    r->files = scandir(path, &r->file, is_test, alphasort);
    if (r->files < 0 && errno != ENOENT)
        return complain("%s: %s", path, strerror(errno));
    if (r->files > FILES_MAX)
        return complain("%s has more than %d files", path, FILES_MAX);
    if (r->files > 0)
        return true;
    if (r->tap)
        say("1..0\n");
    return complain("there are no tests: no file is called %s/*.lua", path);
}

static bool make_folders(struct run *r)
{
    int fd = folder_make_temporary("lunette-tests", r->folder);
    if (fd < 0) {
        complain("%s: %s", r->folder, strerror(-fd));
        r->folder[0] = '\0';
        return false;
    }
    close(fd);
    snprintf(r->data, sizeof r->data, "%s/data", r->folder);
    snprintf(r->kept, sizeof r->kept, "%s/kept", r->folder);
    return true;
}

static bool share_score(struct run *r)
{
    void *p =
        mmap(NULL, sizeof *r->score, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return complain("out of memory");
    r->score = p;
    return true;
}

// One file ----------------------------------------------------------------------------------------------

// What the site's data are called beneath its folder, or NULL.
static const char *data_name(const struct config *c)
{
    size_t n = strlen(c->site);
    return strncmp(c->data, c->site, n) == 0 && c->data[n] == '/' ? c->data + n + 1 : NULL;
}

struct file {
    struct run *run;
    const char *name;
};

// In the child. The file's data begins empty, and so does the folder that it is kept in.
static int run_file(void *arg)
{
    static const char *const no_words[] = {NULL};
    struct file *f = arg;
    struct run *r = f->run;
    char path[NAME_MAX + 8];
    snprintf(path, sizeof path, "tests/%s", f->name);
    struct trial trial = {.file = path,
                          .tap = r->tap,
                          .data_name = data_name(&r->config),
                          .data = r->data,
                          .kept = r->kept,
                          .score = r->score};
    struct solo_job job = {.module = "lunette.command.test", .word = no_words, .trial = &trial};
    r->config.data = r->data;
    r->config.temp = r->folder;
    return solo_run(&r->config, &job);
}

// The child has made the title fit to be printed.
static void tell_end(struct run *r, int status)
{
    struct trial_score *s = r->score;
    const char *what = s->running[0] ? s->running : s->itself;
    char how[64];
    if (WIFSIGNALED(status))
        snprintf(how, sizeof how, "the process was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(how, sizeof how, "the process ended");
    s->failed++;
    if (r->tap)
        say("not ok %u - %s\n  ---\n  message: %s\n  ...\n", s->passed + s->failed, what, how);
    else
        say("  FAIL  %s\n        %s\n", what, how);
}

static void run_one(struct run *r, const char *name)
{
    struct trial_score *s = r->score;
    s->started = s->over = false;
    s->running[0] = '\0';
    int rc = folder_remove(r->data);
    if (rc == 0)
        rc = folder_remove(r->kept);
    if (rc < 0 || mkdir(r->data, 0700) != 0 || mkdir(r->kept, 0700) != 0) {
        r->stopped = !complain("%s: %s", r->folder, strerror(rc < 0 ? -rc : errno));
        return;
    }
    int status = attend_run(&r->attend, run_file, &(struct file){r, name});
    if (status < 0) {
        r->stopped = !complain("cannot start a process: %s", strerror(-status));
        return;
    }
    r->stopped = !s->started;
    if (s->started && !s->over && !r->attend.signal)
        tell_end(r, status);
}

// After -------------------------------------------------------------------------------------------------

static void say_sum(const struct run *r)
{
    const struct trial_score *s = r->score;
    bool colours = console_wants_colours();
    const char *colour = !colours ? "" : s->failed ? "\033[31m" : "\033[32m";
    if (r->tap)
        say("1..%u\n", s->passed + s->failed);
    else if (s->passed + s->failed > 0)
        say("\n%s%u passed, %u failed%s\n", colour, s->passed, s->failed, colours ? "\033[0m" : "");
    if (!r->stopped && s->passed + s->failed == 0)
        complain("no file of tests/ has a test in it");
}

static int run_files(struct run *r)
{
    if (r->tap)
        say("TAP version 14\n");
    if (!find_files(r) || !share_score(r))
        return 1;
    attend_begin(&r->attend);
    if (make_folders(r))
        for (int i = 0; i < r->files && !r->attend.signal && !r->stopped; i++)
            run_one(r, r->file[i]->d_name);
    else
        r->stopped = true;
    int rc = r->folder[0] ? folder_remove(r->folder) : 0;
    if (rc < 0)
        complain("%s is left: %s", r->folder, strerror(-rc));
    if (!r->attend.signal)
        say_sum(r);
    return r->stopped || r->score->failed || !r->score->passed;
}

static int run_once(struct cli *cli)
{
    char why[CONFIG_WHY_MAX];
    struct run r = {.tap = cli->tap};
    int status = 1;
    if (!config_load(cli, &r.config, why))
        complain("%s", why);
    else if (solo_become(&r.config))
        status = run_files(&r);
    config_fini(&r.config);
    for (int i = 0; i < r.files; i++)
        free(r.file[i]);
    free(r.file);
    if (r.score)
        munmap(r.score, sizeof *r.score);
    attend_end(&r.attend);
    return status;
}

int trial_run(struct cli *cli)
{
    cli->dev = true;
    return cli->watch ? trial_watch(cli, run_once) : run_once(cli);
}
