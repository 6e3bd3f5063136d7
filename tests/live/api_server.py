"""A real API server for the tests: etcd, kube-apiserver and kube-controller-manager on loopback, or a cluster that is
there already."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import urllib3
import yaml
from kubernetes.client import ApiClient
from kubernetes.config import new_client_from_config

from kit import end_with_parent

#: What starting one program may take: the machine may be busy.
PATIENCE = 120.0


class StartError(Exception):
    """A program that did not start, with the end of what it logged."""


@dataclass(frozen=True)
class Answer:
    """What the API server said. ``body``: the decoded JSON, or the text of what is none."""

    status: int
    body: Any

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def message(self) -> str:
        """What a refusal says."""
        return str(self.body.get("message", "")) if isinstance(self.body, dict) else str(self.body)


class Client:
    """Requests to the API server of a kubeconfig, as its user."""

    def __init__(self, kubeconfig: Path) -> None:
        self._api: ApiClient = new_client_from_config(str(kubeconfig))
        configuration = self._api.configuration
        self._host = configuration.host
        self._headers = {key["key"]: key["value"] for key in configuration.auth_settings().values()}
        self._pool: urllib3.PoolManager = self._api.rest_client.pool_manager

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Answer:
        """Any request."""
        headers = {**self._headers, "Accept": "application/json", "Content-Type": content_type}
        content = None if body is None else json.dumps(body).encode()
        said = self._pool.request(method, self._host + path, body=content, headers=headers, retries=False, timeout=60)
        try:
            return Answer(said.status, json.loads(said.data))
        except ValueError:
            return Answer(said.status, said.data.decode(errors="replace"))

    def get(self, path: str) -> Any:
        """The body of what is there; an error fails the test."""
        said = self.request("GET", path)
        assert said.ok, f"GET {path}: {said.status} {said.message}"
        return said.body

    def create(self, obj: Mapping[str, Any], *, dry_run: bool = False, strict: bool = True) -> Answer:
        """POST an object; ``strict``: unknown fields are refused, as kubectl asks for it."""
        options = f"?fieldValidation={'Strict' if strict else 'Ignore'}" + ("&dryRun=All" if dry_run else "")
        return self.request("POST", collection(obj) + options, obj)

    def must_create(self, obj: Mapping[str, Any]) -> Any:
        """POST an object; a refusal fails the test."""
        said = self.create(obj)
        assert said.ok, f"{json.dumps(obj)}: {said.status} {said.message}"
        return said.body

    def delete(self, obj: Mapping[str, Any]) -> Answer:
        """DELETE an object, at once."""
        path = f"{collection(obj)}/{obj['metadata']['name']}"
        return self.request("DELETE", path, {"gracePeriodSeconds": 0, "propagationPolicy": "Background"})

    def namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """Make a namespace in which pods can be made: without a controller manager nothing else makes the account."""
        meta = {"name": name, "labels": dict(labels or {})}
        self.must_create({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
        said = self.create(account)
        assert said.ok or said.status == 409, said.message

    def close(self) -> None:
        self._pool.clear()


_OF_THE_CLUSTER = {
    *("Namespace", "ClusterRole", "ClusterRoleBinding"),
    *("StorageClass", "IngressClass", "PriorityClass", "RuntimeClass"),
    *("CustomResourceDefinition", "PersistentVolume", "Node"),
}


def collection(obj: Mapping[str, Any]) -> str:
    """The path of the objects of a kind: /apis/apps/v1/namespaces/shop/deployments."""
    version, kind = str(obj["apiVersion"]), str(obj["kind"])
    name = kind.lower()
    plural = name[:-1] + "ies" if name.endswith("cy") else name + ("es" if name.endswith("ss") else "s")
    start = f"/apis/{version}" if "/" in version else f"/api/{version}"
    namespace = obj["metadata"].get("namespace")
    if kind in _OF_THE_CLUSTER or not namespace:
        return f"{start}/{plural}"
    return f"{start}/namespaces/{namespace}/{plural}"


class ApiServer:
    """A running API server; at the end of a ``with`` block it is stopped."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.admin = Client(kubeconfig)

    @property
    def minor(self) -> int:
        """33 of 1.33."""
        found = re.match(r"\d+", str(self.admin.get("/version")["minor"]))
        assert found
        return int(found[0])

    def stop(self) -> None:
        self.admin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class OwnServer(ApiServer):
    """etcd and kube-apiserver of our own; :meth:`stop` ends them, and so does the end of this process.

    Authorization is by RBAC; the admission plugins are Kubernetes' defaults and NodeRestriction. ``api_arguments`` and
    ``etcd_arguments`` come last, so they win.
    """

    def __init__(
        self,
        binaries: Path,
        folder: Path,
        api_arguments: Iterable[str] = (),
        etcd_arguments: Iterable[str] = (),
    ) -> None:
        self._binaries, self.folder = binaries, folder
        self._certificates = folder / "certificates"
        self._certificates.mkdir(parents=True)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._run("certificates", str(self._certificates))
        self.port, self._etcd_port, peers = free_ports(3)
        try:
            self._start_etcd(peers, etcd_arguments)
            self._api_arguments = tuple(api_arguments)
            self.start_api_server()
            super().__init__(self.kubeconfig_for("admin", "system:masters"))
            self._wait_for("kube-apiserver", self._default_namespace)
        except BaseException:
            self.stop()
            raise

    def kubeconfig_for(self, user: str, *groups: str) -> Path:
        """A kubeconfig of a user with a client certificate."""
        file = re.sub(r"[^A-Za-z0-9.-]", "_", "-".join((user, *groups)))
        self._run("certificates", str(self._certificates), f"client-{file}", user, *groups)

        def data(name: str) -> str:
            return base64.b64encode((self._certificates / name).read_bytes()).decode()

        server = {"server": f"https://127.0.0.1:{self.port}", "certificate-authority-data": data("ca.crt")}
        keys = {
            "client-certificate-data": data(f"client-{file}.crt"),
            "client-key-data": data(f"client-{file}.key"),
        }
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": server}],
            "users": [{"name": user, "user": keys}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": user}}],
            "current-context": "tests",
        }
        path = self.folder / f"{file}.kubeconfig"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        path.chmod(0o600)
        return path

    def client_for(self, user: str, *groups: str) -> Client:
        """Requests as a user."""
        return Client(self.kubeconfig_for(user, *groups))

    def start_controllers(self) -> None:
        """Start kube-controller-manager, once: who makes pods, counts what is used of quotas, ends namespaces."""
        if "kube-controller-manager" in self._running:
            return
        certificates = self._certificates
        self._start(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig}",
            f"--service-account-private-key-file={certificates / 'accounts.key'}",
            f"--root-ca-file={certificates / 'ca.crt'}",
            "--leader-elect=false",
            "--secure-port=0",
            "--concurrent-resource-quota-syncs=10",
        )

        def counts() -> bool:
            # The controller of accounts runs with the others.
            return self.admin.request("GET", "/api/v1/namespaces/kube-public/serviceaccounts/default").ok

        self._wait_for("kube-controller-manager", counts)

    def start_api_server(self) -> None:
        """Start kube-apiserver: at first, and again after :meth:`stop_api_server`, at the same place."""
        certificates = self._certificates
        self._start(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--tls-cert-file={certificates / 'server.crt'}",
            f"--tls-private-key-file={certificates / 'server.key'}",
            f"--client-ca-file={certificates / 'ca.crt'}",
            f"--service-account-key-file={certificates / 'accounts.key'}",
            f"--service-account-signing-key-file={certificates / 'accounts.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--endpoint-reconciler-type=none",
            "--allow-privileged=true",
            *self._api_arguments,
        )
        ready = f"https://127.0.0.1:{self.port}/readyz"
        pool = urllib3.PoolManager(ca_certs=str(certificates / "ca.crt"))

        def answers() -> bool:
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                return bool(pool.request("GET", ready, retries=False, timeout=5).status == 200)
            return False

        try:
            self._wait_for("kube-apiserver", answers)
        finally:
            pool.clear()

    def stop_api_server(self) -> None:
        """End kube-apiserver alone: what is stored stays."""
        self._stop("kube-apiserver")

    def stop(self) -> None:
        """End everything that runs."""
        for name in ("kube-controller-manager", "kube-apiserver", "etcd"):
            self._stop(name)
        if hasattr(self, "admin"):
            super().stop()

    def log(self, name: str) -> str:
        """What a program logged."""
        path = self.folder / f"{name}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def _default_namespace(self) -> bool:
        return self.admin.request("GET", "/api/v1/namespaces/default").ok

    def _start_etcd(self, peers: int, arguments: Iterable[str]) -> None:
        here = f"http://127.0.0.1:{self._etcd_port}"
        among = f"http://127.0.0.1:{peers}"
        self._start(
            "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={here}",
            f"--advertise-client-urls={here}",
            f"--listen-peer-urls={among}",
            f"--initial-advertise-peer-urls={among}",
            f"--initial-cluster=default={among}",
            "--unsafe-no-fsync",
            "--log-level=warn",
            *arguments,
        )

        def healthy() -> bool:
            with contextlib.suppress(OSError, urllib.error.URLError):
                return bool(urllib.request.urlopen(f"{here}/health", timeout=5).status == 200)
            return False

        self._wait_for("etcd", healthy)

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run([self._binaries / name, *arguments], check=True, timeout=PATIENCE)

    def _start(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [self._binaries / name, *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )

    def _wait_for(self, name: str, ready: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not ready():
            ended = self._running[name].poll()
            if ended is not None or time.monotonic() > until:
                why = "is not ready" if ended is None else f"ended with {ended}"
                raise StartError(f"{name} {why}: {self.log(name)[-3000:]}")
            time.sleep(0.1)

    def _stop(self, name: str) -> None:
        process = self._running.pop(name, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_ports(number: int) -> list[int]:
    """Ports of loopback that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
