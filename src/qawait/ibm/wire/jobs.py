"""Jobs: make, look at, list, cancel, delete, and what they leave behind.

Source: paths below `/jobs` of the service's OpenAPI document, version 2026-04-15.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal

from qawait import limits
from qawait.errors import ConfigError, JobFailedError, ProtocolError
from qawait.ibm.wire.message import JSON, Request, is_job_id, job_path, time_text
from qawait.ibm.wire.reading import object_of, page_of, scrub
from qawait.ibm.wire.records import snapshot, unchanged
from qawait.ibm.wire.refusals import expect
from qawait.jobs.service import CancelReply

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from qawait.ibm.wire.message import Reply
    from qawait.secret import Secret
    from qawait.types import Snapshot, SubmitRequest

_CANCELLED: Final = (HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT)
_GONE: Final = (HTTPStatus.OK, HTTPStatus.NO_CONTENT)
_WITHOUT_PARAMS: Final = ("exclude_params", "true")


# --- make --------------------------------------------------------------------------------------


def create(job: SubmitRequest) -> Request:
    """Make one job; params that are bytes are sent as they are, being JSON already.

    Raises:
        ConfigError: a field that the service is known to refuse.
    """
    head = {"program_id": _named(job.program, "a program")}
    rest: dict[str, object] = {"backend": _named(job.backend, "a backend"), **_options(job)}
    body = b'%s,"params":%s,%s' % (_json(head)[:-1], _params(job.params), _json(rest)[1:])
    if len(body) > limits.SUBMIT_BODY_BYTES:
        raise ConfigError(
            f"the job has {len(body) / 2**20:.1f} MiB of input; the service takes "
            f"{limits.SUBMIT_BODY_BYTES // 2**20} MiB: split the pubs over several jobs"
        )
    return Request(
        name="POST /jobs",
        method="POST",
        path="/jobs",
        body=body,
        content_type=JSON,
        deadline=limits.SUBMIT_SECONDS,
        bulk=True,
    )


def parse_created(reply: Reply, request: Request, *, hide: Iterable[Secret] = ()) -> str:
    """Return the id of the job that was made."""
    expect(reply, request, statuses=(HTTPStatus.OK, HTTPStatus.CREATED), hide=hide)
    job_id = object_of(reply, request).get("id")
    if not isinstance(job_id, str) or not is_job_id(job_id):
        raise ProtocolError(f"{request.name}: the answer has no usable job id")
    return job_id


def _named(value: str, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"a job needs the name of {what}, not {value!r:.100}")
    return value


def _options(job: SubmitRequest) -> dict[str, object]:
    options: dict[str, object] = {}
    if job.log_level is not None:
        options["log_level"] = job.log_level
    if tags := checked_tags((job.tag, *job.tags)):
        options["tags"] = tags
    if job.max_execution_time is not None:
        options["cost"] = _cost(job.max_execution_time)
    if job.session_id is not None:
        options["session_id"] = job.session_id
    if job.calibration_id is not None:
        options["calibration_id"] = job.calibration_id
    if job.private:
        options["private"] = True
    if job.image is not None:
        options["runtime"] = _named(job.image, "an image")
    return options


def _cost(seconds: int) -> int:
    if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds < 1:
        raise ConfigError(f"max_execution_time is whole seconds from 1 on, not {seconds!r:.100}")
    return min(seconds, limits.MAX_EXECUTION_SECONDS)


def checked_tags(tags: Iterable[str]) -> list[str]:
    """Return the tags, each once, or raise `ConfigError` for what the service would refuse."""
    distinct = list(dict.fromkeys(tag for tag in tags if tag != ""))
    for tag in distinct:
        if not isinstance(tag, str) or len(tag) > limits.TAG_CHARACTERS:
            raise ConfigError(
                f"a tag is a text of at most {limits.TAG_CHARACTERS} characters, not {tag!r:.100}"
            )
    if len(distinct) > limits.TAGS_PER_JOB:
        raise ConfigError(
            f"a job takes {limits.TAGS_PER_JOB} tags, of which qawait uses {limits.OWN_TAGS}; "
            f"{len(distinct)} are too many"
        )
    return distinct


def _params(params: Mapping[str, object] | bytes) -> bytes:
    if not isinstance(params, bytes):
        return _json(dict(params))
    if params[:1] != b"{" or params[-1:] != b"}":
        raise ConfigError("params given as bytes must be one JSON object, without space around it")
    return params


def _json(value: Mapping[str, object]) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        problem = str(error)
    raise ConfigError(f"the job's params cannot be written as JSON: {problem}")


# --- look --------------------------------------------------------------------------------------


def get(job_id: str, *, exclude_params: bool = True) -> Request:
    """Ask for one job; its params, which may be megabytes, only on demand."""
    return Request(
        name="GET /jobs/{id}",
        method="GET",
        path=job_path(job_id),
        query=(_WITHOUT_PARAMS,) if exclude_params else (),
        max_bytes=limits.SMALL_BODY_BYTES if exclude_params else limits.RESULT_BODY_BYTES,
        deadline=limits.CALL_SECONDS if exclude_params else limits.FETCH_SECONDS,
        safe=True,
        bulk=not exclude_params,
    )


def parse_job(
    reply: Reply, request: Request, *, job_id: str | None = None, hide: Iterable[Secret] = ()
) -> Snapshot:
    """Return what the service says about one job; another job's record is refused."""
    expect(reply, request, hide=hide)
    found = snapshot(object_of(reply, request), request)
    if job_id is not None and found.job_id != job_id:
        raise ProtocolError(f"{request.name}: the answer is about job {found.job_id}")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs to list: those that meet every condition given.

    `pending` is true for queued and running jobs, false for ended ones. A job
    is listed only if it has all the `tags`. Times without a zone are local.
    Jobs on mock backends, which a dry run goes to, are listed on demand.
    """

    limit: int = limits.LIST_PAGE
    offset: int = 0
    pending: bool | None = None
    program: str | None = None
    backend: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    sort: Literal["ASC", "DESC"] | None = None
    tags: Sequence[str] = ()
    session_id: str | None = None
    exclude_params: bool = True
    include_mocks: bool = False


def listing(which: JobFilter) -> Request:
    """Ask for one page of jobs.

    Raises:
        ConfigError: a page the service does not give: out of its range it
            silently returns another.
    """
    if not 1 <= which.limit <= limits.LIST_PAGE or which.offset < 0:
        raise ConfigError(
            f"limit must be 1 to {limits.LIST_PAGE} and offset not negative, "
            f"not {which.limit!r} and {which.offset!r}"
        )
    conditions = {
        "limit": str(which.limit),
        "offset": str(which.offset) if which.offset else None,
        "pending": None if which.pending is None else _flag(which.pending),
        "program": which.program,
        "backend": which.backend,
        "created_after": time_text(which.created_after),
        "created_before": time_text(which.created_before),
        "sort": which.sort,
        "session_id": which.session_id,
        "exclude_params": _flag(which.exclude_params),
        "include_mocks": _flag(which.include_mocks) if which.include_mocks else None,
    }
    query = tuple((key, value) for key, value in conditions.items() if value is not None)
    return Request(
        name="GET /jobs",
        method="GET",
        path="/jobs",
        query=query + tuple(("tags", tag) for tag in which.tags),
        max_bytes=limits.SMALL_BODY_BYTES if which.exclude_params else limits.RESULT_BODY_BYTES,
        safe=True,
    )


def parse_jobs(
    reply: Reply,
    request: Request,
    *,
    known: Mapping[str, Snapshot] | None = None,
    hide: Iterable[Secret] = (),
) -> list[Snapshot]:
    """Return the jobs of a page, in the service's order.

    `known` is what earlier answers said, by job: where a record says the same,
    the same snapshot is returned.
    """
    expect(reply, request, hide=hide)
    records = page_of(reply, request).get("jobs")
    if not isinstance(records, list):
        raise ProtocolError(f"{request.name}: the answer has no list of jobs")
    known = known or {}
    return [unchanged(record, known) or snapshot(record, request) for record in records]


def _flag(value: bool) -> str:  # noqa: FBT001 - it converts one bool
    return "true" if value else "false"


# --- end ---------------------------------------------------------------------------------------


def cancel(job_id: str) -> Request:
    """Ask the service to cancel one job."""
    return Request(
        name="POST /jobs/{id}/cancel",
        method="POST",
        path=job_path(job_id, "/cancel"),
        accept=None,
        urgent=True,
    )


def parse_cancel(reply: Reply, request: Request, *, hide: Iterable[Secret] = ()) -> CancelReply:
    """Return what became of a cancel; that a job has ended or is not there is no error."""
    if reply.status == HTTPStatus.CONFLICT:
        return CancelReply.NOT_CANCELLABLE
    if reply.status == HTTPStatus.NOT_FOUND:
        return CancelReply.NOT_FOUND
    expect(reply, request, statuses=_CANCELLED, hide=hide)
    return CancelReply.ACCEPTED


def delete(job_id: str) -> Request:
    """Delete a job that has ended, with its params and its result."""
    return Request(
        name="DELETE /jobs/{id}", method="DELETE", path=job_path(job_id), accept=None, safe=True
    )


def set_tags(job_id: str, tags: Iterable[str]) -> Request:
    """Replace the tags of a job."""
    return Request(
        name="PUT /jobs/{id}/tags",
        method="PUT",
        path=job_path(job_id, "/tags"),
        body=_json({"tags": checked_tags(tags)}),
        content_type=JSON,
        safe=True,
    )


def parse_done(reply: Reply, request: Request, *, hide: Iterable[Secret] = ()) -> None:
    """Return if a deletion or a change of tags was carried out."""
    expect(reply, request, statuses=_GONE, hide=hide)


# --- what jobs leave behind --------------------------------------------------------------------


def results(
    job_id: str,
    *,
    max_bytes: int = limits.RESULT_BODY_BYTES,
    deadline: float = limits.FETCH_SECONDS,
) -> Request:
    """Ask for the result of a job; a private job gives it only once."""
    return Request(
        name="GET /jobs/{id}/results",
        method="GET",
        path=job_path(job_id, "/results"),
        accept=None,
        deadline=deadline,
        max_bytes=max_bytes,
        safe=True,
        bulk=True,
    )


def parse_results(
    reply: Reply, request: Request, *, job_id: str | None = None, hide: Iterable[Secret] = ()
) -> bytes | None:
    """Return the JSON of a result, undecoded, or `None` while there is none.

    Raises:
        JobFailedError: the service stored a traceback in its place.
        ProtocolError: the body is neither.
    """
    expect(reply, request, statuses=_GONE, hide=hide)
    if reply.status == HTTPStatus.NO_CONTENT or not reply.body.strip():
        return None
    if _begins_json(reply.body):
        return reply.body
    text = failure_text(reply)
    if text is None or "Traceback" not in text:
        quoted = scrub(reply.body, hide=hide)
        raise ProtocolError(f"{request.name}: the answer is no result: {quoted}")
    raise JobFailedError("the job failed in the service's program", job_id=job_id, text=text)


def parse_failure_text(
    reply: Reply, request: Request, *, hide: Iterable[Secret] = ()
) -> str | None:
    """Return the text stored in place of a result, `None` where there is none."""
    if reply.status == HTTPStatus.NOT_FOUND:
        return None
    expect(reply, request, statuses=_GONE, hide=hide)
    return failure_text(reply)


def failure_text(reply: Reply) -> str | None:
    """Return the text of a body that is neither a result nor a page of something in between."""
    html = "html" in reply.headers.get("content-type", "").lower()
    if html or _begins_json(reply.body) or reply.body.lstrip()[:1] == b"<":
        return None
    text = reply.body.decode("utf-8", "replace").strip()
    return text or None


def _begins_json(body: bytes) -> bool:
    return body.lstrip()[:1] in {b"{", b"["}


def logs(job_id: str) -> Request:
    """Ask for what the program of a job logged."""
    return Request(
        name="GET /jobs/{id}/logs",
        method="GET",
        path=job_path(job_id, "/logs"),
        accept=None,
        deadline=limits.FETCH_SECONDS,
        max_bytes=limits.BACKEND_BODY_BYTES,
        safe=True,
    )


def parse_logs(reply: Reply, request: Request, *, hide: Iterable[Secret] = ()) -> str:
    """Return the log as text; 404 is how the service says that there is none."""
    if reply.status == HTTPStatus.NOT_FOUND:
        return ""
    expect(reply, request, statuses=_GONE, hide=hide)
    return reply.body.decode("utf-8", "replace")


def metrics(job_id: str) -> Request:
    """Ask for the timestamps and the usage of a job."""
    return Request(
        name="GET /jobs/{id}/metrics", method="GET", path=job_path(job_id, "/metrics"), safe=True
    )


def parse_object(reply: Reply, request: Request, *, hide: Iterable[Secret] = ()) -> dict[str, Any]:
    """Return a JSON object as it is."""
    expect(reply, request, hide=hide)
    return object_of(reply, request)
