"""What is counted and timed of requests, in the text form of Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from blade_tune.serving.forms import HealthReply

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)  # bounds of buckets


class Measures:
    """Counters of one server.

    Args:
        health: what is said of the model.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, health: HealthReply) -> None:
        self._registry = CollectorRegistry()
        prefix = "blade_tune_serve"
        self._requests = Counter(
            f"{prefix}_requests",
            "Requests, by path and status.",
            ["path", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            f"{prefix}_seconds",
            "Seconds from a request to its answer, by path.",
            ["path"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.users = Counter(
            f"{prefix}_users", "Users that were recommended to.", registry=self._registry
        )
        self.in_progress = Gauge(
            f"{prefix}_in_progress",
            "Requests for recommendations that wait or are computed.",
            registry=self._registry,
        )
        info = Info(f"{prefix}_model", "The model that is served.", registry=self._registry)
        info.info({"model": health.model, "digest": health.digest, "version": health.version})

    def count(self, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered.

        Args:
            path: one of the server's paths; "other" for all others, of which there may be any number.
            status: of the answer.
            seconds: that it took.
        """
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """Return all counts as text."""
        return generate_latest(self._registry)
