"""What the sources that make manifests out of other files (Kustomize, Helm) have in common.

A *demand* says what to render; a *builder* (sources/kustomize_build.py, sources/helm_template.py) makes an
:class:`Output` of it. The output is text as the tool printed it. Objects are read from it as from any file, and judged;
only where something is to be said of a field is its :class:`Tracer` asked which line of which source file states it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kubeassay.model import MadeOf, Object, Path, ReadError, Skipped, SourceDocument, Tracer

#: The namespace of a release of which nobody says another.
DEFAULT_NAMESPACE = "default"
#: Behind the name of the file that asks for a rendering: the name of the text that came of it. No file ends so.
RENDERED = " (rendered)"


@dataclass(frozen=True, slots=True)
class Limits:
    """What rendering may use. ``seconds``: of the clock, for one run of a tool. ``bytes``: of its output, and of the
    files that it is given. ``network``: whether it may load what is not in the tree. ``cache``: whether what a tool
    printed for the same files before may be taken for what it would print."""

    seconds: float = 60
    bytes: int = 64 * 2**20
    network: bool = False
    cache: bool = True


@dataclass(frozen=True, slots=True)
class KustomizeDemand:
    """A kustomization to build. ``directory``: a real path, with a kustomization file in it. ``name``: what reports
    call that file (``overlays/production/kustomization.yaml``). ``root``: the real path of the folder that everything
    it reads has to lie in: the scanned tree, or the repository that it is of.

    What a deployer (Argo CD, Flux) changes of it, as it does that, is in ``overrides``: fields of a kustomization
    that is put on top (``namePrefix``, ``images``, ``namespace``, ``commonLabels``, ``patches``…).
    """

    directory: str
    name: str
    root: str
    overrides: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StatedValues:
    """Where values stand that are given inline: as a mapping at a path of an object, in a document."""

    obj: Object
    path: Path
    document: SourceDocument


@dataclass(frozen=True, slots=True)
class HelmDemand:
    """A chart to template. ``chart``: the real path of its folder. ``name``: what reports call its ``Chart.yaml``.
    ``root``: as in :class:`KustomizeDemand`; values files have to lie in it as well, unless the user named them.

    ``values``: real paths of values files, in their order, the last one holds; ``inline``: values as YAML text, after
    these (as ``helm.values`` of an Application), and ``stated`` where an object states them; ``parameters``: ``--set``
    (and, where the second is True, ``--set-string``) in their order, after those. ``named``: of ``values``, those that
    the user named.
    """

    chart: str
    name: str
    root: str
    release: str = "release-name"
    namespace: str = DEFAULT_NAMESPACE
    values: tuple[str, ...] = ()
    inline: str = ""
    parameters: tuple[tuple[str, bool], ...] = ()
    named: frozenset[str] = frozenset()
    #: None: what Helm takes by itself.
    kube_version: str | None = None
    api_versions: tuple[str, ...] = ()
    #: Whether hooks and tests are judged as well; they are marked where they are.
    hooks: bool = False
    skip_crds: bool = False
    #: Of which the name is said in messages: an Application, perhaps.
    asked_by: str = ""
    stated: StatedValues | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Rendering:
    """What made the text of a file that nobody wrote.

    ``adjusted`` makes of each object what a deployer makes of it (its namespace); ``environment``: that of several
    environments that it is for, where what asks for it says so, else empty. ``written``: the name of the file that has
    this very text, where there is one: what is wrong with it is told there. ``asked_by``: the file and the name of what
    deploys it, by which environments are told apart, too. ``digest``: of all that its places depend on, but what the
    other fields say; empty where that is not known.
    """

    made_of: MadeOf
    made_by: str = ""
    adjusted: Callable[[Object], Object] | None = None
    environment: str = ""
    written: str = ""
    asked_by: tuple[str, str] = ("", "")
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """What came of a demand. ``text``: YAML documents as the tool printed them, less what was left out; empty where it
    failed. ``tracer`` None: nothing was rendered.

    ``sources``: the real paths of the files that its objects were made of; they are judged as part of it, not on their
    own.
    ``made_by``: tool and version ("kustomize v5.8.1"). ``errors``: why it failed, at the file and line that say so
    where that is known. ``skipped``: what was left out and why (hooks). ``notes``: what the user should know.
    ``digest``: of all that the text and its places depend on; empty where that is not known.
    """

    text: str
    tracer: Tracer | None
    sources: frozenset[str] = frozenset()
    made_by: str = ""
    errors: tuple[ReadError, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    digest: str = ""
