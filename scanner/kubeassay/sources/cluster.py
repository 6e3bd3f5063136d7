"""Reading a live cluster, with the official Kubernetes client: connection, discovery, lists in pages.

The client connects and authenticates. Answers are decoded here, as plain JSON: its model objects cost many times as
much, and would lose fields that they do not know.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlencode

from kubeassay.analysis.facts import CUSTOM_RESOURCES
from kubeassay.analysis.workloads import BUILT_IN_GROUPS
from kubeassay.model.unread import Unread
from kubeassay.sources.bounded import TookTooLongError, each, within
from kubeassay.sources.files import UsageError
from kubeassay.sources.json_list import read_members
from kubeassay.sources.object_store import ObjectStore
from kubeassay.sources.snapshot import Snapshot, cluster_name, collection_path, live_file

_PAGE = 500
_WORKERS = 6
#: Requests a second, of all threads together.
_RATE = 50.0
#: Seconds that one request may take, its answer included; of these, what connecting may take.
TIMEOUT = 60.0
_CONNECT_TIMEOUT = 10.0
#: What an exec plug-in may take, which may ask a person to log in.
_PLUG_IN_TIMEOUT = 120.0
#: After so many requests in a row that were given up without an answer it is asked whether the server is there at all.
_SILENT = 3
#: Answers after which a request is made again, and how often, with growing pauses in between.
_AGAIN = frozenset({429, 500, 502, 503, 504})
_TRIES = 4
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 30.0
#: How often a list is begun anew that changed too much to be read in pages; then it is read in one piece.
_RESTARTS = 3

#: Groups of aggregated APIs that hold measurements, not objects.
_MEASUREMENTS = ("metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io")
#: Groups of reports, this program's own among them: results, which nothing is judged by.
_REPORTS = ("openreports.io", "wgpolicyk8s.io", "reports.x-k8s.io")
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_DISCOVERY = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)
#: A user, perhaps with a password, in front of a host.
_USER_OF_URL = re.compile(r"//[^/@]*@")
#: OpenSSL's codes for a name, a mail address and an IP address that a certificate is not for.
_OF_OTHER_NAMES = (62, 63, 64)
_TOKEN = "kubernetes.io/service-account-token"
#: What a header can hold.
_HEADER = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")


class ClusterError(UsageError):
    """The cluster cannot be read at all: no connection, no credentials, no such context."""


class RequestFailed(Exception):  # noqa: N818 - it says what happened
    """A request was refused, or not answered."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class _NoAnswerError(RequestFailed):
    """There was no answer. ``final``: nor will there be one the next time."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(0, message)
        self.final = final


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """A kind as a server serves it."""

    group: str
    version: str
    resource: str
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None) -> str:
        return collection_path(self.api_version, self.resource, namespace)


@dataclass(slots=True)
class Connection:
    """How to reach a cluster. ``name``: what places call it."""

    name: str
    client: Any
    #: Connects anew, with fresh credentials.
    again: Callable[[], Any]
    context_namespace: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


def connect(
    *,
    kubeconfig: str | None = None,
    context: str | None = None,
    user: str | None = None,
    groups: Sequence[str] = (),
    name: str | None = None,
) -> Connection:
    """Connect by a kubeconfig, or in a pod by its service account. Raises ClusterError with what to do about it."""
    try:
        from kubernetes import client
        from kubernetes import config as untyped
        from kubernetes.config import incluster_config
        from kubernetes.config.config_exception import ConfigException
    except ImportError:
        raise ClusterError("reading a cluster needs the extra: pip install 'kubeassay[cluster]'") from None
    config: Any = untyped
    in_pod = (
        kubeconfig is None
        and context is None
        and not os.environ.get("KUBECONFIG")
        and not os.path.exists(os.path.expanduser("~/.kube/config"))
        and "KUBERNETES_SERVICE_HOST" in os.environ
    )
    files = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    used = "the service account of this pod" if in_pod else "the kubeconfig"
    namespace = None
    try:
        if in_pod:
            cluster = "in-cluster"
            namespace = _own_namespace(incluster_config.SERVICE_TOKEN_FILENAME)
        else:
            if not any(os.path.exists(os.path.expanduser(file)) for file in files.split(os.pathsep)):
                raise ClusterError(f"there is no kubeconfig {files}, and this is no pod of a cluster")
            contexts, current = config.list_kube_config_contexts(config_file=kubeconfig)
            names = [entry["name"] for entry in contexts]
            chosen = next((e for e in contexts if e["name"] == context), None) if context is not None else current
            if chosen is None:
                known = f"; it has {', '.join(names)}" if names else ""
                raise ClusterError(f"the kubeconfig has no context {context}{known}")
            details = chosen.get("context") or {}
            cluster, namespace = str(details.get("cluster") or chosen["name"]), details.get("namespace")

        def make() -> Any:
            settings = client.Configuration()
            if in_pod:
                config.load_incluster_config(client_configuration=settings)
            else:
                config.load_kube_config(
                    config_file=kubeconfig, context=context, client_configuration=settings, persist_config=False
                )
            # Requests are made again here, where it is known which and how long after.
            settings.retries = False
            settings.connection_pool_maxsize = _WORKERS
            made = client.ApiClient(settings)
            if user is not None:
                made.default_headers["Impersonate-User"] = user
            if groups:
                # urllib3 writes a header of several values once for each.
                made.default_headers["Impersonate-Group"] = tuple(groups)
            return made

        connected = partial(within, _PLUG_IN_TIMEOUT, make)
        return Connection(cluster_name(name or cluster), connected(), connected, namespace)
    except ClusterError:
        raise
    except TookTooLongError:
        raise ClusterError(
            f"the kubeconfig's user has no credentials: its exec plug-in did not end within {_PLUG_IN_TIMEOUT:g} s"
        ) from None
    except ConfigException as error:
        raise ClusterError(f"{used} cannot be used: {_one_line(error)}") from None
    except Exception as error:  # whatever a broken file makes of the client
        raise ClusterError(f"{used} cannot be used: {type(error).__name__}: {_one_line(error)}") from None


def _own_namespace(token: str) -> str | None:
    """The namespace of the pod that this runs in, which is mounted beside the token. Raises ClusterError where no token
    is mounted."""
    if not os.path.exists(token):
        raise ClusterError(
            f"no token of a service account is mounted in this pod at {token}: automountServiceAccountToken is false"
            " for the pod or its service account, and no projected volume has it there"
        )
    try:
        with open(os.path.join(os.path.dirname(token), "namespace"), encoding="utf-8") as file:
            return file.read().strip() or None
    except OSError:
        return None


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]


class Api:
    """Questions to one cluster: within a rate, and again after a while where the server asks for it.

    It can only GET. What writes is a class of its own, which nothing imports that only reads (writing.py).
    """

    def __init__(
        self,
        connection: Connection,
        *,
        rate: float = _RATE,
        pause: float = _FIRST_PAUSE,
        timeout: float = TIMEOUT,
        sleep: Any = time.sleep,
    ) -> None:
        self.connection = connection
        self._interval = 1 / rate
        self._pause = pause
        self._timeout = timeout
        self._sleep = sleep
        self._next = 0.0
        self._lock = threading.Lock()
        #: Requests that were given up without an answer since the last answer.
        self._unanswered = 0
        #: Why nothing is asked any more.
        self._gone: str | None = None

    def get(self, path: str, query: Mapping[str, str | int] | None = None, accept: str = "application/json") -> Any:
        """The decoded answer. Raises RequestFailed."""
        try:
            return json.loads(self.fetch(path, query, accept))
        except (ValueError, RecursionError):
            raise RequestFailed(-1, "the answer is no JSON") from None

    def fetch(self, path: str, query: Mapping[str, str | int] | None = None, accept: str = "application/json") -> bytes:
        """The answer. Raises RequestFailed."""
        url = path + (f"?{urlencode(query)}" if query else "")
        return self._answer("GET", url, {"Accept": accept})

    def _answer(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> bytes:
        pause = self._pause
        refreshed = False
        tried = 0
        begun = time.monotonic()
        while True:
            if self._gone is not None:
                raise RequestFailed(0, self._gone)
            tried += 1
            self._wait()
            client = self.connection.client
            try:
                status, said, content = self._request(client, method, url, headers, body)
            except _NoAnswerError as failed:
                if failed.final or tried >= _TRIES or time.monotonic() - begun >= self._timeout:
                    self._given_up(client, failed)
                    raise
                self._sleep(pause)
                pause *= 2
                continue
            self._unanswered = 0
            if status == 401 and not refreshed:
                refreshed = True
                self._refresh(client)
                continue
            if status in _AGAIN and tried < _TRIES:
                self._sleep(min(_seconds(said.get("Retry-After")) or pause, _LONGEST_PAUSE))
                pause *= 2
                continue
            if 300 <= status < 400:
                raise RequestFailed(status, _redirected(status, said.get("Location")))
            if not 200 <= status < 300:
                raise RequestFailed(status, _message(status, content))
            return content

    def _given_up(self, client: Any, failed: RequestFailed) -> None:
        """A request has no answer. A server that is gone is not asked for the rest: each kind would take its time."""
        self._unanswered += 1
        if self._unanswered < _SILENT:
            return
        try:
            self._request(client, "GET", "/version", {"Accept": "application/json"}, None, _CONNECT_TIMEOUT)
            self._unanswered = 0
        except RequestFailed:
            self._gone = f"{failed.message}; the server was not asked again"

    def _wait(self) -> None:
        with self._lock:
            now = time.monotonic()
            at = max(self._next, now)
            self._next = at + self._interval
        if at > now:
            time.sleep(at - now)

    def _request(
        self,
        client: Any,
        method: str,
        url: str,
        given: Mapping[str, str],
        body: bytes | None,
        most: float | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        settings = client.configuration
        seconds = min(self._timeout, most or self._timeout)

        def ask() -> tuple[int, Mapping[str, str], bytes]:
            headers = {**given, "Accept-Encoding": "gzip", "User-Agent": "kubeassay"}
            for setting in settings.auth_settings().values():
                if setting.get("in") == "header" and setting.get("value"):
                    # Files of tokens may end in a line break.
                    headers[setting["key"]] = setting["value"].strip()
            pairs: Any = headers
            impersonated = {k: v for k, v in client.default_headers.items() if k.startswith("Impersonate-")}
            if impersonated:
                from urllib3 import HTTPHeaderDict

                pairs = HTTPHeaderDict(headers)
                for key, values in impersonated.items():
                    for value in (values,) if isinstance(values, str) else values:
                        pairs.add(key, value)
            for name, value in pairs.items():
                if not _HEADER.fullmatch(value):
                    # http.client would say what it refuses: the whole token.
                    raise RequestFailed(-1, f"the header {name} cannot hold what it is to: a line break, perhaps")
            from urllib3 import Timeout

            response = client.rest_client.pool_manager.request(
                method,
                settings.host + url,
                body=body,
                headers=pairs,
                timeout=Timeout(connect=min(_CONNECT_TIMEOUT, seconds), read=seconds),
                retries=False,
                redirect=False,
            )
            return int(response.status), response.headers, response.data

        host = _USER_OF_URL.sub("//", settings.host)
        proxy = getattr(client.rest_client.pool_manager, "proxy", None)
        if proxy is not None:
            host += f" through the proxy {proxy.host}:{proxy.port}"
        try:
            return within(seconds, ask)
        except RequestFailed:
            raise
        except TookTooLongError:
            raise _NoAnswerError(f"no answer from {host} within {seconds:g} s") from None
        except Exception as error:  # of urllib3, ssl, sockets
            untrusted = _untrusted(error)
            said = f"no answer from {host}: {untrusted or _reason(error)}"
            raise _NoAnswerError(said, final=untrusted is not None) from None

    def _refresh(self, used: Any) -> None:
        """Credentials are read again: a token may have expired in the middle of an audit."""
        with self.connection.lock:
            if self.connection.client is not used:
                return
            try:
                self.connection.client = self.connection.again()
            except TookTooLongError:
                said = f"credentials cannot be renewed: the exec plug-in did not end within {_PLUG_IN_TIMEOUT:g} s"
                raise RequestFailed(401, said) from None
            except Exception as error:
                raise RequestFailed(401, f"credentials cannot be renewed: {_one_line(error)}") from None


def _untrusted(error: BaseException) -> str | None:
    """What is wrong with the certificate of the server, and what says so; None where it is something else."""
    seen: BaseException | None = error
    for _ in range(5):
        if isinstance(seen, ssl.SSLCertVerificationError):
            said = _one_line(seen.verify_message)
            if seen.verify_code in _OF_OTHER_NAMES:
                return (
                    f"its certificate is for other names: {said} (the kubeconfig's tls-server-name is what it is for)"
                )
            return f"its certificate is not trusted: {said} (the kubeconfig's certificate-authority is who signs it)"
        reason = getattr(seen, "reason", None)
        seen = (
            reason
            if isinstance(reason, BaseException)
            else next((part for part in getattr(seen, "args", ()) if isinstance(part, BaseException)), None)
        )
    return None


def _redirected(status: int, location: str | None) -> str:
    where = _one_line(_USER_OF_URL.sub("//", location or "").partition("?")[0]) or "an unknown place"
    return f"{status}: it redirects to {where}, which is not followed: credentials would go there, too"


def _reason(error: BaseException) -> str:
    text = _one_line(getattr(error, "reason", None) or error)
    # "<urllib3.connection.HTTPSConnection object at 0x7f…>: …": the address differs from run to run.
    return text.rpartition("object at 0x")[2].partition(": ")[2] if "object at 0x" in text else text


def _seconds(text: str | None) -> float:
    try:
        seconds = float(text or 0)
    except ValueError:
        return 0.0
    # Not a number is not greater either.
    return seconds if seconds > 0 else 0.0


def _message(status: int, body: bytes) -> str:
    try:
        said = json.loads(body)
        message = said.get("message") if isinstance(said, dict) else None
    except ValueError:
        message = None
    return f"{status}: {_one_line(message or 'the server gives no reason')}"


def server_version(api: Api) -> str:
    """What the server says of its version. The first question to a cluster: raises ClusterError where it is not
    answered."""
    try:
        answer = api.get("/version")
    except RequestFailed as failed:
        _refused(failed)
    version = answer.get("gitVersion") if isinstance(answer, dict) else None
    if not isinstance(version, str):
        raise ClusterError("the server does not say its version: is it a Kubernetes API server?")
    return version


def _refused(failed: RequestFailed) -> NoReturn:
    if failed.status == 401:
        raise ClusterError(f"the credentials are refused, perhaps expired ({failed.message})")
    if failed.status == 403:
        raise ClusterError(f"the server lets this user see nothing ({failed.message})")
    raise ClusterError(failed.message)


@dataclass(slots=True)
class Discovered:
    """The kinds that can be listed, each in the version that its group prefers, and what could not be discovered."""

    kinds: list[Kind] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)


def discover_kinds(api: Api) -> Discovered:
    """Ask the server for its kinds. Raises ClusterError where it does not answer at all."""
    try:
        core = api.get("/api", accept=_DISCOVERY)
        groups = api.get("/apis", accept=_DISCOVERY)
    except RequestFailed as failed:
        _refused(failed)
    try:
        return _discovered(api, core, groups)
    except (AttributeError, TypeError):
        raise ClusterError("the discovery of the server is not understood") from None


def _discovered(api: Api, core: Any, groups: Any) -> Discovered:
    found = Discovered()
    taken: set[tuple[str, str]] = set()
    for answer in (core, groups):
        if not isinstance(answer, dict):
            raise ClusterError("the discovery of the server is not understood")
        if answer.get("kind") == "APIGroupDiscoveryList":
            for item in _dicts(answer.get("items")):
                _aggregated(item, found, taken)
        elif answer.get("kind") == "APIVersions":
            for version in answer.get("versions") or ("v1",):
                _legacy(api, "", str(version), found, taken)
        elif answer.get("kind") == "APIGroupList":
            for group in _dicts(answer.get("groups")):
                preferred = (group.get("preferredVersion") or {}).get("version")
                versions = [str(version.get("version")) for version in _dicts(group.get("versions"))]
                for version in sorted(versions, key=lambda v: v != preferred):
                    _legacy(api, str(group.get("name")), version, found, taken)
        else:
            raise ClusterError("the discovery of the server is not understood")
    found.kinds.sort()
    return found


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    yield from (member for member in value or () if isinstance(member, dict)) if isinstance(value, list) else ()


def _aggregated(item: dict[str, Any], found: Discovered, taken: set[tuple[str, str]]) -> None:
    group = str((item.get("metadata") or {}).get("name") or "")
    if group in _MEASUREMENTS:
        return
    for version in _dicts(item.get("versions")):
        if version.get("freshness") == "Stale":
            found.unread.append(_undiscovered(group, str(version.get("version")), "its API does not answer"))
        for resource in _dicts(version.get("resources")):
            served = resource.get("responseKind") or {}
            if "list" not in (resource.get("verbs") or ()):
                continue
            if not served.get("kind"):
                why = f"what {resource.get('resource')} are is not said"
                found.unread.append(_undiscovered(group, str(version.get("version")), why))
            else:
                _take(
                    Kind(
                        str(served.get("group") or group),
                        str(served.get("version") or version.get("version")),
                        str(resource.get("resource")),
                        str(served["kind"]),
                        resource.get("scope") == "Namespaced",
                    ),
                    found,
                    taken,
                )


def _legacy(api: Api, group: str, version: str, found: Discovered, taken: set[tuple[str, str]]) -> None:
    if group in _MEASUREMENTS:
        return
    try:
        answer = api.get(f"/apis/{group}/{version}" if group else f"/api/{version}")
        if not isinstance(answer, dict) or "resources" not in answer:
            raise RequestFailed(-1, "the answer is no list of resources")
    except RequestFailed as failed:
        found.unread.append(_undiscovered(group, version, failed.message))
        return
    for resource in _dicts(answer["resources"]):
        name = str(resource.get("name"))
        if "/" not in name and "list" in (resource.get("verbs") or ()):
            _take(Kind(group, version, name, str(resource.get("kind")), bool(resource.get("namespaced"))), found, taken)


def _undiscovered(group: str, version: str, why: str) -> Unread:
    return Unread(group, "", None, "not-readable", f"API group {group}/{version} cannot be discovered: {why}")


def _take(kind: Kind, found: Discovered, taken: set[tuple[str, str]]) -> None:
    if (kind.group, kind.kind) not in taken:
        taken.add((kind.group, kind.kind))
        found.kinds.append(kind)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which kinds to read. ``custom``: all of groups that are not Kubernetes' own. ``everywhere``: those that are
    joined with others, and so are read in all namespaces, whichever are judged."""

    kinds: frozenset[str]
    custom: bool
    everywhere: frozenset[str] = frozenset()

    def wants(self, kind: Kind) -> bool:
        if kind.group in ("events.k8s.io", *_REPORTS) or (not kind.group and kind.kind in ("Event", "ComponentStatus")):
            return False
        return kind.kind in self.kinds or (self.custom and kind.group not in BUILT_IN_GROUPS)

    def joins(self, kind: Kind) -> bool:
        return kind.kind in self.everywhere or (self.custom and kind.group not in BUILT_IN_GROUPS)


Progress = Callable[[str, int], None]


def read_cluster(
    api: Api,
    wanted: Wanted,
    *,
    namespaces: Sequence[str] | None = None,
    selector: str = "",
    progress: Progress | None = None,
    version: str | None = None,
) -> Snapshot:
    """Read what is wanted. ``progress`` is called with a kind and how many objects of it were read since.

    What cannot be read is in ``unread``. Raises ClusterError where the cluster cannot be read at all.
    """
    connection = api.connection
    snapshot = Snapshot(
        connection.name,
        version or server_version(api),
        namespaces=None if namespaces is None else tuple(sorted(set(namespaces))),
        selector=selector,
        asked=tuple(sorted({*wanted.kinds, *((CUSTOM_RESOURCES,) if wanted.custom else ())})),
    )
    found = discover_kinds(api)
    snapshot.unread += found.unread
    kinds = [kind for kind in found.kinds if wanted.wants(kind)]
    readers = [_Reader(api, kind, connection.name, snapshot.namespaces, wanted, progress) for kind in kinds]
    snapshot.narrowed = tuple(sorted({reader.kind.kind for reader in readers if reader.namespaces is not None}))
    # The names of namespaces are what other kinds are asked for by, where they cannot be listed everywhere.
    known = _Namespaces(api, snapshot.namespaces, connection.context_namespace)
    each(lambda reader: reader.run(known), readers, _WORKERS)
    for reader in readers:
        snapshot.files.update(reader.files)
        snapshot.unread += reader.unread
        if reader.listed:
            snapshot.resources[reader.kind.api_version, reader.kind.kind] = reader.kind.resource
            snapshot.read.append(f"{reader.kind.kind}.{reader.kind.group}" if reader.kind.group else reader.kind.kind)
    snapshot.unread = sorted(
        set(snapshot.unread), key=lambda u: (u.group, u.kind, u.namespace or "", u.reason, u.detail)
    )
    snapshot.read.sort()
    return snapshot


class _Namespaces:
    """The names of all namespaces, asked for once, and only by who needs them."""

    def __init__(self, api: Api, given: Sequence[str] | None, own: str | None) -> None:
        self._api = api
        self._given = given
        self._own = own
        self._lock = threading.Lock()
        self._names: list[str] | None = None
        #: Whether these are all namespaces of the cluster.
        self.complete = False

    def __call__(self) -> Sequence[str]:
        with self._lock:
            if self._names is None:
                self._names = sorted({*self._all(), *(self._given or ())})
            return self._names

    def _all(self) -> Iterable[str]:
        if self._given is not None:
            return ()
        try:
            path = "/api/v1/namespaces"
            names = list_objects(self._api, path, list[str], lambda found, item: found.append(_name(item)[1]))
        except RequestFailed:
            return (self._own,) if self._own else ()
        self.complete = True
        return names


class _Reader:
    """Reads the objects of one kind."""

    def __init__(
        self,
        api: Api,
        kind: Kind,
        cluster: str,
        namespaces: Sequence[str] | None,
        wanted: Wanted,
        progress: Progress | None,
    ) -> None:
        self.api = api
        self.kind = kind
        self.cluster = cluster
        #: None: to be listed everywhere.
        self.namespaces = namespaces if kind.namespaced and not wanted.joins(kind) else None
        self.progress = progress
        #: By their places.
        self.files = ObjectStore()
        self.unread: list[Unread] = []
        #: Whether anything could be listed.
        self.listed = False

    def run(self, known: _Namespaces) -> None:
        if self.namespaces is not None:
            self._each(self.namespaces, None, known)
            return
        try:
            self._list(None)
        except RequestFailed as failed:
            names = known() if failed.status == 403 and self.kind.namespaced else ()
            if names:
                self._each(names, failed, known)
            else:
                self._failed(None, failed)

    def _each(self, names: Sequence[str], everywhere: RequestFailed | None, known: _Namespaces) -> None:
        failures: list[tuple[str, RequestFailed]] = []
        for name in names:
            try:
                self._list(name)
            except RequestFailed as error:
                failures.append((name, error))
        if everywhere is not None and len(failures) == len(names):
            self._failed(None, everywhere)
            return
        for name, failed in failures:
            self._failed(name, failed)
        if everywhere is not None and not known.complete:
            # There may be namespaces that nobody named.
            read = {*names} - {name for name, _ in failures}
            self._failed(None, everywhere, tuple(sorted(read)))

    def _failed(self, namespace: str | None, failed: RequestFailed, but: tuple[str, ...] = ()) -> None:
        reason = "forbidden" if failed.status == 403 else "not-readable"
        self.unread.append(Unread(self.kind.group, self.kind.kind, namespace, reason, failed.message, but))

    def _list(self, namespace: str | None) -> None:
        path = self.kind.path(namespace)
        if self.kind.kind == "Secret" and not self.kind.group:
            for secret in self._secrets(path):
                self._keep(self.files, secret)
        else:
            self.files.update(list_objects(self.api, path, ObjectStore, self._keep, progress=self._page))
        self.listed = True

    def _page(self, count: int) -> None:
        if self.progress is not None:
            self.progress(self.kind.kind, count)

    def _secrets(self, path: str) -> Iterable[dict[str, Any]]:
        """Secrets without their values. Which hold a token of a service account, a second list says: the type is no
        part of the metadata."""
        accept = _METADATA_ONLY
        values = list_objects(self.api, path, _Metadata, _Metadata.take, accept=accept, progress=self._page)
        tokens = list_objects(
            self.api, path, _Metadata, _Metadata.take, accept=accept, query={"fieldSelector": f"type={_TOKEN}"}
        )
        # One that was made in between is in the second list alone.
        for name, item in tokens.items():
            values[name] = {**item, "type": _TOKEN}
        return values.values()

    def _keep(self, files: ObjectStore, item: dict[str, Any]) -> None:
        # Members of a list carry no type of their own.
        rest = {key: value for key, value in item.items() if key not in ("apiVersion", "kind")}
        files.add(*live_file(self.cluster, {"apiVersion": self.kind.api_version, "kind": self.kind.kind, **rest}))


def _name(item: Mapping[str, Any]) -> tuple[str, str]:
    metadata = item.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


class _Metadata(dict[tuple[str, str], dict[str, Any]]):
    """The metadata of objects by namespace and name."""

    def take(self, item: dict[str, Any]) -> None:
        self[_name(item)] = {"metadata": dict(item.get("metadata") or {})}


_T = TypeVar("_T")


def list_objects(
    api: Api,
    path: str,
    begin: Callable[[], _T],
    take: Callable[[_T, dict[str, Any]], object],
    *,
    accept: str = "application/json",
    progress: Callable[[int], None] | None = None,
    query: Mapping[str, str] | None = None,
) -> _T:
    """What ``take`` gathers of all objects of a list, page by page, in what ``begin`` makes. Raises RequestFailed where
    not all can be read."""
    restarts = 0
    while True:
        gathered = begin()
        count = 0
        token = ""
        try:
            while True:
                parameters: dict[str, str | int] = dict(query or {})
                # The last try is in one piece, which cannot expire half-way.
                if restarts < _RESTARTS:
                    parameters["limit"] = _PAGE
                if token:
                    parameters["continue"] = token
                read, following = _page(api.fetch(path, parameters, accept), partial(take, gathered))
                count += read
                if progress is not None:
                    progress(read)
                if not following:
                    return gathered
                if following == token:
                    raise RequestFailed(-1, "the pages of the list do not end")
                token = following
        except RequestFailed as failed:
            if failed.status != 410 or restarts >= _RESTARTS:
                raise
            restarts += 1
            if progress is not None:
                progress(-count)


def _page(body: bytes, take: Callable[[dict[str, Any]], object]) -> tuple[int, str]:
    """How many objects a page has, which ``take`` gets, and where the next one is asked for by; "" on the last."""

    def taken(item: Any) -> None:
        if not isinstance(item, dict):
            raise _NoListError
        take(item)

    try:
        page, count = read_members(body, taken)
        if isinstance(page, dict) and page.get("items") is None and str(page.get("kind", "")).endswith("List"):
            count = count or 0
        if count is None:
            raise _NoListError
        return count, str((page.get("metadata") or {}).get("continue") or "")
    except _NoListError:
        raise RequestFailed(-1, "the answer is no list of objects") from None
    except (AttributeError, RecursionError, TypeError, ValueError):
        raise RequestFailed(-1, "the list, or an object of it, is not understood") from None


class _NoListError(Exception):
    """An answer that is no list of objects."""
