// A task: a function in a co of its own, and a handle by which others hear of its end.
//
// The handle is a userdata on that co's stack, so that it lives at least as long. Whoever wants to hear of
// the end has a listener in the task's list. The end is told from outside of Lua, where nothing may be
// allocated: the task's own first function keeps results and errors in the handle's user values before.
//
//      task_new ──deferred──► it runs ──► it has ended, with an outcome: results or an error
//                                │              │
//                           task_cancel         └──► every listener is told; an error that nobody
//                     (its next wait raises)         listens for is logged
//
// A handle at an index of the stack is one of TASK_CLASS: callers have checked that.
#ifndef LUNETTE_SCRIPT_TASK_H
#define LUNETTE_SCRIPT_TASK_H

#include "script/co.h"

#define TASK_CLASS "lunette.handle" // of which lua_task.c makes a class

struct task;

// Somebody who hears of the end, once. Embedded in what waits: its memory must live until it is told, or
// taken out of the list. Zeroed but for ended, it is in none.
struct task_listener {
    void (*ended)(struct task_listener *l, struct task *t); // it is out of the list by then
    struct task *task;                                      // NULL: in no list
    struct task_listener *next, **link;
};
void task_listen(struct task_listener *l, struct task *t); // t has not ended
void task_unlisten(struct task_listener *l);               // nothing for one in no list

// Makes a task of the function and its arguments, the top n values, and leaves the handle instead. It
// begins in a deferred call, so that whoever makes it can listen before it ends. Its records in the log
// have the id that those of its maker have now. Raises without memory.
struct task *task_new(lua_State *L, int n);
// A task that was cancelled before it began does not begin. Only the first reason counts; its text is kept
// by the caller for as long as the handle lives.
void task_cancel(struct task *t, const char *reason);
// Out of the list, and its task is cancelled. Nothing for one in no list.
void task_give_up(struct task_listener *l, const char *reason);

struct co *task_co(const struct task *t); // NULL: it has ended
bool task_failed(const struct task *t);   // it has ended, and an error is its outcome
// Pushes what the function of the handle at idx, which has ended, returned: how many values; or raises
// what it raised.
int task_push_outcome(lua_State *L, int idx);
// Pushes the first value that it returned, or nil. It has not failed.
void task_push_first(lua_State *L, int idx);

#endif
