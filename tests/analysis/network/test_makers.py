"""What may deploy something of which nothing among the inputs tells."""

from __future__ import annotations

import pytest

from kit import objects_in
from kubeassay.analysis.network.makers import makers_of
from kubeassay.model import Inventory

_UID = "metadata: {name: a, namespace: argocd, uid: 3f2b}\n"
_APPLICATION = "apiVersion: argoproj.io/v1alpha1\nkind: Application\n"
_DESTINATION = "spec: {source: {path: nowhere}, destination: {namespace: shop}}\n"
_RELEASE = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\n"
_TARGET = "spec: {targetNamespace: shop}\n"


@pytest.mark.parametrize(
    ("text", "may_deploy"),
    [
        # A manifest of it tells nothing of what it deploys, whatever is written into it.
        (f"{_APPLICATION}metadata: {{name: a, namespace: argocd}}\n{_DESTINATION}", True),
        (f"{_APPLICATION}metadata: {{name: a}}\n{_DESTINATION}status: {{sync: {{status: Synced}}}}\n", True),
        # In a cluster, what it has deployed is there, and what it has not yet may come.
        (f"{_APPLICATION}{_UID}{_DESTINATION}status: {{sync: {{status: Synced}}}}\n", False),
        (f"{_APPLICATION}{_UID}{_DESTINATION}status: {{sync: {{status: OutOfSync}}}}\n", True),
        (f"{_APPLICATION}{_UID}{_DESTINATION}", True),
        (f"{_RELEASE}{_UID}{_TARGET}status: {{conditions: [{{type: Ready, status: 'True'}}]}}\n", False),
        (f"{_RELEASE}{_UID}{_TARGET}status: {{conditions: [{{type: Ready, status: 'False'}}]}}\n", True),
    ],
)
def test_what_a_cluster_has_deployed_is_there(text: str, may_deploy: bool) -> None:
    assert (makers_of(Inventory(objects_in(text))).of("shop") is not None) == may_deploy
