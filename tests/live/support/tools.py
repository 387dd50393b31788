# SPDX-License-Identifier: Apache-2.0
"""Programs of tests/tools, built from the library as it stands."""
import fcntl
import os
import subprocess

from .pythons import REPO

BUILD = os.path.join(REPO, "build")


def built(name):
    """The path of build/tools/NAME, made now if it is not up to date."""
    os.makedirs(BUILD, exist_ok=True)
    with open(os.path.join(BUILD, ".tools"), "w") as lock:  # several workers may want it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(["make", "-s", "-C", REPO, "build/tools/" + name], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True)
    if done.returncode != 0:
        raise RuntimeError("build/tools/%s cannot be built:\n%s" % (name, done.stdout[-3000:]))
    return os.path.join(BUILD, "tools", name)
