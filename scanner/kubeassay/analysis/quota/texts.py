"""Lines of quotas in words, for tables."""

from __future__ import annotations

from kubeassay.analysis.quantity import shown
from kubeassay.analysis.quota.amounts import Amount
from kubeassay.analysis.quota.fit import PHASES, Fit, Line


def namespace_text(name: str) -> str:
    """A namespace, or that objects state none."""
    return name or "(none stated)"


def line_texts(fit: Fit, line: Line) -> tuple[str, ...]:
    """Namespace, quota, resource, hard, what is needed in each phase, headroom."""
    resource = line.resource
    left = line.headroom
    return (
        namespace_text(fit.space.name),
        line.quota.obj.ref.name,
        resource,
        shown(resource, line.hard),
        *(amount_text(resource, line.needed(phase)) for phase in PHASES),
        "unknown" if left is None else shown(resource, left),
    )


def amount_text(resource: str, amount: Amount) -> str:
    """``3``; ``3-5``, between the two; ``3+``, at least that."""
    low = shown(resource, amount.low)
    if amount.exact:
        return low
    return f"{low}+" if amount.high is None else f"{low}-{shown(resource, amount.high)}"
