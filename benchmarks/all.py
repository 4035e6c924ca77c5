"""Runs every benchmark and refreshes the figures in the documentation.

    python benchmarks/all.py [--quick] [--only many,imports] [--docs docs]

Without `--quick` (3 minutes at most, and less to see) it takes up to 15 minutes.
`performance.json` gets every row; `performance.md` gets them as tables between
its markers. A benchmark that fails keeps the rows it had, and the exit code says
so. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cancel
import codec
import guardian
import imports
import many
import schedules
import submit
import transport
from rows import Row, markdown, number, pivot, write
from waiters import WAITERS

if TYPE_CHECKING:
    from collections.abc import Callable

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
PACKAGES = ("qiskit-ibm-runtime", "qiskit", "httpx", "aiohttp", "h2", "anyio", "trio", "uvloop")
CODEC_CASES = (
    "sampler, 1 M shots x 100 bits",
    "estimator, 1,000 pubs x 10",
    "1 circuit, 127 qubits x 100 layers",
)
IBM = many.IBM
OURS = ("qawait", "qawait, fixed 0.5 s")
LIMIT = "raw list poller"
LIMIT_SECONDS = 900.0


# --- what is run ---------------------------------------------------------------------------------


def run_many(*, quick: bool) -> list[Row]:
    """Wait for many jobs."""
    if quick:
        return many.run({100: (IBM, OURS[1], LIMIT)})
    plan = {
        1: (IBM, OURS[0], LIMIT),
        100: (IBM, *OURS, LIMIT),
        1000: tuple(WAITERS),
    }
    return [*many.run(plan), *many.run({10_000: (IBM, OURS[1], LIMIT)}, seconds=75)]


def run_many_far(*, quick: bool) -> list[Row]:
    """Wait for many jobs of a service that is 100 ms away, over TLS."""
    if quick:
        return []
    return many.run({1000: (IBM, OURS[1], LIMIT)}, tls=True, delay=0.1)


def run_submit(*, quick: bool) -> list[Row]:
    """Submit."""
    return submit.run((100,) if quick else submit.SIZES)


def run_transport(*, quick: bool) -> list[Row]:
    """Ask for a status, and cancel."""
    if quick:
        return transport.run((32,), ("asyncio",), ())
    return transport.run((1, 32), cancel_loops=("asyncio",))


def run_imports(*, quick: bool) -> list[Row]:
    """Import."""
    return imports.run(2 if quick else imports.ROUNDS)


def run_cancel(*, quick: bool) -> list[Row]:
    """Cancel tasks, and stop programs."""
    return cancel.run(20 if quick else cancel.ROUNDS)


def run_guardian(*, quick: bool) -> list[Row]:
    """Kill programs."""
    return guardian.run(3 if quick else guardian.ROUNDS)


def run_schedules(*, quick: bool) -> list[Row]:
    """Simulate schedules."""
    return schedules.run(100 if quick else 400)


def run_codec(*, quick: bool) -> list[Row]:
    """Encode and decode."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for case in CODEC_CASES[1:2] if quick else CODEC_CASES:
            samples = codec.measured(case, Path(folder, "body"))
            first = next(iter(samples.values()))
            for side, sample in samples.items():
                for what, unit in (("taken", "ms"), ("stall", "ms"), ("peak", "MiB")):
                    value = getattr(sample, what)
                    rows.append(
                        Row(
                            name=f"{case}: {what}",
                            peer=side,
                            value=value,
                            unit=unit,
                            ratio=f"{number(value / getattr(first, what))} of IBM's",
                        )
                    )
    return rows


SECTIONS: dict[str, tuple[str, Callable[..., list[Row]]]] = {
    "many": ("Waiting for many jobs", run_many),
    "many-far": ("Waiting over TLS for 1,000 jobs of a service 100 ms away", run_many_far),
    "submit": ("Submitting", run_submit),
    "transport": ("One status query, one cancel", run_transport),
    "cancel": ("Cancelling", run_cancel),
    "guardian": ("The guardian", run_guardian),
    "imports": ("Importing", run_imports),
    "codec": ("Encoding and decoding", run_codec),
    "schedules": ("Polling schedules, simulated", run_schedules),
}


# --- what is written -----------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
    return {
        "processors": len(os.sched_getaffinity(0)),
        "model": model,
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def text(figures: dict[str, Any]) -> str:
    """Return the tables, first of all what is aimed at."""
    about = figures["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    parts = [
        " ".join(
            (
                f"Measured on {about['processors']} processors ({about['model']}),",
                f"{about['system']}, CPython {about['python']}, with {packages}.",
            )
        )
    ]
    known = {
        name: [Row(**row) for row in figures["rows"][name]]
        for name in SECTIONS
        if figures["rows"].get(name)
    }
    aimed = [row for rows in known.values() for row in rows if row.aim]
    parts += ["### What is aimed at", markdown(aimed)]
    for name, rows in known.items():
        parts += [
            f"### {SECTIONS[name][0]}",
            f"`python benchmarks/all.py --only {name}`",
            pivot(rows),
        ]
    return "\n\n".join(parts)


def refresh(page: Path, tables: str) -> None:
    """Put the tables between the markers of a page."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}")


def run(names: list[str], docs: Path, *, quick: bool) -> list[str]:
    """Run the benchmarks, write after each of them, and return the names of those that failed."""
    data = docs / "performance.json"
    figures: dict[str, Any] = json.loads(data.read_text()) if data.exists() else {"rows": {}}
    figures["machine"] = machine()
    failed = []
    for name in names:
        began = time.monotonic()
        print(f"\n## {SECTIONS[name][0]}\n", flush=True)
        rows = measured(name, quick=quick)
        if rows is None:
            failed.append(name)
            continue
        print(pivot([Row(**row) for row in rows]))
        print(f"\n{time.monotonic() - began:.0f} s", flush=True)
        figures["rows"][name] = rows
        data.write_text(json.dumps(figures, indent=1) + "\n")
        refresh(docs / "performance.md", text(figures))
    return failed


def measured(name: str, *, quick: bool) -> list[dict[str, Any]] | None:
    """Return the rows of a benchmark, in a process of its own; `None` if it fails or hangs."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "rows.json")
        command = [sys.executable, __file__, "section", name, "quick" if quick else "", str(out)]
        try:
            subprocess.run(command, check=True, timeout=LIMIT_SECONDS)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            print(error, flush=True)
            return None
        rows: list[dict[str, Any]] = json.loads(out.read_text())
        return rows


def main() -> int:
    """Run what is asked for and write the documentation's figures; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default=",".join(SECTIONS), help="names, parted by commas")
    parser.add_argument("--docs", type=Path, default=Path(__file__).parents[1] / "docs")
    asked = parser.parse_args()
    names = asked.only.split(",")
    if unknown := set(names) - set(SECTIONS):
        parser.error(f"{', '.join(unknown)}: there are {', '.join(SECTIONS)}")
    failed = run(names, asked.docs, quick=asked.quick)
    print(f"failed: {', '.join(failed)}" if failed else "all done")
    return 1 if failed else 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["section", name_, quick_, out_]:
            write(Path(out_), SECTIONS[name_][1](quick=bool(quick_)))
        case _:
            sys.exit(main())
