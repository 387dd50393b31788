// SPDX-License-Identifier: Apache-2.0
/**
 * One library session for each process that LLDB debugs: its memory read through SBProcess, forgotten when the process is another.
 *
 * The SB objects kept here are weak: a session keeps no target alive.
 */
#ifndef PYBRAID_LLDB_SESSION_H
#define PYBRAID_LLDB_SESSION_H
#include <memory>
#include <string>
#include <vector>

#include <lldb/API/LLDB.h>
#include <pybraid.h>

/** What the user is told; "" while all is well. */
struct Failure {
    int code = 0;
    std::string text;

    bool set(const pyb_error &error);
    bool set(const std::string &message, int with_code = PYB_E_FAILED);
};

class Session {
public:
    /** The session of this process, made when there is none; NULL: `failure` says why. Lives until the process is another. */
    static Session *of(lldb::SBDebugger &debugger, lldb::SBProcess process, Failure &failure);

    Session(const Session &) = delete;
    Session &operator=(const Session &) = delete;
    ~Session();

    pyb_session *handle() const { return handle_; }
    lldb::SBProcess &process() { return process_; }
    /** True when the user pressed Ctrl-C since this command began. */
    bool interrupted() const;

private:
    Session(lldb::SBProcess process);
    bool open(Failure &failure);
    bool is_for(lldb::SBProcess &process);

    static uint64_t read(void *ctx, pyb_addr address, void *buffer, uint64_t length);
    static pyb_addr symbol(void *ctx, const char *name);
    static bool abort(void *ctx);

    lldb::SBProcess process_;
    lldb::SBCommandInterpreter interpreter_; // of the command that runs now
    lldb::pid_t pid_;
    uint32_t unique_, modules_;
    std::string executable_;
    pyb_session *handle_ = nullptr;
};

/** A result of pyb_read(), freed with this object. */
struct FreeProcess {
    void operator()(pyb_process *p) const { pyb_process_free(p); }
};
using Result = std::unique_ptr<pyb_process, FreeProcess>;

/** Text for people: what drives a terminal, or turns the direction of writing, is shown escaped. */
std::string escape(const char *text);

#endif
