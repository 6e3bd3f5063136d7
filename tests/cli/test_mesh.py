"""``kubeassay mesh`` as a user meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from analysis.mesh.mesh_kit import (
    deployment,
    destination_rule,
    injected,
    namespace,
    operator,
    peer_authentication,
    service,
    text_of,
)
from kit import run_command

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "mesh.md").read_text("utf-8")
EXAMPLES = re.findall(r"^\$ kubeassay (mesh .*)\n((?:(?!```).*\n)*)", PAGE, re.MULTILINE)
STRICT = peer_authentication("default", "istio-system", "STRICT")
CLUSTER = [injected(), deployment(), deployment("api"), service(), STRICT, operator()]


@pytest.mark.parametrize(("command", "expected"), EXAMPLES)
def test_an_example_of_the_page_is_true(command: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = run_command(*command.split())
    assert [line.rstrip() for line in done.stdout.splitlines()] == [line.rstrip() for line in expected.splitlines()]


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == 3


def _rows(stdout: str) -> list[list[str]]:
    return [re.split(r"  +", line.rstrip()) for line in stdout.splitlines()]


def test_a_row_for_each_port(tmp_path: Path) -> None:
    done = run_command("mesh", "-", stdin=text_of(*CLUSTER))
    assert done.exit_code == 0
    at = "stdin:" + str(1 + text_of(*CLUSTER).splitlines().index("    mode: STRICT")) + ":11"
    decided = ["STRICT", "PeerAuthentication istio-system/default (mesh)", at, "anyone may use everything"]
    assert _rows(done.stdout) == [
        ["WORKLOAD", "MESH", "PORT", "MODE", "DECIDED BY", "AT", "CALLERS"],
        ["shop/api[Deployment]", "sidecar", "8080", *decided],
        ["shop/web[Deployment]", "sidecar", "8080", *decided],
    ]


def test_json_has_the_places(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(text_of(*CLUSTER), encoding="utf-8")
    done = run_command("mesh", "-n", "shop", "--format", "json", str(tmp_path))
    entries = json.loads(done.stdout)
    assert [entry["workload"] for entry in entries] == ["shop/api[Deployment]", "shop/web[Deployment]"]
    web = entries[1]
    assert (web["inMesh"], web["dataPlane"], web["revision"]) == (True, "sidecar", "default")
    assert (web["object"], web["path"]) == ("Namespace shop", "metadata.labels.istio-injection")
    (port,) = web["ports"]
    assert (port["port"], port["name"], port["mode"], port["level"]) == (8080, "http", "STRICT", "mesh")
    assert (port["object"], port["path"]) == ("PeerAuthentication istio-system/default", "spec.mtls.mode")
    assert port["location"]["file"].endswith("all.yaml")


def test_callers_of_what_no_proxy_protects() -> None:
    nothing = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "nothing", "namespace": "shop"},
        "spec": {},
    }
    excluded = deployment("cache", annotations={"traffic.sidecar.istio.io/excludeInboundPorts": "8080"})
    outside = deployment("old", labels={"sidecar.istio.io/inject": "false"})
    objects = [injected(), deployment(), excluded, outside, STRICT, operator(), nothing]
    rows = _rows(run_command("mesh", "-", stdin=text_of(*objects)).stdout)[1:]
    assert {row[0]: (row[3], row[-1]) for row in rows} == {
        "shop/cache[Deployment]": ("none", "anyone may use everything"),
        "shop/old[Deployment]": ("none", "anyone may use everything"),
        "shop/web[Deployment]": ("STRICT", "nobody"),
    }


def test_what_is_not_known_is_said_and_ends_with_3() -> None:
    two = [peer_authentication("a", "shop", "STRICT"), peer_authentication("b", "shop", "DISABLE")]
    done = run_command("mesh", "-", "--format", "json", stdin=text_of(*CLUSTER, *two))
    assert done.exit_code == 3
    (port,) = json.loads(done.stdout)[0]["ports"]
    assert (port["mode"], port["certain"], port["perhaps"]) == ("STRICT", False, ["STRICT", "DISABLE"])
    assert (port["level"], port["object"]) == ("namespace", "PeerAuthentication shop/a")
    table = run_command("mesh", "-", stdin=text_of(*CLUSTER, *two))
    assert table.exit_code == 3
    assert "STRICT?" in table.stdout
    assert run_command("mesh", "-", "--allow-incomplete", stdin=text_of(*CLUSTER, *two)).exit_code == 0
    # A namespace that is not declared.
    done = run_command("mesh", "-", stdin=text_of(deployment(), STRICT))
    assert (done.exit_code, _rows(done.stdout)[1][3]) == (3, "not known")


def test_callers_through_a_waypoint_are_not_known() -> None:
    space = namespace("shop", **{"istio.io/dataplane-mode": "ambient", "istio.io/use-waypoint": "w"})
    done = run_command("mesh", "-", stdin=text_of(space, deployment(), STRICT))
    assert done.exit_code == 3
    assert "not known: shop/web[Deployment] is called through waypoint shop/w" in done.stdout


def test_what_is_denied_is_not_all_that_is_told() -> None:
    """Where an ALLOW policy without rules lets nobody through."""
    metadata = {"namespace": "shop"}
    base = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy"}
    rule = {"from": [{"source": {"namespaces": ["bank"]}}]}
    deny = {**base, "metadata": {**metadata, "name": "deny"}, "spec": {"action": "DENY", "rules": [rule]}}
    nothing = {**base, "metadata": {**metadata, "name": "nothing"}, "spec": {}}
    stdout = run_command("mesh", "-", stdin=text_of(injected(), deployment(), STRICT, deny, nothing)).stdout
    assert "namespace bank may not use everything; nobody may use anything else" in stdout


def test_calls_whose_rule_depends_on_an_age() -> None:
    two = [destination_rule("a", "shop", "web", "DISABLE"), destination_rule("b", "shop", "web", "ISTIO_MUTUAL")]
    done = run_command("mesh", "-", "--calls-from", "api", "-f", "json", stdin=text_of(*CLUSTER, *two))
    (entry,) = json.loads(done.stdout)
    assert (done.exit_code, entry["result"], entry["certain"]) == (3, "fails", False)
    assert (entry["perhaps"], entry["clientDecidedBy"]["object"]) == (["fails", "encrypted"], "DestinationRule shop/a")
    done = run_command("mesh", "-", "--calls-from", "api", stdin=text_of(*CLUSTER, *two))
    assert (done.exit_code, _rows(done.stdout)[1][4]) == (3, "fails?")


def test_the_lack_of_the_root_namespace_is_said() -> None:
    done = run_command("mesh", "-", stdin=text_of(injected(), deployment()))
    assert done.exit_code == 3
    assert "no object of namespace istio-system is among the inputs" in done.stderr
    done = run_command("mesh", "-", stdin=text_of(deployment()))
    assert "nothing among the inputs shows an Istio mesh" in done.stderr


def test_calls_of_a_workload() -> None:
    rule = destination_rule("web", "shop", "web", "DISABLE")
    done = run_command("mesh", "-", "--calls-from", "api", stdin=text_of(*CLUSTER, rule))
    assert done.exit_code == 0
    ends = ["shop/api[Deployment]", "shop/web[Deployment]", "shop/web", "80", "fails"]
    assert _rows(done.stdout)[1][:5] == ends
    done = run_command("mesh", "-", "--calls-from", "shop/api", "-f", "json", stdin=text_of(*CLUSTER))
    (entry,) = json.loads(done.stdout)
    assert (entry["client"], entry["result"], entry["targetPort"]) == ("shop/api[Deployment]", "encrypted", 8080)
    assert entry["serverDecidedBy"]["object"] == "PeerAuthentication istio-system/default"


def test_a_workload_that_is_not_there_is_wrong_usage() -> None:
    done = run_command("mesh", "-", "--calls-from", "shop/wbe", stdin=text_of(*CLUSTER))
    assert done.exit_code == 2
    assert "shop/wbe: no such workload" in done.stderr
    assert run_command("mesh", "no-such-folder").exit_code == 2
    done = run_command("mesh", "-", "-n", "shpo", stdin=text_of(*CLUSTER))
    assert (done.exit_code, "there are workloads in shop" in done.stderr) == (2, True)


def test_names_do_not_reach_the_terminal_as_they_are() -> None:
    hostile = deployment("web", annotations={"sidecar.istio.io/inject": "\x1b[31mno"})
    done = run_command("mesh", "-", stdin=text_of(injected(), hostile, STRICT))
    assert "\x1b" not in done.stdout
