"""A real Jupyter kernel: cells are run, outputs are kept as a notebook would show them."""

from __future__ import annotations

import contextlib
import os
import queue
import time
from typing import TYPE_CHECKING, Any

from jupyter_client.manager import start_new_kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from qawait.emulator import Emulator

WITHIN = 20.0


class Kernel:
    """One kernel, and what its cells have put out so far."""

    def __init__(self, manager: Any, client: Any) -> None:
        self._manager = manager
        self._client = client
        self._idle: set[str] = set()
        self.forget()

    def forget(self) -> None:
        """Begin anew, with a page that is empty."""
        self.text = ""
        self.errors: list[str] = []
        self.pictures: dict[str, str] = {}
        self.parents: dict[str, str] = {}
        self.updates = 0
        self.widgets: dict[str, dict[str, Any]] = {}

    def begin(self, code: str) -> str:
        """Begin to run a cell, and return what names it."""
        return str(self._client.execute(code, allow_stdin=False))

    def run(self, code: str) -> None:
        """Run a cell to its end."""
        self.finish(self.begin(code))

    def finish(self, cell: str) -> None:
        """Return once a cell has ended."""
        self.until(lambda: cell in self._idle)

    def interrupt(self) -> None:
        """Interrupt the kernel as the notebook's button does."""
        self._manager.interrupt_kernel()

    def click(self, widget: str, *, subshell: str | None = None) -> None:
        """Click on a button as the notebook's page does."""
        content = {
            "comm_id": widget,
            "data": {"method": "custom", "content": {"event": "click"}, "buffers": []},
        }
        message = self._client.session.msg("comm_msg", content)
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self._client.shell_channel.send(message)

    def subshell(self) -> str:
        """Return a new subshell, where messages are handled while a cell runs."""
        message = self._client.session.msg("create_subshell_request", {})
        self._client.control_channel.send(message)
        reply = self._client.control_channel.get_msg(timeout=WITHIN)
        return str(reply["content"]["subshell_id"])

    @property
    def buttons(self) -> list[str]:
        """The buttons that are there, in order."""
        return [name for name, state in self.widgets.items() if state.get("icon") == "stop"]

    @property
    def picture(self) -> str:
        """All that is shown, as HTML."""
        return "\n".join(self.pictures.values())

    def until(self, reached: Callable[[], bool]) -> None:
        """Take in what the kernel puts out until something is so."""
        deadline = time.monotonic() + WITHIN
        while not reached():
            assert time.monotonic() < deadline, (self.text, self.errors, self.picture)
            self.take()

    def take(self, within: float = 0.1) -> None:
        """Take in one message, if one comes."""
        with contextlib.suppress(queue.Empty):
            self._note(self._client.get_iopub_msg(timeout=within))

    def _note(self, message: dict[str, Any]) -> None:
        content, kind = message["content"], message["msg_type"]
        match kind:
            case "stream":
                self.text += content["text"]
            case "error":
                self.errors += content["traceback"]
            case "display_data" | "update_display_data":
                self._picture(content, message["parent_header"].get("msg_id", ""))
                self.updates += kind == "update_display_data"
            case "comm_open":
                self.widgets[content["comm_id"]] = content["data"].get("state", {})
            case "comm_close":
                self.widgets.pop(content["comm_id"], None)
            case "status" if content["execution_state"] == "idle":
                self._idle.add(message["parent_header"].get("msg_id", ""))

    def _picture(self, content: dict[str, Any], cell: str) -> None:
        name = content.get("transient", {}).get("display_id", "")
        if "text/html" in content["data"]:
            self.pictures[name] = content["data"]["text/html"]
            self.parents.setdefault(name, cell)


@contextlib.contextmanager
def kernel(emu: Emulator, *, state: Path) -> Iterator[Kernel]:
    """Run a kernel whose account is the emulator's."""
    manager, client = start_new_kernel(
        startup_timeout=WITHIN, env={**os.environ, **emu.env, "QAWAIT_STATE": str(state)}
    )
    try:
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
        manager.context.destroy(linger=0)
