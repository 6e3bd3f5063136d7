"""The server that fails (fault_server.py), with reports that can be written, as an API server stores them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubeassay.reporting.openreports import OPENREPORTS
from sources.fault_server import FaultServer

ROOT = f"/apis/{OPENREPORTS.api_version}"
#: From the method, the path and how often it was asked: what is answered instead; ``after``: once it is written.
WriteFault = Callable[[str, str, int], "tuple[int, Any] | None"]


class ReportServer(FaultServer):
    """``reports``: by the path of each. ``writes``: the methods and paths that were asked."""

    def __init__(self, folder: Path) -> None:
        self.reports: dict[str, dict[str, Any]] = {}
        self.writes: list[tuple[str, str]] = []
        self.write_fault: WriteFault = lambda method, path, number: None
        #: Whether a write that is answered by a fault is done all the same: an answer that is lost.
        self.lost = False
        self.defined = True
        self._versions = itertools.count(1)
        super().__init__(folder)

    def store(self, path: str, report: dict[str, Any]) -> dict[str, Any]:
        """Keep a report at a path, in a new version."""
        number = str(next(self._versions))
        old = self.reports.get(
            path, {"metadata": {"uid": f"uid-{number}", "creationTimestamp": "2026-01-01T00:00:00Z"}}
        )
        metadata = {**old["metadata"], **report["metadata"], "resourceVersion": number}
        self.reports[path] = {**report, "metadata": metadata}
        return self.reports[path]

    def answer(self, url: str, headers: Mapping[str, str]) -> tuple[int, Any]:
        path = urlsplit(url).path
        if path == ROOT and not self.defined:
            return 404, {"message": "the server could not find the requested resource"}
        return super().answer(url, headers)

    def _resources(self, path: str) -> Any:
        if path == ROOT:
            return {"resources": [{"name": "reports"}, {"name": "clusterreports"}]}
        return super()._resources(path)

    def _list(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, Any]:
        if not path.startswith(f"{ROOT}/"):
            return super()._list(path, query, headers)
        wanted = dict(part.split("=") for part in query.get("labelSelector", "").split(",") if part)
        name = query.get("fieldSelector", "").removeprefix("metadata.name=")
        of_all = "/namespaces/" not in path and path.endswith("/reports")
        items = [
            {key: value for key, value in report.items() if key not in ("apiVersion", "kind")}
            for at, report in sorted(self.reports.items())
            if (at.startswith(f"{ROOT}/namespaces/") if of_all else at.startswith(f"{path}/"))
            and wanted.items() <= report["metadata"].get("labels", {}).items()
            and name in ("", report["metadata"]["name"])
        ]
        return 200, {"kind": "List", "metadata": {}, "items": items}

    def write(self, method: str, url: str, body: Any) -> tuple[int, Any]:
        path = urlsplit(url).path
        query = parse_qs(urlsplit(url).query)
        assert method == "DELETE" or query["fieldValidation"] == ["Strict"]
        with self._lock:
            number = sum(entry == (method, path) for entry in self.writes)
            self.writes.append((method, path))
            fault = self.write_fault(method, path, number)
            if fault is None or self.lost:
                done = self._write(method, path, body)
            return fault if fault is not None else done

    def _write(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if method == "POST":
            path = f"{path}/{body['metadata']['name']}"
            if path in self.reports:
                return 409, {"message": "already exists"}
            return 201, self.store(path, body)
        there = self.reports.get(path)
        if there is None:
            return 404, {"message": "not found"}
        condition = body["metadata"] if method == "PUT" else body["preconditions"]
        if condition["resourceVersion"] != there["metadata"]["resourceVersion"]:
            return 409, {"message": "the object has been modified"}
        if method == "PUT":
            return 200, self.store(path, body)
        del self.reports[path]
        return 200, {"kind": "Status"}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self
        reading = super()._handler()

        class Handler(reading):  # type: ignore[misc, valid-type]
            def _written(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                status, body = server.write(self.command, self.path, json.loads(content))
                if status == 0:
                    self.close_connection = True
                    self.connection.close()
                    return
                answer = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_PUT = do_DELETE = _written  # noqa: N815 - the names that the base looks for

        return Handler
