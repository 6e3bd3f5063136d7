"""The API server that the live tests ask.

It is one of our own, which ``make test-live`` builds once per machine, or the cluster of the kubeconfig that
``KUBEASSAY_LIVE_KUBECONFIG`` names: a name of its own, since these tests make and remove objects, which nobody wants in
the cluster that KUBECONFIG happens to name.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from live import build
from live.api_server import ApiServer, OwnServer

KUBECONFIG = "KUBEASSAY_LIVE_KUBECONFIG"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here is live."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("live")


@pytest.fixture(scope="session")
def binaries() -> Path:
    """The folder of the binaries. A test run does not build them unasked: that takes minutes."""
    try:
        found = build.built()
    except build.UnavailableError as missing:
        pytest.skip(f"NO API SERVER: {missing}")
    if found is None:
        pytest.skip("NO API SERVER: it is not built yet; `make test-live` builds it, once, in about 8 minutes of CPU")
    return found


StartServer = Callable[..., OwnServer]


@pytest.fixture
def start_server(binaries: Path, tmp_path: Path) -> Iterator[StartServer]:
    """Starts an API server for one test, which may stop it or start it oddly: ``start_server(etcd_arguments=[…])``."""
    numbers = itertools.count()
    with contextlib.ExitStack() as servers:

        def start(**arguments: list[str]) -> OwnServer:
            return servers.enter_context(OwnServer(binaries, tmp_path / f"server{next(numbers)}", **arguments))

        yield start


@pytest.fixture(scope="session")
def api_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The API server of all tests: each makes namespaces of its own in it."""
    theirs = os.environ.get(KUBECONFIG)
    server: ApiServer
    if theirs:
        print(f"live tests run on the cluster of {theirs}", file=sys.stderr)
        server = ApiServer(Path(theirs))
    else:
        server = OwnServer(request.getfixturevalue("binaries"), tmp_path_factory.mktemp("live") / "server")
    with server:
        yield server


@pytest.fixture
def own_server(api_server: ApiServer) -> OwnServer:
    """The API server, where it is our own; a test that needs that is skipped on somebody's cluster."""
    if not isinstance(api_server, OwnServer):
        pytest.skip("this test needs an API server of its own")
    return api_server


@pytest.fixture(scope="session")
def controllers(api_server: ApiServer) -> ApiServer:
    """The API server with kube-controller-manager: somebody's cluster has it."""
    if isinstance(api_server, OwnServer):
        api_server.start_controllers()
    return api_server


@pytest.fixture
def namespaces(api_server: ApiServer) -> Iterator[Callable[..., str]]:
    """Makes namespaces (``namespaces("shop", {label: value})`` gives the name), and removes them after the test.

    Each has a name of its own: one that is removed stays for a while, and without a controller manager for good.
    """
    made: list[str] = []

    def make(name: str, labels: dict[str, str] | None = None) -> str:
        name = f"kubeassay-{name}-{secrets.token_hex(4)}"
        api_server.admin.namespace(name, labels)
        made.append(name)
        return name

    try:
        yield make
    finally:
        for name in made:
            api_server.admin.delete({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
