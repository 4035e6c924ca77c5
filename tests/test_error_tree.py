"""The tree of errors: complete, drawn, and each error whole after a copy or a pickle."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import TYPE_CHECKING

import pytest

import qawait
from qawait import errors
from qawait.errors import (
    AuthError,
    BudgetExceededError,
    ConfigError,
    DeadlineExceededError,
    GuardianError,
    JobCancelledError,
    JobFailedError,
    JobTimedOutError,
    NotSentError,
    ProtocolError,
    QawaitError,
    RejectedError,
    ThrottledError,
    UnknownOutcomeError,
    UnknownStatusError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSAL = {
    "status": 409,
    "code": "not_found",
    "service_message": "no",
    "solution": "ask again",
    "trace": "t-1",
    "request": "POST /jobs",
}
EXAMPLES: list[QawaitError] = [
    QawaitError("m", job_id="j", tag="t"),
    ConfigError("m", job_id="j"),
    NotSentError("m", tag="t"),
    UnknownOutcomeError("m", tag="t"),
    ProtocolError("m", job_id="j"),
    RejectedError("m", job_id="j", **REFUSAL),  # type: ignore[arg-type]
    AuthError("m", **REFUSAL),  # type: ignore[arg-type]
    ThrottledError("m", tag="t", **REFUSAL),  # type: ignore[arg-type]
    JobFailedError("m", job_id="j", reason="r", code=5203, solution="s", text="Traceback"),
    JobCancelledError("m", job_id="j"),
    JobTimedOutError("m", job_id="j"),
    BudgetExceededError("m", qpu_seconds=60, spent=12.5, job_id="j"),
    DeadlineExceededError("m", job_id="j"),
    UnknownStatusError("m", raw="Pondering", job_id="j"),
    GuardianError("m", tag="t"),
]


def classes() -> set[type[QawaitError]]:
    """Return every class of the tree."""
    found = [value for _, value in inspect.getmembers(errors, inspect.isclass)]
    return {kind for kind in found if issubclass(kind, QawaitError)}


def test_every_class_is_public_drawn_and_documented() -> None:
    """Each class is exported, stands in the drawing and has a docstring of its own."""
    for kind in classes():
        assert getattr(qawait, kind.__name__) is kind
        assert kind.__name__ in (errors.__doc__ or "")
        assert kind.__doc__ != QawaitError.__doc__ or kind is QawaitError


def test_there_is_an_example_of_every_class() -> None:
    """No class is left out below."""
    assert {type(example) for example in EXAMPLES} == classes()


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("way", ["pickle", "copy", "deepcopy"])
def test_an_error_is_whole_after_a_copy(error: QawaitError, way: str) -> None:
    """Attributes, text and notes survive what multiprocessing and task queues do to errors."""
    if isinstance(error, ThrottledError):
        error.retry_after = 1.5
    original = copy.copy(error)
    original.add_note("qawait: job j goes on")
    ways: dict[str, Callable[[QawaitError], QawaitError]] = {
        "pickle": lambda given: pickle.loads(pickle.dumps(given)),
        "copy": copy.copy,
        "deepcopy": copy.deepcopy,
    }
    twin = ways[way](original)
    assert type(twin) is type(error)
    assert twin is not original
    assert vars(twin) == vars(original)
    assert (str(twin), twin.args) == (str(original), original.args)


def test_errors_are_what_python_calls_them_too() -> None:
    """Wrong input is a `ValueError`, a time limit a `TimeoutError`."""
    assert issubclass(ConfigError, ValueError)
    assert issubclass(DeadlineExceededError, TimeoutError)
    assert issubclass(AuthError, RejectedError)
    assert issubclass(ThrottledError, RejectedError)
