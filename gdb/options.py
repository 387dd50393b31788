# SPDX-License-Identifier: Apache-2.0
"""Options of the commands, in GDB's manner: `-a`, `-python`, unique abbreviations, `--json`; the rest are words."""

import shlex

import gdb

# long name, short name, what it does
ALL = ("all", "a", "show the interpreter's own plumbing frames too")
PYTHON = ("python", "p", "Python frames only")
LOCALS = ("locals", "l", "with the arguments and locals of each Python frame")
VERBOSE = ("verbose", "v", "addresses, and the attributes of instances")
JSON = ("json", None, "one JSON document, schema 1")
TRACEBACK = ("traceback", None, "order and look of a Python traceback, Python frames only")
LIMIT = ("limit", "n", "at most N frames")
OUTPUT = ("output", "o", "write to a file")
TAKES_VALUE = {"limit": "N", "output": "FILE"}


class Parsed:
    def __init__(self):
        self.flags = set()
        self.values = {}
        self.words = []

    def __contains__(self, name):
        return name in self.flags


def _match(word, known):
    """The option that `word` (without dashes) names: exact, its letter, or a unique abbreviation."""
    for long, short, _help in known:
        if word in (long, short):
            return long
    found = [long for long, _short, _help in known if long.startswith(word)]
    if len(found) == 1:
        return found[0]
    raise gdb.GdbError("%s option \"-%s\"; options are %s." % (
        "Ambiguous" if found else "Unknown", word, ", ".join("-" + (s or long) for long, s, _ in known)))


def parse(argument, known):
    parsed = Parsed()
    try:
        words = shlex.split(argument)
    except ValueError as error:
        raise gdb.GdbError("%s in: %s" % (error, argument)) from None
    while words:
        word = words.pop(0)
        if word == "--":
            parsed.words += words
            break
        if not word.startswith("-") or word[1:].isdigit():
            parsed.words.append(word)
            continue
        name, _, value = word.lstrip("-").partition("=")
        name = _match(name, known)
        if name not in TAKES_VALUE:
            parsed.flags.add(name)
        elif value or words:
            parsed.values[name] = value or words.pop(0)
        else:
            raise gdb.GdbError("-%s needs a value: %s" % (name, TAKES_VALUE[name]))
    return parsed


def count(text, what):
    """A positive whole number."""
    if not text.isdigit() or int(text) == 0:
        raise gdb.GdbError("%s must be a whole number above 0, not \"%s\"." % (what, text))
    return int(text)


def help_lines(known):
    rows = []
    for long, short, what in known:
        value = " " + TAKES_VALUE[long] if long in TAKES_VALUE else ""
        rows.append("  %s%s\n    %s." % ("-%s, " % short if short else "", "--" + long + value, what))
    return "\n".join(rows)


def complete(text, word, known, words=()):
    """Completions of the last word."""
    last = text.split(" ")[-1]
    if last.startswith("-"):
        dashes = "--" if last.startswith("--") else "-"
        # GDB breaks words at "-": what it gets back replaces only the part after it.
        stem = last[:len(last) - len(word)] if word else last
        full = [dashes + long for long, _short, _help in known if (dashes + long).startswith(last)]
        return [name[len(stem):] for name in full]
    return [name for name in words if name.startswith(last)]
