"""The identity, excerpt and fix of a finding."""

from __future__ import annotations

import json

import pytest

from kit import failing, plan_of, profile_of, run_within_seconds, scan_text
from kubeassay.model import Finding

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  containers:
    - name: log
      image: registry.example/log:1.0
    - name: app
      image: registry.example/app:1.0
      securityContext: {privileged: true, capabilities: {add: [SYS_ADMIN, SYS_PTRACE]}}
  volumes:
    - {name: one, hostPath: {path: /one}}
    - {name: two, hostPath: {path: /two}}
"""
RULES = ("privileged-container", "capabilities-baseline", "host-path-volumes")


def found(text: str, name: str = "test.yaml", rules: tuple[str, ...] = RULES) -> list[Finding]:
    return failing(scan_text(plan_of(profile_of(*rules)), text, name))


def identities(findings: list[Finding]) -> set[tuple[str, str | None, str]]:
    return {(f.rule, f.container, f.fingerprint) for f in findings}


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param("# a comment\n\n" + POD, id="inserted lines"),
        pytest.param(POD.replace("[SYS_ADMIN, SYS_PTRACE]", "[SYS_PTRACE, SYS_ADMIN]"), id="reordered scalars"),
        pytest.param(
            POD.replace(
                "    - {name: one, hostPath: {path: /one}}\n    - {name: two, hostPath: {path: /two}}\n",
                "    - {name: two, hostPath: {path: /two}}\n    - {name: one, hostPath: {path: /one}}\n",
            ),
            id="reordered mappings",
        ),
        pytest.param(
            POD.replace("    - name: log\n      image: registry.example/log:1.0\n", ""), id="a container less before it"
        ),
        pytest.param(POD.replace("apiVersion: v1", "apiVersion: v1\n"), id="an empty line"),
    ],
)
def test_an_identity_survives_changes_around_the_finding(changed: str) -> None:
    assert identities(found(changed)) == identities(found(POD))


def test_an_identity_survives_a_moved_file() -> None:
    assert identities(found(POD, "a/b/new.yaml")) == identities(found(POD))


@pytest.mark.parametrize(
    "changed",
    [
        POD.replace("name: web", "name: api"),
        POD.replace("namespace: shop", "namespace: bank"),
        POD.replace("kind: Pod", "kind: PodTemplate").replace("spec:", "template:\n spec:", 1).replace("\n  ", "\n   "),
    ],
)
def test_another_object_has_another_identity(changed: str) -> None:
    assert {f.fingerprint for f in found(changed)} & {f.fingerprint for f in found(POD)} == set()


def test_all_findings_of_an_object_have_identities_of_their_own() -> None:
    fingerprints = [f.fingerprint for f in found(POD)]
    assert len(fingerprints) == len(set(fingerprints)) == 5


def test_the_same_object_in_two_documents_is_told_apart_by_order() -> None:
    findings = found(POD + "---\n" + POD)
    first, second = findings[: len(findings) // 2], findings[len(findings) // 2 :]
    assert {f.fingerprint for f in first} == {f.fingerprint for f in found(POD)}
    assert {f.fingerprint for f in second} == {f"{f.fingerprint}:2" for f in first}


SECRETS = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - {name: app, image: "registry.example/app:latest", env: [{name: DB_PASSWORD, value: "zebra7-crossing"}]}
    - name: job
      image: registry.example/job:latest
      command: ["run", "--password=violet-otter-lamp"]
"""


def test_no_secret_reaches_a_finding() -> None:
    result = scan_text(plan_of("strict", show=["pass"]), SECRETS)
    assert {"secret-in-environment", "secret-in-arguments", "image-tag-latest"} <= {f.rule for f in failing(result)}
    assert "zebra7" not in repr(result)
    assert "violet-otter" not in repr(result)


def test_what_stands_behind_a_masked_secret_is_shown_whole() -> None:
    text = SECRETS.replace(
        '["run", "--password=violet-otter-lamp"]', '["run", "--password=violet-otter-lamp", "--tail", "END"]'
    )
    (finding,) = found(text, rules=("secret-in-arguments",))
    assert finding.excerpt is not None
    assert finding.excerpt.text == '      command: ["run", •••, "--tail", "END"]'


@pytest.mark.parametrize(
    ("context", "rule"),
    [
        ("{privileged: true}", "allow-privilege-escalation"),
        ("{capabilities: {add: [SYS_ADMIN]}}", "allow-privilege-escalation"),
        ("{runAsUser: 0}", "run-as-non-root"),
    ],
)
def test_no_fix_is_offered_that_kubernetes_would_refuse_or_not_start(context: str, rule: str) -> None:
    text = POD.replace("{privileged: true, capabilities: {add: [SYS_ADMIN, SYS_PTRACE]}}", context)
    assert {f.container: f.fix is not None for f in found(text, rules=(rule,))} == {"log": True, "app": False}


def test_an_excerpt_shows_the_line_with_the_region_marked_and_secrets_masked() -> None:
    findings = {
        f.rule: f for f in found(SECRETS, rules=("image-tag-latest", "secret-in-environment")) if f.container == "app"
    }
    excerpt = findings["image-tag-latest"].excerpt
    assert excerpt is not None
    assert excerpt.text[excerpt.start : excerpt.end] == '"registry.example/app:latest"'
    assert "value: •••" in excerpt.text
    secret = findings["secret-in-environment"].excerpt
    assert secret is not None
    assert secret.text[secret.start : secret.end] == "•••"


def test_an_excerpt_of_a_long_line_is_cut_around_its_region() -> None:
    text = POD.replace("{privileged: true,", "{" + " " * 3000 + "privileged: true," + " " * 3000)
    (finding,) = found(text, rules=("privileged-container",))
    assert finding.excerpt is not None
    assert len(finding.excerpt.text) <= 200
    assert finding.excerpt.text[finding.excerpt.start : finding.excerpt.end] == "true"


def test_an_excerpt_counts_characters_where_the_location_counts_utf_16_units() -> None:
    text = POD.replace("{privileged: true,", '{"🦊🦊": 1, privileged: true,')
    (finding,) = found(text, rules=("privileged-container",))
    assert finding.excerpt is not None
    assert finding.excerpt.text[finding.excerpt.start : finding.excerpt.end] == "true"
    assert finding.location.start_column == finding.excerpt.start + 1 + 2


@pytest.mark.parametrize(
    ("context", "edit"),
    [
        ("      securityContext: {privileged: true}\n", (True, "false")),
        ("      securityContext:\n        privileged: true\n", (True, "false")),
        ('      securityContext: {"privileged" : yes}\n', (True, "false")),
    ],
)
def test_a_fix_replaces_the_value(context: str, edit: tuple[bool, str]) -> None:
    text = POD.partition("    - name: app")[0] + "    - name: app\n      image: registry.example/app:1.0\n" + context
    (finding,) = found(text, rules=("privileged-container",))
    assert finding.fix is not None
    assert [(e.location == finding.location, e.text) for e in finding.fix.edits] == [edit]


def test_no_fix_is_offered_behind_a_key_without_a_colon() -> None:
    text = POD.replace(
        "securityContext: {privileged: true, capabilities: {add: [SYS_ADMIN, SYS_PTRACE]}}", "? securityContext"
    )
    assert {f.fix for f in found(text, rules=("allow-privilege-escalation",)) if f.container == "app"} == {None}


def test_no_fix_is_offered_where_an_edit_would_change_other_places() -> None:
    text = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - {name: a, image: "a:1", securityContext: &context {privileged: true}}
    - {name: b, image: "b:1", securityContext: *context}
"""
    findings = found(text, rules=("privileged-container",))
    assert {(f.container, f.location.start_line, f.fix) for f in findings} == {("a", 6, None), ("b", 6, None)}


def pod_with(container: str) -> str:
    """A Pod with a container of these fields, on one line."""
    return (
        "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {hostNetwork: true, unknown: 1, "
        "containers: [{name: app, image: 'a:latest', " + container + "}]}}"
    )


SECRET = '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"key": "zebra7"}}'
POD_JSON = (
    '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"hostPID": true, "containers": []}}'
)


@pytest.mark.parametrize(
    "text",
    [
        pod_with("env: [{name: DB_PASSWORD, vaule: zebra7}]"),
        pod_with("env: [{name: DB_PASSWORD, Value: zebra7}]"),
        pod_with("env: [{name: DB_PASSWORD, value: {a: zebra7}}]"),
        pod_with("env: [{name: DB_PASSWORD, value: [zebra7]}]"),
        pod_with("env: [{name: DB_PASSWORD, valueFrom: zebra7}]"),
        pod_with("env: [{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: a, key: b, value: zebra7}}}]"),
        pod_with("env: [{nmae: DB_PASSWORD, value: zebra7}]"),
        pod_with("env: {DB_PASSWORD: zebra7}"),
        pod_with("env: [{name: DB_PASSWORD, value:zebra7}]"),
        pod_with("env: {DB_PASSWORD=zebra7}"),
        "{apiVersion: v1, kind: Secret, metadata: {name: db}, stringData: {a:zebra7}, b: c}",
        pod_with("env: [DB_PASSWORD=zebra7]"),
        pod_with("env: [{name: URL, vaule: 'postgres://shop:zebra7@db/shop'}]"),
        pod_with("env: [{name: DB_PASSWORD, value: zebra7, value: b}]"),
        pod_with("env: [{name: DB_PASSWORD, value: a}], env: [{name: DB_PASSWORD, value: zebra7}], env: []"),
        pod_with("livenessProbe: {httpGet: {port: 1, httpHeaders: [{name: Authorization, value: Bearer zebra7}]}}"),
        pod_with("livenessProbe: {httpGet: {port: 1, httpHeaders: [{name: X-Shop-Token, value: zebra7}]}}"),
        pod_with("lifecycle: {preStop: {exec: {command: [sh, --password, zebra7]}}}"),
        pod_with("args: [sh, -c, 'app --name x --password=zebra7']"),
        pod_with("args: '--password=zebra7'"),
        pod_with("x: 1").replace("'a:latest'", "'shop:zebra7@registry.example/app:latest'"),
        pod_with("x: 1").replace(
            "name: web", "name: web, annotations: {kubectl.kubernetes.io/last-applied-configuration: zebra7}"
        ),
        "{apiVersion: v1, kind: Secret, metadata: {name: db}, stringdata: {a: zebra7}}",
        "{apiVersion: v1, kind: Secret, metadata: {name: db}, a: zebra7}",
        "{apiVersion: v1, kind: Secret, metadata: {name: db}, immutable: zebra7}",
        "{apiVersion: v1, kind: Secret, metadata: {name: db}, type: [zebra7], data: {a: YQ==}}",
        "{apiVersion: v1, kind: Secret, metadata: {name: db}, stringData: {a: zebra7, a: b}}",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData:\n  a: zebra7\n  a: b\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData:\n  password: !!int zebra7\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData:\n  password: !!float zebra7\n",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {password: zebra7, password: b}}",
        f'{{"apiVersion": "v1", "kind": "List", "items": [{SECRET}, {POD_JSON}]}}',
        f'{{"apiVersion": "v1", "kind": "List", "items": [{POD_JSON}, {SECRET}]}}',
        f'{{"kind": "List", "apiVersion": "v1", "items": [{SECRET.replace(chr(34) + "apiVersion", chr(34) + "x")}, '
        f"{POD_JSON}]}}",
        f"{SECRET}{POD_JSON}",
    ],
)
def test_no_report_shows_what_may_be_secret(text: str) -> None:
    result = scan_text(plan_of("strict"), text)
    assert result.findings or result.errors
    assert "zebra7" not in repr(result)


def test_a_message_does_not_name_a_text_in_the_place_of_a_number() -> None:
    result = scan_text(plan_of("strict"), pod_with("securityContext: {privileged: zebra7, runAsUser: 'zebra7'}"))
    assert {"mistyped-field"} <= {finding.rule for finding in result.findings}
    assert not any("zebra7" in finding.message for finding in result.findings)
    assert not any("zebra7" in said.detail for said in result.not_evaluated)


def test_an_excerpt_shows_what_is_no_secret_between_masks() -> None:
    text = pod_with("env: [{name: A, value: shown}, {name: DB_PASSWORD, value: zebra7}, {name: B, value: $(A)}]")
    excerpts = {f.excerpt.text for f in found(text, rules=("image-tag-latest",)) if f.excerpt}
    (excerpt,) = excerpts
    assert "env: [{name: A, value: shown}, {name: DB_PASSWORD, value: •••}, {name: B, value: $(A)}]" in excerpt


def test_an_image_is_named_without_the_password_in_front_of_its_registry() -> None:
    text = pod_with("x: 1").replace("'a:latest'", "'shop:zebra7@registry.example/app:latest'")
    (finding,) = found(text, rules=("image-tag-latest",))
    assert finding.message == "container app runs image •••@registry.example/app:latest"


def test_a_secret_argument_is_known_by_its_flag_not_by_its_position() -> None:
    def of(args: str) -> list[str]:
        return [f.fingerprint for f in found(pod_with(f"args: [{args}]"), rules=("secret-in-arguments",))]

    assert of("--password=zebra7") == of("--verbose, --password=zebra7") == of("--password=other7")
    assert of("--password, zebra7") == of("--verbose, --password, zebra7")
    assert len(set(of("--password=zebra7, --api-key=zebra7"))) == 2


def test_ports_of_two_protocols_are_two() -> None:
    ports = "ports: [{containerPort: 53, hostPort: 53}, {containerPort: 53, hostPort: 53, protocol: UDP}]"
    prints = [f.fingerprint for f in found(pod_with(ports), rules=("host-ports",))]
    assert len(set(prints)) == 2
    assert not any(":" in one for one in prints)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "db"},
                "stringData": {f"key{number}": "zebra7" * 20 for number in range(3000)},
            }
        ),
        pod_with("args: [" + ", ".join(f"--password{number}=zebra7" for number in range(5000)) + "]"),
        pod_with(
            "🦊: 1, env: [" + ", ".join(f"{{name: A{number}, value: [{number}]}}" for number in range(3000)) + "]"
        ),
    ],
    ids=["keys", "arguments", "variables of a wrong type"],
)
def test_thousands_of_findings_on_one_line_are_no_burden(text: str) -> None:
    run_within_seconds(
        "import sys; from kit import plan_of, scan_text\n"
        "result = scan_text(plan_of('strict'), sys.stdin.read())\n"
        "assert len(result.findings) > 2000, len(result.findings)\n"
        "assert 'zebra7' not in repr(result)\n",
        text,
    )


def test_a_finding_in_a_policy_keeps_its_identity_when_ports_and_peers_are_reordered() -> None:
    policy = (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\n"
        "spec:\n  podSelector: {}\n  ingress:\n"
        "    - from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.2.0.0/16]}}, {podSelector: {bad: x}}]\n"
        "      ports: [{port: 80}, {port: 81, protocol: UDP}]\n"
    )
    other = (
        policy.replace("10.1.0.0/16, 10.2.0.0/16", "10.2.0.0/16, 10.1.0.0/16")
        .replace("{port: 80}, {port: 81, protocol: UDP}", "{protocol: UDP, port: 81}, {port: 80}")
        .replace(
            "[{ipBlock: {cidr: 10.0.0.0/8, except: [10.2.0.0/16, 10.1.0.0/16]}}, {podSelector: {bad: x}}]",
            "[{podSelector: {bad: x}}, {ipBlock: {cidr: 10.0.0.0/8, except: [10.2.0.0/16, 10.1.0.0/16]}}]",
        )
    )
    plan = plan_of(profile_of("dropped-security-field"))
    (first,), (second,) = (failing(scan_text(plan, text)) for text in (policy, other))
    assert first.path != second.path
    assert first.fingerprint == second.fingerprint
