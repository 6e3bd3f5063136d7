"""Small clusters with a mesh, for tests."""

from __future__ import annotations

from typing import Any

import yaml

from kit import objects_in
from kubeassay.model import Inventory


def namespace(name: str, annotations: dict[str, str] | None = None, **labels: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": name,
        "labels": labels,
    }
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def injected(name: str = "shop") -> dict[str, Any]:
    return namespace(name, **{"istio-injection": "enabled"})


def ambient(name: str = "shop") -> dict[str, Any]:
    return namespace(name, **{"istio.io/dataplane-mode": "ambient"})


def deployment(
    name: str = "web",
    space: str = "shop",
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    port: int = 8080,
    **spec: Any,
) -> dict[str, Any]:
    template: dict[str, Any] = {"labels": {"app": name, **(labels or {})}}
    if annotations is not None:
        template["annotations"] = annotations
    containers = [
        {"name": "app", "image": "registry.example/app:1", "ports": [{"name": "http", "containerPort": port}]}
    ]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": space},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": template, "spec": {"containers": containers, **spec}},
        },
    }


def service(name: str = "web", space: str = "shop", app: str = "web", **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    stated = {"selector": {"app": app}, "ports": ports, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": space}, "spec": stated}


def peer_authentication(
    name: str,
    space: str,
    mode: str | None = None,
    *,
    app: str | None = None,
    ports: dict[int, str] | None = None,
    created: str | None = None,
) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    if app is not None:
        spec["selector"] = {"matchLabels": {"app": app}}
    if mode is not None:
        spec["mtls"] = {"mode": mode}
    if ports is not None:
        spec["portLevelMtls"] = {str(port): {"mode": of_port} for port, of_port in ports.items()}
    metadata = {"name": name, "namespace": space, **({"creationTimestamp": created} if created else {})}
    return {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": metadata, "spec": spec}


def destination_rule(name: str, space: str, host: str, mode: str | None, **spec: Any) -> dict[str, Any]:
    policy = {"trafficPolicy": {"tls": {"mode": mode}}} if mode is not None else {}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": name, "namespace": space},
        "spec": {"host": host, **policy, **spec},
    }


def operator(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "mesh", "namespace": "istio-system"}
    return {"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "metadata": metadata, "spec": spec}


def text_of(*objects: dict[str, Any]) -> str:
    return yaml.safe_dump_all(objects)


def inventory_of(*objects: dict[str, Any]) -> Inventory:
    return Inventory(objects_in(text_of(*objects)))
