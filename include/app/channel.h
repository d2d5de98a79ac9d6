// The line between the master and one worker: messages of a few bytes, with descriptors, one way, and
// words of one length the other way.
//
// A pair of sockets that keeps messages apart, for each worker one of its own: what comes in on it
// was said by that worker and nobody else. The master never waits for a worker: what one that is
// stuck has not read is kept for it by the kernel.
#ifndef LUNETTE_APP_CHANNEL_H
#define LUNETTE_APP_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHANNEL_FDS_MAX = 4, CHANNEL_TEXT = 256, CHANNEL_SPARES = 3 };

enum channel_kind {
    CHANNEL_LOGS, // fds: the error log and the access log, to go on with; −1: that one stays
    // A reload, which number names. fds: the snapshot of the scripts, the settings as bytes of a file, and with
    // --dev where to write why they cannot be loaded (app/report.h)
    CHANNEL_LOAD,
    CHANNEL_COMMIT,  // what was loaded takes over
    CHANNEL_ABORT,   // it is not wanted any more
    CHANNEL_CURRENT, // to WORKER_ASKS: what is saved is loaded, or cannot be
    CHANNEL_DUTY,    // number: enum timers_share, what of the background work is the receiver's
    CHANNEL_LEAVE,   // another server has taken over: end once what is open is over
    // With --dev. Something of site/ was saved, for the number-th time; text: a path beneath it, or ""
    CHANNEL_SAVED,
    CHANNEL_FAILED, // a reload came to nothing. fds: why, as app/live.h reports it
    CHANNEL_MENDED, // what is saved by now is what runs
};

struct channel_message {
    enum channel_kind kind;
    uint32_t number;
    int fds[CHANNEL_FDS_MAX]; // −1: none; the receiver's from then on, the sender keeps its own
    char text[CHANNEL_TEXT];
};

// The master's end in ends[0], the worker's in ends[1]; both non-blocking and close-on-exec. 0 or
// −errno.
int channel_open(int ends[2]);
// 0 or −errno.
int channel_send(int end, const struct channel_message *m);
// 1 with a message, 0 when there is none now, −errno; −EPIPE when the other end is gone. CHANNEL_LOST: with a
// message that had descriptors for which this process has no room (RLIMIT_NOFILE): all are −1.
enum { CHANNEL_LOST = 2 };
int channel_receive(int end, struct channel_message *m);

// Descriptors that a worker keeps, to let go of them when some come with a message: so that one which has
// as many as it may still gets them. Another thread may be quicker: then they are lost all the same.
struct channel_spares {
    int fds[CHANNEL_SPARES]; // −1: none
};
#define CHANNEL_NO_SPARES ((struct channel_spares){.fds = {-1, -1, -1}})
// Makes those that are missing. False: not all can be made now.
bool channel_keep_spares(int end, struct channel_spares *s);
// Before channel_receive: lets go of as many as the next message has.
void channel_make_room(int end, struct channel_spares *s);
void channel_close_spares(struct channel_spares *s);

// From the worker, in one piece. 0 or −errno; −EAGAIN: the master has too much to hear already.
int channel_say(int end, const void *word, size_t n);
// 1 with a word, 0 when there is none now, −errno; −EPIPE when the worker is gone, −EPROTO for a word
// that has not n bytes. Descriptors that come with it are dropped.
int channel_hear(int end, void *word, size_t n);

#endif
