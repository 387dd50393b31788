// SPDX-License-Identifier: Apache-2.0
#include "session.h"

#include <cstdio>
#include <cstring>

#include "describe.h"

namespace {

// Never destroyed: at exit liblldb may be gone before us.
std::vector<std::unique_ptr<Session>> &sessions()
{
    static auto *all = new std::vector<std::unique_ptr<Session>>;
    return *all;
}

const size_t MAX_SESSIONS = 16; // more processes than that at once: the oldest is looked at anew when it is asked again

} // namespace

bool Failure::set(const pyb_error &error)
{
    text = error.what;
    if (error.remedy[0])
        text += std::string("\n") + error.remedy;
    code = error.code;
    return false;
}

bool Failure::set(const std::string &message, int with_code)
{
    text = message;
    code = with_code;
    return false;
}

Session::Session(lldb::SBProcess process)
    : process_(process), pid_(process.GetProcessID()), unique_(process.GetUniqueID()),
      modules_(process.GetTarget().GetNumModules()), executable_(path_of(process.GetTarget().GetExecutable()))
{
}

Session::~Session()
{
    pyb_session_free(handle_);
}

bool Session::is_for(lldb::SBProcess &process)
{
    // After exec and dlopen the modules are others: the files are looked at anew.
    return process_.IsValid() && process_.GetTarget() == process.GetTarget() && pid_ == process.GetProcessID() &&
           unique_ == process.GetUniqueID() && modules_ == process.GetTarget().GetNumModules() &&
           executable_ == path_of(process.GetTarget().GetExecutable());
}

Session *Session::of(lldb::SBDebugger &debugger, lldb::SBProcess process, Failure &failure)
{
    auto &all = sessions();
    for (auto one = all.begin(); one != all.end();) {
        if ((*one)->is_for(process)) {
            (*one)->interpreter_ = debugger.GetCommandInterpreter();
            // Whatever wrote to memory since the last command, LLDB's own cache knows it: ours starts empty.
            pyb_session_invalidate((*one)->handle_);
            return one->get();
        }
        const bool over = !(*one)->process_.IsValid() || (*one)->process_.GetTarget() == process.GetTarget();
        one = over ? all.erase(one) : one + 1;
    }
    std::unique_ptr<Session> made(new Session(process));
    made->interpreter_ = debugger.GetCommandInterpreter();
    if (!made->open(failure))
        return nullptr;
    if (all.size() >= MAX_SESSIONS)
        all.erase(all.begin());
    all.push_back(std::move(made));
    return all.back().get();
}

bool Session::open(Failure &failure)
{
    pyb_options options = {};
    pyb_error error = {};
    options.size = sizeof(options);
    options.abort = abort;
    options.abort_ctx = this;
    if (pyb_session_new(&options, &handle_, &error) != 0)
        return failure.set(error);
    Description description;
    describe(process_, description);
    description.desc.ctx = this;
    description.desc.read = read;
    description.desc.symbol = symbol;
    return pyb_open_target(handle_, &description.desc, &error) == 0 || failure.set(error);
}

bool Session::interrupted() const
{
    return interpreter_.WasInterrupted();
}

uint64_t Session::read(void *ctx, pyb_addr address, void *buffer, uint64_t length)
{
    auto *session = static_cast<Session *>(ctx);
    lldb::SBError error;
    const size_t n = session->process_.ReadMemory(address, buffer, static_cast<size_t>(length), error);
    if (n > 0 || session->interrupted())
        return n;
    // Pages that a core left out because a file has them.
    lldb::SBTarget target = session->process_.GetTarget();
    lldb::SBAddress in_file(address, target);
    return in_file.GetSection().IsValid() ? target.ReadMemory(in_file, buffer, static_cast<size_t>(length), error) : 0;
}

pyb_addr Session::symbol(void *ctx, const char *name)
{
    return symbol_address(static_cast<Session *>(ctx)->process_.GetTarget(), name);
}

bool Session::abort(void *ctx)
{
    return static_cast<Session *>(ctx)->interrupted();
}

namespace {

// Length of the UTF-8 sequence at p if it must not reach a terminal as it is; 0: it may.
size_t unprintable(const unsigned char *p)
{
    if (p[0] < 0x20 || p[0] == 0x7f)
        return 1;
    if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
        return 2; // C1 controls
    if (p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae)))
        return 3; // direction marks, line separators
    return p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9 ? 3 : 0;
}

} // namespace

std::string escape(const char *text)
{
    std::string escaped;
    for (const char *p = text ? text : ""; *p;) {
        const size_t n = unprintable(reinterpret_cast<const unsigned char *>(p));
        if (n == 0)
            escaped += *p++;
        for (size_t i = 0; i < n; i++) {
            char hex[8];
            (void)std::snprintf(hex, sizeof(hex), "\\x%02x", static_cast<unsigned char>(*p++));
            escaped += hex;
        }
    }
    return escaped;
}
