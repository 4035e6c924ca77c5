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
from typing import NamedTuple

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


CASES: dict[str, tuple[str, str]] = {
    "bare interpreter": ("report()", "-"),
    "import qawait": ("import qawait; report()", "60 ms"),
    "ready client": (CLIENT, "115 ms, 22 MiB"),
    "import httpx": ("import httpx; report()", "-"),
    "import qiskit_ibm_runtime": ("import qiskit_ibm_runtime; report()", "-"),
    "qawait.ibm.heavy.preload()": (
        "from qawait.ibm.heavy import preload; preload(); report()",
        "-",
    ),
}


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


def main() -> None:
    """Print the table."""
    for code, _ in CASES.values():
        cost(code)  # so that every file is in the page cache
    rounds = [{case: cost(code) for case, (code, _) in CASES.items()} for _ in range(ROUNDS)]
    best = {case: min(each[case] for each in rounds) for case in CASES}
    bare, theirs = best["bare interpreter"], best["import qiskit_ibm_runtime"]
    print("| | time | RSS | modules | to IBM's | aim |\n|---|---|---|---|---|---|")
    for case, (_, aim) in CASES.items():
        it = best[case]
        taken, size = it.taken - bare.taken, it.size - bare.size
        ratio = (
            f"{taken / (theirs.taken - bare.taken):.2f} / {size / (theirs.size - bare.size):.2f}"
        )
        loaded = f"{it.modules}{' with ' if it.heavy else ''}{', '.join(it.heavy)}"
        print(f"| {case} | {taken:.0f} ms | {size:.1f} MiB | {loaded} | {ratio} | {aim} |")


if __name__ == "__main__":
    main()
