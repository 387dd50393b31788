// SPDX-License-Identifier: Apache-2.0
#include <cinttypes>
#include <cstdarg>
#include <cstdio>

#include "commands.h"
#include "stack.h"

namespace {

const char *gil_text(pyb_gil gil)
{
    return gil == PYB_GIL_HOLDS ? "holds GIL" : gil == PYB_GIL_WAITS ? "waits for GIL" : "";
}

// The innermost Python frame as one line, or why there is none.
std::string where(const pyb_thread &thread, uint32_t color)
{
    pyb_text_options options = {};
    options.size = sizeof(options);
    options.flags = color;
    options.current = -1;
    for (uint32_t i = 0; i < thread.n_frames; i++) {
        std::string text;
        if (thread.frames[i].kind != PYB_FRAME_PYTHON || pyb_text_frame(&thread.frames[i], 0, &options, append, &text) != 0)
            continue;
        const size_t begin = text.find_first_not_of(' ');
        return begin == std::string::npos ? "" : text.substr(begin);
    }
    return thread.has_python ? "no Python frame\n" : "no Python state\n";
}

std::string line_of(const pyb_thread &thread, lldb::SBProcess &process, uint32_t color)
{
    lldb::SBThread known = process.GetThreadByID(static_cast<lldb::tid_t>(thread.tid));
    const bool selected = known.IsValid() && known == process.GetSelectedThread();
    const char *name = thread.name ? thread.name : thread.os_name ? thread.os_name : "?";
    const std::string number = known.IsValid() ? "#" + std::to_string(known.GetIndexID()) : "-";
    char head[64], tail[32];
    (void)std::snprintf(head, sizeof(head), "%c %-4s %-8d ", selected ? '*' : ' ', number.c_str(), thread.tid);
    (void)std::snprintf(tail, sizeof(tail), " %-13s ", gil_text(thread.gil));
    std::string shown = escape(name);
    size_t width = 0;
    for (const char byte : shown)
        width += (byte & 0xc0) != 0x80; // not the second and further bytes of a character
    shown.append(width < 24 ? 24 - width : 0, ' ');
    return head + shown + tail + where(thread, color);
}

void row(std::string &text, const char *label, const std::string &value)
{
    if (!value.empty())
        text += std::string(label) + ":" + std::string(9 - std::string(label).size(), ' ') + escape(value.c_str()) + "\n";
}

std::string or_empty(const char *text)
{
    return text ? text : "";
}

__attribute__((format(printf, 1, 2))) std::string formatted(const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)std::vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return text;
}

} // namespace

bool run_threads(Call &call)
{
    Result result;
    if (!read_all(call.debugger, 0, call.has(OPTION_JSON), result, call.failure))
        return false;
    if (call.has(OPTION_JSON))
        return pyb_json(result.get(), append, &call.text) == 0 || call.failure.set("no memory for the output");
    lldb::SBProcess process = call.debugger.GetSelectedTarget().GetProcess();
    for (uint32_t i = 0; i < result->n_threads; i++)
        call.text += line_of(result->threads[i], process, call.color());
    return true;
}

bool run_info(Call &call)
{
    lldb::SBProcess process;
    pyb_info info = {};
    pyb_error error = {};
    info.size = sizeof(info);
    if (!stopped_process(call.debugger, process, call.failure))
        return false;
    Session *session = Session::of(call.debugger, process, call.failure);
    if (!session)
        return false;
    if (pyb_session_info(session->handle(), &info, &error) != 0)
        return call.failure.set(error);
    row(call.text, "Python", or_empty(info.version) + (info.free_threaded ? ", free-threaded" : "") + (info.debug_build ? ", debug build" : ""));
    row(call.text, "found by", or_empty(info.found_by));
    row(call.text, "runtime", formatted("0x%" PRIx64, info.runtime));
    row(call.text, "in", or_empty(info.module));
    row(call.text, "layout", or_empty(info.layout));
    row(call.text, "note", or_empty(info.layout_note));
    row(call.text, "memory", formatted("%" PRIu64 " reads, %" PRIu64 " bytes, %" PRIu64 " cache hits", info.reads, info.bytes_read, info.cache_hits));
    const std::string version = or_empty(lldb::SBDebugger::GetVersionString());
    row(call.text, "pybraid", or_empty(pyb_version()) + " (" + version.substr(0, version.find('\n')) + ")");
    return true;
}
