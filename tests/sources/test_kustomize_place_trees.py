"""Places in kustomizations hold, whatever takes part: trees that each have something else in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import go_tools
import pytest

from sources.kustomize_proof import Claim, built, claims_of, objects_of, prove, write
from sources.kustomize_trees import TREES

#: How many claims of a tree are tried; a build takes some 40 ms. Set KUBEASSAY_EXAMPLES for more.
TRIED = max(4, int(os.environ.get("KUBEASSAY_EXAMPLES", "0")))

#: Where something takes part that is not followed: nothing is claimed of what it may have changed.
NOTHING_CLAIMED = frozenset({"configurations", "tr-below"})
LEAST = 10


@pytest.fixture(scope="module", autouse=True)
def _kustomize() -> Iterator[None]:
    program = go_tools.path("kustomize")
    if not program.is_file():
        pytest.skip("kustomize is not installed (make tools)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEASSAY_KUSTOMIZE", str(program))
        yield


@pytest.mark.parametrize("name", sorted(TREES))
def test_every_place_that_is_claimed_holds(name: str, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write(root, TREES[name])
    output = built(root, "over")
    assert not output.errors
    claims = claims_of(output)
    # Claims that hold could be none.
    assert (len(claims) < LEAST) == (name in NOTHING_CLAIMED)
    # Those outside of the base first, which most trees have alike; of the base some.
    outside = [claim for claim in claims if not claim.traced.location.file.startswith("base/")]
    inside = [claim for claim in claims if claim.traced.location.file.startswith("base/")]
    chosen = [*_spread(outside, TRIED), *_spread(inside, max(TRIED - len(outside), 2))]
    wrong = prove(root, "over", TREES[name], chosen, objects_of(output))
    assert not wrong, "\n".join(wrong)


def _spread(several: list[Claim], most: int) -> list[Claim]:
    """Some of them, from its whole length."""
    step = max(1, -(-len(several) // most))
    return several[::step]
