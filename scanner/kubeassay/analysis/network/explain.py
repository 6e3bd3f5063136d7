"""Why a way is open, closed or unknown: the policies and rules that say so, with their places."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from kubeassay.analysis.network.connections import ALL, NONE, Connections
from kubeassay.analysis.network.connectivity import Connectivity
from kubeassay.analysis.network.endpoints import Workload
from kubeassay.analysis.network.policies import Action, Direction, Peer, Policy, Rule
from kubeassay.model import Object, Path

#: So many rules that have other peers are told.
_MOST_MISSED = 5

Effect = Literal["opens", "closes", "passes", "unknown"]
_ACTION_WORDS: Mapping[Action, tuple[str, Effect]] = {
    "allow": ("allows", "opens"),
    "deny": ("denies", "closes"),
    "pass": ("leaves to the next tier", "passes"),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that decides a direction of a way. ``obj`` and ``path`` say where it stands; None where it is the
    absence of a policy."""

    direction: Direction
    effect: Effect
    words: str
    obj: Object | None = None
    path: Path = ()


def reasons(net: Connectivity, source: Workload | None, destination: Workload | None, peer: int) -> Iterator[Reason]:
    """Why what is open between two ends is open, and the rest is not: first the source's egress, then the destination's
    ingress.

    An end that is no workload of the inputs is None, and ``peer`` is its class (:meth:`Connectivity.range_ends`,
    ``any_pod``); between two workloads ``peer`` does not count.
    """
    if source is not None:
        yield from _direction(net, source, "egress", net.end(destination) if destination is not None else peer)
    if destination is not None:
        yield from _direction(net, destination, "ingress", net.end(source) if source is not None else peer)


def _direction(net: Connectivity, workload: Workload, direction: Direction, peer: int) -> Iterator[Reason]:
    foreign = net.foreign_for(workload)
    for other in foreign:
        yield Reason(direction, "unknown", f"{other.obj.ref} governs {workload} and is not evaluated", other.obj)
    if foreign:
        return
    for policy in net.perhaps_governing(workload, direction):
        words = (
            f"{policy} perhaps governs {workload}: its selector asks for a label that its pods get when they are made"
        )
        yield Reason(direction, "unknown", words, policy.obj, policy.subject_path)
    governing = net.governing(workload, direction)
    if workload.host_network:
        yield from _on_the_node(workload, direction, [p for p in governing if p.tier == "namespace"])
        return
    refused = [policy for policy in governing if policy.refused]
    for policy in refused:
        problem = policy.refused[0]
        words = f"{policy} governs {workload}, and an API server refuses it: {problem.reason}"
        yield Reason(direction, "unknown", words, policy.obj, problem.path)
    if refused:
        return
    left = yield from _ordered(net, [p for p in governing if p.tier == "admin"], workload, direction, peer, ALL)
    if not left:
        return
    own = [policy for policy in governing if policy.tier == "namespace"]
    if own:
        yield from _isolated(net, own, workload, direction, peer, left)
        return
    left = yield from _ordered(net, [p for p in governing if p.tier == "baseline"], workload, direction, peer, left)
    if left:
        rest = "" if left == ALL else f" ({left})"
        yield Reason(direction, "opens", f"no policy isolates {workload} for {direction}{rest}")


def _on_the_node(workload: Workload, direction: Direction, policies: list[Policy]) -> Iterator[Reason]:
    if not policies:
        words = f"{workload} is on its node's network, and no NetworkPolicy selects it"
        yield Reason(direction, "opens", words, workload.obj)
    for policy in policies:
        words = f"{policy} selects {workload}, which is on its node's network: policies may apply to it or not"
        yield Reason(direction, "unknown", words, policy.obj, policy.subject_path)


def _matching(
    net: Connectivity, policy: Policy, workload: Workload, direction: Direction, peer: int
) -> Iterator[tuple[Rule, Connections, bool]]:
    """The rules that have the peer, with their connections there, and whether that is certain."""
    for rule in policy.rules[direction]:
        certain, possible = net.peer_bits(rule)
        if (certain | possible) >> peer & 1:
            connections = net.connections_of(rule, direction, net.end(workload), peer)
            yield rule, connections, bool(certain >> peer & 1)


def _ordered(
    net: Connectivity, policies: list[Policy], workload: Workload, direction: Direction, peer: int, left: Connections
) -> Generator[Reason, None, Connections]:
    """The reasons of a tier of ordered rules; returns what it leaves to the next."""
    passed = NONE
    for priority, same in groupby(sorted(policies, key=lambda p: p.priority), key=lambda p: p.priority):
        by_policy = [(policy, _deciding(net, policy, workload, direction, peer, left)) for policy in same]
        disputed = _disputed([decisions for _, decisions in by_policy])
        for policy, decisions in by_policy:
            for rule, decided, certain in decisions:
                words, effect = _ACTION_WORDS[rule.action]
                if not certain:
                    words, effect = f"perhaps {words}", "unknown"
                elif rule.action == "pass":
                    passed |= decided - disputed
                for part, tied in ((decided & disputed, True), (decided - disputed, False)):
                    if part:
                        note = ", where another of that priority says otherwise" if tied else ""
                        text = f"{policy} (priority {priority}) {words} {part}{note}"
                        yield Reason(direction, "unknown" if tied else effect, text, policy.obj, rule.path)
        for _, decisions in by_policy:
            for _, decided, _ in decisions:
                left -= decided
    return left | passed


def _deciding(
    net: Connectivity, policy: Policy, workload: Workload, direction: Direction, peer: int, left: Connections
) -> list[tuple[Rule, Connections, bool]]:
    """The rules of one policy that decide some of what is left, with what each decides, and whether that is certain."""
    found: list[tuple[Rule, Connections, bool]] = []
    for rule, connections, certain in _matching(net, policy, workload, direction, peer):
        decided = connections & left
        if decided:
            left -= decided
            found.append((rule, decided, certain))
    return found


def _disputed(decisions: list[list[tuple[Rule, Connections, bool]]]) -> Connections:
    """What policies of one priority decide differently."""
    disputed = NONE
    for number, first in enumerate(decisions):
        for second in decisions[number + 1 :]:
            for rule, one, _ in first:
                for other, two, _ in second:
                    if rule.action != other.action:
                        disputed |= one & two
    return disputed


def _isolated(
    net: Connectivity, policies: list[Policy], workload: Workload, direction: Direction, peer: int, left: Connections
) -> Iterator[Reason]:
    """The reasons of NetworkPolicies, for what the tier above leaves to them."""
    opened = NONE
    matching: set[int] = set()
    for policy in policies:
        for rule, connections, certain in _matching(net, policy, workload, direction, peer):
            matching.add(id(rule))
            connections &= left
            if not connections:
                continue
            opened |= connections if certain else NONE
            words = f"{policy} {'opens' if certain else 'perhaps opens'} {connections}"
            yield Reason(direction, "opens" if certain else "unknown", words, policy.obj, rule.path)
    if opened == left:
        return
    for policy in policies:
        what = "everything" if left == ALL else f"all of {left}"
        what = f"{what} but {opened}" if opened else what
        words = f"{policy} isolates {workload} for {direction}; {what} stays closed"
        yield Reason(direction, "closes", words, policy.obj, policy.subject_path)
    if matching:
        return
    # Where no rule has the peer, one of those that have others was perhaps meant for it.
    missed = [(policy, rule) for policy in policies for rule in policy.rules[direction] if rule.peers]
    for policy, rule in missed[:_MOST_MISSED]:
        others = " or ".join(_described(other) for other in rule.peers or ())
        to = "to" if direction == "egress" else "from"
        words = f"{policy} opens {_stated(rule)} {to} {others}, not {to} this peer"
        yield Reason(direction, "closes", words, policy.obj, rule.path)


def _stated(rule: Rule) -> str:
    names = [f"port {port.name}" for port in rule.named]
    return ", ".join([*([str(rule.connections)] if rule.connections else []), *names]) or str(NONE)


def _described(peer: Peer) -> str:
    if peer.pods is not None:
        pods = "pods" if peer.pods.pods.everything else f"pods {peer.pods.pods}"
        if peer.pods.namespaces is None:
            return f"{pods} of namespace {peer.pods.namespace}"
        spaces = "every namespace" if peer.pods.namespaces.everything else f"namespaces {peer.pods.namespaces}"
        return f"{pods} of {spaces}"
    if peer.addresses is not None:
        return ", ".join(peer.addresses.cidrs()[:_MOST_MISSED]) or "no address"
    return peer.unknown
