# SPDX-License-Identifier: Apache-2.0
# bash completion for pybraid
# shellcheck shell=bash disable=SC2207  # words of a fixed list, and process ids

_pybraid_pids() {
    pybraid ps --color never 2> /dev/null | awk 'NR > 1 { print $1 }'
}

_pybraid() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} options i
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W 'dump watch ps doctor record help --version --help' -- "$current"))
        return
    fi
    # What follows -- is a command of its own.
    for ((i = 2; i < COMP_CWORD; i++)); do
        if [ "${COMP_WORDS[i]}" = -- ] && declare -F _command_offset > /dev/null; then
            _command_offset $((i + 1))
            return
        fi
    done
    case $command in
        dump) options='-p --python -a --all -l --locals -v --verbose -n --limit --tid --children --traceback --source
            --consistent --no-stop --no-group --strict --json -o --output --color -h --help' ;;
        watch) options='--timeout --idle --grace --core --json -o --output -p --python -a --all -l --locals -n --limit
            -v --verbose --color --pid --kill -h --help' ;;
        ps) options='--unreadable --json -o --output --color -h --help' ;;
        doctor) options='--pid --json -o --output --color -h --help' ;;
        record) options='-o --output -h --help' ;;
        *) return ;;
    esac
    case $previous in
        --color) COMPREPLY=($(compgen -W 'auto always never' -- "$current")); return ;;
        --pid) COMPREPLY=($(compgen -W "$(_pybraid_pids)" -- "$current")); return ;;
        --core) COMPREPLY=($(compgen -d -- "$current")); return ;;
        -o | --output) COMPREPLY=($(compgen -f -- "$current")); return ;;
        -n | --limit | --tid | --timeout | --idle | --grace) return ;;
        --json) if [ "$command" = watch ]; then COMPREPLY=($(compgen -f -- "$current")); return; fi ;;
    esac
    case $command,$current in
        *,-*) COMPREPLY=($(compgen -W "$options" -- "$current")) ;;
        doctor,*) COMPREPLY=($(compgen -W "$(_pybraid_pids)" -- "$current")) ;;
        dump,* | record,*) COMPREPLY=($(compgen -W "$(_pybraid_pids)" -- "$current") $(compgen -f -- "$current")) ;;
        watch,*) COMPREPLY=($(compgen -c -- "$current")) ;;
    esac
}
complete -o filenames -F _pybraid pybraid
