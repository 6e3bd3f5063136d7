"""Rules of kubeassay.checks.pod_hardening: which places each finds, and at which values it begins to."""

from __future__ import annotations

from typing import Any

import pytest

from checks.rule_runner import make_object, objects, paths, pod, run

C = "spec.containers[0]"


def account(name: str, namespace: str | None, automount: bool | None) -> Any:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    value: dict[str, Any] = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    if automount is not None:
        value["automountServiceAccountToken"] = automount
    return make_object(value)


@pytest.mark.parametrize(
    ("pod_setting", "account_setting", "mounted"),
    [
        (None, None, True),
        (None, True, True),
        (None, False, False),
        (True, False, True),
        (False, True, False),
        (False, None, False),
    ],
)
def test_the_pods_setting_wins_over_the_accounts(
    pod_setting: bool | None, account_setting: bool | None, mounted: bool
) -> None:
    spec = {} if pod_setting is None else {"automountServiceAccountToken": pod_setting}
    web = pod({"serviceAccountName": "web", **spec})
    found = paths("service-account-token-automount", account("web", "shop", account_setting), web)
    assert found == ({"spec.automountServiceAccountToken"} if mounted else set())


@pytest.mark.parametrize(
    ("name", "namespace", "mounted"),
    [("default", "shop", False), ("default", "other", True), ("default", None, True), ("web", "shop", True)],
)
def test_only_the_pods_own_account_counts(name: str, namespace: str | None, mounted: bool) -> None:
    found = run("service-account-token-automount", account(name, namespace, False), pod())
    assert bool(found) is mounted


def test_an_account_that_lets_the_token_be_mounted_is_named() -> None:
    shop = account("default", "shop", None)
    (violation,) = run("service-account-token-automount", shop, pod())
    assert violation.related == (
        ("ServiceAccount default does not disable it", shop, ("automountServiceAccountToken",)),
    )


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({}, {"spec.serviceAccountName"}),
        ({"serviceAccountName": "default"}, {"spec.serviceAccountName"}),
        ({"serviceAccount": "default"}, {"spec.serviceAccount"}),
        ({"serviceAccount": "web"}, set()),
        ({"serviceAccountName": "web"}, set()),
        ({"automountServiceAccountToken": False}, set()),
    ],
)
def test_default_service_account(spec: dict[str, Any], found: set[str]) -> None:
    assert paths("default-service-account", pod(spec)) == found


@pytest.mark.parametrize(
    ("context", "found"),
    [
        (None, True),
        ({"readOnlyRootFilesystem": None}, True),
        ({"readOnlyRootFilesystem": False}, True),
        ({"readOnlyRootFilesystem": True}, False),
    ],
)
def test_read_only_root_filesystem(context: dict[str, Any] | None, found: bool) -> None:
    expected = {f"{C}.securityContext.readOnlyRootFilesystem"} if found else set()
    assert paths("read-only-root-filesystem", pod(securityContext=context)) == expected
    assert paths("read-only-root-filesystem", pod({"os": {"name": "windows"}}, securityContext=context)) == set()


POD, APP = "spec.securityContext", f"{C}.securityContext"


@pytest.mark.parametrize(
    ("at_pod", "at_container", "found"),
    [
        ({}, {}, {f"{POD}.runAsUser", f"{POD}.fsGroup"}),
        ({"runAsUser": 1000, "fsGroup": 2000}, {}, set()),
        ({"runAsUser": 1000, "fsGroup": 2000}, {"runAsUser": 1001}, {f"{APP}.runAsUser"}),
        ({"runAsUser": 1001, "fsGroup": 2001}, {"runAsUser": 1000}, {f"{POD}.fsGroup"}),
        ({"runAsUser": 0, "fsGroup": 2000}, {}, {f"{POD}.runAsUser"}),
        ({"fsGroup": 2000}, {"runAsUser": 1000}, set()),
    ],
)
def test_ids_of_a_container_win_over_the_pods(
    at_pod: dict[str, int], at_container: dict[str, int], found: set[str]
) -> None:
    web = pod({"securityContext": at_pod}, securityContext=at_container)
    assert paths("run-as-ids", web, run_as_user=1000, fs_group=2000) == found
    assert paths("run-as-ids", web) == set()


def test_windows_has_no_ids() -> None:
    assert paths("run-as-ids", pod({"os": {"name": "windows"}}), run_as_user=1000) == set()


def test_a_volume_without_a_source_is_an_empty_dir() -> None:
    web = pod({"volumes": [{"name": "a"}, {"name": "b", "nfs": {}}, {"name": "c", "hostPath": None, "secret": {}}]})
    assert paths("allowed-volume-types", web) == {"spec.volumes[1].nfs"}
    assert paths("allowed-volume-types", web, allowed=["nfs", "secret"]) == {"spec.volumes[0].emptyDir"}


def test_added_capabilities() -> None:
    web = pod(securityContext={"capabilities": {"add": ["NET_BIND_SERVICE", "CAP_NET_BIND_SERVICE", "SYS_ADMIN"]}})
    add = f"{APP}.capabilities.add"
    assert paths("allowed-added-capabilities", web) == {f"{add}[1]", f"{add}[2]"}
    assert paths("allowed-added-capabilities", web, allowed=[]) == {f"{add}[0]", f"{add}[1]", f"{add}[2]"}


@pytest.mark.parametrize(
    ("at_pod", "at_container", "port", "found"),
    [
        ({"runAsNonRoot": True}, {}, 1024, True),
        ({"runAsNonRoot": True}, {}, 1023, False),
        ({"runAsNonRoot": True}, {}, None, True),
        ({"runAsUser": 1000}, {}, 8080, True),
        ({"runAsUser": 1000}, {"runAsUser": 0}, 8080, False),
        ({"runAsNonRoot": True}, {"runAsNonRoot": False}, 8080, False),
        ({}, {}, 8080, False),
    ],
)
def test_net_bind_service_without_need(
    at_pod: dict[str, Any], at_container: dict[str, Any], port: int | None, found: bool
) -> None:
    context = {**at_container, "capabilities": {"add": ["NET_BIND_SERVICE"]}}
    ports = [] if port is None else [{"containerPort": port}]
    web = pod({"securityContext": at_pod}, securityContext=context, ports=ports)
    assert paths("net-bind-service-without-need", web) == ({f"{APP}.capabilities.add[0]"} if found else set())


def test_root_group() -> None:
    web = pod(
        {"securityContext": {"runAsGroup": 0, "fsGroup": 1, "supplementalGroups": [1, 0]}},
        securityContext={"runAsGroup": 0},
    )
    assert paths("root-group", web) == {
        f"{POD}.runAsGroup",
        f"{POD}.supplementalGroups[1]",
        f"{APP}.runAsGroup",
    }
    assert paths("root-group", pod({"securityContext": {"fsGroup": 0}})) == {f"{POD}.fsGroup"}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/var/run/docker.sock", True),
        ("/run/docker.sock", True),
        ("//var//run/../run/docker.sock/", True),
        ("/run/containerd", True),
        ("/run/containerd/containerd.sock", True),
        ("/var/run/crio/crio.sock", True),
        ("/run", True),
        ("/var/run", True),
        ("/var", True),
        ("/", True),
        ("/var/log", False),
        ("/var/runner", False),
        ("/run/docker.sock.bak", False),
        ("/running", False),
        ("/run/secrets", False),
        ("", False),
    ],
)
def test_container_runtime_socket(path: str, found: bool) -> None:
    web = pod({"volumes": [{"name": "host", "hostPath": {"path": path}}]})
    assert paths("container-runtime-socket", web) == ({"spec.volumes[0].hostPath.path"} if found else set())


def test_writable_host_path_mount() -> None:
    web = pod(
        {"volumes": [{"name": "logs", "hostPath": {"path": "/var/log"}}, {"name": "tmp", "emptyDir": {}}]},
        volumeMounts=[
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "logs", "mountPath": "/a"},
            {"name": "logs", "mountPath": "/b", "readOnly": True},
            {"name": "logs", "mountPath": "/c", "readOnly": False},
        ],
    )
    assert paths("writable-host-path-mount", web) == {
        f"{C}.volumeMounts[1].readOnly",
        f"{C}.volumeMounts[3].readOnly",
    }
    assert {v.base for v in run("writable-host-path-mount", web)} == {
        ("spec", "containers", 0, "volumeMounts", 1),
        ("spec", "containers", 0, "volumeMounts", 3),
    }


def test_host_alias_metadata() -> None:
    aliases = [
        {"ip": "169.254.169.254", "hostnames": ["a"]},
        {"ip": "FD00:EC2::254", "hostnames": ["b"]},
        {"ip": "10.0.0.1", "hostnames": ["c", "Metadata.google.internal."]},
        {"ip": "169.254.169.253", "hostnames": ["d"]},
        {"ip": "10.0.0.1"},
    ]
    assert paths("host-alias-metadata", pod({"hostAliases": aliases})) == {
        "spec.hostAliases[0].ip",
        "spec.hostAliases[1].ip",
        "spec.hostAliases[2].hostnames[1]",
    }


def test_probe_calls_metadata() -> None:
    web = pod(
        livenessProbe={"httpGet": {"host": "169.254.169.254", "port": 80}},
        readinessProbe={"tcpSocket": {"host": "[fd00:ec2::254]", "port": 80}},
        startupProbe={"httpGet": {"host": "127.0.0.1", "port": 80}},
        lifecycle={"preStop": {"httpGet": {"host": "metadata.google.internal", "port": 80}}},
    )
    assert paths("probe-calls-metadata", web) == {
        f"{C}.livenessProbe.httpGet.host",
        f"{C}.readinessProbe.tcpSocket.host",
        f"{C}.lifecycle.preStop.httpGet.host",
    }


@pytest.mark.parametrize(("value", "found"), [(True, True), (False, False), (None, False)])
def test_share_process_namespace(value: bool | None, found: bool) -> None:
    assert bool(paths("share-process-namespace", pod({"shareProcessNamespace": value}))) is found


def test_privileged_ports() -> None:
    ports = [
        {"containerPort": 1023},
        {"containerPort": 1024},
        {"containerPort": 8080, "hostPort": 80},
        {"containerPort": 8080, "hostPort": 0},
    ]
    assert paths("privileged-port", pod(ports=ports)) == {f"{C}.ports[0].containerPort", f"{C}.ports[2].hostPort"}


R = f"{C}.resources"
PLAN = {"requests_cpu": "100m", "requests_memory": "128Mi", "limits_cpu": 1, "limits_memory": "1Gi"}


@pytest.mark.parametrize(
    ("requests", "limits", "equal", "at_most"),
    [
        ({"cpu": "0.1", "memory": "131072Ki"}, {"cpu": "1000m", "memory": "1024Mi"}, set(), set()),
        ({"cpu": "50m", "memory": "128Mi"}, {"cpu": 1, "memory": "1Gi"}, {f"{R}.requests.cpu"}, set()),
        (
            {"cpu": "100m", "memory": "128Mi"},
            {"cpu": "1001m", "memory": "1G"},
            {f"{R}.limits.cpu", f"{R}.limits.memory"},
            {f"{R}.limits.cpu"},
        ),
        (
            {},
            {"cpu": 1},
            {f"{R}.requests.cpu", f"{R}.requests.memory", f"{R}.limits.memory"},
            {f"{R}.requests.cpu", f"{R}.limits.memory"},
        ),
    ],
)
def test_container_resources(
    requests: dict[str, Any], limits: dict[str, Any], equal: set[str], at_most: set[str]
) -> None:
    web = pod(resources={"requests": requests, "limits": limits})
    assert paths("container-resources", web, **PLAN) == equal
    assert paths("container-resources", web, **PLAN, mode="at-most") == at_most
    assert paths("container-resources", web) == set()


def test_container_resources_are_not_demanded_of_init_containers() -> None:
    web = pod({"initContainers": [{"name": "init"}]}, resources={"limits": {"cpu": 1}})
    assert paths("container-resources", web, limits_cpu=1) == set()


@pytest.mark.parametrize(
    ("spec", "resources", "found"),
    [
        ({}, {}, {"cpu", "memory"}),
        ({}, {"requests": {"cpu": 1}}, {"memory"}),
        ({}, {"limits": {"cpu": 1}, "requests": {"memory": 1}}, set()),
        ({"resources": {"requests": {"cpu": 1}}}, {}, {"memory"}),
        ({"resources": {"limits": {"cpu": 1, "memory": 1}}}, {}, set()),
    ],
)
def test_missing_requests(spec: dict[str, Any], resources: dict[str, Any], found: set[str]) -> None:
    # One finding, on what is missing of both.
    expected = {f"{R}.requests"} if len(found) > 1 else {f"{R}.requests.{resource}" for resource in found}
    assert paths("resource-requests-missing", pod(spec, resources=resources)) == expected


def test_missing_limits() -> None:
    assert paths("resource-limits-missing", pod(resources={"limits": {"cpu": 1}})) == {f"{R}.limits.memory"}
    assert paths("resource-limits-missing", pod(resources={"limits": {"memory": 1}})) == set()
    assert paths("resource-limits-missing", pod({"resources": {"limits": {"memory": 1}}})) == set()


@pytest.mark.parametrize(
    ("request_", "limit", "found"),
    [("1", "1000m", False), (1, "999m", True), ("1Gi", "1G", True), ("1G", "1Gi", False), ("x", 1, False)],
)
def test_limit_below_request(request_: Any, limit: Any, found: bool) -> None:
    web = pod(resources={"requests": {"cpu": request_}, "limits": {"cpu": limit}})
    assert paths("resource-limit-below-request", web) == ({f"{R}.limits.cpu"} if found else set())


ODD = [None, [], {}, "x", 7, True, [None], [7], ["x"], {"x": 7}, [{"x": 1}], [[]]]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_no_check_fails_on_odd_values_of_custom_resources(odd: Any) -> None:
    from kubeassay.checks import images, pod_hardening, registry, secrets

    fields = "securityContext ports env envFrom args command volumeMounts resources livenessProbe lifecycle image"
    spec_fields = "securityContext volumes hostAliases serviceAccountName shareProcessNamespace os resources"
    inputs = [pod(**{field: odd}) for field in fields.split()]
    inputs += [pod({field: odd}) for field in spec_fields.split()]
    inputs += [pod({"securityContext": {f: odd}}) for f in ("runAsUser", "supplementalGroups")]
    inputs += [pod(securityContext={"capabilities": odd}), pod(securityContext={"capabilities": {"add": odd}})]
    inputs += [pod({"volumes": [odd]}), pod({"volumes": [{"name": odd, "hostPath": {"path": odd}}]})]
    for rule in registry.collect([images, pod_hardening, secrets]):
        for web in inputs:
            run(rule, web)


def test_a_deployments_paths_start_at_its_root() -> None:
    text = """
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
    spec: {template: {spec: {shareProcessNamespace: true, containers: [{name: app, ports: [{containerPort: 80}]}]}}}
    """
    assert paths("share-process-namespace", *objects(text)) == {"spec.template.spec.shareProcessNamespace"}
    assert paths("privileged-port", *objects(text)) == {"spec.template.spec.containers[0].ports[0].containerPort"}
