"""Following all objects of deployers that are known, and those that what they deploy holds in turn.

Who calls renders: it gives the objects of the tree, renders what is demanded, and gives the objects that came of it,
until nothing new is deployed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from kubeassay.analysis.gitops.applications import application, is_filled_in
from kubeassay.analysis.gitops.flux import SOURCES
from kubeassay.analysis.reading import string
from kubeassay.model import Inventory, Object, ReadError
from kubeassay.sources.deployers.applicationsets import generated_applications
from kubeassay.sources.deployers.argocd import application_deployment
from kubeassay.sources.deployers.flux import NoSourceError, flux_deployment, is_followed
from kubeassay.sources.deployers.model import Deployment, Findings, NotFollowed
from kubeassay.sources.deployers.repositories import Repositories

MAX_DEPLOYMENTS = 10_000
MAX_ROUNDS = 20


@dataclass(slots=True)
class Followed:
    """What one round found: new deployments, and what is to be said beside them."""

    deployments: list[Deployment] = field(default_factory=list)
    errors: list[ReadError] = field(default_factory=list)
    not_followed: list[NotFollowed] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def take(self, findings: Findings) -> None:
        self.errors += findings.errors
        self.not_followed += findings.not_followed
        self.notes += findings.notes


class Follower:
    """Follows objects, each once, however often it is found."""

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories
        self._objects: list[Object] = []
        self._seen: set[str] = set()
        self._waiting: list[Object] = []
        self._names: dict[tuple[str, str | None, str], list[str]] = defaultdict(list)
        self._count = 0
        self._rounds = 0

    def follow(self, objects: Iterable[Object]) -> Followed:
        """Follow what is new among the objects, and what waited for some of them. Never raises for what they hold; an
        application that deploys itself is followed once."""
        made = Followed()
        self._rounds += 1
        new = [obj for obj in objects if self._is_new(obj)]
        self._objects += new
        self._repositories.speak_of(url for obj in new for url in _repositories_of(obj))
        if self._rounds > MAX_ROUNDS:
            for obj in new:
                if is_followed(obj) or obj.ref.kind in ("Application", "ApplicationSet"):
                    made.not_followed.append(_limit(obj, f"it is found behind {MAX_ROUNDS} others"))
            return made
        inventory = Inventory(self._objects)
        waiting, self._waiting = self._waiting, []
        for obj in (*waiting, *new):
            self._one(obj, inventory, made)
        return made

    def finish(self) -> Followed:
        """What was not followed because its source was never found."""
        made = Followed()
        inventory = Inventory(self._objects)
        for obj in self._waiting:
            try:
                flux_deployment(obj, self._repositories, inventory)
            except NoSourceError as error:
                findings = Findings(obj)
                findings.add(error.problem)
                made.take(findings)
        self._waiting = []
        return made

    def _is_new(self, obj: Object) -> bool:
        # The same text in two files is two objects: folders of environments hold such.
        key = json.dumps([obj.file, obj.number, obj.value], sort_keys=True, default=str)
        if obj.ref.kind in ("Application", "ApplicationSet") or is_followed(obj):
            # One that deploys itself is found again as it was, in another file.
            key = json.dumps([obj.ref.group, obj.value], sort_keys=True, default=str)
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def _one(self, obj: Object, inventory: Inventory, made: Followed) -> None:
        generated = generated_applications(obj, self._repositories, inventory.objects)
        if generated is not None:
            made.take(generated.findings)
            for app in generated.applications:
                self._add(application_deployment(app, self._repositories, obj), made)
            return
        deployment = application_deployment(obj, self._repositories)
        if deployment is None:
            try:
                deployment = flux_deployment(obj, self._repositories, inventory)
            except NoSourceError:
                self._waiting.append(obj)
                return
        self._add(deployment, made)

    def _add(self, deployment: Deployment | None, made: Followed) -> None:
        if deployment is None:
            return
        self._count += 1
        obj = deployment.obj
        if self._count > MAX_DEPLOYMENTS:
            if self._count == MAX_DEPLOYMENTS + 1:
                made.not_followed.append(_limit(obj, f"more than {MAX_DEPLOYMENTS} deployments are not followed"))
            return
        names = self._names[obj.ref.kind, obj.ref.namespace, obj.ref.name]
        names.append(obj.file)
        if len(names) == 2:
            where = f" in {obj.ref.namespace}" if obj.ref.namespace else ""
            made.notes.append(f"several {obj.ref.kind}s are called {obj.ref.name}{where}; each is followed")
        made.deployments.append(deployment)


def _repositories_of(obj: Object) -> Iterator[str]:
    """The addresses of git repositories that an object names, as it states them."""
    app = application(obj)
    if app is not None:
        yield from (
            source.repo_url for source in app.sources if source.kind == "git" and not is_filled_in(source.repo_url)
        )
    elif obj.ref.kind == "GitRepository" and obj.ref.group == SOURCES:
        yield string(obj.get("spec", "url"))


def _limit(obj: Object, detail: str) -> NotFollowed:
    place = obj.locate(())
    return NotFollowed(
        place.file, place.start_line, place.start_column, "limit", f"{obj.ref.kind} {obj.ref.name}: {detail}"
    )
