"""When qiskit-ibm-runtime is imported for a result, and where."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from qiskit_ibm_runtime import RuntimeEncoder
from qiskit_ibm_runtime.execution_span import ExecutionSpans, SliceSpan

from qawait.ibm.codec import spans
from support.recorded import exchange

PLAIN = exchange("03", "GET", "/results").raw.decode()
NOW = datetime(2026, 11, 20, tzinfo=UTC)
SPANS = json.dumps(
    ExecutionSpans([SliceSpan(NOW, NOW, {0: ((9,), slice(0, 4))})]), cls=RuntimeEncoder
)
CODE = """
import sys, threading, anyio
from qawait.ibm.codec.decode import finish
from qawait.ibm.codec.stream import StreamDecoder
threads = []
class Watched(StreamDecoder):
    def finish(self):
        threads.append(threading.current_thread() is threading.main_thread())
        return super().finish()
decoder = Watched()
decoder.feed(sys.argv[1].encode())
value = anyio.run(finish, decoder)
print(type(value).__module__.split(".")[0], "qiskit_ibm_runtime" in sys.modules, *threads)
"""


def _decoded(body: str) -> str:
    command = [sys.executable, "-c", CODE, body]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_result_without_spans_does_without_the_package() -> None:
    """A small result of Qiskit's own classes is decoded at once, importing nothing more."""
    assert _decoded(PLAIN) == "qiskit False True"


def test_a_result_with_spans_holds_the_real_ones_imported_in_a_thread() -> None:
    """The first result with spans imports the package where the event loop goes on."""
    assert _decoded(SPANS) == "qiskit_ibm_runtime True False"


def test_a_class_that_the_installed_package_lacks_is_a_protocol_error() -> None:
    """Another version of the package cannot make an AttributeError get out."""
    from qawait.errors import ProtocolError

    with pytest.raises(ProtocolError, match="lacks"):
        spans.runtime_class("execution_span", "SpanOfTheFuture")
