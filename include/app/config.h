// The configuration of a server: defaults, then scripts/config.lua, then the command line.
//
// Layers below have options structs of their own, which worker.c fills from this one. Settings
// whose function this version does not have are checked by the schema (src/lua/lunette/config.lua)
// and not kept.
#ifndef LUNETTE_APP_CONFIG_H
#define LUNETTE_APP_CONFIG_H

#include "app/cli.h"
#include "app/privs.h"
#include "base/arena.h"
#include "net/addr.h"
#include "net/cidr.h"

enum {
    CONFIG_WHY_MAX = 5000,
    CONFIG_SETTINGS_MAX = 1 << 20,
    CONFIG_SETTINGS = 48,
    CONFIG_SIDES = 2
};

// A list of strings with a NULL at its end, which n does not count.
struct config_list {
    const char *const *item;
    unsigned n;
};

// The secrets that sign, newest first: any bytes, CONFIG_SECRET_MIN of them at least.
enum { CONFIG_SECRET_MIN = 16 };
struct config_secrets {
    const struct str *item;
    unsigned n;
};

// Where metrics or health are asked for.
struct config_side {
    const char *text; // as it was set; NULL: nowhere
    const char *path; // on the site's own listeners; NULL: not there
    int listen;       // the index in config.listen of an address of its own; −1: none
};

struct config {
    const char *site; // absolute path of the site's folder, links resolved
    bool dev, quiet;
    bool solo;                 // for a command that loads the site and listens nowhere
    const char *pid_file;      // NULL: none
    bool as_root;              // started as root: become is whom to become, but with
    bool stays_root;           // it stays root: --dev or solo, where the site is root's own
    struct identity become;    // who the workers are; filled in any case
    const struct addr *listen; // the site's, listen_addrs; then side_addrs, for metrics and health
    unsigned listen_addrs, side_addrs;
    bool listen_given;          // the site's addresses are the command line's
    const struct cidr *trusted; // trusted_proxies.n of them

    // The settings of API.md, by name. Sizes in bytes, durations in milliseconds where not said
    // otherwise.
    struct config_list listen_texts;
    uint32_t workers; // at least 1 after config_load
    const char *user, *group;
    struct {
        uint64_t body_bytes, body_memory, lua_memory, request_memory, linger_bytes;
        uint32_t header_bytes, headers, uri_bytes, form_fields, part_count, connections;
        uint32_t connections_per_ip; // 0: no limit
        uint32_t generations;
    } limits;
    struct {
        uint32_t header, body, idle, send, handler, cpu, stop, linger;
    } timeouts;
    struct {
        uint64_t max_age; // seconds
        struct config_list index;
        bool listing;
    } static_files;
    uint64_t cache_bytes;
    struct {
        uint32_t level;
        uint64_t min_bytes;
        struct config_list types; // item NULL: the built-in list
    } gzip;
    struct {
        const char *access, *error; // absolute paths, "stdout", "stderr" or "off"
        const char *format;         // of the access log: "combined" or "json"
        const char *level;
    } log;
    struct config_side metrics, health;
    struct config_list trusted_proxies;
    struct {
        bool on;
        struct config_list read, write, exec; // absolute paths of what is there; item may be NULL
    } sandbox;
    const char *data; // absolute path
    const char *temp; // absolute path, or NULL: data, where it can be written, else one of our own
    const char *control;           // absolute path of the control socket; NULL: app/control_place.h
    struct str settings;           // site = {…}, as script/plain.h encodes it; n 0: none
    struct config_secrets secrets; // with dev never empty
    bool secret_is_made;           // by dev, as the settings have none

    const char *path;     // of config.lua, which need not be there
    const char *file;     // the same as messages name it
    struct str evaluated; // its settings as script/lua_config.h writes them; n 0: none
    // Only root can have written it, and made it this site's: it may name users and places as root
    // does.
    bool file_is_roots;
    uint32_t lines[CONFIG_SETTINGS]; // where each was made: config_setting.c
    struct arena arena;              // of everything above
};

// Fills *out for `lunette serve`. config.lua is evaluated in a child with the rights the site will
// have. False, with whole sentences in why (no "lunette: " in front), for every mistake;
// config_fini is due in any case.
bool config_load(const struct cli *cli, struct config *out, char why[static CONFIG_WHY_MAX]);
void config_fini(struct config *c);
bool config_logs_json(const struct config *c); // log.format

// For a server that runs: start is what config_load gave, and must outlive what is made here.
struct buf;
// Evaluates config.lua again, with the rights that this process has: its settings, for config_renew
// in this process and others. settings: a buf with room for 1 MiB.
bool config_read_again(const struct config *start, struct buf *settings,
                       char why[static CONFIG_WHY_MAX]);
// Fills *out from such settings, all of whose bytes it copies. What cannot change while the server
// runs is as at the start. config_fini is due in any case.
bool config_renew(const struct config *start, struct str settings, struct config *out,
                  char why[static CONFIG_WHY_MAX]);
// Calls tell for each setting that is different from the start and cannot change.
void config_each_fixed_change(const struct config *start, struct str settings,
                              void (*tell)(void *arg, const char *setting), void *arg);

// Where a setting was made, for messages: "scripts/config.lua:4", the file alone where the line is
// not known, or "the command line". setting is a name of API.md.
const char *config_place(const struct config *c, const char *setting, char dst[static 128]);

// The settings that are numbers, in the order in which they are declared: false when there is no
// i-th one. origin says where it was set: "scripts/config.lua:4", the file alone, "--workers", or
// "default".
struct config_number {
    const char *name;
    uint64_t value; // bytes, milliseconds of timeouts.*, seconds of static.max_age, or a count
    char origin[128];
};
bool config_number(const struct config *c, unsigned i, struct config_number *out);

#endif
