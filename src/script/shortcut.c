// Shortcuts: see the header. A key is the method, one byte, and the path.
#include "script/shortcut.h"

#include <stdlib.h>
#include <string.h>

struct shortcut {
    struct map_link link; // first: the map gives it back
    struct shortcut *next;
    char key[];
};

bool shortcuts_init(struct shortcuts *s)
{
    s->all = NULL;
    return map_init(&s->map, SHORTCUTS_MAX);
}

void shortcuts_fini(struct shortcuts *s)
{
    map_fini(&s->map);
    while (s->all) {
        struct shortcut *next = s->all->next;
        free(s->all);
        s->all = next;
    }
}

static struct str make_key(char dst[static SHORTCUT_PATH_MAX + 1], enum http_method method,
                           struct str path)
{
    dst[0] = (char)method;
    if (path.n)
        memcpy(dst + 1, path.p, path.n);
    return str_of(dst, path.n + 1);
}

bool shortcuts_have(const struct shortcuts *s, enum http_method method, struct str path)
{
    char key[SHORTCUT_PATH_MAX + 1];
    return s->map.count > 0 && path.n <= SHORTCUT_PATH_MAX &&
           map_find(&s->map, make_key(key, method, path));
}

void shortcuts_add(struct shortcuts *s, enum http_method method, struct str path)
{
    char bytes[SHORTCUT_PATH_MAX + 1];
    if (path.n > SHORTCUT_PATH_MAX)
        return;
    struct str key = make_key(bytes, method, path);
    if (map_find(&s->map, key))
        return;
    if (s->map.count == SHORTCUTS_MAX)
        shortcuts_fini(s);
    struct shortcut *it = malloc(sizeof *it + key.n);
    if (!it)
        return;
    memcpy(it->key, key.p, key.n);
    if (!map_add(&s->map, &it->link, str_of(it->key, key.n))) {
        free(it);
        return;
    }
    it->next = s->all;
    s->all = it;
}
