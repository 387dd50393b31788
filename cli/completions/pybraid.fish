# SPDX-License-Identifier: Apache-2.0
# fish completion for pybraid

function __pybraid_pids
    pybraid ps --color never 2>/dev/null | awk 'NR > 1 { pid = $1; sub(/^ *[0-9]+ +/, ""); print pid "\t" $0 }'
end

function __pybraid_in
    set -l words (commandline -opc)
    test (count $words) -ge 2; and contains -- $words[2] $argv
end

complete -c pybraid -f
complete -c pybraid -n __fish_use_subcommand -a dump -d 'the stacks of a process or core file'
complete -c pybraid -n __fish_use_subcommand -a watch -d 'run a command, and show where it is stuck'
complete -c pybraid -n __fish_use_subcommand -a ps -d 'the Python processes of this machine'
complete -c pybraid -n __fish_use_subcommand -a doctor -d 'whether a process can be read here'
complete -c pybraid -n __fish_use_subcommand -a record -d 'what a reading needs, for a bug report'
complete -c pybraid -n __fish_use_subcommand -a help -d 'list the commands'
complete -c pybraid -n __fish_use_subcommand -l version -d 'print the version'
complete -c pybraid -s h -l help -d 'list the options'

complete -c pybraid -n '__pybraid_in dump doctor record' -a '(__pybraid_pids)'
complete -c pybraid -n '__pybraid_in dump record' -F
complete -c pybraid -n '__pybraid_in dump watch ps doctor' -s o -l output -rF -d 'write there'
complete -c pybraid -n '__pybraid_in record' -s o -l output -rF -d 'the file to write'
complete -c pybraid -n '__pybraid_in dump watch ps doctor' -l color -xa 'auto always never' -d 'when'

complete -c pybraid -n '__pybraid_in dump watch' -s p -l python -d 'Python frames only'
complete -c pybraid -n '__pybraid_in dump watch' -s a -l all -d 'also plumbing frames'
complete -c pybraid -n '__pybraid_in dump watch' -s l -l locals -d 'local variables'
complete -c pybraid -n '__pybraid_in dump watch' -s v -l verbose -d 'more of everything'
complete -c pybraid -n '__pybraid_in dump watch' -s n -l limit -x -d 'at most N frames of each thread'

complete -c pybraid -n '__pybraid_in dump' -l tid -x -d 'only this thread'
complete -c pybraid -n '__pybraid_in dump' -l children -d 'also all descendants'
complete -c pybraid -n '__pybraid_in dump' -l traceback -d 'Python frames as a traceback'
complete -c pybraid -n '__pybraid_in dump' -l source -d 'lines and inlined functions of native frames'
complete -c pybraid -n '__pybraid_in dump' -l consistent -d 'stop all threads together'
complete -c pybraid -n '__pybraid_in dump' -l no-stop -d 'never stop a thread'
complete -c pybraid -n '__pybraid_in dump' -l no-group -d 'threads with equal stacks each for itself'
complete -c pybraid -n '__pybraid_in dump' -l strict -d 'exit with 6 when a stack is incomplete'
complete -c pybraid -n '__pybraid_in dump ps doctor' -l json -d 'JSON'

complete -c pybraid -n '__pybraid_in watch' -l timeout -x -d 'too long is'
complete -c pybraid -n '__pybraid_in watch' -l idle -x -d 'nothing happens for'
complete -c pybraid -n '__pybraid_in watch' -l grace -x -d 'between SIGTERM and SIGKILL'
complete -c pybraid -n '__pybraid_in watch' -l core -xa '(__fish_complete_directories)' -d 'leave core files there'
complete -c pybraid -n '__pybraid_in watch' -l json -rF -d 'the stacks as JSON too'
complete -c pybraid -n '__pybraid_in watch' -l kill -d 'end that one too'
complete -c pybraid -n '__pybraid_in watch doctor' -l pid -xa '(__pybraid_pids)' -d 'the process'

complete -c pybraid -n '__pybraid_in ps' -l unreadable -d 'also processes of which nothing can be told'
