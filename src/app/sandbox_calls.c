// The calls that are refused: see the header. libseccomp makes the filter: a binary tree over the
// numbers. The kernel looks in a bitmap before it runs the filter at all, where a call is allowed
// whatever its arguments are, so that only clone, ioctl, kill and their like pay for it.
#include "app/sandbox_calls.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <unistd.h>

// Refused whatever their arguments are.
static const int refused[] = {
// Other processes: to look into them, to change them, to take their descriptors.
#ifndef __SANITIZE_ADDRESS__ // whose search for leaks stops the other threads with ptrace
    SCMP_SYS(ptrace),
#endif
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(kcmp),
    // What is mounted where, and another root: a new view of the file system.
    SCMP_SYS(mount),
    SCMP_SYS(umount),
    SCMP_SYS(umount2),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(open_tree),
    SCMP_SYS(move_mount),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(fspick),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(quotactl),
    SCMP_SYS(quotactl_fd),
    // Files by number, past every folder that stands in the way; news of other people's files.
    SCMP_SYS(name_to_handle_at),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(fanotify_init),
    // Namespaces: clone's flags for them are below.
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    // Large and often attacked parts of the kernel. io_uring also makes calls that no filter sees.
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(keyctl), // the kernel's key rings
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    // The kernel itself.
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot),
    SCMP_SYS(syslog),
    SCMP_SYS(acct),
    SCMP_SYS(lookup_dcookie),
    // The machine: ports, descriptor tables of the processor, the clock, its names.
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(modify_ldt),
    SCMP_SYS(vm86),
    SCMP_SYS(vm86old),
    SCMP_SYS(uselib),
    SCMP_SYS(vhangup),
    SCMP_SYS(settimeofday),
    SCMP_SYS(stime),
    SCMP_SYS(clock_settime),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
};

// Programs. What a worker may run is said in sandbox.exec.
static const int programs[] = {SCMP_SYS(execve), SCMP_SYS(execveat)};

// Signals that do not name a process by its number, or a thread without its process.
static const int signalling[] = {SCMP_SYS(tkill), SCMP_SYS(pidfd_send_signal)};

// Signals whose first argument is the process.
static const int signals_to[] = {SCMP_SYS(kill), SCMP_SYS(tgkill), SCMP_SYS(rt_sigqueueinfo),
                                 SCMP_SYS(rt_tgsigqueueinfo)};

// What processes may use, and when they run: their own alone, which is 0 in the argument.
static const struct {
    int call;
    unsigned argument;
} shares_of[] = {{SCMP_SYS(prlimit64), 0},      {SCMP_SYS(setpriority), 1},
                 {SCMP_SYS(ioprio_set), 1},     {SCMP_SYS(sched_setattr), 0},
                 {SCMP_SYS(sched_setparam), 0}, {SCMP_SYS(sched_setscheduler), 0},
                 {SCMP_SYS(migrate_pages), 0},  {SCMP_SYS(move_pages), 0}};

static const unsigned namespaces[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                      CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};

// Keys typed into the terminal that the server was started from: its shell would run them.
static const unsigned terminal[] = {TIOCSTI, TIOCLINUX};

#ifdef __s390__
enum { CLONE_FLAGS = 1 };
#else
enum { CLONE_FLAGS = 0 };
#endif

static const uint32_t REFUSE = SCMP_ACT_ERRNO(EPERM);
enum { WORD = 0xffffffff }; // an argument's lower half, which is all the kernel takes of an int

#define EACH(i, list) (size_t i = 0; i < sizeof(list) / sizeof *(list); i++)

// All of these return 0, or −errno of the first rule that could not be added. libseccomp passes over
// calls that this machine does not have.

static int refuse_list(scmp_filter_ctx filter, const int *calls, size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = seccomp_rule_add(filter, REFUSE, calls[i], 0);
    return rc;
}

static int refuse_namespaces(scmp_filter_ctx filter)
{
    int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    for
        EACH(i, namespaces)
    if (rc == 0)
        rc = seccomp_rule_add(
            filter, REFUSE, SCMP_SYS(clone), 1,
            SCMP_CMP(CLONE_FLAGS, SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]));
    return rc;
}

static int refuse_terminal(scmp_filter_ctx filter)
{
    int rc = 0;
    for
        EACH(i, terminal)
    if (rc == 0)
        rc = seccomp_rule_add(filter, REFUSE, SCMP_SYS(ioctl), 1,
                              SCMP_A1(SCMP_CMP_MASKED_EQ, WORD, terminal[i]));
    return rc;
}

// Other ways for this process to be run; asking which it is stays possible.
static int refuse_personality(scmp_filter_ctx filter)
{
    return seccomp_rule_add(filter, REFUSE, SCMP_SYS(personality), 1, SCMP_A0(SCMP_CMP_NE, WORD));
}

// Signals to anybody else: the master, the other workers, the whole group (0 and −1).
static int refuse_signals(scmp_filter_ctx filter)
{
    int rc = refuse_list(filter, signalling, sizeof signalling / sizeof *signalling);
    for
        EACH(i, signals_to)
    if (rc == 0)
        rc = seccomp_rule_add(filter, REFUSE, signals_to[i], 1,
                              SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid()));
    return rc;
}

// Limits and priorities of anybody else: no processor time for the master would be its end.
static int refuse_shares(scmp_filter_ctx filter)
{
    int rc = 0;
    for
        EACH(i, shares_of)
    if (rc == 0)
        rc = seccomp_rule_add(filter, REFUSE, shares_of[i].call, 1,
                              (struct scmp_arg_cmp){shares_of[i].argument, SCMP_CMP_GT, 0, 0});
    return rc;
}

int sandbox_refuse_calls(bool may_exec)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return -ENOMEM;
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, REFUSE);
    // errno as it came; a tree of comparisons, not a list; and no dearer memory accesses for it
    // on kernels before 5.16, since no code that somebody else compiled runs in a worker.
    if (rc == 0)
        rc = seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
    if (rc == 0)
        rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1); // before 4.17 there is none
    if (rc == 0)
        rc = refuse_list(filter, refused, sizeof refused / sizeof *refused);
    if (rc == 0)
        rc = refuse_namespaces(filter);
    if (rc == 0)
        rc = refuse_terminal(filter);
    if (rc == 0)
        rc = refuse_personality(filter);
    if (rc == 0)
        rc = refuse_shares(filter);
    if (rc == 0 && !may_exec)
        rc = refuse_list(filter, programs, sizeof programs / sizeof *programs);
    if (rc == 0 && !may_exec)
        rc = refuse_signals(filter);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc;
}
