# SPDX-License-Identifier: Apache-2.0
"""Sourced inside GDB, attached to a target: runs BENCH_STEPS and writes what each step cost to BENCH_OUT.

Steps are GDB commands, or: `flush` (GDB forgets what it unwound: as after another stop), `new-stop` (pybraid
forgets what it read: as after another stop). A command's output is collected, not
shown, and its number of lines kept.
"""
import json
import os
import sys
import time

import gdb


def new_stop():
    for name in ("pybraid_gdb.session", "pybraid_gdb.stack"):
        module = sys.modules.get(name)
        if module is not None:
            getattr(module, "invalidate" if name.endswith("session") else "forget")()


def run(step):
    if step == "flush":
        gdb.execute("maintenance flush register-cache", to_string=True)
        return None
    if step == "new-stop":
        new_stop()
        return None
    began, cpu = time.perf_counter(), time.process_time()
    text = gdb.execute(step, to_string=True)
    return {"step": step, "seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu,
            "lines": text.count("\n")}


done = [run(step) for step in json.loads(os.environ["BENCH_STEPS"])]
with open(os.environ["BENCH_OUT"], "w", encoding="utf-8") as stream:
    json.dump([entry for entry in done if entry], stream)
