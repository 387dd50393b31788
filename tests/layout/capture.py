#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Cuts _Py_DebugOffsets out of real executables and libraries (ELF, Mach-O, PE alike: the struct is initialized data)
into tests/layout/offsets/NAME.bin, for tests/unit/test_debug_offsets.c.   capture.py NAME FILE[.gz] ...
"""
import gzip
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = {(3, 13): 584, (3, 14): 760, (3, 15): 888}


def find(data):
    """The bytes of the struct: a cookie that a version of ours and a flag of 0 or 1 follow."""
    at = data.find(b"xdebugpy")
    while at >= 0:
        version, free_threaded = struct.unpack_from("<QQ", data.ljust(at + 24), at + 8)
        size = SIZES.get((version >> 24, version >> 16 & 255))
        if size and version < 1 << 32 and free_threaded <= 1:
            return data[at:at + size]
        at = data.find(b"xdebugpy", at + 1)
    return None


def main():
    for name, path in zip(sys.argv[1::2], sys.argv[2::2]):
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
            found = find(f.read())
        if found is None:
            raise SystemExit("%s: no _Py_DebugOffsets" % path)
        with open(os.path.join(HERE, "offsets", name + ".bin"), "wb") as f:
            f.write(found)


if __name__ == "__main__":
    main()
