# SPDX-License-Identifier: Apache-2.0
"""Locals of each kind of frame against the target's own f_locals, and names looked up from a frame."""
import json
import subprocess

import pytest

from support import pythons, target

LOCALS = "build/tools/locals"


@pytest.fixture(scope="session")
def tool():
    subprocess.run(["make", "-s", LOCALS], cwd=pythons.REPO, check=True, timeout=600)
    return pythons.REPO + "/" + LOCALS


def output(tool, *arguments):
    done = subprocess.run([tool, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=120, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout


def frames_of(tool, running, *options):
    threads = json.loads(output(tool, running.pid, *options))["threads"]
    return [frame for frame in threads[0]["frames"] if frame["kind"] == "python"]


def check_frame(mine, truth):
    bound = {}
    for local in mine["locals"]:
        assert local["name"] not in bound, (truth["func"], local)
        if local["addr"] is None and local["repr"] is None:
            assert local["name"] in truth["names"], (truth["func"], local)
            assert local["name"] not in truth["ids"], (truth["func"], local)
            continue
        bound[local["name"]] = local
    # A class body's f_locals lack the variables of the functions around it, which it uses all the same.
    free = set() if truth["optimized"] else set(truth["cells"]) - set(truth["ids"])
    assert set(bound) - free == set(truth["ids"]), truth["func"]
    for name, local in bound.items():
        if name in free:
            assert local["cell"]
            continue
        assert local["arg"] == (name in truth["args"]), (truth["func"], local)
        if local["addr"] is not None:
            assert int(local["addr"], 16) == int(truth["ids"][name], 16), (truth["func"], local)
        if name in truth["locals"]:
            assert local["repr"] == truth["locals"][name], truth["func"]
    if truth["optimized"]:
        order = [local["name"] for local in mine["locals"]]
        assert order == [name for name in truth["names"] if name in order] or truth["cells"]
    return len(bound)


@pytest.mark.matrix("locals")
def test_locals(python, target_folder, tool):
    with target.start(python, "variables.py", folder=target_folder) as running:
        mine, truth = frames_of(tool, running), running.account["facts"]["frames"]
        assert [frame["func"] for frame in mine] == [frame["func"] for frame in truth]
        assert sum(check_frame(*pair) for pair in zip(mine, truth)) >= 40
        instances = next(frame for frame in mine if frame["func"] == "instances")
        shown = {local["name"]: local for local in instances["locals"]}
        assert shown["made"]["repr"] == "<Instance at %s>" % shown["made"]["addr"]
        assert shown["made"]["type"] == "Instance"
        verbose = next(frame for frame in frames_of(tool, running, "-v") if frame["func"] == "instances")
        shown = {local["name"]: local for local in verbose["locals"]}
        # Insertion order from 3.6 on; 3.3 to 3.5 and 2.7 in the table's.
        texts = {"<Instance at %s first=1, second=[2, 'x']>", "<Instance at %s second=[2, 'x'], first=1>"}
        assert shown["made"]["repr"] in {text % shown["made"]["addr"] for text in texts}


@pytest.mark.matrix("names")
def test_names(python, target_folder, tool):
    with target.start(python, "variables.py", folder=target_folder) as running:
        lines = output(tool, running.pid, "GLOBAL", "len", "shadowed", "deleted", "here", "there", "extra",
                       "attribute", "local_cell", "unset").splitlines()
        facts = running.account["facts"]
        truth = {frame["func"]: frame["ids"] for frame in facts["frames"]}
        found = {}
        for line in lines:
            func, name, scope, addr = line.split()
            assert scope in ("local", "global", "builtin"), line
            found[func, name] = scope, int(addr, 16)
        for func in ("plain", "closures", "wait", "comprehension"):
            assert found[func, "GLOBAL"] == ("global", int(facts["addresses"]["GLOBAL"], 16))
            assert found[func, "len"] == ("builtin", int(facts["addresses"]["len"], 16))
        assert found["plain", "shadowed"] == ("global", int(facts["addresses"]["shadowed"], 16))
        assert found["closures", "shadowed"] == ("local", int(truth["closures"]["shadowed"], 16))
        cell = int(truth["closures"]["local_cell"], 16)
        assert found["inner", "local_cell"] == found["closures", "local_cell"] == ("local", cell)
        assert found["Body", "attribute"] == ("local", int(truth["Body"]["attribute"], 16))
        body = [frame["ids"] for frame in facts["frames"] if frame["func"] == "<module>"][0]
        assert found["<module>", "here"] == ("local", int(body["here"], 16))
        assert found["<module>", "there"] == ("local", int(body["there"], 16))
        assert found["<module>", "extra"][0] == "global"
        # Unbound names of a function do not fall through to the globals.
        assert not {("plain", "deleted"), ("closures", "unset"), ("inner", "unset")} & set(found)
