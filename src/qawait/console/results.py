"""Results as text and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qawait.jobs.job import Job


def result_fields(result: Any) -> dict[str, Any]:
    """Return a result as JSON values: each pub's counts by register, or its values.

    Counts are over all of a pub's parameters. What no primitive made is given
    as it is under `value`.
    """
    pubs = getattr(result, "_pub_results", None)
    if pubs is None:
        return {"value": _plain(result)}
    return {"pubs": [_pub(pub) for pub in pubs]}


def _pub(pub: Any) -> dict[str, Any]:
    data = pub.data
    if hasattr(data, "evs"):
        return {"values": data.evs.tolist(), "errors": _listed(getattr(data, "stds", None))}
    counted = {name: bits.get_counts() for name, bits in data.items() if hasattr(bits, "num_bits")}
    return {"counts": counted}


def _listed(array: Any) -> Any:
    return None if array is None else array.tolist()


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=repr))


def print_result(job: Job[Any], result: Any, *, as_json: bool) -> None:
    """Print a job's result."""
    fields = result_fields(result)
    if as_json:
        seen = job.last_seen
        about = {
            "job_id": job.id,
            "status": str(job.status),
            "backend": seen.backend if seen else None,
        }
        print(json.dumps({**about, **fields}))
        return
    for line in result_lines(fields):
        print(line)


def result_lines(fields: dict[str, Any]) -> Iterator[str]:
    """Yield a result line by line; what belongs to which pub is said if there are several."""
    if "value" in fields:
        yield json.dumps(fields["value"], indent=2)
        return
    pubs = fields["pubs"]
    for place, pub in enumerate(pubs):
        parts = pub.get("counts", {"values": None})
        for name, counts in parts.items():
            if len(pubs) * len(parts) > 1:
                yield f"# pub {place} {name}"
            yield from _valued(pub) if counts is None else _counted(counts)


def _counted(counts: dict[str, int]) -> Iterator[str]:
    for outcome, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        yield f"{outcome}  {count}"


def _valued(pub: dict[str, Any]) -> Iterator[str]:
    values, errors = _flat(pub["values"]), _flat(pub["errors"] or [])
    for place, value in enumerate(values):
        error = f" ± {errors[place]:.6f}" if place < len(errors) else ""
        yield f"{value:+.6f}{error}"


def _flat(values: Any) -> list[float]:
    if not isinstance(values, list):
        return [values]
    return [one for value in values for one in _flat(value)]
