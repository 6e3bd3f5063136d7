"""Secrets in the clear in pod templates. Messages never hold a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kubeassay.analysis.reading import items, mapping
from kubeassay.analysis.sensitive import config_map_secrets, holds_credential, secret_arguments, secret_environment
from kubeassay.checks.check import ContainerSubject, Context, Violation, check
from kubeassay.model import Object


@check("secret-in-environment")
def secret_in_environment(subject: ContainerSubject, context: Context) -> Iterable[Violation]:
    container = subject.container
    if not container.spec.get("env"):
        return ()
    return [
        Violation(
            (*container.path, "env", number, "value"),
            f"container {container.name} has a credential in the clear in variable {name}"
            if evidence == "name"
            else f"container {container.name} has a value of the form of a credential in variable {name}",
            container=container.name,
            sensitive=True,
        )
        for number, name, evidence in secret_environment(container.spec)
    ]


@check("secret-in-arguments")
def secret_in_arguments(subject: ContainerSubject, context: Context) -> Iterable[Violation]:
    container = subject.container
    if not container.spec.get("args") and not container.spec.get("command"):
        return ()
    return [
        Violation(
            (*container.path, field, number),
            f"container {container.name} has a credential in the clear in argument {flag}"
            if flag
            else f"container {container.name} has a value of the form of a credential in its {field}",
            container=container.name,
            sensitive=True,
        )
        for field, number, flag in secret_arguments(container.spec)
    ]


@check("secret-in-manifest")
def secret_in_manifest(obj: Object, context: Context) -> Iterator[Violation]:
    """Who made a Secret does not matter: one that was written with ``kubectl get -o yaml`` holds its values, too, and a
    token that a controller filled in. Secrets of a cluster are not judged (``manifestOnly``). Values that SOPS
    encrypted, empty ones and references to a value that is filled in later are no secrets, nor are configuration files
    that hold none."""
    if obj.ref.kind != "Secret" or obj.ref.group or "sops" in obj.value:
        return
    for field in ("stringData", "data"):
        for key, value in mapping(obj.value.get(field)).items():
            if holds_credential(key, value, encoded=field == "data"):
                message = f"Secret {obj.ref.name} holds the value of {key} in the manifest"
                yield Violation((field, key), message, sensitive=True)


@check("secret-in-config-map")
def secret_in_config_map(obj: Object, context: Context) -> Iterator[Violation]:
    if obj.ref.group:
        return
    for key, evidence in config_map_secrets(obj):
        holds = (
            f"the credential {key} in the clear"
            if evidence == "name"
            else f"a value of the form of a credential in {key}"
        )
        yield Violation(("data", key), f"ConfigMap {obj.ref.name} holds {holds}", sensitive=True)


@check("secret-environment-reference")
def secret_environment_reference(subject: ContainerSubject, context: Context) -> Iterable[Violation]:
    spec = subject.container.spec
    if not spec.get("env") and not spec.get("envFrom"):
        return ()
    return _references(subject)


def _references(subject: ContainerSubject) -> Iterator[Violation]:
    container = subject.container
    for number, variable in enumerate(items(container.spec.get("env"))):
        reference = mapping(mapping(variable).get("valueFrom")).get("secretKeyRef")
        if isinstance(reference, dict):
            yield Violation(
                (*container.path, "env", number, "valueFrom", "secretKeyRef"),
                f"container {container.name} reads Secret {reference.get('name')} into variable {variable.get('name')}",
                container=container.name,
            )
    for number, source in enumerate(items(container.spec.get("envFrom"))):
        reference = mapping(source).get("secretRef")
        if isinstance(reference, dict):
            yield Violation(
                (*container.path, "envFrom", number, "secretRef"),
                f"container {container.name} reads all of Secret {reference.get('name')} into its environment",
                container=container.name,
            )
