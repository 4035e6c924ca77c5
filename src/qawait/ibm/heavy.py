"""Heavy work off the event loop, and qiskit imported where that is safe."""

from __future__ import annotations

import gc
import importlib
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from qawait.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_QISKIT: Final = ("qiskit", "qiskit.primitives", "qiskit.qpy", "qiskit.transpiler")
_RUNTIME: Final = ("qiskit_ibm_runtime",)
_SCHEMAS: Final = (
    "ibm_quantum_schemas.estimator.version_0_1",
    "ibm_quantum_schemas.noise_learner_v2.version_0_1",
    "ibm_quantum_schemas.sampler.version_0_1",
)


def preload(*, freeze: bool = False) -> None:
    """Import now what circuits and results will need, qiskit-ibm-runtime included (1 s, 150 MiB).

    Otherwise the first submit, or the first result, imports it in a thread, with
    which the event loop shares the interpreter (stalls of 40 ms). Call this where
    that must not happen (a server, a program with other deadlines), once, in the
    main thread, before the event loop is started. Called elsewhere it is safe too.

    With `freeze`, the garbage collector leaves alone from then on what exists
    now. Each of its full collections would otherwise go through everything that
    was imported, during which a loop stands still for 0.1 s.

    Raises:
        ImportError: if either package cannot be imported.
    """
    _ensure((*_QISKIT, *_RUNTIME, *_SCHEMAS))
    if freeze:
        gc.collect()
        gc.freeze()


def ensure_qiskit() -> None:
    """Leave qiskit imported, whichever thread asks; a no-op from the second call on.

    qiskit 2.5 to 2.6 can crash the interpreter when the thread that imported it
    first has ended. In the main thread this is a plain import (0.3 s). In any
    other, the import happens in a daemon thread that lives as long as the
    process, and the caller waits for it.

    Raises:
        ImportError: if qiskit cannot be imported.
    """
    _ensure(_QISKIT)


async def qiskit_imported() -> None:
    """Leave qiskit imported; the event loop goes on meanwhile (0.3 s the first time).

    Raises:
        ImportError: if it cannot be imported.
    """
    await _imported(_QISKIT)


async def runtime_imported() -> None:
    """Leave qiskit-ibm-runtime imported; the event loop goes on meanwhile (1 s the first time).

    Raises:
        ImportError: if it cannot be imported.
    """
    await _imported((*_QISKIT, *_RUNTIME))


async def schemas_imported() -> None:
    """Leave the models of the legacy programs' options imported, as `runtime_imported` does.

    Raises:
        ImportError: if they cannot be imported.
    """
    await _imported((*_QISKIT, *_SCHEMAS))


async def _imported(modules: tuple[str, ...]) -> None:
    if not _is_imported(modules):
        await in_thread(partial(_ensure, modules))


def _is_imported(modules: tuple[str, ...]) -> bool:
    return all(name in sys.modules for name in modules) and not _importing.is_set()


def _ensure(modules: tuple[str, ...]) -> None:
    if _is_imported(modules):
        return
    if threading.current_thread() is threading.main_thread():
        _import_modules(modules)
    else:
        _import_in_lasting_thread(modules)


def _import_modules(modules: tuple[str, ...]) -> None:
    for name in modules:
        importlib.import_module(name)


_importing = threading.Event()


def _import_in_lasting_thread(modules: tuple[str, ...]) -> None:
    done = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        _importing.set()
        try:
            _import_modules(modules)
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
            failures.append(error)
        finally:
            _importing.clear()
            done.set()
        if not failures:
            threading.Event().wait()

    threading.Thread(target=work, name="qawait-qiskit", daemon=True).start()
    done.wait()
    if failures:
        raise failures[0]


async def in_worker(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Return `function(...)`, computed in a worker thread with qiskit imported beforehand.

    A cancelled caller does not wait for the thread, so `function` must have no
    effect beyond its result.
    """
    await qiskit_imported()
    call = partial(function, *args, **kwargs)
    return await in_thread(call)


async def inline_or_in_worker(function: Callable[..., T], *args: Any, inline: bool) -> T:
    """Return `function(*args)`: at once when `inline`, else computed in a worker thread."""
    if inline:
        await qiskit_imported()
        return function(*args)
    return await in_worker(function, *args)
