"""Where a rendered field is said to be stated, changing it there changes the field: with the real Kustomize.

Each tree is built, and for every scalar of every object that came of it the tracer is asked. Where it claims a place, a
copy of the tree has another value there, and is built again: the field has to change, or its object to be gone. A claim
of ``rendering`` claims nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit import give_program
from sources.kustomize_proof import built, claims_of, objects_of, prove, write

#: Set for a longer search: how many trees are made at random.
EXAMPLES = int(os.environ.get("KUBEASSAY_EXAMPLES", "12"))

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web, tier: front}
  annotations: {owner: "team-a"}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      hostNetwork: true
      containers:
        - name: app
          image: registry.example/app:1.0
          args: [--port, "8080"]
          ports: [{containerPort: 8080, name: http}, {containerPort: 9090}]
          env: [{name: A, value: one}, {name: B, value: two}]
          securityContext: {privileged: true, runAsUser: 0}
        - name: log
          image: registry.example/log:1.0
          volumeMounts: [{name: tmp, mountPath: /tmp}]
      volumes: [{name: tmp, emptyDir: {}}]
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http, name: http}]}
"""
ACCOUNT = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\nautomountServiceAccountToken: true\n"
POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
    - from: [{podSelector: {matchLabels: {app: gateway}}}]
    - from: [{namespaceSelector: {matchLabels: {team: x}}}]
"""
BASE = {
    "base/kustomization.yaml": "resources: [web.yaml, service.yaml, account.yaml, policy.yaml]\n",
    "base/web.yaml": WEB,
    "base/service.yaml": SERVICE,
    "base/account.yaml": ACCOUNT,
    "base/policy.yaml": POLICY,
}


def _patch(spec: str, *, head: str = "") -> str:
    return f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\n{head}spec:\n{spec}"


_POD = "  template:\n    spec:\n"
#: What overlays say, each by itself: lines of a kustomization, and the files that go with it.
PARTS: dict[str, tuple[str, Mapping[str, str]]] = {
    "merge-patch": (
        "patches: [{path: p.yaml}]\n",
        {"p.yaml": _patch(f"  replicas: 5\n{_POD}      containers: [{{name: app, image: 'other:2'}}]\n")},
    ),
    "inline-patch": (
        "patches:\n  - patch: |-\n"
        + "".join(f"      {line}\n" for line in _patch(f"{_POD}      hostNetwork: false\n").splitlines()),
        {},
    ),
    "patch-adds": (
        "patches: [{path: p.yaml}]\n",
        {"p.yaml": _patch(f"{_POD}      hostPID: true\n      containers: [{{name: side, image: 'side:1'}}]\n")},
    ),
    "patch-deletes": (
        "patches: [{path: p.yaml}]\n",
        {
            "p.yaml": _patch(
                f"  replicas: null\n{_POD}      containers: [{{name: log, $patch: delete}}]\n"
                "      volumes: [{name: tmp, $patch: delete}]\n"
            )
        },
    ),
    "patch-replaces": (
        "patches: [{path: p.yaml}]\n",
        {"p.yaml": _patch(f"{_POD}      containers: [{{$patch: replace}}, {{name: only, image: 'only:1'}}]\n")},
    ),
    "patch-order": (
        "patches: [{path: p.yaml}]\n",
        {
            "p.yaml": _patch(
                f"{_POD}      containers:\n        - name: log\n          env: [{{name: C, value: three}}]\n"
                "        - name: app\n          env: [{name: B, value: other}, {name: D, value: four}]\n"
                "          args: [--new]\n"
            )
        },
    ),
    "two-in-one-file": (
        "patches: [{path: p.yaml}]\n",
        {
            "p.yaml": _patch("  replicas: 7\n")
            + "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\nautomountServiceAccountToken: false\n"
        },
    ),
    "target-patch": (
        "patches: [{path: p.yaml, target: {kind: Deployment}}]\n",
        {"p.yaml": "- {op: replace, path: /spec/replicas, value: 4}\n- {op: add, path: /spec/paused, value: true}\n"},
    ),
    "target-merge": (
        "patches: [{path: p.yaml, target: {labelSelector: app=web}}]\n",
        {"p.yaml": _patch("  replicas: 3\n").replace("name: web", "name: any")},
    ),
    "target-merge-of-another-version": (
        "patches: [{path: p.yaml, target: {kind: Deployment}}]\n",
        {"p.yaml": _patch("  replicas: 3\n").replace("apps/v1", "extensions/v1beta1")},
    ),
    "two-inline": (
        "patches:\n  - patch: |-\n"
        + "".join(
            f"      {line}\n"
            for text in (_patch("  replicas: 3\n"), "---", ACCOUNT.replace("true", "false"))
            for line in text.splitlines()
        ),
        {},
    ),
    "folded": (
        "patches:\n  - target: {kind: Deployment}\n    patch: >-\n"
        "      - {op: replace,\n      path: /spec/replicas, value: 3}\n",
        {},
    ),
    "json-patch": (
        "patches:\n  - target: {kind: Deployment, name: web}\n    patch: |-\n"
        "      - {op: test, path: /spec/template/spec/hostNetwork, value: true}\n"
        "      - {op: replace, path: /spec/template/spec/containers/0/image, value: 'json:1'}\n"
        "      - {op: add, path: /spec/template/spec/containers/1, value: {name: mid, image: 'mid:1'}}\n"
        "      - {op: add, path: /spec/template/spec/containers/-, value: {name: last, image: 'last:1'}}\n"
        "      - {op: remove, path: /spec/template/spec/containers/0/env/0}\n"
        "      - {op: copy, from: /spec/replicas, path: /spec/minReadySeconds}\n"
        "      - {op: move, from: /metadata/labels/tier, path: /metadata/labels/layer}\n",
        {},
    ),
    "json-of-list": (
        "patches: [{path: p.json, target: {kind: NetworkPolicy}}]\n",
        {
            "p.json": json.dumps(
                [
                    {"op": "remove", "path": "/spec/ingress/0"},
                    {"op": "add", "path": "/spec/ingress/0", "value": {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}},
                ],
                indent=1,
            )
        },
    ),
    "old-merge": ("patchesStrategicMerge: [p.yaml]\n", {"p.yaml": _patch("  replicas: 6\n")}),
    "old-json": (
        "patchesJson6902:\n  - target: {group: apps, version: v1, kind: Deployment, name: web}\n    path: p.yaml\n",
        {"p.yaml": "- {op: replace, path: /spec/template/spec/hostNetwork, value: false}\n"},
    ),
    "images": (
        "images: [{name: registry.example/app, newTag: v2}, {name: registry.example/log, newName: other/log}]\n",
        {},
    ),
    "image-digest": (
        "images:\n  - name: registry.example/app\n    newName: mirror/app\n    digest: sha256:" + "0" * 64 + "\n",
        {},
    ),
    "replicas": ("replicas: [{name: web, count: 9}]\n", {}),
    "labels": ("labels: [{pairs: {team: a, app: renamed}, includeSelectors: true}]\n", {}),
    "plain-labels": ("labels: [{pairs: {team: b}, includeTemplates: true}]\n", {}),
    "common-labels": ("commonLabels: {app: common}\n", {}),
    "annotations": ("commonAnnotations: {owner: team-b, note: x}\n", {}),
    "names": ("namePrefix: pre-\nnameSuffix: -suf\n", {}),
    "namespace": ("namespace: shop\n", {}),
    "component": (
        "components: [../part]\n",
        {
            "../part/kustomization.yaml": (
                "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
                "patches: [{path: p.yaml}]\nresources: [more.yaml]\n"
            ),
            "../part/p.yaml": _patch(f"  replicas: 8\n{_POD}      hostIPC: true\n"),
            "../part/more.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata: {a: b}\n",
        },
    ),
    "config-map": (
        "configMapGenerator: [{name: made, literals: [a=one], files: [c.txt]}]\n",
        {"c.txt": "text\n"},
    ),
    "config-map-used": (
        "configMapGenerator: [{name: made, literals: [a=one]}]\npatches: [{path: p.yaml}]\n",
        {"p.yaml": _patch(f"{_POD}      volumes: [{{name: made, configMap: {{name: made}}}}]\n")},
    ),
    "secret": ("secretGenerator: [{name: hidden, literals: [password=one]}]\n", {}),
    "replacements": (
        "replacements:\n  - source: {kind: Service, name: web, fieldPath: 'spec.ports.0.port'}\n"
        "    targets: [{select: {kind: Deployment}, fieldPaths: [spec.replicas]}]\n",
        {},
    ),
    "transformer": (
        "transformers: [t.yaml]\n",
        {
            "t.yaml": "apiVersion: builtin\nkind: PrefixSuffixTransformer\nmetadata: {name: t}\nprefix: tr-\n"
            "fieldSpecs: [{path: metadata/name}]\n"
        },
    ),
}


@pytest.fixture(scope="module", autouse=True)
def _kustomize() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        give_program("kustomize", patch)
        yield


def _tree(*parts: str, over: tuple[str, ...] = ()) -> dict[str, str]:
    """A base, an overlay of some parts on it, and another on that."""
    files = dict(BASE)
    for folder, below, chosen in (("over", "../base", parts), ("top", "../over", over)):
        lines = [f"resources: [{below}]\n"]
        merged: dict[str, list[str]] = {}
        for number, part in enumerate(chosen):
            text, more = PARTS[part]
            for name, content in more.items():
                changed = name if name.startswith("../") else f"{number}-{name}"
                target = os.path.normpath(f"{folder}/{changed}")
                files[target] = content
                text = text.replace(f": {name}", f": {changed}").replace(f"[{name}", f"[{changed}")
            key, _, rest = text.partition(":")
            merged.setdefault(key, []).append(rest)
        for key, several in merged.items():
            # A key stands once: the first of several that say the same key.
            lines.append(f"{key}:{several[0]}")
        files[f"{folder}/kustomization.yaml"] = "".join(lines)
    return files


def _check(root: Path, folder: str, files: Mapping[str, str]) -> int:
    write(root, files)
    output = built(root, folder)
    assert not output.errors, output.errors
    claims = claims_of(output)
    # Of the base every fourth, which many trees have alike: a build takes some 40 ms.
    picked = [one for number, one in enumerate(claims) if number % 4 == 0 or one.traced.location.file not in BASE]
    wrong = prove(root, folder, files, picked, objects_of(output))
    assert not wrong, "\n".join(wrong)
    return len(claims)


@pytest.mark.parametrize("part", sorted(PARTS))
def test_every_place_that_is_claimed_holds(part: str, tmp_path: Path) -> None:
    # What a part says nothing of is claimed: most of the base.
    least = 0 if part in ("replacements", "transformer") else 25
    assert _check(tmp_path / "tree", "over", _tree(part)) >= least


def test_every_place_holds_over_two_overlays(tmp_path: Path) -> None:
    files = _tree("merge-patch", "names", "images", over=("json-patch", "labels", "namespace"))
    assert _check(tmp_path / "tree", "top", files) >= 25


def test_what_a_patch_says_is_placed_in_the_patch(tmp_path: Path) -> None:
    """Claims that hold could be too few: these have to be there."""
    files = _tree("merge-patch", over=("json-patch",))
    write(tmp_path / "tree", files)
    found = {
        (claim.obj.ref.kind, ".".join(map(str, claim.path))): (
            claim.traced.location.file,
            claim.traced.location.start_line,
        )
        for claim in claims_of(built(tmp_path / "tree", "top"))
    }
    containers = "spec.template.spec.containers"
    assert found["Deployment", "spec.replicas"] == ("over/0-p.yaml", 5)
    assert found["Deployment", f"{containers}.0.image"] == ("top/kustomization.yaml", 6)
    assert found["Deployment", f"{containers}.0.securityContext.privileged"] == ("base/web.yaml", 21)
    assert found["ServiceAccount", "automountServiceAccountToken"] == ("base/account.yaml", 4)


def test_a_patch_of_another_version_leaves_the_object_its_own(tmp_path: Path) -> None:
    files = _tree("target-merge-of-another-version")
    write(tmp_path / "tree", files)
    found = {
        (claim.obj.ref.kind, claim.path): (claim.traced.location.file, claim.traced.location.start_line)
        for claim in claims_of(built(tmp_path / "tree", "over"))
    }
    assert found["Deployment", ("apiVersion",)] == ("base/web.yaml", 1)
    assert found["Deployment", ("spec", "replicas")] == ("over/0-p.yaml", 5)


_PART = st.sampled_from(sorted(PARTS))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    parts=st.lists(_PART, min_size=1, max_size=4, unique=True),
    over=st.lists(_PART, max_size=3, unique=True),
    chosen=st.lists(st.integers(0, 10_000), min_size=4, max_size=4),
)
def test_places_hold_in_overlays_at_random(
    parts: list[str], over: list[str], chosen: list[int], tmp_path: Path
) -> None:
    files = _tree(*parts, over=tuple(over))
    root = tmp_path / "tree"
    write(root, files)
    output = built(root, "top")
    if output.tracer is None:
        # Some do not go together (a patch of what another one removed).
        assert output.errors
        return
    claims = claims_of(output)
    if claims:
        wrong = prove(root, "top", files, [claims[number % len(claims)] for number in chosen], objects_of(output))
        assert not wrong, (parts, over, wrong)


def test_a_word_that_is_a_boolean_to_kubernetes_alone_is_placed_where_it_stands(tmp_path: Path) -> None:
    """Kustomize reads YAML 1.2, in which yes is a text; the rest of the object is placed as well."""
    files = _tree("names") | {"base/web.yaml": WEB.replace("privileged: true", "privileged: yes")}
    root = tmp_path / "tree"
    write(root, files)
    output = built(root, "over")
    assert output.tracer is not None
    obj = next(one for one in objects_of(output) if one.ref.kind == "Deployment")
    container = ("spec", "template", "spec", "containers", 0)
    assert obj.get(*container, "securityContext", "privileged") == "yes"
    found = output.tracer.trace(obj, (*container, "securityContext", "privileged"))
    assert (found.state, found.location.file, found.location.start_line) == ("rendering", "base/web.yaml", 21)
    found = output.tracer.trace(obj, (*container, "image"))
    assert (found.state, found.location.file, found.location.start_line) == ("stated", "base/web.yaml", 17)
