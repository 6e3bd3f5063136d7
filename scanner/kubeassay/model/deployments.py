"""What a result says of the deployers that were followed: an Application of Argo CD, a HelmRelease of Flux."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kubeassay.model.object import ObjectRef
from kubeassay.model.place import Location


@dataclass(frozen=True, slots=True)
class DeployedSource:
    """What is deployed. ``file``: the kustomization, the ``Chart.yaml`` or the folder of manifests; ``made_by``: the
    tool that rendered it and its version, empty for a folder, and where nothing was rendered."""

    file: str
    made_by: str = ""


@dataclass(frozen=True, slots=True)
class DeploymentResult:
    """One that was followed, and what its objects come to.

    ``object``, at ``location``, is what deploys; ``made_by``: the ApplicationSet that makes it. ``server``, ``cluster``
    and ``namespace`` are its destination, as far as it states that; ``environment``: that of several which its objects
    were judged in, empty for all. ``problems``: why it was not followed, or not all of it, a line each. ``objects``:
    how many it deploys; ``by_severity``: how many findings fail at these.
    """

    deployer: str
    object: ObjectRef
    location: Location
    made_by: ObjectRef | None = None
    project: str = ""
    server: str = ""
    cluster: str = ""
    namespace: str = ""
    environment: str = ""
    sources: tuple[DeployedSource, ...] = ()
    problems: tuple[str, ...] = ()
    objects: int = 0
    by_severity: Mapping[str, int] = field(default_factory=dict)

    @property
    def fail(self) -> int:
        """How many findings fail at its objects."""
        return sum(self.by_severity.values())
