// Where the script that refreshes pages goes: the last </body> that a browser would take for one.
//
// Tags and what is no markup are told apart as HTML tells them (Living Standard, 13.2.5: tokenization),
// in one pass: comments, values of attributes, and the text of script, style, textarea and the like hold
// no tags. There is no tree: what is in svg or math is read as HTML, too.
#include "content/inject.h"

#include <string.h>

// What is left of a page.
struct cursor {
    const char *p, *end;
};

static size_t left(const struct cursor *c)
{
    return (size_t)(c->end - c->p);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool ends_name(char c)
{
    return c == '>' || c == '/' || is_space(c);
}

static bool begins(const struct cursor *c, struct str with)
{
    return left(c) >= with.n && str_ieq(str_of(c->p, with.n), with);
}

// Whether a tag of that name begins here, "</script" or "<script"; its end may be missing.
static bool begins_tag(const struct cursor *c, const char *open, struct str name)
{
    struct cursor at = {c->p + strlen(open), c->end};
    return begins(c, str_z(open)) && begins(&at, name) && left(&at) > name.n &&
           ends_name(at.p[name.n]);
}

// Moves to the next such byte; false, at the end, when there is none.
static bool next(struct cursor *c, char byte)
{
    const char *found = left(c) ? memchr(c->p, byte, left(c)) : NULL;
    c->p = found ? found : c->end;
    return found != NULL;
}

// Moves behind the next of these bytes; false, at the end, when there is none.
static bool pass(struct cursor *c, struct str bytes)
{
    for (; next(c, bytes.p[0]); c->p++)
        if (begins(c, bytes)) {
            c->p += bytes.n;
            return true;
        }
    return false;
}

// --- what is no markup ---

// Behind "<!--": moves behind the end of the comment, of which "<!-->" and "<!--->" have little.
static void pass_comment(struct cursor *c)
{
    if (begins(c, STR(">")) || begins(c, STR("->"))) {
        pass(c, STR(">"));
        return;
    }
    while (pass(c, STR("--"))) {
        if (begins(c, STR(">")) || begins(c, STR("!>"))) {
            pass(c, STR(">"));
            return;
        }
        c->p--; // the second dash may be the first of the pair
    }
}

// Moves to the end tag of an element whose content is text.
static void pass_text(struct cursor *c, struct str name)
{
    while (next(c, '<') && !begins_tag(c, "</", name))
        c->p++;
}

// The same for a script, in which "<!--" and then "<script" make "</script" text, once.
static void pass_script(struct cursor *c)
{
    const struct str name = STR("script");
    bool escaped = false, twice = false;
    for (; left(c); c->p++) {
        if (*c->p == '-' && begins(c, STR("-->"))) {
            escaped = twice = false;
        } else if (*c->p != '<') {
            continue;
        } else if (begins(c, STR("<!--"))) {
            escaped = true;
            c->p++; // its dashes may be those of "-->"
        } else if (begins_tag(c, "</", name)) {
            if (!twice)
                return;
            twice = false;
        } else if (escaped && begins_tag(c, "<", name)) {
            twice = true;
        }
    }
}

// --- tags ---

static void pass_spaces(struct cursor *c)
{
    while (left(c) && is_space(*c->p))
        c->p++;
}

// Behind "=": moves behind the value of an attribute.
static void pass_value(struct cursor *c)
{
    pass_spaces(c);
    if (left(c) && (*c->p == '"' || *c->p == '\'')) {
        struct str quote = str_of(c->p++, 1);
        pass(c, quote);
        return;
    }
    while (left(c) && *c->p != '>' && !is_space(*c->p))
        c->p++;
}

static void pass_attribute(struct cursor *c)
{
    do // a "=" in front belongs to the name
        c->p++;
    while (left(c) && *c->p != '=' && !ends_name(*c->p));
    pass_spaces(c);
    if (left(c) && *c->p == '=') {
        c->p++;
        pass_value(c);
    }
}

// At the name of a tag: moves behind its ">". False, at the end, when there is none.
static bool pass_tag(struct cursor *c, struct str *name)
{
    const char *start = c->p;
    while (left(c) && !ends_name(*c->p))
        c->p++;
    *name = str_of(start, (size_t)(c->p - start));
    while (left(c) && *c->p != '>') {
        if (*c->p == '/' || is_space(*c->p))
            c->p++;
        else
            pass_attribute(c);
    }
    return pass(c, STR(">"));
}

// At the name of a start tag: moves behind it, and behind the text that it begins.
static void pass_start(struct cursor *c)
{
    static const struct str texts[] = {STR("style"),    STR("textarea"), STR("title"),
                                       STR("xmp"),      STR("iframe"),   STR("noembed"),
                                       STR("noframes"), STR("noscript")};
    struct str name;
    if (!pass_tag(c, &name))
        return;
    if (str_ieq(name, STR("script")))
        pass_script(c);
    if (str_ieq(name, STR("plaintext")))
        c->p = c->end;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (str_ieq(name, texts[i]))
            pass_text(c, name);
}

// At the name of an end tag: moves behind it. Whether it is that of the body.
static bool is_end_of_body(struct cursor *c)
{
    struct str name;
    return pass_tag(c, &name) && str_ieq(name, STR("body"));
}

ptrdiff_t inject_place(struct str html)
{
    struct cursor c = {html.p, html.p + html.n};
    ptrdiff_t last = -1;
    while (next(&c, '<')) {
        const char *angle = c.p++;
        char first = left(&c) ? c.p[0] : '\0', second = left(&c) > 1 ? c.p[1] : '\0';
        if (is_letter(first)) {
            pass_start(&c);
        } else if (first == '/' && is_letter(second)) {
            c.p++;
            if (is_end_of_body(&c))
                last = angle - html.p;
        } else if (begins(&c, STR("!--"))) {
            c.p += 3;
            pass_comment(&c);
        } else if (first == '!' || first == '?' || first == '/') {
            pass(&c, STR(">"));
        }
    }
    return last;
}
