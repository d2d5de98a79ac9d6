// Private to log*.c: the bytes of one record of the error log.
#ifndef LUNETTE_BASE_LOG_RECORD_H
#define LUNETTE_BASE_LOG_RECORD_H

#include "base/log.h"

// "2026-11-22T21:04:27.123Z warn [1234] [id] ", of now and this process; at most 256 bytes of the id,
// whose part is left out where it has none. room: 128 bytes at least, and those of the id. Returns the
// length.
size_t log_record_front(char *line, size_t room, enum log_level level, struct str id);
// The same with the text, of any bytes, and a line feed. What there is no room for is cut.
size_t log_record_make(char *line, size_t room, enum log_level level, struct str id,
                       struct str text);

#endif
