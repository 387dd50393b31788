#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a command with fewer rights, by the kernel's own means; also a place for targets that restrict themselves.

    confine.py [--deny NUMBER[,NUMBER...]] [--landlock] [--no-new-privs] -- COMMAND...

--deny: a seccomp filter that answers these system calls with EPERM. --landlock: a domain of its own that may reach all files: what it does
is to keep the command from processes outside of it. Exit code 77: this kernel has no Landlock.
"""
import ctypes
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, EPERM = 0x7fff0000, 0x00050001
LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446
LANDLOCK_ACCESS_FS_MAKE_CHAR = 1 << 6
libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)
    return result


def no_new_privs():
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def deny(numbers):
    """load the number; equal: refuse (one instruction before the end); the last: allow."""
    code = [struct.pack("HBBI", 0x20, 0, 0, 0)]
    for index, number in enumerate(numbers):
        code.append(struct.pack("HBBI", 0x15, len(numbers) - index, 0, number))
    code += [struct.pack("HBBI", 0x06, 0, 0, ALLOW), struct.pack("HBBI", 0x06, 0, 0, EPERM)]
    program = ctypes.create_string_buffer(b"".join(code))
    header = struct.pack("HxxxxxxP", len(code), ctypes.addressof(program))
    check(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0), "seccomp")


def landlock():
    attributes = struct.pack("Q", LANDLOCK_ACCESS_FS_MAKE_CHAR)
    libc.syscall.restype = ctypes.c_long
    handle = libc.syscall(ctypes.c_long(LANDLOCK_CREATE_RULESET), attributes, ctypes.c_size_t(8), ctypes.c_uint32(0))
    if handle < 0:
        sys.exit(77)
    check(libc.syscall(ctypes.c_long(LANDLOCK_RESTRICT_SELF), ctypes.c_int(handle), ctypes.c_uint32(0)), "landlock_restrict_self")


def main():
    words = sys.argv[1:sys.argv.index("--")]
    command = sys.argv[sys.argv.index("--") + 1:]
    no_new_privs()
    if "--landlock" in words:
        landlock()
    if "--deny" in words:
        deny([int(word) for word in words[words.index("--deny") + 1].split(",")])
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
