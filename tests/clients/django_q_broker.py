"""The broker of django-q 1.3.9, the last version that has one for Disque.

It sends every command as one string, which its old redis-py splits at blanks.
"""

import threading

from harness import HOST, LOCKED_PORT, PASSWORD, PORT, Suite, Wire, equal, refused

import django
import redis
from django.conf import settings

settings.configure(
    SECRET_KEY="none",
    USE_TZ=True,
    Q_CLUSTER={"name": "tests", "disque_nodes": [f"{HOST}:{PORT}"], "retry": 600, "timeout": 60, "bulk": 10},
)
django.setup()

from django_q.brokers.disque import Disque  # noqa: E402
from django_q.conf import Conf  # noqa: E402


def broker(suite):
    return Disque(list_key=suite.queue())


def answers(suite):
    tasks = broker(suite)
    equal((redis.__version__, tasks.ping()), ("3.5.3", True))
    equal(tasks.info().startswith("Disque "), True)


def tasks_go_through(suite):
    tasks = broker(suite)
    ids = [tasks.enqueue(f"signed-task-{i}") for i in range(3)]
    equal(tasks.queue_size(), 3)
    equal(tasks.dequeue(), [(id, f"signed-task-{i}") for i, id in enumerate(ids)])
    equal(tasks.queue_size(), 0)
    equal(tasks.acknowledge(ids[0]), 1)
    Conf.DISQUE_FASTACK = True
    equal(tasks.acknowledge(ids[1]), 1)
    Conf.DISQUE_FASTACK = False
    equal(tasks.fail(ids[2]), 1)


def queue_is_deleted(suite):
    tasks = broker(suite)
    equal(tasks.delete_queue(), 0)
    for i in range(5):
        tasks.enqueue(f"task-{i}")
    equal((tasks.delete_queue(), tasks.queue_size()), (5, 0))


def is_woken_by_a_producer(suite):
    tasks, got, wire = broker(suite), [], Wire()
    worker = threading.Thread(target=lambda: got.append(tasks.dequeue()))
    worker.start()
    wire.until_blocked()
    id = Disque(list_key=tasks.list_key).enqueue("wake-up")
    worker.join()
    wire.close()
    equal(got, [[(id, "wake-up")]])


def gets_none_when_time_is_up(suite):
    equal(broker(suite).dequeue(), None)


def passwords(suite):
    Conf.DISQUE_NODES = [f"{HOST}:{LOCKED_PORT}"]
    Conf.DISQUE_AUTH = PASSWORD
    equal(broker(suite).ping(), True)
    Conf.DISQUE_AUTH = "wrong"
    refused(redis.exceptions.ConnectionError, "Could not connect", broker, suite)


suite = Suite("django-q 1.3.9")
for claim, action in [
    ("answers and tells the version", answers),
    ("tasks go through their life", tasks_go_through),
    ("a queue is deleted", queue_is_deleted),
    ("a waiting worker is woken by a producer", is_woken_by_a_producer),
    ("gets none when its time is up", gets_none_when_time_is_up),
    ("passwords let in or keep out", passwords),
]:
    suite.case(claim, action, suite)
suite.end()
