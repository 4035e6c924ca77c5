from __future__ import annotations

from datetime import UTC, datetime

import pytest

from qawait.panels.board import Board, Watched, duration, past, until_next
from qawait.types import CancelOutcome, Snapshot, Stage, Update


def update(stage: Stage, time: float, **fields: object) -> Update:
    """Return an update of one job."""
    return Update(stage=stage, time=time, job_id="d1", **fields)  # type: ignore[arg-type]


def watched(*updates: Update, seen: Snapshot | None = None) -> Watched:
    """Return a job of which these updates were seen."""
    row = Watched()
    for one in updates:
        row.take(one, seen)
    return row


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "0 s"),
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3660, "1 h 01 min"),
    ],
)
def test_a_growing_time_reads_in_seconds_then_minutes(seconds: float, shown: str) -> None:
    """Whole seconds in the first minute, whole minutes afterwards."""
    assert duration(seconds) == shown


def test_a_short_time_that_is_over_reads_in_tenths() -> None:
    """Tenths of a second below ten."""
    assert (past(0.44), past(12.7)) == ("0.4 s", "12 s")


@pytest.mark.parametrize("seconds", [0, 0.25, 59.5, 60, 61.5, 3601.25])
def test_the_next_change_is_when_the_time_reads_differently(seconds: float) -> None:
    """Just before, it reads the same; from then on, differently."""
    later = seconds + until_next(seconds)
    assert duration(later - 0.001) == duration(seconds)
    assert duration(later + 0.001) != duration(seconds)


def test_time_is_counted_for_each_stage() -> None:
    """Each stage has the time from its first update to that of the next stage."""
    row = watched(
        update(Stage.QUEUED, 100),
        update(Stage.QUEUED, 110),
        update(Stage.RUNNING, 134),
        update(Stage.DONE, 146),
    )
    assert row.took == {Stage.QUEUED: 34, Stage.RUNNING: 12}
    assert row.steps(1000) == "queued 34 s · running 12 s"
    assert row.elapsed(1000) == 46


def test_the_queue_counts_from_the_job_s_creation() -> None:
    """A job that had waited before it was looked at shows all of its waiting."""
    made = datetime.fromtimestamp(40, UTC)
    seen = Snapshot(job_id="d1", status=None, raw_status="Queued", created=made)
    assert watched(update(Stage.QUEUED, 100), seen=seen).elapsed(100) == 60


def test_a_running_job_s_share_is_of_its_estimate() -> None:
    """It grows to one and no further, and there is none without an estimate."""
    row = watched(update(Stage.RUNNING, 100, estimated_seconds=40))
    assert (row.share(110), row.share(500)) == (0.25, 1)
    assert watched(update(Stage.RUNNING, 100)).share(110) is None


def test_what_there_is_to_say_comes_in_order() -> None:
    """A lost service goes before a cancel, that before an estimate; a final reason stays."""
    row = watched(update(Stage.QUEUED, 100, estimated_seconds=40))
    assert row.remark() == "about 40 s expected"
    row.is_stopping = True
    assert row.remark() == "cancelling …"
    row.cancel = CancelOutcome.REQUESTED
    assert row.remark() == "cancel accepted"
    row.take(update(Stage.QUEUED, 100, disconnected_since=5.0), None)
    assert row.remark().startswith("no answer from the service since")
    row.take(update(Stage.DONE, 120), None)
    assert row.remark() == "the job outran its cancel"
    assert watched(update(Stage.ERROR, 1, reason="no luck")).remark() == "no luck"


def test_a_short_table_shows_what_goes_on() -> None:
    """Running jobs stay in a table that is too short, in the order they have."""
    board = Board(lambda: 0)
    stages = [Stage.DONE, Stage.RUNNING, Stage.QUEUED, Stage.RUNNING]
    board.rows = [Watched(stage=stage) for stage in stages]
    assert [row.stage for row in board.shown(3)] == [Stage.RUNNING, Stage.QUEUED, Stage.RUNNING]
    assert board.summary() == "1 of 4 ended · 2 running · 1 queued · 1 done"


def test_a_board_without_live_jobs_need_not_be_shown_again() -> None:
    """The pause is until the next change of a live job's time; long if there is none."""
    board = Board(lambda: 100.75)
    board.rows = [Watched(stage=Stage.QUEUED, entered=100)]
    assert board.pause() == 0.25
    board.rows = [Watched(stage=Stage.DONE)]
    assert board.pause() == 3600
