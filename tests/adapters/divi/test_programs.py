"""divi's programs come to the known answer of a small problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qawait.adapters.divi import QawaitBackend
from support.divi_programs import APART, CUTS, LOWEST, MERGED, Several, qaoa, run, vqe

if TYPE_CHECKING:
    from divi.qprog import BatchConfig

    import qawait.sync
    from qawait.emulator import Emulator


@pytest.fixture(params=["shots", "expectation"])
def backend(client: qawait.sync.Client, request: pytest.FixtureRequest) -> QawaitBackend:
    """Give a test a backend of either mode."""
    sampling = request.param == "shots"
    return QawaitBackend(client, backend="ibm_manila", shots=1000, force_sampling=sampling)


def assert_in_order(emu: Emulator) -> None:
    """Check that every job was left to end by itself."""
    assert {(job.live, job.cancels) for job in emu.jobs()} == {(False, 0)}


def test_vqe_finds_the_lowest_energy(emu: Emulator, backend: QawaitBackend) -> None:
    """Within the noise of the shots."""
    program = vqe(backend)
    program.run()
    assert program.best_loss == pytest.approx(LOWEST, abs=0.1)
    assert program.total_run_time > 0
    assert_in_order(emu)


def test_qaoa_finds_the_largest_cut(emu: Emulator, backend: QawaitBackend) -> None:
    """Either of its two sides."""
    program = qaoa(backend)
    program.run()
    assert program.solution in CUTS
    assert_in_order(emu)


@pytest.mark.parametrize("how", [MERGED, APART], ids=["merged", "apart"])
def test_an_ensemble_finds_it_in_every_program(
    emu: Emulator, backend: QawaitBackend, how: BatchConfig
) -> None:
    """Merged into common jobs, or each on its own."""
    found = run(Several(backend, 3), how)
    assert found == [pytest.approx(LOWEST, abs=0.1)] * 3
    assert_in_order(emu)


def test_an_ensemble_of_sixteen_threads(emu: Emulator, backend: QawaitBackend) -> None:
    """Each program submits, polls and fetches in a thread of its own, all at once."""
    found = run(Several(backend, 16, iterations=2), APART)
    assert len(found) == 16
    assert len(emu.jobs()) >= 32
    assert_in_order(emu)
