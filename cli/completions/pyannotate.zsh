#compdef pyannotate
# SPDX-License-Identifier: Apache-2.0

_arguments -s '(-a --all)'{-a,--all}'[also the plumbing frames of the interpreter]' \
    '(-p --python)'{-p,--python}'[Python frames only]' \
    '--lines[line numbers where perf printed them]' \
    '(--json)--fold[folded stacks]' \
    '--tid[with --fold, threads apart]' \
    '(--fold --tid)--json[one JSON document a sample]' \
    '--strict[exit with 6 when names are missing]' \
    '(-o --output)'{-o,--output}'[write there]:file:_files' \
    '(- *)--version[print the version]' \
    '(- *)'{-h,--help}'[list the options]'
