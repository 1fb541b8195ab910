"""The answer of /metrics, read by the parser of Prometheus's own client library for Python."""

import base64
import math
import socket
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from harness import HOST, LOCKED_PORT, PASSWORD, PORT, PATIENCE, Suite, equal

# `run` gives every server this port for HTTP.
HTTP_BELOW = 10000


def run(*words):
    """Sends a command and waits for the first bytes of its reply."""
    with socket.create_connection((HOST, PORT), PATIENCE) as stream:
        wire = b"*%d\r\n" % len(words)
        for word in words:
            word = word if isinstance(word, bytes) else word.encode()
            wire += b"$%d\r\n%s\r\n" % (len(word), word)
        stream.sendall(wire)
        return stream.recv(4096)


def scrape(port=PORT, headers=None):
    request = urllib.request.Request(f"http://{HOST}:{port - HTTP_BELOW}/metrics", headers=headers or {})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        equal(answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        return list(text_string_to_metric_families(answer.read().decode()))


def samples(families):
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


suite = Suite("prometheus")


def every_family_has_help_and_a_type_and_samples_are_unique():
    families = scrape()
    count = sum(len(family.samples) for family in families)
    equal(count > 80, True)
    equal(len(samples(families)), count)
    for family in families:
        equal(bool(family.documentation), True)
        equal(family.type in ("gauge", "counter", "histogram"), True)
        for sample in family.samples:
            equal(math.isfinite(sample.value) and sample.value >= 0, True)


def names_of_queues_come_back_as_they_are():
    names = ['a"b', "a\\b", "a\nb", "a\\nb", "grün {x}", 'le="1"', " blanks ", "a,b=c"]
    for name in names:
        run("ADDJOB", name, "x", "0")
    run("ADDJOB", b"\xff", "x", "0")
    found = samples(scrape())
    for name in names:
        equal(found["disque_queue_jobs", (("queue", name),)], 1)
    equal(found["disque_queue_jobs", (("rest", "yes"),)], 1)


def the_histogram_cumulates():
    families = {family.name: family for family in scrape()}
    turns = families["disque_loop_turn_seconds"].samples
    buckets = [(float(s.labels["le"]), s.value) for s in turns if s.name.endswith("_bucket")]
    equal(buckets, sorted(buckets))
    equal([value for _, value in buckets], sorted(value for _, value in buckets))
    equal(buckets[-1][0], math.inf)
    equal(buckets[-1][1], next(s.value for s in turns if s.name.endswith("_count")))


def counters_grow():
    before = samples(scrape())["disque_commands_total", ()]
    for _ in range(5):
        run("PING")
    equal(samples(scrape())["disque_commands_total", ()] >= before + 5, True)


def the_password_is_taken_as_prometheus_sends_it():
    try:
        scrape(LOCKED_PORT)
        raise AssertionError("without a password")
    except urllib.error.HTTPError as error:
        equal(error.code, 401)
    basic = base64.b64encode(f"prometheus:{PASSWORD}".encode()).decode()
    for value in (f"Bearer {PASSWORD}", f"Basic {basic}"):
        equal(len(scrape(LOCKED_PORT, {"Authorization": value})) > 40, True)


suite.case("every family has help and a type, and samples are unique", every_family_has_help_and_a_type_and_samples_are_unique)
suite.case("names of queues come back as they are", names_of_queues_come_back_as_they_are)
suite.case("the histogram cumulates", the_histogram_cumulates)
suite.case("counters grow", counters_grow)
suite.case("the password is taken as Prometheus sends it", the_password_is_taken_as_prometheus_sends_it)
suite.end()
