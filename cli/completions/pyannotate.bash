# SPDX-License-Identifier: Apache-2.0
# bash completion for pyannotate
# shellcheck shell=bash disable=SC2207  # words of a fixed list

_pyannotate() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $previous in
        -o | --output) COMPREPLY=($(compgen -f -- "$current")); return ;;
    esac
    COMPREPLY=($(compgen -W '-a --all -p --python --lines --fold --tid --json --strict -o --output --version -h --help' -- "$current"))
}
complete -o filenames -F _pyannotate pyannotate
