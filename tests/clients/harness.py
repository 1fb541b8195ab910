"""What the Python suites share: cases that report themselves, and ways to know instead of to guess.

A suite says `ok` or `not ok` and a claim, a line for each case, on standard output; `run` counts these lines. What
went wrong stands in full on standard error. The servers are told by the environment.
"""

import os
import signal
import socket
import sys
import time
import traceback

HOST = "127.0.0.1"
# The server without a password, and the one with it.
PORT = int(os.environ["DISQUE_PORT"])
LOCKED_PORT = int(os.environ["DISQUE_LOCKED_PORT"])
PASSWORD = os.environ["DISQUE_PASSWORD"]

# How long a case waits for what must come; only failing cases wait so long.
PATIENCE = 20


class Suite:
    def __init__(self, name):
        self.name = name
        self.failed = False
        self.queues = 0

    def queue(self):
        """A queue that no other case uses."""
        self.queues += 1
        return f"{self.name.replace(' ', '-')}-{self.queues}"

    def case(self, claim, action, *args):
        """Runs one case; a case that hangs fails like another."""
        signal.signal(signal.SIGALRM, self._hangs)
        signal.alarm(PATIENCE + 10)
        begin = time.monotonic()
        try:
            action(*args)
            took = time.monotonic() - begin
            # Told, so that one sees what makes the whole run slow.
            self._say("ok", claim if took < 1 else f"{claim} [{took:.1f} s]")
        except Exception as error:
            self.failed = True
            self._say("not ok", f"{claim}: {type(error).__name__}: {str(error)[:300]}")
            traceback.print_exc()
        finally:
            signal.alarm(0)

    def _hangs(self, _signal, _frame):
        raise TimeoutError("the case hangs")

    def _say(self, verdict, text):
        print(verdict, f"{self.name}: {text}".replace("\n", " "), flush=True)

    def end(self):
        sys.exit(1 if self.failed else 0)


def equal(got, expected):
    if got != expected:
        raise AssertionError(f"got {got!r:.300}, expected {expected!r:.300}")


def refused(error_class, part, action, *args, **options):
    """The action must fail with this exception, whose text has this part."""
    try:
        result = action(*args, **options)
    except error_class as error:
        if part not in str(error):
            raise AssertionError(f"the error says {str(error)!r}, not {part!r}") from error
        return
    raise AssertionError(f"no {error_class.__name__}, but {result!r:.200}")


def until(condition, what):
    """Polls until the condition holds."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.002)
    raise TimeoutError(f"never: {what}")


class Wire:
    """A plain connection that speaks inline requests and line replies: the outside view of a case."""

    def __init__(self, port=PORT):
        self.socket = socket.create_connection((HOST, port), PATIENCE)
        self.file = self.socket.makefile("rb")

    def send(self, line):
        self.socket.sendall(line.encode() + b"\r\n")

    def line(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        return line[:-2].decode()

    def run(self, line):
        """The first line of the reply; for replies that have one line."""
        self.send(line)
        return self.line()

    def bulk(self, line):
        size = int(self.run(line)[1:])
        return self.file.read(size + 2)[:-2].decode()

    def info(self, field):
        for line in self.bulk("INFO").splitlines():
            if line.startswith(field + ":"):
                return line.partition(":")[2]
        raise KeyError(field)

    def until_blocked(self, count=1):
        """Waits until so many clients wait for jobs."""
        until(lambda: int(self.info("blocked_clients")) == count, f"{count} clients blocked")

    def close(self):
        self.file.close()
        self.socket.close()


def restart_server():
    """Lets the server replace itself, and waits until the new one answers."""
    wire = Wire()
    before = wire.info("run_id")
    wire.send("DEBUG RESTART")
    # The end of the old server closes the connection.
    equal(wire.file.read(), b"")
    wire.close()

    def is_back():
        try:
            wire = Wire()
            try:
                return wire.info("run_id") != before
            finally:
                wire.close()
        except OSError:
            return False

    until(is_back, "the server is back")
