"""Where qiskit is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

USE = """
import io, threading
def use():
    from qiskit import QuantumCircuit, qpy
    for _ in range(10):
        circuit = QuantumCircuit(3); circuit.h(0); circuit.cx(0, 1); circuit.measure_all()
        with io.BytesIO() as buffer:
            qpy.dump(circuit, buffer); buffer.seek(0); qpy.load(buffer)
def run(function):
    thread = threading.Thread(target=function); thread.start(); thread.join()
"""


def _python(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_qiskit_first_imported_from_a_thread_that_ends_does_not_crash() -> None:
    """The import happens where it lasts, so later threads can use qiskit."""
    code = (
        USE + "from qawait.ibm.heavy import ensure_qiskit\nrun(ensure_qiskit)\nrun(use)\nrun(use)"
    )
    done = _python(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("where", ["preload()", "run(preload)"])
def test_after_preloading_nothing_heavy_is_left_to_import(where: str) -> None:
    """All packages are there, and every thread can use them, whichever thread preloaded."""
    code = USE + (
        f"import sys\nfrom qawait.ibm.heavy import preload\n{where}\n"
        "before = set(sys.modules)\nrun(use)\nrun(use)\n"
        "print('qiskit_ibm_runtime' in before, 'numpy' in before)"
    )
    done = _python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "True"]


def test_an_import_that_fails_is_the_callers_error_in_any_thread() -> None:
    """A missing qiskit is an ImportError where it was asked for."""
    code = USE + (
        "import sys\nsys.modules['qiskit.qpy'] = None\n"
        "from qawait.ibm.heavy import ensure_qiskit\n"
        "def check():\n"
        "    try: ensure_qiskit()\n"
        "    except ImportError: print('refused')\n"
        "check(); del sys.modules['qiskit.primitives']; run(check)"
    )
    assert _python(code).stdout.split() == ["refused", "refused"]


@pytest.mark.parametrize(
    "module",
    [
        "primitives",
        "pubs",
        "circuits",
        "backend",
        "target",
        "heavy",
        "codec.encode",
        "codec.decode",
    ],
)
def test_importing_qawait_imports_neither_qiskit_nor_numpy(module: str) -> None:
    """What is heavy is imported when it is first needed."""
    done = _python(
        f"import sys, qawait.ibm.{module}\n"
        "print([n for n in ('qiskit', 'numpy', 'qiskit_ibm_runtime') if n in sys.modules])"
    )
    assert done.stdout.strip() == "[]", done.stderr
