"""Rules on claims to volumes: whether they are ever bound, and whether the pods that mount them can run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from kubeassay.analysis.network.makers import makers_of
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.analysis.storage import ebs
from kubeassay.analysis.storage.claims import Claim, Mount, Volume, storage
from kubeassay.analysis.storage.classes import GROUP, StorageClass, is_placeholder, storage_class, storage_classes
from kubeassay.analysis.storage.drivers import ACCESS_MODES, BLOCK, EBS
from kubeassay.analysis.workloads import PodTemplate
from kubeassay.checks.check import Context, NotApplicable, NotJudged, Passed, Said, Violation, check
from kubeassay.model import Inventory, Object, Path

_MAX_NAMED = 3


def _class_of(inventory: Inventory, claim: Claim) -> StorageClass | None:
    """The class that a claim names; of several (one for each environment) the one whose file is nearest."""
    if not claim.class_name:
        return None
    obj = inventory.nearest(GROUP, "StorageClass", None, claim.class_name, claim.obj.file)
    return storage_class(obj) if obj is not None else None


@check("claim-storage-class-missing")
def claim_storage_class_missing(inventory: Inventory, context: Context) -> Iterator[Said]:
    """The persistent volume controller makes no volume for a class that there is none of; a volume of that class that
    somebody made is bound all the same."""
    classes = storage_classes(inventory)
    kept = storage(inventory)
    of_volumes = {volume.class_name for volume in kept.volumes}
    anyway = set(context.parameters["present_anyway"])
    asked = False
    for claim in kept.claims:
        name = claim.class_name
        if not name or is_placeholder(name):
            continue
        if name in classes:
            yield Passed(claim.obj)
        elif name in of_volumes or name in anyway:
            continue
        elif classes:
            yield Violation(claim.class_path, f"{claim} stays unbound: there is no StorageClass {name}", obj=claim.obj)
        else:
            asked = True
    if asked:
        yield NotJudged("missing-input", "claims name storage classes, and no StorageClass is among the inputs")


@check("claim-without-default-class")
def claim_without_default_class(inventory: Inventory, context: Context) -> Iterator[Said]:
    classes = [cls for several in storage_classes(inventory).values() for cls in several]
    default = next((cls for cls in classes if cls.default_path is not None), None)
    asked = False
    for claim in storage(inventory).claims:
        if claim.class_name is not None or claim.volume:
            continue
        if default is not None:
            yield Passed(claim.obj)
        elif classes:
            yield Violation(
                claim.class_path,
                f"{claim} names no class, and no StorageClass is the default one: it waits for a volume that somebody"
                " makes",
                obj=claim.obj,
            )
        else:
            asked = True
    if asked:
        yield NotJudged("missing-input", "claims rely on a default class, and no StorageClass is among the inputs")


@check("claim-access-mode-unsupported")
def claim_access_mode_unsupported(inventory: Inventory, context: Context) -> Iterator[Said]:
    """The external provisioner asks the driver for each of a claim's modes; one that it cannot do refuses the volume
    (kubernetes-csi/external-provisioner, pkg/controller/controller.go, GetVolumeCapabilities)."""
    for claim in storage(inventory).claims:
        cls = _class_of(inventory, claim)
        if cls is None or claim.volume:
            continue
        known = ACCESS_MODES.get((cls.driver, claim.volume_mode))
        if known is None:
            continue
        related = ((f"{cls} is served by {cls.driver}", cls.obj, ("provisioner",)),)
        if not known:
            message = f"{claim} stays unbound: {cls.driver} has no volumes of mode {claim.volume_mode}"
            yield Violation((*claim.path, "volumeMode"), message, obj=claim.obj, related=related)
            continue
        judged = bool(claim.access_modes) and _MODES.issuperset(claim.access_modes)
        for number, mode in enumerate(items(claim.obj.get(*claim.modes_path))):
            if not isinstance(mode, str) or mode not in _MODES:
                continue
            words = _why_not(cls, claim, mode, known)
            if words is None:
                judged = False
                yield NotJudged("not-rendered", f"{claim}: the type of {cls} is filled in elsewhere", claim.obj)
            elif words:
                judged = False
                yield Violation(
                    (*claim.modes_path, number), f"{claim} stays unbound: {words}", obj=claim.obj, related=related
                )
        if judged:
            yield Passed(claim.obj)


_MODES = frozenset({"ReadWriteOnce", "ReadWriteOncePod", "ReadOnlyMany", "ReadWriteMany"})


def _why_not(cls: StorageClass, claim: Claim, mode: str, known: frozenset[str]) -> str | None:
    """Why a driver makes no volume of a mode; "" where it does, None where that is not known."""
    if mode not in known:
        device = " as a device" if claim.volume_mode == BLOCK else ""
        return f"{cls.driver} of {cls} does not do {mode}{device}, it does {', '.join(sorted(known))}"
    if cls.driver == EBS and mode == "ReadWriteMany":
        kind = ebs.volume_type(cls)
        if is_placeholder(kind):
            return None
        if kind != "io2":
            return f"EBS attaches volumes of type io2 alone to several nodes, and {cls} has type {kind}"
    return ""


@check("claim-too-small-for-iops")
def claim_too_small_for_iops(inventory: Inventory, context: Context) -> Iterator[Said]:
    for claim in storage(inventory).claims:
        cls = _class_of(inventory, claim)
        if cls is None or cls.driver != EBS or claim.requested is None or claim.volume:
            continue
        asked = ebs.iops_of_size(cls, claim.requested)
        if asked is None:
            continue
        iops, most = asked
        if iops <= most:
            yield Passed(claim.obj)
            continue
        yield Violation(
            (*claim.path, "resources", "requests", "storage"),
            f"{claim} is too small for the {iops} IOPS of {cls}: a volume of its size and type has at most {most}",
            obj=claim.obj,
            related=((f"{cls} asks for them", cls.obj, cls.parameters["iops"].path),),
        )


@check("claim-on-several-nodes")
def claim_on_several_nodes(inventory: Inventory, context: Context) -> Iterator[Said]:
    """A volume of one node (ReadWriteOnce) or of one pod (ReadWriteOncePod) that more pods mount."""
    kept = storage(inventory)
    mounts: dict[tuple[str, str], list[Mount]] = defaultdict(list)
    for mount in kept.mounts:
        mounts[mount.namespace, mount.claim].append(mount)
    for (namespace, name), found in mounts.items():
        declared = kept.by_name.get((namespace, name))
        if not declared:
            continue
        modes = set(declared[0].access_modes)
        if not modes or not modes <= _MODES or len({frozenset(claim.access_modes) for claim in declared}) > 1:
            continue
        if not modes <= {"ReadWriteOnce", "ReadWriteOncePod"}:
            yield Passed(declared[0].obj)
            continue
        yield from _shared(declared[0], found, one_pod="ReadWriteOncePod" in modes)


def _shared(claim: Claim, mounts: Sequence[Mount], *, one_pod: bool) -> Iterator[Said]:
    whose = "one pod" if one_pod else "one node"
    wrong = False
    # Objects of one name are one, written for several environments; what is held to a node is with the volume.
    loose: dict[str, Mount] = {}
    for mount in mounts:
        if one_pod or not mount.one_node:
            loose.setdefault(mount.maker, mount)
    for mount in loose.values():
        if mount.pods is None or mount.pods > 1:
            wrong = True
            count = "a pod on every node" if mount.pods is None else f"up to {mount.pods} pods"
            yield Violation(
                mount.path,
                f"{claim} can be mounted by {whose} at a time ({', '.join(claim.access_modes)}), and {mount.maker} has"
                f" {count}",
                obj=mount.obj,
                related=((f"{claim} asks for it", claim.obj, claim.modes_path),),
            )
    lasting = [mount for mount in loose.values() if mount.pods != 0]
    if len(lasting) > 1 and not wrong:
        wrong = True
        last = lasting[-1]
        others = ", ".join(mount.maker for mount in lasting[:-1][:_MAX_NAMED])
        yield Violation(
            last.path,
            f"{claim} can be mounted by {whose} at a time ({', '.join(claim.access_modes)}), and {others} mounts it"
            f" besides {last.maker}",
            obj=last.obj,
            related=tuple((f"{mount.maker} mounts it", mount.obj, mount.path) for mount in lasting[:-1][:_MAX_NAMED]),
        )
    if not wrong:
        yield Passed(claim.obj)


@check("claim-not-declared")
def claim_not_declared(inventory: Inventory, context: Context) -> Iterator[Said]:
    kept = storage(inventory)
    makers = makers_of(inventory)
    spaces = {_applied_with(claim.obj) for claims in kept.by_name.values() for claim in claims}
    elsewhere: dict[str, Claim] = {}
    for (_, name), claims in kept.by_name.items():
        elsewhere.setdefault(name, claims[0])
    for mount in kept.mounts:
        key = (mount.namespace, mount.claim)
        if key in kept.by_name or kept.is_made(*key):
            yield Passed(mount.obj)
            continue
        if is_placeholder(mount.claim):
            yield NotJudged("not-rendered", f"{mount.maker}: the name of a claim is filled in elsewhere", mount.obj)
            continue
        maker = makers.of(mount.namespace)
        other = elsewhere.get(mount.claim)
        what = f"claim {mount.claim} of {mount.maker}"
        if other is not None and (mount.obj.ref.namespace is None or other.obj.ref.namespace is None):
            yield NotJudged("no-namespace", f"{what}: which namespace they are applied to is not stated", mount.obj)
        elif maker is not None:
            yield NotJudged("unsupported", f"{what} is not among the inputs, and {maker.ref} may make it", mount.obj)
        elif other is None and _applied_with(mount.obj) not in spaces:
            yield NotJudged("missing-input", f"{what} is not among the inputs, nor is any of its namespace", mount.obj)
        else:
            words = f"{mount.maker} cannot start: there is no claim {mount.claim} in namespace {mount.namespace}"
            related: tuple[tuple[str, Object, Path], ...] = ()
            if other is not None:
                words += f", but one in namespace {other.namespace}"
                related = ((f"{other} is in another namespace", other.obj, ("metadata", "namespace")),)
            yield Violation(mount.path, words, obj=mount.obj, related=related)


def _applied_with(obj: Object) -> tuple[str, str]:
    """What tells objects that belong together: their namespace, or the folder of those that state none."""
    return (obj.ref.namespace, "") if obj.ref.namespace else ("", obj.file.rpartition("/")[0])


@check("claim-unused")
def claim_unused(inventory: Inventory, context: Context) -> Iterator[Said]:
    kept = storage(inventory)
    makers = makers_of(inventory)
    used = {(mount.namespace, mount.claim) for mount in kept.mounts}
    busy = {mount.namespace for mount in kept.mounts}
    for key, claims in kept.by_name.items():
        namespace, name = key
        for claim in claims:
            if key in used or kept.is_made(namespace, name):
                yield Passed(claim.obj)
            elif makers.of(namespace) is not None or claim.obj.ref.namespace is None or namespace not in busy:
                # What mounts it may be made by something that is not rendered, or live elsewhere.
                continue
            else:
                yield Violation(("metadata", "name"), f"no pod among the inputs mounts {claim}", obj=claim.obj)


@check("claim-volume-mismatch")
def claim_volume_mismatch(inventory: Inventory, context: Context) -> Iterator[Said]:
    """k8s.io/kubernetes pkg/controller/volume/persistentvolume, checkVolumeSatisfyClaim: class, size, modes."""
    kept = storage(inventory)
    by_name: dict[str, list[Volume]] = defaultdict(list)
    by_claim: dict[tuple[str, str], list[Volume]] = defaultdict(list)
    for volume in kept.volumes:
        by_name[volume.name].append(volume)
        if volume.claim is not None:
            by_claim[volume.claim].append(volume)
    for claims in kept.by_name.values():
        for claim in claims:
            volumes = by_name[claim.volume] if claim.volume else by_claim[claim.namespace, claim.name]
            # Several of a name: of which environment, nobody says.
            if len(volumes) == 1:
                yield from _against(claim, volumes[0])


def _against(claim: Claim, volume: Volume) -> Iterator[Said]:
    stated = (claim.class_name, claim.volume_mode, *claim.access_modes, volume.class_name, *volume.access_modes)
    if any(map(is_placeholder, stated)):
        yield NotJudged("not-rendered", f"{claim} is meant for {volume}: what it asks for is filled in", claim.obj)
        return
    found: list[Violation] = []
    related = ((f"{claim} is meant for {volume}", volume.obj, ("spec",)),)

    def say(path: Path, words: str) -> None:
        found.append(Violation(path, f"{claim} is never bound to {volume}: {words}", obj=claim.obj, related=related))

    if volume.claim is not None and volume.claim != (claim.namespace, claim.name):
        say((*claim.path, "volumeName"), f"it is kept for claim {'/'.join(volume.claim)}")
    if claim.class_name is not None and claim.class_name != volume.class_name:
        say(claim.class_path, f"its class is {volume.class_name or 'none'}, not {claim.class_name or 'none'}")
    if claim.requested is not None and volume.capacity is not None and claim.requested > volume.capacity:
        say((*claim.path, "resources", "requests", "storage"), "it is smaller than what is asked for")
    if claim.volume_mode != volume.volume_mode:
        say((*claim.path, "volumeMode"), f"its mode is {volume.volume_mode}, not {claim.volume_mode}")
    missing = [mode for mode in claim.access_modes if mode not in volume.access_modes]
    if missing:
        say(claim.modes_path, f"it does not do {', '.join(missing)}")
    yield from found
    if not found:
        yield Passed(claim.obj)


@check("persistent-volume-host-path")
def persistent_volume_host_path(obj: Object, context: Context) -> Iterator[Said]:
    if obj.ref.group:
        yield NotApplicable()
    elif isinstance(obj.get("spec", "hostPath"), dict):
        path = string(obj.get("spec", "hostPath", "path"))
        yield Violation(
            ("spec", "hostPath"),
            f"PersistentVolume {obj.ref.name} is a path of whichever node its pod runs on: {path[:100] or 'no path'}",
        )


@check("empty-dir-without-size-limit")
def empty_dir_without_size_limit(template: PodTemplate, context: Context) -> Iterator[Said]:
    for number, value in enumerate(items(template.spec.get("volumes"))):
        volume = mapping(value)
        directory = volume.get("emptyDir")
        if not isinstance(directory, dict) or directory.get("sizeLimit") is not None:
            continue
        path = (*template.spec_path, "volumes", number, "emptyDir")
        where = "the node's memory" if directory.get("medium") == "Memory" else "the node's disk"
        yield Violation(path, f"volume {string(volume.get('name'))} may fill {where}: it has no size limit", base=path)
