"""The maps of a report: what they show is what the commands say, and what is not known or left out is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kit import run_command, run_within_seconds
from kubeassay.execution import pictures
from kubeassay.execution.audit import everything_wanted
from kubeassay.model import Picture, Result, Way
from kubeassay.model.unread import Unread
from kubeassay.policy.library import Library
from kubeassay.reporting.result_json import from_json
from kubeassay.sources import snapshot as snapshots
from kubeassay.sources.snapshot import Snapshot, live_file

MANIFESTS = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers: [{name: c, image: "i:1", resources: {requests: {cpu: "1"}}, ports: [{containerPort: 80}]}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: shop, labels: {app: db}}
spec:
  replicas: 1
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: c, image: "i:1", resources: {requests: {cpu: "1"}}, ports: [{containerPort: 5432}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: web}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: web, namespace: shop}]
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: q, namespace: shop}
spec: {hard: {requests.cpu: "2"}}
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.yaml").write_text(MANIFESTS.lstrip())
    return tmp_path


def scanned(folder: Path, *arguments: str) -> Result:
    run_command("scan", *arguments, "-o", "json=r.json", "--pictures", "--quiet")
    return from_json((folder / "r.json").read_bytes())


def by_id(result: Result) -> dict[str, Picture]:
    assert result.pictures is not None
    return {picture.id: picture for picture in result.pictures}


def test_they_show_what_the_commands_say(shop: Path) -> None:
    found = by_id(scanned(shop, "shop.yaml"))
    assert list(found) == ["connectivity", "escalations", "mesh", "quota"]
    network = found["connectivity"]
    said = json.loads(run_command("reach", "shop.yaml", "--format", "json", "--quiet").stdout)
    assert network.rows == tuple((row["src"], row["dst"], row["conn"]) for row in said)
    assert Way("shop/web[Deployment]", "shop/db[Deployment]", "some", "TCP 5432") in network.ways
    assert {(way.source, way.target) for way in network.ways if way.state == "all"} == {
        ("addresses outside", "shop/web[Deployment]"),
        ("shop/web[Deployment]", "addresses outside"),
    }
    [path] = found["escalations"].paths
    assert path == ("ServiceAccount shop/web", "cluster-admin")
    [row] = found["escalations"].rows
    assert "shop.yaml" in run_command("escalations", "shop.yaml", "--exit-zero").stdout
    assert row[:2] == ("ServiceAccount shop/web", "1")
    [quota] = found["quota"].rows
    # 3 at rest of 2: the deployments' surges come on top.
    assert quota[:6] == ("shop", "q", "requests.cpu", "2", "3", "3")
    [bar] = found["quota"].bars
    assert [(part.kind, part.size) for part in bar.parts] == [("rest", 1000), ("over", 1000)]
    assert bar.text.endswith("of 2, does not fit")
    assert [row[0] for row in found["mesh"].rows] == ["shop/db[Deployment]", "shop/web[Deployment]"]
    assert "Nothing among the inputs shows an Istio mesh" in found["mesh"].notes[-1]


def test_all_ports_of_some_addresses_are_not_everything(shop: Path) -> None:
    policy = """apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: out, namespace: shop}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]
"""
    (shop / "policy.yaml").write_text(policy)
    ways = by_id(scanned(shop, "shop.yaml", "policy.yaml"))["connectivity"].ways
    assert Way("shop/web[Deployment]", "addresses outside", "some", "10.0.0.0/8: All Connections") in ways


def test_they_are_made_only_where_they_are_shown(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_command("scan", "shop.yaml", "-o", "json=plain.json", "--quiet")
    run_command("scan", "shop.yaml", "-o", "json=beside.json", "-o", "html=page.html", "--quiet")
    # Another report beside it changes nothing in JSON.
    assert (shop / "plain.json").read_bytes() == (shop / "beside.json").read_bytes()
    assert "pictures" not in json.loads((shop / "plain.json").read_bytes())
    run_command("scan", "shop.yaml", "-o", "json=maps.json", "--pictures", "--quiet")
    run_command("report", "maps.json", "-o", "html=later.html", "--quiet")
    page = (shop / "page.html").read_text()
    assert "shop/web[Deployment] → shop/db[Deployment]: TCP 5432" in page
    # What JSON keeps makes the same page.
    assert (shop / "later.html").read_text() == page
    run_command("report", "plain.json", "-o", "html=without.html", "--quiet")
    assert "has no maps" in (shop / "without.html").read_text()


def test_standard_input_has_maps(shop: Path) -> None:
    done = run_command("scan", "-", "--format", "html", stdin=MANIFESTS.lstrip())
    assert "shop/web[Deployment] → shop/db[Deployment]: TCP 5432" in done.stdout


def test_many_workloads_are_drawn_by_namespace_and_many_namespaces_left_out(shop: Path) -> None:
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: n{0:02}}}\nspec: {{containers: [{{name: c}}]}}\n"
    (shop / "many.yaml").write_text("---\n".join(pod.format(number) for number in range(50)))
    network = by_id(scanned(shop, "many.yaml"))["connectivity"]
    assert network.ends[:2] == ("addresses outside", "n00[Namespace]")
    assert len(network.ends) == 40
    assert {end for way in network.ways for end in (way.source, way.target)} == set(network.ends)
    assert "11 more ends are left out." in network.notes
    assert len(network.rows) == 400
    assert any(note.endswith("rows of the table left out.") for note in network.notes)


def test_a_map_that_fails_is_told_and_the_report_is_written(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Picture:
        raise KeyError("spec")

    drawings = (pictures._Drawing("quota", "What quotas leave", ("Quotas",), broken), *pictures._DRAWINGS[:1])
    monkeypatch.setattr(pictures, "_DRAWINGS", drawings)
    done = run_command(
        "scan", "shop.yaml", "-o", "html=page.html", "--fail-on", "none", "--allow-incomplete", "--quiet"
    )
    # A mistake of the tool is never waived.
    assert done.exit_code == 3
    page = (shop / "page.html").read_text()
    assert "The tool failed: KeyError: &#39;spec&#39;" in page
    assert "shop/web[Deployment] → shop/db[Deployment]: TCP 5432" in page


def live(*objects: dict[str, Any], **fields: Any) -> Snapshot:
    return Snapshot("c", "v1.33.1", files=dict(live_file("c", obj) for obj in objects), **fields)


WEB = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"containers": [{"name": "c", "image": "i:1"}]},
}


def test_nothing_is_drawn_from_what_was_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the right to list policies connectivity is unknown, not open."""
    monkeypatch.chdir(tmp_path)
    # Read for the rules of one profile, which know nothing of policies, roles or quotas.
    (tmp_path / "c.jsonl").write_bytes(snapshots.write(live(WEB, asked=("Pod", "Namespace")), "c.jsonl"))
    found = by_id(scanned(tmp_path, "c.jsonl", "-p", "pss-baseline"))
    for picture in found.values():
        assert not picture.rows
        assert "could not be read" in picture.absent


def test_what_may_not_be_listed_leaves_out_the_maps_that_need_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    everything = everything_wanted(Library().rules.values())
    forbidden = Unread("networking.k8s.io", "NetworkPolicy", "shop", "forbidden", "may not be listed")
    found = live(WEB, asked=(*sorted(everything.kinds), "CustomResource"), unread=(forbidden,))
    (tmp_path / "c.jsonl").write_bytes(snapshots.write(found, "c.jsonl"))
    drawn = by_id(scanned(tmp_path, "c.jsonl"))
    # Quotas may count NetworkPolicies.
    assert {name for name, picture in drawn.items() if picture.absent} == {"connectivity", "quota"}
    assert drawn["connectivity"].absent.startswith("NetworkPolicy (networking.k8s.io) in namespace shop")
    assert [row[0] for row in drawn["mesh"].rows] == ["shop/web[Pod]"]


def test_maps_of_five_thousand_pods_take_seconds() -> None:
    run_within_seconds(
        """
from kubeassay.execution.pictures import _DRAWINGS
from kubeassay.model import Inventory, KubernetesVersion, Picture
from kit import objects_in
text = "---\\n".join(
    f"apiVersion: v1\\nkind: Pod\\nmetadata: {{name: p{n}, namespace: n{n % 50}, labels: {{app: a{n % 500}}}}}\\n"
    "spec: {containers: [{name: c, image: i, ports: [{containerPort: 80}]}]}\\n"
    for n in range(5000)
)
inventory = Inventory(objects_in(text))
for drawing in _DRAWINGS:
    drawing.draw(inventory, KubernetesVersion(33), Picture(drawing.id, "", "", (), ()))
""",
        seconds=60,
    )
