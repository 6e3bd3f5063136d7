"""Security settings of pods and containers, as documents write them down, as uses of rules.

A security context, a PodSecurityPolicy's spec or a list of settings in words: the keys are compared by their words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kubeassay.model.document import Block, Node
from kubeassay.policy.document.clauses import Clauses, Use
from kubeassay.policy.document.words import slug, squashed, truth

#: What a setting comes to: uses of rules, or None where it is not understood. No use: it demands nothing.
_Read = Callable[["_Setting"], "list[Use] | None"]

#: The capability that the restricted Pod Security Standard lets containers add.
_RESTRICTED_ADDS = frozenset({"NET_BIND_SERVICE"})
#: The volume types of the API (core/v1 VolumeSource).
_VOLUME_TYPES = {
    name.lower(): name
    for name in (
        "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "configMap", "csi", "downwardAPI",
        "emptyDir", "ephemeral", "fc", "flexVolume", "flocker", "gcePersistentDisk", "gitRepo", "glusterfs", "hostPath",
        "image", "iscsi", "nfs", "persistentVolumeClaim", "photonPersistentDisk", "portworxVolume", "projected",
        "quobyte", "rbd", "scaleIO", "secret", "storageos", "vsphereVolume",
    )
}  # fmt: skip


class _Setting:
    """One setting, and what it may ask."""

    __slots__ = ("clauses", "key", "node", "scope")

    def __init__(self, key: str, node: Node, scope: list[str], clauses: Clauses) -> None:
        self.key = key
        self.node = node
        self.scope = scope
        self.clauses = clauses

    @property
    def says(self) -> bool | None:
        """Whether it says yes or no."""
        return truth(self.node.value)

    def use(self, *rules: str, parameters: Mapping[str, Any] | None = None, own: bool = False) -> list[Use]:
        """Uses of rules, in the namespaces that the setting is for. ``own``: else in those of one's own software."""
        namespaces = self.scope or (self.clauses.facts.own_namespaces if own else [])
        return [use for rule in rules for use in self.clauses.use(rule, parameters, namespaces=namespaces)]

    def texts(self) -> list[str] | None:
        """A list of texts, also one text with commas between; None for anything else."""
        if isinstance(self.node.value, str):
            return [part.strip() for part in self.node.value.replace(" and ", ",").split(",") if part.strip()]
        members = self.node.members
        if not members or not all(isinstance(member.value, str) for member in members):
            return None
        return [str(member.value) for member in members]

    def rule_of_policy(self) -> str:
        """The ``rule`` of a PodSecurityPolicy's strategy, in small letters: ``mustrunasnonroot``."""
        for key, child in self.node.entries.items():
            if squashed(key) == "rule" and isinstance(child.value, str):
                return child.value.lower()
        return ""


def _yes(*rules: str) -> _Read:
    """The setting says yes: the rules hold. It says no: nothing is demanded."""
    return lambda setting: None if setting.says is None else setting.use(*rules) if setting.says else []


def _no(*rules: str) -> _Read:
    """The setting says no: the rules hold. It says yes: nothing is demanded."""
    return lambda setting: None if setting.says is None else [] if setting.says else setting.use(*rules)


def _id(parameter: str) -> _Read:
    def read(setting: _Setting) -> list[Use] | None:
        value = setting.node.value
        if isinstance(value, int) and not isinstance(value, bool):
            return setting.use("run-as-ids", parameters={parameter: value}, own=True)
        if setting.rule_of_policy() == "mustrunasnonroot":
            return setting.use("run-as-non-root", "run-as-user")
        return [] if setting.rule_of_policy() == "runasany" else None

    return read


def _any(setting: _Setting) -> list[Use] | None:
    return [] if setting.rule_of_policy() == "runasany" else None


def _seccomp(setting: _Setting) -> list[Use] | None:
    node = setting.node
    type_ = node.entries.get("type", node)
    word = squashed(str(type_.value)) if type_.is_scalar else ""
    profile = node.entries.get("localhostProfile")
    if profile is not None:
        reason = "which profile it is is not judged: RuntimeDefault, and any profile of the node, comply"
        setting.clauses.note("not-understood", profile.line, setting.key, reason)
    if word in ("runtimedefault", "localhost"):
        # The baseline's check is what the restricted one replaces, for versions that do not have that.
        return setting.use("seccomp-profile-restricted", "seccomp-profile-baseline")
    return None


def _capabilities(setting: _Setting) -> list[Use] | None:
    uses: list[Use] = []
    for key, child in setting.node.entries.items():
        read = {"drop": _dropped, "add": _added}.get(squashed(key))
        made = read(_Setting(key, child, setting.scope, setting.clauses)) if read is not None else None
        if made is None:
            return None
        uses += made
    return uses or None


def _dropped(setting: _Setting) -> list[Use] | None:
    dropped = setting.texts()
    if dropped is None or not any(name.upper() == "ALL" for name in dropped):
        return None
    return setting.use("capabilities-restricted", "capabilities-baseline")


def _added(setting: _Setting) -> list[Use] | None:
    names = [] if setting.says is False or setting.node.value == () else setting.texts()
    if names is None:
        return None
    added = sorted({name.upper().removeprefix("CAP_") for name in names})
    if not set(added) <= _RESTRICTED_ADDS:
        setting.clauses.note(
            "contradiction", setting.node.line, setting.key,
            f"of these, the restricted Pod Security Standard lets containers add {', '.join(_RESTRICTED_ADDS)} only",
        )  # fmt: skip
    return setting.use("allowed-added-capabilities", parameters={"allowed": added})


def _volumes(setting: _Setting) -> list[Use] | None:
    names = setting.texts()
    if names is None:
        return None
    types = [_VOLUME_TYPES.get(squashed_type(name)) for name in names]
    if None in types:
        return None
    return setting.use("allowed-volume-types", parameters={"allowed": types})


_REGISTRY = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::[0-9]+)?(?:/[a-z0-9._/-]+)?\Z")


def _registries(setting: _Setting) -> list[Use] | None:
    names = setting.texts()
    if not names or not all(_REGISTRY.match(name) for name in names):
        return None
    return setting.use("image-registry", parameters={"allowed_registries": names}, own=True)


def squashed_type(name: str) -> str:
    """A volume type's letters: ``config map`` and ``configMap`` are one. Types are singular, ``ConfigMaps`` is none."""
    return "".join(character for character in name.lower() if character.isalnum())


_NON_ROOT = _yes("run-as-non-root", "run-as-user")
#: Words of a key → how its value is read.
_SETTINGS: Mapping[str, _Read] = {
    "runasnonroot": _NON_ROOT,
    "nonroot": _NON_ROOT,
    "nonrootuser": _NON_ROOT,
    "mustrunasnonroot": _NON_ROOT,
    "runasroot": _no("run-as-non-root", "run-as-user"),
    "rootuser": _no("run-as-non-root", "run-as-user"),
    "runasuser": _id("run_as_user"),
    "userid": _id("run_as_user"),
    "runasgroup": _id("run_as_group"),
    "groupid": _id("run_as_group"),
    "fsgroup": _id("fs_group"),
    "volumegroup": _id("fs_group"),
    "supplementalgroup": _any,
    "selinux": _any,
    "seccompprofile": _seccomp,
    "seccomp": _seccomp,
    "allowprivilegeescalation": _no("allow-privilege-escalation"),
    "privilegeescalation": _no("allow-privilege-escalation"),
    "readonlyrootfilesystem": _yes("read-only-root-filesystem"),
    "readonlyfilesystem": _yes("read-only-root-filesystem"),
    "readonlyroot": _yes("read-only-root-filesystem"),
    "capability": _capabilities,
    "requireddropcapability": _dropped,
    "dropcapability": _dropped,
    "droppedcapability": _dropped,
    "capabilitydropped": _dropped,
    "allowedcapability": _added,
    "addcapability": _added,
    "addedcapability": _added,
    "capabilityadded": _added,
    "privileged": _no("privileged-container"),
    "privilegedcontainer": _no("privileged-container"),
    "privilegedmode": _no("privileged-container"),
    "hostnetwork": _no("host-namespaces"),
    "hostipc": _no("host-namespaces"),
    "hostpid": _no("host-namespaces"),
    "hostnamespace": _no("host-namespaces"),
    "hostport": _no("host-ports"),
    "hostpath": _no("host-path-volumes"),
    "hostpathvolume": _no("host-path-volumes"),
    "volume": _volumes,
    "volumetype": _volumes,
    "allowedvolume": _volumes,
    "allowedvolumetype": _volumes,
    "automountserviceaccounttoken": _no("service-account-token-automount"),
    **dict.fromkeys(
        ("imageregistry", "allowedregistry", "allowedimageregistry", "trustedregistry", "approvedregistry"), _registries
    ),
    "shareprocessnamespace": _no("share-process-namespace"),
}
#: Words that other things have, too: alone they do not make a mapping one of security settings.
_WEAK = frozenset(
    {
        "selinux",
        "volume",
        "volumetype",
        "hostport",
        "capability",
        "userid",
        "groupid",
        "rootuser",
        "hostpath",
        "volumegroup",
    }
)


def is_setting(key: str) -> bool:
    """Whether a key is a security setting, whatever stands around it."""
    word = squashed(key)
    return word in _SETTINGS and word not in _WEAK


def is_any_setting(key: str) -> bool:
    """Whether a key is called as a security setting is."""
    return squashed(key) in _SETTINGS


def settings(
    keys: tuple[str, ...], node: Node, block: Block, clauses: Clauses, scope: list[str]
) -> Iterator[tuple[str, Node]]:
    """Take the settings of a mapping; yields the entries that are none."""
    for key, child in node.entries.items():
        read = _SETTINGS.get(squashed(key))
        if read is None:
            yield key, child
            continue
        uses = read(_Setting(key, child, scope, clauses))
        subject = " / ".join((*keys[-1:], key))
        clauses.account(child)
        if uses is None:
            clauses.note(
                "not-understood", child.line, subject, "a security setting with a value that is not understood"
            )
        elif not uses:
            clauses.note("no-demand", child.line, subject, "it allows everything")
        else:
            name = f"pod-security/{slug(key)}"
            clauses.add(name, f"{key}: {shown(child)}", block, child.line, rules=uses)


def shown(node: Node) -> str:
    """A value on one line."""
    if node.is_scalar:
        return node.text
    if isinstance(node.value, tuple):
        return ", ".join(shown(member) for member in node.members)
    return ", ".join(f"{key} {shown(child)}" for key, child in node.entries.items())


def contradictions(clauses: Clauses) -> None:
    """What the settings say against each other or against the version of Kubernetes."""
    by_rule: dict[tuple[str, str], tuple[Any, int]] = {}
    adds = non_root = 0
    for clause in clauses.found:
        for use in clause.rules:
            if use["id"] == "allowed-added-capabilities" and "NET_BIND_SERVICE" in use["parameters"]["allowed"]:
                adds = adds or clause.line
            if use["id"] == "run-as-non-root":
                non_root = non_root or clause.line
            for name, value in use.get("parameters", {}).items():
                if use["id"] not in ("run-as-ids", "allowed-volume-types", "allowed-added-capabilities"):
                    continue
                key = (use["id"], f"{name} {use.get('match')}")
                earlier, line = by_rule.setdefault(key, (value, clause.line))
                if earlier != value:
                    clauses.note(
                        "contradiction",
                        clause.line,
                        clause.title,
                        f"line {line} says {earlier} of the same, not {value}",
                    )
    if adds and non_root:
        clauses.note(
            "contradiction", adds, "NET_BIND_SERVICE",
            f"pods run as another user than root (line {non_root}): what is added has no effect unless the program's"
            " file carries it, and ports from 1024 on need none",
        )  # fmt: skip
