"""Privilege escalation: how a subject comes to hold rights that nobody granted to it.

A graph of who can become whom. A subject that may run pods in a namespace can act as every service account there; one
that may change the ClusterRole it is bound to, with the verb escalate, can do everything. The shortest path of each
subject to one of two outcomes is what :func:`escalations` finds: ``cluster-admin`` (every verb on every resource in the
whole cluster) and ``node`` (root on a node).

Which requests matter: :mod:`kubeassay.analysis.access.abilities`. Not followed, because other programs than Kubernetes
decide what comes of them: objects that an operator or a delivery tool acts upon (an Argo CD Application, a policy of an
admission controller), identities that a cloud provider maps, and credentials in Secrets other than tokens of service
accounts. Nor is constrained impersonation (verbs ``impersonate:…``, on by default since Kubernetes 1.36): it allows
certain requests in the name of another, not all. A node that is made unattractive (nodes/status) or emptied
(pods/eviction) only moves pods to another node, which helps whoever holds that one already: ``node`` counts as every
node.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias, TypeVar

from kubeassay.analysis.access.abilities import WORKLOAD_KINDS, Ability, Allowed, allowed
from kubeassay.analysis.access.grants import (
    MASTERS,
    SERVICE_ACCOUNTS,
    Access,
    Binding,
    BoundSubject,
    Role,
    canonical,
    grants,
    groups_of,
)
from kubeassay.analysis.access.model import Grant, PolicyRule, Subject
from kubeassay.analysis.access.objects import BindingKind, RoleKind
from kubeassay.analysis.access.running import Running, RunningPods, account_of
from kubeassay.analysis.network.endpoints import Workload, namespace_of
from kubeassay.analysis.network.workloads import workloads
from kubeassay.analysis.reading import mapping, string
from kubeassay.analysis.selectors import labels_of
from kubeassay.model import NEWEST_KNOWN, Inventory, Object

Outcome = Literal["cluster-admin", "node"]
_T = TypeVar("_T")
_K = TypeVar("_K", bound=Hashable)
OUTCOMES: tuple[Outcome, ...] = ("cluster-admin", "node")

#: The system namespace holds pods of the node's own level, so no standard can be enforced there.
_SYSTEM_NAMESPACE = "kube-system"
_ENFORCE = "pod-security.kubernetes.io/enforce"
_TOKEN_TYPE = "kubernetes.io/service-account-token"
_TOKEN_OF = "kubernetes.io/service-account.name"
#: kubernetes v1.37.1, pkg/kubeapiserver/authorizer/reload.go: this group is authorized before all others are asked.
_ABOVE_RBAC = "which may do everything whatever RBAC says"
#: Until this minor version, every service account had a Secret with a token of its own.
_NO_TOKEN_SECRETS = 24
#: The signer of client certificates, and the wildcard of its domain.
#: kubernetes v1.37.1, pkg/certauthorization/certauthorization.go, IsAuthorizedForSignerName.
_CLIENT_SIGNERS = frozenset({"kubernetes.io/kube-apiserver-client", "kubernetes.io/*"})


@dataclass(frozen=True, slots=True)
class Use:
    """A rule that one step needs. ``grant`` None: the rule of a role that the subject binds itself to on the way."""

    rule: PolicyRule
    allowed: Allowed
    grant: Grant | None


@dataclass(frozen=True, slots=True)
class Step:
    """One step: ``source`` becomes ``target``. ``how`` is the predicate: "can …". ``assumption``: what must hold for it
    and is not known from the inputs; empty: nothing. ``evidence``: an object that the step goes through."""

    source: Subject | Outcome
    target: Subject | Outcome
    how: str
    uses: tuple[Use, ...]
    assumption: str = ""
    evidence: Object | None = None

    @property
    def who(self) -> str:
        """The source, as the subject of a sentence with ``how``."""
        return "whoever is on the node" if self.source == "node" else str(self.source)


@dataclass(frozen=True, slots=True)
class Escalation:
    """The shortest path of a subject to an outcome. ``group``: the group by which it has the rights of the first step,
    where these are not its own."""

    subject: Subject
    outcome: Outcome
    steps: tuple[Step, ...]
    group: Subject | None = None

    @property
    def assumptions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(step.assumption for step in self.steps if step.assumption))

    @property
    def direct(self) -> bool:
        """Whether the subject is granted everything, so that nothing escalates."""
        return len(self.steps) == 1 and all(use.allowed.ability == "everything" for use in self.steps[0].uses)

    @property
    def default(self) -> bool:
        """Whether Kubernetes itself grants what the first step needs."""
        return all(use.grant is not None and use.grant.bootstrap for use in self.steps[0].uses)


_PowerKind = Literal[
    "pods",
    "shell",
    "named-shell",
    "accounts",
    "named-accounts",
    "named-tokens",
    "named-secrets",
    "named-users",
    "named-groups",
    "written-tokens",
    "stored-tokens",
    "users",
    "identities",
    "any-role",
    "bindings",
    "role",
    "role-in-namespaces",
]


@dataclass(frozen=True, slots=True)
class _Power:
    """Something that a subject can do and that leads on: a node of the graph between two subjects."""

    kind: _PowerKind
    #: None: everywhere.
    namespace: str | None = None
    name: str = ""


_Node: TypeAlias = Subject | _Power | Outcome


class _Right(NamedTuple):
    """A rule that gives an ability, and by which binding it is held: a :class:`Use` that is not made yet, because few
    of them come to be part of a path. ``binding`` None: the subject binds itself to the role on the way."""

    allowed: Allowed
    number: int
    role: Role
    binding: Binding | None = None
    bound: BoundSubject | None = None

    @property
    def use(self) -> Use:
        grant = None
        if self.binding is not None and self.bound is not None:
            grant = next(self.binding.grants(self.bound, (self.number,)))
        return Use(self.role.rules[self.number], self.allowed, grant)


@dataclass(frozen=True, slots=True, eq=False)
class _Edge:
    target: _Node
    how: str
    uses: tuple[_Right, ...] = ()
    assumption: str = ""
    evidence: Object | None = None
    #: Whether it is a step by itself: what a power leads to belongs to the step that gave the power.
    cost: int = 1
    membership: bool = False
    #: How long it is among those of one cost.
    hops: int = 1


class Escalations:
    """The shortest paths of all subjects of an inventory. Made by :func:`escalations`."""

    def __init__(self, graph: _Graph) -> None:
        self._graph = graph
        #: The subjects that bindings name, sorted.
        self.subjects: tuple[Subject, ...] = graph.access.subjects
        self._reached: dict[tuple[Outcome, bool], Mapping[_Node, tuple[int, int]]] = {}
        self._paths: dict[tuple[Subject, Outcome], Escalation | None] = {}

    def path(self, subject: Subject, outcome: Outcome) -> Escalation | None:
        """The shortest path of a subject to an outcome; one without assumptions, where there is one. None: the inputs
        give no path."""
        key = (canonical(subject), outcome)
        if key not in self._paths:
            if self._graph.know(key[0]):
                self._reached.clear()
            found = None
            for certain in (True, False):
                distances = self._distances(outcome, certain=certain)
                if key[0] in distances:
                    found = self._walk(key[0], outcome, distances, certain=certain)
                    break
            self._paths[key] = found
        return self._paths[key]

    def default(self, subject: Subject) -> bool:
        """Whether a subject has nothing but what Kubernetes itself grants it."""
        return all(
            not binding.role.rules or (bound.default and all(binding.role.default))
            for binding, bound in self._graph.access.bound_to(subject)
        )

    def _distances(self, outcome: Outcome, *, certain: bool) -> Mapping[_Node, tuple[int, int]]:
        known = self._reached.get((outcome, certain))
        if known is None:
            known = self._reached[outcome, certain] = _search(self._graph.edges, outcome, certain=certain)
        return known

    def _walk(
        self, subject: Subject, outcome: Outcome, distances: Mapping[_Node, tuple[int, int]], *, certain: bool
    ) -> Escalation:
        steps: list[Step] = []
        source: Subject | Outcome = subject
        group: Subject | None = None
        node: _Node = subject
        words: list[str] = []
        uses: list[Use] = []
        assumptions: list[str] = []
        evidence = None
        while node != outcome:
            cost, hops = distances[node]
            edge = next(
                edge
                for edge in self._graph.edges[node]
                if not (certain and edge.assumption)
                and distances.get(edge.target, (-1, -1)) == (cost - edge.cost, hops - edge.hops)
            )
            node = edge.target
            if edge.membership:
                if not steps and isinstance(node, Subject):
                    group = node
                words.append(f"as a member of {node} ")
                continue
            # What a power leads to goes on with the sentence.
            words.append(edge.how if edge.cost == 0 else f"can {edge.how}")
            uses += (right.use for right in edge.uses)
            evidence = edge.evidence or evidence
            if edge.assumption and edge.assumption not in assumptions:
                assumptions.append(edge.assumption)
            if not isinstance(node, _Power):
                steps.append(Step(source, node, "".join(words), tuple(uses), " and ".join(assumptions), evidence))
                source, words, uses, assumptions, evidence = node, [], [], [], None
        return Escalation(subject, outcome, tuple(steps), group)


def escalations(inventory: Inventory, minor: int = NEWEST_KNOWN.minor) -> Escalations:
    """The ways to more rights that the RBAC objects of an inventory leave open, on a cluster of a minor version.
    Computed once for each."""
    key = (Escalations, minor)
    known = inventory.facts.get(key)
    if not isinstance(known, Escalations):
        known = inventory.facts[key] = Escalations(_Graph(inventory, grants(inventory, minor), minor))
    return known


def _search(
    edges: Mapping[_Node, Sequence[_Edge]], outcome: Outcome, *, certain: bool
) -> Mapping[_Node, tuple[int, int]]:
    """How many steps, and how many edges, the nodes are away from an outcome."""
    backwards: dict[_Node, list[tuple[_Node, int, int]]] = defaultdict(list)
    for node, outgoing in edges.items():
        for edge in outgoing:
            if not (certain and edge.assumption):
                backwards[edge.target].append((node, edge.cost, edge.hops))
    distances: dict[_Node, tuple[int, int]] = {}
    number = 0
    pending: list[tuple[int, int, int, _Node]] = [(0, 0, number, outcome)]
    while pending:
        cost, hops, _, node = heapq.heappop(pending)
        if node in distances:
            continue
        distances[node] = cost, hops
        for source, more, longer in backwards.get(node, ()):
            if source not in distances:
                number += 1
                heapq.heappush(pending, (cost + more, hops + longer, number, source))
    return distances


# --- the graph ---


class _Key(NamedTuple):
    """What an ability is held for: one entry for each, however many rules give it."""

    ability: Ability
    namespace: str | None
    names: tuple[str, ...]
    resource: str


_Held: TypeAlias = dict[_Key, _Right]


class _HeldRole(NamedTuple):
    role: Role
    #: None: by a ClusterRoleBinding.
    namespace: str | None
    #: Whether the subject has it by its own name, not by a group.
    own: bool = True


_Entry: TypeAlias = tuple[_Key, _Right]


class _Rights:
    """What a subject holds, its own rights first, then those of its groups.

    Steps that need several rights are the subject's where one of them is: what groups give together, the group tells
    that is in all of them (every group that a subject is in by being somebody is in the others, or they in it).
    """

    def __init__(self, own: _Held, held: _Held, roles: Sequence[_HeldRole]) -> None:
        self.own = own
        self.roles = roles
        #: Namespace → what is held there: see :meth:`_Graph._bits_of`.
        self.bits: dict[str | None, int] = {}
        self._by_ability: dict[Ability, list[_Entry]] = defaultdict(list)
        for key, use in held.items():
            self._by_ability[key.ability].append((key, use))

    def __getitem__(self, ability: Ability) -> Sequence[_Entry]:
        return self._by_ability.get(ability, ())

    def owns(self, *keys: _Key) -> bool:
        """Whether one of several rights is the subject's own."""
        return any(key in self.own for key in keys)


class _Made(NamedTuple):
    """A way to make a role of every right. ``names``: of these names alone; empty: of any. ``new``: the role is made,
    not changed; ``post``: by a request that does not name it, so that it must not exist yet."""

    namespace: str | None
    names: tuple[str, ...]
    new: bool
    post: bool
    entries: tuple[_Entry, ...]

    @property
    def keys(self) -> tuple[_Key, ...]:
        return tuple(key for key, _ in self.entries)

    @property
    def uses(self) -> tuple[_Right, ...]:
        return tuple(use for _, use in self.entries)


class _Graph:
    """Who can become whom, and what."""

    def __init__(self, inventory: Inventory, access: Access, minor: int) -> None:
        self.access = access
        self.edges: dict[_Node, list[_Edge]] = defaultdict(list)
        self._minor = minor
        self._inventory = inventory
        self._workloads = workloads(inventory)
        self._workloads_by_name = _grouped(self._workloads, lambda w: (w.obj.ref.kind, w.obj.ref.name))
        self._roles_by_name = _grouped(access.roles, lambda role: (role.kind, role.name))
        self._bindings_by_namespace = _grouped(access.bindings, lambda binding: binding.namespace)
        self._abilities: dict[int, tuple[tuple[int, Allowed], ...]] = {}
        self._roles: dict[str, Role] = {}
        self._accounts, self._by_namespace = _accounts(access, inventory, self._workloads)
        self._accounts_by_name = _grouped(self._accounts, lambda account: account.name)
        self._namespaces = _namespaces(inventory)
        self._tokens = _stored_tokens(inventory)
        self._tokens_by_name = _grouped(self._tokens, lambda token: token[0].ref.name)
        self._webhooks = {
            kind: {obj.ref.name for obj in inventory.of_kind(kind, "admissionregistration.k8s.io")}
            for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
        }
        self._running = RunningPods(inventory, self._workloads)
        self._known_accounts = frozenset(self._accounts)
        self._names: list[tuple[str, ...]] = []
        self._numbers: dict[tuple[str, ...], int] = {}
        self._keys: dict[int, tuple[tuple[int, Allowed, _Key], ...]] = {}
        self._idle: dict[int, frozenset[int]] = {}
        self._group_held: dict[str, tuple[_Held, list[_HeldRole]]] = {}
        self._pending: list[_Power] = []
        self._build()

    def _build(self) -> None:
        for subject in self.access.subjects:
            self._of_subject(subject)
        for account in self._accounts:
            self._memberships(account)
        self.edges[Subject("Group", MASTERS)].append(
            _Edge("cluster-admin", f"do everything: it is the group {_ABOVE_RBAC}")
        )
        for account, pod in self._running.accounts.get(None, {}).items():
            obj = pod.workload.obj
            how = f"read the tokens of the pods on it, among them those of {obj.ref}, which run as {account}"
            self.edges["node"].append(_Edge(account, how, (), pod.assumption, obj))
        done: set[_Power] = set()
        while self._pending:
            power = self._pending.pop()
            if power not in done:
                done.add(power)
                self.edges[power] = list(self._of_power(power))
        # Whoever steps lead to is in groups, too: the account that every namespace has, a user that a rule names.
        for target in [edge.target for edges in self.edges.values() for edge in edges]:
            if isinstance(target, Subject) and target not in self.edges:
                self._memberships(target)

    # --- what subjects hold ---

    def _role_abilities(self, role: Role) -> tuple[tuple[int, Allowed], ...]:
        known = self._abilities.get(id(role))
        if known is None:
            known = self._abilities[id(role)] = tuple(
                (number, ability) for number, rule in enumerate(role.rules) for ability in allowed(rule, self._minor)
            )
        return known

    def _keys_of(self, role: Role, namespace: str | None) -> Iterable[tuple[int, Allowed, _Key]]:
        """What a role gives in a namespace (None: in all, which is the same for all who have it there)."""
        if namespace is not None:
            for number, ability in self._role_abilities(role):
                key = _key(ability, namespace)
                if key is not None:
                    yield number, ability, key
            return
        known = self._keys.get(id(role))
        if known is None:
            keyed = ((number, ability, _key(ability, None)) for number, ability in self._role_abilities(role))
            known = self._keys[id(role)] = tuple((n, ability, key) for n, ability, key in keyed if key is not None)
        yield from known

    def _hold(self, bound_by: Iterable[tuple[Binding, BoundSubject]]) -> tuple[_Held, list[_HeldRole]]:
        held: _Held = {}
        roles: list[_HeldRole] = []
        for binding, bound in bound_by:
            roles.append(_HeldRole(binding.role, binding.namespace))
            for number, ability, key in self._keys_of(binding.role, binding.namespace):
                if key not in held:
                    held[key] = _Right(ability, number, binding.role, binding, bound)
        return held, roles

    def _of_group(self, name: str) -> tuple[_Held, list[_HeldRole]]:
        if name not in self._group_held:
            self._group_held[name] = self._hold(self.access.bound_to(Subject("Group", name)))
        return self._group_held[name]

    def _of_subject(self, subject: Subject) -> None:
        held, roles = self._hold(self.access.bound_to(subject))
        self._memberships(subject)
        together, all_roles = dict(held), list(roles)
        for group in groups_of(subject):
            if subject.kind == "Group" and group == subject.name:
                continue
            of_group, group_roles = self._of_group(group)
            for key, use in of_group.items():
                together.setdefault(key, use)
            all_roles += (role._replace(own=False) for role in group_roles)
        self._add(subject, self._outgoing(_Rights(held, together, all_roles)))

    def know(self, subject: Subject) -> bool:
        """Take in a subject that neither a binding nor anything else names; False: it is known already."""
        if subject in self.edges:
            return False
        self._memberships(subject)
        return True

    def _memberships(self, subject: Subject) -> None:
        if any(edge.membership for edge in self.edges[subject]):
            return
        for group in groups_of(subject):
            if not (subject.kind == "Group" and group == subject.name):
                self.edges[subject].append(_Edge(Subject("Group", group), "", cost=0, membership=True))

    def _add(self, source: _Node, found: Iterable[_Edge]) -> None:
        known: set[tuple[_Node, bool]] = set()
        for edge in found:
            if (edge.target, bool(edge.assumption)) not in known:
                known.add((edge.target, bool(edge.assumption)))
                if not any(use.bound is not None and canonical(use.bound.subject) == source for use in edge.uses):
                    # By rights of a group that does it as well alone, as a member is told before.
                    edge = replace(edge, hops=3)
                self.edges[source].append(edge)
                if isinstance(edge.target, _Power):
                    self._pending.append(edge.target)

    # --- where abilities lead ---

    def _outgoing(self, rights: _Rights) -> Iterator[_Edge]:
        """The edges of a subject."""
        for key, use in rights.own.items():
            yield from self._alone(key, use)
        yield from self._written_tokens(rights)
        made: dict[RoleKind, list[_Made]] = {
            "ClusterRole": list(_made(rights, "ClusterRole")),
            "Role": list(_made(rights, "Role")),
        }
        yield from self._own_role(rights, made)
        yield from self._bind(rights)
        yield from self._bind_made(rights, made)
        yield from self._groups(rights)
        yield from self._certificates(rights)
        yield from self._mutating_policies(rights)
        yield from self._lifted_admission(rights)

    def _alone(self, key: _Key, use: _Right) -> Iterator[_Edge]:
        """Where one ability leads by itself."""
        ability, namespace, names = key.ability, key.namespace, key.names
        where = _where(namespace)
        what = f"{use.allowed.verb} {use.allowed.resource}"
        if ability == "everything":
            if namespace is None:
                yield _Edge("cluster-admin", "do everything: it is granted every verb on every resource", (use,))
        elif ability == "create-pods" or (ability == "change-workloads" and not names):
            called = f" named {names[0]}" if names else ""
            yield _Edge(_Power("pods", namespace), f"{what}{called} {where}", (use,))
        elif ability == "change-workloads":
            yield from self._named_workloads(key, use)
        elif ability in ("change-pods", "debug-pods", "exec"):
            yield from self._entered(key, use)
        elif ability == "read-secrets":
            if not names:
                yield _Edge(_Power("stored-tokens", namespace), f"{what} {where}", (use,))
            elif self._tokens:
                yield _Edge(self._named("named-secrets", namespace, names), what, (use,))
        elif ability in ("request-tokens", "impersonate-accounts"):
            verb = "create tokens of" if ability == "request-tokens" else "impersonate"
            if not names:
                yield _Edge(_Power("accounts", namespace), f"{verb} service accounts {where}", (use,))
            else:
                kind: _PowerKind = "named-tokens" if ability == "request-tokens" else "named-accounts"
                yield _Edge(self._named(kind, namespace, names), verb, (use,))
        elif ability == "impersonate-users":
            if names:
                yield _Edge(self._named("named-users", None, names), "impersonate", (use,))
            else:
                yield _Edge(_Power("users"), "impersonate users", (use,))
        elif ability == "nodes-proxy":
            yield _Edge("node", f"{what}: the kubelet runs commands in every container of a node", (use,))
        elif ability == "write-mutating-webhooks":
            assumption = self._unknown_webhook("MutatingWebhookConfiguration", key, use)
            how = f"{what}: a webhook changes what others, controllers too, create"
            yield _Edge("cluster-admin", how, (use,), assumption)
        elif ability == "write-validating-webhooks":
            assumption = self._unknown_webhook("ValidatingWebhookConfiguration", key, use)
            listens = "tokens are written into Secrets while the webhook listens"
            yield _Edge(
                _Power("stored-tokens"),
                f"{what}: a webhook sees every Secret that is written",
                (use,),
                f"{assumption} and {listens}" if assumption else listens,
            )

    def _named(self, kind: _PowerKind, namespace: str | None, names: tuple[str, ...]) -> _Power:
        """A power over what has some names, the same for all who have it over these."""
        number = self._numbers.get(names)
        if number is None:
            number = self._numbers[names] = len(self._names)
            self._names.append(names)
        return _Power(kind, namespace, str(number))

    def _unknown_webhook(self, kind: str, key: _Key, use: _Right) -> str:
        """What must hold for a webhook configuration of some names to be there; empty: nothing."""
        if use.allowed.verb == "create" or not key.names or self._webhooks[kind].intersection(key.names):
            return ""
        return f"{kind} {key.names[0]}, which is not among the inputs, exists"

    def _named_workloads(self, key: _Key, use: _Right) -> Iterator[_Edge]:
        """Workloads of some names that may be changed: their pods run as any account of their namespace."""
        what = f"{use.allowed.verb} {use.allowed.resource}"
        kind = WORKLOAD_KINDS[use.allowed.resource]
        assumed = False
        for name in key.names:
            found = self._workloads_by_name.get((kind, name), ())
            known = {w.namespace: w for w in found if key.namespace in (None, w.namespace)}
            for namespace, workload in known.items():
                how = f"{what} {name} in namespace {namespace}"
                yield _Edge(_Power("pods", namespace), how, (use,), evidence=workload.obj)
            if not known and key.namespace is not None and not assumed:
                # One is enough: they lead to the same.
                assumed = True
                assumption = f"{kind} {key.namespace}/{name}, which is not among the inputs, exists"
                how = f"{what} {name} in namespace {key.namespace}"
                yield _Edge(_Power("pods", key.namespace), how, (use,), assumption)

    def _entered(self, key: _Key, use: _Right) -> Iterator[_Edge]:
        """Pods whose containers run what one likes: with their tokens, and as root of the node where they are. A
        container that is added to one may be privileged where no standard is enforced."""
        what = f"{use.allowed.verb} {use.allowed.resource} {_where(key.namespace)}"
        if key.names:
            yield _Edge(self._named("named-shell", key.namespace, key.names), what, (use,))
        else:
            yield _Edge(_Power("shell", key.namespace), what, (use,))
        if key.ability != "debug-pods":
            return
        added = ", and add a privileged container to those of"
        if not key.names:
            namespaces = self._running.first if key.namespace is None else (key.namespace,)
            if key.namespace is None:
                # No cluster is without pods in its system namespace.
                yield _Edge("node", f"{what}, and so add a privileged container to a pod", (use,))
            for namespace in namespaces:
                pod = self._running.first.get(namespace)
                for assumption, _ in self._unenforced(namespace):
                    if pod is not None:
                        parts = (pod.assumption, assumption)
                        obj = pod.workload.obj
                        yield _Edge("node", f"{what}{added} {obj.ref}", (use,), _joined(*parts), obj)
                    else:
                        system = namespace == _SYSTEM_NAMESPACE
                        runs = "" if system else f"a pod runs in namespace {namespace}"
                        how = f"{what}, and so add a privileged container to a pod"
                        yield _Edge("node", how, (use,), _joined(runs, assumption))
            return
        for pod, called in self._running.named(key.namespace, key.names):
            for assumption, _ in self._unenforced(pod.workload.namespace):
                obj = pod.workload.obj
                yield _Edge("node", f"{what}{added} {obj.ref}", (use,), _joined(called, assumption), obj)

    def _written_tokens(self, rights: _Rights) -> Iterator[_Edge]:
        """A Secret of the type of a token is filled with one by a controller: whoever may read it has the token. One
        that may be read by name only must not be there yet, or be deleted first: its type cannot be changed."""
        readers = [*rights["read-secrets"], *rights["patch-secrets"]]
        deleters = rights["delete-secrets"]
        for namespace, (creating, first), (reading, second) in _both(rights["create-secrets"], readers):
            if not rights.owns(creating, reading):
                continue
            how = f"create and {second.allowed.verb} secrets {_where(namespace)}"
            names = _common(creating.names, reading.names)
            if names == ():
                yield _Edge(_Power("written-tokens", namespace), how, (first, second))
                continue
            for name in names or ():
                deletes = next(
                    (
                        use
                        for key, use in deleters
                        if key.namespace in (None, namespace) and (not key.names or name in key.names)
                    ),
                    None,
                )
                named = f"{how}, of the name {name}"
                if deletes is not None:
                    yield _Edge(_Power("written-tokens", namespace), named, (first, second, deletes))
                else:
                    assumption = f"no Secret {name} exists {'somewhere' if namespace is None else _where(namespace)}"
                    yield _Edge(_Power("written-tokens", namespace), named, (first, second), assumption)

    def _own_role(self, rights: _Rights, made: Mapping[RoleKind, Sequence[_Made]]) -> Iterator[_Edge]:
        """With escalate, a role may be given more than its writer has: the one that the writer is bound to, or, with
        the labels that it selects by, one that is aggregated into that.

        kubernetes v1.37.1, pkg/registry/rbac/clusterrole/policybased; pkg/controller/clusterroleaggregation.
        """
        by_namespace = _grouped(rights.roles, lambda held_role: (held_role.role.kind, held_role.role.namespace))
        aggregated = [held_role for held_role in rights.roles if held_role.role.aggregated]
        for kind, ways in made.items():
            of_kind = [held_role for held_role in rights.roles if held_role.role.kind == kind]
            # What is held is changed rather than made anew.
            for way in sorted(ways, key=lambda way: way.new):
                verb, resource = way.uses[1].allowed.verb, way.uses[1].allowed.resource
                owned = rights.owns(*way.keys)
                in_reach = of_kind if way.namespace is None else by_namespace.get((kind, way.namespace), ())
                for role, bound_in, own in in_reach if not way.new else ():
                    if (owned or own) and (not way.names or role.name in way.names):
                        how = f"escalate and {verb} {resource}: give {kind} {role.name}, which it holds"
                        yield self._every_right(bound_in, how, way.uses)
                for role, bound_in, own in aggregated if kind == "ClusterRole" else ():
                    part = self._part_of(role, way)
                    if part is not None and (owned or own):
                        how = f"escalate and {verb} {resource}: give {part}, labelled to be part of ClusterRole"
                        yield self._every_right(bound_in, f"{how} {role.name}, which it holds", way.uses)

    def _every_right(self, bound_in: str | None, how: str, uses: tuple[_Right, ...]) -> _Edge:
        """Where a role leads, bound in a namespace or in all, that is given every right."""
        if bound_in is None:
            return _Edge("cluster-admin", f"{how}, every right", uses)
        how = f"{how} in namespace {bound_in}, every right"
        return _Edge(self._role_power(None, bound_in, in_namespaces=True), how, uses)

    def _part_of(self, role: Role, way: _Made) -> str | None:
        """What can be made a part of an aggregated ClusterRole; None: nothing."""
        if way.new:
            return f"ClusterRole {way.names[0]}" if way.names else "a new ClusterRole"
        # Any role can be labelled so. Who may change all changes the aggregated one itself.
        name = next((n for n in way.names if n != role.name and ("ClusterRole", n) in self._roles_by_name), None)
        return None if name is None else f"ClusterRole {name}"

    def _bind(self, rights: _Rights) -> Iterator[_Edge]:
        """With bind, a role may be bound that grants more than its binder has."""
        for binding_kind, write, role_kind, bind in _BINDING_WAYS:
            if not rights[write]:
                continue
            binders = [entry for entry in rights[bind] if entry[1].number not in self._idle_binds(entry[1].role)]
            for scope, (binds, first), (writes, second) in _both(binders, rights[write]):
                if binding_kind == "ClusterRoleBinding" and binds.namespace is not None:
                    continue
                if not rights.owns(binds, writes):
                    continue
                verb, resource = second.allowed.verb, second.allowed.resource
                where = "" if binding_kind == "ClusterRoleBinding" else f" {_where(scope)}"
                if verb != "create" and not binds.names and not writes.names:
                    how = f"{verb} {resource}{where} and bind {first.allowed.resource}"
                    yield _Edge(_Power("bindings", scope, f"{binding_kind} {role_kind}"), how, (first, second))
                    continue
                for role in self._bindable(binding_kind, role_kind, scope, binds.names, verb, writes.names):
                    if role is not None and self._gains[id(role)] & ~self._bits_of(rights, scope) == 0:
                        # Nothing that it would lead to is not held already: chains of roles end here.
                        continue
                    how = f"{verb} {resource}{where} and bind {first.allowed.resource}"
                    if role is None and binding_kind == "ClusterRoleBinding":
                        yield _Edge("cluster-admin", f"{how}: bind itself to cluster-admin", (first, second))
                    elif role is None and role_kind == "ClusterRole":
                        target = self._role_power(None, scope, in_namespaces=True)
                        yield _Edge(target, f"{how}: bind itself to cluster-admin there", (first, second))
                    elif role is None:
                        yield _Edge(_Power("any-role", scope), how, (first, second))
                    else:
                        target = self._role_power(role, scope, in_namespaces=binding_kind == "RoleBinding")
                        yield _Edge(target, f"{how}: bind itself to {role.kind} {role.name}", (first, second))

    def _idle_binds(self, role: Role) -> frozenset[int]:
        """The rules of a role that allow to bind by name only what gives nothing that the role does not."""
        known = self._idle.get(id(role))
        if known is None:
            binds = [(n, a) for n, a in self._role_abilities(role) if a.ability.startswith("bind-")]
            useful = {
                number
                for number, ability in binds
                if ability.ability != "bind-cluster-roles"
                or not ability.names
                or any(
                    self._gains[id(bound)] & ~self._gives[id(role)]
                    for name in ability.names
                    for bound in self._roles_by_name.get(("ClusterRole", name), ())
                )
            }
            known = self._idle[id(role)] = frozenset(number for number, _ in binds) - useful
        return known

    def _bits_of(self, rights: _Rights, scope: str | None) -> int:
        """What a subject has by itself in a namespace (None: in all), as :attr:`_gives` has it."""
        found = rights.bits.get(scope)
        if found is None:
            found = 0
            for role, bound_in, own in rights.roles:
                if own and bound_in in (None, scope):
                    found |= self._gives[id(role)]
            rights.bits[scope] = found
        return found

    def _bind_made(self, rights: _Rights, made: Mapping[RoleKind, Sequence[_Made]]) -> Iterator[_Edge]:
        """With escalate and bind, a role of every right is made, and bound."""
        for binding_kind, write, role_kind, bind in _BINDING_WAYS if any(made.values()) else ():
            for scope, (binds, first), (writes, second) in _both(rights[bind], rights[write]):
                if binding_kind == "ClusterRoleBinding" and binds.namespace is not None:
                    continue
                for way in made[role_kind]:
                    if role_kind == "ClusterRole" or way.namespace is None:
                        where = scope
                    elif scope in (None, way.namespace):
                        where = way.namespace
                    else:
                        continue
                    if not rights.owns(binds, writes, *way.keys):
                        continue
                    verb, resource = second.allowed.verb, second.allowed.resource
                    name = self._made_name(binding_kind, role_kind, where, way, binds.names, verb, writes.names)
                    if name is None:
                        continue
                    how = f"{way.uses[1].allowed.verb} and escalate {way.uses[1].allowed.resource}"
                    how += f": give {f'{role_kind} {name}' if name else f'a new {role_kind}'} every right"
                    how += f", then {verb} {resource}"
                    uses = (*way.uses, first, second)
                    if binding_kind == "ClusterRoleBinding":
                        yield _Edge("cluster-admin", f"{how} and bind itself to it", uses)
                        break
                    target = self._role_power(None, where, in_namespaces=True)
                    yield _Edge(target, f"{how} {_where(where)} and bind itself to it", uses)

    def _made_name(
        self,
        binding_kind: BindingKind,
        role_kind: RoleKind,
        scope: str | None,
        way: _Made,
        bindable: tuple[str, ...],
        verb: str,
        binding_names: tuple[str, ...],
    ) -> str | None:
        """The name of a role that can be given every right and be bound; empty: any new one; None: there is none."""
        names = _common(way.names, bindable)
        if names is None:
            return None
        if verb != "create":
            if way.new:
                return None
            bound = self._of_bindings(binding_kind, role_kind, scope, names, binding_names)
            return next((role.name for role in bound), None)
        if way.new and not way.post:
            return names[0] if names else ""
        existing = (
            name
            for name in names or (key[1] for key in self._roles_by_name if key[0] == role_kind)
            if any(
                role_kind == "ClusterRole" or scope in (None, role.namespace)
                for role in self._roles_by_name.get((role_kind, name), ())
            )
        )
        if not way.new:
            return next(existing, None)
        if not names:
            return ""
        there = set(existing)
        return next((name for name in names if name not in there), None)

    def _bindable(
        self,
        binding_kind: BindingKind,
        role_kind: RoleKind,
        scope: str | None,
        names: tuple[str, ...],
        verb: str,
        binding_names: tuple[str, ...],
    ) -> Iterator[Role | None]:
        """The roles that a subject can bind itself to; None for any. What may only be changed, not created, exists: the
        roleRef of a binding cannot be changed, its subjects can."""
        if verb == "create":
            if not names:
                yield None
            for role in (role for name in names for role in self._roles_by_name.get((role_kind, name), ())):
                if role_kind != "Role" or scope == role.namespace:
                    yield role
            return
        yield from self._of_bindings(binding_kind, role_kind, scope, names, binding_names)

    def _of_bindings(
        self,
        binding_kind: str,
        role_kind: str,
        scope: str | None,
        names: tuple[str, ...],
        binding_names: tuple[str, ...],
    ) -> Iterator[Role]:
        """The roles of some names to which bindings of some names bind; empty: of all names."""
        found: dict[int, Role] = {}
        in_scope = self.access.bindings if scope is None else self._bindings_by_namespace.get(scope, ())
        for binding in in_scope:
            role = binding.role
            if (
                binding.kind == binding_kind
                and role.kind == role_kind
                and (not binding_names or binding.name in binding_names)
                and (not names or role.name in names)
            ):
                found[id(role)] = role
        yield from found.values()

    def _role_power(self, role: Role | None, namespace: str | None, *, in_namespaces: bool) -> _Power:
        """Holding a role in a namespace (None: in all); role None: cluster-admin. ``in_namespaces`` False: by a
        ClusterRoleBinding, so in the whole cluster."""
        if role is None:
            role = self._roles_by_name["ClusterRole", "cluster-admin"][0]
        key = f"{role.kind} {role.namespace}/{role.name}"
        self._roles.setdefault(key, role)
        return _Power("role-in-namespaces", namespace, key) if in_namespaces else _Power("role", None, key)

    def _groups(self, rights: _Rights) -> Iterator[_Edge]:
        """Groups are impersonated together with a user or a service account, never alone.

        apiserver v0.37.1, pkg/endpoints/filters/impersonation: "requested … without impersonating a user".
        """
        people = (*rights["impersonate-users"], *rights["impersonate-accounts"])
        # Any will do: one's own, where there is one.
        chosen = next((entry for entry in people if rights.owns(entry[0])), next(iter(people), None))
        if chosen is None:
            return
        who, somebody = chosen
        for key, use in rights["impersonate-groups"]:
            if not rights.owns(who, key):
                continue
            how = f"impersonate {somebody.allowed.resource} in"
            if key.names:
                yield _Edge(self._named("named-groups", None, key.names), how, (use, somebody))
            else:
                yield _Edge("cluster-admin", f"{how} Group {MASTERS}, {_ABOVE_RBAC}", (use, somebody))

    def _certificates(self, rights: _Rights) -> Iterator[_Edge]:
        """A client certificate names any user and any groups but system:masters.

        kubernetes v1.37.1, plugin/pkg/admission/certificates/subjectrestriction.
        """
        # A subject's own rights come first.
        create, approve = next(iter(rights["create-csrs"]), None), next(iter(rights["approve-csrs"]), None)
        signers = (e for e in rights["approve-signer"] if not e[0].names or _CLIENT_SIGNERS.intersection(e[0].names))
        signer = next(signers, None)
        if create and approve and signer and rights.owns(create[0], approve[0], signer[0]):
            how = "create and approve certificatesigningrequests for client certificates"
            yield _Edge(_Power("identities"), how, (create[1], approve[1], signer[1]))

    def _mutating_policies(self, rights: _Rights) -> Iterator[_Edge]:
        for (first, policy), (second, binding) in zip(
            rights["write-mutating-policies"][:1], rights["write-mutating-policy-bindings"][:1], strict=False
        ):
            if not rights.owns(first, second):
                continue
            how = f"{policy.allowed.verb} mutatingadmissionpolicies and bind them: change what others create"
            yield _Edge("cluster-admin", how, (policy, binding))

    def _lifted_admission(self, rights: _Rights) -> Iterator[_Edge]:
        """Two ways to the node past Pod Security Admission: taking the namespace's label off, and a persistent volume
        of the node's file system, which no level looks into."""
        runs = [(key, use) for key, use in rights["create-pods"]]
        runs += [(key, use) for key, use in rights["change-workloads"] if not key.names]
        for namespace, (labels, first), (running, second) in _both(rights["change-namespaces"], runs):
            if not rights.owns(labels, running):
                continue
            if namespace is not None and (not labels.names or namespace in labels.names):
                what = f"{second.allowed.verb} {second.allowed.resource}"
                how = f"{first.allowed.verb} namespace {namespace}, so that no standard is enforced, and {what} there"
                yield _Edge("node", f"{how}, with access to the node", (first, second))
        for held, volumes in rights["create-persistent-volumes"]:
            for key, use in runs[:1]:
                if not rights.owns(held, key):
                    continue
                what = f"{use.allowed.verb} {use.allowed.resource} {_where(key.namespace)}"
                how = f"create persistentvolumes of the node's file system, and {what} that mount them"
                yield _Edge("node", how, (volumes, use))

    # --- where powers lead ---

    def _of_power(self, power: _Power) -> Iterator[_Edge]:
        """The edges of a power. They cost nothing: the power did."""
        namespace = power.namespace
        if power.kind in ("role", "role-in-namespaces"):
            yield from self._of_role(power)
        elif power.kind == "any-role":
            for role in self.access.roles:
                if role.kind == "Role" and namespace in (None, role.namespace):
                    target = self._role_power(role, role.namespace, in_namespaces=True)
                    self._pending.append(target)
                    yield _Edge(target, f": bind itself to Role {role.namespace}/{role.name}", cost=0)
        elif power.kind == "bindings":
            binding_kind, _, role_kind = power.name.partition(" ")
            for role in self._of_bindings(binding_kind, role_kind, namespace, (), ()):
                target = self._role_power(role, namespace, in_namespaces=binding_kind == "RoleBinding")
                self._pending.append(target)
                yield _Edge(target, f": bind itself to {role.kind} {role.name}", cost=0)
        elif power.kind == "users":
            for subject in self.access.subjects:
                if subject.kind == "User":
                    yield _Edge(subject, f", among them {subject}", cost=0)
        elif power.kind == "identities":
            for subject in self.access.subjects:
                if subject.kind != "ServiceAccount" and subject.name != MASTERS:
                    yield _Edge(subject, f", and so be {subject}", cost=0)
        elif power.kind == "pods":
            yield from self._node_of_pods(namespace)
            for account in self._accounts_in(namespace):
                yield _Edge(account, f", which can run as {account}", cost=0)
        elif power.kind == "shell":
            for account, pod in self._running.accounts.get(namespace, {}).items():
                obj = pod.workload.obj
                how = f", among them those of {obj.ref}, which run as {account}"
                yield _Edge(account, how, (), pod.assumption, obj, cost=0)
            root = self._running.roots.get(namespace)
            if root is not None:
                obj = root.workload.obj
                yield _Edge("node", f", among them those of {obj.ref}, which {root.root}", (), root.assumption, obj, 0)
        elif power.kind == "named-shell":
            yield from self._named_pods(namespace, self._names[int(power.name)])
        elif power.kind.startswith("named-"):
            yield from self._of_named(power, self._names[int(power.name)])
        elif power.kind == "stored-tokens":
            known: set[Subject] = set()
            for secret, account in self._tokens:
                if namespace in (None, account.namespace) and account not in known:
                    known.add(account)
                    yield _Edge(account, f", among them {secret.ref}, a token of {account}", cost=0, evidence=secret)
            for account in self._accounts_in(namespace):
                if account not in known:
                    assumption = f"a Secret holds a token of {account} (before Kubernetes 1.24 one did)"
                    if self._minor < _NO_TOKEN_SECRETS:
                        assumption = ""
                    yield _Edge(account, f", among them a token of {account}", (), assumption, cost=0)
        elif power.kind == "written-tokens":
            for account in self._accounts_in(namespace):
                yield _Edge(account, f", and so have a token of {account}", cost=0)
        else:
            for account in self._accounts_in(namespace):
                yield _Edge(account, f", among them {account}", cost=0)

    def _of_named(self, power: _Power, names: tuple[str, ...]) -> Iterator[_Edge]:
        """Where a power over what has some names leads."""
        namespace = power.namespace
        for name in names:
            if power.kind == "named-secrets":
                for secret, account in self._tokens_by_name.get(name, ()):
                    if namespace in (None, account.namespace):
                        how = f", among them {secret.ref}, a token of {account}"
                        yield _Edge(account, how, cost=0, evidence=secret)
            elif power.kind == "named-users":
                # A user of the form of a service account is checked as that account.
                if canonical(Subject("User", name)).kind == "User":
                    yield _Edge(Subject("User", name), f" User {name}", cost=0)
            elif power.kind == "named-groups":
                if name == MASTERS:
                    yield _Edge("cluster-admin", f" Group {name}, {_ABOVE_RBAC}", cost=0)
                else:
                    yield _Edge(Subject("Group", name), f" Group {name}", cost=0)
            elif namespace is None:
                for account in self._accounts_by_name.get(name, ()):
                    yield _Edge(account, f" {account}", cost=0)
            else:
                account, assumption = Subject("ServiceAccount", name, namespace), ""
                if power.kind == "named-tokens" and account not in self._known_accounts:
                    # Who is impersonated need not exist; a token is made of an account that does.
                    assumption = f"{account}, which nothing among the inputs names, exists"
                yield _Edge(account, f" ServiceAccount {name}", (), assumption, cost=0)

    def _of_role(self, power: _Power) -> Iterator[_Edge]:
        """What a subject can do that has bound itself to a role. It still is the same step."""
        role, namespace = self._roles[power.name], power.namespace
        held: _Held = {}
        for number, ability in self._role_abilities(role):
            # RoleBindings grant nothing on what is in no namespace, in however many namespaces they are.
            if power.kind == "role-in-namespaces" and (not ability.namespaced or ability.ability == "everything"):
                continue
            key = _key(ability, namespace)
            if key is not None:
                held.setdefault(key, _Right(ability, number, role))
        for edge in self._outgoing(_Rights(held, held, [_HeldRole(role, namespace)])):
            if isinstance(edge.target, _Power):
                self._pending.append(edge.target)
            yield _Edge(edge.target, f", then {edge.how}", edge.uses, edge.assumption, edge.evidence, cost=0)

    @cached_property
    def _gives(self) -> Mapping[int, int]:
        """By role: the abilities that it gives, each a bit. The first is never given: see :attr:`_gains`."""
        bits: dict[_Key, int] = {}
        found: dict[int, int] = {}
        for role in self.access.roles:
            given = 0
            for _, ability in self._role_abilities(role):
                key = _key(ability, None)
                # What may be bound by name is told by where that leads.
                if key is not None and not (key.ability == "bind-cluster-roles" and key.names):
                    given |= bits.setdefault(key, 2 << len(bits))
            found[id(role)] = given
        return found

    @cached_property
    def _gains(self) -> Mapping[int, int]:
        """By role: the abilities of all roles that whoever holds it may bind itself to by name, its own among them. The
        first bit stands for what is not of this kind: roles that are changed, or not named."""
        found: dict[int, int] = {}
        holders: dict[int, list[Role]] = defaultdict(list)
        for role in self.access.roles:
            gains = self._gives[id(role)]
            for _, ability in self._role_abilities(role):
                if ability.ability == "bind-cluster-roles" and ability.names:
                    for bound in (b for n in ability.names for b in self._roles_by_name.get(("ClusterRole", n), ())):
                        holders[id(bound)].append(role)
                elif ability.ability.startswith(("bind-", "escalate-")):
                    gains |= 1
            found[id(role)] = gains
        pending = list(self.access.roles)
        while pending:
            role = pending.pop()
            gains = found[id(role)]
            for holder in holders.get(id(role), ()):
                if gains & ~found[id(holder)]:
                    found[id(holder)] |= gains
                    pending.append(holder)
        return found

    def _accounts_in(self, namespace: str | None) -> Sequence[Subject]:
        if namespace is None:
            return self._accounts
        return self._by_namespace.get(namespace) or (Subject("ServiceAccount", "default", namespace),)

    def _named_pods(self, namespace: str | None, names: tuple[str, ...]) -> Iterator[_Edge]:
        """Where pods of some names lead: to each account and to the node, once for certain and once assumed."""
        done: set[tuple[_Node, bool]] = set()
        found: list[tuple[_Node, str, Running, str]] = []
        for pod, assumption in self._running.named(namespace, names):
            if pod.has_token:
                found.append((pod.account, f"whose pods run as {pod.account}", pod, assumption))
            if pod.root:
                found.append(("node", f"whose pods {pod.root}", pod, assumption))
        for target, how, pod, assumption in found:
            if (target, bool(assumption)) not in done:
                done.add((target, bool(assumption)))
                obj = pod.workload.obj
                yield _Edge(target, f" for {obj.ref}, {how}", (), assumption, obj, cost=0)

    def _node_of_pods(self, namespace: str | None) -> Iterator[_Edge]:
        """Pods that may be privileged, or mount the node's file system, are the node."""
        for assumption, obj in self._unenforced(namespace):
            yield _Edge("node", ", with access to the node", (), assumption, obj, cost=0)

    def _unenforced(self, namespace: str | None) -> Iterator[tuple[str, Object | None]]:
        """Whether a namespace takes pods of any kind: nothing, or what must hold for it, and what shows it."""
        if namespace is None or namespace == _SYSTEM_NAMESPACE:
            yield "", None
            return
        stated = self._namespaces.get(namespace)
        if stated is None:
            yield f"namespace {namespace}, which is not among the inputs, enforces no Pod Security Standard", None
            return
        for obj in stated:
            # Whatever is no level is enforced as restricted: pod-security-admission, api/helpers.go.
            if labels_of(obj.value).get(_ENFORCE, "privileged") == "privileged":
                yield "", obj
                return


#: Kinds of bindings and of the roles that they bind to, with the rights that this takes.
_BINDING_WAYS: tuple[tuple[BindingKind, Ability, RoleKind, Ability], ...] = (
    ("ClusterRoleBinding", "write-cluster-role-bindings", "ClusterRole", "bind-cluster-roles"),
    ("RoleBinding", "write-role-bindings", "ClusterRole", "bind-cluster-roles"),
    ("RoleBinding", "write-role-bindings", "Role", "bind-roles"),
)


def _made(rights: _Rights, kind: RoleKind) -> Iterator[_Made]:
    """The ways to make roles of every right: with escalate, they are created, or changed.

    A POST names no role, so escalate with resourceNames allows it to those only who may write by name, too.
    kubernetes v1.37.1, pkg/registry/rbac/escalation_check.go, RoleEscalationAuthorized.
    """
    cluster = kind == "ClusterRole"
    creates = rights["create-cluster-roles" if cluster else "create-roles"]
    changes = rights["change-cluster-roles" if cluster else "change-roles"]
    escalates = rights["escalate-cluster-roles" if cluster else "escalate-roles"]
    for scope, first, second in _both(escalates, creates):
        names = _common(first[0].names, second[0].names)
        if names is None:
            continue
        if second[0].names or not names:
            yield _Made(scope, names, True, not second[0].names, (first, second))
            continue
        for where, change, _ in _both(changes, (second,)):
            written = _common(names, change[0].names)
            if written is not None and scope in (None, where):
                yield _Made(where, written, True, False, (first, second, change))
    for scope, first, second in _both(escalates, changes):
        names = _common(first[0].names, second[0].names)
        if names is not None:
            yield _Made(scope, names, False, False, (first, second))


def _joined(*assumptions: str) -> str:
    return " and ".join(filter(None, assumptions))


def _key(ability: Allowed, namespace: str | None) -> _Key | None:
    """What an ability is held for; None where a grant in a namespace does not give it."""
    if namespace is not None:
        if not ability.namespaced:
            return None
        if ability.ability == "change-namespaces" and ability.names and namespace not in ability.names:
            return None
    resource = ability.resource if ability.ability == "change-workloads" and ability.names else ""
    # What may be created, and what may only be changed, is not the same for bindings.
    if ability.ability in ("write-role-bindings", "write-cluster-role-bindings") and ability.verb != "create":
        resource = ability.verb
    return _Key(ability.ability, namespace, ability.names, resource)


def _common(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...] | None:
    """The names that two rights have in common; empty: all; None: none."""
    if not first or not second:
        return first or second
    within = frozenset(second)
    return tuple(name for name in first if name in within) or None


def _both(first: Sequence[_Entry], second: Sequence[_Entry]) -> Iterator[tuple[str | None, _Entry, _Entry]]:
    """Pairs of abilities that are held in the same namespace, with that namespace (None: everywhere)."""
    by_namespace: dict[str | None, list[_Entry]] = defaultdict(list)
    for entry in second:
        by_namespace[entry[0].namespace].append(entry)
    for entry in first:
        namespace = entry[0].namespace
        if namespace is None:
            for other in second:
                yield other[0].namespace, entry, other
        else:
            for other in (*by_namespace.get(None, ()), *by_namespace.get(namespace, ())):
                yield namespace, entry, other


def _where(namespace: str | None) -> str:
    return "in every namespace" if namespace is None else f"in namespace {namespace}"


def _accounts(
    access: Access, inventory: Inventory, running: Iterable[Workload]
) -> tuple[tuple[Subject, ...], Mapping[str, tuple[Subject, ...]]]:
    """The service accounts that are known to exist, all and by namespace: those that bindings name, those that are
    declared, those that pods run as, and the one named default of every namespace that is declared or has any."""
    found = {subject for subject in access.subjects if subject.kind == "ServiceAccount"}
    for obj in inventory.of_kind("ServiceAccount", ""):
        found.add(Subject("ServiceAccount", obj.ref.name, namespace_of(obj)))
    for workload in running:
        found.add(account_of(workload))
    namespaces = {account.namespace for account in found} | {obj.ref.name for obj in inventory.of_kind("Namespace", "")}
    for subject in access.subjects:
        if subject.kind == "Group" and subject.name.startswith(f"{SERVICE_ACCOUNTS}:"):
            namespaces.add(subject.name.removeprefix(f"{SERVICE_ACCOUNTS}:"))
    found |= {Subject("ServiceAccount", "default", namespace) for namespace in namespaces if namespace}
    by_namespace: dict[str, list[Subject]] = defaultdict(list)
    for account in sorted(found):
        by_namespace[account.namespace].append(account)
    return tuple(sorted(found)), {namespace: tuple(accounts) for namespace, accounts in by_namespace.items()}


def _namespaces(inventory: Inventory) -> Mapping[str, list[Object]]:
    found: dict[str, list[Object]] = defaultdict(list)
    for obj in inventory.of_kind("Namespace", ""):
        found[obj.ref.name].append(obj)
    return dict(found)


def _stored_tokens(inventory: Inventory) -> tuple[tuple[Object, Subject], ...]:
    """The Secrets that hold a token of a service account, with that account."""
    found = []
    for obj in inventory.of_kind("Secret", ""):
        if obj.value.get("type") == _TOKEN_TYPE:
            annotations = mapping(mapping(obj.value.get("metadata")).get("annotations"))
            name = string(annotations.get(_TOKEN_OF))
            if name:
                found.append((obj, Subject("ServiceAccount", name, namespace_of(obj))))
    return tuple(found)


def _grouped(members: Iterable[_T], key: Callable[[_T], _K]) -> Mapping[_K, list[_T]]:
    found: dict[_K, list[_T]] = defaultdict(list)
    for member in members:
        found[key(member)].append(member)
    return dict(found)
