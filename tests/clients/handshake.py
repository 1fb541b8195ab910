"""HELLO has two meanings: to Disque's libraries it describes the cluster, to Redis's it changes the protocol.

Here the bytes are looked at; the libraries' own suites show that they can live with them.
"""

import socket

from harness import HOST, LOCKED_PORT, PASSWORD, PORT, PATIENCE, Suite, equal

UNKNOWN = "D-00000000-000000000000000000000000-05a1"


class Stream:
    def __init__(self, port=PORT):
        self.socket = socket.create_connection((HOST, port), PATIENCE)
        self.file = self.socket.makefile("rb")

    def send(self, *commands):
        """All commands in one write."""
        self.socket.sendall(b"".join(self._request(command.split()) for command in commands))

    def _request(self, words):
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words)

    def reply(self):
        """A reply as its type's character and its content."""
        line = self.file.readline()[:-2].decode()
        kind, rest = line[0], line[1:]
        if kind == "$" and rest != "-1":
            return kind, self.file.read(int(rest) + 2)[:-2].decode()
        if kind in "*%" and rest != "-1":
            return kind, [self.reply() for _ in range(int(rest) * (2 if kind == "%" else 1))]
        return kind, rest

    def run(self, command):
        self.send(command)
        return self.reply()


def is_description(reply):
    kind, elements = reply
    equal((kind, elements[0], elements[1][0], len(elements[1][1])), ("*", (":", "1"), "$", 40))
    equal([len(node) for _, node in elements[2:]], [4])
    (_, node) = elements[2]
    equal([cell_kind for cell_kind, _ in node], ["$"] * 4)
    equal((node[0][1], node[1][1], node[2][1]), (elements[1][1], HOST, str(PORT)))


def is_greeting(reply, kind, proto):
    equal(reply[0], kind)
    pairs = dict(zip([key for _, key in reply[1][::2]], reply[1][1::2]))
    equal(list(pairs)[:7], ["server", "version", "proto", "id", "mode", "role", "modules"])
    equal((pairs["server"], pairs["proto"], pairs["id"][0]), (("$", "disque"), (":", str(proto)), ":"))
    equal((pairs["mode"], pairs["role"], pairs["modules"]), (("$", "standalone"), ("$", "master"), ("*", [])))


def description_stays_the_same(_suite):
    stream = Stream()
    is_description(stream.run("HELLO"))
    is_greeting(stream.run("HELLO 3"), "%", 3)
    is_description(stream.run("hello"))
    is_greeting(stream.run("HELLO 2"), "*", 2)
    is_description(stream.run("HELLO"))


def types_switch_behind_the_reply(_suite):
    stream = Stream()
    stream.send(
        f"SHOW {UNKNOWN}", "HELLO 3 SETNAME n", "SELECT 0", "CLIENT SETINFO LIB-NAME x(y,z)", f"SHOW {UNKNOWN}",
        "GETJOB NOHANG FROM nothing", "CLIENT GETNAME", "CONFIG GET dir", "HELLO 2", f"SHOW {UNKNOWN}",
    )
    equal(stream.reply(), ("$", "-1"))
    is_greeting(stream.reply(), "%", 3)
    equal([stream.reply() for _ in range(2)], [("+", "OK")] * 2)
    equal([stream.reply() for _ in range(2)], [("_", "")] * 2)
    equal((stream.reply(), stream.reply()[0]), (("$", "n"), "%"))
    is_greeting(stream.reply(), "*", 2)
    equal(stream.reply(), ("$", "-1"))


def refusals_change_nothing(_suite):
    stream = Stream()
    for command, start in [
        ("HELLO 4", "NOPROTO "),
        ("HELLO three", "ERR Protocol version is not an integer or out of range"),
        ("HELLO 3 SETNAME", "ERR Syntax error in HELLO option 'SETNAME'"),
        ("HELLO 3 FOO bar", "ERR Syntax error in HELLO option 'FOO'"),
        ("HELLO 3 AUTH somebody else", "WRONGPASS "),
    ]:
        kind, text = stream.run(command)
        equal((kind, text[: len(start)]), ("-", start))
        equal(stream.run(f"SHOW {UNKNOWN}"), ("$", "-1"))
    equal(stream.run("CLIENT GETNAME"), ("$", "-1"))


def needs_the_password(_suite):
    stream = Stream(LOCKED_PORT)
    for command in ("HELLO", "HELLO 3", "PING"):
        kind, text = stream.run(command)
        equal((kind, text[:7]), ("-", "NOAUTH "))
    equal(stream.run(f"HELLO 3 AUTH default {PASSWORD} SETNAME n")[0], "%")
    equal(stream.run("CLIENT GETNAME"), ("$", "n"))
    equal(stream.run("AUTH wrong")[0], "-")
    equal(stream.run("PING")[1][:7], "NOAUTH ")


def replies_come_in_order(_suite):
    stream = Stream(LOCKED_PORT)
    stream.send("AUTH wrong", "PING", f"AUTH default {PASSWORD}", "PING", "AUTH other x", "ECHO last")
    kinds = [stream.reply() for _ in range(6)]
    equal([kind for kind, _ in kinds], ["-", "-", "+", "+", "-", "$"])


def inline_ping_is_understood(_suite):
    stream = Stream()
    stream.socket.sendall(b"PING\r\nPING\nping hello\n")
    equal([stream.reply() for _ in range(3)], [("+", "PONG"), ("+", "PONG"), ("$", "hello")])


suite = Suite("HELLO")
for claim, action in [
    ("describes the cluster alike in both protocols", description_stays_the_same),
    ("switches the types right behind its reply", types_switch_behind_the_reply),
    ("changes nothing when it is refused", refusals_change_nothing),
    ("needs the password", needs_the_password),
    ("replies come in order, refused passwords among them", replies_come_in_order),
    ("an inline PING is understood", inline_ping_is_understood),
]:
    suite.case(claim, action, suite)
suite.end()
