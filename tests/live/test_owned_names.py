# SPDX-License-Identifier: Apache-2.0
"""Stripped interpreters: code that compilers moved away from a built-in's function has the built-in's name, nothing else has.

Truth: binutils' disassembly says what leads where, and the separate debug file of the same build what the linker called it.
"""
import random
import subprocess

import pytest

from support import debugger, references, target
from support.tools import built

SORT, SUB = "list_sort_impl", "pattern_subx"


def plain(symbol):
    return symbol.split(".")[0]


def names_of(tool, pid, *addresses):
    done = subprocess.run([tool, str(pid), *map(hex, addresses)], stdout=subprocess.PIPE, timeout=300, check=True, encoding="utf-8")
    return {int(line.split(" ")[0], 16): line.split(" ")[1] for line in done.stdout.splitlines()}


def alternatives(name):
    """re.Pattern.sub|subn"""
    first, *others = name.split("|")
    return {first, *(first.rpartition(".")[0] + "." + other for other in others)}


@pytest.mark.matrix("names")
@pytest.mark.pythons(since=(3, 9), having={"stripped", "debian"}, without={"jit"})
def test_moved_code_has_its_owners_name(python, target_folder):
    path = python.path
    debug_file = references.debug_file_of(python, path)
    if debug_file is None:
        pytest.skip("no separate debug file of %s: apt install its -dbg package" % python.id)
    symbols, refs = references.symbols_of(debug_file), references.References(path)
    with target.start(python, "builtin_names.py", folder=target_folder) as running:
        known = names_of(built("builtins"), running.pid)
        moved = [at for at in refs.starts if at in symbols and at not in known]
        wanted = [at for at in moved if plain(symbols[at]) in (SORT, SUB)]
        chosen = wanted + random.Random(python.id).sample(moved, 300)
        told = names_of(built("builtins"), running.pid, *chosen)
    named = {at: name for at, name in told.items() if name not in "?-"}
    wrong = []
    for at, name in named.items():
        owners = refs.owners(at, known)
        if not owners or {known[owner] for owner in owners} != alternatives(name):
            wrong.append((hex(at), symbols[at], name, owners and [known[owner] for owner in owners]))
    print("%s: %d of %d have a name" % (python.id, len(named), len(told)))
    assert not wrong, wrong[:10]
    assert len(named) > 15
    # .cold parts of a function that has a name: the linker's symbol says which.
    of_symbol = {symbols.get(at): name for at, name in known.items()}
    for at in chosen:
        whole, dot, _ = symbols[at].partition(".cold")
        if dot and at in named and whole in of_symbol:
            assert named[at] == of_symbol[whole], (symbols[at], named[at])


@pytest.mark.matrix("names")
@pytest.mark.pythons(since=(3, 13), having={"stripped", "debian"}, without={"jit"})
def test_sort_and_sub_in_a_stack(python, target_folder):
    """Debian's builds from 3.13 on: both built-ins end in a jump to what does the work."""
    with target.start(python, "callbacks.py", "--only", "via_sorted,via_sub", folder=target_folder) as running:
        out = debugger.gdb_batch(["py-bt-native"], pid=running.pid, symbols=False).out
    assert "re.Pattern.sub" in out, out
    assert "list.sort" in out or "sorted" in out, out
