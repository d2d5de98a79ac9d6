// The control socket: where `lunette status`, `reload` and `stop` reach a running server.
//
// A unix socket that the master alone has, mode 0600. A peer says one word and a line feed; lines
// come back, then "ok" or "failed" as the last one, and the end. Only root and the user of the
// server are heard, but no process that descends from this one, or from a master that it has taken
// over from: a worker, or what its scripts start. kin.h says how that is known, and what it cannot
// tell; and before Linux 6.5 nothing tells a process that has ended from one with its number since.
// Nothing here waits: a peer that stalls loses its place after CONTROL_MS, but one whose answer is yet
// to come may wait for that as long as it likes.
#ifndef LUNETTE_APP_CONTROL_H
#define LUNETTE_APP_CONTROL_H

#include "app/files.h"

#include <stdint.h>

enum {
    CONTROL_CLIENTS = 16,          // at a time; one more is told so
    CONTROL_QUEUE = 128,           // that wait to be let in, or told so
    CONTROL_WORD_MAX = 32,         // bytes of a word
    CONTROL_ANSWER_MAX = 64 << 10, // bytes of an answer
    CONTROL_MS = 10 * 1000,        // for saying the word, and for taking the answer
};

// Binds and listens. The socket comes to its place with owner (NULL: ours already) and mode 0600,
// or not at all; one that nobody listens on any more makes room for it. Never through a link in a
// folder that another user may write. The descriptor, or −errno: −EADDRINUSE when another server
// answers there, −EEXIST when something else than a socket is there, −ELOOP for such a link.
int control_bind(const char *path, const struct identity *owner, struct file_id *id);
// The caller's side of it: a connected socket, or −errno: −ELOOP where a link is at path, −EAGAIN
// where the queue is full.
int control_connect(const char *path);

struct control;
struct control_client;
// A word has come. It is answered with control_say and control_end, at once or, after control_wait,
// later.
typedef void control_word_fn(void *arg, struct control_client *from, const char *word);

// listener is the new one's to close from then on. NULL with errno.
struct control *control_new(int listener, control_word_fn *fn, void *arg);
void control_free(struct control *c); // answers that wait end as they are; NULL is harmless
// In a process that was just forked: closes what it has inherited.
void control_leave(const struct control *c);
int control_listener(const struct control *c);
// Another listener in place of the one it has, which is closed; whoever is being heard stays. 0 or
// −errno.
int control_listen(struct control *c, int listener);
// Descendants of that process are not heard either; 0: there is none, but elders (kin.h), which are
// known without being named.
void control_shun(struct control *c, pid_t other);

// Readable when control_turn has something to do; due then too, in milliseconds of CLOCK_MONOTONIC.
int control_fd(const struct control *c);
void control_turn(struct control *c);
int64_t control_due(const struct control *c); // INT64_MAX: nothing is

// Appends a line, which may be several. What is beyond CONTROL_ANSWER_MAX is lost.
void control_say(struct control_client *to, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void control_end(struct control_client *to, bool ok);

// What was said goes out now, the rest later: with control_end_waiting, for all who wait for a
// number up to `number`, with text as their last line but one (NULL: none).
void control_wait(struct control_client *who, unsigned number);
void control_end_waiting(struct control *c, unsigned number, bool ok, const char *text);

// All of an answer but "failed", where another process goes on in place of this one: it is that one
// that is to be told the word. The two ends may be of two versions: the text stays as it is.
#define CONTROL_REPLACED "the program was replaced meanwhile"
// Another process listens now. Who has no answer yet, or has not even said its word, gets that one.
void control_send_on(struct control *c);

#endif
