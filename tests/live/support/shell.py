# SPDX-License-Identifier: Apache-2.0
"""The shell's front end, as a user runs it."""
import json
import os
import subprocess
from dataclasses import dataclass

from .tools import BUILD

PYBRAID = os.environ.get("PYBRAID_PROGRAM", os.path.join(BUILD, "bin", "pybraid"))


@dataclass
class Done:
    code: int
    out: str
    err: str


def pybraid(*words, timeout=60, env=None, **options):
    """Runs `pybraid WORDS...`; its exit code, stdout and stderr."""
    done = subprocess.run([PYBRAID, *[str(word) for word in words]], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          encoding="utf-8", timeout=timeout, env=env, **options)
    return Done(done.returncode, done.stdout, done.stderr)


def dump_json(*words, code=0, timeout=60):
    """The document of `pybraid dump --json WORDS...`, whose exit code must be `code`."""
    done = pybraid("dump", "--json", *words, timeout=timeout)
    assert done.code == code, (done.code, done.err[-2000:])
    return json.loads(done.out)
