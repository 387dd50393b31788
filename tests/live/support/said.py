# SPDX-License-Identifier: Apache-2.0
"""Our Python frames of one stop beside what faulthandler said at that very instruction."""
from .braid import python_frames


def escaped(text):
    """As faulthandler writes names and files."""
    if text is None:
        return None
    return "".join(c if " " <= c < "\x7f" else ("\\x%02x" % ord(c) if c < "\x7f" or "\x7f" <= c <= "\xff" else
                   "\\u%04x" % ord(c) if c <= "\uffff" else "\\U%08x" % ord(c)) for c in text)


# What faulthandler writes although no sys._getframe() or traceback ever shows it: the trampoline under a class's inlined
# __init__ (_Py_InitCleanup, 3.14 and 3.15), and the entry shim itself while it is the innermost frame (3.12).
NO_FRAMES = (("__init__", None, "__init__"), ("<shim>", None, "<interpreter trampoline>"))


def differences(stop, thread):
    """What our frames and faulthandler's differ in; [] if in nothing."""
    mine = [(escaped(f["file"]), f["line"], escaped(f["func"])) for f in python_frames(thread)]
    told = [frame for frame in stop.frames if frame not in NO_FRAMES]
    if told and told[-1][2] == "<invalid frame>":
        told, mine = told[:-1], mine[:len(told) - 1]
    elif stop.cut:
        mine = mine[:len(told)]
    return [(index, a, b) for index, (a, b) in enumerate(zip(mine, told)) if a != b] + \
        ([("lengths", len(mine), len(told))] if len(mine) != len(told) else [])


def truth_is_missing(python, stop):
    """
    3.11 and 3.12 link a cframe before they set its current_frame: there faulthandler sees no Python frame at all.
    The innermost native frame is then the evaluation function, just entered.
    """
    return (stop.frames == [] and python.minor in ((3, 11), (3, 12))
            and (stop.native[0][2] is None or "EvalFrame" in stop.native[0][2]))
