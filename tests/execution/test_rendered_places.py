"""Findings of objects that were made of other files: at their places in these, with these files' texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kit import failing, plan_of, profile_of
from kubeassay.execution.inventory import read_inventory
from kubeassay.execution.scan import scan
from kubeassay.model import (
    NEWEST_KNOWN,
    Finding,
    Location,
    MadeOf,
    Object,
    Path,
    Result,
    SourceDocument,
    Target,
    Traced,
)
from kubeassay.sources.files import Discovery, SourceFile
from kubeassay.sources.manifests import read_bytes
from kubeassay.sources.rendering import RENDERED, Rendering
from kubeassay.sources.yaml_reader import lines_of

_BASE = """\
# The base.
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
        - name: proxy
          image: registry.example/proxy:1
        - name: api
          image: registry.example/api:1
          securityContext:
            privileged: true
          env:
            - name: DB_PASSWORD
              value: hunter22
"""
#: As a tool prints it: in another order, and with another name.
_RENDERED = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: staging-api
  namespace: shop
spec:
  selector:
    matchLabels:
      app: api
  template:
    metadata:
      labels:
        app: api
    spec:
      containers:
      - env:
        - name: DB_PASSWORD
          value: hunter22
        image: registry.example/api:1
        name: api
        securityContext:
          privileged: true
      - image: registry.example/proxy:1
        name: proxy
"""


class _ByName:
    """Traces to the object of a base, whose containers stand in another order."""

    def __init__(self, text: str, name: str = "base/api.yaml") -> None:
        read = read_bytes(text.encode(), name)
        self.document = SourceDocument(name, text, objects=tuple(read.objects))
        self.asked: list[Path] = []

    def trace(self, obj: Object, path: Path, *, key: bool = False) -> Traced:
        self.asked.append(path)
        base = self.document.objects[0]
        there = tuple(1 - step if step in (0, 1) and path[index - 1] == "containers" else step
                      for index, step in enumerate(path))  # fmt: skip
        state: Any = "stated" if base.spans.index(base.document, there) is not None else "parent"
        return Traced(
            base.locate(there, key=key),
            state,
            "the base states it",
            self.document,
            base,
            there,
        )


class _Template:
    """Traces all to one line of a text that is no YAML."""

    def __init__(self, text: str, line: int) -> None:
        self.document = SourceDocument("chart/templates/api.yaml", text)
        self.line = line

    def trace(self, obj: Object, path: Path, *, key: bool = False) -> Traced:
        start = lines_of(self.document.text)[self.line - 1]
        length = len(self.document.text[start:].split("\n")[0])
        place = Location(self.document.name, self.line, 1, self.line, length + 1)
        return Traced(place, "rendering", "rendered from it; which line states it could not be told", self.document)


def _discovery(tracer: Any, rendered: str = _RENDERED, *more: SourceFile, **rendering: Any) -> Discovery:
    steps = (("rendered by kustomize v5", Location("overlay/kustomization.yaml", 1, 1, 1, 1)),)
    name = f"overlay/kustomization.yaml{RENDERED}"
    content = rendered.encode()
    made = SourceFile("", name, len(content), content=content, rendering=Rendering(MadeOf(tracer, steps), **rendering))
    return Discovery(files=[*more, made])


def _scanned(discovery: Discovery, *rules: str, **options: Any) -> Result:
    return scan(plan_of(profile_of(*rules), **options), discovery, Target("manifests", "overlay"))


def _only(result: Result) -> Finding:
    (finding,) = failing(result)
    return finding


def test_a_finding_stands_in_the_file_that_states_the_field() -> None:
    finding = _only(_scanned(_discovery(_ByName(_BASE)), "privileged-container"))
    assert (finding.location.file, finding.location.start_line, finding.location.start_column) == (
        "base/api.yaml",
        16,
        25,
    )
    assert finding.excerpt is not None
    assert finding.excerpt.text == "            privileged: true"
    assert finding.excerpt.text[finding.excerpt.start : finding.excerpt.end] == "true"
    # What is judged is what was rendered: its name, its path.
    assert finding.object.name == "staging-api"
    assert finding.path == "spec.template.spec.containers[0].securityContext.privileged"
    assert [(r.message, r.location.file) for r in finding.related] == [
        ("rendered by kustomize v5", "overlay/kustomization.yaml"),
        ("the base states it", "base/api.yaml"),
    ]


def test_its_line_hash_is_that_of_the_file_itself() -> None:
    rendered = _only(_scanned(_discovery(_ByName(_BASE)), "privileged-container"))
    base = SourceFile("", "base/api.yaml", len(_BASE), content=_BASE.encode())
    plain = _only(_scanned(Discovery(files=[base]), "privileged-container"))
    assert rendered.line_hash == plain.line_hash
    assert rendered.line_hash is not None
    assert rendered.location == plain.location


def test_a_fix_is_one_of_the_file_that_states_it() -> None:
    finding = _only(_scanned(_discovery(_ByName(_BASE)), "privileged-container"))
    assert finding.fix is not None
    (edit,) = finding.fix.edits
    assert (edit.location.file, edit.location.start_line, edit.text) == ("base/api.yaml", 16, "false")


def test_what_is_missing_is_put_into_the_object_s_own_file() -> None:
    findings = failing(_scanned(_discovery(_ByName(_BASE)), "allow-privilege-escalation"))
    lines = {(f.container, f.location.start_line): f.fix for f in findings}
    assert set(lines) == {("api", 15), ("proxy", 11)}
    fix = lines["proxy", 11]
    assert fix is not None
    assert {edit.location.file for edit in fix.edits} == {"base/api.yaml"}


def test_what_could_not_be_proved_says_so_and_has_no_fix() -> None:
    template = "kind: Deployment\nspec: {{ toYaml .Values.spec }}\n"
    finding = _only(_scanned(_discovery(_Template(template, 2)), "privileged-container"))
    assert (finding.location.file, finding.location.start_line) == ("chart/templates/api.yaml", 2)
    assert finding.message.endswith("(rendered from it; which line states it could not be told)")
    assert finding.fix is None
    assert finding.excerpt is not None
    assert finding.excerpt.text == "spec: {{ toYaml .Values.spec }}"


def test_no_excerpt_of_a_template_shows_a_secret_of_its_object() -> None:
    template = "kind: Deployment\nvalue: hunter22 # and hunter22\n"
    result = _scanned(_discovery(_Template(template, 2)), "privileged-container", "secret-in-environment")
    assert len(result.findings) == 2
    for finding in result.findings:
        assert finding.excerpt is None or "hunter22" not in finding.excerpt.text
    shown = [finding.excerpt.text for finding in result.findings if finding.excerpt is not None]
    assert shown == ["value: ••• # and •••"]


def test_the_fingerprint_is_of_the_rendered_object_alone() -> None:
    first = _only(_scanned(_discovery(_ByName(_BASE)), "privileged-container"))
    moved = _only(_scanned(_discovery(_ByName("# More.\n" + _BASE, "other/base.yaml")), "privileged-container"))
    assert first.fingerprint == moved.fingerprint
    assert first.location != moved.location


_EXCEPTED = _BASE.replace(
    "privileged: true", 'privileged: true # kubeassay: except privileged-container reason="a reason"'
)


def test_an_exception_in_a_comment_of_the_base_holds_where_it_is_a_part() -> None:
    part = SourceFile("", "base/api.yaml", len(_EXCEPTED), content=_EXCEPTED.encode(), part=True)
    result = _scanned(_discovery(_ByName(_EXCEPTED), _RENDERED, part), "privileged-container", in_tree_exceptions=True)
    assert [(f.outcome, f.reason) for f in result.findings] == [("excepted", "a reason")]
    (use,) = result.exceptions
    assert (use.exception.file, use.exception.line, use.findings) == ("base/api.yaml", 16, 1)
    # The part is no file that was judged, and its objects are none.
    assert (result.summary.objects, result.summary.files) == (1, 1)


def test_comments_that_a_tool_leaves_in_its_output_are_none() -> None:
    rendered = _RENDERED.replace(
        "privileged: true", "privileged: true # kubeassay: except privileged-container reason=x"
    )
    result = _scanned(_discovery(_ByName(_BASE), rendered), "privileged-container", in_tree_exceptions=True)
    assert [f.outcome for f in result.findings] == ["fail"]
    assert not result.exceptions


def test_an_exception_in_an_annotation_stands_where_the_base_has_it() -> None:
    annotation = "annotations: {kubeassay.dev/except: 'privileged-container reason=\"a reason\"'}"
    base = _BASE.replace("metadata: {name: api}", f"metadata: {{name: api, {annotation}}}")
    rendered = _RENDERED.replace("  namespace: shop", f"  namespace: shop\n  {annotation}")
    result = _scanned(_discovery(_ByName(base), rendered), "privileged-container", in_tree_exceptions=True)
    assert [f.outcome for f in result.findings] == ["excepted"]
    (use,) = result.exceptions
    assert (use.exception.file, use.exception.line, use.findings) == ("base/api.yaml", 4, 1)


def test_only_places_that_are_shown_are_looked_for() -> None:
    tracer = _ByName(_BASE)
    _scanned(_discovery(tracer), "host-namespaces")
    assert not tracer.asked


def test_what_a_deployer_makes_of_an_object_is_judged() -> None:
    def into(namespace: str) -> Callable[[Object], Object]:
        def adjusted(obj: Object) -> Object:
            metadata = {**obj.value["metadata"], "namespace": namespace}
            return obj.as_deployed(replace(obj.ref, namespace=namespace), {**obj.value, "metadata": metadata})

        return adjusted

    discovery = _discovery(_ByName(_BASE), adjusted=into("elsewhere"))
    finding = _only(_scanned(discovery, "privileged-container"))
    assert finding.object.namespace == "elsewhere"
    assert finding.location.start_line == 16


def test_findings_of_several_processes_are_the_same() -> None:
    many = "---\n".join(_RENDERED.replace("staging-api", f"api-{number}") for number in range(900))
    discovery = _discovery(_ByName(_BASE), many)
    other = SourceFile("", "x.yaml", len(many), content=many.replace("api-", "b-").encode())
    discovery.files.append(other)
    rules = ("privileged-container", "default-deny-ingress-missing")
    plan = plan_of(profile_of(*rules))
    one = scan(plan, discovery, Target("manifests", "x"), processes=1)
    two = scan(plan, discovery, Target("manifests", "x"), processes=2)
    assert one == two
    assert {f.location.file for f in failing(two) if f.rule == rules[0]} == {"base/api.yaml", "x.yaml"}


@pytest.mark.parametrize("part", [True, False])
def test_an_inventory_has_what_was_rendered_and_not_its_parts(part: bool) -> None:
    base = SourceFile("", "base/api.yaml", len(_BASE), content=_BASE.encode(), part=part)
    read = read_inventory(_discovery(_ByName(_BASE), _RENDERED, base), NEWEST_KNOWN)
    names = [obj.ref.name for obj in read.inventory.objects]
    assert names == (["staging-api"] if part else ["api", "staging-api"])
    place = read.inventory.objects[-1].locate(("spec", "template", "spec", "containers", 0, "image"))
    assert (place.file, place.start_line) == ("base/api.yaml", 14)
