"""``kubeassay reach`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from kit import run_command
from kubeassay.cli.main import cli

CLUSTER = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: registry.example/web:1}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: app, image: registry.example/db:1}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        - podSelector: {matchLabels: {app: web}}
      ports: [{port: 5432}, {port: 8080, endPort: 8090}]
"""
CILIUM = """\
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: x, namespace: shop}
spec: {}
"""
WEB, DB = "shop/web[Deployment]", "shop/db[StatefulSet]"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    return tmp_path


def reach(*arguments: str, code: int = 0, stdin: str | None = None) -> Result:
    result = run_command("reach", *arguments, stdin=stdin)
    assert result.exit_code == code, result.output
    return result


def rows(*arguments: str, code: int = 0) -> list[Any]:
    loaded = json.loads(reach(*arguments, "--format", "json", code=code).stdout)
    assert isinstance(loaded, list)
    return loaded


def ways(*arguments: str) -> set[tuple[str, str, str]]:
    return {(row["src"], row["dst"], row["conn"]) for row in rows(*arguments)}


def test_json_is_a_list_of_src_dst_conn(tree: Path) -> None:
    assert rows("cluster.yaml") == [
        {"src": "0.0.0.0/0", "dst": WEB, "conn": "All Connections"},
        {"src": WEB, "dst": "0.0.0.0/0", "conn": "All Connections"},
        {"src": WEB, "dst": DB, "conn": "TCP 5432,8080-8090"},
    ]


def test_json_of_no_way_is_an_empty_list(tree: Path) -> None:
    assert rows("--from", "db", "cluster.yaml") == []


def test_the_table_is_aligned(tree: Path) -> None:
    assert reach().stdout.splitlines() == [
        "FROM                  TO                    CONNECTIONS",
        "0.0.0.0/0             shop/web[Deployment]  All Connections",
        "shop/web[Deployment]  0.0.0.0/0             All Connections",
        "shop/web[Deployment]  shop/db[StatefulSet]  TCP 5432,8080-8090",
    ]


@pytest.mark.parametrize("name", [WEB, "shop/web", "web", "shop/w*", "w*[Deployment]"])
def test_an_end_can_be_named_in_several_ways(tree: Path, name: str) -> None:
    assert ways(name, "db", "cluster.yaml") == {(WEB, DB, "TCP 5432,8080-8090")}


def test_both_ends_named_are_answered_even_if_nothing_is_open(tree: Path) -> None:
    assert ways("db", "web", "cluster.yaml") == {(DB, WEB, "No Connections")}


def test_addresses_and_the_internet_are_ends(tree: Path) -> None:
    assert ways("web", "internet", "cluster.yaml") == {(WEB, "0.0.0.0/0", "All Connections")}
    assert ways("web", "169.254.169.254", "cluster.yaml") == {(WEB, "169.254.169.254/32", "All Connections")}
    assert ways("--to", "10.0.0.0/8", "--from", "db", "cluster.yaml") == {(DB, "10.0.0.0/8", "No Connections")}


@pytest.mark.parametrize(
    ("port", "conn"),
    [("5432", "TCP 5432"), ("TCP/8085", "TCP 8085"), ("8080-9000/tcp", "TCP 8080-8090"), ("udp/5432", None)],
)
def test_only_some_ports(tree: Path, port: str, conn: str | None) -> None:
    assert ways("--to", "db", "--port", port, "cluster.yaml") == ({(WEB, DB, conn)} if conn else set())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("webb", "cluster.yaml"), "webb: no such workload, address or path"),
        (("--port", "http", "cluster.yaml"), "http is no port"),
        (("--port", "70000", "cluster.yaml"), "ports are from 1 to 65535"),
        (("web", "db", "nosuch.yaml"), "nosuch.yaml"),
        (("--why", "--format", "dot", "cluster.yaml"), "--why is for the formats table and json"),
    ],
)
def test_wrong_usage_is_told(tree: Path, arguments: tuple[str, ...], message: str) -> None:
    assert message in reach(*arguments, code=2).stderr


def test_why_names_policies_rules_and_lines(tree: Path) -> None:
    (row,) = rows("web", "db", "--why", "cluster.yaml")
    found = [(r["direction"], r["effect"], r.get("location", {}).get("startLine"), r["message"]) for r in row["why"]]
    assert found == [
        ("egress", "opens", None, f"no policy isolates {WEB} for egress"),
        ("ingress", "opens", 30, "NetworkPolicy shop/db opens TCP 5432,8080-8090"),
        (
            "ingress",
            "closes",
            27,
            f"NetworkPolicy shop/db isolates {DB} for ingress; everything but TCP 5432,8080-8090 stays closed",
        ),
    ]
    text = reach("web", "db", "--why", "cluster.yaml").stdout
    assert text.startswith(f"{WEB} -> {DB}: TCP 5432,8080-8090\n")
    assert "cluster.yaml:30:7" in text


def test_a_diff_says_what_a_change_opens_and_closes(tree: Path) -> None:
    changed = CLUSTER.replace("{port: 5432}", "{port: 5433}") + (
        "  egress:\n    - to: [{ipBlock: {cidr: 10.0.0.0/8}}]\n      ports: [{port: 443}]\n"
    )
    (tree / "new.yaml").write_text(changed)
    assert rows("--diff", "cluster.yaml", "new.yaml") == [
        {
            "change": "opened",
            "src": DB,
            "dst": "10.0.0.0/8",
            "old": "No Connections",
            "new": "TCP 443",
            "opened": "TCP 443",
            "closed": "No Connections",
        },
        {
            "change": "changed",
            "src": WEB,
            "dst": DB,
            "old": "TCP 5432,8080-8090",
            "new": "TCP 5433,8080-8090",
            "opened": "TCP 5433",
            "closed": "TCP 5432",
        },
    ]
    assert rows("--diff", "cluster.yaml", "cluster.yaml") == []
    assert "opened" in reach("--diff", "cluster.yaml", "new.yaml").stdout


def test_a_diff_compares_the_same_addresses_however_they_are_cut(tree: Path) -> None:
    egress = "  egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]\n"
    (tree / "old.yaml").write_text(CLUSTER + egress)
    (tree / "new.yaml").write_text(CLUSTER + egress.replace("10.0.0.0/8", "10.0.0.0/8, except: [10.1.0.0/16]"))
    assert [(r["change"], r["dst"]) for r in rows("--diff", "old.yaml", "new.yaml")] == [("closed", "10.1.0.0/16")]


def test_pictures_quote_what_they_name(tree: Path) -> None:
    dot = reach("--format", "dot", "cluster.yaml").stdout
    assert '"shop/web[Deployment]" -> "shop/db[StatefulSet]" [label="TCP 5432,8080-8090"];' in dot
    mermaid = reach("--format", "mermaid", "cluster.yaml").stdout.splitlines()
    assert mermaid[0] == "flowchart LR"
    assert any('-->|"TCP 5432,8080-8090"|' in line for line in mermaid)


def test_what_is_not_evaluated_is_said_and_has_its_exit_code(tree: Path) -> None:
    (tree / "cluster.yaml").write_text(CLUSTER + CILIUM)
    assert rows("web", "db", "cluster.yaml", code=3) == [{"src": WEB, "dst": DB, "conn": "Not Evaluated"}]
    assert rows("web", "db", "cluster.yaml", "--allow-incomplete")[0]["conn"] == "Not Evaluated"
    (row,) = rows("web", "db", "--why", "cluster.yaml", code=3)
    assert {reason["effect"] for reason in row["why"]} == {"unknown"}


def test_labels_of_a_namespace_that_is_not_among_the_inputs_are_a_gap(tree: Path) -> None:
    text = CLUSTER.partition("---\n")[2].replace(
        "- podSelector: {matchLabels: {app: web}}", "- namespaceSelector: {matchLabels: {team: a}}"
    )
    (tree / "cluster.yaml").write_text(text)
    result = reach("web", "db", "cluster.yaml", code=3)
    assert "cluster.yaml:27:51: NetworkPolicy shop/db selects namespaces by the label team" in result.stderr
    assert "Not Evaluated" in result.stdout


def test_what_cannot_be_read_is_told_with_its_place(tree: Path) -> None:
    (tree / "broken.yaml").write_text("a: [\n")
    result = reach("web", "db", ".", code=3)
    assert "broken.yaml:" in result.stderr
    assert "TCP 5432" in result.stdout


def test_standard_input_is_a_path(tree: Path) -> None:
    assert "TCP 5432" in reach("web", "db", "-", stdin=CLUSTER).stdout


def test_an_ingress_is_a_way_in(tree: Path) -> None:
    ingress = """\
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8000}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
"""
    (tree / "cluster.yaml").write_text(CLUSTER + ingress)
    assert ("{ingress-controller}", WEB, "TCP 8000") in ways("cluster.yaml")
    assert ways("--from", "{ingress-controller}", "cluster.yaml") == {("{ingress-controller}", WEB, "TCP 8000")}


def test_rows_of_namespaces_join_their_workloads(tree: Path) -> None:
    other = CLUSTER.partition("---\n")[2].partition("---\n")[0].replace("namespace: shop", "namespace: bank")
    (tree / "cluster.yaml").write_text(CLUSTER + "---\n" + other)
    assert ways("--by", "namespace", "cluster.yaml") == {
        ("0.0.0.0/0", "bank[Namespace]", "All Connections"),
        ("0.0.0.0/0", "shop[Namespace]", "All Connections"),
        ("bank[Namespace]", "0.0.0.0/0", "All Connections"),
        ("bank[Namespace]", "shop[Namespace]", "All Connections"),
        ("shop[Namespace]", "0.0.0.0/0", "All Connections"),
        ("shop[Namespace]", "bank[Namespace]", "All Connections"),
        ("shop[Namespace]", "shop[Namespace]", "TCP 5432,8080-8090"),
    }
    assert ways("--by", "namespace", "--from", "shop", "--to", "shop", "cluster.yaml") == {
        ("shop[Namespace]", "shop[Namespace]", "TCP 5432,8080-8090")
    }


def test_a_refused_policy_is_told_with_its_line_and_a_role_does_not_matter(tree: Path) -> None:
    role = (
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: r, namespace: shop}\nrules: no\n"
    )
    (tree / "cluster.yaml").write_text(CLUSTER + role)
    assert reach("web", "db", "cluster.yaml").stderr == ""
    (tree / "cluster.yaml").write_text(CLUSTER.replace("ports: [{port: 5432}", "ports: [{port: true}"))
    result = reach("web", "db", "cluster.yaml", code=3)
    assert result.stderr.startswith(
        "cluster.yaml:32:22: an API server refuses NetworkPolicy shop/db: spec.ingress[0].ports[0].port"
    )
    assert "Not Evaluated" in result.stdout


def test_names_that_would_steer_a_terminal_or_a_picture_are_written_as_codes(tree: Path) -> None:
    text = CLUSTER.replace("name: web, namespace", 'name: "w\\e[31m\\"]b", namespace')
    (tree / "cluster.yaml").write_text(text)
    for format_name in ("table", "dot", "mermaid"):
        assert "\x1b" not in reach("cluster.yaml", "--format", format_name).stdout
    assert '\\"]b[Deployment]" [shape' in reach("cluster.yaml", "--format", "dot").stdout
    assert "#34;]b" in reach("cluster.yaml", "--format", "mermaid").stdout
    assert rows("cluster.yaml")[0]["dst"] == 'shop/w\x1b[31m"]b[Deployment]'


def test_ipv6_is_told_where_it_is_asked_for(tree: Path) -> None:
    assert ways("--to", "2001:db8::1", "--from", "web", "cluster.yaml") == {(WEB, "2001:db8::1/128", "All Connections")}
    assert ways("web", "::/0", "cluster.yaml") == {(WEB, "::/0", "All Connections")}


def test_a_diff_does_not_invent_addresses_that_one_side_speaks_of(tree: Path) -> None:
    nobody = (
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: nobody, namespace: shop}\n"
        "spec: {podSelector: {matchLabels: {app: nobody}}, egress: [{to: [{ipBlock: {cidr: '2001:db8::/32'}}]}]}\n"
    )
    (tree / "new.yaml").write_text(CLUSTER + nobody)
    assert rows("--diff", "cluster.yaml", "new.yaml") == []
    reach("--diff", "-", "-", code=2)


def test_pods_that_an_operator_makes_are_told_of(tree: Path) -> None:
    custom = "---\napiVersion: x.example/v1\nkind: Db\nmetadata: {name: pg, namespace: shop}\nspec: {image: pg:1}\n"
    (tree / "cluster.yaml").write_text(CLUSTER + custom)
    assert "Db shop/pg: an operator makes pods of it" in reach("web", "db", "cluster.yaml", code=3).stderr


@pytest.mark.parametrize("odd", ["shop/**x", "a" * 300, "x\0y", "[", "web[Deployment]#spec.x"])
def test_odd_ends_are_wrong_usage_not_crashes(tree: Path, odd: str) -> None:
    result = CliRunner().invoke(cli, ["reach", odd, "web", "cluster.yaml"], standalone_mode=False)
    assert result.exception is None or isinstance(result.exception, click.ClickException)


def _effects(tree: Path, text: str) -> set[tuple[str, str]]:
    (tree / "cluster.yaml").write_text(CLUSTER + text)
    (row,) = json.loads(CliRunner().invoke(cli, ["reach", "db", "web", "cluster.yaml", "--why", "-f", "json"]).stdout)
    return {
        (reason["effect"], reason["message"].partition(" (")[0])
        for reason in row["why"]
        if reason["direction"] == "ingress"
    }


def _admin(name: str, action: str) -> str:
    return (
        f"---\napiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {{name: {name}}}\n"
        "spec: {priority: 5, subject: {namespaces: {}},"
        f" ingress: [{{action: {action}, from: [{{namespaces: {{}}}}]}}]}}\n"
    )


def test_why_agrees_with_the_tiers(tree: Path) -> None:
    own = (
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: own, namespace: shop}\n"
        "spec: {podSelector: {matchLabels: {app: web}}, ingress: [RULE]}\n"
    )
    # What an admin policy decides, no NetworkPolicy opens or closes.
    assert _effects(tree, _admin("a", "Deny") + own.replace("RULE", "{}")) == {("closes", "AdminNetworkPolicy a")}
    assert _effects(tree, _admin("a", "Allow") + own.replace("[RULE]", "[]")) == {("opens", "AdminNetworkPolicy a")}
    tied = _effects(tree, _admin("a", "Allow") + _admin("b", "Deny"))
    assert tied == {("unknown", "AdminNetworkPolicy a"), ("unknown", "AdminNetworkPolicy b")}


def test_a_field_that_a_policy_does_not_have_is_told(tree: Path) -> None:
    (tree / "cluster.yaml").write_text(CLUSTER.replace("    - from:", "    - form:"))
    result = reach("web", "db", "cluster.yaml", code=3)
    assert "cluster.yaml:30:7: NetworkPolicy shop/db has no field spec.ingress[0].form" in result.stderr


def test_both_ends_may_be_one_workload(tree: Path) -> None:
    assert ways("db", "db", "cluster.yaml") == {(DB, DB, "No Connections")}
    assert ways("web", "web", "cluster.yaml") == {(WEB, WEB, "All Connections")}


def test_what_becomes_unknown_is_neither_opened_nor_closed(tree: Path) -> None:
    (tree / "new.yaml").write_text(CLUSTER + CILIUM)
    for old, new in (("cluster.yaml", "new.yaml"), ("new.yaml", "cluster.yaml")):
        found = rows("--diff", old, new, code=3)
        assert {(row["change"], row["opened"], row["closed"]) for row in found if row["dst"] == DB} <= {
            ("unknown", "No Connections", "No Connections"),
            ("changed", "No Connections", "No Connections"),
        }
        assert not any(row["opened"] == "All Connections" for row in found)


def test_objects_of_one_name_in_several_files_are_told(tree: Path) -> None:
    for folder in ("dev", "prod"):
        (tree / folder).mkdir()
        (tree / folder / "all.yaml").write_text(CLUSTER)
    (tree / "cluster.yaml").unlink()
    result = reach("web", "db", ".", code=3)
    assert "stands in dev/all.yaml and in prod/all.yaml" in result.stderr


def test_why_a_way_is_not_evaluated_is_told_without_being_asked(tree: Path) -> None:
    (tree / "cluster.yaml").write_text(CLUSTER + CILIUM)
    assert "CiliumNetworkPolicy shop/x governs namespace shop and is not evaluated" in reach(".", code=3).stderr


def test_ends_come_before_paths(tree: Path) -> None:
    result = reach("cluster.yaml", "web", "db", code=2)
    assert "web is no file or folder; FROM and TO come before the paths" in result.stderr


def test_a_diff_can_fail_where_it_opens_something(tree: Path) -> None:
    (tree / "new.yaml").write_text(CLUSTER.replace("{port: 5432}", "{port: 5433}"))
    (tree / "less.yaml").write_text(CLUSTER.replace("{port: 5432}, ", ""))
    reach("--diff", "cluster.yaml", "new.yaml", "--fail-on-opened", code=1)
    reach("--diff", "cluster.yaml", "less.yaml", "--fail-on-opened")
    reach("--diff", "cluster.yaml", "new.yaml", "--why", code=2)
