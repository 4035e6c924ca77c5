"""The panel in a notebook, by a real kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.kernel import kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qawait.emulator import Emulator
    from support.kernel import Kernel

OPEN = """
import qawait
client = await qawait.connect(schedule=qawait.PollSchedule(lateness=0.02))
FLIP = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; x $0; c[0] = measure $0;'
PARAMS = {"pubs": [[FLIP, None, 16]], "options": {}, "version": 2}
async def submit():
    return await client.submit_program("sampler", PARAMS, backend="ibm_manila")
"""


@pytest.fixture(scope="module")
def ready(started: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """Run one kernel for all tests."""
    with kernel(started, state=tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture
def notebook(ready: Kernel, emu: Emulator) -> Iterator[Kernel]:
    """Give a kernel with a client, and jobs that wait until they are let go."""
    emu.settings(execute=False)
    emu.hold()
    ready.forget()
    ready.run(OPEN)
    assert ready.errors == []
    yield ready
    ready.run("await client.aclose()")
    assert ready.errors == []


def test_the_value_of_a_cell_goes_on_below_it(notebook: Kernel, emu: Emulator) -> None:
    """A panel is shown by the cell whose value it is, and there it follows the job to its end."""
    notebook.run("job = await submit()")
    cell = notebook.begin("qawait.panel(job)")
    notebook.finish(cell)
    notebook.until(lambda: "queued" in notebook.picture)
    emu.release()
    notebook.until(lambda: "done" in notebook.picture)
    notebook.until(lambda: not notebook.buttons)
    assert set(notebook.parents.values()) == {cell}
    assert emu.jobs()[0].id in notebook.picture
    assert "ibm_manila" in notebook.picture


def test_the_stop_button_cancels_once(notebook: Kernel, emu: Emulator) -> None:
    """Two clicks on Stop, and the job is cancelled by one request."""
    notebook.run("job = await submit()\nqawait.panel(job)")
    [button] = notebook.buttons
    notebook.click(button)
    notebook.click(button)
    notebook.until(lambda: "cancelled" in notebook.picture)
    notebook.until(lambda: not notebook.buttons)
    assert [job.cancels for job in emu.jobs()] == [1]


def test_the_stop_button_works_while_a_cell_runs(notebook: Kernel, emu: Emulator) -> None:
    """A click that comes on another thread, while a cell waits for the job, cancels once too."""
    notebook.run("job = await submit()")
    subshell = notebook.subshell()
    cell = notebook.begin("statuses = await qawait.panel(job)\nprint(statuses[0])")
    notebook.until(lambda: bool(notebook.buttons))
    notebook.click(notebook.buttons[0], subshell=subshell)
    notebook.finish(cell)
    assert notebook.text.endswith("CANCELLED\n")
    assert [job.cancels for job in emu.jobs()] == [1]


def test_interrupting_the_kernel_cancels_once(notebook: Kernel, emu: Emulator) -> None:
    """An interrupt while a cell awaits a panel cancels the job by one request."""
    notebook.run("job = await submit()")
    cell = notebook.begin("await qawait.panel(job)")
    notebook.until(lambda: bool(notebook.buttons))
    notebook.interrupt()
    notebook.finish(cell)
    assert any("CancelledError" in line or "Interrupt" in line for line in notebook.errors)
    notebook.errors.clear()
    assert [(job.status, job.cancels) for job in emu.jobs()] == [("Cancelled", 1)]


def test_many_jobs_are_a_table(notebook: Kernel, emu: Emulator) -> None:
    """`client.panel()` shows the jobs submitted in its block, with how many have ended."""
    cell = notebook.begin(
        "async with client.panel():\n"
        "    jobs = [await submit() for _ in range(3)]\n"
        "    await client.wait_all(jobs)"
    )
    notebook.until(lambda: "0 of 3 ended" in notebook.picture)
    emu.release()
    notebook.finish(cell)
    assert "3 of 3 ended" in notebook.picture
    assert notebook.buttons == []
    assert notebook.errors == []


def test_a_failing_display_does_not_reach_the_job(notebook: Kernel, emu: Emulator) -> None:
    """With outputs that cannot be made, the job goes on and its status is returned."""
    notebook.run(
        "job = await submit()\n"
        "import qawait.panels.notebook as broken\n"
        "drawn, broken.drawn = broken.drawn, lambda board: 1 / 0"
    )
    emu.release()
    notebook.run("print(await qawait.panel(job))\nbroken.drawn = drawn")
    assert "DONE" in notebook.text
    assert notebook.errors == []


def test_nothing_is_sent_when_nothing_has_changed(notebook: Kernel, emu: Emulator) -> None:
    """A job that has been queued for a while is shown anew by the minute, not at each poll."""
    notebook.run("import time\njob = await submit()\njob.driver.shared.wall_clock = lambda: 1e10")
    notebook.run("qawait.panel(job)")
    notebook.until(lambda: "queued" in notebook.picture)
    asked = len(emu.ledger("GET"))
    sent = notebook.updates
    notebook.until(lambda: len(emu.ledger("GET")) >= asked + 5)
    assert notebook.updates - sent <= 1
    notebook.run("await job.cancel()")
