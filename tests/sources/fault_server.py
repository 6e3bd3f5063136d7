"""A server that answers as an API server does where it fails: what no real one does when it is asked to.

What a server answers when nothing fails, tests/live asks a real one.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

#: (group, version, resource, kind, namespaced)
KINDS = (
    ("", "v1", "namespaces", "Namespace", False),
    ("", "v1", "pods", "Pod", True),
    ("", "v1", "secrets", "Secret", True),
    ("", "v1", "serviceaccounts", "ServiceAccount", True),
    ("apps", "v1", "replicasets", "ReplicaSet", True),
    ("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", True),
    ("example.com", "v1", "things", "Thing", True),
)
Fault = Callable[[str, Mapping[str, str], int], "tuple[int, Any] | None"]


@dataclass(frozen=True)
class Half:
    """The first part of an answer; what follows does not come: the connection ends, or stays open (``stalls``), perhaps
    with a byte now and then (``drips``)."""

    content: bytes = b'{"kind":"List","items":['
    stalls: bool = False
    drips: bool = False


class FaultServer:
    """``objects``: by the path of their list in all namespaces. ``fault``: from the path, the query and how often it
    was asked before, a status and a body in place of the answer; status 0 ends the connection. The body of a redirect
    is where it leads to."""

    def __init__(self, folder: Path) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = {}
        self.fault: Fault = lambda path, query, number: None
        self.token = "good"
        self.aggregated = True
        self.page = 2
        self.asked: Counter[str] = Counter()
        self.headers: list[Mapping[str, str]] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.http.daemon_threads = True
        # How soon it sees that it is to stop: each test waits for that.
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        self.kubeconfig = folder / "kubeconfig"
        self.configure("good")

    def configure(self, token: str, cluster: Mapping[str, Any] | None = None, **more: Any) -> None:
        server = f"http://127.0.0.1:{self.http.server_port}"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c/1", "cluster": {"server": server, **(cluster or {})}}],
            "users": [{"name": "u", "user": {"token": token, **more}}],
            "contexts": [{"name": "x", "context": {"cluster": "c/1", "user": "u"}}],
            "current-context": "x",
        }
        self.kubeconfig.write_text(yaml.safe_dump(config), encoding="utf-8")

    def stop(self) -> None:
        self._stopped.set()
        self.http.shutdown()
        self.http.server_close()

    def add(self, kind: str, name: str, namespace: str | None = None, **rest: Any) -> None:
        group, version, resource, *_ = next(known for known in KINDS if known[3] == kind)
        path = f"/apis/{group}/{version}/{resource}" if group else f"/api/{version}/{resource}"
        metadata = {"name": name, "uid": f"{kind}-{name}", **({"namespace": namespace} if namespace else {})}
        self.objects.setdefault(path, []).append({"metadata": metadata, **rest})

    def answer(self, url: str, headers: Mapping[str, str]) -> tuple[int, Any]:
        parts = urlsplit(url)
        path, query = parts.path, {key: values[0] for key, values in parse_qs(parts.query).items()}
        with self._lock:
            number = self.asked[path]
            self.asked[path] += 1
            self.headers.append(dict(headers))
        if headers.get("authorization") != f"Bearer {self.token}":
            return 401, {"kind": "Status", "message": "Unauthorized"}
        failed = self.fault(path, query, number)
        if failed is not None:
            return failed
        if path == "/version":
            return 200, {"gitVersion": "v1.33.1-eks-1", "major": "1", "minor": "33"}
        if path in ("/api", "/apis"):
            return 200, self._discovery(core=path == "/api")
        if path.startswith("/api") and path.count("/") == (2 if path.startswith("/api/") else 3):
            return 200, self._resources(path)
        return self._list(path, query, headers)

    def _discovery(self, *, core: bool) -> Any:
        groups = dict.fromkeys(group for group, *_ in KINDS if core == (group == ""))
        if not self.aggregated and core:
            return {"kind": "APIVersions", "versions": ["v1"]}
        if not self.aggregated:
            listed = [
                {"name": group, "versions": [{"version": "v1"}], "preferredVersion": {"version": "v1"}}
                for group in groups
            ]
            return {"kind": "APIGroupList", "groups": listed}
        items = []
        for group in groups:
            resources = [
                {
                    "resource": resource,
                    "responseKind": {"group": group, "version": version, "kind": kind},
                    "scope": "Namespaced" if namespaced else "Cluster",
                    "verbs": ["get", "list"],
                }
                for of, version, resource, kind, namespaced in KINDS
                if of == group
            ]
            items.append({"metadata": {"name": group}, "versions": [{"version": "v1", "resources": resources}]})
        return {"kind": "APIGroupDiscoveryList", "items": items}

    def _resources(self, path: str) -> Any:
        wanted = path.removeprefix("/apis/").removesuffix("/v1") if path.startswith("/apis/") else ""
        return {
            "kind": "APIResourceList",
            "resources": [
                {"name": resource, "kind": kind, "namespaced": namespaced, "verbs": ["list"]}
                for group, _, resource, kind, namespaced in KINDS
                if group == wanted
            ]
            + [{"name": "pods/log", "kind": "Pod", "namespaced": True, "verbs": ["get"]}],
        }

    def _list(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, Any]:
        namespace = None
        if "/namespaces/" in path:
            before, _, after = path.partition("/namespaces/")
            namespace, _, resource = after.partition("/")
            path = f"{before}/{resource}"
        items = [
            item
            for item in self.objects.get(path, [])
            if namespace is None or item["metadata"].get("namespace") == namespace
        ]
        if "fieldSelector" in query:
            kept = query["fieldSelector"].removeprefix("type=")
            items = [item for item in items if item.get("type") == kept]
        if "PartialObjectMetadataList" in headers.get("accept", ""):
            items = [{"metadata": item["metadata"]} for item in items]
        start = int(query.get("continue", "0"))
        end = start + self.page if "limit" in query else len(items)
        more = {"continue": str(end)} if end < len(items) else {}
        return 200, {"kind": "List", "metadata": more, "items": items[start:end]}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                headers = {key.lower(): value for key, value in self.headers.items()}
                status, body = server.answer(self.path, headers)
                if status == 0:
                    self.close_connection = True
                    self.connection.close()
                    return
                if isinstance(body, Half):
                    self._begin(status, body)
                    return
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", content.decode())
                if status == 429:
                    self.send_header("Retry-After", "0.01")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def _begin(self, status: int, body: Half) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "100000")
                self.end_headers()
                self.wfile.write(body.content)
                while (body.stalls or body.drips) and not server._stopped.wait(0.05):
                    if body.drips:
                        self.wfile.write(b" ")
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

            def handle(self) -> None:
                with contextlib.suppress(OSError, ValueError):
                    super().handle()

        return Handler
