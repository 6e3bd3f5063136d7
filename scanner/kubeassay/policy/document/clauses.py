"""What comes of a document: clauses, which become controls, and notes on what does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kubeassay.model import SEVERITIES, Severity
from kubeassay.model.document import Block, Node
from kubeassay.policy.document.words import squashed, words

#: ``assumed``: how something was read that can be read otherwise. ``contradiction``: the document against itself or
#: Kubernetes. ``not-understood``: a value that looks like a demand, and no form of it is known. ``not-read``: a
#: block of another language, a diagram, say. ``prose``: what is said in words to people. ``no-demand``: what allows
#: everything.
NoteKind = Literal["contradiction", "assumed", "not-understood", "not-read", "prose", "no-demand"]

Use = dict[str, Any]
#: The severity of what a document demands, where the rule has no higher one of its own.
DOCUMENTED: Severity = "high"


@dataclass(frozen=True, slots=True)
class Note:
    """Something to be told of a line of the document. ``subject``: what stands there; ``reason``: a sentence."""

    kind: NoteKind
    line: int
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class Clause:
    """One demand of the document: uses of rules and expectations, as a control of a baseline writes them."""

    id: str
    title: str
    section: str
    line: int
    rules: tuple[Use, ...] = ()
    expectations: tuple[Use, ...] = ()
    #: The object that it comes of, where it comes of one.
    obj: Node | None = None


@dataclass(slots=True)
class Facts:
    """What other clauses are read by: the names that the document gives to things."""

    #: Namespace → (line, description).
    namespaces: dict[str, tuple[int, str]] = field(default_factory=dict)
    #: Those of them that stand in a list of application namespaces.
    application_namespaces: list[str] = field(default_factory=list)
    #: How many lists of namespaces the document has.
    namespace_lists: int = 0
    #: Namespaces that objects stand in, in order.
    used_namespaces: dict[str, int] = field(default_factory=dict)
    #: Namespace → names of workloads that objects name in it.
    workloads: dict[str, list[str]] = field(default_factory=dict)
    #: Group → the roles that bindings give it.
    groups: dict[str, list[str]] = field(default_factory=dict)
    #: (namespace, direction) of the policies that deny by default; without a namespace, everywhere.
    denied: set[tuple[str, str]] = field(default_factory=set)
    #: Field of a node group's size → (value, line), as first documented.
    sizes: dict[str, tuple[Any, int]] = field(default_factory=dict)
    #: Flag of the Cluster Autoscaler → (value, line), as first documented.
    autoscaler_flags: dict[str, tuple[Any, int]] = field(default_factory=dict)
    #: (the words of a name, namespace), and (the words of a description, namespace): see :meth:`namespace_called`.
    _called: dict[str, str] = field(default_factory=dict)
    _described: list[tuple[str, str]] = field(default_factory=list)
    cluster_name: str = ""
    #: Whether the document speaks of EKS.
    on_eks: bool = False
    kubernetes_version: str = ""

    def namespace_called(self, text: str) -> str | None:
        """The documented namespace that a text names, however it is spelled."""
        if len(self._called) != len(self.namespaces):
            self._called = {squashed(name): name for name in self.namespaces}
        return self._called.get(squashed(text))

    def namespaces_described(self, text: str) -> list[str]:
        """The documented namespaces in whose descriptions the words of a text stand in a row."""
        if len(self._described) != len(self.namespaces):
            self._described = [
                (f" {' '.join(words(description))} ", name) for name, (_, description) in self.namespaces.items()
            ]
        wanted = f" {' '.join(words(text))} "
        return [name for description, name in self._described if wanted in description]

    @property
    def own_namespaces(self) -> list[str]:
        """The documented namespaces that hold software of one's own: ``kube-*`` and, by convention, ``*-system`` hold
        what others wrote and give its ids."""
        return [name for name in self.namespaces if not name.startswith("kube-") and not name.endswith("-system")]


@dataclass(slots=True)
class Clauses:
    """The clauses and notes so far."""

    severities: Mapping[str, Severity]
    facts: Facts = field(default_factory=Facts)
    found: list[Clause] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    #: Nodes that a clause or a note accounts for, with all below them.
    accounted: set[Node] = field(default_factory=set)
    _ids: dict[str, int] = field(default_factory=dict)
    _noted: set[Note] = field(default_factory=set)

    def add(
        self,
        id_: str,
        title: str,
        block: Block,
        line: int,
        *,
        rules: Iterable[Use] = (),
        expectations: Iterable[Use] = (),
        obj: Node | None = None,
    ) -> None:
        """Add a clause, unless it demands nothing. An id that is taken gets a number."""
        uses, expected = tuple(rules), tuple(expectations)
        if not uses and not expected:
            return
        number = self._ids[id_] = self._ids.get(id_, 0) + 1
        unique = id_ if number == 1 else f"{id_}-{number}"
        self.found.append(Clause(unique, title, section_of(block), line, uses, expected, obj))

    def use(self, rule: str, parameters: Mapping[str, Any] | None = None, **match: Sequence[str]) -> list[Use]:
        """A use of a rule; nothing where there is no such rule (an older library, say)."""
        if rule not in self.severities:
            return []
        use = use_of(rule, self.severities[rule])
        if parameters:
            use["parameters"] = dict(parameters)
        narrowed = {key: list(value) for key, value in match.items() if value}
        if narrowed:
            use["match"] = narrowed
        return [use]

    def has(self, rule: str) -> bool:
        """Whether the library has a rule."""
        return rule in self.severities

    def note(self, kind: NoteKind, line: int, subject: str, reason: str) -> None:
        note = Note(kind, line, subject, reason)
        if note not in self._noted:
            self._noted.add(note)
            self.notes.append(note)

    def account(self, *nodes: Node) -> None:
        self.accounted.update(nodes)

    def accounts_within(self, node: Node) -> bool:
        """Whether a node, or anything below it, is accounted for."""
        return any(here in self.accounted for here in node.descendants())


def use_of(rule: str, severity: Severity) -> Use:
    """A use of a rule that has this severity of its own: what is documented is no less severe than others."""
    less = SEVERITIES.index(severity) > SEVERITIES.index(DOCUMENTED)
    return {"id": rule, "severity": DOCUMENTED} if less else {"id": rule}


def section_of(block: Block) -> str:
    """The headings of a block, as a control's source names its section."""
    return " / ".join(block.section)
