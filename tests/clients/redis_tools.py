"""redis-cli and redis-benchmark, as a person at a terminal uses them."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from harness import HOST, LOCKED_PORT, PASSWORD, PATIENCE, PORT, Suite, equal, restart_server


def cli(*args, port=PORT, stdin=None):
    """What redis-cli writes, errors included, and its exit status."""
    command = ["redis-cli", "-h", HOST, "-p", str(port), *map(str, args)]
    # Without a given input it must not wait for the terminal's.
    options = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False, **options
    )
    return done.stdout.decode(), done.returncode


class Terminal:
    """redis-cli at a prompt, with what it has drawn."""

    def __init__(self, *args):
        # No history of whoever runs the tests.
        environment = {**os.environ, "TERM": "xterm", "REDISCLI_HISTFILE": "/dev/null"}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # It would ask a terminal without size for its size, and wait for the answer.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
            os.execvpe("redis-cli", ["redis-cli", "-h", HOST, "-p", str(PORT), *args], environment)
        self.drawn = ""

    def type(self, text):
        os.write(self.fd, text.encode())

    def until(self, pattern):
        """Reads until what was drawn since the last call has this in it, colours aside."""
        end = time.monotonic() + PATIENCE
        while not (match := re.search(pattern, self.drawn)):
            if not select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError(f"never {pattern!r}, but {self.drawn[-250:]!r}")
            try:
                chunk = os.read(self.fd, 65536)
            except OSError as gone:
                raise ConnectionError(f"redis-cli ended: {self.drawn[-500:]!r}") from gone
            self.drawn += re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", chunk.decode(errors="replace"))
        shown, self.drawn = self.drawn[: match.end()], self.drawn[match.end() :]
        return shown

    def end(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


# --- redis-cli ----------------------------------------------------------------------------------------------------


def one_shot(suite):
    queue = suite.queue()
    for protocol in ((), ("-3",)):
        equal(cli(*protocol, "PING"), ("PONG\n", 0))
        id = cli(*protocol, "ADDJOB", queue, "body", 0)[0].strip()
        equal(cli(*protocol, "QLEN", queue), ("1\n", 0))
        equal(cli(*protocol, "GETJOB", "FROM", queue), (f"{queue}\n{id}\nbody\n", 0))
        equal(cli(*protocol, "GETJOB", "NOHANG", "FROM", queue), ("\n", 0))
        equal(cli(*protocol, "--no-raw", "ACKJOB", id), ("(integer) 1\n", 0))
        equal(cli(*protocol, "--no-raw", "SHOW", id), ("(nil)\n", 0))
    equal(cli("--no-raw", "-3", "CONFIG", "GET", "appendonly"), ('1# "appendonly" => "no"\n', 0))
    equal("unknown command 'NOSUCH'" in cli("NOSUCH")[0], True)
    equal(cli("-x", "ADDJOB", queue, stdin=b"body")[0].startswith("ERR wrong number"), True)


def passwords(suite):
    for right in (("-a", PASSWORD), ("--user", "default", "--pass", PASSWORD), ("-3", "-a", PASSWORD)):
        equal(cli("--no-auth-warning", *right, "QLEN", suite.queue(), port=LOCKED_PORT), ("0\n", 0))
    for wrong in (("-a", "wrong"), ("--user", "somebody", "--pass", PASSWORD), ()):
        answer, _ = cli("--no-auth-warning", *wrong, "QLEN", suite.queue(), port=LOCKED_PORT)
        equal("NOAUTH Authentication required" in answer, True)


def databases(_suite):
    equal(cli("-n", 0, "PING"), ("PONG\n", 0))
    equal("DB index is out of range" in cli("-n", 1, "PING")[0], True)


def mass_insertion(suite):
    queue = suite.queue()
    answer, status = cli("--pipe", stdin=f"ADDJOB {queue} one 0\r\nADDJOB {queue} two 0\r\n".encode())
    equal((answer.splitlines()[-1], status), ("errors: 0, replies: 2", 0))
    equal(cli("QLEN", queue), ("2\n", 0))
    answer, status = cli("--pipe", stdin=f"ADDJOB {queue} three 0\r\nNOSUCH\r\n".encode())
    equal((answer.splitlines()[-1], status), ("errors: 1, replies: 2", 1))


def statistics(_suite):
    terminal = Terminal("--stat", "-i", "0.01")
    terminal.until(r"keys +mem +clients +blocked +requests +connections")
    # Keys (there are none), memory, clients, blocked, requests with their growth, connections.
    terminal.until(r"\n0 +\d+\.\d+[KMG] +\d+ +0 +\d+ \(\+\d+\) +\d+")
    terminal.end()


def latency(_suite):
    terminal = Terminal("--latency", "--raw", "-i", "0.05")
    terminal.until(r"\d+ \d+ \d+\.\d\d \d+")
    terminal.end()


def help_and_hints(suite):
    terminal = Terminal()
    prompt = re.escape(f"{HOST}:{PORT}> ")
    terminal.until(prompt)
    terminal.type("help @jobs\r")
    shown = terminal.until(r"SHOW id\s+summary: [\s\S]*?" + prompt)
    for command in ("ACKJOB [id", "ADDJOB queue body ms-timeout [REPLICATE copies]", "DELJOB [id", "JSCAN [cursor]"):
        equal(command in shown, True)
    terminal.type("help qlen\r")
    terminal.until(r"QLEN queue\s+summary: .+\s+since: .+\s+group: queues")
    terminal.until(prompt)
    # The hint is drawn behind what was typed.
    terminal.type("QLEN ")
    terminal.until(r"QLEN queue")
    terminal.type(f"{suite.queue()}\r")
    terminal.until(r"\(integer\) 0")
    terminal.until(prompt)
    # Completion.
    terminal.type("qst\t")
    terminal.until("QSTAT")
    terminal.type(f" {suite.queue()}\r")
    terminal.until(r"\(nil\)")
    terminal.end()


def prompt_survives_a_restart(suite):
    terminal = Terminal()
    prompt = re.escape(f"{HOST}:{PORT}> ")
    terminal.until(prompt)
    terminal.type("PING\r")
    terminal.until("PONG\r")
    restart_server()
    # The next command finds that the connection is gone, the one after it opens a new one.
    terminal.type("PING\r")
    terminal.until("not connected> ")
    terminal.type("PING\r")
    terminal.until("PONG\r")
    terminal.end()


def monitor(suite):
    queue = suite.queue()
    terminal = Terminal("MONITOR")
    terminal.until("OK")
    cli("QLEN", queue)
    terminal.until(rf'\d+\.\d+ \[0 127\.0\.0\.1:\d+\] "QLEN" "{queue}"')
    terminal.end()


# --- redis-benchmark ----------------------------------------------------------------------------------------------


def benchmark(*args, port=PORT):
    command = ["redis-benchmark", "-h", HOST, "-p", str(port), "-n", "2000", *args]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False,
    )
    answer = done.stdout.decode()
    equal((done.returncode, "WARNING" in answer, "rror" in answer), (0, False, False))
    return answer


def benchmarks(suite):
    queue = suite.queue()
    answer = benchmark("-t", "ping", "-q")
    equal(len(re.findall(r"PING_\w+: \d+\.\d+ requests per second", answer)), 2)
    benchmark("-3", "-t", "ping", "-q", "-P", "16")
    benchmark("-q", "ADDJOB", queue, "body", "0")
    equal(cli("QLEN", queue), ("2000\n", 0))
    benchmark("-3", "-q", "-P", "16", "GETJOB", "FROM", queue)
    equal(cli("QLEN", queue), ("0\n", 0))
    benchmark("-a", PASSWORD, "-t", "ping", "-q", port=LOCKED_PORT)


suite = Suite("redis-tools")
for claim, action in [
    ("redis-cli runs one command", one_shot),
    ("redis-cli gives passwords", passwords),
    ("redis-cli finds one database", databases),
    ("redis-cli --pipe counts the replies", mass_insertion),
    ("redis-cli --stat shows statistics", statistics),
    ("redis-cli --latency measures", latency),
    ("redis-cli helps, hints and completes", help_and_hints),
    ("redis-cli's prompt survives a restart of the server", prompt_survives_a_restart),
    ("redis-cli MONITOR shows commands", monitor),
    ("redis-benchmark runs without warning", benchmarks),
]:
    suite.case(claim, action, suite)
suite.end()
