#compdef pybraid
# SPDX-License-Identifier: Apache-2.0

_pybraid_pids() {
    local -a rows
    rows=(${(f)"$(pybraid ps --color never 2> /dev/null | awk 'NR > 1 { pid = $1; sub(/^ *[0-9]+ +/, ""); print pid ":" $0 }')"})
    _describe -V 'Python process' rows
}

_pybraid() {
    local context state state_descr line
    typeset -A opt_args
    _arguments -C '(-)--version[print the version]' '(- *)'{-h,--help}'[list the commands]' '1:command:->command' '*::argument:->argument'
    case $state in
        command)
            local -a commands
            commands=('dump:the stacks of a process or core file' 'watch:run a command, and show where it is stuck'
                'ps:the Python processes of this machine' 'doctor:whether a process can be read here, and what helps if not'
                'record:write what a reading needs to a file, for a bug report' 'help:list the commands')
            _describe command commands ;;
        argument)
            case $words[1] in
                dump)
                    _arguments -s '(-p --python)'{-p,--python}'[Python frames only]' \
                        '(-a --all)'{-a,--all}'[also the plumbing frames of the interpreter]' \
                        '(-l --locals)'{-l,--locals}'[local variables]' \
                        '(-v --verbose)'{-v,--verbose}'[instances with their __dict__, full paths, addresses]' \
                        '(-n --limit)'{-n,--limit}'[at most N frames of each thread]:frames: ' \
                        '*--tid[only this thread]:thread: ' \
                        '--children[also all descendants]' \
                        '--traceback[Python frames as a traceback]' \
                        '--source[lines and inlined functions of native frames]' \
                        '(--no-stop)--consistent[stop all threads together]' \
                        '(--consistent)--no-stop[never stop a thread]' \
                        '--no-group[threads with equal stacks each for itself]' \
                        '--strict[exit with 6 when a stack is incomplete]' \
                        '--json[one JSON document a process]' \
                        '(-o --output)'{-o,--output}'[write there]:file:_files' \
                        '--color[when]:when:(auto always never)' \
                        '(- *)'{-h,--help}'[list the options]' \
                        '*: : _alternative "pids:process:_pybraid_pids" "files:core file:_files"' ;;
                watch)
                    _arguments -s '--timeout[too long is]:time: ' '--idle[nothing happens for]:time: ' \
                        '--grace[between SIGTERM and SIGKILL]:time: ' \
                        '--core[leave core files there]:folder:_files -/' \
                        '--json[the stacks as JSON too]:file:_files' \
                        '(-o --output)'{-o,--output}'[the report goes there]:file:_files' \
                        '(-p --python)'{-p,--python}'[Python frames only]' \
                        '(-a --all)'{-a,--all}'[also the plumbing frames of the interpreter]' \
                        '(-l --locals)'{-l,--locals}'[local variables]' \
                        '(-n --limit)'{-n,--limit}'[at most N frames of each thread]:frames: ' \
                        '(-v --verbose)'{-v,--verbose}'[the stacks of every look]' \
                        '--color[when]:when:(auto always never)' \
                        '--pid[watch a process that runs already]:process:_pybraid_pids' \
                        '--kill[end that one too]' \
                        '(- *)'{-h,--help}'[list the options]' \
                        '*::command:_normal' ;;
                ps)
                    _arguments '--unreadable[also processes of which nothing can be told]' \
                        '--json[one JSON document a process]' \
                        '(-o --output)'{-o,--output}'[write there]:file:_files' \
                        '--color[when]:when:(auto always never)' \
                        '(- *)'{-h,--help}'[list the options]' ;;
                doctor)
                    _arguments '--pid[the process]:process:_pybraid_pids' \
                        '--json[one JSON document]' \
                        '(-o --output)'{-o,--output}'[write there]:file:_files' \
                        '--color[when]:when:(auto always never)' \
                        '(- *)'{-h,--help}'[list the options]' \
                        '1:process:_pybraid_pids' ;;
                record)
                    _arguments '(-o --output)'{-o,--output}'[the file to write]:file:_files' \
                        '(- *)'{-h,--help}'[list the options]' \
                        '*: : _alternative "pids:process:_pybraid_pids" "files:core file:_files"' ;;
            esac ;;
    esac
}

_pybraid "$@"
