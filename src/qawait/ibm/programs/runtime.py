"""The seam to qiskit-ibm-runtime: IBM's own primitives put to work, and the only place for it.

IBM's client-side primitives prepare a job, then hand it to the service object of
their backend. Here that backend and that service are stand-ins which keep what
they are handed. So what is sent is what IBM's client sends, and of its inner
names these alone are relied on: where the classes below are, that a primitive
takes an `IBMBackend` and calls its service's `_run`, and that `RuntimeJobV2`
reads a result through an API client's `job_get` and `job_results`.

Importing the package takes 0.9 s and 90 MiB, so it happens when it is first used.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from qawait.errors import ConfigError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qiskit.transpiler import Target

_PACKAGE: Final = "qiskit_ibm_runtime"
_TESTED: Final = "0.49 to 0.51"
_CLASSES: Final = {
    "executor sampler": ("executor_sampler", ("Sampler", "SamplerV2")),
    "executor estimator": ("executor_estimator", ("Estimator", "EstimatorV2")),
    "executor": ("executor", ("Executor",)),
    "noise learner": ("noise_learner_v3.noise_learner_v3", ("NoiseLearnerV3",)),
    "noise learner result": ("results.noise_learner", ("NoiseLearnerResult",)),
    "backend": ("ibm_backend", ("IBMBackend",)),
    "job": ("runtime_job_v2", ("RuntimeJobV2",)),
    "encoder": ("json", ("RuntimeEncoder",)),
}
"""What is used, with its module and its name in each of the tested versions, newest first."""


@dataclass(frozen=True, slots=True)
class Handed:
    """What one of IBM's primitives hands to the service: its program, input and job options."""

    program: str
    inputs: dict[str, Any] = field(repr=False)
    options: Mapping[str, Any] = field(repr=False)


def look_up(what: str) -> Any:
    """Return a class of qiskit-ibm-runtime, imported on first use.

    Raises:
        ConfigError: if the installed version has no such class.
    """
    place, names = _CLASSES[what]
    try:
        module = importlib.import_module(f"{_PACKAGE}.{place}")
    except ImportError as error:
        raise _moved(f"{_PACKAGE}.{place} ({error})") from error
    for name in names:
        if (found := getattr(module, name, None)) is not None:
            return found
    raise _moved(f"{_PACKAGE}.{place}.{names[0]}")


def installed() -> str:
    """Return the version of qiskit-ibm-runtime that is installed."""
    try:
        return version("qiskit-ibm-runtime")
    except PackageNotFoundError:
        return "(not installed)"


def _moved(what: str) -> ConfigError:
    return ConfigError(
        f"qiskit-ibm-runtime {installed()} has no {what}, which is needed here: "
        f"install a version that is supported, {_TESTED}"
    )


@cache
def options_model(what: str) -> Any:
    """Return the class of the options that a primitive of the executor program takes."""
    return type(look_up(what)(mode=_stand_in(None, _Keeper())).options)


def handed(what: str, options: Any, target: Target | None, run: Callable[[Any], object]) -> Handed:
    """Return what one of IBM's primitives hands to the service when `run` is called with it.

    Raises:
        ConfigError: if the primitive refuses its options or input, or is not made
            as those of the tested versions are.
    """
    keeper = _Keeper()
    primitive = look_up(what)
    _asked(primitive, _stand_in(target, keeper), options, run)
    if keeper.kept is None:
        raise _moved(f"{primitive.__module__}.{primitive.__name__} that hands over a job")
    return keeper.kept


def asked(what: str, options: Any, question: Callable[[Any], Any]) -> Any:
    """Return what one of IBM's primitives, which knows no target, answers to a question.

    Raises:
        ConfigError: if it refuses its options or what it is asked about.
    """
    return _asked(look_up(what), _stand_in(None, _Keeper()), options, question)


def _asked(primitive: Any, mode: Any, options: Any, question: Callable[[Any], Any]) -> Any:
    try:
        return question(primitive(mode=mode, options=options))
    except ConfigError:  # ours
        raise
    except Exception as error:  # theirs and those of qiskit, samplomatic, pydantic and numpy
        raise ConfigError(explained(error)) from error


def explained(error: Exception) -> str:
    """Return what IBM's code has to say in an error, in one line."""
    if isinstance(error, ValueError) and callable(details := getattr(error, "errors", None)):
        return "; ".join(
            f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in details()
        )
    text = str(getattr(error, "message", "") or error)
    if isinstance(error, ValueError) or type(error).__module__.startswith(("qiskit", "samplo")):
        return text
    return f"qiskit-ibm-runtime {installed()} cannot prepare this: {type(error).__name__}: {text}"


class _Keeper:
    """Stands in for IBM's service object, and keeps what it is asked to run."""

    is_local = False

    def __init__(self) -> None:
        self.kept: Handed | None = None

    def _run(
        self,
        program_id: str,
        inputs: dict[str, Any],
        options: Mapping[str, Any] | None = None,
        **_further: Any,
    ) -> None:
        self.kept = Handed(program_id, inputs, options or {})


def _stand_in(target: Target | None, keeper: _Keeper) -> Any:
    """Return a backend of IBM's kind that knows a target and asks nobody."""
    from qiskit.providers import BackendV2

    kind = _backend_class()
    backend = kind.__new__(kind)
    BackendV2.__init__(backend, name="backend")
    backend._service = keeper  # noqa: SLF001 - IBM's own constructor asks the service
    backend._instance = None  # noqa: SLF001 - the same
    backend._target = target  # noqa: SLF001 - the same
    return backend


@cache
def _backend_class() -> Any:
    parts = {
        "target": property(lambda backend: backend._target),  # noqa: SLF001 - its own
        "calibration_id": None,
        "configuration": lambda *_, **__: SimpleNamespace(simulator=False),
        "properties": lambda *_, **__: None,
        "check_faulty": lambda *_: None,  # the target has no faulty parts
    }
    return type("PreparingBackend", (look_up("backend"),), parts)


def plain(value: Any) -> Any:
    """Return a value with IBM's own objects in it as the JSON that its client sends.

    Raises:
        ConfigError: if one has no such form.
    """
    try:
        return json.loads(json.dumps(value, cls=look_up("encoder")))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"this cannot be sent: {error}") from error


def result_of(program: str, text: str) -> Any:
    """Return what IBM's client makes of a result's text, post-processing included.

    Raises:
        ProtocolError: if it can make nothing of it.
    """
    client = _Finished(text)
    job = look_up("job")(
        backend=None, api_client=client, job_id="", program_id=program, service=None
    )
    try:
        return job.result()
    except Exception as error:  # whatever a malformed result makes IBM's code stumble over
        why = f"{type(error).__name__}: {error!s:.300}"
        raise ProtocolError(
            f"the result of {program} cannot be read by qiskit-ibm-runtime {installed()}; was the "
            f"job sent with another version of it? {why}"
        ) from error


def noise_learned(layers: list[Any], metadata: Any) -> Any:
    """Return layers with their noise as IBM's client gives them.

    Raises:
        ProtocolError: if they do not fit together.
    """
    try:
        return look_up("noise learner result")(data=layers, metadata=metadata)
    except (TypeError, ValueError) as error:
        raise ProtocolError(f"the learned noise cannot be read: {error}") from error


class _Finished:
    """Stands in for IBM's API client: one job that has ended, and its result."""

    def __init__(self, text: str) -> None:
        self._text = text

    def job_get(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {"state": {"status": "Completed"}}

    def job_results(self, *_: Any, **__: Any) -> str:
        return self._text
