// The file cache: what it believes and for how long, what it holds, and that what it lends is whole.
#include "content/filecache.h"
#include "http/fields.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

enum { SMALL = 1000, LARGE = FILECACHE_SMALL + 1 };

static char top[] = "/tmp/lunette-cache-XXXXXX";
static struct file_root *root;
static struct filecache *cache;
static int64_t now; // the clock; so far ahead that every file has long been left alone

// Runs before each of the next reads, in place of somebody else who writes just then.
static void (*meddle)(const char *name);
static int meddle_times;

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
    if (meddle_times > 0) {
        meddle_times--;
        meddle("f.txt");
    }
    return syscall(SYS_pread64, fd, p, n, at);
}

static int enter(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(top));
    return chdir(top) | chmod(".", 0755) | mkdir("site", 0755) | chdir("site") |
           file_root_open(".", &root);
}

static int leave(void **state)
{
    (void)state;
    char command[64];
    file_root_close(root);
    snprintf(command, sizeof command, "rm -rf %s", top);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static int setup(void **state)
{
    (void)state;
    static const struct filecache_options options = {
        .files = 3, .bytes = 64 * 1024, .descriptors = 2};
    now = time(NULL) + 1000;
    cache = filecache_new(&options);
    return cache ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    filecache_free(cache);
    return system("rm -rf ../site/* ../out*");
}

static void make_cache(const struct filecache_options *o)
{
    filecache_free(cache);
    cache = filecache_new(o);
    assert_non_null(cache);
}

// size times the same letter, written in place.
static void write_file(const char *path, char letter, size_t size)
{
    static char bytes[2 * LARGE];
    int fd = open(path, O_CREAT | O_WRONLY, 0644);
    assert_true(fd >= 0);
    memset(bytes, letter, size);
    assert_int_equal(write(fd, bytes, size), size);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

// The path is asked for as it is on the wire; the file's own name is without its slash.
static const struct cached_file *borrow(const char *path)
{
    const struct cached_file *f = NULL;
    assert_int_equal(filecache_open(cache, root, str_z(path), now, &f), 0);
    return f;
}

static int refused(const char *path)
{
    const struct cached_file *f;
    int err = filecache_open(cache, root, str_z(path), now, &f);
    if (err == 0)
        filecache_close(f);
    return err;
}

static char byte_of(const struct cached_file *f, size_t i)
{
    char c = '\0';
    if (f->in_memory)
        return f->bytes.p[i];
    assert_int_equal(pread(f->fd, &c, 1, (off_t)i), 1);
    return c;
}

// Everything in f is of the file as it is now: size times the letter.
static void expect_whole(const struct cached_file *f, const char *path, char letter, size_t size)
{
    struct stat st;
    char etag[64];
    assert_int_equal(f->in_memory ? stat(path + 1, &st) : fstat(f->fd, &st), 0);
    snprintf(etag, sizeof etag, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"", (uint64_t)st.st_ino,
             (uint64_t)st.st_size,
             (uint64_t)st.st_ctim.tv_sec * 1000000000u + (uint64_t)st.st_ctim.tv_nsec);
    assert_true(str_eq(f->etag, str_z(etag)));
    assert_int_equal(f->size, size);
    assert_int_equal(f->in_memory, size <= FILECACHE_SMALL);
    if (f->in_memory)
        assert_int_equal(f->bytes.n, size);
    assert_int_equal(f->fd >= 0, !f->in_memory);
    assert_int_equal(byte_of(f, 0), letter);
    assert_int_equal(byte_of(f, size - 1), letter);
}

static void expect(const char *path, char letter, size_t size)
{
    const struct cached_file *f = borrow(path);
    expect_whole(f, path, letter, size);
    filecache_close(f);
}

// Whether a second call within this second gives the very same thing.
static bool is_kept(const char *path)
{
    const struct cached_file *a = borrow(path), *b = borrow(path);
    bool same = a == b;
    filecache_close(a);
    filecache_close(b);
    return same;
}

static int open_descriptors(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void lines_and_bytes(void **state)
{
    (void)state;
    struct timespec written[2] = {{0, 0}, {784111777, 5}};
    write_file("a.css", 'a', SMALL);
    assert_int_equal(utimensat(AT_FDCWD, "a.css", written, 0), 0);
    const struct cached_file *f = borrow("/a.css");
    expect_whole(f, "/a.css", 'a', SMALL);
    assert_true(str_eq(f->type_line, STR("Content-Type: text/css; charset=utf-8\r\n")));
    char want[256];
    snprintf(want, sizeof want,
             "ETag: %.*s\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
             "Accept-Ranges: bytes\r\n",
             STR_ARG(f->etag));
    assert_true(str_eq(f->lines, str_z(want)));
    assert_int_equal(f->has, FIELDS_ETAG | FIELDS_LAST_MODIFIED);
    assert_int_equal(f->last_modified, 784111777);
    filecache_close(f);
}

static void without_a_date_before_1970(void **state)
{
    (void)state;
    struct timespec written[2] = {{0, 0}, {-1, 0}};
    write_file("old.txt", 'o', SMALL);
    assert_int_equal(utimensat(AT_FDCWD, "old.txt", written, 0), 0);
    const struct cached_file *f = borrow("/old.txt");
    assert_int_equal(f->last_modified, -1);
    assert_null(memmem(f->lines.p, f->lines.n, "Last-Modified", 13));
    assert_int_equal(f->has, FIELDS_ETAG);
    filecache_close(f);
}

static void an_empty_file(void **state)
{
    (void)state;
    write_file("empty.txt", 'e', 0);
    const struct cached_file *f = borrow("/empty.txt");
    assert_true(f->in_memory);
    assert_int_equal(f->bytes.n, 0);
    assert_int_equal(f->fd, -1);
    filecache_close(f);
    assert_true(is_kept("/empty.txt"));
}

static void is_kept_while_it_stays_the_same(void **state)
{
    (void)state;
    static const char *const paths[] = {"/small.txt", "/large.txt"};
    write_file("small.txt", 's', FILECACHE_SMALL);
    write_file("large.txt", 'l', LARGE);
    for (int i = 0; i < 2; i++) {
        const struct cached_file *first = borrow(paths[i]);
        assert_ptr_equal(borrow(paths[i]), first);
        now++; // looked at, and found to be what it was
        assert_ptr_equal(borrow(paths[i]), first);
        now -= 10; // the clock was set
        assert_ptr_equal(borrow(paths[i]), first);
        for (int n = 0; n < 4; n++)
            filecache_close(first);
    }
}

// --- changes ---

static void lengthen(const char *name)
{
    write_file(name, 'n', 2 * LARGE);
}

static void shorten(const char *name)
{
    write_file(name, 'n', SMALL / 2);
}

// The same size, and the time set back: only the time of the change itself tells.
static void overwrite(const char *name)
{
    struct stat st;
    assert_int_equal(stat(name, &st), 0);
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    write_file(name, 'n', (size_t)st.st_size);
    assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
}

static void replace(const char *name)
{
    write_file("../out.txt", 'n', SMALL);
    assert_int_equal(rename("../out.txt", name), 0);
}

static void take_away(const char *name)
{
    assert_int_equal(unlink(name), 0);
}

static void lock(const char *name)
{
    assert_int_equal(chmod(name, 0), 0);
}

static void lead_out(const char *name)
{
    write_file("../outside.txt", 'n', SMALL);
    assert_int_equal(unlink(name) | symlink("../outside.txt", name), 0);
}

static void lead_aside(const char *name)
{
    write_file("other.txt", 'n', SMALL);
    assert_int_equal(unlink(name) | symlink("other.txt", name), 0);
}

static void become_folder(const char *name)
{
    assert_int_equal(unlink(name) | mkdir(name, 0755), 0);
}

static const struct {
    void (*change)(const char *name);
    int err;     // what is said of it afterwards, or
    size_t size; // what it has; 0: as before
} changes[] = {
    {lengthen, 0, 2 * LARGE}, {shorten, 0, SMALL / 2}, {overwrite, 0, 0},
    {replace, 0, SMALL},      {take_away, -ENOENT, 0}, {lock, -EACCES, 0},
    {lead_out, -ENOENT, 0},   {lead_aside, 0, SMALL},  {become_folder, -EISDIR, 0},
};

// A process that may not read everything, as a worker is.
static void as_nobody(void (*check)(int i, size_t before), int i, size_t before)
{
    bool is_root = geteuid() == 0;
    if (is_root)
        assert_int_equal(seteuid(65534), 0);
    check(i, before);
    if (is_root)
        assert_int_equal(seteuid(0), 0);
}

static void check_change(int i, size_t before)
{
    if (changes[i].err)
        assert_int_equal(refused("/f.txt"), changes[i].err);
    else
        expect("/f.txt", 'n', changes[i].size ? changes[i].size : before);
}

static void every_change_is_noticed_within_a_second(void **state)
{
    static const size_t sizes[] = {SMALL, LARGE};
    for (int i = 0; i < (int)(sizeof changes / sizeof *changes); i++) {
        for (int k = 0; k < 2; k++) {
            write_file("f.txt", 'o', sizes[k]);
            expect("/f.txt", 'o', sizes[k]);
            const struct cached_file *lent = borrow("/f.txt");
            changes[i].change("f.txt");
            now++;
            as_nobody(check_change, i, sizes[k]);
            // What an answer still sends from is as it was, bytes and all, if it is in memory, and
            // the same file if it is not.
            assert_int_equal(lent->size, sizes[k]);
            if (lent->in_memory)
                assert_int_equal(byte_of(lent, SMALL - 1), 'o');
            filecache_close(lent);
            assert_int_equal(teardown(state) | setup(state), 0);
        }
    }
}

// No answer may have the fields of one state of the file and the bytes of another: those of a
// descriptor change under it, so it is asked in the same second, too.
static void a_descriptor_is_never_believed(void **state)
{
    (void)state;
    write_file("large.txt", 'a', LARGE);
    expect("/large.txt", 'a', LARGE);
    overwrite("large.txt");
    expect("/large.txt", 'n', LARGE);
    lengthen("large.txt");
    expect("/large.txt", 'n', 2 * LARGE);
    shorten("large.txt");
    expect("/large.txt", 'n', SMALL / 2);
}

// Unless it is not to be sent from; who does so asks, and what has changed is then looked at anew.
static void a_glance_leaves_the_descriptor_alone(void **state)
{
    (void)state;
    const struct cached_file *first, *second;
    write_file("large.txt", 'a', LARGE);
    first = borrow("/large.txt");
    assert_true(filecache_holds(first));
    overwrite("large.txt");
    assert_int_equal(filecache_glance(cache, root, STR("/large.txt"), now, &second), 0);
    assert_ptr_equal(second, first);
    assert_false(filecache_holds(second));
    filecache_close(second);
    expect("/large.txt", 'n', LARGE);
    assert_int_equal(filecache_glance(cache, root, STR("/large.txt"), now, &second), 0);
    assert_ptr_not_equal(second, first);
    assert_true(filecache_holds(second));
    filecache_close(second);
    now++; // another second, another look
    shorten("large.txt");
    assert_int_equal(filecache_glance(cache, root, STR("/large.txt"), now, &second), 0);
    expect_whole(second, "/large.txt", 'n', SMALL / 2);
    assert_true(filecache_holds(second));
    filecache_close(second);
    filecache_close(first);
}

static void a_small_file_is_believed_for_this_second(void **state)
{
    (void)state;
    write_file("f.txt", 'a', SMALL);
    expect("/f.txt", 'a', SMALL);
    replace("f.txt");
    const struct cached_file *f = borrow("/f.txt");
    assert_int_equal(byte_of(f, 0), 'a');
    assert_int_equal(byte_of(f, SMALL - 1), 'a');
    filecache_close(f);
    now++;
    expect("/f.txt", 'n', SMALL);
}

static void always_looking_believes_nothing(void **state)
{
    (void)state;
    make_cache(&(struct filecache_options){3, 64 * 1024, 2, .look_always = true});
    write_file("f.txt", 'a', SMALL);
    expect("/f.txt", 'a', SMALL);
    assert_true(is_kept("/f.txt")); // but what did not change is not read again
    overwrite("f.txt");
    expect("/f.txt", 'n', SMALL);
    take_away("f.txt");
    assert_int_equal(refused("/f.txt"), -ENOENT);
}

// A file written a moment ago may be written again without any of its times telling it.
static void a_file_just_written_is_read_anew(void **state)
{
    (void)state;
    write_file("f.txt", 'a', SMALL);
    struct stat st;
    assert_int_equal(stat("f.txt", &st), 0);
    now = st.st_ctim.tv_sec;
    const struct cached_file *first = borrow("/f.txt"), *second;
    assert_ptr_equal(second = borrow("/f.txt"), first); // in this second it is believed
    filecache_close(second);
    now++;
    assert_ptr_not_equal(second = borrow("/f.txt"), first);
    filecache_close(second);
    filecache_close(first);
    now += 10;
    first = borrow("/f.txt"); // read once more, and now it has been left alone
    now++;
    assert_ptr_equal(second = borrow("/f.txt"), first);
    filecache_close(second);
    filecache_close(first);
}

static void write_later(const char *name)
{
    struct timespec times[2] = {{0, 0}, {784111777, 0}};
    write_file(name, 'n', SMALL);
    assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
}

// Another one writes to the file after it was opened and described, and before it is read: what is
// lent is of one state all the same.
static void a_file_written_to_while_it_is_read(void **state)
{
    (void)state;
    static const struct {
        void (*change)(const char *name);
        size_t size;
    } cases[] = {{write_later, SMALL}, {shorten, SMALL / 2}, {lengthen, 2 * LARGE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++, now++) {
        int before = open_descriptors();
        write_file("f.txt", 'o', SMALL);
        meddle = cases[i].change;
        meddle_times = 1;
        expect("/f.txt", 'n', cases[i].size);
        assert_int_equal(meddle_times, 0);
        filecache_trim(cache, now + 1000);
        assert_int_equal(open_descriptors(), before);
    }
}

static void another_size(const char *name)
{
    static size_t size = SMALL;
    write_file(name, 'n', --size);
}

static void a_file_written_to_all_the_time(void **state)
{
    (void)state;
    write_file("f.txt", 'o', SMALL);
    int before = open_descriptors();
    meddle = another_size;
    meddle_times = 1000;
    assert_int_equal(refused("/f.txt"), -EAGAIN);
    assert_true(meddle_times > 900); // it did not try for long
    meddle_times = 0;
    assert_int_equal(open_descriptors(), before);
    const struct cached_file *f = borrow("/f.txt");
    expect_whole(f, "/f.txt", 'n', f->size);
    filecache_close(f);
}

// --- what is not there ---

static void missing_files_and_folders_are_not_kept(void **state)
{
    (void)state;
    static char longer[5000];
    assert_int_equal(refused("/f.txt"), -ENOENT);
    write_file("f.txt", 'a', SMALL);
    expect("/f.txt", 'a', SMALL); // at once
    assert_int_equal(mkdir("folder", 0755), 0);
    assert_int_equal(refused("/folder"), -EISDIR);
    assert_int_equal(refused("/"), -EISDIR);
    assert_int_equal(rmdir("folder"), 0);
    assert_int_equal(refused("/folder"), -ENOENT);
    assert_int_equal(refused(""), -ENOENT);
    memset(longer, 'x', sizeof longer - 1);
    longer[0] = '/';
    assert_int_equal(refused(longer), -ENAMETOOLONG);
}

// Roots do not see each other's files, not even one that was opened where another one was.
static void each_root_has_its_own_files(void **state)
{
    (void)state;
    struct file_root *site = root;
    const struct cached_file *f;
    write_file("f.txt", 'a', SMALL);
    expect("/f.txt", 'a', SMALL);
    for (char letter = 'b'; letter < 'f'; letter++) {
        char name[] = "_", file[] = "_/f.txt";
        name[0] = file[0] = letter;
        assert_int_equal(mkdir(name, 0755), 0);
        write_file(file, letter, SMALL);
        assert_int_equal(file_root_open(name, &root), 0);
        f = borrow("/f.txt");
        assert_int_equal(byte_of(f, 0), letter);
        filecache_close(f);
        file_root_close(root);
    }
    root = site;
    expect("/f.txt", 'a', SMALL);
}

// --- bounds ---

static void holds_so_many_files(void **state)
{
    (void)state;
    const struct cached_file *f[4], *again;
    char paths[4][8] = {"/0.txt", "/1.txt", "/2.txt", "/3.txt"};
    for (int i = 0; i < 4; i++, now++) {
        write_file(paths[i] + 1, 'a', SMALL);
        f[i] = borrow(paths[i]);
        if (i == 2) { // 0 is looked at again, so 1 is the one that makes way
            assert_ptr_equal(again = borrow(paths[0]), f[0]);
            filecache_close(again);
        }
    }
    static const bool stays[] = {true, false, true, true};
    for (int i = 3; i >= 0; i--) { // 1 last: it makes another one go
        if (i == 1)
            continue;
        assert_int_equal((again = borrow(paths[i])) == f[i], stays[i]);
        filecache_close(again);
    }
    assert_true((again = borrow(paths[1])) != f[1]);
    filecache_close(again);
    for (int i = 0; i < 4; i++) { // gone or not, whoever has it can use it
        expect_whole(f[i], paths[i], 'a', SMALL);
        filecache_close(f[i]);
    }
}

static void holds_so_many_bytes(void **state)
{
    (void)state;
    const struct cached_file *a, *b, *again;
    make_cache(&(struct filecache_options){.files = 3, .bytes = FILECACHE_SMALL + 1000});
    write_file("a.txt", 'a', FILECACHE_SMALL);
    write_file("b.txt", 'b', FILECACHE_SMALL);
    a = borrow("/a.txt");
    b = borrow("/b.txt"); // a had to go
    assert_ptr_equal(again = borrow("/b.txt"), b);
    filecache_close(again);
    assert_ptr_not_equal(again = borrow("/a.txt"), a);
    filecache_close(again);
    filecache_close(a);
    filecache_close(b);
    make_cache(&(struct filecache_options){.files = 3, .bytes = FILECACHE_SMALL});
    expect("/a.txt", 'a', FILECACHE_SMALL);
    assert_false(is_kept("/a.txt")); // with its lines it is over the limit, but can be sent
}

static void holds_so_many_descriptors(void **state)
{
    (void)state;
    int before = open_descriptors();
    char paths[4][8] = {"/0.txt", "/1.txt", "/2.txt", "/3.txt"};
    const struct cached_file *f = NULL;
    for (int i = 0; i < 4; i++, now++) {
        write_file(paths[i] + 1, (char)('0' + i), LARGE);
        expect(paths[i], (char)('0' + i), LARGE);
        if (i == 0)
            f = borrow(paths[0]);
        int loan = i > 1; // of 0, which is not in the cache any more then
        assert_int_equal(filecache_descriptors(cache), i < 1 ? 1 : 2);
        assert_int_equal(open_descriptors() - before, (i < 1 ? 1 : 2) + loan);
    }
    assert_int_equal(byte_of(f, LARGE - 1), '0');
    filecache_close(f);
    assert_int_equal(open_descriptors() - before, 2);
    filecache_free(cache);
    cache = NULL;
    assert_int_equal(open_descriptors(), before);
}

static void nothing_at_all_may_be_kept(void **state)
{
    (void)state;
    int before = open_descriptors();
    make_cache(&(struct filecache_options){0});
    write_file("small.txt", 's', SMALL);
    write_file("large.txt", 'l', LARGE);
    for (int i = 0; i < 2; i++) {
        assert_false(is_kept("/small.txt"));
        assert_false(is_kept("/large.txt"));
        filecache_free(cache);
        cache = NULL; // nor is a cache needed
    }
    assert_int_equal(open_descriptors(), before);
}

static void a_loan_outlives_the_cache(void **state)
{
    (void)state;
    int before = open_descriptors();
    write_file("small.txt", 's', SMALL);
    write_file("large.txt", 'l', LARGE);
    const struct cached_file *small = borrow("/small.txt"), *large = borrow("/large.txt");
    filecache_free(cache);
    cache = NULL;
    expect_whole(small, "/small.txt", 's', SMALL);
    expect_whole(large, "/large.txt", 'l', LARGE);
    filecache_close(small);
    filecache_close(large);
    assert_int_equal(open_descriptors(), before);
}

// An open descriptor would keep the space of a file that was removed.
static void descriptors_that_nobody_asks_for_are_closed(void **state)
{
    (void)state;
    write_file("a.txt", 'a', LARGE);
    write_file("b.txt", 'b', LARGE);
    expect("/a.txt", 'a', LARGE);
    now += FILECACHE_IDLE;
    expect("/b.txt", 'b', LARGE);
    filecache_trim(cache, now);
    assert_int_equal(filecache_descriptors(cache), 2);
    filecache_trim(cache, now + 1);
    assert_int_equal(filecache_descriptors(cache), 1);
    filecache_trim(cache, now - 1); // the clock was set back: who knows how long it has been
    assert_int_equal(filecache_descriptors(cache), 0);
    expect("/a.txt", 'a', LARGE);
}

// What is only kept in case makes way for what is asked for.
static void gives_descriptors_up_when_there_are_no_others(void **state)
{
    (void)state;
    write_file("a.txt", 'a', LARGE);
    write_file("b.txt", 'b', LARGE);
    expect("/a.txt", 'a', LARGE);
    int next = dup(0);
    close(next);
    struct rlimit normal, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &normal), 0);
    few = (struct rlimit){(rlim_t)next, normal.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    expect("/b.txt", 'b', LARGE);
    const struct cached_file *f = borrow("/b.txt");
    now++;
    assert_int_equal(refused("/a.txt"), -EMFILE); // the only one is lent
    filecache_close(f);
    expect("/b.txt", 'b', LARGE);
    now++;
    expect("/b.txt", 'b', LARGE); // to look at it, it was given up
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &normal), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(lines_and_bytes),
        TEST(without_a_date_before_1970),
        TEST(an_empty_file),
        TEST(is_kept_while_it_stays_the_same),
        TEST(every_change_is_noticed_within_a_second),
        TEST(a_descriptor_is_never_believed),
        TEST(a_glance_leaves_the_descriptor_alone),
        TEST(a_small_file_is_believed_for_this_second),
        TEST(always_looking_believes_nothing),
        TEST(a_file_just_written_is_read_anew),
        TEST(a_file_written_to_while_it_is_read),
        TEST(a_file_written_to_all_the_time),
        TEST(missing_files_and_folders_are_not_kept),
        TEST(each_root_has_its_own_files),
        TEST(holds_so_many_files),
        TEST(holds_so_many_bytes),
        TEST(holds_so_many_descriptors),
        TEST(nothing_at_all_may_be_kept),
        TEST(a_loan_outlives_the_cache),
        TEST(descriptors_that_nobody_asks_for_are_closed),
        TEST(gives_descriptors_up_when_there_are_no_others),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
