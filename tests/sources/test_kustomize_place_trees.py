"""Places in kustomizations hold, whatever takes part: trees that each have something else in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit import give_program
from sources.kustomize_proof import Claim, built, claims_of, objects_of, prove, write
from sources.kustomize_trees import TREES
from sources.test_kustomize_places import BASE

#: How many claims of a tree are tried; a build takes some 40 ms. Set KUBEASSAY_EXAMPLES for more.
TRIED = max(2, int(os.environ.get("KUBEASSAY_EXAMPLES", "0")))

#: Where something takes part that is not followed: nothing is claimed of what it may have changed.
NOTHING_CLAIMED = frozenset({"configurations", "tr-below"})
LEAST = 10


@pytest.fixture(scope="module", autouse=True)
def _kustomize() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        give_program("kustomize", patch)
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


@pytest.mark.parametrize(
    ("patch", "path"),
    [
        ("{op: remove, path: /spec/replicas}", ("spec", "replicas")),
        ("{op: remove, path: /metadata/labels}", ("metadata", "labels")),
        ("{op: move, from: /spec/replicas, path: /spec/minReadySeconds}", ("spec", "replicas")),
        (
            "{op: remove, path: /spec/template/spec/containers/0/securityContext}",
            ("spec", "template", "spec", "containers", 0, "securityContext", "privileged"),
        ),
    ],
)
def test_what_is_said_to_remove_a_field_does(patch: str, path: tuple[str | int, ...], tmp_path: Path) -> None:
    head = "resources: [../base]\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    - "
    found = []
    for operation in (patch, "{op: test, path: /kind, value: Deployment}"):
        write(tmp_path / "tree", {**BASE, "over/kustomization.yaml": f"{head}{operation}\n"})
        output = built(tmp_path / "tree", "over")
        assert output.tracer is not None, output.errors
        obj = next(one for one in objects_of(output) if one.ref.kind == "Deployment")
        found.append((obj.get(*path), output.tracer.trace(obj, path)))
    (value, traced), (without, elsewhere) = found
    assert value is None
    assert without is not None
    assert (traced.state, traced.location.file, traced.location.start_line) == ("parent", "over/kustomization.yaml", 5)
    assert "removes it" in traced.said
    assert elsewhere.location.file == "base/web.yaml"
