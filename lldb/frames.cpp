// SPDX-License-Identifier: Apache-2.0
// Subcommands about one Python frame of the selected thread.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "commands.h"
#include "stack.h"

namespace {

struct Chosen {
    Braid braid;
    uint32_t index = 0;
    const pyb_frame &frame() const { return braid.thread->frames[braid.python[index]]; }
};

bool choose(Call &call, Chosen &ret)
{
    return read_selected(call.debugger, 0, false, ret.braid, call.failure) && selected_index(ret.braid, ret.index, call.failure);
}

bool show(Call &call, const Chosen &chosen)
{
    pyb_text_options options = {};
    options.size = sizeof(options);
    options.flags = call.color();
    options.current = -1;
    return pyb_text_frame(&chosen.frame(), chosen.index, &options, append, &call.text) == 0 ||
           call.failure.set("no memory for the output");
}

bool move(Call &call, bool up)
{
    Chosen chosen;
    uint32_t steps = 1;
    if (!call.options.words.empty() && !parse_count(call.options.words[0], false, steps))
        return call.failure.set("COUNT must be a whole number above 0, not '" + call.options.words[0] + "'", PYB_E_USAGE);
    if (!choose(call, chosen))
        return false;
    const uint32_t last = static_cast<uint32_t>(chosen.braid.python.size()) - 1, now = chosen.index;
    chosen.index = up ? (last - now < steps ? last : now + steps) : (now < steps ? 0 : now - steps);
    if (chosen.index == now)
        return call.failure.set(up ? "Already at the outermost Python frame." : "Already at the innermost Python frame.");
    select(chosen.braid, chosen.index);
    return show(call, chosen);
}

uint32_t read_flags(const Call &call)
{
    return call.has(OPTION_VERBOSE) ? PYB_READ_VERBOSE : 0;
}

std::string local_line(const pyb_local &local)
{
    const std::string name = local.name ? escape(local.name) : "?";
    if (local.repr)
        return name + " = " + escape(local.repr) + "\n";
    const char *why = local.note ? local.note : local.type ? local.type : "unreadable";
    return name + " = <" + escape(why) + ">\n";
}

bool range_of(const std::string &words, int32_t line, uint32_t &start, uint32_t &end)
{
    const size_t comma = words.find(',');
    start = line > 5 ? static_cast<uint32_t>(line) - 5 : 1;
    end = static_cast<uint32_t>(line > 1 ? line : 1) + 5;
    if (words.empty())
        return true;
    if (!parse_count(words.substr(0, comma), false, start))
        return false;
    end = start + 10;
    return comma == std::string::npos || parse_count(words.substr(comma + 1), false, end);
}

void list_lines(FILE *file, uint32_t start, uint32_t end, int32_t current, std::string &text)
{
    char *line = nullptr;
    size_t size = 0;
    for (uint32_t number = 1; number <= end && getline(&line, &size, file) >= 0; number++) {
        if (number < start)
            continue;
        line[std::strcspn(line, "\r\n")] = '\0';
        std::replace(line, line + std::strlen(line), '\t', ' ');
        char head[24];
        (void)std::snprintf(head, sizeof(head), "%s%4u    ", static_cast<int64_t>(number) == current ? ">" : " ", number);
        text += head + escape(line) + "\n";
    }
    std::free(line);
}

} // namespace

bool run_up(Call &call)
{
    return move(call, true);
}

bool run_down(Call &call)
{
    return move(call, false);
}

bool run_frame(Call &call)
{
    Chosen chosen;
    if (!choose(call, chosen))
        return false;
    if (call.options.words.empty())
        return show(call, chosen);
    const std::string &word = call.options.words[0];
    if (!parse_count(word, true, chosen.index) || chosen.index >= chosen.braid.python.size())
        return call.failure.set("No Python frame " + escape(word.c_str()) + ": this thread has " +
                                    std::to_string(chosen.braid.python.size()) + ", numbered from 0.",
                                PYB_E_USAGE);
    select(chosen.braid, chosen.index);
    return show(call, chosen);
}

bool run_locals(Call &call)
{
    Chosen chosen;
    pyb_read_options options = {};
    const pyb_local *locals = nullptr;
    uint32_t n = 0;
    pyb_error error = {};
    options.size = sizeof(options);
    options.flags = read_flags(call);
    if (!choose(call, chosen))
        return false;
    if (pyb_frame_locals(chosen.braid.session->handle(), &chosen.frame(), &options, &locals, &n, &error) != 0)
        return call.failure.set(error);
    for (uint32_t i = 0; i < n; i++)
        call.text += local_line(locals[i]);
    if (n == 0)
        call.text = "No locals.\n";
    return true;
}

bool run_print(Call &call)
{
    Chosen chosen;
    pyb_read_options options = {};
    pyb_addr address = 0;
    const char *scope = nullptr, *value = nullptr;
    pyb_error error = {};
    if (call.options.words.empty())
        return call.failure.set("Usage: pystack print NAME[.ATTRIBUTE]...", PYB_E_USAGE);
    const std::string &name = call.options.words[0];
    if (!choose(call, chosen))
        return false;
    pyb_session *session = chosen.braid.session->handle();
    const int code = pyb_lookup_name(session, &chosen.frame(), name.c_str(), &address, &scope, &error);
    if (code == PYB_E_NOTFOUND)
        return call.failure.set("'" + escape(name.c_str()) + "' is no local, global or builtin name here.", code);
    const std::string where = scope ? scope : ""; // lives until the session's next call
    options.size = sizeof(options);
    options.flags = read_flags(call);
    options.repr_length = 4096;
    options.repr_items = 200;
    if (code != 0 || pyb_repr(session, address, &options, &value, &error) != 0)
        return call.failure.set(error);
    call.text = where + " '" + escape(name.c_str()) + "' = " + escape(value) + "\n";
    return true;
}

bool run_list(Call &call)
{
    Chosen chosen;
    uint32_t start, end;
    if (!choose(call, chosen))
        return false;
    const pyb_frame &frame = chosen.frame();
    if (!range_of(call.options.words.empty() ? "" : call.options.words[0], frame.line, start, end))
        return call.failure.set("Usage: pystack list [START | START,END]", PYB_E_USAGE);
    if (!frame.file)
        return call.failure.set("The file of this frame could not be read from the target.");
    const std::string root = "/proc/" + std::to_string(chosen.braid.session->process().GetProcessID()) + "/root";
    FILE *file = std::fopen(frame.file, "re");
    if (!file)
        file = std::fopen((root + frame.file).c_str(), "re");
    if (!file)
        return call.failure.set("Cannot open " + escape(frame.file) + ".");
    list_lines(file, start, end, frame.line, call.text);
    (void)std::fclose(file);
    return true;
}
