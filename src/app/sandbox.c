// The sandbox: see the header. Landlock is spoken to by number: the C library has no functions for
// it, and linux/landlock.h may be older than the kernel.
#include "app/sandbox.h"

#include "app/privs.h"
#include "app/sandbox_calls.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) // ABI 3
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15) // ABI 5
#endif
#ifndef LANDLOCK_SCOPE_SIGNAL
#define LANDLOCK_SCOPE_SIGNAL (1ULL << 1) // ABI 6
#endif

// struct landlock_ruleset_attr as ABI 6 has it. An older kernel takes it as long as what it does
// not know is 0.
struct ruleset {
    uint64_t fs, net, scoped;
};

// What libraries need -----------------------------------------------------------------------------

// Readable for every worker, where they are there.
static const char *const system_paths[] = {
    // shared libraries, C modules of Lua among them, character sets, locales, OpenSSL's engines
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/usr/share/locale",
    "/usr/share/i18n",
    "/etc/locale.alias",
    // Lua modules
    "/usr/share/lua",
    "/usr/local/share/lua",
    // names of users, hosts and services (NSS), and where to ask for them
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/resolv.conf",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/networks",
    // certificates that are trusted, but no private keys
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/openssl.cnf",
    "/etc/ca-certificates",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/openssl.cnf",
    "/etc/pki/ca-trust/extracted",
    "/etc/crypto-policies",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    // the time, types by name, types by content
    "/etc/localtime",
    "/etc/timezone",
    "/usr/share/zoneinfo",
    "/etc/mime.types",
    "/etc/magic",
    "/etc/magic.mime",
    "/etc/magic.mgc",
    "/usr/share/misc",
    "/usr/share/file",
    // randomness
    "/dev/random",
    "/dev/urandom",
#ifdef __SANITIZE_ADDRESS__
    "/proc", // the search for leaks reads maps and threads there,
    "/proc/self/exe",
    "/usr/lib/debug", // and a report names lines
#endif
    NULL,
};

static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", NULL};

// A process may look at its own figures.
static const char *const own_figures[] = {"/proc/self/stat", "/proc/self/statm",
                                          "/proc/self/status", NULL};

// The dynamic linkers, which the kernel executes on behalf of nearly every program.
static const char *const linkers[] = {
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-linux-armhf.so.3",
    "/lib/ld-linux.so.2",
    "/lib64/ld64.so.2",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-linux-riscv64-lp64d.so.1",
    "/lib/ld-musl-aarch64.so.1",
    NULL,
};

// A missing one is no mistake.
static void add_where_there(struct reach *r, const char *const *paths, unsigned rights)
{
    for (; *paths; paths++)
        reach_add(r, *paths, rights);
}

static bool add_named(struct reach *r, const char *setting, const char *const *paths,
                      unsigned rights, char why[static SANDBOX_WHY_MAX])
{
    for (; paths && *paths; paths++) {
        int rc = reach_add(r, *paths, rights);
        if (rc == 0)
            continue;
        snprintf(why, SANDBOX_WHY_MAX, "sandbox.%s of config.lua names %.300s: %s", setting, *paths,
                 strerror(-rc));
        return false;
    }
    return true;
}

// The site's own folders may be links to elsewhere: whoever made them named that place.
static void add_site(struct reach *r, const char *site)
{
    static const char *const parts[] = {"", "/scripts", "/site", "/lua_modules"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (snprintf(path, sizeof path, "%s%s", site, parts[i]) < (int)sizeof path)
            reach_add(r, path, REACH_READ);
}

bool sandbox_list(const struct sandbox_options *o, struct reach *reach,
                  char why[static SANDBOX_WHY_MAX])
{
    add_where_there(reach, system_paths, REACH_READ);
    add_where_there(reach, own_figures, REACH_READ);
    add_where_there(reach, devices, REACH_READ | REACH_WRITE);
    add_site(reach, o->site);
    reach_add(reach, o->data, REACH_READ | REACH_WRITE);
    reach_add(reach, o->temp, REACH_READ | REACH_WRITE);
#ifdef COVERAGE // the folder of the counters of a build that counts what runs
    reach_add(reach, COVERAGE, REACH_READ | REACH_WRITE);
#endif
    if (o->library)
        reach_add(reach, o->library, REACH_READ);
    if (o->exec && *o->exec)
        add_where_there(reach, linkers, REACH_READ | REACH_EXEC);
    return add_named(reach, "read", o->read, REACH_READ, why) &&
           add_named(reach, "write", o->write, REACH_READ | REACH_WRITE, why) &&
           add_named(reach, "exec", o->exec, REACH_READ | REACH_EXEC, why);
}

// Landlock ----------------------------------------------------------------------------------------

uint64_t sandbox_known_access(int abi)
{
    uint64_t known = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1; // ABI 1
    if (abi >= 2)
        known |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        known |= LANDLOCK_ACCESS_FS_TRUNCATE;
    if (abi >= 5)
        known |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
    return known;
}

uint64_t sandbox_access(unsigned rights, bool folder, int abi)
{
    static const uint64_t of_files = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                     LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;
    // No devices are made, and what is driven by ioctl is not ours.
    static const uint64_t writing = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE |
                                    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                                    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                                    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                                    LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;
    uint64_t access = 0;
    if (rights & REACH_READ)
        access |= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
    if (rights & REACH_WRITE)
        access |= writing;
    if (rights & REACH_EXEC)
        access |= LANDLOCK_ACCESS_FS_EXECUTE;
    return access & (folder ? ~UINT64_C(0) : of_files) & sandbox_known_access(abi);
}

// 0 or −errno. Descriptors beneath /proc stay open: the kernel forgets the inodes there that nobody
// holds, and with them their rules.
static int add_rule(int ruleset, const struct reach_path *p, int abi)
{
    struct stat st;
    struct landlock_path_beneath_attr rule = {0};
    int fd = open(p->path, O_PATH | O_CLOEXEC), rc = 0;
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) != 0)
        rc = -errno;
    rule.parent_fd = fd;
    rule.allowed_access = sandbox_access(p->rights, rc == 0 && S_ISDIR(st.st_mode), abi);
    if (rc == 0 &&
        syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        rc = -errno;
    if (rc < 0 || strncmp(p->path, "/proc/", 6) != 0)
        close(fd);
    return rc;
}

static bool fail(const char *what, int err, char why[static SANDBOX_WHY_MAX])
{
    snprintf(why, SANDBOX_WHY_MAX, "the sandbox: %.300s: %s", what, strerror(err));
    return false;
}

static bool restrict_files(const struct reach *reach, int abi, char why[static SANDBOX_WHY_MAX])
{
    struct ruleset wanted = {.fs = sandbox_known_access(abi),
                             .scoped = abi >= 6 ? LANDLOCK_SCOPE_SIGNAL : 0};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &wanted, sizeof wanted, 0);
    if (ruleset < 0)
        return fail("Landlock's rules", errno, why);
    int rc = 0;
    for (size_t i = 0; i < reach->n && rc == 0; i++) {
        rc = add_rule(ruleset, &reach->item[i], abi);
        if (rc < 0)
            fail(reach->item[i].path, -rc, why);
    }
    if (rc == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) {
        rc = -errno;
        fail("Landlock", -rc, why);
    }
    close(ruleset);
    return rc == 0;
}

// The whole ---------------------------------------------------------------------------------------

struct sandbox_kernel sandbox_kernel(void)
{
    const uint32_t refuse = SECCOMP_RET_ERRNO;
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return (struct sandbox_kernel){
        .landlock = abi > 0 ? (int)abi : 0,
        .seccomp = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &refuse) == 0,
    };
}

const char *sandbox_describe(bool wanted, struct sandbox_kernel k,
                             char dst[static SANDBOX_TEXT_MAX])
{
    if (!wanted)
        snprintf(dst, SANDBOX_TEXT_MAX, "off (sandbox = false)");
    else if (k.landlock && k.seccomp)
        snprintf(dst, SANDBOX_TEXT_MAX, "on (Landlock ABI %d, seccomp)", k.landlock);
    else if (k.landlock)
        snprintf(dst, SANDBOX_TEXT_MAX, "partly (Landlock ABI %d; this kernel has no seccomp)",
                 k.landlock);
    else if (k.seccomp)
        snprintf(dst, SANDBOX_TEXT_MAX, "partly (seccomp; this kernel has no Landlock)");
    else
        snprintf(dst, SANDBOX_TEXT_MAX, "off (this kernel has neither Landlock nor seccomp)");
    return dst;
}

bool sandbox_enter(const struct reach *reach, bool may_exec, struct sandbox_kernel k,
                   char why[static SANDBOX_WHY_MAX])
{
    static_assert((int)PRIVS_WHY_MAX <= (int)SANDBOX_WHY_MAX, "one sentence for the other");
    if (!privs_drop_capabilities(why))
        return false;
    // A core would put on the disk what only memory should hold: keys, and what visitors sent.
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (k.landlock && !restrict_files(reach, k.landlock, why))
        return false;
    int rc = k.seccomp ? sandbox_refuse_calls(may_exec) : 0;
    return rc == 0 || fail("seccomp", -rc, why);
}
