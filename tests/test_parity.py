"""The table in docs/parity.md beside the installed qiskit-ibm-runtime and beside qawait."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections import defaultdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import qawait.sync
from qawait.errors import ConfigError
from qawait.ibm import primitives
from qawait.runner import JobKeywords, Runner
from support.documented import ROOT
from support.open import bell

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.skipif(
    not version("qiskit-ibm-runtime").startswith("0.51"), reason="the table is about 0.51"
)

VERDICTS = {"same", "better", "absent"}
CLASSES = {
    # heading: module, class
    "QiskitRuntimeService": ("qiskit_ibm_runtime", "QiskitRuntimeService"),
    "RuntimeJobV2": ("qiskit_ibm_runtime", "RuntimeJobV2"),
    "Session": ("qiskit_ibm_runtime", "Session"),
    "Batch": ("qiskit_ibm_runtime", "Batch"),
    "SamplerV2": ("qiskit_ibm_runtime", "SamplerV2"),
    "EstimatorV2": ("qiskit_ibm_runtime", "EstimatorV2"),
    "The executor's Sampler": ("qiskit_ibm_runtime.executor_sampler", "Sampler"),
    "The executor's Estimator": ("qiskit_ibm_runtime.executor_estimator", "Estimator"),
}
OPTIONS = {
    "SamplerV2": ("qiskit_ibm_runtime.options", "SamplerOptions", "sampler", "legacy"),
    "EstimatorV2": ("qiskit_ibm_runtime.options", "EstimatorOptions", "estimator", "legacy"),
    "Sampler": (
        "qiskit_ibm_runtime.options_models.sampler",
        "SamplerOptions",
        "sampler",
        "executor",
    ),
    "Estimator": (
        "qiskit_ibm_runtime.options_models.estimator",
        "EstimatorOptions",
        "estimator",
        "executor",
    ),
}
OPTIONS_HEADING = "Options of the primitives"


class Row(NamedTuple):
    """A row of a table: four cells."""

    first: str
    second: str
    third: str
    fourth: str


def rows_below(heading: str) -> list[Row]:
    """Return the rows of the table below a heading of the page."""
    page = (ROOT / "docs" / "parity.md").read_text()
    sections = dict(_halves(part) for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:])
    lines = [line for line in sections[heading].splitlines() if line.startswith("| ")]
    return [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in lines[2:]]


def _halves(part: str) -> tuple[str, str]:
    title, _, content = part.partition("\n")
    return title, content


def in_ticks(cell: str) -> list[str]:
    """Return what is marked as code in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def spread(name: str) -> list[str]:
    """Return `run(a)` and `run(b)` for `run(a, b)`, and any other name as it is."""
    head, _, inner = name.partition("(")
    options = [option.strip() for option in inner.rstrip(")").split(",") if option.strip()]
    return [f"{head}({option})" for option in options] or [name]


# --- IBM's side ----------------------------------------------------------------------------------


def class_of(module: str, name: str) -> Any:
    """Return a class of IBM's."""
    return getattr(__import__(module, fromlist=[name]), name)


def members(kind: Any) -> Iterator[str]:
    """Return every public method, property and option of a class, as the table writes them."""
    yield from called(kind.__name__, kind.__init__)
    for name in dir(kind):
        if name.startswith("_"):
            continue
        if inspect.isroutine(value := getattr(kind, name)):
            yield from called(name, value)
        else:
            yield name


def called(name: str, method: Any) -> Iterator[str]:
    """Return a method and each of its options."""
    yield f"{name}()"
    for option in inspect.signature(method).parameters:
        if option != "self":
            yield f"{name}({option})"


@pytest.mark.parametrize("heading", CLASSES)
def test_every_method_and_option_has_one_row(heading: str) -> None:
    """What IBM's class has is in the table once, and the table has nothing else."""
    named = [
        one for row in rows_below(heading) for name in in_ticks(row.first) for one in spread(name)
    ]
    assert sorted(named) == sorted(members(class_of(*CLASSES[heading])))


def leaves(kind: Any, before: str = "") -> Iterator[str]:
    """Return the dotted names of all single options of an options class."""
    for name, annotation in fields_of(kind).items():
        group = group_of(annotation)
        if group is None:
            yield before + name
        else:
            yield from leaves(group, f"{before}{name}.")


def fields_of(kind: Any) -> dict[str, Any]:
    """Return the fields of an options class, a dataclass or a pydantic model."""
    if hasattr(kind, "model_fields"):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    hints = typing.get_type_hints(kind)
    fields = [field.name for field in dataclasses.fields(kind)]
    return {name: hints[name] for name in fields if not name.startswith("_")}


def group_of(annotation: Any) -> Any:
    """Return the options class that an annotation names, or `None` for a single value."""
    if isinstance(annotation, type):
        is_group = dataclasses.is_dataclass(annotation) or hasattr(annotation, "model_fields")
        return annotation if is_group and ".options" in annotation.__module__ else None
    return next(filter(None, map(group_of, typing.get_args(annotation))), None)


def options_in_the_table() -> Mapping[str, set[str]]:
    """Return the options of each class that has some, as the table has them."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows_below(OPTIONS_HEADING):
        for kind in in_ticks(row.second):
            found[kind].update(in_ticks(row.first))
    return found


@pytest.mark.parametrize("kind", OPTIONS)
def test_every_option_of_a_primitive_has_a_row(kind: str) -> None:
    """Each single option, at every level, of every options class."""
    module, name, *_ = OPTIONS[kind]
    assert options_in_the_table()[kind] == set(leaves(class_of(module, name)))


# --- qawait's side -------------------------------------------------------------------------------


@pytest.mark.parametrize("heading", [*CLASSES, OPTIONS_HEADING])
def test_every_row_has_a_verdict(heading: str) -> None:
    """What is there has a name, and what is absent a reason."""
    for row in rows_below(heading):
        if heading == OPTIONS_HEADING:
            assert row.third in VERDICTS - {"absent"}, row
            continue
        assert row.third in VERDICTS, row
        if row.third == "absent":
            assert not row.second, row
            assert row.fourth, row
        else:
            assert in_ticks(row.second), row
            assert row.third == "same" or row.fourth, row


@pytest.mark.parametrize("heading", [*CLASSES, OPTIONS_HEADING])
def test_every_name_of_qawait_exists(heading: str) -> None:
    """The table cannot name what was renamed: not in its column, and not in the remarks."""
    for row in rows_below(heading):
        column = [] if heading == OPTIONS_HEADING else in_ticks(row.second)
        for name in (*column, *filter(is_ours, in_ticks(row.fourth))):
            check_exists(name)


def is_ours(name: str) -> bool:
    """Tell whether a name in a remark is one of qawait's."""
    head = re.split(r"[.(]", name)[0]
    return head in {*qawait.__all__, "Runner", "sync"}


def check_exists(name: str) -> None:
    """Look up a name such as `Client.jobs(limit, skip)`, options included."""
    path, _, inner = name.partition("(")
    head, *rest = path.split(".")
    found: Any = {"Runner": Runner, "sync": qawait.sync}.get(head) or getattr(qawait, head)
    for part in rest:
        found = getattr(found, part)
    options = [option.strip() for option in inner.rstrip(")").split(",") if option.strip()]
    known = set(inspect.signature(found).parameters) if options else set()
    if "job" in known:
        known |= set(JobKeywords.__annotations__)
    assert set(options) <= known, name
    assert not inner or callable(found), name


@pytest.mark.anyio
@pytest.mark.one_loop
@pytest.mark.parametrize("kind", OPTIONS)
async def test_every_option_is_known_to_qawait(kind: str) -> None:
    """No option of IBM's is refused as a name that is none; an invented one is."""
    *_, what, program = OPTIONS[kind]
    known = options_in_the_table()[kind]
    assert [name for name in sorted(known) if not await is_known(name, what, program)] == []
    assert not await is_known("invented", what, program)
    assert not await is_known("twirling.invented", what, program)


async def is_known(name: str, what: str, program: Any) -> bool:
    """Tell whether a primitive takes an option of this name, whatever it thinks of its value."""
    *groups, last = name.split(".")
    given: Any = {last: {}}
    for group in reversed(groups):
        given = {group: given}
    prepare: Any = getattr(primitives, f"prepare_{what}")
    try:
        await prepare(bell(), options=given, program=program, optimization_level=None)
    except ConfigError as error:
        return "no option" not in str(error)
    return True
