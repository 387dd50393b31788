# SPDX-License-Identifier: Apache-2.0
"""Measures the columns of one interpreter: from a set of headers (compiled here), or from debug information."""
import json
import os
import re
import subprocess
import tempfile

import fields
import private_structs

HERE = os.path.dirname(os.path.abspath(__file__))

# Internal headers that hold structs of ours; what a version does not have is left out.
INTERNAL = """
frameobject.h code.h longintrepr.h structmember.h datetime.h
internal/mem.h internal/ceval.h internal/gil.h internal/pystate.h
internal/pycore_structs.h internal/pycore_pymem.h internal/pycore_gil.h internal/pycore_ceval.h
internal/pycore_object.h internal/pycore_gc.h internal/pycore_code.h internal/pycore_frame.h
internal/pycore_interpframe_structs.h internal/pycore_interpframe.h internal/pycore_genobject.h
internal/pycore_dict.h internal/pycore_long.h internal/pycore_lock.h internal/pycore_llist.h
internal/pycore_moduleobject.h internal/pycore_function.h internal/pycore_stackref.h internal/pycore_tstate.h
internal/pycore_interp_structs.h internal/pycore_interp.h internal/pycore_pystate.h
internal/pycore_runtime_structs.h internal/pycore_debug_offsets.h internal/pycore_runtime.h
""".split()

# pyconfig.h of a 64-bit build, turned into that of a 32-bit one (i386 Linux).
NARROW = {"SIZEOF_LONG": 4, "SIZEOF_VOID_P": 4, "SIZEOF_SIZE_T": 4, "SIZEOF_PTHREAD_T": 4, "SIZEOF_UINTPTR_T": 4,
          "SIZEOF_LONG_DOUBLE": 12, "SIZEOF_TIME_T": 4, "SIZEOF_PTHREAD_KEY_T": 4, "ALIGNOF_LONG": 4,
          "ALIGNOF_SIZE_T": 4}

# glibc's pthread types on aarch64 (sysdeps/aarch64/nptl/bits/pthreadtypes-arch.h), where they differ from x86_64's.
PTHREAD_AARCH64 = {"__SIZEOF_PTHREAD_MUTEX_T": 48, "__SIZEOF_PTHREAD_ATTR_T": 64, "__SIZEOF_PTHREAD_MUTEXATTR_T": 8,
                   "__SIZEOF_PTHREAD_CONDATTR_T": 8}

DEBUG, FREETHREADED, TRACE_REFS, AARCH64 = 1, 2, 4, 8


class CannotCompile(Exception):
    pass


def version_of(include):
    """(major, minor, micro) out of patchlevel.h."""
    with open(os.path.join(include, "patchlevel.h"), errors="replace") as f:
        text = f.read()
    numbers = [re.search(r"#define\s+PY_%s_VERSION\s+(\d+)" % n, text) for n in ("MAJOR", "MINOR")]
    micro = re.search(r"#define\s+PY_MICRO_VERSION\s+(\d+)", text)
    return tuple(int(m.group(1)) for m in numbers + [micro])


def pyconfig_of(include):
    """Debian's pyconfig.h only names the one of its architecture, which lies elsewhere."""
    parent, name = os.path.split(os.path.abspath(include))
    real = os.path.join(parent, "x86_64-linux-gnu", name, "pyconfig.h")
    return real if os.path.exists(real) else os.path.join(include, "pyconfig.h")


def source_text(include, version, ptr_size, flags):
    lines = ["#define Py_BUILD_CORE 1", "#include <stddef.h>", "#include <stdint.h>", "#include <stdbool.h>"]
    if flags & AARCH64:
        lines.append("#include <bits/pthreadtypes-arch.h>")
        for name, value in sorted(PTHREAD_AARCH64.items()):
            lines += ["#undef " + name, "#define %s %d" % (name, value)]
    lines.append('#include "%s"' % pyconfig_of(include))
    if ptr_size == 4:
        for name, value in sorted(NARROW.items()):
            lines += ["#undef " + name, "#define %s %d" % (name, value)]
        lines += ["#undef HAVE_GCC_UINT128_T"]
    lines += ["#include \"Python.h\""]
    # opcode.h and others define macros that internal headers want first; order as listed
    lines += ['#include "%s"' % h for h in INTERNAL if os.path.exists(os.path.join(include, h))]
    lines.append("#ifdef Py_UNICODE_SIZE\nenum { pybk_PYB_SIZEOF_PY_UNICODE = Py_UNICODE_SIZE };\n#endif")
    for column in fields.columns():
        for e in column.expressions:
            lines += ["#ifdef " + e, "enum { pybk_%s = (long long)(%s) };" % (e, e), "#endif"]
    lines.append(private_structs.declarations(version))
    return "\n".join(lines) + "\n"


def run_gdb(path, private):
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        env = dict(os.environ, PYB_OUT=out.name)
        env.pop("PYB_PRIVATE", None)
        if private:
            env["PYB_PRIVATE"] = "1"
        command = ["gdb", "-nx", "-batch", "-iex", "set auto-load off", "-iex", "set debuginfod enabled off",
                   "-x", os.path.join(HERE, "gdb_reader.py"), path]
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        text = out.read()
        if done.returncode != 0 or not text:
            raise RuntimeError("gdb on %s: %s" % (path, done.stderr[-2000:]))
        return json.loads(text)


def from_headers(include, ptr_size=8, flags=0, own_flags=0):
    """own_flags: what the headers' own pyconfig.h already defines."""
    version = version_of(include)
    with tempfile.TemporaryDirectory() as tmp:
        os.makedirs(os.path.join(tmp, "gnu"))
        with open(os.path.join(tmp, "gnu", "stubs-32.h"), "w") as f:
            f.write("/* only there so that <features.h> can be read with -m32 */\n")
        for machine in ("x86_64", "i386"):  # already read by then, see pyconfig_of
            stub = os.path.join(tmp, machine + "-linux-gnu", os.path.basename(include))
            os.makedirs(stub)
            open(os.path.join(stub, "pyconfig.h"), "w").close()
        with open(os.path.join(tmp, "layout.c"), "w") as f:
            f.write(source_text(include, version, ptr_size, flags))
        command = ["gcc", "-std=gnu11", "-g", "-fno-eliminate-unused-debug-types", "-w", "-c", "layout.c",
                   "-o", "layout.o", "-I.",
                   "-I" + include, "-I" + os.path.join(include, "internal"),
                   "-I" + os.path.join(include, "internal", "mimalloc")]
        command += ["-m32"] if ptr_size == 4 else []
        added = flags & ~own_flags
        command += ["-DPy_DEBUG=1"] if added & DEBUG else []
        command += ["-DPy_GIL_DISABLED=1"] if added & FREETHREADED else []
        command += ["-DPy_TRACE_REFS=1"] if added & TRACE_REFS else []
        done = subprocess.run(command, cwd=tmp, capture_output=True, text=True)
        if done.returncode != 0:
            raise CannotCompile("%s ptr %d flags %d:\n%s" % (include, ptr_size, flags, done.stderr[:3000]))
        return run_gdb(os.path.join(tmp, "layout.o"), private=True)


def from_debug_info(path):
    """Columns as the debug information of a real build has them: structs private to CPython's .c files too."""
    return run_gdb(path, private=False)
