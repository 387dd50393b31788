#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""enter_root.py ROOT BIND... -- COMMAND...: run a command as a container would, under the same pid.

A mount namespace of its own whose root is ROOT; each BIND (a folder of ours) appears there under its own
path, /proc is this machine's. Nothing outlives the process: the mounts die with the namespace. Paths in
/proc/PID/maps are those inside ROOT, so an observer has to look under /proc/PID/root.
"""
import ctypes
import os
import sys

CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "i686": 217}

libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        code = ctypes.get_errno()
        sys.exit("enter_root: %s: %s" % (what, os.strerror(code)))


def mount(source, target, kind, flags):
    result = libc.mount(source.encode(), target.encode(), kind, flags, None)
    check(result, "mount %s on %s" % (source, target))


def enter(root, binds):
    check(libc.unshare(CLONE_NEWNS), "unshare(CLONE_NEWNS)")
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount(root, root, None, MS_BIND)
    for folder in binds:
        os.makedirs(root + folder, exist_ok=True)
        mount(folder, root + folder, None, MS_BIND)
    mount("proc", root + "/proc", b"proc", 0)
    os.chdir(root)
    # The old root is stacked on the new one and taken off: no folder in ROOT is needed for it.
    pivot = SYS_PIVOT_ROOT[os.uname().machine]
    check(libc.syscall(ctypes.c_long(pivot), b".", b"."), "pivot_root %s" % root)
    check(libc.umount2(b".", MNT_DETACH), "umount the old root")


def execute(command):
    """os.execvp imports modules, and our library has gone with the old root."""
    for folder in os.environ.get("PATH", "/usr/bin:/bin").split(":"):
        path = command[0] if "/" in command[0] else folder + "/" + command[0]
        if os.access(path, os.X_OK):
            os.execv(path, command)
    sys.exit("enter_root: %s: not found" % command[0])


def main():
    split = sys.argv.index("--")
    root, binds, command = sys.argv[1], sys.argv[2:split], sys.argv[split + 1:]
    here = os.getcwd()
    enter(os.path.realpath(root), [os.path.realpath(folder) for folder in binds])
    os.chdir(here if os.path.isdir(here) else "/")
    execute(command)


if __name__ == "__main__":
    main()
