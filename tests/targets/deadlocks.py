# SPDX-License-Identifier: Apache-2.0
"""Processes that hang, each for a known reason; the account says who is to blame.

    deadlocks.py ACCOUNT --mode NAME

two-locks       two threads take two locks in opposite order
rlocks          the same with RLocks
self            a thread takes a lock that it has
join-self       a thread waits for its own end (up to 3.12; later versions refuse it)
join-pair       two threads wait for each other's end
queue           two threads wait for an item of an empty queue, main for their end: nobody is left to put one
gil             C code runs endlessly with the GIL, three threads wait for it
fork            a forked child waits for a lock that another thread of its parent had
fork-rlock      the same with an RLock
holder          no deadlock: a thread sleeps inside `with lock`, three wait
condition       the lock of a Condition whose holder waits for notify(): it has let the lock go, another has it
acquire         a lock taken by acquire() without `with`: who has it is recorded nowhere
child           main waits for a child process that sleeps
import          one thread imports a module that takes its time, another waits for it
timeout         two threads wait for each other's locks, with a timeout: no deadlock
pool            many threads wait for one lock
busy-holder     the thread inside `with lock` computes
pool-on-itself  the only worker of a pool waits for a job that only it could do
simple-queue    the only thread waits for an item of a queue.SimpleQueue
communicate     main waits for the output of a child process
at-work         threads sleep, read, take and release a lock: nobody waits for anybody

`facts` of the account: "lines", the line of each marker "# HERE: name" of that mode; "ids", id() of locks and queues; "tids" by name.
Each thread says READY only when all others are about to block (or block): the observer waits until they sleep.
"""
from __future__ import print_function

import os
import subprocess
import sys
import threading
import time

try:
    import queue
except ImportError:
    import Queue as queue

from common import as_text, native_id, parse, ready

FACTS = {"tids": {}, "ids": {}, "lines": {}}


def note_lines(*functions):
    """The markers inside these functions of this file."""
    inside = None
    with open(__file__.replace(".pyc", ".py")) as stream:
        for number, line in enumerate(stream, 1):
            if line.startswith("def "):
                inside = line[4:line.index("(")]
            if "# HERE: " in line and inside in functions:
                FACTS["lines"][line.split("# HERE: ")[1].strip()] = number


def note(**ids):
    """id() of objects, and the calling thread's tid under its name."""
    FACTS["tids"][as_text(threading.current_thread().name)] = native_id()
    for name, thing in ids.items():
        FACTS["ids"][name] = "0x%x" % id(thing)


def start(function, name, *arguments):
    thread = threading.Thread(target=function, name=name, args=arguments)
    thread.daemon = True
    thread.start()
    return thread


def publish(path):
    import json
    document = {"pid": os.getpid(), "version": list(sys.version_info[:3]), "facts": FACTS, "threads": []}
    with open(path + ".part", "w") as stream:
        json.dump(document, stream)
    os.rename(path + ".part", path)
    ready()


class Meeting(object):
    """Threads that must all have come so far; then the last one publishes."""

    def __init__(self, path, expected):
        self.path, self.left, self.guard = path, expected, threading.Lock()
        self.opened = threading.Event()

    def arrive(self):
        with self.guard:
            self.left -= 1
            last = self.left == 0
        if last:
            publish(self.path)
            self.opened.set()
        while not self.opened.is_set():
            time.sleep(0.001)


def take_both(meeting, first, second, place):
    note()
    if place == "A":
        with first:  # HERE: A takes
            meeting.arrive()
            with second:  # HERE: A waits
                pass
    else:
        with first:  # HERE: B takes
            meeting.arrive()
            with second:  # HERE: B waits
                pass


def two_locks(path, make=threading.Lock):
    one, two, meeting = make(), make(), Meeting(path, 2)
    note(one=one, two=two)
    a = start(take_both, "A", meeting, one, two, "A")
    start(take_both, "B", meeting, two, one, "B")
    a.join()


def take_twice(path):
    lock = threading.Lock()

    def run():
        note(lock=lock)
        with lock:  # HERE: takes
            publish(path)
            lock.acquire()  # HERE: waits
    start(run, "selfish").join()


def join_self(path):
    def run():
        note()
        # What Thread.join() asks to refuse this.
        threading.current_thread = lambda: None
        threading.currentThread = threading.current_thread
        publish(path)
        thread.join()  # HERE: waits
    thread = threading.Thread(target=run, name="narcissus")
    thread.daemon = True
    thread.start()
    while True:
        time.sleep(1000)


def join_pair(path):
    meeting, threads = Meeting(path, 2), {}

    def run(other):
        note()
        meeting.arrive()
        threads[other].join()  # HERE: waits
    for name, other in (("A", "B"), ("B", "A")):
        threads[name] = threading.Thread(target=run, name=name, args=(other,))
        threads[name].daemon = True
    for thread in threads.values():
        thread.start()
    while True:
        time.sleep(1000)


def no_producer(path):
    jobs, meeting = queue.Queue(), Meeting(path, 3)

    def consume():
        note()
        meeting.arrive()
        jobs.get()  # HERE: gets
    note(jobs=jobs)
    threads = [start(consume, "consumer-%d" % index) for index in range(2)]
    meeting.arrive()
    threads[0].join()  # HERE: joins


def endless_c(path):
    import re
    pattern, text = re.compile("(a|aa)+$"), "a" * 200 + "b"
    begun = []

    def spin():
        note()
        begun.append(1)
        while True:
            pass
    for index in range(3):
        start(spin, "starving-%d" % index)
    while len(begun) < 3:
        time.sleep(0.002)
    note()
    publish(path)
    pattern.match(text)  # HERE: holds


def fork_held(path, make=threading.Lock):
    lock, taken = make(), threading.Event()

    def hold():
        note()
        with lock:  # HERE: takes
            taken.set()
            while True:
                time.sleep(1000)
    holder = start(hold, "holder")
    while not taken.is_set():
        time.sleep(0.001)
    FACTS["ids"]["owner"] = "0x%x" % holder.ident
    FACTS["parent"] = os.getpid()
    if os.fork():
        while True:
            time.sleep(1000)
    note(lock=lock)
    publish(path)
    with lock:  # HERE: waits
        pass


def holder(path):
    lock, meeting = threading.Lock(), Meeting(path, 4)

    def hold():
        note(lock=lock)
        with lock:  # HERE: takes
            meeting.arrive()
            while True:
                time.sleep(1000)  # HERE: sleeps

    def wait():
        note()
        meeting.arrive()
        with lock:  # HERE: waits
            pass
    start(hold, "holder")
    time.sleep(0.05)
    for index in range(3):
        start(wait, "waiter-%d" % index)
    while True:
        time.sleep(1000)


def condition(path):
    changed, meeting = threading.Condition(threading.Lock()), Meeting(path, 3)

    def wait_for_change():
        note(condition=changed, lock=changed._lock if hasattr(changed, "_lock") else changed._Condition__lock)
        with changed:
            meeting.arrive()
            changed.wait()  # HERE: listens

    def hold():
        note()
        meeting.arrive()
        time.sleep(0.1)
        with changed:  # HERE: takes
            while True:
                time.sleep(1000)

    def wait():
        note()
        meeting.arrive()
        time.sleep(0.2)
        with changed:  # HERE: waits
            pass
    for function, name in ((wait_for_change, "listener"), (hold, "holder"), (wait, "waiter")):
        start(function, name)
    while True:
        time.sleep(1000)


def acquire(path):
    lock = threading.Lock()

    def hold():
        note(lock=lock)
        lock.acquire()
        taken.set()
        while True:
            time.sleep(1000)
    taken = threading.Event()
    start(hold, "holder")
    while not taken.is_set():
        time.sleep(0.001)
    note()
    publish(path)
    lock.acquire()  # HERE: waits


def child(path):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100000)"])
    FACTS["child"] = process.pid
    note()
    publish(path)
    process.wait()  # HERE: waits


def imports(path):
    folder = os.path.dirname(os.path.abspath(path))
    with open(os.path.join(folder, "slow_module.py"), "w") as stream:
        stream.write("import deadlocks_state\ndeadlocks_state.begun.set()\nimport time\ntime.sleep(1000)\n")
    import types
    state = types.ModuleType("deadlocks_state")
    state.begun = threading.Event()
    sys.modules["deadlocks_state"] = state
    sys.path.insert(0, folder)

    def run():
        note()
        __import__("slow_module")  # HERE: imports
    start(run, "importer")
    while not state.begun.is_set():
        time.sleep(0.001)

    def wait():
        note()
        publish(path)
        __import__("slow_module")  # HERE: waits
    start(wait, "waiter")
    while True:
        time.sleep(1000)


def pool_on_itself(path):
    from concurrent.futures import ThreadPoolExecutor
    executor = ThreadPoolExecutor(max_workers=1)

    def outer():
        note()
        publish(path)
        return executor.submit(int).result()  # HERE: waits
    executor.submit(outer).result()  # HERE: main waits


def simple_queue(path):
    jobs = queue.SimpleQueue()
    note(jobs=jobs)
    publish(path)
    jobs.get()  # HERE: gets


def communicate(path):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100000)"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    FACTS["child"] = process.pid
    note()
    publish(path)
    process.communicate()  # HERE: waits


def at_work(path):
    meeting, free = Meeting(path, 4), threading.Lock()

    def sleep():
        meeting.arrive()
        with free:
            pass
        while True:
            time.sleep(1000)

    def read():
        meeting.arrive()
        os.read(os.pipe()[0], 1)

    def compute():
        meeting.arrive()
        while True:
            with free:
                pass
            time.sleep(0.0001)
    for function in (sleep, read, compute):
        start(function, function.__name__)
    meeting.arrive()
    while True:
        time.sleep(1000)


def busy_holder(path):
    lock, begun = threading.Lock(), threading.Event()

    def inner():
        total = 0
        while True:
            total += 1

    def hold():
        note(lock=lock)
        with lock:  # HERE: takes
            begun.set()
            inner()
    start(hold, "holder")
    while not begun.is_set():
        time.sleep(0.001)
    note()
    publish(path)
    with lock:  # HERE: waits
        pass


def with_timeout(path):
    one, two, meeting = threading.Lock(), threading.Lock(), Meeting(path, 2)

    def run(first, second):
        note()
        with first:
            meeting.arrive()
            second.acquire(True, 100000)  # HERE: waits
    start(run, "A", one, two)
    start(run, "B", two, one)
    while True:
        time.sleep(1000)


def pool(path):
    lock, meeting = threading.Lock(), Meeting(path, 21)

    def wait():
        note()
        meeting.arrive()
        with lock:  # HERE: waits
            pass
    note(lock=lock)
    with lock:  # HERE: takes
        for index in range(20):
            start(wait, "worker-%d" % index)
        meeting.arrive()
        while True:
            time.sleep(1000)


MODES = {"two-locks": (two_locks,), "rlocks": (two_locks, threading.RLock), "self": (take_twice,), "join-self": (join_self,),
         "join-pair": (join_pair,), "queue": (no_producer,), "gil": (endless_c,), "fork": (fork_held,),
         "fork-rlock": (fork_held, threading.RLock), "holder": (holder,), "condition": (condition,), "acquire": (acquire,),
         "child": (child,), "import": (imports,), "timeout": (with_timeout,), "pool": (pool,), "busy-holder": (busy_holder,),
         "pool-on-itself": (pool_on_itself,), "simple-queue": (simple_queue,), "communicate": (communicate,),
         "at-work": (at_work,)}


def main():
    path, options = parse({"mode": "two-locks"})
    function = MODES[options["mode"]][0]
    note_lines(function.__name__, "take_both")
    function(path, *MODES[options["mode"]][1:])


if __name__ == "__main__":
    main()
