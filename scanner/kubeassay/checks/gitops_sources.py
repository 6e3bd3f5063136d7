"""Rules on what Argo CD and Flux deploy: from where, at which revision, with which options."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from kubeassay.analysis.gitops.applications import Application, Source, application, is_filled_in
from kubeassay.analysis.gitops.flux import HELM, KUSTOMIZE, SOURCES, followed
from kubeassay.analysis.reading import items, mapping, quoted, string
from kubeassay.analysis.sensitive import secret_evidence, shown_key
from kubeassay.checks.check import Context, NotApplicable, NotJudged, Said, Violation, check
from kubeassay.checks.gitops_projects import patched
from kubeassay.model import Object, Path

_MAX_SHOWN = 100
_MAX_DEPTH = 40
#: Values in a text are read line by line, without what aliases and anchors could make of them.
_MAX_LINES, _LONGEST_LINE = 10_000, 2_000
_ENTRY = re.compile(
    r"[\s-]*[\"']?(?P<key>[\w.-]{1,100})[\"']?\s*:\s+[\"']?"
    r"(?P<value>[^\s\"'#|>&*!{\[][^\"'#]*?)[\"']?\s*(?:#.*)?\Z"
)


def _shown(text: str) -> str:
    """A text of the scanned object in a message: a revision, an address without a password."""
    return quoted(_USER.sub("//", text)[:_MAX_SHOWN])


_USER = re.compile(r"//[^/@]*@")


# --- revisions ---


@check("gitops-revision-mutable")
def gitops_revision_mutable(obj: Object, context: Context) -> Iterator[Said]:
    app = application(obj)
    if app is not None:
        yield from _of_application(app, context.parameters)
        return
    flux = followed(obj)
    if flux is None:
        yield NotApplicable()
    elif is_filled_in(flux.stated):
        yield NotJudged("not-rendered", f"{obj.ref}: its revision is filled in elsewhere", obj)
    else:
        words = _moves(flux.revision, flux.stated, git=obj.ref.kind == "GitRepository")
        yield from _said(obj, flux.path, str(obj.ref.kind), obj.ref.name, words, flux.stated, context.parameters)


def _of_application(app: Application, parameters: Mapping[str, Any]) -> Iterator[Said]:
    if app.patched:
        yield patched(app)
    if not app.sources or not (app.automated or parameters["manual"]):
        # Somebody looks at what is synchronised.
        yield NotApplicable()
        return
    to = app.destination.cluster
    if not any(fnmatchcase(to, pattern) for pattern in parameters["clusters"]):
        if is_filled_in(to):
            yield NotJudged("not-rendered", f"{app}: its destination is filled in by its generator", app.obj)
        yield NotApplicable()
        return
    for source in app.sources:
        if is_filled_in(source.stated_revision):
            yield NotJudged("not-rendered", f"{app}: a revision is filled in by its generator", app.obj)
            continue
        words = _moves(source.revision, source.stated_revision, git=source.kind == "git")
        yield from _said(
            app.obj, source.revision_path, app.obj.ref.kind, app.obj.ref.name, words, source.stated_revision, parameters
        )


def _moves(revision: str, stated: str, *, git: bool) -> str | None:
    """Why what is deployed changes without a change of the object; "" where it does not, None where it may."""
    if revision == "branch":
        if not git:
            return f"follows {_shown(stated)}"
        if stated in ("", "HEAD"):
            return "follows the default branch of its repository"
        return f"follows branch {_shown(stated)}"
    if revision == "newest":
        return f"takes the newest release, whichever it is ({_shown(stated)})"
    return None if revision == "unknown" else ""


def _said(
    obj: Object, path: Path, kind: str, name: str, words: str | None, stated: str, parameters: Mapping[str, Any]
) -> Iterator[Said]:
    if any(fnmatchcase(stated or "HEAD", pattern) for pattern in parameters["allowed"]):
        return
    if words is None:
        detail = f"{kind} {name}: whether {_shown(stated)} is a tag or a branch only its repository knows"
        yield NotJudged("ambiguous", detail, obj)
    elif words:
        yield Violation(path, f"{kind} {name} {words}: what appears there is deployed without a review of it")


# --- transport ---


@check("gitops-source-plain-text")
def gitops_source_plain_text(obj: Object, context: Context) -> Iterator[Said]:
    places = list(_addresses(obj))
    app = application(obj)
    if app is not None and app.patched:
        yield patched(app)
    if not places:
        yield NotApplicable()
        return
    for path, url in places:
        scheme = url.partition("://")[0].strip().lower()
        if scheme in ("http", "git") and not _is_allowed(url, context.parameters["allowed_hosts"]):
            whose = "nobody vouches for what arrives" if scheme == "git" else "whoever is on the way can change it"
            yield Violation(path, f"{obj.ref.kind} {obj.ref.name} is fetched in plain text from {_shown(url)}: {whose}")
        elif is_filled_in(scheme):
            detail = f"{obj.ref.kind} {obj.ref.name}: how it is fetched is filled in elsewhere"
            yield NotJudged("not-rendered", detail, obj)
    if obj.ref.group == SOURCES and obj.get("spec", "insecure") is True:
        yield Violation(
            ("spec", "insecure"), f"{obj.ref.kind} {obj.ref.name} may be fetched in plain text: insecure is true"
        )


def _addresses(obj: Object) -> Iterator[tuple[Path, str]]:
    app = application(obj)
    if app is not None:
        for source in app.sources:
            yield (*source.path, "repoURL"), source.repo_url
    elif obj.ref.group == SOURCES and obj.ref.kind in ("GitRepository", "HelmRepository", "OCIRepository"):
        yield ("spec", "url"), string(obj.get("spec", "url"))
    elif obj.ref.group == SOURCES and obj.ref.kind == "Bucket":
        yield ("spec", "endpoint"), string(obj.get("spec", "endpoint"))


def _is_allowed(url: str, hosts: Sequence[str]) -> bool:
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
    return any(fnmatchcase(host, pattern) for pattern in hosts)


# --- options ---


@check("gitops-sync-option-unsafe")
def gitops_sync_option_unsafe(obj: Object, context: Context) -> Iterator[Said]:
    app = application(obj)
    if app is None:
        yield NotApplicable()
        return
    if app.patched:
        yield patched(app)
    options: Mapping[str, str] = context.parameters["options"]
    for number, option in enumerate(items(mapping(app.value.get("syncPolicy")).get("syncOptions"))):
        text = string(option).replace(" ", "")
        if text in options:
            path = (*app.path, "syncPolicy", "syncOptions", number)
            yield Violation(path, f"{app} sets {text}: {options[text]}")


#: Fields, anywhere in an object, that decide what its pods or its subjects may do.
_SECURITY_FIELDS = frozenset(
    """
    securityContext podSecurityContext hostNetwork hostPID hostIPC hostUsers privileged capabilities runAsUser
    runAsNonRoot allowPrivilegeEscalation readOnlyRootFilesystem seccompProfile serviceAccountName serviceAccount
    automountServiceAccountToken roleRef subjects
    """.split()  # noqa: SIM905 - words in lines can be read and sorted
)
#: What a whole object, a whole spec or all of its pods are called in a pointer.
_WHOLE = frozenset(
    {"", "spec", "spec/template", "spec/template/spec", "spec/template/spec/containers", "spec/jobTemplate", "rules"}
)
_JQ_WHOLE = re.compile(r"\s*\.(?:spec(?:\.template(?:\.spec(?:\.containers(?:\[\])?)?)?)?)?\s*\Z")
_WORD = re.compile(r"[A-Za-z]+")
_NUMBER_AT_END = re.compile(r"/[0-9]+\Z")
#: A controller fills in the rules of an aggregated ClusterRole.
_FILLED_BY_CONTROLLERS = frozenset({("ClusterRole", "rules")})


@check("gitops-ignores-security-field")
def gitops_ignores_security_field(obj: Object, context: Context) -> Iterator[Said]:
    app = application(obj)
    if app is None:
        yield NotApplicable()
        return
    if app.patched:
        yield patched(app)
    for number, value in enumerate(items(app.value.get("ignoreDifferences"))):
        entry = mapping(value)
        kind = string(entry.get("kind"))
        for field, covers in (("jsonPointers", _pointer_covers), ("jqPathExpressions", _expression_covers)):
            for position, stated in enumerate(items(entry.get(field))):
                found = covers(string(stated), kind)
                if found:
                    path = (*app.path, "ignoreDifferences", number, field, position)
                    yield Violation(path, f"{app} does not notice when {found} of {kind or 'a resource'} is changed")


def _pointer_covers(pointer: str, kind: str) -> str:
    # RFC 6901. A list item of the containers is all that a container has.
    text = pointer.strip().removeprefix("/").rstrip("/")
    whole = _NUMBER_AT_END.sub("", text)
    if whole in _WHOLE and (kind, whole) not in _FILLED_BY_CONTROLLERS:
        return f"/{text}" if text else "anything"
    tokens = (token.replace("~1", "/").replace("~0", "~") for token in text.split("/"))
    return next((token for token in tokens if token in _SECURITY_FIELDS), "")


def _expression_covers(expression: str, kind: str) -> str:
    if _JQ_WHOLE.match(expression):
        return expression.strip()
    return next((word for word in _WORD.findall(expression) if word in _SECURITY_FIELDS), "")


# --- secrets ---


@check("gitops-secret-in-values")
def gitops_secret_in_values(obj: Object, context: Context) -> Iterator[Said]:
    """Values of charts, parameters and variables that are written into what deploys them."""
    app = application(obj)
    if app is not None:
        if app.patched:
            yield patched(app)
        for source in app.sources:
            yield from _of_source(source)
    elif obj.ref.group == HELM and obj.ref.kind == "HelmRelease":
        yield from _in_values(obj.get("spec", "values"), ("spec", "values"), 0)
    elif obj.ref.group == KUSTOMIZE and obj.ref.kind == "Kustomization":
        yield from _in_values(obj.get("spec", "postBuild", "substitute"), ("spec", "postBuild", "substitute"), 0)
    else:
        yield NotApplicable()


def _of_source(source: Source) -> Iterator[Said]:
    helm = mapping(source.value.get("helm"))
    for parent, name in ((helm, "helm"), (mapping(source.value.get("plugin")), "plugin")):
        for field in ("parameters", "env"):
            for number, value in enumerate(items(parent.get(field))):
                entry = mapping(value)
                key = string(entry.get("name"))
                stated = entry.get("value", entry.get("string"))
                if secret_evidence(key.rpartition(".")[2], stated):
                    written = "value" if "value" in entry else "string"
                    yield _secret((*source.path, name, field, number, written), key)
    yield from _in_values(helm.get("valuesObject"), (*source.path, "helm", "valuesObject"), 0)
    text = helm.get("values")
    if isinstance(text, str):
        for number, line in enumerate(text.splitlines()):
            match = _ENTRY.match(line) if number < _MAX_LINES and len(line) < _LONGEST_LINE else None
            # Inside a text nothing has a place of its own.
            if match is not None and secret_evidence(match["key"], match["value"]):
                yield _secret((*source.path, "helm", "values"), match["key"])


def _in_values(value: Any, path: Path, depth: int) -> Iterator[Violation]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, dict):
        for key, child in value.items():
            if isinstance(child, dict | list):
                yield from _in_values(child, (*path, str(key)), depth + 1)
            elif secret_evidence(str(key), child):
                yield _secret((*path, str(key)), str(key))
    elif isinstance(value, list):
        for number, child in enumerate(value):
            if isinstance(child, dict) and isinstance(child.get("name"), str) and "value" in child:
                # A variable: its name says what its value is.
                if secret_evidence(child["name"], child["value"]):
                    yield _secret((*path, number, "value"), child["name"])
            elif isinstance(child, dict | list):
                yield from _in_values(child, (*path, number), depth + 1)
            elif secret_evidence("", child):
                yield _secret((*path, number), str(path[-1]) if path else "a list")


def _secret(path: Path, key: str) -> Violation:
    return Violation(path, f"the value of {shown_key(key)[:_MAX_SHOWN]} is a credential in plain text", sensitive=True)


# --- Flux ---


@check("flux-without-service-account")
def flux_without_service_account(obj: Object, context: Context) -> Iterator[Said]:
    if (obj.ref.group, obj.ref.kind) not in ((KUSTOMIZE, "Kustomization"), (HELM, "HelmRelease")):
        yield NotApplicable()
    elif not string(obj.get("spec", "serviceAccountName")):
        yield Violation(
            ("spec", "serviceAccountName"),
            f"{obj.ref.kind} {obj.ref.name} is applied with the rights of Flux itself: it names no service account",
        )


@check("flux-prune-disabled")
def flux_prune_disabled(obj: Object, context: Context) -> Iterator[Said]:
    if (obj.ref.group, obj.ref.kind) != (KUSTOMIZE, "Kustomization"):
        yield NotApplicable()
    elif obj.get("spec", "prune") is not True:
        yield Violation(
            ("spec", "prune"), f"Kustomization {obj.ref.name} leaves in the cluster what is removed from its source"
        )


@check("flux-cross-namespace-source")
def flux_cross_namespace_source(obj: Object, context: Context) -> Iterator[Said]:
    places = {
        (KUSTOMIZE, "Kustomization"): (("spec", "sourceRef"),),
        (HELM, "HelmRelease"): (("spec", "chart", "spec", "sourceRef"), ("spec", "chartRef")),
    }.get((obj.ref.group, obj.ref.kind))
    if places is None:
        yield NotApplicable()
        return
    for place in places:
        namespace = string(obj.get(*place, "namespace"))
        if not namespace or namespace == obj.ref.namespace or namespace in context.parameters["shared"]:
            continue
        if obj.ref.namespace is None:
            yield NotJudged("no-namespace", f"{obj.ref} states no namespace, its source is in {namespace}", obj)
        else:
            yield Violation(
                (*place, "namespace"),
                f"{obj.ref.kind} {obj.ref.namespace}/{obj.ref.name} is made of a source in namespace {namespace}, which"
                " belongs to others",
            )
