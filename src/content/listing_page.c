// The page of a folder: see content/listing.h. It fetches nothing, has no script, and without its
// style it is a heading and a table.
//
// A name can be any bytes but NUL and slash. In text it is escaped, bytes that are no UTF-8 are
// U+FFFD, control characters are their pictures (U+2400 …), those that turn the direction of text are
// U+FFFD too, so that no "exe.jpg" is a "gpj.exe", and <bdi> keeps the name's own direction to itself.
// In a link every byte but those that mean nothing is percent-encoded, behind "./", so that neither
// "javascript:x" nor ":x" is a scheme.
#include "base/html.h"
#include "base/utf8.h"
#include "content/listing.h"
#include "http/date.h"

#include <stdio.h>
#include <string.h>

enum { FOOT_MAX = 512 }; // kept free for what comes after the entries

static const char head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>";
static const char style[] =
    "</title>\n"
    "<style>\n"
    ":root { color-scheme: light dark; --ink: #22252b; --soft: #5b6270; --paper: #fbfbf9;\n"
    "  --line: #e3e3de; --link: #1d4f91; --over: #f1f1ec }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "  :root { --ink: #e8e8e4; --soft: #a3a9b5; --paper: #17191d; --line: #2e3239;\n"
    "    --link: #9cc2f5; --over: #20242a }\n"
    "}\n"
    "body { margin: 0; color: var(--ink); background: var(--paper);\n"
    "  font: 1rem/1.5 system-ui, sans-serif }\n"
    "main { max-width: 56rem; margin: 0 auto; padding: 2.5rem 1.5rem }\n"
    "h1 { margin: 0 0 1.25rem; font-size: 1.5rem; line-height: 1.3; font-weight: 600;\n"
    "  overflow-wrap: anywhere }\n"
    "table { width: 100%; border-collapse: collapse }\n"
    "th, td { padding: .4rem .5rem; border-bottom: 1px solid var(--line); text-align: right;\n"
    "  white-space: nowrap; vertical-align: top; font-variant-numeric: tabular-nums }\n"
    "th:first-child, td:first-child { width: 100%; text-align: left; white-space: normal;\n"
    "  overflow-wrap: anywhere }\n"
    "th { font-weight: 600; font-size: .875rem }\n"
    "td { color: var(--soft) }\n"
    "tbody tr:hover { background: var(--over) }\n"
    "a { color: var(--link); text-decoration: none }\n"
    "a:hover, a:focus-visible { text-decoration: underline }\n"
    "th a { color: var(--soft) }\n"
    "th[aria-sort] a { color: var(--ink) }\n"
    ".folder a { font-weight: 600 }\n"
    "p { margin: 1.25rem .5rem 0; color: var(--soft) }\n"
    "@media (max-width: 34rem) {\n"
    "  main { padding: 1.5rem .75rem }\n"
    "  th, td { padding: .4rem .35rem }\n"
    "  .clock { display: none }\n"
    "}\n"
    "</style>\n"
    "</head>\n"
    "<body>\n"
    "<main>\n"
    "<h1>";

// --- names ---

static bool add_picture(struct buf *out, unsigned char c)
{
    char picture[] = {(char)0xe2, (char)0x90, (char)(0x80 + (c == 0x7f ? 0x21 : c))};
    return buf_add(out, str_of(picture, sizeof picture));
}

static bool add_char(struct buf *out, char c)
{
    const struct html_entity *entity = &html_entities[(unsigned char)c];
    if (entity->n)
        return buf_add(out, str_of(entity->text, entity->n));
    bool control = (unsigned char)c < 0x20 || c == 0x7f;
    return control ? add_picture(out, (unsigned char)c) : buf_addc(out, c);
}

// U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069.
static bool turns_text(const char *p, int n)
{
    if (n != 3 || memcmp(p, "\xe2\x80", 2) != 0)
        return n == 3 && memcmp(p, "\xe2\x81", 2) == 0 && (unsigned char)p[2] >= 0xa6 &&
               (unsigned char)p[2] <= 0xa9;
    unsigned char last = (unsigned char)p[2];
    return last == 0x8e || last == 0x8f || (last >= 0xaa && last <= 0xae);
}

static bool add_text(struct buf *out, struct str s)
{
    bool ok = true;
    for (size_t i = 0; ok && i < s.n;) {
        int n = utf8_step(s.p + i, s.n - i);
        if (n == 1)
            ok = add_char(out, s.p[i]);
        else
            ok = buf_add(out, n > 0 && !turns_text(s.p + i, n) ? str_of(s.p + i, (size_t)n)
                                                               : STR("\xef\xbf\xbd"));
        i += (size_t)(n > 0 ? n : -n);
    }
    return ok;
}

static bool add_encoded(struct buf *out, struct str s)
{
    static const char hex[] = "0123456789ABCDEF";
    char *p = buf_room(out, 3 * s.n), *end = p;
    if (!p)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            (c && strchr("-._~", c))) {
            *end++ = c;
            continue;
        }
        *end++ = '%';
        *end++ = hex[(unsigned char)c >> 4];
        *end++ = hex[(unsigned char)c & 15];
    }
    buf_added(out, (size_t)(end - p));
    return true;
}

// --- the table ---

// "417 B", "1.2 kB", "34 MB": three digits at most.
static bool add_size(struct buf *out, uint64_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)size;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1000;
        unit++;
    }
    return buf_addf(out, "<td title=\"%llu byte%s\">%.*f %s</td>", (unsigned long long)size,
                    size == 1 ? "" : "s", unit && value < 9.95 ? 1 : 0, value, units[unit]);
}

// "1994-11-06 08:49" in UTC; nothing for a year that has no four digits.
static bool add_time(struct buf *out, int64_t t)
{
    char iso[DATE_ISO_MAX];
    if (t < DATE_MIN || t > DATE_MAX)
        return buf_add(out, STR("<td></td>"));
    size_t n = date_format_iso(iso, t * 1000);
    return buf_addf(out,
                    "<td><time datetime=\"%.*s\">%.10s<span class=\"clock\"> %.5s</span>"
                    "</time></td>",
                    (int)n, iso, iso, iso + 11);
}

static bool add_entry(struct buf *out, const struct listing *l, const struct listing_entry *e)
{
    struct str name = str_of(l->names.p + e->name, e->name_n);
    const char *slash = e->is_dir ? "/" : "";
    return buf_addf(out, "<tr%s><td><a href=\"./", e->is_dir ? " class=\"folder\"" : "") &&
           add_encoded(out, name) && buf_addf(out, "%s\"><bdi>", slash) && add_text(out, name) &&
           buf_addf(out, "</bdi>%s</a></td>", slash) &&
           (e->is_dir ? buf_add(out, STR("<td>&ndash;</td>")) : add_size(out, e->size)) &&
           add_time(out, e->modified) && buf_add(out, STR("</tr>\n"));
}

// All that fit; false when some did not. An entry is there as a whole or not at all.
static bool add_entries(struct buf *out, const struct listing *l)
{
    for (size_t i = 0; i < l->n; i++) {
        size_t before = out->n;
        if (add_entry(out, l, &l->entries[i]) && out->n + FOOT_MAX <= out->max)
            continue;
        out->n = before;
        return false;
    }
    return true;
}

static const struct column {
    enum listing_key key;
    const char *name, *heading;
} columns[] = {
    {LISTING_NAME, "name", "Name"},
    {LISTING_SIZE, "size", "Size"},
    {LISTING_TIME, "time", "Modified"},
};

// A column's heading sorts by it; that of the column in force turns the order around.
static bool add_heading(struct buf *out, const struct column *c, struct listing_order now)
{
    bool in_force = c->key == now.key;
    bool descending = in_force ? !now.descending : c->key != LISTING_NAME;
    return buf_addf(out, "<th scope=\"col\"%s%s%s><a href=\"?sort=%s&amp;order=%s\">%s</a>%s</th>",
                    in_force ? " aria-sort=\"" : "",
                    !in_force        ? ""
                    : now.descending ? "descending"
                                     : "ascending",
                    in_force ? "\"" : "", c->name, descending ? "desc" : "asc", c->heading,
                    !in_force        ? ""
                    : now.descending ? " &darr;"
                                     : " &uarr;");
}

static bool add_table_head(struct buf *out, const struct listing_page *page)
{
    bool ok = buf_add(out, STR("<table>\n<thead><tr>"));
    for (size_t i = 0; ok && i < sizeof columns / sizeof *columns; i++)
        ok = add_heading(out, &columns[i], page->order);
    ok = ok && buf_add(out, STR("</tr></thead>\n<tbody>\n"));
    return ok &&
           (page->top ||
            buf_add(out,
                    STR("<tr class=\"folder\"><td><a href=\"../\" title=\"the folder above\">..</a>"
                        "</td><td></td><td></td></tr>\n")));
}

static bool add_foot(struct buf *out, const struct listing *l, bool whole)
{
    bool ok = buf_add(out, STR("</tbody>\n</table>\n"));
    if (ok && l->n == 0)
        ok = buf_add(out, STR("<p>There is nothing here.</p>\n"));
    if (ok && (l->more || !whole))
        ok = buf_add(out, STR("<p>There is more in this folder than is shown here.</p>\n"));
    return ok && buf_add(out, STR("</main>\n</body>\n</html>\n"));
}

bool listing_write(const struct listing *l, const struct listing_page *page, struct buf *out)
{
    if (!buf_add(out, STR(head)) || !add_text(out, page->title) || !buf_add(out, STR(style)) ||
        !buf_add(out, STR("<bdi>")) || !add_text(out, page->title) ||
        !buf_add(out, STR("</bdi></h1>\n")) || !add_table_head(out, page))
        return false;
    bool whole = add_entries(out, l);
    return add_foot(out, l, whole);
}
