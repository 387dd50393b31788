// SPDX-License-Identifier: Apache-2.0
#include "commands.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <unistd.h>

#include "stack.h"

namespace {

const uint32_t STACK_OPTIONS = OPTION_ALL | OPTION_PYTHON | OPTION_LOCALS | OPTION_VERBOSE | OPTION_JSON | OPTION_TRACEBACK |
                               OPTION_LIMIT | OPTION_OUTPUT;

uint32_t text_flags(Call &call)
{
    const struct {
        Option option;
        uint32_t flag;
    } rows[] = {{OPTION_ALL, PYB_TEXT_ALL},
                {OPTION_PYTHON, PYB_TEXT_PYTHON},
                {OPTION_LOCALS, PYB_TEXT_LOCALS},
                {OPTION_VERBOSE, PYB_TEXT_VERBOSE},
                {OPTION_TRACEBACK, PYB_TEXT_TRACEBACK}};
    uint32_t flags = call.color();
    for (const auto &row : rows)
        flags |= call.has(row.option) ? row.flag : 0;
    return flags;
}

bool print_threads(Call &call, const pyb_process *process, const pyb_thread *one)
{
    pyb_text_options options = {};
    options.size = sizeof(options);
    options.flags = text_flags(call) | (one ? uint32_t{PYB_TEXT_NO_HEADER} : 0);
    options.limit = call.options.limit;
    options.current = -1;
    const pyb_thread *threads = one ? one : process->threads;
    const uint32_t n = one ? 1 : process->n_threads;
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            call.text += "\n";
        if (pyb_text_thread(&threads[i], &options, append, &call.text) != 0)
            return call.failure.set("no memory for the output");
    }
    if (process->note)
        call.text += std::string(n > 0 && !one ? "\n" : "") + process->note + "\n";
    return true;
}

bool run_stack(Call &call, bool all)
{
    const uint32_t flags = (call.has(OPTION_LOCALS) ? uint32_t{PYB_READ_LOCALS} : 0) | (call.has(OPTION_VERBOSE) ? uint32_t{PYB_READ_VERBOSE} : 0);
    const bool places = call.has(OPTION_JSON) || call.has(OPTION_VERBOSE);
    Braid braid;
    Result everything;
    if (all ? !read_all(call.debugger, flags, places, everything, call.failure)
            : !read_selected(call.debugger, flags, places, braid, call.failure))
        return false;
    const pyb_process *process = all ? everything.get() : braid.result.get();
    if (call.has(OPTION_JSON))
        return pyb_json(process, append, &call.text) == 0 || call.failure.set("no memory for the output");
    return print_threads(call, process, all ? nullptr : braid.thread);
}

bool run_selected(Call &call)
{
    return run_stack(call, false);
}

bool run_all(Call &call)
{
    return run_stack(call, true);
}

struct Subcommand {
    const char *name;
    uint32_t options;
    size_t max_words;
    bool (*run)(Call &call);
    const char *arguments, *help;
};

const Subcommand subcommands[] = {
    {"", STACK_OPTIONS, 0, run_selected, "", "Show the selected thread's stack, Python and native frames braided into one, innermost first."},
    {"all", STACK_OPTIONS, 0, run_all, "", "Show the stacks of all threads."},
    {"threads", OPTION_JSON, 0, run_threads, "", "List the threads: LLDB's number, OS thread, Python's name, GIL, innermost Python frame."},
    {"info", 0, 0, run_info, "", "Show what was found in the process, and how."},
    {"up", 0, 1, run_up, "[COUNT]", "Select the Python frame that called this one."},
    {"down", 0, 1, run_down, "[COUNT]", "Select the Python frame called by this one."},
    {"frame", 0, 1, run_frame, "[N]", "Select a Python frame by number, 0 is the innermost; without N, show the selected one."},
    {"locals", OPTION_VERBOSE, 0, run_locals, "", "Show the arguments and locals of the selected Python frame."},
    {"print", OPTION_VERBOSE, 1, run_print, "NAME[.ATTRIBUTE]...", "Show a local, global or builtin variable as the selected Python frame sees it."},
    {"list", 0, 1, run_list, "[START | START,END]", "List the Python source around the line of the selected Python frame."},
};

std::string usage_of(const Subcommand &sub)
{
    return std::string("pystack") + (*sub.name ? " " : "") + sub.name + (sub.options ? " [<options>]" : "") + (*sub.arguments ? " " : "") +
           sub.arguments;
}

std::string help_of(const Subcommand &sub)
{
    std::string text = std::string(sub.help) + "\n\nSyntax: " + usage_of(sub) + "\n";
    if (sub.options)
        text += "\nOptions:\n" + options_help(sub.options);
    return text;
}

std::string help_of_all()
{
    std::string text = "Native frames keep LLDB's numbers; the interpreter's own frames (evaluation loop, call protocol) are "
                       "hidden and counted. `thread backtrace` is left as it is.\n\nSubcommands (`pystack help NAME` shows more):\n";
    for (const Subcommand &sub : subcommands)
        text += "  " + usage_of(sub) + "\n    " + sub.help + "\n";
    return text + "\nOptions of `pystack` and `pystack all`:\n" + options_help(STACK_OPTIONS) +
           "\nExamples: pystack -l -n 20, pystack all -p, pystack all --json -o stacks.json\n";
}

// A subcommand by its name or a unique beginning of it; NULL: none, or several.
const Subcommand *find(const std::string &word)
{
    const Subcommand *found = nullptr;
    uint32_t n = 0;
    for (const Subcommand &sub : subcommands) {
        if (word == sub.name)
            return &sub;
        if (!word.empty() && std::strncmp(sub.name, word.c_str(), word.size()) == 0) {
            found = &sub;
            n++;
        }
    }
    return n == 1 ? found : nullptr;
}

std::string no_subcommand(const std::string &word)
{
    std::string text = "'" + escape(word.c_str()) + "' is not a subcommand of \"pystack\". Valid subcommands are: ";
    for (const Subcommand &sub : subcommands)
        text += *sub.name ? std::string(sub.name) + ", " : "";
    return text + "help.";
}

bool write_file(const std::string &path, const std::string &text, Failure &failure)
{
    FILE *file = std::fopen(path.c_str(), "we");
    bool written = file && std::fwrite(text.data(), 1, text.size(), file) == text.size();
    int code = written ? 0 : errno;
    if (file && std::fclose(file) != 0 && written) {
        written = false;
        code = errno;
    }
    return written || failure.set("cannot write " + path + ": " + std::strerror(code));
}

bool execute(lldb::SBDebugger &debugger, char **words, std::string &text, Failure &failure)
{
    // Options may stand before the subcommand: `pystack -p all`. Whose they are is known when it is.
    Options options, accepted;
    if (!parse_options(words, STACK_OPTIONS, options, failure.text))
        return failure.set(failure.text, PYB_E_USAGE);
    const std::string first = options.words.empty() ? "" : options.words[0];
    if (first == "help") {
        const Subcommand *about = options.words.size() > 1 ? find(options.words[1]) : nullptr;
        if (options.words.size() > 1 && !about)
            return failure.set(no_subcommand(options.words[1]), PYB_E_USAGE);
        text = about ? help_of(*about) : help_of_all();
        return true;
    }
    const Subcommand *sub = find(first);
    if (!sub)
        return failure.set(no_subcommand(first), PYB_E_USAGE);
    if (!parse_options(words, sub->options, accepted, failure.text))
        return failure.set(failure.text, PYB_E_USAGE);
    if (!first.empty())
        options.words.erase(options.words.begin());
    if (options.words.size() > sub->max_words)
        return failure.set("too many arguments. Usage: " + usage_of(*sub), PYB_E_USAGE);
    Call call = {debugger, options, "", {}};
    if (!sub->run(call)) {
        failure = call.failure;
        return false;
    }
    if (!call.has(OPTION_OUTPUT)) {
        text = std::move(call.text);
        return true;
    }
    return write_file(options.output, call.text, failure);
}

class Command : public lldb::SBCommandPluginInterface {
public:
    bool DoExecute(lldb::SBDebugger debugger, char **words, lldb::SBCommandReturnObject &result) override
    {
        std::string text;
        Failure failure;
        const bool done = execute(debugger, words, text, failure);
        if (done)
            result.Printf("%s", text.c_str());
        else
            result.SetError(failure.text.c_str());
        result.SetStatus(done ? (text.empty() ? lldb::eReturnStatusSuccessFinishNoResult : lldb::eReturnStatusSuccessFinishResult)
                              : lldb::eReturnStatusFailed);
        return done;
    }
};

} // namespace

uint32_t Call::color()
{
    return !has(OPTION_OUTPUT) && debugger.GetUseColor() && isatty(STDOUT_FILENO) ? PYB_TEXT_COLOR : 0;
}

int append(void *ctx, const char *text, size_t length)
{
    static_cast<std::string *>(ctx)->append(text, length);
    return 0;
}

bool add_commands(lldb::SBDebugger debugger)
{
    lldb::SBCommandInterpreter interpreter = debugger.GetCommandInterpreter();
    // LLDB owns the object, and deletes it.
    lldb::SBCommand command = interpreter.AddCommand("pystack", new Command, "Python and native frames of a CPython process in one stack.",
                                                     "pystack [<options>] [<subcommand>]", nullptr);
    if (!command.IsValid())
        return false;
    command.SetHelpLong(help_of_all().c_str());
    return true;
}
