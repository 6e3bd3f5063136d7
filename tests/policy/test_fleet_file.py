"""Fleet files: what they say, and mistakes in them with their places."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kubeassay.policy.errors import PolicyError
from kubeassay.policy.fleet import FleetTarget, fleet_from

HEAD = "apiVersion: kubeassay.dev/v1\nkind: Fleet\nspec:\n"


def fleet(folder: Path, text: str) -> Path:
    path = folder / "ops" / "fleet.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEAD + text, encoding="utf-8")
    return path


def test_defaults_hold_where_a_target_says_nothing_and_files_are_relative_to_the_fleet(tmp_path: Path) -> None:
    (tmp_path / "ops" / "house").mkdir(parents=True)
    found = fleet_from(
        fleet(
            tmp_path,
            """\
  defaults:
    kubeconfig: kube/prod.yaml
    profile: house
    environment: production
    namespaces: [shop]
    rules: [rules]
    baselines: [quotas, own.yaml, ../Architecture.MD]
    failOn: medium
    allowIncomplete: true
  targets:
    - {name: prod, context: prod}
    - {name: other, kubeconfig: ~/other, namespaces: [pay, web], selector: "app=web", profile: strict, failOn: low}
    - name: repo
      directory: ../repo
      paths: [k8s]
      profile: profiles/own.yml
      environment: staging
      kubernetesVersion: v1.31
      exceptions: [accepted.yaml, /etc/accepted.yaml]
      allowIncomplete: false
""",
        )
    )
    ops, repo = str(tmp_path / "ops"), str(tmp_path / "repo")
    baselines = ("quotas", "own.yaml", "../Architecture.MD")
    assert found.name == "fleet"
    assert found.targets == (
        FleetTarget(
            name="prod",
            folder=ops,
            context="prod",
            kubeconfig="kube/prod.yaml",
            namespaces=("shop",),
            profile="house",
            environment="production",
            baselines=baselines,
            rules=("rules",),
            fail_on="medium",
            allow_incomplete=True,
        ),
        FleetTarget(
            name="other",
            folder=ops,
            kubeconfig="~/other",
            namespaces=("pay", "web"),
            selector="app=web",
            profile="strict",
            environment="production",
            baselines=baselines,
            rules=("rules",),
            fail_on="low",
            allow_incomplete=True,
        ),
        FleetTarget(
            name="repo",
            folder=repo,
            paths=("k8s",),
            profile="../ops/profiles/own.yml",
            environment="staging",
            kubernetes_version="1.31",
            baselines=("quotas", "../ops/own.yaml", "../Architecture.MD"),
            rules=("../ops/rules",),
            exceptions=("../ops/accepted.yaml", "/etc/accepted.yaml"),
            fail_on="medium",
        ),
    )


def test_a_bundled_name_is_no_folder_of_that_name(tmp_path: Path) -> None:
    for folder in ("merajutasa", "strict", "quotas"):
        (tmp_path / "ops" / folder).mkdir(parents=True)
    text = """\
  targets:
    - {name: a, directory: .., paths: [.], profile: merajutasa, baselines: [quotas]}
    - {name: b, directory: .., paths: [.], profile: strict}
"""
    found = fleet_from(fleet(tmp_path, text))
    assert [(target.profile, target.baselines) for target in found.targets] == [
        ("merajutasa", ("quotas",)),
        ("strict", ()),
    ]


def test_the_documented_file_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "fleet.md").read_text("utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "fleet.yaml"
    path.write_text(text, encoding="utf-8")
    (tmp_path / "house" / "shop").mkdir(parents=True)
    assert {target.name: target.profile for target in fleet_from(path).targets} == {
        "prod": "house/shop",
        "last-night": "strict",
        "web": "recommended",
    }


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("  targets: []\n", "4:12", "[] should be non-empty"),
        ("  targets:\n    - {name: a}\n", "5:7", "needs one of context, kubeconfig, paths"),
        ("  targets:\n    - {name: A, paths: [x]}\n", "5:14", "'A' does not match"),
        ("  targets:\n    - {name: .., paths: [x]}\n", "5:14", "'..' does not match"),
        ('  targets:\n    - {name: "a\\n", paths: [x]}\n', "5:14", "does not match"),
        ("  targets:\n    - {name: a, path: [x]}\n", "5:17", "unknown field path (did you mean paths?)"),
        ("  targets:\n    - {name: a, paths: [x]}\n    - name: a\n      paths: [y]\n", "6:13", "target 1 is called a"),
        ("  targets:\n    - {name: a, paths: [x], context: y}\n", "5:38", "context is for clusters"),
        ("  targets:\n    - {name: a, paths: [x], namespaces: [y]}\n", "5:41", "namespaces is for clusters"),
        ("  targets:\n    - {name: a, context: x, directory: y}\n", "5:40", "directory is for paths"),
        ("  targets:\n    - {name: a, context: x, selector: 'a=='}\n", None, None),
        ("  targets:\n    - {name: a, context: x, selector: 'a b'}\n", "5:39", "is no label selector"),
        ("  defaults: {selector: '=x'}\n  targets:\n    - {name: a, context: x}\n", "4:24", "is no label selector"),
        ("  targets:\n    - {name: a, paths: [x], kubernetesVersion: 1.30}\n", "5:48", "is not of type 'string'"),
        ("  targets:\n    - {name: a, paths: [x], failOn: severe}\n", "5:37", "'severe' is not one of"),
        ("  targets:\n    - {name: a, context: x, namespaces: [a/b]}\n", "5:42", "does not match"),
        ("  defaults: {context: x}\n  targets:\n    - {name: a, paths: [x]}\n", "4:14", "unknown field context"),
        ("  targets: [\n", "5:1", ""),
    ],
)
def test_mistakes_are_told_with_their_places(tmp_path: Path, text: str, place: str | None, said: str | None) -> None:
    path = fleet(tmp_path, text)
    if place is None:
        fleet_from(path)
        return
    with pytest.raises(PolicyError) as error:
        fleet_from(path)
    assert str(error.value).startswith(f"{path}:{place}: ")
    assert said is not None
    assert said in str(error.value)
