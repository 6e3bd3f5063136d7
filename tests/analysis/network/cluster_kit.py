"""Connectivity of manifests written in a test."""

from __future__ import annotations

from kit import objects_in
from kubeassay.analysis.network.connectivity import Answer, Connectivity, connectivity
from kubeassay.model import Inventory


def pods(**labels_by_name: str) -> str:
    """Pods: ``shop__web="app=web tier=front"`` is Pod shop/web with these labels; a word ``name:number/PROTOCOL`` is a
    port, ``host`` puts it on the node's network."""
    documents = []
    for name, words in labels_by_name.items():
        namespace, _, pod = name.partition("__")
        labels: list[str] = []
        ports: list[str] = []
        host = ""
        for word in words.split():
            if word == "host":
                host = "hostNetwork: true, "
            elif ":" in word:
                port_name, _, rest = word.partition(":")
                number, _, protocol = rest.partition("/")
                ports.append(f"{{name: {port_name}, containerPort: {number}, protocol: {protocol or 'TCP'}}}")
            else:
                key, _, value = word.partition("=")
                labels.append(f"{key}: {value}")
        documents.append(
            "apiVersion: v1\nkind: Pod\n"
            f"metadata: {{name: {pod.replace('_', '-')}, namespace: {namespace}, labels: {{{', '.join(labels)}}}}}\n"
            f"spec: {{{host}containers: [{{name: app, image: registry.example/app:1, ports: [{', '.join(ports)}]}}]}}\n"
        )
    return "---\n".join(documents)


def namespace(name: str, **labels: str) -> str:
    stated = ", ".join(f"{key}: {value}" for key, value in labels.items())
    return f"---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{stated}}}}}\n"


def policy(spec: str, *, namespace: str = "shop", name: str = "p") -> str:
    """A NetworkPolicy; ``spec`` in flow style."""
    return (
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        f"metadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )


def admin_policy(spec: str, *, kind: str = "AdminNetworkPolicy", name: str = "a") -> str:
    version = "v1alpha2" if kind == "ClusterNetworkPolicy" else "v1alpha1"
    name = "default" if kind == "BaselineAdminNetworkPolicy" else name
    return (
        f"---\napiVersion: policy.networking.k8s.io/{version}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )


def net(*texts: str) -> Connectivity:
    return connectivity(Inventory(objects_in("".join(texts))))


def way(of: Connectivity, source: str, destination: str) -> Answer:
    """The answer between two Pods, ``namespace/name`` each."""
    (first,) = of.named(f"{source}[Pod]")
    (second,) = of.named(f"{destination}[Pod]")
    return of.between(first, second)


def opened(of: Connectivity, source: str, destination: str) -> str:
    """The open connections between two Pods; what is unknown after a question mark."""
    answer = way(of, source, destination)
    return f"{answer.open} ? {answer.unknown}" if answer.unknown else str(answer.open)


def outside(of: Connectivity, pod: str, direction: str) -> dict[str, str]:
    """CIDR → open connections of a Pod with it, where any are."""
    (workload,) = of.named(f"{pod}[Pod]")
    found: dict[str, str] = {}
    for block, answer in of.outside(workload, "ingress" if direction == "ingress" else "egress"):
        for cidr in block.cidrs():
            text = f"{answer.open} ? {answer.unknown}" if answer.unknown else str(answer.open)
            if text != "No Connections":
                found[cidr] = text
    return found
