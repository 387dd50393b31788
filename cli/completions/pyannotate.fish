# SPDX-License-Identifier: Apache-2.0
# fish completion for pyannotate

complete -c pyannotate -f
complete -c pyannotate -s a -l all -d 'also plumbing frames'
complete -c pyannotate -s p -l python -d 'Python frames only'
complete -c pyannotate -l lines -d 'line numbers where perf printed them'
complete -c pyannotate -l fold -d 'folded stacks'
complete -c pyannotate -l tid -d 'with --fold: threads apart'
complete -c pyannotate -l json -d 'one JSON document a sample'
complete -c pyannotate -l strict -d 'exit with 6 when names are missing'
complete -c pyannotate -s o -l output -rF -d 'write there'
complete -c pyannotate -l version -d 'print the version'
complete -c pyannotate -s h -l help -d 'list the options'
