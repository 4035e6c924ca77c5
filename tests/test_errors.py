"""An error that several callers are told of."""

from __future__ import annotations

import traceback

import pytest

from qawait.errors import DeadlineExceededError, QawaitError, RejectedError, ThrottledError


def _raised(error: QawaitError) -> QawaitError:
    with pytest.raises(QawaitError) as caught:
        raise error
    return caught.value


def _throttled() -> ThrottledError:
    error = ThrottledError("too fast", status=429, code=1202, trace="t", job_id="job-1")
    error.retry_after = 3.0
    error.__cause__ = ValueError("why")
    error.add_note("a note")
    return error


def test_an_error_told_again_says_the_same() -> None:
    """Type, text, attributes, cause and notes are those of the first."""
    first = _throttled()
    again = first.again()
    assert again is not first
    assert type(again) is ThrottledError
    assert (str(again), vars(again)) == (str(first), vars(first))
    assert again.__cause__ is first.__cause__
    assert again.args == first.args


def test_every_class_can_be_told_again() -> None:
    """What a class's constructor asks for does not matter."""
    for error in (
        DeadlineExceededError("late", tag="tag"),
        RejectedError("no", status=404),
        QawaitError("hm"),
    ):
        assert (str(error.again()), type(error.again())) == (str(error), type(error))


def test_what_happens_to_one_copy_leaves_the_others_alone() -> None:
    """However often it is told, neither tracebacks nor notes add up."""
    first = _raised(_throttled())
    frames = len(traceback.extract_tb(first.__traceback__))
    for _ in range(3):
        again = _raised(first.again())
        again.add_note("another")
        again.job_id = "job-2"
        assert len(traceback.extract_tb(again.__traceback__)) == frames + 1
        assert again.__notes__ == ["a note", "another"]
    assert len(traceback.extract_tb(first.__traceback__)) == frames
    assert (first.__notes__, first.job_id) == (["a note"], "job-1")
