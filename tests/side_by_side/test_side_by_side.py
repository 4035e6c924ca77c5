"""IBM's unmodified client and qawait: the same circuits, options and seed, the same job and result.

What qawait posts on purpose in another way is in `docs/parity.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from side_by_side.bodies import expected_of_ours, same, without_own_tags
from side_by_side.cases import ALL
from side_by_side.clients import Case, ours, theirs
from side_by_side.given import bell
from side_by_side.results import parts

if TYPE_CHECKING:
    from qawait.emulator import Emulator

pytestmark = pytest.mark.filterwarnings(
    # IBM announces that these move or end; they are what is compared with.
    "ignore:The (SamplerV2|EstimatorV2) class is deprecated:DeprecationWarning",
    "ignore:Specifying different '(shots|precision)' across pubs is deprecated:DeprecationWarning",
    # an ideal device has outcomes without any spread
    "ignore:No positive, finite standard errors were found:UserWarning",
    # IBM's 0.49 warns of a list that its own options take
    "ignore:Pydantic serializer warnings:UserWarning",
)


KNOWN = [case for case in ALL if case.is_known]


@pytest.mark.parametrize("case", KNOWN, ids=lambda case: f"{case.program}-{case.kind}-{case.name}")
def test_both_clients_post_the_same_job_and_return_the_same_result(
    emu: Emulator, ibm: Any, case: Case
) -> None:
    """The bodies are equal field by field once decoded, and so are results, metadata included."""
    expected = theirs(emu, ibm, case)
    seen = ours(emu, ibm, case)
    differences = same(without_own_tags(seen.body), expected_of_ours(expected.body))
    differences += same(parts(seen.result), parts(expected.result))
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("program", ["legacy", "executor"])
def test_a_dry_run_is_sent_to_the_mock_by_both(emu: Emulator, ibm: Any, program: Any) -> None:
    """The job is made for the backend, posted to its mock, and is the same for both clients."""
    case = Case(
        name="dry",
        program=program,
        kind="sampler",
        pubs=bell,
        further={"dry_run": True},
        since="0.50",
    )
    if not case.is_known:
        pytest.skip("this version of IBM's client has no dry run")
    expected = theirs(emu, ibm, case)
    seen = ours(emu, ibm, case)
    assert seen.body["backend"] == "mock_manila"
    assert same(without_own_tags(seen.body), expected_of_ours(expected.body)) == []
