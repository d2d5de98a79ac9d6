// URLs: parts, whole and joined, against tables. Those of parse and join were made with Python's
// urllib.parse beside (3.11); each table says where RFC 3986 or caution decides otherwise.
#include "http/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static size_t add(char *dst, size_t n, struct str part)
{
    if (n)
        dst[n++] = ' ';
    if (!part.p)
        part = STR("-");
    memcpy(dst + n, part.p, part.n);
    return n + part.n;
}

// The parts with spaces between, "-" for an absent one; scheme and host in lower case. NUL-terminated.
static void show(char *dst, const struct url *u)
{
    char port[12], scheme[32], host[64];
    snprintf(port, sizeof port, "%d", u->port);
    assert_true(u->scheme.n < sizeof scheme && u->host.n < sizeof host);
    ascii_lower(scheme, u->scheme.p, u->scheme.n);
    ascii_lower(host, u->host.p, u->host.n);
    const struct str parts[] = {
        u->scheme.p ? str_of(scheme, u->scheme.n) : u->scheme,
        u->username,
        u->password,
        u->host.p ? str_of(host, u->host.n) : u->host,
        u->port < 0 ? str_of(NULL, 0) : str_z(port),
        u->path,
        u->params,
        u->query,
        u->fragment,
    };
    size_t n = 0;
    for (size_t i = 0; i < COUNT(parts); i++) {
        n = add(dst, n, parts[i]);
        assert_true(n < 400);
    }
    dst[n] = '\0';
}

static struct str formatted(char *dst, const struct url *u)
{
    size_t n = url_format(dst, u);
    assert_true(n <= url_format_max(u));
    return str_of(dst, n);
}

// scheme username password host port path params query fragment. All have the values that Python's
// urlparse gives, which has "" or None for what is absent here; but a host is in lower case wholly,
// where Python keeps what is behind a "%". again: what is written of it, NULL for the same text.
static const struct {
    const char *url, *want, *again;
} good[] = {
    {"http://example.com", "http - - example.com -  - - -", NULL},
    {"http://example.com/", "http - - example.com - / - - -", NULL},
    {"HTTP://Example.COM/Path", "http - - example.com - /Path - - -", NULL},
    {"https://example.com/a/b/c", "https - - example.com - /a/b/c - - -", NULL},
    {"https://example.com/a/b/c/", "https - - example.com - /a/b/c/ - - -", NULL},
    {"https://example.com/a;p", "https - - example.com - /a p - -", NULL},
    {"https://example.com/a;p;q", "https - - example.com - /a p;q - -", NULL},
    {"https://example.com/a;p/b;q", "https - - example.com - /a;p/b q - -", NULL},
    {"https://example.com/a;/b", "https - - example.com - /a;/b - - -", NULL},
    {"https://example.com/;p", "https - - example.com - / p - -", NULL},
    {"https://example.com;p", "https - - example.com;p -  - - -", NULL},
    {"https://example.com/a;", "https - - example.com - /a  - -", NULL},
    {"https://example.com/a?x=1", "https - - example.com - /a - x=1 -", NULL},
    {"https://example.com/a?x=1&y=2", "https - - example.com - /a - x=1&y=2 -", NULL},
    {"https://example.com/a?x=1;y=2", "https - - example.com - /a - x=1;y=2 -", NULL},
    {"https://example.com/a?x=/;?y", "https - - example.com - /a - x=/;?y -", NULL},
    {"https://example.com/a?", "https - - example.com - /a -  -", NULL},
    {"https://example.com/a#", "https - - example.com - /a - - ", NULL},
    {"https://example.com/a?#", "https - - example.com - /a -  ", NULL},
    {"https://example.com/a#f", "https - - example.com - /a - - f", NULL},
    {"https://example.com/a#f#g", "https - - example.com - /a - - f#g", NULL},
    {"https://example.com/a#f?g", "https - - example.com - /a - - f?g", NULL},
    {"https://example.com/a?q#f", "https - - example.com - /a - q f", NULL},
    {"https://example.com/a;p?q#f", "https - - example.com - /a p q f", NULL},
    {"https://example.com?q", "https - - example.com -  - q -", NULL},
    {"https://example.com#f", "https - - example.com -  - - f", NULL},
    {"https://example.com?q=/a/b", "https - - example.com -  - q=/a/b -", NULL},
    {"https://example.com#/a/b", "https - - example.com -  - - /a/b", NULL},
    {"https://example.com?", "https - - example.com -  -  -", NULL},
    {"https://example.com#", "https - - example.com -  - - ", NULL},
    {"http://example.com:80/", "http - - example.com 80 / - - -", NULL},
    {"http://example.com:/", "http - - example.com - / - - -", "http://example.com/"},
    {"http://example.com:0/", "http - - example.com 0 / - - -", NULL},
    {"http://example.com:65535/", "http - - example.com 65535 / - - -", NULL},
    {"http://example.com:00080/", "http - - example.com 80 / - - -", "http://example.com:80/"},
    {"http://:80/", "http - -  80 / - - -", NULL},
    {"http://:@h/", "http   h - / - - -", NULL},
    {"http://user@example.com/", "http user - example.com - / - - -", NULL},
    {"http://user:@example.com/", "http user  example.com - / - - -", NULL},
    {"http://user:pw@example.com/", "http user pw example.com - / - - -", NULL},
    {"http://user:pw@example.com:8080/a", "http user pw example.com 8080 /a - - -", NULL},
    {"http://:pw@example.com/", "http  pw example.com - / - - -", NULL},
    {"http://@example.com/", "http  - example.com - / - - -", NULL},
    {"http://user:p:w@example.com/", "http user p:w example.com - / - - -", NULL},
    {"http://us%40er:p%3Aw@example.com/", "http us%40er p%3Aw example.com - / - - -", NULL},
    {"http://us@er@example.com/", "http us@er - example.com - / - - -",
     "http://us%40er@example.com/"},
    {"http://user:p@w@example.com/", "http user p@w example.com - / - - -",
     "http://user:p%40w@example.com/"},
    {"http://user;x=1:pw@example.com/", "http user;x=1 pw example.com - / - - -", NULL},
    {"http://u!$&'()*+,=:p@h/", "http u!$&'()*+,= p h - / - - -", NULL},
    {"http://user@/a", "http user -  - /a - - -", NULL},
    {"http://user@:80/a", "http user -  80 /a - - -", NULL},
    {"http://127.0.0.1/", "http - - 127.0.0.1 - / - - -", NULL},
    {"http://127.0.0.1:8000/a", "http - - 127.0.0.1 8000 /a - - -", NULL},
    {"http://127.1/", "http - - 127.1 - / - - -", NULL},
    {"http://0x7f000001/", "http - - 0x7f000001 - / - - -", NULL},
    {"http://[::1]/", "http - - ::1 - / - - -", NULL},
    {"http://[::1]:8080/", "http - - ::1 8080 / - - -", NULL},
    {"http://[::1]:/", "http - - ::1 - / - - -", "http://[::1]/"},
    {"http://[2001:DB8::Ff]/a", "http - - 2001:db8::ff - /a - - -", NULL},
    {"http://[2001:db8::1]:443/a;b?c#d", "http - - 2001:db8::1 443 /a b c d", NULL},
    {"http://user@[::1]/", "http user - ::1 - / - - -", NULL},
    {"http://user:pw@[::1]:80/", "http user pw ::1 80 / - - -", NULL},
    {"http://[::ffff:192.0.2.1]/", "http - - ::ffff:192.0.2.1 - / - - -", NULL},
    {"http://[::ffff:192.0.2.1]:80/", "http - - ::ffff:192.0.2.1 80 / - - -", NULL},
    {"http://a.b-c_d~e/", "http - - a.b-c_d~e - / - - -", NULL},
    {"http://a%20b/", "http - - a%20b - / - - -", NULL},
    {"http://a%C3%A9b/", "http - - a%c3%a9b - / - - -", NULL},
    {"http://a,b;c=d/", "http - - a,b;c=d - / - - -", NULL},
    {"http://example.com./", "http - - example.com. - / - - -", NULL},
    {"http://xn--mnchen-3ya.de/", "http - - xn--mnchen-3ya.de - / - - -", NULL},
    {"http://example.com/\xc3\xa4?\xc3\xb6#\xc3\xbc",
     "http - - example.com - /\xc3\xa4 - \xc3\xb6 \xc3\xbc", NULL},
    {"http://example.com/%C3%A4?%C3%B6#%C3%BC", "http - - example.com - /%C3%A4 - %C3%B6 %C3%BC",
     NULL},
    {"http://example.com/%zz", "http - - example.com - /%zz - - -", NULL},
    {"http://example.com/100%", "http - - example.com - /100% - - -", NULL},
    {"http://example.com/a%2Fb", "http - - example.com - /a%2Fb - - -", NULL},
    {"http://example.com/a\\b", "http - - example.com - /a\\b - - -", NULL},
    {"http://example.com/a\"b<c>d^e`f{g|h}i", "http - - example.com - /a\"b<c>d^e`f{g|h}i - - -",
     NULL},
    {"http://example.com/[a]", "http - - example.com - /[a] - - -", NULL},
    {"http://example.com/a:b", "http - - example.com - /a:b - - -", NULL},
    {"http://example.com/a@b", "http - - example.com - /a@b - - -", NULL},
    {"http://example.com//a//b", "http - - example.com - //a//b - - -", NULL},
    {"http://example.com///", "http - - example.com - /// - - -", NULL},
    {"http://example.com/.", "http - - example.com - /. - - -", NULL},
    {"http://example.com/..", "http - - example.com - /.. - - -", NULL},
    {"http://example.com/a/./b/../c", "http - - example.com - /a/./b/../c - - -", NULL},
    {"http://example.com/a?b?c", "http - - example.com - /a - b?c -", NULL},
    {"http://example.com/a?b=[c]", "http - - example.com - /a - b=[c] -", NULL},
    {"http://example.com/a?b=c@d:e", "http - - example.com - /a - b=c@d:e -", NULL},
    {"http://example.com/a#[b]", "http - - example.com - /a - - [b]", NULL},
    {"http://example.com/a&b=c+d,e!f$g'h(i)j*k",
     "http - - example.com - /a&b=c+d,e!f$g'h(i)j*k - - -", NULL},
    {"http:", "http - - - -  - - -", NULL},
    {"http:/", "http - - - - / - - -", NULL},
    {"http://", "http - -  -  - - -", NULL},
    {"http:///", "http - -  - / - - -", NULL},
    {"http:///a", "http - -  - /a - - -", NULL},
    {"http:////a", "http - -  - //a - - -", NULL},
    {"http:/a", "http - - - - /a - - -", NULL},
    {"http:a", "http - - - - a - - -", NULL},
    {"http:a/b", "http - - - - a/b - - -", NULL},
    {"http:a;b", "http - - - - a b - -", NULL},
    {"http:a;b/c", "http - - - - a;b/c - - -", NULL},
    {"http:?a", "http - - - -  - a -", NULL},
    {"http:#a", "http - - - -  - - a", NULL},
    {"http:;a", "http - - - -  a - -", NULL},
    {"http://?a", "http - -  -  - a -", NULL},
    {"http://#a", "http - -  -  - - a", NULL},
    {"http:/?a", "http - - - - / - a -", NULL},
    {"https:a?b#c", "https - - - - a - b c", NULL},
    {"file:///etc/passwd", "file - -  - /etc/passwd - - -", NULL},
    {"file://localhost/etc/passwd", "file - - localhost - /etc/passwd - - -", NULL},
    {"file:/etc/passwd", "file - - - - /etc/passwd - - -", NULL},
    {"file:etc", "file - - - - etc - - -", NULL},
    {"file:///C:/dir/file", "file - -  - /C:/dir/file - - -", NULL},
    {"file:////server/share", "file - -  - //server/share - - -", NULL},
    {"file://", "file - -  -  - - -", NULL},
    {"file:///a;b", "file - -  - /a;b - - -", NULL},
    {"ftp://ftp.is.co.za/rfc/rfc1808.txt", "ftp - - ftp.is.co.za - /rfc/rfc1808.txt - - -", NULL},
    {"ftp://user:pw@h:21/a;type=i", "ftp user pw h 21 /a type=i - -", NULL},
    {"ftp://h/a;type=a?x", "ftp - - h - /a type=a x -", NULL},
    {"ldap://[2001:db8::7]/c=GB?objectClass?one",
     "ldap - - 2001:db8::7 - /c=GB - objectClass?one -", NULL},
    {"mailto:John.Doe@example.com", "mailto - - - - John.Doe@example.com - - -", NULL},
    {"mailto:a@b?subject=x", "mailto - - - - a@b - subject=x -", NULL},
    {"news:comp.infosystems.www.servers.unix",
     "news - - - - comp.infosystems.www.servers.unix - - -", NULL},
    {"tel:+1-816-555-1212", "tel - - - - +1-816-555-1212 - - -", NULL},
    {"tel:+1-816;ext=12", "tel - - - - +1-816 ext=12 - -", NULL},
    {"telnet://192.0.2.16:80/", "telnet - - 192.0.2.16 80 / - - -", NULL},
    {"urn:oasis:names:specification:docbook:dtd:xml:4.1.2",
     "urn - - - - oasis:names:specification:docbook:dtd:xml:4.1.2 - - -", NULL},
    {"urn:a;b", "urn - - - - a;b - - -", NULL},
    {"data:text/plain,a;b", "data - - - - text/plain,a;b - - -", NULL},
    {"data:text/plain;base64,AAAA==", "data - - - - text/plain;base64,AAAA== - - -", NULL},
    {"javascript:alert(1)", "javascript - - - - alert(1) - - -", NULL},
    {"about:blank", "about - - - - blank - - -", NULL},
    {"sip:user@example.com;transport=tcp", "sip - - - - user@example.com transport=tcp - -", NULL},
    {"sip:user@example.com", "sip - - - - user@example.com - - -", NULL},
    {"sips:user@example.com;a", "sips - - - - user@example.com a - -", NULL},
    {"rtsp://h/a;b", "rtsp - - h - /a b - -", NULL},
    {"rtsps://h/a;b", "rtsps - - h - /a;b - - -", NULL},
    {"mms://h/a;b", "mms - - h - /a b - -", NULL},
    {"sftp://h/a;b", "sftp - - h - /a b - -", NULL},
    {"hdl:a;b", "hdl - - - - a b - -", NULL},
    {"prospero://h/a;b", "prospero - - h - /a b - -", NULL},
    {"shttp://h/a;b", "shttp - - h - /a b - -", NULL},
    {"ws://h/a;b", "ws - - h - /a;b - - -", NULL},
    {"wss://h/a;b?c", "wss - - h - /a;b - c -", NULL},
    {"git+ssh://git@github.com/a/b.git", "git+ssh git - github.com - /a/b.git - - -", NULL},
    {"svn+ssh://h/a", "svn+ssh - - h - /a - - -", NULL},
    {"x-y.z+1://h/a", "x-y.z+1 - - h - /a - - -", NULL},
    {"a://b", "a - - b -  - - -", NULL},
    {"a:b", "a - - - - b - - -", NULL},
    {"a:b:c", "a - - - - b:c - - -", NULL},
    {"a:", "a - - - -  - - -", NULL},
    {"a:/", "a - - - - / - - -", NULL},
    {"a:?b", "a - - - -  - b -", NULL},
    {"a:#b", "a - - - -  - - b", NULL},
    {"A:b", "a - - - - b - - -", NULL},
    {"1a:b", "- - - - - 1a:b - - -", NULL},
    {"+a:b", "- - - - - +a:b - - -", NULL},
    {"-a:b", "- - - - - -a:b - - -", NULL},
    {".a:b", "- - - - - .a:b - - -", NULL},
    {"a_b:c", "- - - - - a_b:c - - -", NULL},
    {"a%20b:c", "- - - - - a%20b:c - - -", NULL},
    {":a", "- - - - - :a - - -", NULL},
    {":", "- - - - - : - - -", NULL},
    {"::", "- - - - - :: - - -", NULL},
    {"://a", "- - - - - ://a - - -", NULL},
    {"//example.com", "- - - example.com -  - - -", NULL},
    {"//example.com/", "- - - example.com - / - - -", NULL},
    {"//example.com/a;b?c#d", "- - - example.com - /a b c d", NULL},
    {"//example.com:80/a", "- - - example.com 80 /a - - -", NULL},
    {"//user@example.com/a", "- user - example.com - /a - - -", NULL},
    {"//[::1]/a", "- - - ::1 - /a - - -", NULL},
    {"//", "- - -  -  - - -", NULL},
    {"///", "- - -  - / - - -", NULL},
    {"///a", "- - -  - /a - - -", NULL},
    {"////", "- - -  - // - - -", NULL},
    {"////a", "- - -  - //a - - -", NULL},
    {"//?a", "- - -  -  - a -", NULL},
    {"//#a", "- - -  -  - - a", NULL},
    {"//a?b", "- - - a -  - b -", NULL},
    {"//a#b", "- - - a -  - - b", NULL},
    {"/", "- - - - - / - - -", NULL},
    {"/a", "- - - - - /a - - -", NULL},
    {"/a/b", "- - - - - /a/b - - -", NULL},
    {"/a;b", "- - - - - /a b - -", NULL},
    {"/a;b/c", "- - - - - /a;b/c - - -", NULL},
    {"/a;b/c;d", "- - - - - /a;b/c d - -", NULL},
    {"/a?b", "- - - - - /a - b -", NULL},
    {"/a#b", "- - - - - /a - - b", NULL},
    {"/a?b#c", "- - - - - /a - b c", NULL},
    {"/a:b", "- - - - - /a:b - - -", NULL},
    {"/a//b", "- - - - - /a//b - - -", NULL},
    {"/a:b;c", "- - - - - /a:b c - -", NULL},
    {"/.", "- - - - - /. - - -", NULL},
    {"/..", "- - - - - /.. - - -", NULL},
    {"/?", "- - - - - / -  -", NULL},
    {"/#", "- - - - - / - - ", NULL},
    {"/;", "- - - - - /  - -", NULL},
    {"/;a", "- - - - - / a - -", NULL},
    {"a", "- - - - - a - - -", NULL},
    {"a/b", "- - - - - a/b - - -", NULL},
    {"a/b:c", "- - - - - a/b:c - - -", NULL},
    {"a;b", "- - - - - a b - -", NULL},
    {"a;b:c", "- - - - - a b:c - -", NULL},
    {"a;b/c", "- - - - - a;b/c - - -", NULL},
    {"a?b", "- - - - - a - b -", NULL},
    {"a#b", "- - - - - a - - b", NULL},
    {"a?b:c", "- - - - - a - b:c -", NULL},
    {"a?b/c", "- - - - - a - b/c -", NULL},
    {"a#b:c", "- - - - - a - - b:c", NULL},
    {"a?b#c", "- - - - - a - b c", NULL},
    {"?a", "- - - - -  - a -", NULL},
    {"?a#b", "- - - - -  - a b", NULL},
    {"?", "- - - - -  -  -", NULL},
    {"#", "- - - - -  - - ", NULL},
    {"#a", "- - - - -  - - a", NULL},
    {"#a?b", "- - - - -  - - a?b", NULL},
    {"?#", "- - - - -  -  ", NULL},
    {"?a?b", "- - - - -  - a?b -", NULL},
    {";", "- - - - -   - -", NULL},
    {";a", "- - - - -  a - -", NULL},
    {";a;b", "- - - - -  a;b - -", NULL},
    {";a/b", "- - - - - ;a/b - - -", NULL},
    {".", "- - - - - . - - -", NULL},
    {"..", "- - - - - .. - - -", NULL},
    {"./a", "- - - - - ./a - - -", NULL},
    {"../a", "- - - - - ../a - - -", NULL},
    {"./a:b", "- - - - - ./a:b - - -", NULL},
    {"*", "- - - - - * - - -", NULL},
    {"@", "- - - - - @ - - -", NULL},
    {"@a", "- - - - - @a - - -", NULL},
    {"a@b", "- - - - - a@b - - -", NULL},
    {"a@b:c", "- - - - - a@b:c - - -", NULL},
    {"a=b", "- - - - - a=b - - -", NULL},
    {"a&b", "- - - - - a&b - - -", NULL},
    {"-", "- - - - - - - - -", NULL},
    {"~", "- - - - - ~ - - -", NULL},
    {"%41", "- - - - - %41 - - -", NULL},
    {"%", "- - - - - % - - -", NULL},
    {"\xc3\xa4", "- - - - - \xc3\xa4 - - -", NULL},
    {"\xc3\xa4:b", "- - - - - \xc3\xa4:b - - -", NULL},
    {"[", "- - - - - [ - - -", NULL},
    {"[::1]", "- - - - - [::1] - - -", NULL},
    {"{a}", "- - - - - {a} - - -", NULL},
    {"a|b", "- - - - - a|b - - -", NULL},
    {"\"", "- - - - - \" - - -", NULL},
    {"", "- - - - -  - - -", NULL},
};

static void parses(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        struct url u;
        const char *why = "";
        char got[512];
        if (!url_parse(str_z(good[i].url), &u, &why))
            fail_msg("%s: %s", good[i].url, why);
        show(got, &u);
        if (strcmp(got, good[i].want) != 0)
            fail_msg("%s\n  gave %s\n  want %s", good[i].url, got, good[i].want);
        struct str again = formatted(got, &u);
        if (!str_eq(again, str_z(good[i].again ? good[i].again : good[i].url)))
            fail_msg("%s became %.*s", good[i].url, STR_ARG(again));
    }
}

#define NO_HOST "the host holds a byte that no host has"
#define NO_USER "the user information holds a byte that it cannot have"
#define NO_PORT "the port must be a number from 0 to 65535"
#define NO_IPV6 "what stands in brackets is not an IPv6 address"
#define NO_CONTROL "a space or control byte must be percent-encoded"

static void refuses(void **state)
{
    static const struct {
        struct str url;
        const char *why;
    } cases[] = {
        // so does Python, here or when it is asked for the port
        {STR("http://example.com:65536/"), NO_PORT},
        {STR("http://example.com:8a/"), NO_PORT},
        {STR("http://example.com:-1/"), NO_PORT},
        {STR("http://example.com:+1/"), NO_PORT},
        {STR("http://example.com:80:90/"), NO_PORT},
        {STR("http://example.com:99999999999999999999/"), NO_PORT},
        {STR("http://[::1/"), "the bracket of the IPv6 address is not closed"},
        {STR("http://::1/"), NO_PORT},
        {STR("http://::1]/"), NO_PORT},
        {STR("http://[]/"), NO_IPV6},
        {STR("http://[:::]/"), NO_IPV6},
        {STR("http://[::1]x/"), "what follows the brackets is not a port"},
        {STR("http://[::1]80/"), "what follows the brackets is not a port"},
        {STR("http://x[::1]/"), NO_HOST},
        {STR("http://[example.com]/"), NO_IPV6},
        {STR("http://[127.0.0.1]/"), NO_IPV6},
        {STR("http://[::1]:80a/"), NO_PORT},
        {STR("http://[::1]:65536/"), NO_PORT},
        {STR("http://[::1]]/"), "what follows the brackets is not a port"},
        {STR("http://[[::1]]/"), NO_IPV6},
        {STR("http://[1::2::3]/"), NO_IPV6},
        {STR("http://[12345::]/"), NO_IPV6},
        {STR("//a:b/c"), NO_PORT},
        // Python takes these: the authority is held to RFC 3986, without IPvFuture
        {STR("http://[v1.x]/"), NO_IPV6},
        {STR("http://[fe80::1%25eth0]/"), NO_IPV6},
        {STR("http://a<b>/"), NO_HOST},
        {STR("http://a\"b/"), NO_HOST},
        {STR("http://a^b/"), NO_HOST},
        {STR("http://a`b/"), NO_HOST},
        {STR("http://a|b/"), NO_HOST},
        {STR("http://a{b}/"), NO_HOST},
        {STR("http://good.example\\@evil.example/"), NO_USER},
        {STR("http://good.example\\evil.example/"), NO_HOST},
        {STR("http://us\\er@example.com/"), NO_USER},
        {STR("http://ex\xc3\xa4mple.com/"), NO_HOST},
        // and these it strips or cuts
        {STR(" http://h/"), NO_CONTROL},
        {STR("http://h/ "), NO_CONTROL},
        {STR("http://h/a b"), NO_CONTROL},
        {STR("http://h/\ta"), NO_CONTROL},
        {STR("ht\ntp://h/"), NO_CONTROL},
        {STR("http://h/\r\n"), NO_CONTROL},
        {STR("http://h/\0"), NO_CONTROL},
        {STR("http://h\0.x/"), NO_CONTROL},
        {STR("http://h/?\x7f"), NO_CONTROL},
        {STR("http://h/#\x01"), NO_CONTROL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct url u;
        const char *why = "";
        if (url_parse(cases[i].url, &u, &why))
            fail_msg("%.*s was taken", STR_ARG(cases[i].url));
        assert_string_equal(why, cases[i].why);
    }
}

static void formats(void **state)
{
    static const struct {
        struct url url;
        const char *want;
    } cases[] = {
        {{.port = -1}, ""},
        {{.port = -1, .path = STR("a:b")}, "./a:b"},
        {{.port = -1, .path = STR("a/b:c")}, "a/b:c"},
        {{.port = -1, .path = STR(":b")}, ":b"},
        {{.port = -1, .path = STR("//a")}, "/.//a"},
        {{.port = -1, .scheme = STR("x"), .path = STR("//a")}, "x:/.//a"},
        {{.port = -1, .scheme = STR("x"), .path = STR("a:b")}, "x:a:b"},
        {{.port = -1, .host = STR("h"), .path = STR("a")}, "//h/a"},
        {{.port = -1, .host = STR("h"), .path = STR("//a")}, "//h//a"},
        {{.port = -1, .host = STR("h"), .params = STR("a")}, "//h/;a"},
        {{.port = 0, .host = STR("::1")}, "//[::1]:0"},
        {{.port = 65535, .host = STR("h"), .username = STR("")}, "//@h:65535"},
        {{.port = -1, .host = STR("h"), .password = STR("p:w@/")}, "//:p:w%40%2F@h"},
        {{.port = -1, .host = STR("h"), .username = STR("a:b@\xc3\xa9")}, "//a%3Ab%40%C3%A9@h"},
        {{.port = -1, .path = STR("/a?b#c d"), .params = STR("e/f?g#h")},
         "/a%3Fb%23c%20d;e%2Ff%3Fg%23h"},
        {{.port = -1, .query = STR("a?b#c\n"), .fragment = STR("d#e?f\0")}, "?a?b%23c%0A#d#e?f%00"},
        {{.port = -1, .path = STR("100%"), .query = STR(""), .fragment = STR("")}, "100%?#"},
    };
    char got[512];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str text = formatted(got, &cases[i].url);
        if (!str_eq(text, str_z(cases[i].want)))
            fail_msg("got %.*s, want %s", STR_ARG(text), cases[i].want);
    }
}

static void check_join(const char *base, const char *ref, const char *want)
{
    char got[256];
    struct str text = str_of(got, url_join(got, str_z(base), str_z(ref)));
    if (!str_eq(text, str_z(want)))
        fail_msg("%s and %s\n  gave %.*s\n  want %s", base, ref, STR_ARG(text), want);
    assert_true(text.n <= strlen(base) + strlen(ref) + URL_JOIN_EXTRA);
}

// RFC 3986 §5.4.1 and §5.4.2, the last as strict parsers have it.
static void joins_as_the_rfc_says(void **state)
{
    static const char *const cases[][2] = {
        {"g:h", "g:h"},
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q#s"},
        {"g#s", "http://a/b/c/g#s"},
        {"g?y#s", "http://a/b/c/g?y#s"},
        {";x", "http://a/b/c/;x"},
        {"g;x", "http://a/b/c/g;x"},
        {"g;x?y#s", "http://a/b/c/g;x?y#s"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"../../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"},
        {"g..", "http://a/b/c/g.."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/./x", "http://a/b/c/g?y/./x"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"g#s/./x", "http://a/b/c/g#s/./x"},
        {"g#s/../x", "http://a/b/c/g#s/../x"},
        {"http:g", "http:g"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_join("http://a/b/c/d;p?q", cases[i][0], cases[i][1]);
}

static void joins_as_python_does(void **state)
{
    static const char *const cases[][3] = {
        {"http://a", "g", "http://a/g"},
        {"http://a", "/g", "http://a/g"},
        {"http://a", "?y", "http://a?y"},
        {"http://a", "#s", "http://a#s"},
        {"http://a", "", "http://a"},
        {"http://a", "..", "http://a/"},
        {"http://a?q", "g", "http://a/g"},
        {"http://a#f", "g", "http://a/g"},
        {"http://a/", "g", "http://a/g"},
        {"http://a/b", ".", "http://a/"},
        {"http://a/b/", "..", "http://a/"},
        {"http://a/b/", "../..", "http://a/"},
        {"http://a/b?c=/d/e", "g", "http://a/g"},
        {"http://a/b#c/d", "g", "http://a/g"},
        {"http://u:p@a:80/b", "g", "http://u:p@a:80/g"},
        {"http://u:p@a:80/b", "//c", "http://c"},
        {"http://a/b", "https://c", "https://c"},
        {"http://a/b", "https:c", "https:c"},
        {"HTTP://A/b", "g", "http://A/g"},
        {"http://a/b?q#f", "?y", "http://a/b?y"},
        {"http://a/b", "c:d", "c:d"},
        {"http://a/b", "./c:d", "http://a/c:d"},
        {"http://a/b", "/c:d", "http://a/c:d"},
        {"http://a/b", "mailto:x@y", "mailto:x@y"},
        {"http://a/b/c", "/d//e", "http://a/d//e"},
        {"http://a/b/c", "/.//g", "http://a//g"},
        {"file:///a/b", "c", "file:///a/c"},
        {"file:///a/b", "/c", "file:///c"},
        {"file:///a/b", "//h/c", "file://h/c"},
        {"file:///a/b", "../../c", "file:///c"},
        {"ftp://h/a;type=i", "b", "ftp://h/b"},
        {"x:", "c:d", "c:d"},
        {"ws://h/a/b", "../c", "ws://h/c"},
        {"/a/b", "c", "/a/c"},
        {"/a/b", "../c", "/c"},
        {"a/b", "c", "a/c"},
        {"a/b", "../c", "c"},
        {"a/b", "../../c", "c"},
        {"a", "b", "b"},
        {"", "b", "b"},
        {"", "/b", "/b"},
        {"", "http://h/", "http://h/"},
        {"//h/a", "b", "//h/b"},
        {"//h", "b", "//h/b"},
        {"/a", "//h", "//h"},
        {"a/b", "./c:d", "a/c:d"},
        {"http://a/%2e%2e/b", "c", "http://a/%2e%2e/c"},
        {"http://a/b/%2E%2E/", "../c", "http://a/b/c"},
        {"http://a/b/c", "%2e%2e/d", "http://a/b/%2e%2e/d"},
        {"http://[::1]:80/a", "b", "http://[::1]:80/b"},
        {"http://a/b;c", "d;e", "http://a/d;e"},
        {"http://a/b;c/d", "?x", "http://a/b;c/d?x"},
        {"http://a/b;c", "#x", "http://a/b;c#x"},
        {"http://a/b;c", "", "http://a/b;c"},
        {"http://a/b;c", "?x", "http://a/b;c?x"},
        {"http://a/\xc3\xa4", "\xc3\xb6", "http://a/\xc3\xb6"},
        {"http://a/b/c/d", "../../../../../../x", "http://a/x"},
        {"http://a/b/c/d/", "././././x", "http://a/b/c/d/x"},
        {"http://a/b", "c/./../d/", "http://a/d/"},
        {"http://a/b", "c/..", "http://a/"},
        {"http://a/b", "c/../..", "http://a/"},
        {"http://a/b", ".../c", "http://a/.../c"},
        {"http://a/b", "..../", "http://a/..../"},
        {"http://a/..", "x", "http://a/x"},
        {"http://a/b/..", "x", "http://a/b/x"},
        {"http://a/b/../c", "x", "http://a/x"},
        {"http://a/./b", "?y", "http://a/./b?y"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_join(cases[i][0], cases[i][1], cases[i][2]);
}

// Python's urljoin knows the schemes that have hierarchies, drops empty segments and queries, and
// keeps dot segments of another host.
static void joins_by_the_rfc_where_python_differs(void **state)
{
    static const char *const cases[][3] = {
        {"http://a/b", "HTTP://C/../d", "http://C/d"}, // http://C/../d
        {"http://a/b?q", "#", "http://a/b?q#"},        // http://a/b?q
        {"http://a/b?q", "?", "http://a/b?"},          // http://a/b?q
        {"http://a/b?q#f", "", "http://a/b?q"},        // http://a/b?q#f
        {"http://a/b//c/d", "g", "http://a/b//c/g"},   // http://a/b/c/g
        {"http://a/b//c/d", "../g", "http://a/b//g"},  // http://a/b/g
        {"http://a/b/c", "..//g", "http://a//g"},      // http://a/g
        {"http://a/b/c", "//", "http://"},             // http://a/b/c
        {"http://a/b/c", "///g", "http:///g"},         // http://a/g
        {"mailto:a@b", "c", "mailto:c"},               // c
        {"mailto:a@b", "?s=1", "mailto:a@b?s=1"},      // ?s=1
        {"urn:a:b", "c", "urn:c"},                     // c
        {"urn:a:b", "#f", "urn:a:b#f"},                // #f
        {"x:/a/b", "/..//c", "x:/.//c"},               // /..//c
        {"x:/a", "//h", "x://h"},                      // //h
        {"x:a/b", "../c", "x:c"},                      // ../c
        {"x:a/b", "../../c", "x:c"},                   // ../../c
        {"git://h/a", "b", "git://h/b"},               // b
        {"data:a/b", "c", "data:a/c"},                 // c
        {"/a/b", "../../../c", "/c"},                  // c
        {"?q", "b", "b"},                              // /b
        {"#f", "b", "b"},                              // /b
        {"a", "./c:d", "./c:d"},                       // c:d
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_join(cases[i][0], cases[i][1], cases[i][2]);
}

static void unquotes(void **state)
{
    static const struct {
        struct str s, want;
    } cases[] = {
        {STR(""), STR("")},
        {STR("a+b"), STR("a+b")},
        {STR("%41%62%c3%A9"), STR("Ab\xc3\xa9")},
        {STR("100%"), STR("100%")},
        {STR("%4"), STR("%4")},
        {STR("%zz%4x%%41"), STR("%zz%4x%A")},
        {STR("%00%2541"), STR("\0%41")},
    };
    char got[64];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(str_eq(str_of(got, url_unquote(got, cases[i].s)), cases[i].want));
        memcpy(got, cases[i].s.p, cases[i].s.n); // in place
        struct str inside = str_of(got, cases[i].s.n);
        assert_true(str_eq(str_of(got, url_unquote(got, inside)), cases[i].want));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses),
        cmocka_unit_test(refuses),
        cmocka_unit_test(formats),
        cmocka_unit_test(joins_as_the_rfc_says),
        cmocka_unit_test(joins_as_python_does),
        cmocka_unit_test(joins_by_the_rfc_where_python_differs),
        cmocka_unit_test(unquotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
