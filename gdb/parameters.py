# SPDX-License-Identifier: Apache-2.0
"""`set pybraid ...` / `show pybraid ...`."""

import gdb


class _Parameter(gdb.Parameter):
    def __init__(self, name, kind, value, text, choices=None):
        self.set_doc = "Set " + text[0].lower() + text[1:]
        self.show_doc = "Show " + text[0].lower() + text[1:]
        self.__doc__ = text
        self._label = text.rstrip(".")
        if choices:
            super().__init__("pybraid " + name, gdb.COMMAND_STACK, kind, choices)
        else:
            super().__init__("pybraid " + name, gdb.COMMAND_STACK, kind)
        self.value = value

    def get_set_string(self):
        self.changed()
        return ""

    def get_show_string(self, value):
        return "%s: %s." % (self._label, value)

    def changed(self):
        """What a new value sets in motion."""


class _FrameFilter(_Parameter):
    def changed(self):
        from . import frame_filter
        frame_filter.enable(self.value)


class _SetPrefix(gdb.Command):
    """Set how pybraid shows Python and native stacks."""

    def __init__(self):
        super().__init__("set pybraid", gdb.COMMAND_STACK, gdb.COMPLETE_NONE, True)

    def invoke(self, _argument, _from_tty):
        gdb.execute("help set pybraid")


class _ShowPrefix(gdb.Command):
    """Show how pybraid shows Python and native stacks."""

    def __init__(self, parameters):
        super().__init__("show pybraid", gdb.COMMAND_STACK, gdb.COMPLETE_NONE, True)
        self._parameters = parameters

    def invoke(self, _argument, _from_tty):
        for parameter in vars(self._parameters).values():
            gdb.write(parameter.get_show_string("on" if parameter.value else "off") + "\n")


class Parameters:
    def __init__(self):
        _SetPrefix()
        _ShowPrefix(self)
        self.plumbing = _Parameter("plumbing", gdb.PARAM_BOOLEAN, False,
                                   "Whether py-bt-native shows the interpreter's own frames without -a.")
        self.locals = _Parameter("locals", gdb.PARAM_BOOLEAN, False,
                                 "Whether py-bt-native shows locals without -l.")
        self.filter = _FrameFilter("frame-filter", gdb.PARAM_BOOLEAN, False,
                                   "Whether plain `bt` shows Python frames, through a frame filter.")
