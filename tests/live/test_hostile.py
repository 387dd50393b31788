# SPDX-License-Identifier: Apache-2.0
"""What bad input gets: an error that names what, the value and the remedy; never a crash, a hang, or a write to the target."""
import ctypes
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import pytest

from support import debugger, pythons
from support.braid import gdb_json
from support.process import before_exec, state_of, wait_until
from support.target import start

PYBRAID = pythons.REPO + "/build/bin/pybraid"
LIB = pythons.REPO + "/build/lib/"
CUTS = int(os.environ.get("PYBRAID_CUTS", "200"))  # points at which a core is cut

# Escape sequences, C1, marks that reorder text, line ends: in names of functions, files, threads and in values.
EVIL = u"a\x1b[31m\x1b]0;owned\x07b\nc\rd\x7f\x9b2J\u202e\u2066\u200fz"
HARMFUL = re.compile(u"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

HOSTILE = u'''
import os, sys, threading, time
EVIL = %r
def wait():
    os.write(1, ("READY %%d\\n" %% os.getpid()).encode())
    while True:
        time.sleep(1000)
def function(value=EVIL):
    class_of = type("Evil" + EVIL, (), {})
    instance, key = class_of(), {EVIL: [EVIL]}
    wait()
code = function.__code__
function.__code__ = code.replace(co_name=EVIL, co_filename="/tmp/" + EVIL)
threading.current_thread().name = EVIL
function()
'''


@pytest.fixture
def child():
    """Starts programs that are not targets of the tests' own; ends them."""
    started = []

    def run(*argv, **options):
        process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   start_new_session=True, preexec_fn=before_exec(), **options)
        started.append(process)
        # Past exec and its dynamic linker: asleep in a system call.
        time.sleep(0.05)
        wait_until(lambda: os.readlink("/proc/%d/exe" % process.pid) != sys.executable and state_of(process.pid) == "S", "a sleeper")
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def record(*words, user=None, timeout=60):
    """(exit code, stderr) of pybraid record."""
    argv = [PYBRAID, "record", *map(str, words)]
    if user is not None:
        argv = ["setpriv", "--reuid=%d" % user, "--regid=%d" % user, "--clear-groups", *argv]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)
    return done.returncode, done.stderr.decode("utf-8")


def gdb_says(pid, *commands, **options):
    """What py-bt-native and py-info say after `commands`; no Python traceback of ours is among it."""
    caught = "\n".join("try:\n  gdb.execute(%r)\nexcept gdb.error as e:\n  print('said: %%s' %% e)" % command
                       for command in ("py-bt-native", "py-info", "py-threads"))
    done = debugger.gdb_batch([*commands, "python exec(%r)" % caught], pid=pid, **options)
    text = done.out + done.err
    assert "Traceback (most recent" not in text and "Python Exception" not in text and "Segmentation" not in text, text
    return re.findall(r"^said: (.*)", text, re.M), text


@pytest.mark.matrix("hostile")
def test_not_a_python(child):
    process = child("sleep", "1000")
    said, text = gdb_says(process.pid)
    assert len(said) == 3 and all("is no CPython" in line and "sleep" in line for line in said), text
    assert "pgrep -aP %d" % process.pid in text
    assert process.poll() is None
    code, text = record(process.pid, "-o", "/dev/null")
    assert code == 5 and "is no CPython" in text and "pgrep" in text, (code, text)


@pytest.mark.matrix("hostile")
def test_pypy(child):
    if not shutil.which("pypy3"):
        pytest.skip("no pypy3 (Debian: pypy3)")
    process = child("pypy3", "-c", "import time; time.sleep(1000)")
    said, text = gdb_says(process.pid)
    assert len(said) == 3 and all(re.match(r"PyPy \d+\.\d+\.\d+: not supported", line) for line in said), text
    code, text = record(process.pid, "-o", "/dev/null")
    assert code == 5 and "PyPy" in text, (code, text)


@pytest.mark.matrix("hostile")
def test_ends_between_attach_and_read(python, target_folder):
    for before in ((), ("py-bt-native",)):  # found by then, or not
        with start(python, "depth.py", "--depth", "5", "--threads", "0", folder=target_folder) as target:
            begin = time.monotonic()
            said, text = gdb_says(target.pid, *before, "shell kill -9 %d" % target.pid, "shell sleep 0.2",
                                  folders=[target.folder], check=False)
            assert time.monotonic() - begin < 60
            # GDB may have the thread's registers still, and nothing else: an error, or what is left under a reason.
            assert said or "python" in text.lower(), text


# By the ELF class: the header, a segment, where in a segment its offset and its size in the file are.
LAYOUTS = {1: (struct.Struct("<16sHHIIIIIHHHHHH"), struct.Struct("<8I"), 1, 4),
           2: (struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ"), 2, 5)}
PT_NOTE = 4


def as_the_kernel_writes(path):
    """Rewrites gcore's core: notes before the memory, no sections. A cut one of gcore's has no notes, and GDB refuses it."""
    with open(path, "rb") as stream:
        head, entry, place, length = LAYOUTS[stream.read(5)[4]]
        stream.seek(0)
        header = list(head.unpack(stream.read(head.size)))
        count = header[10]
        stream.seek(header[5])
        segments = [list(entry.unpack(stream.read(entry.size))) for _ in range(count)]
        segments.sort(key=lambda segment: segment[0] != PT_NOTE)
        header[5], header[6], header[11:] = head.size, 0, [0, 0, 0]
        end = head.size + count * entry.size
        with open(path + ".new", "wb") as out:
            out.seek(end)
            for segment in segments:
                stream.seek(segment[place])
                segment[place] = out.tell()
                left = segment[length]
                while left > 0:
                    piece = stream.read(min(left, 1 << 20))
                    assert piece, "gcore's own core is cut"
                    out.write(piece)
                    left -= len(piece)
            out.seek(0)
            out.write(head.pack(*header) + b"".join(entry.pack(*segment) for segment in segments))
    os.replace(path + ".new", path)


def cut_points(path, count):
    """Sizes to cut a file down to, descending: half of them anywhere, half where the headers and notes are."""
    rng, size = random.Random(1), os.path.getsize(path)
    return sorted({rng.randrange(size) if i % 2 else min(size - 1, int(2 ** rng.uniform(0, 17))) for i in range(count)},
                  reverse=True)


@pytest.mark.matrix("hostile")
@pytest.mark.pythons(without={"jit"})
def test_cut_cores_in_gdb(python, target_folder):
    """GDB loads a core that gets shorter and shorter: Python frames or an error, and GDB goes on."""
    with start(python, "depth.py", "--depth", "5", "--threads", "1", folder=target_folder) as target:
        core = debugger.gcore(target)
    as_the_kernel_writes(core)
    points = [os.path.getsize(core), *cut_points(core, CUTS)]
    script = target_folder / "cuts.py"
    script.write_text('''
import gdb, os
for size in %r:
    os.truncate(%r, size)
    for command in ("core-file %s", "py-bt-native all"):
        try:
            text = gdb.execute(command, to_string=True)
        except gdb.error as error:
            text = "error: %%s" %% error
        if command.startswith("py"):
            print("cut %%d: %%d frames, %%s" %% (size, text.count("depth.py"), text[:300].replace("\\n", " ")))
''' % (points, str(core), core))
    first = debugger.sysroot_of(python)
    done = debugger.gdb_batch(["source %s" % script], folders=[target.folder], exe=python.path, first=first, timeout=600)
    told = re.findall(r"^cut (\d+): (\d+) frames, (.*)", done.out, re.M)
    assert [int(size) for size, _n, _text in told] == points, done.out[-2000:] + done.err[-2000:]
    assert "Python Exception" not in done.err and "Traceback (most" not in done.out + done.err, done.err[-2000:]
    assert all(int(n) > 0 or len(text) > 10 for _size, n, text in told), told
    assert int(told[0][1]) > 0, told[0]  # the whole core
    # GDB itself refuses only cuts in the headers and notes.
    assert sum("No thread" not in text for _size, _n, text in told) > len(told) // 2, told


@pytest.mark.matrix("hostile")
@pytest.mark.pythons(without={"jit"})
@pytest.mark.parametrize("order", ["gcore", "kernel"])
def test_cut_cores(python, order, target_folder):
    """The library itself: each cut gives frames or an error with a text, in under a second, and never a crash."""
    with start(python, "depth.py", "--depth", "5", "--threads", "1", folder=target_folder) as target:
        core = debugger.gcore(target)
    if order == "kernel":
        as_the_kernel_writes(core)
    points = [os.path.getsize(core), *cut_points(core, CUTS)]
    done = subprocess.run([sys.executable, __file__, core, python.root + python.path, json.dumps(points)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    told = json.loads(done.stdout)
    assert len(told) == len(points) and told[0]["frames"] > 0
    slow = [one for one in told if one["seconds"] > 5]
    assert not slow, slow
    assert all(one["frames"] > 0 or one["said"] for one in told), told


def read_cut_cores(core, exe, points):
    """Runs in a process of its own: a crash of the library must not be one of the tests."""
    sys.path.insert(0, os.path.join(pythons.REPO, "gdb"))
    import library
    os.environ["PYBRAID_GDB_LIBRARY"] = LIB + "libpybraid.so"
    lib = ctypes.CDLL(LIB + "libpybraid.so")
    lib.pyb_process_free.argtypes = lib.pyb_session_free.argtypes = [ctypes.c_void_p]
    told = []
    for size in points:
        os.truncate(core, size)
        begin = time.process_time()
        session, error, process = ctypes.c_void_p(), library.Error(), ctypes.POINTER(library.Process)()
        assert lib.pyb_session_new(None, ctypes.byref(session), ctypes.byref(error)) == 0
        code = lib.pyb_open_core(session, core.encode(), exe.encode() if size % 2 else None, ctypes.byref(error))
        frames, said = 0, ""
        if code == 0:
            options = library.ReadOptions()
            options.flags = library.READ_LOCALS
            code = lib.pyb_read(session, None, ctypes.c_size_t(0), False, ctypes.byref(options), ctypes.byref(process),
                                ctypes.byref(error))
        if code == 0:
            threads = process.contents.threads[:process.contents.n_threads]
            frames = sum(thread.n_frames for thread in threads)
            said = (process.contents.note or b"".join(thread.note or b"" for thread in threads)).decode()
            lib.pyb_process_free(ctypes.cast(process, ctypes.c_void_p))
        else:
            said = error.text()
        told.append({"size": size, "frames": frames, "said": said, "seconds": time.process_time() - begin})
        lib.pyb_session_free(session)
    print(json.dumps(told))


@pytest.mark.matrix("hostile")
@pytest.mark.pythons(without={"i386"})  # GDB itself cannot put a 64-bit program beside a 32-bit core
def test_core_of_another_binary(python, target_folder, child):
    process = child("sleep", "1000")
    other = str(target_folder / "sleep.core")
    debugger.gdb_batch(["generate-core-file " + other], pid=process.pid, plugin=False)
    code, text = record(other, "-o", "/dev/null")
    assert code == 5 and "is no CPython" in text, (code, text)
    code, text = record(other, python.root + python.path, "-o", "/dev/null")
    assert code in (1, 5) and text, (code, text)
    with start(python, "depth.py", "--depth", "5", "--threads", "0", folder=target_folder) as target:
        core = debugger.gcore(target)
        document, done = gdb_json(target, core=core, exe="/bin/sleep")
    told = [frame["func"] for frame in document["threads"][0]["frames"] if frame["kind"] == "python"]
    assert told == [frame["name"] for frame in target.main["frames"]], done.out + done.err


@pytest.mark.matrix("hostile")
def test_files_that_are_no_target(target_folder):
    empty, fifo, text = (str(target_folder / name) for name in ("empty", "fifo", "text"))
    open(empty, "wb").close()
    os.mkfifo(fifo)
    with open(text, "w") as stream:
        stream.write("not a core\n" * 1000)
    for path, wanted, codes in ((empty, "is empty", (1, 5)), (fifo, "is a FIFO", (1, 5)), (text, "", (1, 5)), ("/bin/ls", "no core", (1, 5)),
                                (str(target_folder), "is a directory", (1, 5)), ("/dev/null", "is a device", (1, 5)),
                                ("/nonexistent", "No such file", (3,))):
        code, said = record(path, "-o", "/dev/null", timeout=20)
        assert code in codes and path in said and wanted in said, (path, code, said)


@pytest.mark.matrix("hostile")
@pytest.mark.parametrize("trap", ["fifo", "symlink", "gone"])
def test_a_trap_in_place_of_the_executable(target_folder, trap):
    """The path in the maps leads to something else by now: not opened, not followed, and the frames come all the same."""
    if os.geteuid() != 0:
        pytest.skip("needs root: another user's process whose files are replaced")
    source = os.path.realpath("/usr/bin/python3")
    if not os.path.exists(source) or b"libpython" in subprocess.run(["ldd", source], stdout=subprocess.PIPE).stdout:
        pytest.skip("no static interpreter at /usr/bin/python3, whose file can be replaced alone")
    folder = tempfile.mkdtemp(prefix="pybraid-trap-")
    os.chmod(folder, 0o755)
    try:
        trapped(source, os.path.join(folder, "python3"), trap)
    finally:
        shutil.rmtree(folder)


def trapped(source, binary, trap):
    shutil.copy(source, binary)
    for user in (None, 65534):
        process = subprocess.Popen([binary, "-c", "import os, time\ndef deep(): os.write(1, b'R'); time.sleep(1000)\ndeep()"],
                                   stdout=subprocess.PIPE, env={"PYTHONHOME": "/usr"}, user=user, group=user,
                                   extra_groups=[] if user else None, preexec_fn=before_exec())
        try:
            assert process.stdout.read(1) == b"R"
            os.rename(binary, binary + ".was")
            if trap == "fifo":
                os.mkfifo(binary, 0o666)
            elif trap == "symlink":
                os.symlink("/etc/passwd", binary)
            path = "/tmp/pybraid-test-%d.pyb" % process.pid
            argv = [PYBRAID, "record", str(process.pid), "-o", path]
            if user:
                shutil.copy(PYBRAID, "/tmp/pybraid-test")  # where that user may execute it
                argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/tmp/pybraid-test", *argv[1:]]
            done = subprocess.run(argv, stderr=subprocess.PIPE, timeout=60)
            assert done.returncode == 0, done.stderr
            seen = subprocess.run([pythons.REPO + "/build/tools/read", path], stdout=subprocess.PIPE, timeout=60, check=True)
            names = [frame["func"] for frame in json.loads(seen.stdout)["threads"][0]["frames"] if frame["kind"] == "python"]
            assert names == ["deep", "<module>"], names
            os.unlink(path)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            if os.path.lexists(binary):
                os.unlink(binary)
            os.rename(binary + ".was", binary)


@pytest.mark.matrix("hostile")
def test_exit_codes(child, target_folder):
    process = child("sleep", "1000")
    for words, wanted in (((), "pybraid record --help"), (("--nonsense", 1), "--nonsense")):
        code, text = record(*words)
        assert code == 2 and wanted in text, (code, text)
    bare = subprocess.run([PYBRAID], stderr=subprocess.PIPE, timeout=60)
    assert bare.returncode == 2 and b"Usage: pybraid" in bare.stderr, bare
    assert record(process.pid)[0] == 2 and record("-o")[0] == 2 and record("--nonsense", 1, "-o", "x")[0] == 2
    gone = subprocess.Popen(["true"])
    gone.wait()
    code, text = record(gone.pid, "-o", "/dev/null")
    assert code == 3 and str(gone.pid) in text, (code, text)
    code, text = record(2 ** 31 - 1, "-o", "/dev/null")
    assert code == 3, (code, text)
    if os.geteuid() != 0:
        pytest.skip("the rest needs root: to become another user")
    shutil.copy(PYBRAID, "/tmp/pybraid-test")
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/tmp/pybraid-test", "record",
                           str(process.pid), "-o", "/tmp/pybraid-test.pyb"], stderr=subprocess.PIPE, timeout=60)
    text = done.stderr.decode()
    assert done.returncode == 4 and str(process.pid) in text and re.search(r"sudo|ptrace_scope|CAP_SYS_PTRACE", text), \
        (done.returncode, text)


@pytest.mark.matrix("hostile")
@pytest.mark.pythons(since=(3, 8))
def test_names_cannot_drive_a_terminal(python, target_folder):
    path = target_folder / "hostile.py"
    path.write_text(HOSTILE % EVIL, encoding="utf-8")
    with start(python, str(path), folder=target_folder) as target:
        document, _done = gdb_json(target, pid=target.pid, command="py-bt-native all -l -v --json")
        commands = ["py-bt-native", "py-bt-native all -l -v -a", "py-bt-native --traceback", "py-threads", "py-up", "py-list",
                    "py-locals", "py-print value", "py-print key", "py-info", "set pybraid frame-filter on", "bt"]
        caught = "\n".join("try:\n  gdb.execute(%r)\nexcept gdb.error as e:\n  print(e)" % command for command in commands)
        done = debugger.gdb_batch(["python exec(%r)" % caught], pid=target.pid, folders=[target.folder])
    thread = document["threads"][0]
    python_frames = [frame for frame in thread["frames"] if frame["kind"] == "python"]
    evil = python_frames[1]
    assert evil["func"] == EVIL and evil["file"] == "/tmp/" + EVIL and thread["name"] == EVIL
    text = done.out + done.err
    found = HARMFUL.search(text)
    assert not found, repr(text[max(0, found.start() - 200):found.end() + 50])
    assert "a\\x1b[31m\\x1b]0;owned\\x07b\\nc\\rd\\x7f\\x9b2J\\u202e\\u2066\\u200fz" in text


@pytest.mark.matrix("hostile")
def test_a_message_cannot_drive_a_terminal(child, target_folder):
    program = str(target_folder / "sl\x1b[31m\u202eep")
    shutil.copy("/bin/sleep", program)
    process = child(program, "1000")
    code, text = record(process.pid, "-o", "/dev/null")
    assert code == 5 and not HARMFUL.search(text), repr(text)
    code, text = record(program, "-o", "/dev/null")
    assert code == 5 and not HARMFUL.search(text), repr(text)


@pytest.mark.matrix("hostile")
def test_nothing_is_written_to_the_target(python, target_folder):
    """GDB refuses every write, call and breakpoint: all commands work. The shell's part makes no system call that writes."""
    with start(python, "callbacks.py", "--threads", "1", folder=target_folder) as target:
        forbid = ["set may-write-memory off", "set may-write-registers off", "set may-call-functions off",
                  "set may-insert-breakpoints off"]
        done = debugger.gdb_batch([*forbid, "py-bt-native all -l -v -a", "py-threads", "py-up", "py-locals", "py-list", "py-info"],
                                  pid=target.pid, folders=[target.folder])
        assert "<module>" in done.out and "not allowed" not in done.out + done.err, done.out + done.err
        if shutil.which("strace"):
            trace = str(target_folder / "trace")
            subprocess.run(["strace", "-f", "-o", trace, PYBRAID, "record", str(target.pid), "-o", str(target_folder / "r.pyb")],
                           check=True, timeout=120, stderr=subprocess.PIPE)
            with open(trace, errors="replace") as stream:
                calls = stream.read()
            assert "process_vm_readv" in calls and not re.search(r"process_vm_writev|ptrace\(|\b(tg|t|)kill\(|pidfd_send", calls)
            for line in calls.splitlines():
                if "/proc/%d/" % target.pid in line and "open" in line:
                    assert "O_WRONLY" not in line and "O_RDWR" not in line, line
        debugger.assert_undisturbed(target)


@pytest.mark.matrix("hostile")
@pytest.mark.parametrize("name,options", [("libpybraid.so", ["-D"]), ("libpybraid-gdb.so", ["-D"]), ("libpybraid.a", ["-g"])])
def test_only_our_names_are_exported(name, options):
    done = subprocess.run(["nm", *options, "--defined-only", LIB + name], stdout=subprocess.PIPE, check=True, timeout=60)
    names = [line.split()[-1] for line in done.stdout.decode().splitlines() if len(line.split()) == 3]
    header = open(pythons.REPO + "/core/include/pybraid.h").read()
    public = set(re.findall(r"^PYB_API [^(]*?\b(pyb_\w+)\(", header, re.M))
    assert {one.split("@")[0] for one in names} - {"PYBRAID_0"} == public


if __name__ == "__main__":
    read_cut_cores(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
