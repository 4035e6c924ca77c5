"""The package as a whole: what it exports, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import qawait
from qawait.secret import Secret


@pytest.mark.parametrize("name", qawait.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """Each name in `__all__` can be had from the package."""
    assert getattr(qawait, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that does not exist is refused as by any module."""
    with pytest.raises(AttributeError, match="nothing"):
        _ = qawait.nothing


def test_importing_loads_nothing_heavy() -> None:
    """`import qawait` brings no qiskit, numpy, httpx or anyio along."""
    code = (
        "import sys, qawait\n"
        "heavy = {'qiskit', 'numpy', 'httpx', 'anyio', 'qiskit_ibm_runtime'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"


def test_a_client_loads_no_qiskit() -> None:
    """What polls, lists and cancels needs neither qiskit nor numpy."""
    code = (
        "import sys, qawait; qawait.connect\n"
        "print(sorted({'qiskit', 'numpy', 'qiskit_ibm_runtime'} & set(sys.modules)))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"


def test_errors_name_job_and_tag() -> None:
    """An error's text ends with the job or submit that it is about."""
    assert str(qawait.JobCancelledError("it was cancelled", job_id="j1")).endswith("[job j1]")
    assert str(qawait.UnknownOutcomeError("lost", tag="t1")).endswith("[tag t1]")


def test_a_secret_shows_itself_only_when_asked() -> None:
    """No usual way of printing a secret shows it."""
    secret = Secret("s3cret")
    shown = f"{secret} {secret!r} {secret:>20} {[secret]}"
    assert "s3cret" not in shown
    assert secret.reveal() == "s3cret"
