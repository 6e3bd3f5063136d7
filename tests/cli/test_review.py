"""What ``scan --since`` says of a change, from the command to the line of the base or patch that does it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from kit import git, run_command
from review_tree import (
    ACCESS,
    OVERLAY,
    POLICY,
    WORKLOADS,
    commit,
    edit,
    kustomize,
    open_and_widen,
    page,
    places,
    put,
    repository,
    review,
)

__all__ = ["kustomize", "repository"]

OPEN = "ingress: [{from: [{podSelector: {}}]}]"
KINDS = ("paths", "workloads", "permissions", "escalations", "exposures", "settings")


def opened(found: dict[str, Any]) -> set[tuple[str, str, str, tuple[str, ...]]]:
    return {
        (source, destination, path["connections"], tuple(path.get("environments", ())))
        for path in found["paths"]
        if path["change"] == "opened"
        for source in path["sources"]
        for destination in path["destinations"]
        if source != destination
    }


@pytest.mark.usefixtures("repository", "kustomize")
def test_what_an_overlay_opens_and_a_base_grants_is_told_with_its_line() -> None:
    open_and_widen()
    found = review()
    assert opened(found) == {("shop/web[Deployment]", "shop/db[Deployment]", "TCP 5432", ("staging",))}
    (path,) = found["paths"]
    assert places(path) == [("overlays/staging/from.yaml", 6)]
    # One of the base is one change, whatever binds it in how many overlays.
    (grant,) = found["permissions"]
    assert (grant["change"], grant["subject"]) == ("gained", "ServiceAccount shop/web")
    assert grant["permissions"] == ["* on configmaps (core)", "get, * on secrets (core)"]
    assert "environments" not in grant
    assert places(grant)[0] == ("base/access.yaml", 9)
    assert {file for file, _ in places(grant)[1:]} == {
        "overlays/production/kustomization.yaml",
        "overlays/staging/kustomization.yaml",
    }
    assert found["complete"] is True


@pytest.mark.usefixtures("repository", "kustomize")
def test_the_other_way_round_it_is_closed_and_lost() -> None:
    open_and_widen()
    commit()
    git(Path(), "revert", "--no-commit", "HEAD")
    found = review()
    (path,) = found["paths"]
    assert (path["change"], path["environments"]) == ("closed", ["staging"])
    assert places(path, "before")[0] == ("overlays/staging/from.yaml", 6)
    (grant,) = found["permissions"]
    assert grant["change"] == "lost"
    assert places(grant, "before")[0] == ("base/access.yaml", 9)


@pytest.mark.usefixtures("repository", "kustomize")
def test_a_change_without_effect_says_so() -> None:
    # Another name of a policy, another place of a file, another image: nobody reaches more.
    edit("base/policies.yaml", "{name: db}", "{name: database}")
    edit("base/kustomization.yaml", "access.yaml", "rights.yaml")
    git(Path(), "mv", "base/access.yaml", "base/rights.yaml")
    edit("base/workloads.yaml", "web:1.0", "web:1.1")
    found = review()
    assert not any(found[kind] for kind in KINDS)
    assert "**No change of network paths, permissions, exposures or protections.**" in page()


@pytest.mark.usefixtures("repository", "kustomize")
def test_a_path_is_told_where_an_overlay_becomes_the_second() -> None:
    """What was one tree without environments is two of them then."""
    shutil.rmtree("overlays/staging")
    commit()
    put("overlays/staging/kustomization.yaml", OVERLAY)
    edit("base/policies.yaml", "ingress: []", OPEN)
    found = review()
    assert opened(found) == {("shop/web[Deployment]", "shop/db[Deployment]", "All Connections", ("production",))}
    added = {(one["change"], one["workload"], tuple(one["environments"])) for one in found["workloads"]}
    assert added == {
        ("added", f"shop/{name}", ("staging",)) for name in ("web[Deployment]", "db[Deployment]", "migrate[Job]")
    }
    # Of what is new it is told by name what it reaches.
    (db,) = [one for one in found["workloads"] if one["workload"] == "shop/db[Deployment]"]
    assert db["ingress"] == "1 of 2 other workloads (shop/web[Deployment]); not evaluated for 1 more"


@pytest.mark.usefixtures("repository", "kustomize")
def test_a_path_is_told_where_the_second_overlay_goes() -> None:
    shutil.rmtree("overlays/staging")
    edit("base/policies.yaml", "ingress: []", OPEN)
    found = review()
    assert opened(found) == {("shop/web[Deployment]", "shop/db[Deployment]", "All Connections", ("production",))}
    assert {(one["change"], *one["environments"]) for one in found["workloads"]} == {("removed", "staging")}


@pytest.mark.usefixtures("repository", "kustomize")
def test_a_path_is_told_in_an_overlay_that_is_renamed() -> None:
    git(Path(), "mv", "overlays/staging", "overlays/qa")
    put("overlays/qa/kustomization.yaml", OVERLAY + "patches: [{path: from.yaml}]\n")
    put(
        "overlays/qa/from.yaml",
        POLICY.replace("ingress: []", "ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]"),
    )
    found = review()
    assert opened(found) == {("shop/web[Deployment]", "shop/db[Deployment]", "All Connections", ("qa",))}
    assert not found["workloads"]
    assert "environment qa is compared with environment staging as it was before" in page()


@pytest.mark.usefixtures("repository", "kustomize")
def test_environments_that_become_one_are_each_compared() -> None:
    """Two overlays of other namespaces make nothing twice, so that they are one cluster."""
    edit("base/policies.yaml", "ingress: []", OPEN)
    edit("overlays/staging/kustomization.yaml", "namespace: shop", "namespace: store")
    found = review()
    # What stayed in its namespace has its path told; what moved is new, with what is open to it.
    assert ("shop/web[Deployment]", "shop/db[Deployment]") in {path[:2] for path in opened(found)}
    added = {one["workload"]: one["ingress"] for one in found["workloads"] if one["change"] == "added"}
    assert "store/web[Deployment]" in added["store/db[Deployment]"]
    assert {one["workload"] for one in found["workloads"] if one["change"] == "removed"} == {
        f"shop/{name}" for name in ("web[Deployment]", "db[Deployment]", "migrate[Job]")
    }


@pytest.mark.usefixtures("repository", "kustomize")
def test_a_revision_without_the_tree() -> None:
    put("other/deployment.yaml", WORKLOADS)
    found = review(paths=("other",))
    assert {one["change"] for one in found["workloads"]} == {"added"}
    assert found["complete"] is True


@pytest.mark.usefixtures("repository", "kustomize")
@pytest.mark.parametrize("broken", ["before", "after"])
def test_a_side_that_cannot_be_rendered_makes_it_incomplete(broken: str) -> None:
    if broken == "before":
        edit("base/policies.yaml", "ingress: []", "ingress: [")
        commit()
        edit("base/policies.yaml", "ingress: [", "ingress: []")
    else:
        edit("base/policies.yaml", "ingress: []", "ingress: [")
    found = review()
    assert found["complete"] is False
    assert {one["side"] for one in found["unseen"] if one["unread"]} == {broken}
    text = page()
    assert "**Not everything was read on both sides" in text
    assert text.startswith("## kubeassay: ")
    assert ", not complete\n" in text.split("\n", 1)[0] + "\n"
    said = run_command("scan", ".", "--render", "--since", "HEAD").stdout
    assert "The review is not complete: " in said


@pytest.mark.usefixtures("repository")
def test_what_is_not_rendered_makes_it_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    edit("base/policies.yaml", "ingress: []", OPEN)
    found = review(render=False)
    assert found["complete"] is False
    assert {one["side"] for one in found["unseen"] if "not rendered" in one["text"]} == {"before", "after"}


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of files that are applied as they are."""
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "-q", "-b", "main")
    put("workloads.yaml", WORKLOADS)
    put("policies.yaml", POLICY)
    put("access.yaml", ACCESS)
    commit()
    return tmp_path


@pytest.mark.usefixtures("plain")
def test_a_submodule_makes_it_incomplete() -> None:
    git(Path(), "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendored")
    git(Path(), "commit", "-qm", "x")
    edit("policies.yaml", "ingress: []", OPEN)
    found = review(render=False)
    assert opened(found)
    assert found["complete"] is False
    assert [one["text"] for one in found["unseen"] if one["unread"]] == [
        "vendored is a submodule, whose files are of another repository"
    ]


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("folder", ["", "rights/"])
@pytest.mark.parametrize("side", ["after", "before"])
def test_what_a_change_hides_or_shows_is_not_gone_or_new(side: str, folder: str) -> None:
    """A change may bring the ignore file that hides what it grants."""
    if folder:
        Path(folder).mkdir()
        git(Path(), "mv", "access.yaml", "rights/access.yaml")
    ignore = Path(".kubeassayignore")
    if side == "before":
        ignore.write_text(folder or "access.yaml\n")
    if folder or side == "before":
        commit()
    if side == "before":
        ignore.unlink()
    else:
        ignore.write_text(folder or "access.yaml\n")
        edit(folder + "access.yaml", "verbs: [get]", 'verbs: ["*"]')
    found = review(render=False)
    assert found["complete"] is False
    ((said, where),) = [(one["text"], one["side"]) for one in found["unseen"] if one["unread"]]
    assert where == side
    assert said.startswith(folder.rstrip("/") or "access.yaml")
    assert "an ignore file names it" in said
    # Asked for, it is told.
    if side == "after":
        found = review("--no-ignore", render=False)
        assert [one["change"] for one in found["permissions"]] == ["gained"]
        assert found["complete"] is True


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(
    "revision", ["--help", "-x", "", "HEAD..HEAD", "--output=evil", ":/x", "HEAD:.", "...", "HEAD\n"]
)
def test_what_is_no_revision_is_wrong_usage(revision: str) -> None:
    done = run_command("scan", ".", f"--since={revision}")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "the repository has no such revision" in done.stderr
    assert not Path("evil").exists()


@pytest.mark.usefixtures("plain")
def test_both_sides_are_seen_by_what_is_around_them(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without the default deny of the platform, nothing would be opened: all was open before."""
    platform = tmp_path_factory.mktemp("platform")
    deny = POLICY.replace("{name: db}", "{name: deny}").replace("{matchLabels: {app: db}}", "{}")
    (platform / "deny.yaml").write_text(deny)
    # Deployed from here, and gone with this change, although the platform still has it.
    (platform / "policies.yaml").write_text(POLICY)
    Path("policies.yaml").unlink()
    commit()
    put("policies.yaml", POLICY.replace("ingress: []", OPEN))
    assert not opened(review(render=False))
    found = review("--with", str(platform), render=False)
    assert ("default/web[Deployment]", "default/db[Deployment]", "All Connections", ()) in opened(found)
    commit()
    (platform / "deny.yaml").unlink()
    Path("policies.yaml").unlink()
    found = review("--with", str(platform), render=False)
    assert ("0.0.0.0/0", "default/db[Deployment]", "All Connections", ()) in opened(found), (
        "what is removed does not stay"
    )


@pytest.mark.usefixtures("plain")
def test_a_terminal_shows_a_new_finding_once_and_what_the_change_does() -> None:
    edit("workloads.yaml", "privileged: false", "privileged: true")
    edit("policies.yaml", "ingress: []", OPEN)
    done = run_command("scan", ".", "--since", "HEAD")
    assert (done.stdout + done.stderr).count("[privileged-container]") == 1
    assert "privileged-container: " not in done.stderr
    assert "compared with HEAD: 1 new, 0 fixed" in done.stderr
    told = done.stdout.split("What the change does\n")[1]
    assert "opened: default/web[Deployment] -> default/db[Deployment]: All Connections (policies.yaml:7)" in told
    assert "This change: 1 network path opened" in told
    # Where the report is for a program, or for a file, the lines are all that a person sees.
    for other in (("-f", "json"), ("-o", "json=out.json")):
        assert (
            "new: critical privileged-container: Deployment db"
            in run_command("scan", ".", "--since", "HEAD", *other).stderr
        )


@pytest.mark.usefixtures("plain")
def test_a_policy_that_goes_is_told_with_the_line_that_it_had() -> None:
    Path("policies.yaml").unlink()
    said = run_command("scan", ".", "--since", "HEAD").stdout
    assert "-> default/db[Deployment]: All Connections (was policies.yaml:5)" in " ".join(said.split())
    assert "This change: 1 network path opened" in said


@pytest.mark.usefixtures("plain")
def test_nothing_is_told_where_nothing_changed() -> None:
    said = run_command("scan", ".", "--since", "HEAD").stdout
    assert "What the change does" not in said
    assert "This change: no change of network paths, permissions, exposures or protections" in said
