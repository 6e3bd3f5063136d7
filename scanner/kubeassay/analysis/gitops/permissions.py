"""What an AppProject permits, as Argo CD decides it (argo-cd v3.5, pkg/apis/application/v1alpha1/app_project_types.go,
IsSourcePermitted and IsDestinationPermitted; util/git, NormalizeGitURL).

True and False are what Argo CD says; None is what cannot be known from the objects.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from kubeassay.analysis.gitops.globs import matches

#: The cluster that Argo CD itself runs in, by both of its names.
IN_CLUSTER_SERVER, IN_CLUSTER_NAME = "https://kubernetes.default.svc", "in-cluster"

_SSH = re.compile(r"(?:ssh://)?[^/:]*?@[^@]+\Z")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")
#: Characters that Go's net/url writes as they were read, in every part where they may stand.
_PLAIN = re.compile(r"[a-z0-9!$&'()*+,;=:@/._~\[\]-]*\Z")
_PORT = re.compile(r":[0-9]*\Z")


@lru_cache(maxsize=8192)
def normalized_url(url: str) -> str | None:
    """A repository's address as Argo CD compares it; "" for one that it cannot read. None: not known here, because it
    has characters that Go may or may not write in another way."""
    text = url.strip().lower()
    if not text.isascii():
        return None
    if _SSH.match(text) and "\n" not in text and not text.startswith("ssh://"):
        text = "ssh://" + text.replace(":", "/", 1)
    text = text.removesuffix(".git")
    if not _PLAIN.match(text):
        return None
    if text.startswith(":"):
        return ""
    scheme = _SCHEME.match(text)
    rest = text[scheme.end() :] if scheme else text
    if scheme and not rest.startswith("/"):
        return text.removeprefix("ssh://")
    if not scheme and not rest.startswith("/") and ":" in rest.partition("/")[0]:
        return ""
    if rest.startswith("//"):
        if rest.startswith("///") or not scheme:
            return None
        host = rest[2:].partition("/")[0].rpartition("@")
        if "@" in host[0] or "[" in host[2] or "]" in host[2] or "[" in host[0]:
            return None
        colon = host[2].rfind(":")
        if colon >= 0 and not _PORT.match(host[2][colon:]):
            return ""
        if colon >= 0 and ":" in host[2][:colon]:
            return None
    return text.removeprefix("ssh://")


def source_permitted(patterns: Sequence[str], url: str) -> bool | None:
    """Whether a project with these ``sourceRepos`` permits a repository. A pattern after ``!`` denies what it matches,
    and permits all else."""
    wanted = normalized_url(url)
    if wanted is None:
        return True if set(patterns) == {"*"} else None
    permitted, unknown = False, False
    for stated in patterns:
        denies = stated.startswith("!")
        pattern = normalized_url(stated[1:] if denies else stated)
        if pattern is None:
            unknown = True
            continue
        matched = True if pattern == "*" and not denies else matches(pattern, wanted, "/")
        if matched is None:
            unknown = True
        elif denies and matched:
            return False
        elif denies or matched:
            permitted = True
    return None if unknown else permitted


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an application deploys to, or an item of a project's ``destinations``. "" is not stated."""

    server: str
    name: str
    namespace: str

    @property
    def cluster(self) -> str:
        return self.name or self.server


def _glob(pattern: str, value: str) -> bool | None:
    if pattern.startswith("!"):
        denied = matches(pattern[1:], value)
        return None if denied is None else not denied
    return True if pattern == "*" else matches(pattern, value)


def resolved(to: Destination) -> tuple[Destination, str]:
    """A destination with both names of its cluster, and which of them is not known ("server", "name" or "")."""
    if to.server == IN_CLUSTER_SERVER and not to.name:
        return Destination(to.server, IN_CLUSTER_NAME, to.namespace), ""
    if to.name == IN_CLUSTER_NAME and not to.server:
        return Destination(IN_CLUSTER_SERVER, to.name, to.namespace), ""
    if to.server and to.name:
        return to, ""
    return to, "name" if to.server else "server"


def destination_permitted(items: Sequence[Destination], to: Destination) -> bool | None:
    """Whether a project with these ``destinations`` permits one. The cluster's other name stands in a Secret of Argo
    CD's; where a pattern asks for it, the answer is not known."""
    to, unknown = resolved(to)
    if unknown and any(getattr(item, unknown) not in ("", "*") for item in items):
        return None
    if unknown:
        # Any text that only "*" matches.
        to = Destination(to.server or "\0", to.name or "\0", to.namespace)
    permitted = False
    for item in items:
        by_name = _glob(item.name, to.name) if to.name else False
        by_server = _glob(item.server, to.server) if to.server else False
        by_namespace = _glob(item.namespace, to.namespace)
        if by_name is None or by_server is None or by_namespace is None:
            return None
        if (by_server or by_name) and by_namespace:
            permitted = True
        elif (
            (not by_name and item.name.startswith("!"))
            or (not by_server and item.server.startswith("!") and by_namespace)
            or (not by_namespace and item.namespace.startswith("!") and by_server)
        ):
            return False
    return permitted
