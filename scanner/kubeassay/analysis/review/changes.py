"""The review of a change: everything that is compared, in one value."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from kubeassay.analysis.access.grants import grants
from kubeassay.analysis.network.connectivity import connectivity
from kubeassay.analysis.network.gaps import at, causes, dropped, undeclared, unknown_pods
from kubeassay.analysis.review.access import escalation_changes, permission_changes
from kubeassay.analysis.review.exposed import exposure_changes
from kubeassay.analysis.review.network import TooManyKindsError, path_changes, workload_changes
from kubeassay.analysis.review.settings import setting_changes
from kubeassay.model import NEWEST_KNOWN, Inventory
from kubeassay.model.review import PathChange, Review, Side, Unseen


def review(before: Inventory, after: Inventory, minor: int = NEWEST_KNOWN.minor) -> Review:
    """What differs between two inventories, on a cluster of a minor version. Only what the objects say is compared:
    what could not be read of either is for the caller to add to ``unseen``."""
    unseen = [*_not_understood(before, "before", minor), *_not_understood(after, "after", minor)]
    paths: tuple[PathChange, ...] = ()
    try:
        paths = path_changes(before, after)
    except TooManyKindsError:
        words = "network paths are not compared: the policies tell too many kinds of pods apart"
        unseen += [Unseen(side, words, unread=True) for side in SIDES]
    return Review(
        paths=paths,
        workloads=workload_changes(before, after),
        permissions=permission_changes(before, after, minor),
        escalations=escalation_changes(before, after, minor),
        exposures=exposure_changes(before, after),
        settings=setting_changes(before, after),
        unseen=tuple(dict.fromkeys(unseen)),
    )


SIDES: tuple[Side, ...] = ("before", "after")


def _not_understood(inventory: Inventory, side: Side, minor: int) -> Iterator[Unseen]:
    """What of an inventory was read, and is not evaluated."""
    net, access = connectivity(inventory), grants(inventory, minor)
    for text in chain(causes(net), undeclared(net), dropped(net), unknown_pods(inventory)):
        yield Unseen(side, text)
    for refused in access.refused:
        yield Unseen(
            side, f"{at(refused.obj, refused.path)}: an API server refuses {refused.obj.ref}: {refused.reason}"
        )
    for obj in access.foreign:
        yield Unseen(side, f"{at(obj, ('kind',))}: {obj.ref} of {obj.ref.group} is not understood")
    for missing in access.missing_roles:
        yield Unseen(
            side,
            f"{at(missing.binding, missing.path)}: {missing.binding.ref} binds {missing.role_kind}"
            f" {missing.role_name}, which is not among the inputs",
        )
