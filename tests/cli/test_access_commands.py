"""The commands can, who-can and suggest: output, streams, exit codes."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import yaml

from kit import run_command

RBAC = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: shop}
rules:
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [tls]
    verbs: [get]
  - apiGroups: [""]
    resources: [pods, pods/log]
    verbs: [get, list]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
  - {kind: ServiceAccount, name: web}
  - {apiGroup: rbac.authorization.k8s.io, kind: Group, name: devs}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: metrics}
rules:
  - nonResourceURLs: [/metrics]
    verbs: [get]
  - apiGroups: [""]
    resources: [nodes, namespaces]
    verbs: [list]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: metrics}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: metrics}
subjects:
  - {apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}
"""


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rbac.yaml").write_text(RBAC)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("sa:shop/web get pods -n shop", 0),
        ("serviceaccount:shop/web list po -n shop", 0),
        ("system:serviceaccount:shop:web get pods/web-1 -n shop", 0),
        ("sa:shop/web get pods", 1),
        ("sa:shop/web get pods -A", 1),
        ("sa:shop/web get pods --subresource log -n shop", 0),
        ("sa:shop/web get pods --subresource exec -n shop", 1),
        ("sa:shop/web get secrets -n shop", 1),
        ("sa:shop/web get secrets/tls -n shop", 0),
        ("sa:other/web get pods -n shop", 1),
        ("group:devs get pods -n shop", 0),
        ("alice get pods -n shop", 1),
        ("alice get pods -n shop --group ops --group devs", 0),
        ("alice list nodes -n shop", 0),
        ("user:alice get /metrics", 0),
        ("alice get /metrics/a", 1),
        ("alice get /version", 0),
        ("system:anonymous get /version", 0),
        ("system:anonymous get /api", 1),
        ("group:system:masters delete widgets.example.com -A", 0),
    ],
)
def test_can(arguments: str, code: int) -> None:
    result = run_command("can", *arguments.split(), "rbac.yaml")
    assert result.exit_code == code, result.output
    assert result.stdout.splitlines()[0] == ("yes" if code == 0 else "no")


def test_can_says_why_with_lines() -> None:
    assert run_command("can", "sa:shop/web", "get", "pods", "-n", "shop").stdout.splitlines() == [
        "yes",
        "RoleBinding shop/readers binds ServiceAccount shop/web to Role reader",
        "  bound at rbac.yaml:18:6",
        '  rule at rbac.yaml:9:5: apiGroups ""; resources pods, pods/log; verbs get, list',
    ]
    found = run_command("can", "group:system:masters", "get", "pods").stdout
    assert "no authorizer is asked" in found
    assert "by Kubernetes itself" in found


def test_can_as_json() -> None:
    answer = json.loads(run_command("can", "alice", "get", "/metrics", "--format", "json").stdout)
    place = {"file": "rbac.yaml", "startLine": 36, "startColumn": 6, "endLine": 36, "endColumn": 14}
    assert answer["allowed"] is True
    assert answer["request"] == {"verb": "get", "path": "/metrics"}
    assert answer["groups"] == ["system:authenticated"]
    assert answer["notEvaluated"] == []
    (reason,) = answer["reasons"]
    assert reason["binding"] == {"kind": "ClusterRoleBinding", "namespace": None, "name": "metrics", "location": place}
    assert reason["rule"]["location"]["startLine"] == 25
    assert reason["rule"]["path"] == "rules[0]"
    answer = json.loads(run_command("can", "sa:shop/web", "get", "nodes/a", "-f", "json").stdout)
    assert (answer["allowed"], answer["reasons"]) == (False, [])
    assert answer["subject"] == {"kind": "ServiceAccount", "namespace": "shop", "name": "web"}
    assert answer["request"]["namespace"] == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("shop/web get pods", "sa:shop/web"),
        ("sa:web get pods", "sa:NAMESPACE/NAME"),
        ("group: get pods", "names nobody"),
        ("alice get deploymnets", "did you mean deployments?"),
        ("alice get pods -n a -A", "exclude each other"),
        ("alice get /metrics --subresource a", "no subresource"),
        ("alice get pods missing.yaml", "missing.yaml"),
        ("alice get", "RESOURCE"),
    ],
)
def test_wrong_usage(arguments: str, message: str) -> None:
    result = run_command("can", *arguments.split())
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("alice get pods/exec", "--subresource exec"),
        ("alice get pods --subresource exce", "did you mean exec?"),
        ("alice gett pods", "did you mean get?"),
        ("alice get gadgets", "taken as it is written"),
        ("alice get nodes -n shop", "-n is ignored"),
        ("alice get *", "'*.*'"),
    ],
)
def test_hints(arguments: str, message: str) -> None:
    result = run_command("can", *arguments.split())
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stdout == "no\n"


def test_subresources_that_only_authorization_knows_are_no_mistake() -> None:
    assert run_command("can", "alice", "get", "nodes", "--subresource", "metrics").stderr == ""
    assert run_command("can", "alice", "update", "deployments", "--subresource", "finalizers").stderr == ""


def test_resources_that_only_authorization_knows_are_no_mistake() -> None:
    assert run_command("can", "alice", "impersonate", "users").stderr == ""


def test_a_namespace_is_asked_about_in_itself() -> None:
    text = RBAC.replace("resources: [pods, pods/log]", "resources: [namespaces]")
    assert run_command("can", "sa:shop/web", "get", "namespaces/shop", "-", stdin=text).exit_code == 0
    assert run_command("can", "sa:shop/web", "get", "namespaces/other", "-", stdin=text).exit_code == 1
    assert run_command("can", "sa:shop/web", "list", "namespaces", "-", stdin=text).exit_code == 1


def test_a_no_from_incomplete_inputs_is_not_certain(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    assert run_command("can", "bob", "get", "pods").exit_code == 3
    assert run_command("can", "bob", "get", "pods", "--allow-incomplete").exit_code == 1
    assert run_command("can", "sa:shop/web", "get", "pods", "-n", "shop").exit_code == 0
    assert run_command("can", "bob", "get", "pods", "rbac.yaml").exit_code == 1


def test_what_is_refused_or_missing_is_told(tmp_path: Path) -> None:
    text = RBAC.replace("verbs: [get]", "verbs: get", 1)
    text = text.replace("kind: ClusterRole, name: metrics", "kind: ClusterRole, name: m")
    (tmp_path / "more.yaml").write_text(text)
    result = run_command("can", "alice", "get", "pods", "more.yaml")
    # An API server with these objects says no.
    assert result.exit_code == 1
    assert "more.yaml:8:12: Role shop/reader: an API server refuses it, so it grants nothing" in result.stderr
    missing = "more.yaml:34:73: ClusterRoleBinding metrics binds ClusterRole m, which is not among the inputs"
    assert missing in result.stderr
    shown = json.loads(run_command("can", "alice", "get", "pods", "more.yaml", "-qf", "json").stdout)
    assert {entry["reason"] for entry in shown["notEvaluated"]} >= {"refused", "missing-role"}
    assert run_command("can", "alice", "get", "pods", "more.yaml", "-q").stderr == ""


def test_who_can() -> None:
    result = run_command("who-can", "get", "pods", "-n", "shop")
    via = ["Role", "reader", "RoleBinding", "shop/readers"]
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["SUBJECT", "ROLE", "BINDING", "BOUND", "AT", "RULE", "AT"],
        ["Group", "devs", *via, "rbac.yaml:19:6", "rbac.yaml:9:5"],
        ["ServiceAccount", "shop/web", *via, "rbac.yaml:18:6", "rbac.yaml:9:5"],
    ]
    assert "not shown (--all shows them)" in result.stderr
    assert "system:masters" in run_command("who-can", "get", "pods", "-n", "shop", "--all").stdout
    assert "nobody but Kubernetes itself may get secrets" in run_command("who-can", "get", "secrets").stdout


def test_who_can_as_json() -> None:
    found = json.loads(run_command("who-can", "get", "secrets/tls", "-n", "shop", "-f", "json").stdout)
    assert {(g["subject"]["kind"], g["subject"]["name"], g["rule"]["path"]) for g in found["grants"]} == {
        ("ServiceAccount", "web", "rules[0]"),
        ("Group", "devs", "rules[0]"),
    }
    assert found["hidden"] > 0
    assert found["bypass"] == [{"kind": "Group", "name": "system:masters"}]


def test_who_can_is_incomplete_where_roles_are_missing() -> None:
    text = RBAC.replace("name: reader}\nsubjects", "name: gone}\nsubjects")
    result = run_command("who-can", "get", "pods", "-n", "shop", "-", stdin=text)
    assert result.exit_code == 3
    assert "binds Role gone" in result.stderr
    assert run_command("who-can", "get", "pods", "-n", "default", "-", stdin=text).exit_code == 0


def test_names_cannot_steer_a_terminal() -> None:
    text = RBAC.replace("name: devs", 'name: "devs\\e[31m"')
    result = run_command("who-can", "get", "pods", "-n", "shop", "-", stdin=text)
    assert "\x1b" not in result.stdout
    assert "\\x1b" in result.stdout


# --- suggest ---


def event(username: str, verb: str, resource: str, **more: Any) -> dict[str, Any]:
    """An audit event; the resource as ``shop:pods/log.group``, or a path."""
    found: dict[str, Any] = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "stage": "ResponseComplete",
        "verb": verb,
        "user": {"username": username, "groups": ["system:authenticated"]},
        "requestURI": resource if resource.startswith("/") else "/api/v1/any?limit=1",
        "requestReceivedTimestamp": "2026-05-01T10:00:00.000000Z",
        "responseStatus": {"code": 200},
        "annotations": {"authorization.k8s.io/decision": "allow"},
        "requestObject": {"data": {"password": "hunter2"}},
    }
    if not resource.startswith("/"):
        namespace, _, what = resource.partition(":")
        what, _, group = what.partition(".")
        name, _, subresource = what.partition("/")
        reference = {"namespace": namespace, "apiGroup": group, "resource": name, "subresource": subresource}
        found["objectRef"] = {key: value for key, value in reference.items() if value} | more.pop("ref", {})
    return found | more


WEB = "system:serviceaccount:shop:web"


def suggested(tmp_path: Path, *arguments: str, events: list[Any], code: int = 0) -> tuple[dict[str, Any], list[str]]:
    """The rules that are suggested, and the comments."""
    (tmp_path / "audit.log").write_text("".join(json.dumps(e) + "\n" for e in events))
    result = run_command("suggest", *arguments, "--used", "audit.log", "rbac.yaml")
    assert result.exit_code == code, result.stderr
    assert "hunter2" not in result.output
    comments = [line[2:] for line in result.stdout.splitlines() if line.startswith("#")]
    return yaml.safe_load(result.stdout), comments


def test_suggest(tmp_path: Path) -> None:
    events = [
        event(WEB, "get", "shop:pods", ref={"name": "web-1"}),
        event(WEB, "get", "shop:pods", ref={"name": "web-2"}),
        event("bob", "get", "shop:pods/log", user={"username": "bob", "groups": ["devs"]}),
        # Not of the role's subjects, elsewhere, not allowed by the role, denied, not answered yet.
        event("bob", "list", "shop:pods"),
        event(WEB, "list", "other:pods"),
        event(WEB, "delete", "shop:pods"),
        event(WEB, "list", "shop:pods", annotations={"authorization.k8s.io/decision": "forbid"}),
        event(WEB, "list", "shop:pods", annotations={}, responseStatus={"code": 403}),
        event(WEB, "list", "shop:pods", stage="RequestReceived"),
    ]
    role, comments = suggested(tmp_path, "Role/shop/reader", events=events)
    assert role == {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "reader", "namespace": "shop"},
        "rules": [{"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get"]}],
    }
    assert comments == [
        "The least role for Role/shop/reader: what it was used for.",
        "3 requests of 2 users in 9 audit events from 2026-05-01T10:00:00.000000Z to 2026-05-01T10:00:00.000000Z.",
        "Not used:",
        "  list on pods, pods/log (core)",
        "  get on secrets (core) named tls",
    ]


def test_suggest_with_names(tmp_path: Path) -> None:
    events = [
        event(WEB, "get", "shop:pods", ref={"name": "web-1"}),
        event(WEB, "get", "shop:pods", ref={"name": "web-0"}),
        event(WEB, "get", "shop:secrets", ref={"name": "tls"}),
        event(WEB, "list", "shop:pods"),
    ]
    secret = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["tls"], "verbs": ["get"]}
    role, _ = suggested(tmp_path, "reader", "--names", events=events)
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-0", "web-1"], "verbs": ["get"]},
        secret,
    ]
    # A rule without names would allow more than the role does.
    role, _ = suggested(tmp_path, "reader", events=events)
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}, secret]


def test_suggest_for_paths_and_impersonation(tmp_path: Path) -> None:
    (tmp_path / "rbac.yaml").write_text(
        RBAC.replace("resources: [nodes, namespaces]\n    verbs: [list]", "resources: ['*']\n    verbs: ['*']")
    )
    events = [
        event("alice", "get", "/metrics?a=b"),
        event("alice", "get", "shop:pods", impersonatedUser={"username": WEB, "groups": ["system:serviceaccounts"]}),
        event("alice", "get", "shop:pods", impersonatedUser={"username": "bob", "groups": ["devs"]}),
        event("alice", "watch", "shop:secrets", stage="ResponseStarted"),
    ]
    role, comments = suggested(tmp_path, "ClusterRole/metrics", events=events)
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["groups", "serviceaccounts", "users"], "verbs": ["impersonate"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["watch"]},
        {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
    ]
    assert comments[2:] == ["Used in part, by wildcards:", "  * on * (core)"]


def test_suggest_reads_lists_and_packed_logs(tmp_path: Path) -> None:
    events = [event(WEB, "get", "shop:pods"), event(WEB, "list", "shop:pods")]
    for member in events:
        del member["kind"], member["apiVersion"]
    whole = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": events}
    (tmp_path / "a.json").write_text(json.dumps(whole, indent=2))
    with gzip.open(tmp_path / "b.log.gz", "wt") as stream:
        stream.write(json.dumps(whole) + "\n")
    expected = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
    for name in ("a.json", "b.log.gz"):
        result = run_command("suggest", "reader", "--used", name, "rbac.yaml")
        assert (result.exit_code, result.stderr) == (0, "")
        assert yaml.safe_load(result.stdout)["rules"] == expected


def test_suggest_tells_broken_lines_and_goes_on(tmp_path: Path) -> None:
    good = json.dumps(event(WEB, "get", "shop:pods"))
    (tmp_path / "audit.log").write_text(f'{good}\n{{"secret": "hunter2\n\n{{"kind": "Pod"}}\n{good}\n')
    result = run_command("suggest", "reader", "--used", "audit.log", "rbac.yaml")
    assert result.exit_code == 3
    assert result.stderr.splitlines() == [
        "audit.log:2: not a JSON object",
        "audit.log:4: not an event of audit.k8s.io",
    ]
    assert "# 2 requests of 1 user in 2 audit events" in result.stdout
    assert run_command("suggest", "reader", "--used", "audit.log", "rbac.yaml", "--allow-incomplete").exit_code == 0
    (tmp_path / "broken.log.gz").write_bytes(b"no gzip")
    result = run_command("suggest", "reader", "--used", "broken.log.gz", "rbac.yaml")
    assert result.exit_code == 3
    assert result.stderr.splitlines()[0] == "broken.log.gz: cannot be read: BadGzipFile"
    assert yaml.safe_load(result.stdout)["rules"] == []


def test_suggest_tells_packed_logs_that_are_damaged(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b"".join(json.dumps(event(WEB, "get", "shop:pods")).encode() for _ in range(9))))
    # The first block says by these bits that it is of a type which does not exist.
    packed[10] |= 0b110
    (tmp_path / "audit.log.gz").write_bytes(packed)
    result = run_command("suggest", "reader", "--used", "audit.log.gz", "rbac.yaml")
    assert result.exit_code == 3
    assert result.stderr.splitlines()[0] == "audit.log.gz: cannot be read: zlib.error"


def test_suggest_does_not_hold_lines_of_any_length(tmp_path: Path) -> None:
    good = json.dumps(event(WEB, "get", "shop:pods")).encode()
    # Packed, gigabytes of one byte are a small file.
    with gzip.open(tmp_path / "audit.log.gz", "wb", compresslevel=1) as stream:
        stream.write(good + b"\n" + b"0" * (40 * 2**20) + b"\n" + good + b"\n" + b" " * (17 * 2**20))
    tracemalloc.start()
    result = run_command("suggest", "reader", "--used", "audit.log.gz", "rbac.yaml")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.exit_code == 3
    assert result.stderr.splitlines() == [
        "audit.log.gz:2: longer than 16 MiB, skipped",
        "audit.log.gz:4: longer than 16 MiB, skipped",
    ]
    assert "# 2 requests of 1 user in 2 audit events" in result.stdout
    assert peak < 64 * 2**20


def test_suggest_tells_lines_and_documents_up_to_their_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = json.dumps(event(WEB, "get", "shop:pods"))
    log = tmp_path / "audit.log"
    monkeypatch.setattr("kubeassay.cli.suggest._MAX_LINE", len(good))
    log.write_text(f"{good}\n{good} \n{good}")
    result = run_command("suggest", "reader", "--used", "audit.log", "rbac.yaml")
    assert result.stderr.splitlines() == ["audit.log:2: longer than 0 MiB, skipped"]
    assert "# 2 requests" in result.stdout
    document = json.dumps(event(WEB, "get", "shop:pods"), indent=1)
    for more, expected in ((0, []), (1, ["audit.log: one document of more than 0 MiB"])):
        monkeypatch.setattr("kubeassay.cli.suggest._MAX_DOCUMENT", len(document) - len("{\n"))
        log.write_text(document + " " * more)
        result = run_command("suggest", "reader", "--used", "audit.log", "rbac.yaml")
        assert result.stderr.splitlines()[:1] == expected
        assert result.exit_code == (3 if more else 0)


EVERYTHING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: op}
rules:
  - apiGroups: [rbac.authorization.k8s.io]
    resources: [roles, rolebindings, clusterroles]
    verbs: [get, create, update, bind, escalate]
  - {apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests/approval], verbs: [update]}
  - apiGroups: [certificates.k8s.io]
    resources: [signers]
    resourceNames: [example.com/a]
    verbs: [approve, sign]
  - {apiGroups: [apps], resources: [deployments/finalizers], verbs: [update]}
  - {apiGroups: [""], resources: [configmaps, pods/exec], verbs: [create, get, patch]}
  - {apiGroups: [""], resources: [nodes/metrics], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: op}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: op}
subjects: [{kind: ServiceAccount, name: web, namespace: shop}]
"""


def test_suggest_keeps_what_a_request_needs_besides_its_verb(tmp_path: Path) -> None:
    (tmp_path / "rbac.yaml").write_text(EVERYTHING)
    events = [
        event(WEB, "patch", "shop:configmaps", ref={"name": "one"}, responseStatus={"code": 201}),
        event(WEB, "get", "shop:pods/exec", ref={"name": "web"}, responseStatus={"code": 101}),
    ]
    role, comments = suggested(tmp_path, "op", events=events)
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "patch"]},
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create", "get"]},
    ]
    assert comments[1].startswith("2 requests of 1 user in 2 audit events")


def test_suggest_does_not_say_that_what_no_log_tells_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "rbac.yaml").write_text(EVERYTHING)
    group = "rbac.authorization.k8s.io"
    events = [
        event(WEB, "create", f"shop:rolebindings.{group}", ref={"name": "b"}, responseStatus={"code": 201}),
        event(WEB, "update", ":certificatesigningrequests/approval.certificates.k8s.io", ref={"name": "c"}),
    ]
    role, comments = suggested(tmp_path, "op", events=events)
    assert role["rules"] == [
        {
            "apiGroups": ["certificates.k8s.io"],
            "resources": ["certificatesigningrequests/approval"],
            "verbs": ["update"],
        },
        {
            "apiGroups": ["certificates.k8s.io"],
            "resources": ["signers"],
            "resourceNames": ["example.com/a"],
            "verbs": ["approve"],
        },
        {"apiGroups": [group], "resources": ["clusterroles", "roles"], "verbs": ["bind"]},
        {"apiGroups": [group], "resources": ["rolebindings"], "verbs": ["create"]},
    ]
    assert comments[2:] == [
        "Kept, as requests may rest on it; an audit log does not tell whether they do:",
        "  approve on signers (certificates.k8s.io) named example.com/a",
        f"  bind on clusterroles, roles ({group})",
        "Left out, although an audit log does not tell whether it is used:",
        "  get on nodes/metrics (core)",
        "  update on deployments/finalizers (apps)",
        "  sign on signers (certificates.k8s.io) named example.com/a",
        f"  escalate on clusterroles, roles ({group})",
        f"  bind, escalate on rolebindings ({group})",
        "Not used:",
        "  create, get, patch on configmaps, pods/exec (core)",
        f"  create, get, update on clusterroles, roles ({group})",
        f"  get, update on rolebindings ({group})",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "y", "N", "no", "On", "null", "~", "", "=", "<<", "1e3", "1e+3", "0o17", "0x1f", "1_0", "12:30", ".5", ".inf",
        "2001-01-01", "-", "- a", "a: b", "a #b", "*", "&a", "!a", "@a", "`a", "%a", "a\nb", "é",
        "x" * 300 + " y" * 100,
    ],
)  # fmt: skip
def test_suggest_quotes_what_other_readers_of_yaml_take_for_no_string(tmp_path: Path, name: str) -> None:
    role, _ = suggested(
        tmp_path,
        "reader",
        "--names",
        events=[event(WEB, "get", "shop:pods", ref={"name": name}), event(WEB, "get", "shop:pods", ref={"name": "z"})],
    )
    if name:
        assert role["rules"][0]["resourceNames"] == sorted((name, "z"))
        result = run_command("suggest", "reader", "--names", "--used", "audit.log", "rbac.yaml")
        values = [line.strip()[2:] for line in result.stdout.splitlines() if line.startswith("  - ")]
        assert json.dumps(name, ensure_ascii=True).replace("\\u00e9", "\\xE9") in values
        assert "z" in values


def test_suggest_writes_plain_words_plain(tmp_path: Path) -> None:
    suggested(tmp_path, "reader", events=[event(WEB, "get", "shop:pods/log")])
    result = run_command("suggest", "reader", "--used", "audit.log", "rbac.yaml")
    assert [line for line in result.stdout.splitlines() if not line.startswith("#")] == [
        "apiVersion: rbac.authorization.k8s.io/v1",
        "kind: Role",
        "metadata:",
        "  name: reader",
        "  namespace: shop",
        "rules:",
        "- apiGroups:",
        '  - ""',
        "  resources:",
        "  - pods/log",
        "  verbs:",
        "  - get",
    ]


@pytest.mark.parametrize(
    ("role", "who", "verb", "message"),
    [
        ("reader", "eve", "get", "nothing in the log was asked by those who have Role/shop/reader"),
        ("reader", WEB, "delete", "nothing that those who have Role/shop/reader asked in the log is allowed by it"),
        ("unbound", WEB, "get", "no binding among the inputs gives Role/shop/unbound to anybody"),
    ],
)
def test_suggest_does_not_take_silence_for_a_role_without_rules(
    tmp_path: Path, role: str, who: str, verb: str, message: str
) -> None:
    with (tmp_path / "rbac.yaml").open("a") as stream:
        stream.write(
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\n"
            "metadata: {name: unbound, namespace: shop}\n"
            'rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]\n'
        )
    (tmp_path / "audit.log").write_text(json.dumps(event(who, verb, "shop:pods")))
    result = run_command("suggest", role, "--used", "audit.log", "rbac.yaml")
    assert result.exit_code == 3
    assert result.stderr.endswith(f"Warning: {message}: the role that is written has no rules\n")
    assert yaml.safe_load(result.stdout)["rules"] == []
    assert run_command("suggest", role, "--used", "audit.log", "rbac.yaml", "--allow-incomplete").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("reeder --used rbac.yaml", "no role reeder is among the inputs"),
        ("Role/reader --used rbac.yaml", "did you mean Role/shop/reader?"),
        ("Deployment/a --used rbac.yaml", "ClusterRole/NAME or Role/NAMESPACE/NAME"),
        ("reader", "--used"),
        ("reader --used missing.log", "missing.log"),
        ("system:controller:bootstrap-signer --used rbac.yaml", "say which"),
    ],
)
def test_suggest_used_wrongly(arguments: str, message: str) -> None:
    result = run_command("suggest", *arguments.split())
    assert result.exit_code == 2
    assert message in result.stderr
