// What people type into a command: lines of the standard input, and Control-C. For lunette.console.
//
// Both wait as everything does in a co: while nobody types, timers and tasks go on.
#ifndef LUNETTE_SCRIPT_CONSOLE_INPUT_H
#define LUNETTE_SCRIPT_CONSOLE_INPUT_H

#include <lua.h>

enum { CONSOLE_LINE_MAX = 1 << 20 }; // bytes of a line, its line feed included

// Adds to the table on top:
//
//   interactive        whether the standard input is a terminal
//   read_line()        → the next line without its line feed; nil at the end of the input; nil and
//                      "interrupted" when Control-C was pressed meanwhile, which drops what is not
//                      read yet; nil and a sentence for a line that is too long, which is skipped
//   catch_interrupts() from here on Control-C does not end the process
//   raise_interrupts(on)
//                      from here on, or no more, the co that calls this gets the error "interrupted"
//                      when its Lua runs at the moment of a Control-C, without waiting. One at a time
//   wait_interrupt()   waits for a Control-C that neither a read_line nor such an error took
//   die()              ends the process, as a Control-C does that nobody catches
//
// One co at a time waits in each of the two.
void console_input_register(lua_State *L);

#endif
