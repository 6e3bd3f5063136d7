"""What is judged by objects that could not all be read."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from checks.rule_runner import make_object
from kubeassay.checks.check import Context, NotJudged, Said
from kubeassay.engine.live import gaps_of, readable_only
from kubeassay.model import KubernetesVersion, Object
from kubeassay.model.unread import Unread


@pytest.mark.parametrize(
    ("kind", "name", "namespace", "is_judged"),
    [
        ("Role", "x", "b", False),
        ("Role", "x", "a", True),
        ("Namespace", "b", None, False),
        ("Namespace", "a", None, True),
        ("ClusterRole", "x", None, False),
    ],
)
@pytest.mark.parametrize("gap", [("b", ()), (None, ("a",))])
def test_an_object_is_not_judged_where_others_may_be_missing(
    gap: tuple[str | None, tuple[str, ...]], kind: str, name: str, namespace: str | None, is_judged: bool
) -> None:
    def silent(subject: Object, context: Context) -> Iterable[Said]:
        return ()

    unread = Unread("", "ServiceAccount", gap[0], "forbidden", "no", gap[1])
    judge = readable_only(silent, gaps_of(("ServiceAccount",), (unread,)))
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    subject = make_object({"apiVersion": "v1", "kind": kind, "metadata": metadata})
    said = list(judge(subject, Context(KubernetesVersion(33), {})))
    assert said == [] if is_judged else [type(one) for one in said] == [NotJudged]
