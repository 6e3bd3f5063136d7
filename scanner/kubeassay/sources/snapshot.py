"""What was read of a cluster, in memory and as one file.

A snapshot is JSON lines: a header, then one object a line, in the order of their places. Compressed where its name ends
in ``.gz``. It holds no value of a Secret, and no text that has the form or the name of a credential: those are replaced
while a cluster is read, by texts of the same form, so that an audit and the scan of its snapshot judge the same.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from kubeassay import __version__
from kubeassay.analysis.selectors import parse_selector
from kubeassay.analysis.sensitive import has_user, secret_arguments, secret_evidence, sensitive_paths
from kubeassay.model import ObjectRef, Path
from kubeassay.model.unread import METADATA_ONLY, Unread
from kubeassay.sources.files import UsageError
from kubeassay.sources.live_objects import SNAPSHOT_HEADER as HEADER
from kubeassay.sources.object_store import ObjectStore

#: In place of what has a secret's name, and of what has a secret's form: the rules that found the secret find these.
_REDACTED = "•••"
_REDACTED_FORM = "-----BEGIN REDACTED PRIVATE KEY-----"
#: In place of what no rule takes for a secret, and no report may show.
_NO_SECRET = "redacted"
#: In place of numbers: the digits of a password, and a count.
_NUMBERS = (1111, 0)
_FLAG = re.compile(r"-{1,2}[A-Za-z][A-Za-z0-9_.-]*\Z")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
#: Whose token a Secret holds: the name of a ServiceAccount, by which rules know what a reader of the Secret may do.
_TOKEN_OF: Path = ("metadata", "annotations", "kubernetes.io/service-account.name")
#: What says who wrote the object last, and when: nothing of the object itself.
_PASSING = ("managedFields", "resourceVersion", "selfLink")
#: In places, of objects that are in no namespace; the name of none has an underscore.
NO_NAMESPACE = "_cluster"
#: The same as annotations, of an object or of its pod template. A rollout, or a restart by it, adds or changes them,
#: and would move every line behind them.
_PASSING_ANNOTATIONS = (
    _LAST_APPLIED,
    "kubectl.kubernetes.io/restartedAt",
    "deployment.kubernetes.io/revision",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.daemonset.template.generation",
)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class SnapshotError(UsageError):
    """A file that is no snapshot, or a damaged one."""


@dataclass(slots=True)
class Snapshot:
    """What was read of a cluster. ``cluster`` is its name in places, ``version`` what the server says of itself."""

    cluster: str
    version: str
    unread: list[Unread] = field(default_factory=list)
    #: The objects by their places, in order: JSON.
    files: ObjectStore = field(default_factory=ObjectStore)
    #: Kinds that were listed, in words for people.
    read: list[str] = field(default_factory=list)
    #: The kinds that were asked for, served or not; ``CustomResource`` stands for all of them.
    asked: tuple[str, ...] = ()
    #: Those of which only the objects in the namespaces were read: nothing that was asked for joins them.
    narrowed: tuple[str, ...] = ()
    #: What is judged: the namespaces (None: all) and the label selector that were asked for.
    namespaces: tuple[str, ...] | None = None
    selector: str = ""
    #: (apiVersion, kind) → what the API calls its objects in paths: ``deployments``. Only of kinds that were listed.
    resources: dict[tuple[str, str], str] = field(default_factory=dict)

    def api_path(self, ref: ObjectRef) -> str | None:
        """The path of an object in the API: ``/apis/apps/v1/namespaces/shop/deployments/web``; None where the
        snapshot does not say what the API calls objects of its kind."""
        resource = self.resources.get((ref.api_version, ref.kind))
        if resource is None:
            return None
        return f"{collection_path(ref.api_version, resource, ref.namespace)}/{_segment(ref.name)}"


def collection_path(api_version: str, resource: str, namespace: str | None = None) -> str:
    """The path of the objects of a kind in the API."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    where = f"/namespaces/{_segment(namespace)}" if namespace is not None else ""
    return f"{root}{where}/{resource}"


def _segment(text: str) -> str:
    # Roles have colons in their names, which need no escape in a path.
    return quote(text, safe=":")


def cluster_name(text: str) -> str:
    """The name of a cluster as a folder: an ARN, say, has slashes in it."""
    return _UNSAFE.sub("-", text).strip("-.") or "cluster"


def file_name(cluster: str, value: dict[str, Any]) -> str:
    """The place of an object, which no restart and no rollout changes."""
    metadata = value.get("metadata") or {}
    group = str(value.get("apiVersion", "")).rpartition("/")[0] or "core"
    # Names are paths for the API server too, and have no slash in them.
    namespace = str(metadata.get("namespace") or NO_NAMESPACE).replace("/", "-")
    name = str(metadata.get("name") or "").replace("/", "-")
    return f"clusters/{cluster}/{namespace}/{group}.{value.get('kind', '')}/{name}.yaml"


def place_of(cluster: str, ref: ObjectRef) -> str:
    """The place of the object of a name."""
    metadata = {"namespace": ref.namespace, "name": ref.name}
    return file_name(cluster, {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": metadata})


def live_file(cluster: str, value: dict[str, Any]) -> tuple[str, bytes]:
    """The place of an object, and its JSON as it is judged and stored: without what says nothing of the object itself,
    and without secrets."""
    strip(value)
    return file_name(cluster, value), encode(value)


def encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def strip(value: dict[str, Any]) -> None:
    """Drop managedFields and kubectl's copy of the object, and replace what may be secret."""
    metadata = value.get("metadata")
    if isinstance(metadata, dict):
        for name in _PASSING:
            metadata.pop(name, None)
        _drop_annotations(metadata)
        spec = value.get("spec")
        template = spec.get("template") if isinstance(spec, dict) else None
        made = template.get("metadata") if isinstance(template, dict) else None
        if isinstance(made, dict):
            _drop_annotations(made)
    if value.get("kind") == "Secret" and value.get("apiVersion") == "v1":
        for name in [key for key in value if key not in ("apiVersion", "kind", "metadata", "type")]:
            del value[name]
    _redact(value)


def _drop_annotations(metadata: dict[str, Any]) -> None:
    annotations = metadata.get("annotations")
    if isinstance(annotations, dict) and not annotations.keys().isdisjoint(_PASSING_ANNOTATIONS):
        for name in _PASSING_ANNOTATIONS:
            annotations.pop(name, None)
        if not annotations:
            del metadata["annotations"]


def _redact(value: dict[str, Any]) -> None:
    for path in sensitive_paths(value):
        if path == _TOKEN_OF:
            continue
        *parents, last = path
        holder: Any = value
        for step in parents:
            holder = holder[step]
        text = holder[last]
        if isinstance(text, bool) or not isinstance(text, str | int | float) or text == "":
            continue
        if last == "image" and isinstance(text, str) and has_user(text):
            # A user in front of the registry; the rest is what rules judge.
            holder[last] = f"{_REDACTED}@{text.rpartition('@')[2]}"
            continue
        before = _evidence(holder, path)
        for candidate in _candidates(text):
            holder[last] = candidate
            if _evidence(holder, path) == before:
                break
        else:
            holder[last] = _REDACTED


def _candidates(text: str | int | float) -> tuple[str | int, ...]:
    """Values of which one is a secret to the rules where ``text`` is one, for the same reason, and none where not."""
    if not isinstance(text, str):
        return _NUMBERS
    whole = (_REDACTED, _REDACTED_FORM, _NO_SECRET, f"{_REDACTED_FORM}\n{_NO_SECRET}")
    flag, equals, _ = text.partition("=")
    if equals and _FLAG.match(flag):
        # An argument: its flag is no secret, and rules read it.
        return (*(f"{flag}={candidate}" for candidate in whole), *whole)
    return whole


def _evidence(holder: Any, path: Path) -> Any:
    """What rules say of a text: why it is a secret in the clear."""
    last = path[-1]
    if isinstance(holder, list):
        field = path[-2] if len(path) > 1 else ""
        return list(secret_arguments({field: holder})) if field in ("args", "command") else None
    text = holder[last]
    # A variable, a parameter of a chart, or a key with its value: a whole file has no name that tells.
    name = holder.get("name") if last == "value" else last
    return secret_evidence(name if isinstance(name, str) and "\n" not in str(text).strip() else "", text)


def write(snapshot: Snapshot, path: str) -> bytes:
    """The bytes of a snapshot's file, the same for the same cluster."""
    header = {
        "apiVersion": "kubeassay.dev/v1",
        "kind": "Snapshot",
        "toolVersion": __version__,
        "cluster": snapshot.cluster,
        "serverVersion": snapshot.version,
        "metadataOnly": sorted(METADATA_ONLY),
        "namespaces": None if snapshot.namespaces is None else list(snapshot.namespaces),
        "selector": snapshot.selector,
        "asked": list(snapshot.asked),
        "narrowed": list(snapshot.narrowed),
        "read": snapshot.read,
        "resources": {
            version: {kind: resource for (of, kind), resource in sorted(snapshot.resources.items()) if of == version}
            for version in sorted({version for version, _ in snapshot.resources})
        },
        "unread": [
            {
                "group": unread.group,
                "kind": unread.kind,
                "namespace": unread.namespace,
                "but": list(unread.but),
                "reason": unread.reason,
                "detail": unread.detail,
            }
            for unread in snapshot.unread
        ],
        "objects": len(snapshot.files),
    }
    stream = io.BytesIO()
    if path.endswith(".gz"):
        with gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as compressed:
            _write(compressed, header, snapshot.files.values())
    else:
        _write(stream, header, snapshot.files.values())
    return stream.getvalue()


def _write(stream: Any, header: dict[str, Any], objects: Iterable[bytes]) -> None:
    stream.write(encode(header) + b"\n")
    for content in objects:
        stream.write(content + b"\n")


def is_snapshot(path: str) -> bool:
    """Whether a file is a snapshot by its first bytes. False for what cannot be read."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as stream:
            first = stream.read(2)
        with gzip.open(path) if first == b"\x1f\x8b" else open(path, "rb") as stream:
            return stream.read(len(HEADER)) == HEADER
    except (OSError, EOFError, zlib.error):
        return False


def read(path: str) -> Snapshot:
    """Read a snapshot. Raises SnapshotError for one that is damaged: half of a cluster is no cluster."""
    lines = _lines(path)
    try:
        header = json.loads(next(lines, b""))
        snapshot = Snapshot(
            cluster_name(str(header["cluster"])),
            str(header["serverVersion"]),
            [
                Unread(
                    str(gap["group"]),
                    str(gap["kind"]),
                    None if gap["namespace"] is None else str(gap["namespace"]),
                    str(gap["reason"]),
                    str(gap["detail"]),
                    tuple(str(namespace) for namespace in gap["but"]),
                )
                for gap in header["unread"]
            ],
            read=[str(kind) for kind in header["read"]],
            asked=tuple(str(kind) for kind in header["asked"]),
            narrowed=tuple(str(kind) for kind in header["narrowed"]),
            namespaces=None if header["namespaces"] is None else tuple(map(str, header["namespaces"])),
            selector=str(header["selector"]),
            # A snapshot of an earlier version does not have them.
            resources={
                (str(version), str(kind)): str(resource)
                for version, kinds in header.get("resources", {}).items()
                for kind, resource in kinds.items()
            },
        )
        if snapshot.selector:
            parse_selector(snapshot.selector)
        for line in lines:
            value = json.loads(line)
            if not isinstance(value, dict) or not isinstance(value.get("metadata"), dict):
                raise ValueError("a line is no object")
            # Anyone may have written the file: what it says of secrets is not relied upon.
            name, content = live_file(snapshot.cluster, value)
            if name in snapshot.files:
                raise ValueError("an object stands in it twice")
            snapshot.files.add(name, content)
        count = header["objects"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SnapshotError(f"{path} is a damaged snapshot: {error}") from None
    if len(snapshot.files) != count:
        raise SnapshotError(f"{path} is a damaged snapshot: {len(snapshot.files)} of {count} objects are there")
    return snapshot


def _lines(path: str) -> Iterator[bytes]:
    try:
        with open(path, "rb") as stream:
            first = stream.read(2)
        with gzip.open(path) if first == b"\x1f\x8b" else open(path, "rb") as stream:
            for line in stream:
                if line.strip():
                    yield line
    except (OSError, EOFError, zlib.error) as error:
        raise SnapshotError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
