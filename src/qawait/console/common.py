"""What every command does the same way: its options, its errors and its exit code."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import anyio

from qawait.errors import (
    ConfigError,
    JobCancelledError,
    JobFailedError,
    JobTimedOutError,
    QawaitError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from qawait.jobs.job import Job
    from qawait.opening import Opening

OK: Final = 0
NO: Final = 1
"""It was asked, and the answer is no: a job failed, something is left, something is wrong."""
USAGE: Final = 2
FAILED: Final = 3
"""It could not be asked: the account, the network or the service did not let it."""
INTERRUPTED: Final = 130

EXIT_CODES: Final = (
    "Exit codes: 0 well, 1 a job did not end well or something is wrong, 2 wrong usage, "
    "3 the service could not be asked or refused, 130 interrupted."
)
_ACCOUNT_HELP: Final = (
    "`qawait doctor` looks at the whole set-up; `qawait run --local` needs no account"
)
_ENDS: Final = (JobFailedError, JobCancelledError, JobTimedOutError)


def make_parser(name: str, description: str, *, local: bool = False) -> argparse.ArgumentParser:
    """Return a command's parser with the options that all of them have."""
    made = argparse.ArgumentParser(
        prog=f"qawait {name}", description=description, epilog=EXIT_CODES
    )
    made.add_argument("--name", help="a saved account (default: the default one)")
    made.add_argument("--instance", help="an instance's CRN or name")
    if local:
        made.add_argument(
            "--local", action="store_true", help="on an embedded service: no account, no network"
        )
    made.add_argument("--json", action="store_true", help="one JSON object per line")
    return made


def opened(asked: argparse.Namespace) -> Opening:
    """Return the client that the options ask for, about to be opened."""
    from qawait.opening import connect, local

    if getattr(asked, "local", False):
        if asked.name or asked.instance:
            raise ConfigError("--local needs no account: leave --name and --instance out")
        return local()
    return connect(name=asked.name, instance=asked.instance)


def carry_out(
    work: Callable[[argparse.Namespace], Awaitable[int]], asked: argparse.Namespace
) -> int:
    """Run a command and return its exit code; errors go to stderr, as JSON if that was asked."""
    try:
        return anyio.run(_noting, work, asked)
    except KeyboardInterrupt:
        return INTERRUPTED
    except _ENDS as error:
        complain(error, as_json=asked.json)
        return NO
    except QawaitError as error:
        complain(error, as_json=asked.json)
        return FAILED
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


async def _noting(
    work: Callable[[argparse.Namespace], Awaitable[int]], asked: argparse.Namespace
) -> int:
    try:
        return await work(asked)
    except (anyio.get_cancelled_exc_class(), KeyboardInterrupt) as stopped:
        for note in dict.fromkeys(getattr(stopped, "__notes__", [])):
            print(note, file=sys.stderr)
        raise


def complain(error: QawaitError, *, as_json: bool) -> None:
    """Write an error to stderr."""
    if as_json:
        said = {"error": type(error).__name__, "message": error.message, "job_id": error.job_id}
        print(json.dumps(said), file=sys.stderr)
        return
    print(f"qawait: {error}", file=sys.stderr)
    for line in filter(None, [getattr(error, "solution", None), getattr(error, "text", None)]):
        print(line.rstrip(), file=sys.stderr)
    if isinstance(error, ConfigError) and "account" in error.message:
        print(_ACCOUNT_HELP, file=sys.stderr)


def job_fields(job: Job[Any]) -> dict[str, Any]:
    """Return what is known of a job, as JSON values."""
    seen = job.last_seen
    return {
        "job_id": job.id,
        "status": str(job.status),
        "raw_status": seen.raw_status if seen else None,
        "reason": seen.reason if seen else None,
        "backend": seen.backend if seen else None,
        "program": seen.program if seen else None,
        "created": seen.created.isoformat() if seen and seen.created else None,
        "tags": list(seen.tags) if seen else [],
        "session_id": seen.session_id if seen else None,
        "usage_seconds": seen.usage_seconds if seen else None,
    }
