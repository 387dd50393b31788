# SPDX-License-Identifier: Apache-2.0
"""A client of GDB's Debug Adapter Protocol mode, as editors are: requests one at a time, what else GDB says is kept."""
import contextlib
import json
import select
import subprocess
import time

from .debugger import Gdb
from .process import TargetError, before_exec

LONGEST = 16 << 20


class Client:
    """One `gdb -i=dap`; a message that is no message, or none in time, is a TargetError."""

    def __init__(self, process, timeout=60.0):
        self.process, self.timeout = process, timeout
        self.number, self.buffer, self.kept = 0, b"", []

    def send(self, command, **arguments):
        self.number += 1
        request = {"seq": self.number, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(request).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()
        return self.number

    def more(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
            raise TargetError("gdb -i=dap is silent: %r" % self.buffer[-500:])
        piece = self.process.stdout.read1(1 << 16)
        if not piece:
            raise TargetError("gdb -i=dap ended: %r" % self.buffer[-500:])
        self.buffer += piece

    def message(self):
        deadline = time.monotonic() + self.timeout
        while b"\r\n\r\n" not in self.buffer:
            self.more(deadline)
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        name, _, size = head.partition(b":")
        if name != b"Content-Length" or not 0 < int(size) < LONGEST:
            raise TargetError("no message of the protocol: %r" % head[-500:])
        while len(self.buffer) < int(size):
            self.more(deadline)
        body, self.buffer = self.buffer[:int(size)], self.buffer[int(size):]
        return json.loads(body.decode("utf-8"))

    def answer(self, number):
        """The response to a request, wherever it comes among the others; those, and events, go to `kept`."""
        while True:
            for said in self.kept:
                if said["type"] == "response" and said["request_seq"] == number:
                    self.kept.remove(said)
                    return said
            self.kept.append(self.message())

    def call(self, command, **arguments):
        return self.answer(self.send(command, **arguments))

    def ask(self, line):
        """(success, text) of a GDB command, as an editor's debug console sends it."""
        said = self.call("evaluate", expression=line, context="repl")
        return said["success"], said["body"]["result"] if said["success"] else said["message"]


def lacks(gdb):
    """Why this GDB has no such mode; "" if it has."""
    done = subprocess.run([*gdb.launch(), "-nx", "-batch", "-i=dap"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60, encoding="utf-8", errors="replace")
    return "GDB %s has no DAP: %s" % (gdb.version, done.stdout.strip()) if "unrecognized" in done.stdout else ""


@contextlib.contextmanager
def attached(gdb: Gdb, target):
    """A client whose GDB is attached to the target; it lets go at the end."""
    argv = [*gdb.launch(target.folder), "-nx", "-q", "-i=dap", "-iex", "set debuginfod enabled off"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          start_new_session=True, preexec_fn=before_exec()) as process:
        try:
            client = Client(process)
            client.call("initialize", clientID="tests", adapterID="gdb")
            waiting = client.send("attach", pid=target.pid)
            for said in (client.call("configurationDone"), client.answer(waiting)):
                if not said["success"]:
                    raise TargetError("%s: %s" % (said["command"], said.get("message")))
            yield client
            client.call("disconnect", terminateDebuggee=False)
            process.wait(timeout=30)
        finally:
            process.kill()
