// Folders as pages: what is read, in which order, and how hostile names come out.
#include "content/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char top[] = "/tmp/lunette-listing-XXXXXX";
static struct file_root *root;
static char page_text[64 * 1024];

static void file(const char *name, size_t size, time_t modified)
{
    int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    struct timespec times[2] = {{modified, 0}, {modified, 0}};
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static int enter(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(top));
    assert_int_equal(chdir(top) | mkdir("site", 0755) | mkdir("out", 0755) | chdir("site"), 0);
    return file_root_open(".", &root);
}

static int leave(void **state)
{
    (void)state;
    char command[64];
    file_root_close(root);
    snprintf(command, sizeof command, "rm -rf %s", top);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static int empty(void **state)
{
    (void)state;
    return system("rm -rf ../site/* ../site/.??*");
}

static void read_folder(const char *path, struct listing *l)
{
    int fd = file_open_folder(root, str_z(path));
    assert_true(fd >= 0);
    assert_int_equal(listing_read(root, str_z(path), fd, l), 0);
    assert_int_equal(fcntl(fd, F_GETFD), -1); // taken over
}

// The names in their order, each with a space behind it.
static const char *names_of(const char *path, const char *query)
{
    static char text[1024];
    struct listing l;
    size_t n = 0;
    read_folder(path, &l);
    listing_sort(&l, listing_order_of(str_z(query)));
    for (size_t i = 0; i < l.n; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%.*s%s ", (int)l.entries[i].name_n,
                              l.names.p + l.entries[i].name, l.entries[i].is_dir ? "/" : "");
    text[n] = '\0';
    listing_free(&l);
    return text;
}

static const char *page_of(const char *path, const char *title, size_t max)
{
    struct listing l;
    struct buf out;
    struct listing_page page = {.title = str_z(title), .top = strcmp(path, "/") == 0};
    buf_init(&out, max);
    read_folder(path, &l);
    listing_sort(&l, page.order);
    assert_true(listing_write(&l, &page, &out));
    assert_true(out.n < sizeof page_text);
    memcpy(page_text, out.p, out.n);
    page_text[out.n] = '\0';
    buf_fini(&out);
    listing_free(&l);
    return page_text;
}

static void has(const char *page, const char *text)
{
    if (!strstr(page, text))
        fail_msg("no %s in: %s", text, strstr(page, "<h1>"));
}

static void orders(void **state)
{
    (void)state;
    file("b.txt", 30, 300);
    file("A.txt", 10, 100);
    file("c.txt", 20, 200);
    file("a.txt", 20, 200);
    assert_int_equal(mkdir("z", 0755) | mkdir("Y", 0755), 0);
    static const char *const cases[][2] = {
        {"", "Y/ z/ A.txt a.txt b.txt c.txt "},
        {"sort=name", "Y/ z/ A.txt a.txt b.txt c.txt "},
        {"sort=name&order=desc", "z/ Y/ c.txt b.txt a.txt A.txt "},
        {"sort=size", "Y/ z/ b.txt a.txt c.txt A.txt "},
        {"sort=size&order=asc", "Y/ z/ A.txt a.txt c.txt b.txt "},
        {"order=asc&sort=time", "? A.txt a.txt c.txt b.txt "},
        {"sort=time", "? b.txt a.txt c.txt A.txt "},
        {"sort=color&order=up&x", "Y/ z/ A.txt a.txt b.txt c.txt "},
        {"sort=&order=&&=", "Y/ z/ A.txt a.txt b.txt c.txt "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = names_of("/", cases[i][0]), *want = cases[i][1];
        if (*want == '?') // both folders were made in the same second
            got = strstr(got, want[2] == 'A' ? "A.txt" : "b.txt"), want += 2;
        assert_string_equal(got, want);
    }
}

static void what_is_not_shown(void **state)
{
    (void)state;
    file("a.txt", 1, 1);
    file(".hidden", 1, 1);
    file("../out/secret", 7, 1);
    assert_int_equal(mkdir(".git", 0755) | mkdir(".well-known", 0755) | mkdir("in", 0755), 0);
    assert_int_equal(mkfifo("fifo", 0644), 0);
    assert_int_equal(symlink("../out/secret", "out") | symlink("../out", "outdir") |
                         symlink("/etc/passwd", "absolute") | symlink("ring", "ring") |
                         symlink("nowhere", "dangling"),
                     0);
    assert_string_equal(names_of("/", ""), "in/ a.txt ");
    assert_int_equal(symlink("a.txt", "link") | symlink("in", "linkdir"), 0);
    assert_string_equal(names_of("/", ""), "in/ linkdir/ a.txt link ");
    file("in/b.txt", 1, 1);
    assert_int_equal(symlink("../a.txt", "in/up") | symlink("../../out/secret", "in/out"), 0);
    assert_string_equal(names_of("/in/", ""), "b.txt up ");
    file_root_walk(root); // without openat2 no link is followed at all
    assert_string_equal(names_of("/", ""), "in/ a.txt ");
    file_root_close(root);
    assert_int_equal(file_root_open(".", &root), 0);
}

static void what_is_no_folder(void **state)
{
    (void)state;
    file("a.txt", 1, 1);
    assert_int_equal(symlink("../out", "out"), 0);
    assert_int_equal(file_open_folder(root, STR("/a.txt")), -ENOENT);
    assert_int_equal(file_open_folder(root, STR("/none/")), -ENOENT);
    assert_int_equal(file_open_folder(root, STR("/out/")), -ENOENT);
    assert_int_equal(file_open_folder(root, STR("/../")), -ENOENT);
    struct listing l;
    int fd = open("a.txt", O_RDONLY); // it was one when it was opened
    assert_int_equal(listing_read(root, STR("/a.txt/"), fd, &l), -ENOTDIR);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    listing_free(&l);
}

static void hostile_names(void **state)
{
    (void)state;
    file("<script>alert(1)<", 1, 0);
    file("\"onmouseover='x'&amp;", 1, 0);
    file("javascript:alert(1)", 1, 0);
    file(":x", 1, 0);
    file("line\nfeed\x7f", 1, 0);
    file("bad\xff\xe2\x82", 1, 0);
    file("turned\xe2\x80\xaegpj.exe", 1, 0);
    file("?a=b#c%41 d", 1, 0);
    file("h\xc3\xa4user", 1, 0);
    const char *page = page_of("/", "/<b>&\xff/", LISTING_BYTES);
    has(page, "<title>/&lt;b&gt;&amp;\xef\xbf\xbd/</title>");
    has(page, "<h1><bdi>/&lt;b&gt;&amp;\xef\xbf\xbd/</bdi></h1>");
    has(page, "href=\"./%3Cscript%3Ealert%281%29%3C\"><bdi>&lt;script&gt;alert(1)&lt;</bdi>");
    has(page,
        "href=\"./%22onmouseover%3D%27x%27%26amp%3B\"><bdi>&quot;onmouseover=&#39;x&#39;&amp;amp;");
    has(page, "href=\"./javascript%3Aalert%281%29\"");
    has(page, "href=\"./%3Ax\"");
    has(page, "href=\"./line%0Afeed%7F\"><bdi>line\xe2\x90\x8a"
              "feed\xe2\x90\xa1</bdi>");
    has(page, "href=\"./bad%FF%E2%82\"><bdi>bad\xef\xbf\xbd\xef\xbf\xbd</bdi>");
    has(page, "<bdi>turned\xef\xbf\xbdgpj.exe</bdi>");
    has(page, "href=\"./%3Fa%3Db%23c%2541%20d\"");
    has(page, "href=\"./h%C3%A4user\"><bdi>h\xc3\xa4user</bdi>");
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "href=\"../\"")); // the top has nothing above it
}

static void sizes_and_times(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t size;
        const char *cell;
    } cases[] = {
        {"a", 0, "<td title=\"0 bytes\">0 B</td>"},
        {"b", 1, "<td title=\"1 byte\">1 B</td>"},
        {"c", 999, ">999 B<"},
        {"d", 1000, ">1.0 kB<"},
        {"e", 9949, ">9.9 kB<"},
        {"f", 9951, ">10 kB<"},
        {"g", 999499, ">999 kB<"},
        {"h", 999501, ">1.0 MB<"},
        {"i", 1234567890, "<td title=\"1234567890 bytes\">1.2 GB</td>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        file(cases[i].name, cases[i].size, 784111777);
    assert_int_equal(mkdir("sub", 0755), 0);
    const char *page = page_of("/", "/", LISTING_BYTES);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        has(page, cases[i].cell);
    has(page,
        "<time datetime=\"1994-11-06T08:49:37Z\">1994-11-06<span class=\"clock\"> 08:49</span>");
    has(page,
        "<tr class=\"folder\"><td><a href=\"./sub/\"><bdi>sub</bdi>/</a></td><td>&ndash;</td>");
    has(page, "aria-sort=\"ascending\"><a href=\"?sort=name&amp;order=desc\">Name</a>");
    page = page_of("/sub/", "/sub/", LISTING_BYTES);
    has(page, "href=\"../\"");
    has(page, "There is nothing here.");
}

// More than fits is said, and what is there is whole.
static void bounds(void **state)
{
    (void)state;
    char name[300];
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "%03d%0200d", i, 0);
        file(name, 1, 0);
    }
    const char *page = page_of("/", "/", 12 * 1024);
    has(page, "There is more in this folder than is shown here.");
    has(page, "</tr>\n</tbody>\n</table>\n");
    has(page, "</html>\n");
    page = page_of("/", "/", LISTING_BYTES);
    assert_null(strstr(page, "There is more"));
    assert_int_equal(mkdir("many", 0755) | chdir("many"), 0);
    for (int i = 0; i <= LISTING_ENTRIES; i++) {
        snprintf(name, sizeof name, "%d", i);
        int fd = open(name, O_CREAT | O_WRONLY, 0644);
        assert_true(fd >= 0);
        close(fd);
    }
    struct listing l;
    read_folder("/many/", &l);
    assert_int_equal(l.n, LISTING_ENTRIES);
    assert_true(l.more);
    listing_free(&l);
    assert_int_equal(unlink("0") | chdir(".."), 0);
    read_folder("/many/", &l);
    assert_int_equal(l.n, LISTING_ENTRIES);
    assert_false(l.more);
    listing_free(&l);
    listing_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(orders, empty),
        cmocka_unit_test_teardown(what_is_not_shown, empty),
        cmocka_unit_test_teardown(what_is_no_folder, empty),
        cmocka_unit_test_teardown(hostile_names, empty),
        cmocka_unit_test_teardown(sizes_and_times, empty),
        cmocka_unit_test_teardown(bounds, empty),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
