"""Writing reports into a cluster: the only thing that this program ever writes there.

A module of its own, which an audit imports when it publishes: what reads a cluster can only GET (cluster.py).

Reports are created and updated, not applied: what is there has to be listed anyway, to leave alone what has not
changed and to remove what is stale, and an update with the version that was read overwrites nothing that somebody else
has written since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from kubeassay.sources.cluster import Api, ClusterError, Connection, Kind, RequestFailed, list_objects
from kubeassay.sources.snapshot import encode

_JSON = {"Accept": "application/json", "Content-Type": "application/json"}
_Reports = list[dict[str, Any]]


class ReportStore(Api):
    """The reports of one API in a cluster. ``kinds``: the namespaces' kind of report, and the cluster's."""

    def __init__(
        self, connection: Connection, kinds: tuple[Kind, Kind], *, dry_run: bool = False, **options: Any
    ) -> None:
        """``dry_run``: the server checks what it is asked to write, and whether this user may, and writes nothing."""
        super().__init__(connection, **options)
        self.kinds = kinds
        self._dry_run = ["All"] if dry_run else []
        # Unknown fields are refused: a definition that would drop them silently is not the one that is written for.
        asked = {"fieldManager": "kubeassay", "fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {})}
        self._query = urlencode(asked)

    def missing(self) -> list[Kind]:
        """The kinds that the server does not have. Raises ClusterError where it does not say."""
        group, version = self.kinds[0].group, self.kinds[0].version
        try:
            answer = self.get(f"/apis/{group}/{version}")
        except RequestFailed as failed:
            if failed.status == 404:
                return list(self.kinds)
            raise ClusterError(f"whether the server has {group}/{version} is not known: {failed.message}") from None
        resources = answer.get("resources") if isinstance(answer, dict) else None
        served = {entry.get("name") for entry in resources or () if isinstance(entry, dict)}
        return [kind for kind in self.kinds if kind.resource not in served]

    def listed(self, kind: Kind, namespace: str | None, labels: str) -> list[dict[str, Any]]:
        """The reports with some labels, in a namespace or everywhere. Raises RequestFailed."""
        return list_objects(self, kind.path(namespace), _Reports, _Reports.append, query={"labelSelector": labels})

    def named(self, kind: Kind, report: Mapping[str, Any]) -> dict[str, Any] | None:
        """The report of that name as it is now. It is listed, not got: who publishes needs no right more."""
        metadata = report["metadata"]
        query = {"fieldSelector": f"metadata.name={metadata['name']}"}
        found = list_objects(self, kind.path(metadata.get("namespace")), _Reports, _Reports.append, query=query)
        return found[0] if found else None

    def create(self, kind: Kind, report: Mapping[str, Any]) -> None:
        """Raises RequestFailed: 409 where there is one of that name."""
        path = kind.path(report["metadata"].get("namespace"))
        self._answer("POST", f"{path}?{self._query}", _JSON, encode(report))

    def update(self, kind: Kind, report: Mapping[str, Any]) -> None:
        """Replace a report. Raises RequestFailed: 409 where it is not in the version that ``report`` has."""
        self._answer("PUT", f"{_path(kind, report)}?{self._query}", _JSON, encode(report))

    def delete(self, kind: Kind, report: Mapping[str, Any]) -> None:
        """Remove a report as it was read. Raises RequestFailed: 409 where it has changed since."""
        metadata = report["metadata"]
        conditions = {key: metadata[key] for key in ("uid", "resourceVersion") if key in metadata}
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": conditions, "dryRun": self._dry_run}
        self._answer("DELETE", _path(kind, report), _JSON, encode(options))


def _path(kind: Kind, report: Mapping[str, Any]) -> str:
    metadata = report["metadata"]
    return f"{kind.path(metadata.get('namespace'))}/{quote(metadata['name'], safe='')}"
