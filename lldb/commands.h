// SPDX-License-Identifier: Apache-2.0
/**
 * `pystack` and its subcommands. What they print comes from the library, so that every front end prints the same.
 *
 * One plain command that looks at its first word: a multiword command of LLDB cannot be run by itself, and `pystack` is.
 */
#ifndef PYBRAID_LLDB_COMMANDS_H
#define PYBRAID_LLDB_COMMANDS_H
#include "options.h"
#include "session.h"

/** What a subcommand works with. `text` is printed if it succeeds. */
struct Call {
    lldb::SBDebugger &debugger;
    const Options &options;
    std::string text;
    Failure failure;

    bool has(Option option) const { return (options.given & option) != 0; }
    /** PYB_TEXT_COLOR if the text goes to a terminal that shows colours, else 0. */
    uint32_t color();
};

/** Appends to the std::string `ctx`: a pyb_write_fn. */
int append(void *ctx, const char *text, size_t length);

// Each returns false with `call.failure` set. frames.cpp:
bool run_up(Call &call);
bool run_down(Call &call);
bool run_frame(Call &call);
bool run_locals(Call &call);
bool run_print(Call &call);
bool run_list(Call &call);
// threads.cpp:
bool run_threads(Call &call);
bool run_info(Call &call);

/** Adds `pystack` to a debugger; false: LLDB refused. */
bool add_commands(lldb::SBDebugger debugger);

#endif
