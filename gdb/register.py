# SPDX-License-Identifier: Apache-2.0
"""Registers commands, parameters and event handlers; nothing here loads the library."""

import gdb

_STALE = ("cont", "memory_changed", "register_changed", "inferior_call")
_GONE = ("exited", "new_objfile", "clear_objfiles", "free_objfile", "inferior_deleted")


def taken(name):
    """Is `name` a command already, python-gdb.py's for instance? Its commands are never overwritten."""
    lines = gdb.execute("complete " + name, to_string=True).split("\n")
    return name in lines


def _prefix():
    class Prefix(gdb.Command):
        """See Python and native frames of a CPython process in one stack.

Each py-NAME command is also `pybraid NAME`, whatever else is loaded."""

    Prefix("pybraid", gdb.COMMAND_STACK, gdb.COMPLETE_NONE, True)


def register(former):
    """`former`: commands that an earlier load of this file registered; they are replaced."""
    from . import commands, parameters
    commands.PARAMETERS = parameters.Parameters()
    _prefix()
    left = []
    for name, command in commands.COMMANDS:
        if name not in former and taken(name):
            left.append(name)
        else:
            command(name)
            _registered.add(name)
        command("pybraid " + name[3:])
    if left:
        gdb.write("pybraid leaves %s to the python-gdb.py that is loaded; ours are `pybraid %s` and so on.\n"
                  % (", ".join(left), left[0][3:]), gdb.STDERR)
    _connect()


def _stale(event):
    from . import session, stack
    session.invalidate(event)
    stack.forget(event)


def _gone(event):
    from . import session, stack
    session.forget(event)
    stack.forget(event)


_connected = []
_registered = set()


def _connect():
    for names, handler in ((_STALE, _stale), (_GONE, _gone)):
        for name in names:
            registry = getattr(gdb.events, name, None)  # GDB 13 and 18 do not know the same events
            if registry is not None:
                registry.connect(handler)
                _connected.append((registry, handler))


def unload():
    """Before this file is loaded again: event handlers go, the names of our commands are returned."""
    for registry, handler in _connected:
        registry.disconnect(handler)
    _connected.clear()
    return _registered
