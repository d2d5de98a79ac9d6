// Coded forms that lie beside a file: x.gz, x.br and x.zst beside x, made by the site's author.
//
// One counts when it is a regular file that may be seen by the rules of content/file, is not empty,
// and is not older than the file: what was changed since is not what was compressed. Copies that
// keep whole seconds of the times only are not older by the fraction that they lost.
#ifndef LUNETTE_CONTENT_SIBLINGS_H
#define LUNETTE_CONTENT_SIBLINGS_H

#include "content/coding_choice.h"
#include "content/file.h"

// The codings that have a form beside f, which path led to: 1u << CODING_…. Looks at the disk; a
// file that is such a form by its name has none itself.
unsigned siblings_of(const struct file_root *r, struct str path, const struct file *f);

// The path of that form, in dst; n 0 when it is longer than cap.
struct str sibling_path(struct str path, enum coding c, char *dst, size_t cap);
bool sibling_is_fresh(struct timespec form, struct timespec original);

#endif
