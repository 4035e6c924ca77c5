"""The same pubs and options through IBM's client and through qawait."""

from __future__ import annotations

import importlib
import itertools
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import anyio
from packaging.version import Version

from side_by_side.bodies import Body, posted
from support.open import opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from qawait.emulator import Emulator

WHOLE_BODIES = 2**24
PRIMITIVES = {
    ("legacy", "sampler"): ("sampler", ("SamplerV2",)),
    ("legacy", "estimator"): ("estimator", ("EstimatorV2",)),
    ("executor", "sampler"): ("executor_sampler", ("Sampler", "SamplerV2")),
    ("executor", "estimator"): ("executor_estimator", ("Estimator", "EstimatorV2")),
}


def is_installed(since: str) -> bool:
    """Tell whether IBM's client is of this version, or a later one."""
    return Version(version("qiskit-ibm-runtime")) >= Version(since)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is given to both clients; `aim` is a sampler's shots or an estimator's precision.

    `options` may be a function that makes an options object for a backend. Without
    `runs` the service does not simulate, and only what was sent is compared.
    """

    name: str
    program: Literal["legacy", "executor"]
    kind: Literal["sampler", "estimator"]
    pubs: Callable[[Any], list[Any]]
    options: Any = field(default_factory=dict)
    aim: float | None = None
    further: dict[str, Any] = field(default_factory=dict)
    backend: str = "ibm_manila"
    runs: bool = True
    since: str = "0.49"

    @property
    def is_known(self) -> bool:
        """Whether the installed version of IBM's client can be given this."""
        return is_installed(self.since)

    @property
    def aimed(self) -> dict[str, Any]:
        """The aim, under the name that both clients give to it."""
        if self.aim is None:
            return {}
        return {"shots" if self.kind == "sampler" else "precision": self.aim}

    def given_options(self, backend: Any) -> Any:
        """The options, made anew."""
        return self.options(backend) if callable(self.options) else self.options


@dataclass(frozen=True)
class Seen:
    """What a client posted, and the result it gave."""

    body: Body
    result: Any = field(repr=False)


def primitive_class(program: str, kind: str) -> Any:
    """Return IBM's class, under the name it has in the installed version."""
    place, names = PRIMITIVES[program, kind]
    module = importlib.import_module(f"qiskit_ibm_runtime.{place}")
    return next(getattr(module, name) for name in names if hasattr(module, name))


def start_anew(emu: Emulator, *, runs: bool = True) -> None:
    """Let the next job be the service's first, which decides on its seed; keep its whole body.

    Names that samplomatic numbers start from 0 again, as in a process of its own.
    """
    from samplomatic.transpiler.passes import group_meas_into_boxes

    emu.reset()
    emu.settings(ledger_body=WHOLE_BODIES, execute=runs)
    group_meas_into_boxes.GroupMeasIntoBoxes._REF_COUNTER = itertools.count()


def theirs(emu: Emulator, ibm: Any, case: Case) -> Seen:
    """Run a case through IBM's own client."""
    start_anew(emu, runs=case.runs)
    backend = ibm.backend(case.backend)
    primitive = primitive_class(case.program, case.kind)
    job = primitive(mode=backend, options=case.given_options(backend)).run(
        case.pubs(backend), **case.aimed, **case.further
    )
    body = posted(emu)
    if not case.runs:
        return Seen(body, None)
    emu.wait_for(job.job_id(), "Completed", "Failed", within=60)
    return Seen(body, job.result())


def ours(emu: Emulator, ibm: Any, case: Case) -> Seen:
    """Run a case through qawait."""
    start_anew(emu, runs=case.runs)
    backend = ibm.backend(case.backend)
    return anyio.run(_ours, emu, case, case.pubs(backend), case.given_options(backend))


async def _ours(emu: Emulator, case: Case, pubs: list[Any], options: Any) -> Seen:
    async with opened(emu, on_cancel="detach") as client:
        make: Any = client.sampler if case.kind == "sampler" else client.estimator
        primitive = make(
            case.backend,
            options=options,
            program=case.program,
            optimization_level=None,
        )
        job = await primitive.submit(pubs, **case.aimed, **case.further)
        return Seen(posted(emu), await job.result() if case.runs else None)
