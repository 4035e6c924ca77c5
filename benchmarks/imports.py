"""What importing costs: time and memory above a bare interpreter, beside IBM's client.

Run it with `python benchmarks/imports.py` (about half a minute). Each round is a
fresh process. The time is that of the whole process, start to end; the best of
the rounds counts, as other programs share the machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from rows import Row, at_most, markdown, number

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 9
CLIENT = """
import anyio, qawait
account = dict(token="t" * 44, url="http://127.0.0.1:9/api/v1", iam_url="http://127.0.0.1:9",
               instance="crn:v1:bluemix:public:quantum-computing:us-east:a/b:c::")
async def main():
    async with qawait.connect(**account):
        report()
anyio.run(main)
"""
REPORT = """
def report():
    import json, sys
    with open("/proc/self/status") as file:
        size = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    heavy = [name for name in ("numpy", "qiskit", "httpx", "trio") if name in sys.modules]
    print(json.dumps([size / 1024, len(sys.modules), heavy]))
"""


class Cost(NamedTuple):
    """Milliseconds and MiB of a process, how many modules it has and which heavy ones."""

    taken: float
    size: float
    modules: int
    heavy: list[str]


CASES: dict[str, tuple[str, dict[str, float]]] = {
    "bare interpreter": ("report()", {}),
    "import qawait": ("import qawait; report()", {"time": 60}),
    "ready client": (CLIENT, {"time": 115, "memory": 22}),
    "import httpx": ("import httpx; report()", {}),
    "import qiskit_ibm_runtime": ("import qiskit_ibm_runtime; report()", {}),
    "qawait.ibm.heavy.preload()": (
        "from qawait.ibm.heavy import preload; preload(); report()",
        {},
    ),
}
"""What is run, and the milliseconds and MiB that it should take at most."""


def cost(code: str) -> Cost:
    """Run code that ends by reporting."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-P", "-c", REPORT + code],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    taken = (time.perf_counter() - begun) * 1e3
    assert done.returncode == 0, done.stderr
    size, modules, heavy = json.loads(done.stdout)
    return Cost(taken, size, modules, heavy)


def run(rounds: int = ROUNDS) -> list[Row]:
    """Return what each case costs above a bare interpreter, the best of some rounds."""
    for code, _ in CASES.values():
        cost(code)  # so that every file is in the page cache
    found = [{case: cost(code) for case, (code, _) in CASES.items()} for _ in range(rounds)]
    best = {case: min(each[case] for each in found) for case in CASES}
    bare = best.pop("bare interpreter")
    theirs = best["import qiskit_ibm_runtime"]
    return [row for case, it in best.items() for row in _rows(case, it, bare, theirs)]


def _rows(case: str, it: Cost, bare: Cost, theirs: Cost) -> Iterator[Row]:
    loaded = f", with {', '.join(it.heavy)}" if it.heavy else ""
    most = CASES[case][1]
    figures = (
        ("time", "ms", it.taken - bare.taken, theirs.taken - bare.taken),
        ("memory", "MiB", it.size - bare.size, theirs.size - bare.size),
    )
    for what, unit, value, beside in figures:
        aim, holds = at_most(most[what], value, unit) if what in most else ("", None)
        yield Row(
            name=what,
            peer=case,
            value=value,
            unit=unit,
            ratio=f"{number(value / beside)} of IBM's client{loaded}",
            aim=aim,
            holds=holds,
        )


if __name__ == "__main__":
    print(markdown(run()))
