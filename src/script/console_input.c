// The standard input and Control-C: see the header.
//
// A signal handler notes an interrupt in `pending`, sets a hook in every thread of the chain that
// runs, and writes a byte into a pipe. Whoever sees it first takes it: the hook, between two
// instructions of Lua, or else the loop, which watches the pipe.
#include "script/console_input.h"

#include "base/buf.h"
#include "script/luax.h"
#include "script/vm_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024 };

static const char CLASS[] = "lunette.console input";

// The life of a line: what ends a wait in read_line.
enum outcome { NOTHING_YET, LINE, END, INTERRUPTED, TOO_LONG, FAILED };

struct input {
    struct loop *loop;
    struct buf bytes;      // read, and not taken yet
    size_t seen;           // of them are no line feed
    bool ended, skipping;  // no more comes; the rest of a line that was too long is dropped
    int error;             // errno of a read that failed
    struct watch in, pipe; // pipe.fd −1: interrupts are not caught
    int pipe_to;           // the other end of it
    struct co_wait line;   // of read_line
    struct co_wait break_; // of wait_interrupt
    bool reads, listens;   // somebody waits in them
    enum outcome outcome;  // of the read that waits
};

// The signal handler's.
static struct vm *volatile caught_vm;
static struct co *volatile interruptible; // whose Lua gets the error; NULL: nobody's
static volatile sig_atomic_t caught_pipe = -1, pending;

static struct input *self_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

// Reading ---------------------------------------------------------------------------------------------

// Whether the bytes that are there, or their end, make a read's outcome.
static enum outcome look(struct input *in)
{
    const char *p = in->bytes.n > in->seen
                        ? memchr(in->bytes.p + in->seen, '\n', in->bytes.n - in->seen)
                        : NULL;
    if (p && in->skipping) {
        buf_drop(&in->bytes, (size_t)(p + 1 - in->bytes.p));
        in->skipping = false;
        in->seen = 0;
        return TOO_LONG;
    }
    if (p)
        return LINE;
    if (in->skipping || in->bytes.n >= CONSOLE_LINE_MAX) {
        buf_clear(&in->bytes);
        in->skipping = !in->ended;
        in->seen = 0;
        return in->ended ? TOO_LONG : NOTHING_YET;
    }
    in->seen = in->bytes.n;
    if (!in->ended)
        return NOTHING_YET;
    return in->error ? FAILED : in->bytes.n > 0 ? LINE : END;
}

// One read of what is there.
static void read_some(struct input *in)
{
    size_t room = CONSOLE_LINE_MAX - in->bytes.n;
    size_t n = room < READ_SIZE ? room : READ_SIZE;
    char *p = buf_room(&in->bytes, n);
    ssize_t got = p ? read(STDIN_FILENO, p, n) : -1;
    if (got > 0) {
        buf_added(&in->bytes, (size_t)got);
    } else if (got == 0) {
        in->ended = true;
    } else if (!p || (errno != EINTR && errno != EAGAIN)) {
        in->error = p ? errno : ENOMEM;
        in->ended = true;
    }
}

static void end_wait(struct input *in, enum outcome outcome)
{
    in->outcome = outcome;
    in->reads = false;
    loop_del(in->loop, &in->in);
    co_wake(&in->line);
}

static void on_input(struct watch *w, uint32_t events)
{
    struct input *in = (struct input *)((char *)w - offsetof(struct input, in));
    (void)events;
    read_some(in);
    enum outcome outcome = look(in);
    if (outcome != NOTHING_YET)
        end_wait(in, outcome);
}

static void read_cancelled(struct co_wait *w)
{
    struct input *in = (struct input *)((char *)w - offsetof(struct input, line));
    in->reads = false;
    loop_del(in->loop, &in->in);
}

static int push_line(lua_State *L, struct input *in)
{
    struct str all = buf_str(&in->bytes), line;
    size_t n = all.n;
    str_split(&all, '\n', &line);
    luax_push(L, line);
    buf_drop(&in->bytes, line.n < n ? line.n + 1 : n);
    in->seen = 0;
    return 1;
}

static int push_outcome(lua_State *L, struct input *in, enum outcome outcome)
{
    if (outcome == LINE)
        return push_line(L, in);
    lua_pushnil(L);
    if (outcome == END)
        return 1;
    if (outcome == INTERRUPTED)
        lua_pushliteral(L, "interrupted");
    else if (outcome == TOO_LONG)
        lua_pushfstring(L, "a line has more than %d bytes", CONSOLE_LINE_MAX - 1);
    else
        lua_pushfstring(L, "the standard input cannot be read: %s", strerror(in->error));
    return 2;
}

static int read_over(lua_State *L, struct co_wait *w)
{
    struct input *in = (struct input *)((char *)w - offsetof(struct input, line));
    return push_outcome(L, in, in->outcome);
}

static int read_line(lua_State *L)
{
    struct input *in = self_of(L);
    enum outcome outcome = look(in);
    if (in->reads)
        return luaL_error(L, "console.read_line: somebody waits for a line already");
    if (outcome != NOTHING_YET)
        return push_outcome(L, in, outcome);
    int rc = loop_add(in->loop, &in->in, STDIN_FILENO, EPOLLIN, on_input);
    if (rc == -EPERM) { // a file, which is always ready
        while ((outcome = look(in)) == NOTHING_YET)
            read_some(in);
        return push_outcome(L, in, outcome);
    }
    if (rc < 0)
        return luaL_error(L, "console.read_line: %s", strerror(-rc));
    in->reads = true;
    return co_wait(L, &in->line);
}

// Interrupts ------------------------------------------------------------------------------------------

static void on_instruction(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    lua_sethook(L, NULL, 0, 0);
    if (!pending || !interruptible)
        return; // another thread of the chain has taken it, or the loop will
    pending = 0;
    luaL_error(L, "interrupted");
}

// Whether the co that may be interrupted is the one that runs.
static bool may_raise(const struct vm *vm)
{
    const struct co_link *l = vm && interruptible ? vm->running : NULL;
    while (l && !l->co) // coroutines of the author's within it
        l = l->outer;
    return l && l->co == interruptible;
}

static void on_signal(int number)
{
    int before = errno;
    struct vm *vm = caught_vm;
    (void)number;
    pending = 1;
    for (const struct co_link *l = may_raise(vm) ? vm->running : NULL; l; l = l->outer)
        lua_sethook(l->L, on_instruction, LUA_MASKCOUNT, 1);
    if (caught_pipe >= 0 && write(caught_pipe, "", 1) < 0)
        errno = before; // the pipe is full of them: one is enough
    errno = before;
}

static void on_interrupt(struct watch *w, uint32_t events)
{
    struct input *in = (struct input *)((char *)w - offsetof(struct input, pipe));
    char bytes[64];
    (void)events;
    while (read(w->fd, bytes, sizeof bytes) > 0)
        ;
    if (!pending)
        return;
    pending = 0;
    if (in->reads) {
        buf_clear(&in->bytes);
        in->seen = 0;
        end_wait(in, INTERRUPTED);
    } else if (in->listens) {
        in->listens = false;
        co_wake(&in->break_);
    }
}

static int interrupt_over(lua_State *L, struct co_wait *w)
{
    (void)L, (void)w;
    return 0;
}

static void listen_cancelled(struct co_wait *w)
{
    ((struct input *)((char *)w - offsetof(struct input, break_)))->listens = false;
}

static int wait_interrupt(lua_State *L)
{
    struct input *in = self_of(L);
    if (in->listens)
        return luaL_error(L, "console.wait_interrupt: somebody waits already");
    in->listens = true;
    return co_wait(L, &in->break_);
}

static int raise_interrupts(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TBOOLEAN);
    interruptible = lua_toboolean(L, 1) ? co_running(vm_of(L)) : NULL;
    return 0;
}

static int catch_interrupts(lua_State *L)
{
    struct input *in = self_of(L);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    int ends[2];
    if (in->pipe_to >= 0)
        return 0;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return luaL_error(L, "console.catch_interrupts: %s", strerror(errno));
    int rc = loop_add(in->loop, &in->pipe, ends[0], EPOLLIN, on_interrupt);
    if (rc < 0) {
        close(ends[0]);
        close(ends[1]);
        return luaL_error(L, "console.catch_interrupts: %s", strerror(-rc));
    }
    in->pipe_to = ends[1];
    caught_pipe = ends[1];
    caught_vm = vm_of(L);
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    return 0;
}

static int die(lua_State *L)
{
    (void)L;
    signal(SIGINT, SIG_DFL);
    raise(SIGINT);
    return 0;
}

// The object ------------------------------------------------------------------------------------------

static int input_gc(lua_State *L)
{
    struct input *in = luaL_checkudata(L, 1, CLASS);
    loop_del(in->loop, &in->in);
    if (in->pipe_to >= 0) {
        int fd = in->pipe.fd;
        signal(SIGINT, SIG_DFL);
        caught_vm = NULL;
        interruptible = NULL;
        caught_pipe = -1;
        loop_del(in->loop, &in->pipe);
        close(fd);
        close(in->pipe_to);
        in->pipe_to = -1;
    }
    buf_fini(&in->bytes);
    return 0;
}

void console_input_register(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"read_line", read_line},
        {"catch_interrupts", catch_interrupts},
        {"raise_interrupts", raise_interrupts},
        {"wait_interrupt", wait_interrupt},
        {"die", die},
        {NULL, NULL},
    };
    luax_class(L, CLASS, NULL, input_gc);
    struct input *in = lua_newuserdatauv(L, sizeof *in, 0);
    *in = (struct input){
        .loop = vm_options(vm_of(L))->loop,
        .in = {.fd = -1},
        .pipe = {.fd = -1},
        .pipe_to = -1,
        .line = {.finish = read_over, .cancel = read_cancelled},
        .break_ = {.finish = interrupt_over, .cancel = listen_cancelled},
    };
    buf_init(&in->bytes, 2 * CONSOLE_LINE_MAX);
    luaL_setmetatable(L, CLASS);
    luaL_setfuncs(L, functions, 1);
    lua_pushboolean(L, isatty(STDIN_FILENO));
    lua_setfield(L, -2, "interactive");
}
