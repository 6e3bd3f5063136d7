"""A result that was kept is the one that a scan would have, or is not used."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import go_tools
import pytest

from kit import plan_of, run_command
from kubeassay.engine.live import Live
from kubeassay.engine.plan import Plan
from kubeassay.execution import remembered as module
from kubeassay.execution.following import Follow, followed
from kubeassay.execution.remembered import remembered
from kubeassay.execution.rendering import RenderOptions
from kubeassay.execution.scan import scan
from kubeassay.execution.surroundings import surroundings
from kubeassay.model import Exception_, MadeOf, NotEvaluated, Result, SubjectMatch, Target
from kubeassay.model.unread import Unread
from kubeassay.sources.cache import Cache, digest_of
from kubeassay.sources.deployers.adjusting import AsWritten
from kubeassay.sources.files import Discovery, SourceFile, discover
from kubeassay.sources.object_store import ObjectStore
from kubeassay.sources.rendering import Rendering
from kubeassay.sources.snapshot import live_file

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  containers:
    - name: app
      image: registry.example/app:1.0
      env: [{name: DB_PASSWORD, value: hunter2-hunter2}]
      securityContext: {privileged: true}
"""
SECRET = """\
---
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: shop}
stringData: {a: correct-horse-battery}
"""
#: Before a test has a cache of its own.
KUSTOMIZE = go_tools.path("kustomize")
DAY = datetime.date(2026, 1, 10)


class Scans:
    """Counts the scans that were made, beside what came of the last of them."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, *arguments: Any, **options: Any) -> Result:
        self.made += 1
        return scan(*arguments, **options)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBEASSAY_CACHE", "on")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "WORTH_REMEMBERING", 0)
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "pod.yaml").write_text(POD + SECRET)
    (folder / "broken.yaml").write_text("a: [")
    (folder / "other.yaml").write_text("colour: blue\n")
    return folder


def ask(scans: Scans, tree: Path, plan: Plan | None = None, **options: Any) -> Result:
    target = Target("manifests", "tree")
    return remembered(scans, plan or plan_of("recommended", today=DAY), discover([str(tree)]), target, **options)


def entry(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "cache" / "kubeassay" / "entries").iterdir()
    return found


def test_an_unchanged_tree_is_scanned_once(tree: Path) -> None:
    scans = Scans()
    first = ask(scans, tree)
    second = ask(scans, tree)
    assert scans.made == 1
    assert second == first
    assert first == scan(plan_of("recommended", today=DAY), discover([str(tree)]), Target("manifests", "tree"))
    assert first.findings
    assert first.errors


@pytest.mark.parametrize("profile", ["recommended", "strict"])
def test_all_records_come_back_as_they_were(tree: Path, profile: str) -> None:
    scans = Scans()
    plan = plan_of(profile, today=DAY, show=("pass", "not-evaluated"))
    assert ask(scans, tree, plan) == ask(scans, tree, plan)
    assert scans.made == 1


def _same_size(tree: Path) -> None:
    (tree / "pod.yaml").write_text((POD + SECRET).replace("true", "null"))


@pytest.mark.parametrize(
    "change",
    [
        _same_size,
        lambda tree: (tree / "new.yaml").write_text(POD),
        lambda tree: (tree / "broken.yaml").unlink(),
        lambda tree: (tree / "other.yaml").rename(tree / "another.yaml"),
        lambda tree: (tree / "kustomization.yaml").write_text("resources: [pod.yaml]\nnamePrefix: a-\n"),
        lambda tree: (tree / ".gitignore").write_text("pod.yaml\n"),
    ],
)
def test_a_changed_tree_is_scanned_again(tree: Path, change: Callable[[Path], object]) -> None:
    scans = Scans()
    ask(scans, tree)
    change(tree)
    changed = ask(scans, tree)
    assert scans.made == 2
    assert changed == scan(plan_of("recommended", today=DAY), discover([str(tree)]), Target("manifests", "tree"))


@pytest.mark.parametrize(
    "plan",
    [
        lambda: plan_of("strict", today=DAY),
        lambda: plan_of("recommended", "1.24", today=DAY),
        lambda: plan_of("recommended", today=DAY, show=["pass"]),
        lambda: plan_of("recommended", today=DAY, in_tree_exceptions=False),
        lambda: plan_of("recommended", today=DAY, pod_template_paths={("example.com", "Job"): (("spec",),)}),
        lambda: plan_of(
            "recommended",
            today=DAY,
            exceptions=[Exception_("e", "privileged-container", SubjectMatch(names=("web",)), "because")],
        ),
    ],
)
def test_another_policy_is_judged_by_anew(tree: Path, plan: Callable[[], Plan]) -> None:
    scans = Scans()
    ask(scans, tree)
    ask(scans, tree, plan())
    assert scans.made == 2


def test_parameters_are_part_of_the_policy(tree: Path) -> None:
    plan = plan_of("recommended", today=DAY)
    (first, *rest) = plan.rules
    context = dataclasses.replace(first.context, parameters={**first.context.parameters, "most": 7})
    changed = dataclasses.replace(plan, rules=(dataclasses.replace(first, context=context), *rest))
    scans = Scans()
    ask(scans, tree, plan)
    ask(scans, tree, changed)
    assert scans.made == 2


def test_what_else_is_judged_counts(tree: Path) -> None:
    scans = Scans()
    ask(scans, tree)
    ask(scans, tree, stdin=b"a: 1")
    ask(scans, tree, stdin=b"a: 2")
    ask(scans, tree, not_evaluated=[NotEvaluated("unknown-clause", "a clause")])
    assert scans.made == 4


def test_a_day_changes_nothing_but_exceptions(tree: Path) -> None:
    scans = Scans()
    ask(scans, tree)
    ask(scans, tree, plan_of("recommended", today=DAY + datetime.timedelta(1)))
    assert scans.made == 1
    exceptions = [
        Exception_("e", "privileged-container", SubjectMatch(names=("web",)), "because", expires=DAY.isoformat())
    ]
    outcomes = []
    for day in (DAY, DAY, DAY + datetime.timedelta(1)):
        result = ask(scans, tree, plan_of("recommended", today=day, exceptions=exceptions))
        outcomes.append({f.outcome for f in result.findings if f.rule == "privileged-container"})
    assert outcomes == [{"excepted"}, {"excepted"}, {"fail"}]
    assert scans.made == 3


def test_what_is_judged_by_counts(tree: Path, tmp_path: Path) -> None:
    around = tmp_path / "around"
    around.mkdir()
    policy = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: n, namespace: shop}, spec: %s}"
    (around / "policy.yaml").write_text(policy % "{podSelector: {}}")
    scans = Scans()

    def judged() -> Result:
        by = surroundings([str(around)], max_file_size=2**20)
        plan, discovery = by.beside(plan_of("strict", today=DAY), discover([str(tree)]))
        return remembered(scans, plan, discovery, Target("manifests", "tree", context=by.names))

    assert judged() == judged()
    assert scans.made == 1
    ask(scans, tree, plan_of("strict", today=DAY))
    assert scans.made == 2
    (around / "policy.yaml").write_text(policy % "{podSelector: {}, ingress: [{}]}")
    judged()
    assert scans.made == 3


@pytest.mark.parametrize("reason", ["forbidden", "not-read"])
def test_what_a_cluster_says_counts(tree: Path, reason: str) -> None:
    """The same objects, and more or less of which nothing is known."""
    plan = plan_of("strict", today=DAY)
    unread = Unread("", "ServiceAccount", None, reason, "")
    scans = Scans()
    for live in (Live(), Live(unread=(unread,)), Live(elsewhere=frozenset({"a"}))):
        ask(scans, tree, dataclasses.replace(plan, live=live))
    assert scans.made == 3
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    for labels in ({}, {"a": "b"}, {"a": "b"}):
        namespace["metadata"] = {"name": "shop", "labels": labels}
        name, content = live_file("prod", copy.deepcopy(namespace))
        files = ObjectStore.of({name: content})
        discovery = discover([str(tree)])
        discovery.files.append(SourceFile("", name, len(content), live=files))
        of_live = dataclasses.replace(plan, live=Live(elsewhere=frozenset({name})))
        remembered(scans, of_live, discovery, Target("manifests", "tree"))
    assert scans.made == 5


def test_a_plug_in_is_asked_each_time(tree: Path) -> None:
    plan = plan_of("recommended", today=DAY)
    (first, *rest) = plan.rules
    foreign = dataclasses.replace(first, function=lambda subject, context: ())
    scans = Scans()
    for _ in range(2):
        ask(scans, tree, dataclasses.replace(plan, rules=(foreign, *rest)))
    assert scans.made == 2


def test_an_entry_holds_no_value_of_a_secret(tree: Path, tmp_path: Path) -> None:
    ask(Scans(), tree)
    content = entry(tmp_path).read_bytes()
    assert b"privileged" in content
    assert b"hunter2" not in content
    assert b"correct-horse" not in content


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept.pop("errors"),
        lambda kept: kept.update(findings=None),
        lambda kept: kept["findings"][0].__setitem__(0, "passed"),
        lambda kept: kept["findings"][0].__setitem__(1, 7),
        lambda kept: kept["findings"][0].pop(),
        lambda kept: kept["findings"].append([]),
        lambda kept: kept["summary"].__setitem__(0, True),
        lambda kept: kept.update(more=1),
    ],
)
def test_what_is_no_result_is_not_taken_for_one(
    tree: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], object]
) -> None:
    scans = Scans()
    expected = ask(scans, tree)
    get = Cache.get

    def changed(cache: Cache, kind: str, key: str) -> bytes:
        content = get(cache, kind, key)
        assert content is not None
        kept = json.loads(content)
        change(kept)
        return json.dumps(kept).encode()

    monkeypatch.setattr(Cache, "get", changed)
    assert ask(scans, tree) == expected
    assert scans.made == 2


def test_a_file_that_changes_meanwhile_is_judged_as_it_was_digested(tree: Path) -> None:
    def changing(*arguments: Any, **options: Any) -> Result:
        (tree / "pod.yaml").write_text("colour: blue\n")
        return scan(*arguments, **options)

    target = Target("manifests", "tree")
    first = remembered(changing, plan_of("recommended", today=DAY), discover([str(tree)]), target)
    assert any(finding.rule == "privileged-container" for finding in first.findings)
    scans = Scans()
    second = ask(scans, tree)
    assert scans.made == 1
    assert not second.findings


def test_what_cannot_be_read_is_tried_again(tree: Path) -> None:
    scans = Scans()
    discovery = discover([str(tree)])
    (tree / "pod.yaml").unlink()
    for _ in range(2):
        result = remembered(scans, plan_of("recommended", today=DAY), discovery, Target("manifests", "tree"))
        assert any(error.file.endswith("pod.yaml") for error in result.errors)
    assert scans.made == 2


def test_small_trees_are_not_kept(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORTH_REMEMBERING", 100_000)
    run_command("scan", str(tree))
    assert not (tmp_path / "cache").exists()


def test_a_command_keeps_its_result_unless_it_is_told_not_to(tree: Path, tmp_path: Path) -> None:
    for number in range(300):
        (tree / f"{number}.yaml").write_text(POD.replace("web", f"web-{number}") + "# comment\n" * 120)
    quiet = run_command("scan", str(tree), "--no-cache", "-f", "json")
    assert not (tmp_path / "cache").exists()
    first = run_command("scan", str(tree), "-f", "json")
    assert entry(tmp_path)
    second = run_command("scan", str(tree), "-f", "json")
    assert quiet.stdout == first.stdout == second.stdout
    assert quiet.exit_code == first.exit_code == second.exit_code == 1


def test_the_program_itself_is_part_of_the_digest(monkeypatch: pytest.MonkeyPatch, tree: Path) -> None:
    scans = Scans()
    ask(scans, tree)
    monkeypatch.setattr(module, "_program", lambda: digest_of([], "another"))
    ask(scans, tree)
    assert scans.made == 2


# --- what is rendered ---

_CHARTLESS = {
    "app.yaml": """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: web, namespace: argocd}
spec:
  project: default
  destination: {server: https://kubernetes.default.svc, namespace: shop}
  source: {repoURL: https://git.example/shop, path: web}
""",
    "web/pod.yaml": POD.replace(", namespace: shop", ""),
}


def _followed(tree: Path) -> Discovery:
    discovery = discover([str(tree)])
    return followed(discovery, RenderOptions(), Follow(frozenset(["argocd"]), {"https://git.example/shop": str(tree)}))


def test_a_result_of_what_is_deployed_is_kept_until_what_says_so_changes(tree: Path) -> None:
    for file in tree.iterdir():
        file.unlink()
    for name, text in _CHARTLESS.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(text)
    scans = Scans()
    plan, target = plan_of("recommended", today=DAY), Target("manifests", "tree")
    first = remembered(scans, plan, _followed(tree), target)
    assert remembered(scans, plan, _followed(tree), target) == first
    assert scans.made == 1
    steps = [step for finding in first.findings for step in finding.related if "Application web" in step.message]
    assert steps
    # The same objects, of which another line of the Application says so.
    (tree / "app.yaml").write_text("# A comment.\n" + _CHARTLESS["app.yaml"])
    second = remembered(scans, plan, _followed(tree), target)
    assert scans.made == 2
    moved = [step for finding in second.findings for step in finding.related if "Application web" in step.message]
    assert {step.location.start_line for step in moved} == {step.location.start_line + 1 for step in steps}


def test_a_rendering_of_which_the_parts_are_not_known_is_not_kept(tree: Path) -> None:
    discovery = _followed(tree)
    made_of = MadeOf(AsWritten(POD.encode(), "x.yaml"))
    discovery.files.append(SourceFile("", "x", len(POD), content=POD.encode(), rendering=Rendering(made_of)))
    scans = Scans()
    for _ in range(2):
        remembered(scans, plan_of("recommended", today=DAY), discovery, Target("manifests", "tree"))
    assert scans.made == 2


def test_a_tree_s_overlays_are_rendered_once(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not KUSTOMIZE.is_file():
        pytest.skip("kustomize is not installed (make tools)")
    counting = tree.parent / "kustomize"
    counting.write_text(f'#!/bin/sh\necho "$1" >> {tree.parent / "count"}\nexec {KUSTOMIZE} "$@"\n')
    counting.chmod(0o755)
    monkeypatch.setenv("KUBEASSAY_KUSTOMIZE", str(counting))
    for file in tree.iterdir():
        file.unlink()
    (tree / "kustomization.yaml").write_text("resources: [pod.yaml]\nnamePrefix: a-\n")
    (tree / "pod.yaml").write_text(POD.replace("DB_PASSWORD", "NAME"))
    monkeypatch.chdir(tree)
    arguments = ("scan", ".", "--render", "-f", "json", "--fail-on", "none")
    first = run_command(*arguments).stdout
    assert run_command(*arguments).stdout == first
    assert (tree.parent / "count").read_text().split().count("build") == 1
    run_command(*arguments, "--no-cache")
    assert (tree.parent / "count").read_text().split().count("build") == 2
