"""Rules on StorageClasses: who serves them, what their parameters do, how their volumes are kept."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from kubeassay.analysis.reading import items, mapping, quoted
from kubeassay.analysis.storage import ebs, efs
from kubeassay.analysis.storage.classes import StorageClass, is_placeholder, storage_class, storage_classes
from kubeassay.analysis.storage.drivers import ALWAYS_ENCRYPTED, EBS, EFS, EXPANDABLE, IN_TREE, NO_PROVISIONER, ZONAL
from kubeassay.checks.check import Context, NotApplicable, NotJudged, Passed, Said, Violation, check
from kubeassay.model import Inventory, Object, Path

# metav1 ValidateQualifiedName of the provisioner in small letters: a DNS-1123 subdomain before a slash, or none.
_QUALIFIED = re.compile(
    r"(?:(?=.{1,253}/)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*/)?"
    r"[a-z0-9](?:[a-z0-9_.-]{0,61}[a-z0-9])?\Z"
)
_MODES = ("Immediate", "WaitForFirstConsumer")
_RECLAIM = ("Delete", "Retain")
_MAX_PARAMETERS = 512
_MAX_SIZE = 256 * 1024
_MAX_NAMED = 3


def _filled_in(cls: StorageClass, field: str) -> NotJudged:
    return NotJudged("not-rendered", f"{cls}: its {field} is filled in elsewhere", cls.obj)


@check("storage-class-refused")
def storage_class_refused(obj: Object, context: Context) -> Iterator[Said]:
    """k8s.io/kubernetes pkg/apis/storage/validation, ValidateStorageClass; null is not set, and defaulted."""
    cls = storage_class(obj)
    if cls is None:
        yield NotApplicable()
        return
    for path, words in _refused(obj):
        yield Violation(path, f"an API server refuses {cls}: {words}")


def _refused(obj: Object) -> Iterator[tuple[Path, str]]:
    provisioner = obj.get("provisioner")
    if provisioner is None or provisioner == "":
        yield ("provisioner",), "it names no provisioner"
    elif not (isinstance(provisioner, str) and _QUALIFIED.match(provisioner.lower())) and not is_placeholder(
        provisioner
    ):
        yield ("provisioner",), "its provisioner is no name"
    for field, known, default in (
        # An empty reclaim policy is taken for none; an empty binding mode is not.
        ("volumeBindingMode", (None, *_MODES), "Immediate"),
        ("reclaimPolicy", (None, "", *_RECLAIM), "Delete"),
    ):
        value = obj.get(field)
        if value not in known and not is_placeholder(value):
            yield (field,), f"{field} is {' or '.join(filter(None, known))} (without: {default})"
    expansion = obj.get("allowVolumeExpansion")
    if expansion is not None and not isinstance(expansion, bool) and not is_placeholder(expansion):
        yield ("allowVolumeExpansion",), "allowVolumeExpansion is true or false"
    parameters = obj.get("parameters")
    if parameters is None:
        return
    if not isinstance(parameters, dict):
        yield ("parameters",), "its parameters are no mapping"
        return
    if len(parameters) > _MAX_PARAMETERS:
        yield ("parameters",), f"it has more than {_MAX_PARAMETERS} parameters"
        return
    size = 0
    for key, value in parameters.items():
        if key == "":
            yield ("parameters", ""), "a parameter has no name"
        if value is not None and not isinstance(value, str):
            yield ("parameters", key), f"parameter {key} is no string: put it in quotes"
        size += len(str(key).encode()) + (len(value.encode(errors="replace")) if isinstance(value, str) else 0)
    if size > _MAX_SIZE:
        yield ("parameters",), f"its parameters are longer than {_MAX_SIZE // 1024} KiB together"


@check("storage-provisioner-removed")
def storage_provisioner_removed(obj: Object, context: Context) -> Iterator[Said]:
    cls = storage_class(obj)
    if cls is None:
        yield NotApplicable()
        return
    known = IN_TREE.get(cls.provisioner)
    if is_placeholder(cls.provisioner):
        yield _filled_in(cls, "provisioner")
    elif known is not None and known.driver is None and known.removed <= context.kubernetes_version.minor:
        yield Violation(
            ("provisioner",),
            f"nothing serves {cls}: provisioner {cls.provisioner} left Kubernetes in 1.{known.removed} without a"
            " successor that takes over its objects",
        )


@check("storage-provisioner-migrated")
def storage_provisioner_migrated(obj: Object, context: Context) -> Iterator[Said]:
    cls = storage_class(obj)
    if cls is None:
        yield NotApplicable()
        return
    known = IN_TREE.get(cls.provisioner)
    if is_placeholder(cls.provisioner):
        yield _filled_in(cls, "provisioner")
    elif known is not None and known.driver is not None and known.removed <= context.kubernetes_version.minor:
        yield Violation(
            ("provisioner",),
            f"provisioner {cls.provisioner} of {cls} left Kubernetes in 1.{known.removed}: volumes are made by"
            f" {known.driver}, where that driver is installed, and by nobody where it is not",
        )


@check("storage-class-unencrypted")
def storage_class_unencrypted(obj: Object, context: Context) -> Iterator[Said]:
    cls = storage_class(obj)
    if cls is None or cls.driver not in {EBS, EFS, *ALWAYS_ENCRYPTED}:
        yield NotApplicable()
        return
    if cls.driver == EFS:
        if any(fnmatchcase(cls.name, pattern) for pattern in context.parameters["encrypted_elsewhere"]):
            yield NotApplicable()
            return
        yield NotJudged(
            "missing-input",
            f"{cls}: whether its volumes are encrypted is said by the EFS file system, which is not among the inputs",
            obj,
        )
        return
    if cls.driver != EBS or ebs.is_encrypted(cls):
        return
    parameter = cls.parameters.get("encrypted")
    if is_placeholder(cls.value("kmskeyid")):
        yield NotJudged(
            "not-rendered", f"{cls}: the value of {cls.parameters['kmskeyid'].key} is filled in elsewhere", obj
        )
        return
    if parameter is not None and parameter.value == "true":
        message = f"volumes of {cls} may not be encrypted: {parameter.key} is stated twice, and not the same"
        yield Violation(parameter.path, message)
        return
    if parameter is None:
        yield Violation(("parameters", "encrypted"), f"volumes of {cls} are not encrypted: it does not ask for it")
    elif is_placeholder(parameter.value):
        yield NotJudged("not-rendered", f"{cls}: the value of {parameter.key} is filled in elsewhere", obj)
    else:
        stated = quoted(parameter.value[:20])
        only = "" if stated == "false" else ': the driver takes "true" alone for yes'
        yield Violation(parameter.path, f"volumes of {cls} are not encrypted: {parameter.key} is {stated}{only}")


@check("ebs-volume-type-outdated")
def ebs_volume_type_outdated(obj: Object, context: Context) -> Iterator[Said]:
    cls = storage_class(obj)
    if cls is None or cls.driver != EBS:
        yield NotApplicable()
        return
    successors: Mapping[str, str] = context.parameters["successors"]
    kind = ebs.volume_type(cls)
    if is_placeholder(kind):
        yield _filled_in(cls, "volume type")
    elif kind in successors:
        yield Violation(
            ("parameters", "type"), f"{cls} makes volumes of type {kind}, whose successor is {successors[kind]}"
        )


@check("storage-class-parameter-refused")
def storage_class_parameter_refused(obj: Object, context: Context) -> Iterator[Said]:
    yield from _parameters(obj, "refused")


@check("storage-class-parameter-ignored")
def storage_class_parameter_ignored(obj: Object, context: Context) -> Iterator[Said]:
    yield from _parameters(obj, "ignored")


def _parameters(obj: Object, effect: ebs.Effect) -> Iterator[Said]:
    cls = storage_class(obj)
    if cls is None or cls.driver not in (EBS, EFS):
        yield NotApplicable()
        return
    words = "makes no volume" if effect == "refused" else "does not get what it asks for"
    found = ebs.problems(cls) if cls.driver == EBS else efs.problems(cls)
    for problem in found:
        if problem.effect != effect:
            continue
        path = problem.parameter.path if problem.parameter is not None else ("parameters", problem.missing)
        yield Violation(path, f"{cls} {words}: {problem.message}")
    open_ = [parameter.key for parameter in cls.parameters.values() if is_placeholder(parameter.value)]
    if open_:
        yield NotJudged("not-rendered", f"{cls}: {', '.join(open_[:_MAX_NAMED])} filled in elsewhere", obj)


@check("storage-class-binds-immediately")
def storage_class_binds_immediately(obj: Object, context: Context) -> Iterator[Said]:
    cls = storage_class(obj)
    if cls is None or cls.driver not in ZONAL:
        yield NotApplicable()
    elif is_placeholder(cls.obj.get("volumeBindingMode")) and not _one_zone(cls):
        yield _filled_in(cls, "volumeBindingMode")
    elif cls.binds_immediately and not _one_zone(cls):
        yield Violation(
            ("volumeBindingMode",),
            f"{cls} makes volumes before it is known where their pods run: {cls.driver} puts them in a zone that may"
            " have no room for the pod",
        )


def _one_zone(cls: StorageClass) -> bool:
    """Whether a class says itself in which zone its volumes are made."""
    if cls.obj.get("parameters", "zone"):
        return True
    values = [
        value
        for term in items(cls.obj.get("allowedTopologies"))
        for expression in items(mapping(term).get("matchLabelExpressions"))
        if "zone" in str(mapping(expression).get("key"))
        for value in items(mapping(expression).get("values"))
    ]
    return len(values) == 1


@check("storage-class-deletes-data")
def storage_class_deletes_data(obj: Object, context: Context) -> Iterator[Said]:
    cls = storage_class(obj)
    kept: list[str] = context.parameters["classes"]
    if cls is None or not any(fnmatchcase(cls.name, pattern) for pattern in kept):
        yield NotApplicable()
    elif is_placeholder(cls.reclaim_policy):
        yield _filled_in(cls, "reclaimPolicy")
    elif cls.reclaim_policy == "Delete" and cls.provisioner != NO_PROVISIONER:
        yield Violation(
            ("reclaimPolicy",), f"{cls} deletes a volume with its data as soon as somebody deletes the claim"
        )


@check("storage-class-not-expandable")
def storage_class_not_expandable(obj: Object, context: Context) -> Iterator[Said]:
    cls = storage_class(obj)
    if cls is None or cls.driver not in EXPANDABLE:
        yield NotApplicable()
    elif is_placeholder(cls.obj.get("allowVolumeExpansion")):
        yield _filled_in(cls, "allowVolumeExpansion")
    elif not cls.expandable:
        yield Violation(
            ("allowVolumeExpansion",), f"volumes of {cls} cannot be enlarged, although {cls.driver} can do it"
        )


@check("storage-class-asks-for-baseline")
def storage_class_asks_for_baseline(inventory: Inventory, context: Context) -> Iterator[Said]:
    """A class whose parameters ask for what every volume of its type has."""
    plain: dict[ebs.Performance, list[StorageClass]] = {}
    judged: list[tuple[StorageClass, ebs.Performance]] = []
    for cls in _classes(inventory):
        if cls.driver != EBS:
            continue
        speed = ebs.performance(cls)
        if speed is None:
            if any(is_placeholder(parameter.value) for parameter in cls.parameters.values()):
                yield NotJudged("not-rendered", f"{cls}: parameters are filled in elsewhere", cls.obj)
            continue
        judged.append((cls, speed))
        plain.setdefault(speed, []).append(cls)
    for cls, speed in judged:
        stated = ebs.baseline_parameters(cls)
        if not stated:
            yield Passed(cls.obj)
            continue
        equal, more = _others(plain[speed], cls)
        asked = " and ".join(f"{parameter.key} {parameter.value}" for parameter in stated)
        words = f"{cls} asks for {asked}, which every gp3 volume has"
        if equal:
            words += f": it is no faster than {_named(equal, more)}"
        related = tuple((f"{other} is as fast", other.obj, ("parameters",)) for other in equal)
        yield Violation(stated[0].path, words, obj=cls.obj, related=related)


@check("default-storage-class-ambiguous")
def default_storage_class_ambiguous(inventory: Inventory, context: Context) -> Iterator[Said]:
    defaults = [cls for cls in _classes(inventory) if cls.default_path is not None]
    for cls in defaults:
        others, more = _others(defaults, cls)
        if others and cls.default_path is not None:
            yield Violation(
                cls.default_path,
                f"{cls} is a default class, and so is {_named(others, more)}: claims without a class get the one that"
                " was made last",
                obj=cls.obj,
                related=tuple((f"{other} is a default class", other.obj, other.default_path or ()) for other in others),
            )
        else:
            yield Passed(cls.obj)


def _classes(inventory: Inventory) -> Iterator[StorageClass]:
    for classes in storage_classes(inventory).values():
        yield from classes


def _others(classes: Sequence[StorageClass], cls: StorageClass) -> tuple[list[StorageClass], bool]:
    """The first classes of other names, one of each, and whether there are more. Only these are looked for: of many
    alike each would name all the others."""
    found: dict[str, StorageClass] = {}
    for other in classes:
        if other.name != cls.name and found.setdefault(other.name, other) is other and len(found) > _MAX_NAMED:
            break
    return list(found.values())[:_MAX_NAMED], len(found) > _MAX_NAMED


def _named(classes: Sequence[StorageClass], more: bool) -> str:
    return ", ".join(cls.name for cls in classes) + (" and others" if more else "")
