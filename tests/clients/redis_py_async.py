"""redis-py with asyncio: many workers in one process, as applications run them.

Arguments: the version that must be installed, and the parser that it must choose by itself (python or hiredis).
"""

import asyncio
import collections
import os
import sys

import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, ResponseError

from harness import HOST, LOCKED_PORT, PASSWORD, PORT, Suite, Wire, equal, restart_server

VERSION, PARSER = sys.argv[1:3]
MEGABYTE = 1024 * 1024
WORKERS = 50
JOBS = 5_000


class Client:
    """How the cases of one mode connect: the library's default protocol, 2 or 3."""

    def __init__(self, mode):
        self.mode = mode
        self.options = {} if mode == "default" else {"protocol": int(mode)}

    def open(self, **options):
        return redis.asyncio.Redis(**{"host": HOST, "port": PORT, **self.options, **options})


async def raises(error_class, awaitable):
    try:
        result = await awaitable
    except error_class:
        return
    raise AssertionError(f"no {error_class.__name__}, but {result!r:.200}")


async def until_blocked(wire, count):
    # In a thread: the clients that are to block run on this loop.
    await asyncio.to_thread(wire.until_blocked, count)


async def connects(suite, mode):
    async with mode.open() as client:
        equal((redis.__version__, await client.ping()), (VERSION, True))
        equal(await client.execute_command("QLEN", suite.queue()), 0)
        connection = await client.connection_pool.get_connection()
        parser = "hiredis" if "Hiredis" in type(connection._parser).__name__ else "python"
        await connection.disconnect()
        equal(parser, PARSER)


async def passwords(suite, mode):
    for right in ({"password": PASSWORD}, {"username": "default", "password": PASSWORD}):
        async with mode.open(port=LOCKED_PORT, **right) as client:
            equal(await client.execute_command("QLEN", suite.queue()), 0)
    for wrong in ({"password": "wrong"}, {"username": "default", "password": "wrong"}, {}):
        # By default the library tries a refused password again and again, for many seconds.
        async with mode.open(port=LOCKED_PORT, retry=Retry(NoBackoff(), 0), **wrong) as client:
            await raises(AuthenticationError, client.execute_command("QLEN", suite.queue()))


async def jobs_go_through(suite, mode):
    queue = suite.queue()
    async with mode.open() as client:
        run = client.execute_command
        ids = [await run("ADDJOB", queue, f"job {i}", 0, "RETRY", 600) for i in range(3)]
        got = await run("GETJOB", "COUNT", 5, "WITHCOUNTERS", "FROM", queue)
        equal([row[1:] for row in got], [
            [id, f"job {i}".encode(), b"nacks", 0, b"additional-deliveries", 0] for i, id in enumerate(ids)
        ])
        equal(await run("NACK", ids[0]), 1)
        (again,) = await run("GETJOB", "WITHCOUNTERS", "FROM", queue)
        equal((again[1], again[4]), (ids[0], 1))
        shown = await run("SHOW", ids[0])
        equal((shown[4:6], shown[28:30]), ([b"state", b"active"], [b"body", b"job 0"]))
        equal(await run("ACKJOB", *ids), 3)
        equal((await run("SHOW", ids[0]), await run("GETJOB", "NOHANG", "FROM", queue)), (None, None))
        equal(await run("GETJOB", "TIMEOUT", 30, "FROM", queue), None)
        await raises(ResponseError, run("ADDJOB", queue))


async def pipelines(suite, mode):
    queue = suite.queue()
    async with mode.open() as client:
        for transaction in (True, False):
            pipeline = client.pipeline(transaction=transaction)
            for i in range(100):
                pipeline.execute_command("ADDJOB", queue, i, 0)
            pipeline.execute_command("GETJOB", "COUNT", 100, "FROM", queue)
            *ids, rows = await pipeline.execute()
            equal([row[1] for row in rows], ids)


async def waiting_workers_are_woken(suite, mode):
    queue, wire = suite.queue(), Wire()
    async with mode.open() as client:
        fetch = ("GETJOB", "TIMEOUT", 0, "FROM", queue)
        waiting = [asyncio.create_task(client.execute_command(*fetch)) for _ in range(10)]
        await until_blocked(wire, 10)
        ids = [await client.execute_command("ADDJOB", queue, i, 0) for i in range(10)]
        got = await asyncio.gather(*waiting)
        equal(sorted(rows[0][1] for rows in got), sorted(ids))
    wire.close()


async def cancelled_worker_gets_no_job(suite, mode):
    """A task that is cancelled while it waits leaves a connection with a reply to come: the library closes it."""
    queue, wire = suite.queue(), Wire()
    async with mode.open() as client:
        task = asyncio.create_task(client.execute_command("GETJOB", "FROM", queue))
        await until_blocked(wire, 1)
        while not task.done():
            # In Python 3.11 the library may lose a cancellation that comes while it is still writing.
            task.cancel()
            await asyncio.wait([task], timeout=0.1)
        await until_blocked(wire, 0)
        id = await client.execute_command("ADDJOB", queue, "body", 0)
        (row,) = await client.execute_command("GETJOB", "NOHANG", "WITHCOUNTERS", "FROM", queue)
        equal((row[1], row[4], row[6]), (id, 0, 0))
    wire.close()


async def fleet_gets_each_job_once(suite, mode):
    """Fifty workers fetch by one or several, acknowledge, and now and then put a job back."""
    queue, delivered, acked = suite.queue(), collections.Counter(), collections.Counter()
    nacked, finished = collections.Counter(), asyncio.Event()

    async with mode.open(max_connections=3 * WORKERS) as client:
        run = client.execute_command

        async def produce(numbers):
            pipeline = client.pipeline(transaction=False)
            for number in numbers:
                pipeline.execute_command("ADDJOB", queue, number, 0, "RETRY", 600)
            await pipeline.execute()

        async def work(worker):
            while not finished.is_set():
                rows = await run("GETJOB", "TIMEOUT", 500, "COUNT", 1 + worker % 5, "FROM", queue)
                for _queue, id, body in rows or []:
                    delivered[body] += 1
                    if int(body) % 100 == 0 and not nacked[body]:
                        # Counted before it is awaited: another worker may have the job before this one goes on.
                        nacked[body] += 1
                        equal(await run("NACK", id), 1)
                    else:
                        acked[body] += 1
                        equal(await run("ACKJOB", id), 1)
                if acked.total() == JOBS:
                    finished.set()

        workers = [asyncio.create_task(work(i)) for i in range(WORKERS)]
        await asyncio.gather(*(produce(range(start, start + 100)) for start in range(0, JOBS, 100)))
        await asyncio.gather(*workers)
        equal((len(acked), set(acked.values())), (JOBS, {1}))
        equal(dict(delivered - acked), dict(nacked))
        equal(nacked.total(), JOBS // 100)
        equal(await run("QLEN", queue), 0)
        equal((await run("JSCAN", "BUSYLOOP", "QUEUE", queue))[1], [])


async def large_bodies(suite, mode):
    queue = suite.queue()
    async with mode.open(socket_timeout=20) as client:
        for size in (MEGABYTE, 20 * MEGABYTE):
            body = os.urandom(MEGABYTE) * (size // MEGABYTE)
            id = await client.execute_command("ADDJOB", queue, body, 0)
            (row,) = await client.execute_command("GETJOB", "FROM", queue)
            equal((row[1], len(row[2]), row[2] == body), (id, size, True))
            equal(await client.execute_command("ACKJOB", id), 1)


async def operators_commands(_suite, mode):
    async with mode.open() as client:
        equal((await client.config_get("*"))["appendonly"], "no")
        equal((await client.info())["loading"], 0)
        equal(len(await client.client_list()) >= 1, True)
        equal((await client.command())["qlen"]["arity"], 2)
        equal(len(await client.time()), 2)
        equal(isinstance(await client.slowlog_get(), list), True)


async def monitor_shows_commands(suite, mode):
    queue = suite.queue()
    async with mode.open() as client, client.monitor() as monitor:
        async with mode.open() as other:
            await other.execute_command("QLEN", queue)
        while (line := await monitor.next_command())["command"] != f"QLEN {queue}":
            pass
        equal((line["db"], line["client_type"]), (0, "tcp"))


async def survives_a_restart(suite, mode):
    async with mode.open() as client:
        await client.ping()
        await asyncio.to_thread(restart_server)
        equal(await client.ping(), True)
        equal(len(await client.execute_command("ADDJOB", suite.queue(), "after", 0)), 40)


CASES = [
    ("connects and runs a command", connects),
    ("passwords let in or keep out", passwords),
    ("jobs go through their life", jobs_go_through),
    ("pipelines keep the order", pipelines),
    ("waiting workers are woken", waiting_workers_are_woken),
    ("a cancelled worker gets no job", cancelled_worker_gets_no_job),
    (f"{WORKERS} workers get each of {JOBS} jobs once", fleet_gets_each_job_once),
    ("carries bodies of 1 and 20 MB", large_bodies),
    ("operators' commands are understood", operators_commands),
    ("MONITOR shows commands", monitor_shows_commands),
    ("survives a restart of the server", survives_a_restart),
]

suite = Suite(f"redis-py {VERSION} asyncio {PARSER}")
for mode in map(Client, ("default", "2", "3")):
    label = "by default" if mode.mode == "default" else f"in RESP{mode.mode}"
    for claim, action in CASES:
        suite.case(f"{claim} ({label})", lambda action=action, mode=mode: asyncio.run(action(suite, mode)))
suite.end()
