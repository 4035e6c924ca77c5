"""Figures in the text format of Prometheus, counted here in a few lines."""

from __future__ import annotations

import bisect
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qawait.gateway.jobs import Jobs

_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counts requests by endpoint, method and status, and how long they took to be answered."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._times: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()

    def count(self, endpoint: str, method: str, status: int, seconds: float) -> None:
        """Count one request, answered after so many seconds."""
        self._requests[endpoint, method, status] += 1
        times = self._times.setdefault(endpoint, [0] * (len(_BOUNDS) + 1))
        times[bisect.bisect_left(_BOUNDS, seconds)] += 1
        self._seconds[endpoint] += seconds  # type: ignore[assignment] # a Counter adds floats too

    def text(self, jobs: Jobs) -> str:
        """Return all figures."""
        return "\n".join([*_of_jobs(jobs), *self._of_requests(), ""])

    def _of_requests(self) -> Iterator[str]:
        yield from _head("requests_total", "counter", "Requests answered.")
        for (endpoint, method, status), number in sorted(self._requests.items()):
            labels = f'endpoint="{endpoint}",method="{method}",status="{status}"'
            yield f"qawait_gateway_requests_total{{{labels}}} {number}"
        yield from _head("request_seconds", "histogram", "Time until an answer began.")
        for endpoint, times in sorted(self._times.items()):
            yield from self._histogram(endpoint, times)

    def _histogram(self, endpoint: str, times: list[int]) -> Iterator[str]:
        name, total = "qawait_gateway_request_seconds", 0
        for bound, number in zip((*_BOUNDS, "+Inf"), times, strict=True):
            total += number
            yield f'{name}_bucket{{endpoint="{endpoint}",le="{bound}"}} {total}'
        yield f'{name}_sum{{endpoint="{endpoint}"}} {self._seconds[endpoint]:.6f}'
        yield f'{name}_count{{endpoint="{endpoint}"}} {total}'


def _of_jobs(jobs: Jobs) -> Iterator[str]:
    yield from _head("jobs", "gauge", "Jobs known, by status.")
    for status, number in jobs.count().items():
        yield f'qawait_gateway_jobs{{status="{status.value}"}} {number}'
    yield from _head("streams", "gauge", "Event streams and synchronous runs open.")
    yield f"qawait_gateway_streams {jobs.changes.streams}"


def _head(name: str, kind: str, what: str) -> Iterator[str]:
    yield f"# HELP qawait_gateway_{name} {what}"
    yield f"# TYPE qawait_gateway_{name} {kind}"
