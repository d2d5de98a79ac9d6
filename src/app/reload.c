// Reloads, the master's side: see the drawing in master_inside.h.
#include "app/reload_inside.h"

#include "app/channel.h"
#include "app/untold.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    CHECK_MS = 60 * 1000, // that a checker gets: config.lua alone may take 50 s
    LOAD_MS = 30 * 1000,  // that all workers get
};

// What is in force at the start, and at the end ----------------------------------------------------

bool reload_first(struct master *m, char why[static SNAPSHOT_WHY_MAX])
{
    if (m->config->dev)
        saves_watch(m); // before they are read: nothing is missed
    m->reload.again_at = INT64_MAX;
    m->told.scripts = reload_read_scripts(m->config, why);
    return m->told.scripts >= 0;
}

void reload_give_back(struct master *m)
{
    reload_close(&m->told);
    reload_close(&m->reload.new);
    saves_give_back(m);
}

// CHECKING -----------------------------------------------------------------------------------------

static void begin(struct master *m)
{
    struct reload *r = &m->reload;
    char why[SNAPSHOT_WHY_MAX];
    r->new.number++;
    r->again = r->passed = false;
    r->began = master_now();
    r->new.scripts = reload_read_scripts(m->config, why);
    if (r->saved && r->new.scripts >= 0 && reload_changes_nothing(m)) {
        reload_close(&r->new);
        r->new.number--;
        saves_mended(m);
        return;
    }
    notify_tell(&m->notify, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reloading (%u)",
                (long long)r->began * 1000, r->new.number);
    saves_close_report(r); // of the last one
    if (r->new.scripts < 0) {
        reload_fail(m, why);
        return;
    }
    const char *lost = reload_lost_entry(m);
    if (lost) {
        reload_fail(m, lost);
        return;
    }
    if (m->config->dev)
        saves_open_report(r);
    int rc = reload_start_checker(m);
    if (rc < 0) {
        reload_fail(m, strerror(-rc));
        return;
    }
    r->stage = RELOAD_CHECKING;
    r->deadline = r->began + CHECK_MS;
}

unsigned reload_ask(struct master *m)
{
    if (m->state > SERVING)
        return 0;
    m->reload.again = true; // begun by reload_on_turn
    m->reload.saved = false;
    return m->reload.new.number + 1;
}

void reload_on_saved(struct master *m)
{
    struct reload *r = &m->reload;
    if (m->state <= SERVING && saves_found(m)) // who serves has not opened that folder
        reload_ask(m);
    saves_look(m);
    if (!m->watch || !watch_changed(m->watch, NULL, NULL) || m->state > SERVING)
        return;
    r->saved = !r->again || r->saved;
    r->again = true;
}

static void forget_checker(struct reload *r)
{
    if (r->line >= 0)
        close(r->line);
    r->line = -1;
}

// It says one thing.
void reload_on_checker_word(struct master *m)
{
    struct reload *r = &m->reload;
    struct worker_word word;
    int rc = r->line < 0 ? 0 : master_hear(r->line, &word);
    if (rc != 0)
        forget_checker(r);
    if (rc <= 0 || r->stage != RELOAD_CHECKING || word.number != r->new.number)
        return;
    if (word.says == WORKER_LOADED)
        r->passed = true;
    else
        reload_fail(m, word.says == WORKER_REFUSES ? word.text : "its Lua does not come back");
}

bool reload_on_end(struct master *m, pid_t pid)
{
    struct reload *r = &m->reload;
    if (pid != r->checker)
        return false;
    reload_on_checker_word(m); // its last
    forget_checker(r);
    r->checker = 0;
    cache_note_death(m->cache, m->config->workers);
    if (r->stage != RELOAD_CHECKING)
        return true;
    if (r->passed) {
        r->stage = RELOAD_WAITING;
        r->deadline = master_now() + LOAD_MS;
    } else {
        reload_fail(m, "the process that tried the new scripts ended without a word");
    }
    return true;
}

// WAITING and LOADING ------------------------------------------------------------------------------

// Nobody can change them any more, nor cut them off below who reads them: who tried them could.
static bool seal(int settings)
{
    return fcntl(settings, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) ==
           0;
}

static void load(struct master *m)
{
    struct reload *r = &m->reload;
    if (!seal(r->new.settings)) {
        reload_fail(m, "who tried the new settings can still change them");
        return;
    }
    for (uint32_t i = 0; i < m->config->workers; i++)
        m->slots[i].loaded = false;
    r->stage = RELOAD_LOADING;
    reload_tell_workers(m, CHANNEL_LOAD, &r->new);
}

static bool all_loaded(const struct master *m)
{
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (!m->slots[i].loaded)
            return false;
    return true;
}

void reload_on_word(struct master *m, struct slot *s, const struct worker_word *word)
{
    struct reload *r = &m->reload;
    if (word->says == WORKER_ASKS && !m->config->dev)
        return; // no worker of ours asks
    if (word->says == WORKER_ASKS) {
        untold_ask(s);
        reload_on_saved(m); // what was saved before the request came
        return;
    }
    if (word->says == WORKER_MISSED) {
        untold_missed(m, s, word->number);
        return;
    }
    if (r->stage != RELOAD_LOADING || word->number != r->new.number)
        return;
    if (word->says == WORKER_REFUSES) {
        reload_fail(m, word->text);
        return;
    }
    if (word->says != WORKER_LOADED)
        return;
    s->loaded = true;
    if (all_loaded(m))
        reload_commit(m);
}

void reload_on_worker_end(struct master *m)
{
    if (m->reload.stage == RELOAD_LOADING)
        reload_fail(m, "a worker ended while it loaded them");
}

// Time ---------------------------------------------------------------------------------------------

void reload_on_turn(struct master *m)
{
    struct reload *r = &m->reload;
    if (r->stage == RELOAD_WAITING && master_all_ready(m))
        load(m);
    if (r->stage != RELOAD_NONE && master_now() >= r->deadline)
        reload_fail(m, r->stage == RELOAD_CHECKING ? "they took longer than 60 s to load"
                                                   : "the workers took longer than 30 s");
    untold_on_turn(m); // before another begins: who waits for the end of the last one hears of it
    if (r->stage == RELOAD_NONE && r->again && !r->checker && m->state == SERVING &&
        !m->tend.damaged && m->replace.stage == REPLACE_NONE && rooms_settled(m))
        begin(m);
    untold_on_turn(m); // and of one that came to its end at once
}

int64_t reload_due(const struct master *m)
{
    const struct reload *r = &m->reload;
    int64_t at = r->stage == RELOAD_NONE ? INT64_MAX : r->deadline;
    return untold_due(m) < at ? untold_due(m) : at;
}

void reload_stop(struct master *m)
{
    m->reload.again = false;
    if (m->reload.stage != RELOAD_NONE)
        reload_fail(m, "the server stops");
    control_end_waiting(m->control, m->reload.new.number + 1, false, "the server stops");
}
