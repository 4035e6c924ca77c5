"""Draws the pictures of `docs/polling.md` as SVG; needs matplotlib (the extra `bench`)."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from schedules import (
    CROWD,
    IBM_INTERVAL,
    KINDS,
    Job,
    Kind,
    Together,
    alone,
    blind_bound,
    drawn,
    exponential,
    fixed,
    mean,
)

from qawait.jobs.schedule import PollSchedule, Sight
from qawait.types import JobStatus

if TYPE_CHECKING:
    from pathlib import Path

# colours that stay apart for the colour-blind (Okabe and Ito), on a ground of their own
BLUE, ORANGE, GREEN, PURPLE, INK, GROUND = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#24292f",
    "#ffffff",
)
LATENESSES = (0.1, 0.17, 0.25, 0.5, 1.0, 2.0, 5.0)
SCALES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.0, 4.0, 10.0)
STYLE = {
    "font.family": "sans-serif",
    "font.size": 10.5,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": "#d0d7de",
    "grid.linewidth": 0.6,
    "svg.hashsalt": "qawait",
    "svg.fonttype": "path",
}


def draw(folder: Path, count: int) -> None:
    """Draw all pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        save(requests_against_lateness(count), folder / "polling-requests.svg")
        save(pauses(), folder / "polling-pauses.svg")


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the same figure is the same file."""
    figure.savefig(path, metadata={"Date": None}, facecolor=GROUND)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line.rstrip() for line in lines) + "\n")


def plain(value: float, _: object) -> str:
    """Return a tick as people write it."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


# --- requests against lateness -------------------------------------------------------------------


def requests_against_lateness(count: int) -> Figure:
    """Return the figure with a panel for each kind of job."""
    figure = Figure(figsize=(9, 7.2))
    panels = figure.subplots(2, 2).flat
    for axes, kind in zip(panels, KINDS, strict=True):
        curves(axes, kind, count)
    first = figure.axes[0]
    figure.legend(
        *first.get_legend_handles_labels(), loc="lower center", ncols=2, frameon=False, fontsize=10
    )
    across = "mean lateness: seconds from a job's end until it is seen"
    figure.supxlabel(across, y=0.13, fontsize=11)
    figure.supylabel("requests for each job", x=0.015, y=0.57, fontsize=11)
    figure.tight_layout(rect=(0.02, 0.14, 1, 1))
    return figure


def curves(axes: Any, kind: Kind, count: int) -> None:
    """Draw one panel."""
    jobs = drawn(kind, count)
    for label, style, policy in (
        ("fixed interval", {"color": INK, "ls": "--", "lw": 1.3}, fixed),
        ("exponential, 0.5 s × 1.5 up to 10 s, scaled", {"color": ORANGE, "lw": 1.6}, exponential),  # noqa: RUF001 - it is a multiplication
    ):
        points = [mean(jobs, lambda j, r, p=policy, s=scale: p(j, s, r)) for scale in SCALES]  # type: ignore[misc]
        line(axes, points, label=label, **style)
    ours = [alone(jobs, lateness) for lateness in LATENESSES]
    line(axes, ours, label="qawait, one job", color=BLUE, lw=2.2, marker="o", ms=4)
    many = drawn(kind, CROWD)
    crowd = [
        Together(many, PollSchedule(lateness=lateness), random.Random(7)).follow()
        for lateness in LATENESSES
    ]
    line(
        axes,
        crowd,
        label=f"qawait, {CROWD:,} jobs awaited together",
        color=GREEN,
        lw=2.2,
        marker="s",
        ms=4,
    )
    bound = [(max(1.0, blind_bound(jobs, late)), late) for late in LATENESSES]
    line(
        axes,
        bound,
        label="bound for one job whose status nobody looks at",
        color=PURPLE,
        ls=":",
        lw=2,
    )
    requests, late = mean(jobs, lambda job, rng: fixed(job, IBM_INTERVAL, rng))
    axes.plot(late, requests, "*", color=ORANGE, ms=13, mec=INK, mew=0.6, ls="none", zorder=5)
    axes.plot([], [], "*", color=ORANGE, ms=11, mec=INK, mew=0.6, label="IBM's client, fixed 0.5 s")
    axes.set(xscale="log", yscale="log", title=kind.name, xlim=(0.09, 6.5))
    most = mean(jobs, lambda job, rng: fixed(job, 2 * LATENESSES[0], rng))[0]
    axes.set_ylim(0.7 * min(1.0, *(requests for requests, _ in crowd)), 1.6 * most)
    axes.set_xticks([0.1, 0.25, 1, 5], minor=False)
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(plain))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    axes.grid(visible=True, which="major")


def line(axes: Any, points: list[tuple[float, float]], **style: Any) -> None:
    """Draw requests against lateness."""
    requests, late = zip(*points, strict=True)
    axes.plot(late, requests, **style)


# --- pauses over the life of a job ---------------------------------------------------------------


def pauses() -> Figure:
    """Return the figure of one job's pauses, from its submit to the look that sees its end."""
    # a job that ends halfway between two of IBM's looks
    job = Job(queued=60.0, running=45.25, estimate=45.0)
    unknown = Job(queued=60.0, running=45.25, estimate=math.nan)
    figure = Figure(figsize=(9, 4.4))
    axes: Any = figure.subplots()
    axes.axvspan(0, job.queued, color="#f3f4f6", lw=0)
    axes.axvline(job.queued, color=INK, lw=0.8)
    axes.axvline(job.ends, color=INK, lw=0.8)
    for place, word in ((0, "queued"), (job.queued, "running"), (job.ends, "ended")):
        axes.text(place + 0.7, 26, word, va="top", fontsize=10.5)
    for label, style, points in (
        ("qawait, 45 s estimated", {"color": BLUE, "lw": 2.2}, steps(job)),
        ("qawait, no estimate", {"color": GREEN, "lw": 2.2, "ls": "--"}, steps(unknown)),
        ("exponential up to 10 s", {"color": ORANGE, "lw": 1.6}, grown(job)),
        (
            "IBM's client, fixed 0.5 s",
            {"color": PURPLE, "lw": 1.6, "ls": ":"},
            [(0.0, IBM_INTERVAL), (job.ends + 0.25, IBM_INTERVAL)],
        ),
    ):
        xs, ys = zip(*points, strict=True)
        asks = int(job.ends / IBM_INTERVAL) if "IBM" in label else len(points) - 1
        late = f"{xs[-1] - job.ends:.1f} s late"
        axes.step(xs, ys, where="post", label=f"{label}: {asks} requests, {late}", **style)
    axes.set(
        yscale="log",
        ylim=(0.35, 30),
        xlim=(0, 118),
        xlabel="seconds since the submit",
        ylabel="seconds until the next look",
    )
    axes.set_yticks([0.5, 1, 2, 5, 10, 20])
    axes.yaxis.set_major_formatter(FuncFormatter(plain))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    axes.grid(visible=True, which="major", axis="y")
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False, fontsize=9.5
    )
    figure.tight_layout()
    return figure


def steps(job: Job) -> list[tuple[float, float]]:
    """Return when qawait asks and how long it then waits; without jitter."""
    schedule = PollSchedule(jitter=0.0)
    status, since, gap, polls, now = JobStatus.QUEUED, 0.0, 0.0, 0, 0.0
    estimate: float | None = None
    points: list[tuple[float, float]] = []
    while now < job.ends:
        sight = Sight(status=status, polls=polls, age=now - since, gap=gap, estimate=estimate)
        pause = schedule.pause(sight, 0.5)
        points.append((now, pause))
        now, polls = now + pause, polls + 1
        estimate = None if math.isnan(job.estimate) else job.estimate
        if now >= job.queued and status is JobStatus.QUEUED:
            status, since, gap, polls = JobStatus.RUNNING, now, pause, 0
    return [*points, (now, points[-1][1])]


def grown(job: Job) -> list[tuple[float, float]]:
    """Return the same for an exponential back-off."""
    now, pause = 0.0, 0.5
    points: list[tuple[float, float]] = []
    while now < job.ends:
        points.append((now, pause))
        now, pause = now + pause, min(pause * 1.5, 10.0)
    return [*points, (now, points[-1][1])]
