"""redis-py, synchronous: what applications do with it, in each protocol that it can speak.

Arguments: the version that must be installed, and the parser that it must choose by itself (python or hiredis).
"""

import multiprocessing
import os
import signal
import sys
import threading

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    ExecAbortError,
    ResponseError,
)
from redis.retry import Retry

from harness import HOST, LOCKED_PORT, PASSWORD, PORT, Suite, Wire, equal, refused, restart_server, until

VERSION, PARSER = sys.argv[1:3]
MEGABYTE = 1024 * 1024


class Client:
    """How the cases of one mode connect: the library's default protocol, 2 or 3."""

    def __init__(self, mode):
        self.mode = mode
        self.options = {} if mode == "default" else {"protocol": int(mode)}
        self.resp = int(mode) if mode != "default" else (3 if VERSION >= "8" else 2)

    def open(self, **options):
        return redis.Redis(**{"host": HOST, "port": PORT, **self.options, **options})


def text(answer):
    """The library decodes some answers by itself, and not the same ones in every version."""
    return answer.decode() if isinstance(answer, bytes) else answer


def rows(reply):
    """GETJOB's rows as text, without the identifiers."""
    return [[text(cell) for cell in (row[0], *row[2:])] for row in reply]


def pairs(reply):
    """A flat name/value reply as a dictionary."""
    equal(type(reply), list)
    return {name.decode(): value for name, value in zip(reply[::2], reply[1::2], strict=True)}


# --- connecting ---------------------------------------------------------------------------------------------------


def connects(suite, mode):
    client = mode.open()
    equal(redis.__version__, VERSION)
    equal(client.ping(), True)
    equal(client.execute_command("QLEN", suite.queue()), 0)
    me = client.client_info()
    equal((me["lib-name"], me["lib-ver"], str(me["resp"])), ("redis-py", VERSION, str(mode.resp)))
    connection = client.connection_pool.get_connection()
    parser = "hiredis" if "Hiredis" in type(connection._parser).__name__ else "python"
    connection.disconnect()
    equal(parser, PARSER)


def connects_with_password(suite, mode):
    for credentials in ({"password": PASSWORD}, {"username": "default", "password": PASSWORD}):
        equal(mode.open(port=LOCKED_PORT, **credentials).execute_command("QLEN", suite.queue()), 0)


def is_refused_without_the_right_password(suite, mode):
    wrong = [{"password": "wrong"}, {"username": "default", "password": "wrong"}]
    wrong += [{"username": "somebody", "password": PASSWORD}, {}]
    for credentials in wrong:
        # By default the library tries a refused password again and again, for many seconds.
        client = mode.open(port=LOCKED_PORT, retry=Retry(NoBackoff(), 0), **credentials)
        refused(AuthenticationError, "", client.execute_command, "QLEN", suite.queue())


def gives_a_password_nobody_asked_for(suite, mode):
    client = mode.open(username="default", password="anything")
    equal(client.execute_command("QLEN", suite.queue()), 0)


def has_one_database(_suite, mode):
    equal(mode.open(db=0).ping(), True)
    refused(ResponseError, "DB index is out of range", mode.open(db=1).ping)


def names_itself(_suite, mode):
    client = mode.open(client_name="worker-7")
    equal(text(client.client_getname()), "worker-7")
    equal([c["lib-name"] for c in client.client_list() if c["name"] == "worker-7"], ["redis-py"])


# --- jobs ---------------------------------------------------------------------------------------------------------


def fetches_several_jobs_with_counters(suite, mode):
    client, queue = mode.open(), suite.queue()
    bodies = [f"job {i}" for i in range(5)]
    ids = [client.execute_command("ADDJOB", queue, body, 0) for body in bodies]
    equal(client.execute_command("QLEN", queue), 5)
    plain = client.execute_command("GETJOB", "COUNT", 2, "FROM", queue)
    equal(rows(plain), [[queue, "job 0"], [queue, "job 1"]])
    counted = client.execute_command("GETJOB", "COUNT", 10, "WITHCOUNTERS", "FROM", queue)
    equal(rows(counted), [[queue, body, "nacks", 0, "additional-deliveries", 0] for body in bodies[2:]])
    equal([row[1] for row in plain + counted], ids)
    equal(client.execute_command("ACKJOB", *ids), 5)
    equal([client.execute_command("SHOW", id) for id in ids], [None] * 5)


def is_woken_by_a_producer(suite, mode):
    queue, got, wire = suite.queue(), [], Wire()

    def fetch():
        got.append(mode.open().execute_command("GETJOB", "TIMEOUT", 0, "FROM", suite.queue(), queue))

    worker = threading.Thread(target=fetch)
    worker.start()
    wire.until_blocked()
    mode.open().execute_command("ADDJOB", queue, "wake up", 0)
    worker.join()
    wire.close()
    equal(rows(got[0]), [[queue, "wake up"]])


def gets_null_when_time_is_up(suite, mode):
    client = mode.open()
    equal(client.execute_command("GETJOB", "TIMEOUT", 30, "FROM", suite.queue()), None)
    equal(client.ping(), True)


def gets_nulls_at_once(suite, mode):
    client = mode.open()
    equal(client.execute_command("GETJOB", "NOHANG", "FROM", suite.queue()), None)
    equal(client.execute_command("SHOW", "D-00000000-000000000000000000000000-05a1"), None)
    equal(client.execute_command("QSTAT", suite.queue()), None)
    equal(client.client_getname(), None)
    equal(client.ping(), True)


def nacked_job_comes_back_and_is_counted(suite, mode):
    client, queue = mode.open(), suite.queue()
    id = client.execute_command("ADDJOB", queue, "again", 0, "RETRY", 600)
    client.execute_command("GETJOB", "FROM", queue)
    equal(client.execute_command("NACK", id), 1)
    again = client.execute_command("GETJOB", "WITHCOUNTERS", "FROM", queue)
    equal(rows(again), [[queue, "again", "nacks", 1, "additional-deliveries", 0]])
    equal(client.execute_command("WORKING", id), 600)
    equal(client.execute_command("FASTACK", id), 1)


def shows_jobs_and_queues(suite, mode):
    client, queue = mode.open(), suite.queue()
    id = client.execute_command("ADDJOB", queue, b"\x00\xff\r\nbody", 0, "RETRY", 60, "TTL", 600)
    reply = client.execute_command("SHOW", id)
    shown = pairs(reply)
    equal(list(shown)[:4], ["id", "queue", "state", "repl"])
    equal((shown["id"], shown["state"], shown["body"]), (id, b"queued", b"\x00\xff\r\nbody"))
    equal((shown["retry"], shown["nacks"], list(shown)[14]), (60, 0, "body"))
    equal(len(shown["nodes-delivered"]), 1)
    state = pairs(client.execute_command("QSTAT", queue))
    equal((state["name"], state["len"], state["pause"]), (queue.encode(), 1, b"none"))
    equal(client.execute_command("QPEEK", queue, 10), [[queue.encode(), id, b"\x00\xff\r\nbody"]])


def scans_queues_and_jobs(suite, mode):
    client, prefix = mode.open(), suite.queue()
    names = {f"{prefix}/{i}" for i in range(300)}
    for name in names:
        client.execute_command("ADDJOB", name, "body", 0)

    def scan(*command):
        cursor, found = "0", []
        while True:
            cursor, elements = client.execute_command(*command[:1], cursor, *command[1:])
            found += elements
            cursor = cursor.decode()
            if cursor == "0":
                return found

    queues = {name.decode() for name in scan("QSCAN", "COUNT", 20, "MINLEN", 1)}
    equal(queues & names, names)
    one = f"{prefix}/7"
    equal(len(set(scan("JSCAN", "COUNT", 50, "QUEUE", one))), 1)
    whole = scan("JSCAN", "QUEUE", one, "STATE", "queued", "REPLY", "all")
    equal([pairs(job)["queue"] for job in whole], [one.encode()])


def carries_large_bodies(suite, mode):
    client, queue = mode.open(socket_timeout=20), suite.queue()
    for size in (MEGABYTE, 20 * MEGABYTE):
        body = os.urandom(MEGABYTE) * (size // MEGABYTE)
        id = client.execute_command("ADDJOB", queue, body, 0)
        equal(pairs(client.execute_command("SHOW", id))["body"] == body, True)
        (row,) = client.execute_command("GETJOB", "FROM", queue)
        equal((row[1], len(row[2]), row[2] == body), (id, size, True))
        equal(client.execute_command("ACKJOB", id), 1)


def decodes_text(suite, mode):
    client, queue = mode.open(decode_responses=True), suite.queue()
    id = client.execute_command("ADDJOB", queue, "größer", 0)
    equal(client.execute_command("GETJOB", "FROM", queue), [[queue, id, "größer"]])


# --- errors and pipelines -----------------------------------------------------------------------------------------


def errors_are_exceptions(suite, mode):
    client, queue = mode.open(), suite.queue()
    run = client.execute_command
    refused(ResponseError, "unknown command 'NOSUCH'", run, "NOSUCH")
    refused(ResponseError, "wrong number of arguments for 'addjob' command", run, "ADDJOB", queue)
    refused(ResponseError, "BADID", run, "ACKJOB", "not-an-id")
    refused(ResponseError, "NOREPL", run, "ADDJOB", queue, "body", 100, "REPLICATE", 3)
    run("ADDJOB", queue, "body", 0)
    refused(ResponseError, "MAXLEN", run, "ADDJOB", queue, "body", 0, "MAXLEN", 1)
    refused(ResponseError, "unknown command", run, "GET", "key")
    equal(client.ping(), True)


def default_pipeline_is_a_transaction(suite, mode):
    client, queue = mode.open(), suite.queue()
    pipeline = client.pipeline()
    for i in range(3):
        pipeline.execute_command("ADDJOB", queue, f"job {i}", 0)
    pipeline.execute_command("QLEN", queue)
    pipeline.execute_command("GETJOB", "COUNT", 2, "FROM", queue)
    pipeline.execute_command("GETJOB", "TIMEOUT", 60_000, "FROM", suite.queue())
    *ids, length, fetched, nothing = pipeline.execute()
    equal([len(id) for id in ids], [40, 40, 40])
    equal((length, rows(fetched), nothing), (3, [[queue, "job 0"], [queue, "job 1"]], None))


def failed_commands_in_a_transaction_are_told(suite, mode):
    client, queue = mode.open(), suite.queue()
    pipeline = client.pipeline()
    pipeline.execute_command("ADDJOB", queue, "kept", 0)
    pipeline.execute_command("ADDJOB", queue, "refused", 0, "MAXLEN", 1)
    pipeline.execute_command("QLEN", queue)
    first, error, length = pipeline.execute(raise_on_error=False)
    equal((len(first), type(error), length), (40, ResponseError, 1))

    pipeline = client.pipeline()
    pipeline.execute_command("ADDJOB", queue, "never", 0)
    pipeline.execute_command("ADDJOB", queue)
    # The library reports the first error that it met; the transaction ran nothing.
    refused((ExecAbortError, ResponseError), "", pipeline.execute)
    equal(client.execute_command("QLEN", queue), 1)


def watched_pipeline_runs(suite, mode):
    queue = suite.queue()
    with mode.open().pipeline() as pipeline:
        pipeline.watch(queue)
        equal(pipeline.execute_command("QLEN", queue), 0)
        pipeline.multi()
        pipeline.execute_command("ADDJOB", queue, "body", 0)
        pipeline.execute_command("QLEN", queue)
        equal(pipeline.execute()[1], 1)


def plain_pipeline_keeps_the_order(suite, mode):
    client, queue = mode.open(), suite.queue()
    pipeline = client.pipeline(transaction=False)
    for i in range(1000):
        pipeline.execute_command("ADDJOB", queue, i, 0)
        pipeline.execute_command("QLEN", queue)
        pipeline.execute_command("NOSUCH")
    replies = pipeline.execute(raise_on_error=False)
    equal(replies[1::3], list(range(1, 1001)))
    equal({str(error) for error in replies[2::3]}, {"unknown command 'NOSUCH'"})
    fetched = client.execute_command("GETJOB", "COUNT", 1000, "FROM", queue)
    equal([row[1] for row in fetched], replies[::3])


# --- operating ----------------------------------------------------------------------------------------------------


def operators_commands_are_understood(_suite, mode):
    client = mode.open()
    config = client.config_get("*")
    equal((type(config), config["maxmemory-policy"], config["appendonly"]), (dict, "acks", "no"))
    equal(client.config_set("slowlog-max-len", 64), True)
    equal(client.config_get("slowlog-max*"), {"slowlog-max-len": "64"})
    info = client.info()
    equal((info["loading"], info["blocked_clients"], info["redis_mode"]), (0, 0, "standalone"))
    equal("cmdstat_config" not in client.info("server"), True)
    equal(client.info("commandstats")["cmdstat_config"]["calls"] > 0, True)
    seconds, microseconds = client.time()
    equal((seconds > 1_700_000_000, 0 <= microseconds < 1_000_000), (True, True))
    equal(client.echo("hello"), b"hello")
    equal(client.client_id() in [int(c["id"]) for c in client.client_list()], True)


def idle_clients_hold_no_unread_requests(_suite, mode):
    idle, client = mode.open(client_name="idle"), mode.open()
    idle.ping()
    (line,) = [line for line in client.client_list() if line["name"] == "idle"]
    equal((line["qbuf"], line["cmd"], line["flags"]), ("0", "ping", "N"))


def commands_are_listed(_suite, mode):
    client = mode.open()
    commands = client.command()
    equal((len(commands), commands["addjob"]["arity"]), (client.command_count(), -4))
    equal(set(commands["addjob"]["flags"]), {"write", "denyoom", "fast"})
    equal("getjob" in map(text, client.command_list()), True)


def slow_commands_are_logged(suite, mode):
    client, queue = mode.open(), suite.queue()
    client.config_set("slowlog-log-slower-than", 0)
    client.slowlog_reset()
    client.execute_command("ADDJOB", queue, "body", 0)
    client.config_set("slowlog-log-slower-than", 10_000)
    entries = client.slowlog_get()
    equal([e["command"] for e in entries if b"ADDJOB" in e["command"]], [f"ADDJOB {queue} body 0".encode()])
    equal((client.slowlog_len() >= len(entries), entries[0]["duration"] >= 0), (True, True))


def monitor_shows_commands(suite, mode):
    client, queue = mode.open(), suite.queue()
    with mode.open().monitor() as monitor:
        client.execute_command("ADDJOB", queue, 'with "quotes"', 0)
        pipeline = client.pipeline()
        pipeline.execute_command("QLEN", queue)
        pipeline.execute()
        seen = []
        while not seen or not seen[-1]["command"].startswith("QLEN"):
            seen.append(monitor.next_command())
    adding = next(line for line in seen if line["command"].startswith("ADDJOB"))
    equal(adding["command"], f'ADDJOB {queue} with "quotes" 0')
    equal((adding["db"], adding["client_address"], adding["client_type"]), (0, HOST, "tcp"))


# --- connections that end -----------------------------------------------------------------------------------------


def survives_a_restart(suite, mode):
    client, queue = mode.open(), suite.queue()
    client.execute_command("ADDJOB", queue, "before", 0)
    restart_server()
    equal(client.ping(), True)
    id = client.execute_command("ADDJOB", queue, "after", 0)
    equal(client.execute_command("GETJOB", "COUNT", 10, "FROM", queue)[-1][1:], [id, b"after"])


def killed_client_is_told(_suite, mode):
    victim = mode.open(single_connection_client=True, client_name="victim", retry=None)
    address = victim.client_info()["addr"]
    equal(mode.open().client_kill(address), True)
    until(lambda: address not in [c["addr"] for c in mode.open().client_list()], "the victim is gone")


def _die_waiting(mode, queue):
    mode.open().execute_command("GETJOB", "FROM", queue)


def dead_worker_gets_no_job(suite, mode):
    queue, wire, producer = suite.queue(), Wire(), mode.open()
    producer.ping()
    worker = multiprocessing.get_context("fork").Process(target=_die_waiting, args=(mode, queue))
    worker.start()
    wire.until_blocked()
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    producer.execute_command("ADDJOB", queue, "for the living", 0)
    equal(producer.execute_command("QLEN", queue), 1)
    living = producer.execute_command("GETJOB", "WITHCOUNTERS", "FROM", queue)
    equal(rows(living), [[queue, "for the living", "nacks", 0, "additional-deliveries", 0]])
    wire.until_blocked(0)
    wire.close()


CASES = [
    ("connects and runs a command", connects),
    ("connects with a password, with and without user", connects_with_password),
    ("is refused without the right password", is_refused_without_the_right_password),
    ("may give a password nobody asked for", gives_a_password_nobody_asked_for),
    ("has one database", has_one_database),
    ("names itself", names_itself),
    ("fetches several jobs with counters", fetches_several_jobs_with_counters),
    ("a waiting fetch is woken by a producer", is_woken_by_a_producer),
    ("gets null when its time is up", gets_null_when_time_is_up),
    ("gets nulls at once and does not hang", gets_nulls_at_once),
    ("a nacked job comes back and is counted", nacked_job_comes_back_and_is_counted),
    ("shows jobs and queues", shows_jobs_and_queues),
    ("scans queues and jobs", scans_queues_and_jobs),
    ("carries bodies of 1 and 20 MB", carries_large_bodies),
    ("decodes text", decodes_text),
    ("errors are exceptions", errors_are_exceptions),
    ("the default pipeline is a transaction", default_pipeline_is_a_transaction),
    ("failed commands in a transaction are told", failed_commands_in_a_transaction_are_told),
    ("a watched pipeline runs", watched_pipeline_runs),
    ("a plain pipeline keeps the order", plain_pipeline_keeps_the_order),
    ("operators' commands are understood", operators_commands_are_understood),
    ("an idle client holds no unread request", idle_clients_hold_no_unread_requests),
    ("commands are listed", commands_are_listed),
    ("slow commands are logged", slow_commands_are_logged),
    ("MONITOR shows commands", monitor_shows_commands),
    ("a killed client is gone", killed_client_is_told),
    ("a dead worker gets no job", dead_worker_gets_no_job),
    ("an idle client survives a restart of the server", survives_a_restart),
]

suite = Suite(f"redis-py {VERSION} {PARSER}")
for mode in map(Client, ("default", "2", "3")):
    label = "by default" if mode.mode == "default" else f"in RESP{mode.mode}"
    for claim, action in CASES:
        suite.case(f"{claim} ({label})", action, suite, mode)
suite.end()
