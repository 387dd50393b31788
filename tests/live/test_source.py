# SPDX-License-Identifier: Apache-2.0
"""Functions, files, lines and inlined functions of native frames by debug information, against GDB's own backtrace."""
import json
import os
import shutil
import subprocess

import pytest

from support import debugger, pythons, target

TOOL = "build/tools/source"
SOURCE = os.path.join(pythons.REPO, "tests/targets/inlined/inlined.cc")
# pc, name, file, line, inlined, made up: GDB's guesses at functions that ended in a jump are no frames.
FRAMES = """python
import json
rows, frame = [], gdb.newest_frame()
while frame:
    sal = frame.find_sal()
    rows.append([frame.pc(), frame.name(), sal.symtab and sal.symtab.filename, sal.line, frame.type() == gdb.INLINE_FRAME,
                 frame.type() == gdb.TAILCALL_FRAME])
    frame = frame.older()
print("FRAMES " + json.dumps(rows))"""


@pytest.fixture(scope="session")
def source_tool():
    subprocess.run(["make", "-s", TOOL], cwd=pythons.REPO, check=True, timeout=600)
    return os.path.join(pythons.REPO, TOOL)


def gdb_frames(pid, folder):
    script = folder / "frames.gdb"
    script.write_text(FRAMES + "\nend\n")
    out = debugger.gdb_batch(["source %s" % script], pid=pid, plugin=False).out
    lines = [line for line in out.splitlines() if line.startswith("FRAMES ")]
    assert lines, out
    return json.loads(lines[0][7:])


def real_frames(rows):
    """[(pc to look up, [(name, basename, line, inlined), ...]), ...]: what GDB says of each real frame, innermost first."""
    result, group = [], []
    innermost = rows[0][0]
    for pc, name, file, line, inlined, made_up in rows:
        group.append((name, os.path.basename(file) if file else None, line, inlined))
        if not inlined:
            if not made_up:
                result.append((pc - (pc != innermost), group))
            group = []
    return result


def ours(tool, pid, pcs):
    done = subprocess.run([tool, str(pid), *map(hex, pcs)], stdout=subprocess.PIPE, timeout=120, check=True, encoding="utf-8")
    result = {pc: [] for pc in pcs}
    for line in done.stdout.splitlines():
        pc, rest = line.split(" ", 1)
        if rest != "-":
            name, file, number, inlined = rest.rsplit("|", 3)
            result[int(pc, 16)].append((name, os.path.basename(file), int(number), inlined == "1"))
    return result


def third_opinion(pid, pc, frames, mine):
    """
    GDB 13 leaves out rows of a line that a row it dropped had before (3.6's call_function: line 4851, whose first row is no statement and at
    the address of another's). Only the line of the real frame differs then, and binutils reads ours out of the same table.
    """
    if [f[:2] + f[3:] for f in frames] != [f[:2] + f[3:] for f in mine] or frames[:-1] != mine[:-1]:
        return False
    with open("/proc/%d/maps" % pid, encoding="utf-8") as stream:
        for words in (line.split(None, 5) for line in stream):
            start, end = (int(word, 16) for word in words[0].split("-"))
            if start <= pc < end and len(words) == 6:
                vaddr = pc - start + int(words[2], 16)
                said = subprocess.run(["addr2line", "-e", words[5].strip(), hex(vaddr)], stdout=subprocess.PIPE, check=True,
                                      encoding="utf-8").stdout
                return said.split()[0].endswith("/%s:%d" % (mine[-1][1], mine[-1][2]))
    return False


def compare(tool, pid, folder):
    """Number of frames with debug information, all of them as GDB has them."""
    truth = real_frames(gdb_frames(pid, folder))
    mine = ours(tool, pid, sorted({pc for pc, _frames in truth}))
    seen, wrong = 0, []
    for pc, frames in truth:
        if frames[0][1] is None:
            continue
        seen += len(frames)
        if [plain(f) for f in frames] != [plain(f) for f in mine[pc]] and not third_opinion(pid, pc, frames, mine[pc]):
            wrong.append((hex(pc), frames, mine[pc]))
    assert not wrong, "\n".join(map(str, wrong))
    return seen, sum(inlined for _pc, frames in truth for _name, _file, _line, inlined in frames)


def plain(frame):
    """A lambda has no name of its own, and each writes it in its way; GDB may prefer libc's own alias of a function."""
    name, file, line, inlined = frame
    name = "operator()" if "operator()" in name else name.replace("__GI_", "", 1)
    # Where the compiler gives no line (0), GDB shows the file of the whole unit; nothing says that pc belongs to it.
    return (name, file if line else None, line, inlined)


@pytest.mark.matrix("source")
@pytest.mark.parametrize("compiler", ["g++ -O2", "g++ -O1 -gdwarf-4", "g++ -O2 -gz", "clang++ -O2"])
def test_inlined_cplusplus(compiler, tmp_path, source_tool):
    command, *options = compiler.split(" ")
    program = str(tmp_path / "inlined")
    if shutil.which(command) is None:
        pytest.skip("no %s (Debian: %s)" % (command, command.replace("clang++", "clang")))
    subprocess.run([command, *options, "-g", "-o", program, SOURCE], check=True, timeout=120)
    with subprocess.Popen([program], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"READY\n"
            seen, inlined = compare(source_tool, process.pid, tmp_path)
        finally:
            process.kill()
    assert seen >= 6 and inlined >= 3, (seen, inlined)


@pytest.mark.matrix("source")
@pytest.mark.pythons(without={"root", "jit"})
def test_interpreter(python, target_folder, source_tool):
    """Builds with debug information, in the file or beside it: every frame of a stack through many callbacks."""
    with target.start(python, "callbacks.py", folder=target_folder) as running:
        seen, inlined = compare(source_tool, running.pid, target_folder)
    if seen == 0:
        pytest.skip("%s has no debug information" % python.id)
    print("%s: %d frames, %d inlined" % (python.id, seen, inlined))
