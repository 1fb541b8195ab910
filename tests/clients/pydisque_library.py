"""pydisque, which knows nothing of RESP3, on a redis-py that speaks RESP3 by default."""

import logging
import threading

import pydisque.client
import redis

from harness import HOST, LOCKED_PORT, PORT, Suite, Wire, equal, refused, restart_server


def connect():
    client = pydisque.client.Client([f"{HOST}:{PORT}"])
    client.connect()
    return client


def connects(_suite):
    equal(redis.__version__, "8.1.0")
    client = connect()
    protocol = client.get_connection().client_info()["resp"]
    equal((len(client.connected_node.node_id), int(protocol)), (40, 3))


def jobs_go_through(suite):
    client, queue = connect(), suite.queue()
    id = client.add_job(queue, "body", timeout=0, retry=600, ttl=3600, maxlen=10)
    equal(client.qlen(queue), 1)
    equal(client.qpeek(queue, 1), [[queue.encode(), id, b"body"]])
    # The names of the library's results are the wrong way round: the queue comes first.
    equal(client.get_job([queue], withcounters=True), [(queue.encode(), id, b"body", 0, 0)])
    equal(client.working(id), 600)
    client.nack_job(id)
    equal(client.get_job([queue], timeout=5000, count=3), [(queue.encode(), id, b"body")])
    client.ack_job(id)
    equal(client.get_job([queue], nohang=True), [])
    equal(client.get_job([queue], timeout=30), [])
    fast = client.add_job(queue, "fast", delay=100)
    client.fast_ack(fast)
    equal(client.show(fast), None)


def show_and_qstat_are_dictionaries(suite):
    client, queue = connect(), suite.queue()
    id = client.add_job(queue, "body", retry=60)
    shown = client.show(id, return_dict=True)
    equal((shown[b"id"], shown[b"queue"], shown[b"state"]), (id, queue.encode(), b"queued"))
    equal((shown[b"retry"], shown[b"body"], len(shown)), (60, b"body", 15))
    state = client.qstat(queue, return_dict=True)
    equal((state[b"name"], state[b"len"], state[b"blocked"]), (queue.encode(), 1, 0))
    equal(client.dequeue(id), 1)
    equal(client.show(id, return_dict=True)[b"state"], b"active")
    equal(client.enqueue(id), 1)
    equal(client.del_job(id), 1)


def scans(suite):
    client, prefix = connect(), suite.queue()
    ids = {client.add_job(f"{prefix}/{i}", "body") for i in range(50)}
    _cursor, queues = client.qscan(busyloop=True)
    equal({f"{prefix}/{i}".encode() for i in range(50)} - set(queues), set())
    cursor, found = 0, set()
    while True:
        cursor, jobs = client.jscan(cursor, count=10)
        found |= set(jobs)
        if int(cursor) == 0:
            break
    equal(ids - found, set())
    _cursor, whole = client.jscan(busyloop=True, queue=f"{prefix}/7", reply="all")
    equal((len(whole), whole[0][2:4]), (1, [b"queue", f"{prefix}/7".encode()]))


def queues_are_paused(suite):
    client, queue = connect(), suite.queue()
    equal(client.pause(queue, kw_in=True), b"in")
    refused(redis.ResponseError, "PAUSED", client.add_job, queue, "body")
    equal(client.pause(queue, kw_none=True), b"none")


def is_woken_by_a_producer(suite):
    queue, got, wire = suite.queue(), [], Wire()
    worker = threading.Thread(target=lambda: got.append(connect().get_job([queue])))
    worker.start()
    wire.until_blocked()
    id = connect().add_job(queue, "wake up")
    worker.join()
    wire.close()
    equal(got, [[(queue.encode(), id, b"wake up")]])


def cannot_give_a_password(_suite):
    client = pydisque.client.Client([f"{HOST}:{LOCKED_PORT}"])
    refused(redis.exceptions.ConnectionError, "", client.connect)


def survives_a_restart(suite):
    client = connect()
    restart_server()
    equal(len(client.add_job(suite.queue(), "after")), 40)


# The library logs every error as critical, those that a case wants too.
logging.disable()
suite = Suite("pydisque 0.1.5 on redis-py 8.1.0")
for claim, action in [
    ("connects in RESP3", connects),
    ("jobs go through their life", jobs_go_through),
    ("SHOW and QSTAT are dictionaries", show_and_qstat_are_dictionaries),
    ("scans queues and jobs", scans),
    ("queues are paused", queues_are_paused),
    ("a waiting fetch is woken by a producer", is_woken_by_a_producer),
    ("cannot give a password, and says so", cannot_give_a_password),
    ("survives a restart of the server", survives_a_restart),
]:
    suite.case(claim, action, suite)
suite.end()
