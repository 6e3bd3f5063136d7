"""What the commands on access share: how a subject and a request are written, and how grants are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from kubeassay.analysis.access.grants import Access, MissingRole, canonical
from kubeassay.analysis.access.matching import ALL
from kubeassay.analysis.access.model import Grant, PolicyRule, Subject
from kubeassay.analysis.access.objects import DEFAULT_NAMESPACE
from kubeassay.analysis.access.resources import IMPERSONATED, ResourceType, ResourceTypes
from kubeassay.analysis.access.review import Request
from kubeassay.analysis.network.endpoints import namespace_of
from kubeassay.analysis.network.workloads import workloads
from kubeassay.analysis.reading import quoted
from kubeassay.cli.inputs import problems
from kubeassay.execution.inventory import ReadInventory
from kubeassay.model import Inventory, Object, Path, format_path
from kubeassay.policy.library import suggestion
from kubeassay.reporting.result_json import location_as_json
from kubeassay.reporting.texts import printable

_F = TypeVar("_F", bound=Callable[..., Any])

#: Verbs of requests, and those that only authorization knows (kubernetes v1.37.1: rbac, certificates, admission).
RESOURCE_VERBS = (
    "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection",
    "use", "bind", "escalate", "impersonate", "approve", "sign", "attest", ALL,
)  # fmt: skip
URL_VERBS = ("get", "put", "post", "head", "options", "delete", "patch", ALL)

#: Namespaces that every cluster has.
_ALWAYS_THERE = ("default", "kube-node-lease", "kube-public", "kube-system")

_ACCOUNT_PREFIXES = ("serviceaccount:", "sa:")


class SubjectType(click.ParamType[Subject]):
    """A subject on the command line."""

    name = "subject"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Subject:
        if isinstance(value, Subject):
            return value
        text: str = value
        lowered = text.lower()
        for prefix in _ACCOUNT_PREFIXES:
            if lowered.startswith(prefix):
                namespace, slash, name = text[len(prefix) :].partition("/")
                if not slash or not namespace or not name or "/" in name:
                    self.fail(f"{text}: write a service account as {prefix}NAMESPACE/NAME.", param, ctx)
                return Subject("ServiceAccount", name, namespace)
        for prefix, kind in (("user:", "User"), ("group:", "Group")):
            if lowered.startswith(prefix):
                if len(text) == len(prefix):
                    self.fail(f"{text} names nobody.", param, ctx)
                return Subject("User" if kind == "User" else "Group", text[len(prefix) :])
        if not text:
            self.fail("the name of a subject is empty.", param, ctx)
        if "/" in text and ":" not in text:
            self.fail(f"{text}: say what it is: sa:{text} (a service account) or user:{text}.", param, ctx)
        return Subject("User", text)


def request_options(command: _F) -> _F:
    """The options of :func:`request_of`."""
    for option in (
        click.option("--subresource", metavar="NAME", default="", help="Ask about a subresource: exec, log, scale."),
        click.option("--all-namespaces", "-A", is_flag=True, help="Ask about all namespaces at once, not about one."),
        click.option(
            "--namespace", "-n", metavar="NAME", help=f"Ask about this namespace. [default: {DEFAULT_NAMESPACE}]"
        ),
    ):
        command = option(command)
    return command


def request_of(verb: str, resource: str, types: ResourceTypes, options: dict[str, Any]) -> Request:
    """The request that VERB, RESOURCE and the options ask about. Hints go to standard error, as kubectl's do."""
    namespace, subresource = options["namespace"], options["subresource"]
    if namespace is not None and options["all_namespaces"]:
        raise click.UsageError("--namespace and --all-namespaces exclude each other")
    if resource.startswith("/"):
        if subresource:
            raise click.UsageError("a URL path has no subresource")
        _check_verb(verb, URL_VERBS)
        return Request(verb, url=resource)
    _check_verb(verb, RESOURCE_VERBS)
    text, _, name = resource.partition("/")
    if not text:
        raise click.UsageError("RESOURCE is empty")
    found = types.resolve(text)
    if found.type is None and found.name != ALL:
        _unknown_resource(text, found.group, found.name, types)
    if text == ALL:
        _hint("'*' asks about the core API group, as kubectl does; '*.*' about all API groups")
    if found.type is not None:
        _check_subresource(found.type, name, subresource)
    if found.type is not None and not found.type.namespaced:
        if namespace is not None:
            _hint(f"{found.type} is not in a namespace: -n is ignored")
        # requestinfo.go: a request on one namespace is a request in it.
        own = name if found.group == "" and found.name == "namespaces" else ""
        namespace = own
    elif options["all_namespaces"]:
        namespace = ""
    elif namespace is None:
        namespace = DEFAULT_NAMESPACE
    return Request(verb, found.group, found.name, subresource, name, namespace)


def _unknown_resource(text: str, group: str, name: str, types: ResourceTypes) -> None:
    if not group:
        if name in IMPERSONATED:
            return
        near = _near(name, types)
        if near:
            raise click.UsageError(
                f"no resource {text}{near}; a resource of your own is written with its group: {text}.GROUP"
            )
    where = f" in group {group}" if group else ""
    _hint(f"no resource {name}{where} is known; it is taken as it is written")


def _near(name: str, types: ResourceTypes) -> str:
    # Custom resources may have any name, so only what can hardly be meant otherwise counts as a mistake.
    if len(name) < 4:
        return ""
    import difflib

    close = difflib.get_close_matches(name, types.names, n=1, cutoff=0.85)
    return f" (did you mean {close[0]}?)" if close else ""


def _check_verb(verb: str, known: Iterable[str]) -> None:
    if verb not in known:
        _hint(f"{verb} is not a verb of Kubernetes{suggestion(verb, known)}")


def _check_subresource(resource: ResourceType, name: str, subresource: str) -> None:
    if name in resource.subresources and not subresource:
        _hint(f"this asks about one of {resource} named {name}; for the subresource write --subresource {name}")
    if subresource and not resource.has_subresource(subresource):
        _hint(f"{resource} has no subresource {subresource}{suggestion(subresource, resource.subresources)}")


def _hint(text: str) -> None:
    click.echo(f"Warning: {printable(text)}", err=True)


# --- what is not known ---


def not_evaluated(read: ReadInventory, access: Access, unknown: Iterable[MissingRole]) -> list[dict[str, Any]]:
    """What an answer does not know: inputs that could not be read, objects that an API server refuses, roles that are
    bound and not known."""
    found: list[dict[str, Any]] = [{"reason": "not-read", "message": text, "location": None} for text in problems(read)]
    for refused in access.refused:
        message = f"{refused.obj.ref}: an API server refuses it, so it grants nothing: {refused.reason}"
        found.append({"reason": "refused", "message": message, "location": at(refused.obj, refused.path)})
    for obj in access.foreign:
        message = f"{obj.ref} of {obj.ref.group} is not understood"
        found.append({"reason": "not-understood", "message": message, "location": at(obj, ("kind",))})
    for missing in unknown:
        message = f"{missing.binding.ref} binds {missing.role_kind} {missing.role_name}, which is not among the inputs"
        found.append({"reason": "missing-role", "message": message, "location": at(missing.binding, missing.path)})
    return found


def tell(entries: Iterable[dict[str, Any]]) -> None:
    """Say on standard error what is not known, apart from what reading the inputs said already."""
    for entry in entries:
        if entry["location"] is not None:
            click.echo(f"{place(entry['location'])}: {printable(entry['message'])}", err=True)


# --- grants ---


def at(obj: Object | None, path: Path) -> dict[str, Any] | None:
    """A place as JSON; None for what is Kubernetes' own."""
    return None if obj is None else location_as_json(obj.locate(path))


def place(location: dict[str, Any] | None) -> str:
    """``file:line:column``; a dash for what Kubernetes itself creates."""
    if location is None:
        return "-"
    return f"{printable(location['file'])}:{location['startLine']}:{location['startColumn']}"


def where(location: dict[str, Any] | None) -> str:
    """Where a rule or a binding stands, in a sentence."""
    return "by Kubernetes itself" if location is None else f"at {place(location)}"


def subject_json(subject: Subject) -> dict[str, Any]:
    """A subject as JSON."""
    named = {"kind": subject.kind, "name": subject.name}
    return named | {"namespace": subject.namespace} if subject.kind == "ServiceAccount" else named


def request_json(request: Request) -> dict[str, Any]:
    """A request as JSON: of a URL path, or of a resource."""
    if request.url:
        return {"verb": request.verb, "path": request.url}
    return {
        "verb": request.verb,
        "group": request.group,
        "resource": request.resource,
        "subresource": request.subresource,
        "name": request.name,
        "namespace": request.namespace,
    }


def hint_unknown(inventory: Inventory, access: Access, subjects: Iterable[Subject], namespace: str = "") -> None:
    """Say on standard error where a question is about a service account or a namespace that nothing here names: the
    answer is right, and perhaps to another question than was meant."""
    spaces = {*_ALWAYS_THERE, *(obj.ref.name for obj in inventory.of_kind("Namespace", ""))}
    spaces |= {obj.ref.namespace for obj in inventory if obj.ref.namespace is not None}
    accounts = {subject for subject in access.subjects if subject.kind == "ServiceAccount"}
    accounts |= {
        Subject("ServiceAccount", obj.ref.name, namespace_of(obj)) for obj in inventory.of_kind("ServiceAccount", "")
    }
    accounts |= {Subject("ServiceAccount", w.service_account, w.namespace) for w in workloads(inventory)}
    accounts |= {Subject("ServiceAccount", "default", space) for space in spaces}
    if namespace and namespace not in spaces:
        near = suggestion(namespace, spaces)
        click.echo(printable(f"note: nothing here is in a namespace {namespace}{near}"), err=True)
    for subject in map(canonical, subjects):
        if subject.kind == "ServiceAccount" and subject not in accounts:
            near = suggestion(str(subject), map(str, accounts))
            click.echo(printable(f"note: {subject} is neither declared, used nor bound here{near}"), err=True)


def grant_json(grant: Grant) -> dict[str, Any]:
    """A grant as JSON: whom it names, by which binding, which rule of which role."""
    kind = "ClusterRoleBinding" if grant.namespace is None else "RoleBinding"
    rule = grant.rule
    stated: dict[str, Any] = {field: list(values) for field, values in rule_fields(rule)}
    source = None if rule.obj is None else {"kind": rule.obj.ref.kind, "name": rule.obj.ref.name}
    return {
        "subject": subject_json(grant.subject),
        "binding": {
            "kind": kind,
            "namespace": grant.namespace,
            "name": grant.binding_name,
            "location": at(grant.binding, grant.subject_path),
        },
        "role": {
            "kind": grant.role_kind,
            "namespace": grant.namespace if grant.role_kind == "Role" else None,
            "name": grant.role_name,
        },
        "rule": stated | {"role": source, "path": format_path(rule.path) or None, "location": at(rule.obj, rule.path)},
        "default": grant.bootstrap,
    }


def rule_fields(rule: PolicyRule) -> list[tuple[str, tuple[str, ...]]]:
    """The fields of a rule that are set, in the order in which roles state them."""
    fields = (
        ("apiGroups", rule.api_groups),
        ("resources", rule.resources),
        ("resourceNames", rule.resource_names),
        ("nonResourceURLs", rule.non_resource_urls),
        ("verbs", rule.verbs),
    )
    return [(name, values) for name, values in fields if values]


def rule_text(rule: PolicyRule) -> str:
    """A rule on one line."""
    return "; ".join(f"{field} {', '.join(map(quoted, values))}" for field, values in rule_fields(rule))


def grant_text(grant: Grant) -> list[str]:
    """A grant in three lines: who is bound to what, where; the rule, where."""
    shown = grant_json(grant)
    binding = shown["binding"]
    name = f"{grant.namespace}/{grant.binding_name}" if grant.namespace is not None else grant.binding_name
    head = f"{binding['kind']} {name} binds {grant.subject} to {grant.role_kind} {grant.role_name}"
    source = shown["rule"]["role"]
    through = f" (of {source['kind']} {source['name']})" if source and source["name"] != grant.role_name else ""
    return [
        printable(head),
        f"  bound {where(binding['location'])}",
        f"  rule {where(shown['rule']['location'])}{printable(through)}: {printable(rule_text(grant.rule))}",
    ]
