"""Requests a second and their times over HTTP, from one user a request to 64, with 1 to 32 clients at a time.

    python benchmarks/serve.py [--bundle results/demo/best] [--items 100000] [--threads 1] [--seconds 3]

The server is a process of its own; the clients are threads of this one, with a connection each, on the same cores. With
`--items` an untrained blade of default size on so many items is served instead of the bundle. Histories have 26
interactions. Prints a table: what is asked, clients, requests and users a second, median and 99th percentile.
"""

import argparse
import http.client
import json
import multiprocessing
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.recommend import made
from blade_tune.serving.forms import HealthReply
from blade_tune.serving.limits import Limits
from blade_tune.serving.server import Place, serve
from blade_tune.serving.service import Service

BATCHES, CLIENTS, LENGTH, PORT = (1, 64), (1, 8, 32), 26, 8097


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--items", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    ready = multiprocessing.get_context("spawn").Event()
    server = multiprocessing.get_context("spawn").Process(target=run, args=(options, ready))
    server.start()
    try:
        assert ready.wait(120)
        health = json.loads(get("/health"))
        print(f"{health['model']}, {health['items']:,} items, {options.threads} threads")
        print(
            "| users a request | clients | requests a second | users a second | p50, ms | p99, ms |"
        )
        print("|---|---|---|---|---|---|")
        items = item_ids(options, health["items"])
        for batch in BATCHES:
            bodies = [body(batch, items, health["behaviors"], seed) for seed in range(16)]
            measure(bodies, 1, 0.5)  # the first requests are slower
            for clients in CLIENTS:
                seconds = measure(bodies, clients, options.seconds)
                rate = len(seconds) / options.seconds
                p50, p99 = 1000 * np.quantile(seconds, [0.5, 0.99])
                row = f"| {batch} | {clients} | {rate:,.0f} | {rate * batch:,.0f} | {p50:.1f} | {p99:.1f} |"
                print(row, flush=True)
    finally:
        server.terminate()
        server.join()


def run(options, ready) -> None:
    """Serve until terminated."""
    import torch

    if options.items:
        recommender = made("blade", options.items, "cpu")
        behaviors = list(recommender.model.catalog.behaviors)
        facts = {"version": "", "digest": "", "users": 0, "warning": None}
        health = HealthReply(model="blade", items=options.items, behaviors=behaviors, **facts)
        service = Service(recommender, health)
    else:
        service = Service.load(options.bundle, torch.device("cpu"))
    place = Place("127.0.0.1", PORT, options.threads)
    serve(service, Limits(), place, lambda _: ready.set())


def item_ids(options, count: int) -> list[str]:
    if options.items:
        return [str(number) for number in range(1, count + 1)]
    lines = (options.bundle / "items.csv").read_text().splitlines()[1:]
    return [line.partition(",")[2] for line in lines]


def body(batch: int, items: list[str], behaviors: list[str], seed: int) -> bytes:
    random = np.random.default_rng(seed)
    histories = {}
    for user in range(batch):
        picked = random.integers(0, len(items), LENGTH)
        names = random.integers(0, len(behaviors), LENGTH)
        pairs = zip(picked, names, strict=True)
        histories[f"user {user}"] = [(items[item], [behaviors[name]]) for item, name in pairs]
    return json.dumps({"histories": histories, "k": 10}).encode()


def get(path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", PORT)
    connection.request("GET", path)
    return connection.getresponse().read()


def measure(bodies: list[bytes], clients: int, seconds: float) -> list[float]:
    """The seconds of every request that was answered before the time was over."""
    found: list[float] = []
    end = time.perf_counter() + seconds

    def ask(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", PORT)
        number = first
        while True:
            begun = time.perf_counter()
            connection.request(
                "POST",
                "/recommend",
                bodies[number % len(bodies)],
                {"Content-Type": "application/json"},
            )
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            now = time.perf_counter()
            if now > end:
                return
            found.append(now - begun)
            number += 1

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


if __name__ == "__main__":
    main()
