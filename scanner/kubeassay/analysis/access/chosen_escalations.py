"""Which escalations people are shown: not those of Kubernetes' own subjects, nor what rests on assumptions, unasked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kubeassay.analysis.access.escalation import OUTCOMES, Escalation, Escalations, Outcome
from kubeassay.analysis.access.grants import canonical
from kubeassay.analysis.access.model import Subject


@dataclass(slots=True)
class Chosen:
    """What is shown, and what is not: of subjects of Kubernetes itself, and what rests on an assumption."""

    shown: list[Escalation] = field(default_factory=list)
    defaults: set[Subject] = field(default_factory=set)
    assumed: set[Subject] = field(default_factory=set)


def chosen(
    answer: Escalations,
    subjects: Sequence[Subject] = (),
    outcomes: Sequence[Outcome] = OUTCOMES,
    *,
    everybody: bool = False,
    assume: bool = False,
) -> Chosen:
    """The shortest paths of some subjects, or of all, to the first outcome that they reach. ``everybody``: subjects of
    Kubernetes itself, too; ``assume``: paths that rest on an assumption, too."""
    found = Chosen()
    for subject in dict.fromkeys(canonical(subject) for subject in subjects) or answer.subjects:
        paths = [path for outcome in outcomes if (path := answer.path(subject, outcome)) is not None]
        certain = [path for path in paths if not path.assumptions]
        if not paths:
            continue
        # Without a name, a group is asked about once, not for each of its members.
        if not subjects and paths[0].group is not None and not everybody:
            continue
        if not subjects and not everybody and answer.default(subject):
            found.defaults.add(subject)
        elif certain or assume:
            found.shown.append((certain or paths)[0])
        else:
            found.assumed.add(subject)
    return found
