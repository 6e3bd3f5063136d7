"""How Istio is installed, as far as the inputs say: its root namespace, what it injects, what it does by default.

What is read, the most final first: the ConfigMaps that the charts render (``istio``, ``istio-sidecar-injector``), the
MutatingWebhookConfigurations, and what they are made of: IstioOperator, the Sail operator's Istio, Helm values in a
HelmRelease or an Argo CD Application. Without any of them the charts' defaults hold, as they do for most: a repository
of applications names none.

Source: istio/istio @eed52eb, manifests/charts/istio-control/istio-discovery (templates/configmap.yaml,
mutatingwebhook.yaml, revision-tags-mwc.yaml, istiod-injector-configmap.yaml, values.yaml), pkg/config/mesh/mesh.go
(DefaultMeshConfig).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from kubeassay.analysis.network.endpoints import METADATA_NAME, namespace_of
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.analysis.selectors import Selector, label_selector, labels_of
from kubeassay.analysis.workloads import templates_of
from kubeassay.model import Inventory, Object, Path

#: Where something is said: an object, and the path from its root.
Place = tuple[Object, Path]

INJECTION_LABEL = "istio-injection"
REVISION_LABEL = "istio.io/rev"
INJECT = "sidecar.istio.io/inject"
DATAPLANE_MODE = "istio.io/dataplane-mode"
DEFAULT_ROOT = "istio-system"
DEFAULT_REVISION = "default"

#: Namespaces that the injector never touches (pkg/kube/inject/initializer.go, IgnoredNamespaces).
IGNORED_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})

_WEBHOOK_SUFFIX = "sidecar-injector.istio.io"
#: Labels and annotations, of namespaces and pods, that only a mesh reads.
_ISTIO_SIGNS = (INJECTION_LABEL, REVISION_LABEL, INJECT, DATAPLANE_MODE, "istio.io/use-waypoint")
LINKERD_INJECT = "linkerd.io/inject"
#: API groups of Linkerd: Server, ServerAuthorization, AuthorizationPolicy, MeshTLSAuthentication, ServiceProfile, ….
LINKERD_GROUPS = frozenset({"linkerd.io", "policy.linkerd.io"})
#: API groups whose objects only Istio reads.
ISTIO_GROUPS = frozenset(
    {
        "authentication.istio.io",
        "extensions.istio.io",
        "install.istio.io",
        "maistra.io",
        "networking.istio.io",
        "sailoperator.io",
        "security.istio.io",
        "telemetry.istio.io",
    }
)


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook of the sidecar injector. ``place`` is None where the charts' own is assumed."""

    revision: str
    namespaces: Selector
    pods: Selector
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class ProxyDefaults:
    """What proxies capture where a pod's annotations say nothing (values ``global.proxy``, ``defaultConfig`` of the
    mesh). Lists of ports and addresses as the annotations have them; "*" is all."""

    include_inbound_ports: str = "*"
    exclude_inbound_ports: str = ""
    include_outbound_ports: str = ""
    exclude_outbound_ports: str = ""
    include_ip_ranges: str = "*"
    exclude_ip_ranges: str = ""
    status_port: str = "15020"
    interception_mode: str = "REDIRECT"
    #: Name of the setting above → what sets it to something else than the charts do.
    places: tuple[tuple[str, Place], ...] = ()

    def place(self, name: str) -> Place | None:
        return next((place for stated, place in self.places if stated == name), None)


@dataclass(frozen=True, slots=True, eq=False)
class MeshSettings:
    """How Istio is installed.

    ``sign``: what shows that there is a mesh at all (None: nothing does). ``control_plane``: the objects that install
    it. ``auto_mtls`` is None where the objects disagree. ``webhooks_known``: all webhooks of the injector are among the
    inputs, so that no others are assumed. ``revisions``: those (and tags) that the inputs name. ``discovery``:
    selectors of the namespaces that istiod watches; None: all. ``ambient``: whether ztunnel is installed; None: the
    inputs do not say. ``private_rules``: DestinationRules without exportTo are for their own namespace.
    ``linkerd``: what shows Linkerd. ``member_roll``: what shows that OpenShift Service Mesh 2 lists its namespaces.
    """

    sign: Place | None = None
    control_plane: tuple[Place, ...] = ()
    root_namespace: str = DEFAULT_ROOT
    root_place: Place | None = None
    trust_domain: str = "cluster.local"
    trust_domain_aliases: tuple[str, ...] = ()
    cluster_domain: str = "cluster.local"
    auto_mtls: bool | None = True
    auto_mtls_place: Place | None = None
    webhooks: tuple[Webhook, ...] = ()
    webhooks_known: bool = False
    revisions: frozenset[str] = frozenset()
    policy: str = "enabled"
    policy_place: Place | None = None
    never_inject: tuple[tuple[Selector, Place], ...] = ()
    always_inject: tuple[tuple[Selector, Place], ...] = ()
    namespaces_by_default: bool = False
    discovery: tuple[Selector, ...] | None = None
    discovery_place: Place | None = None
    ambient: bool | None = None
    proxy: ProxyDefaults = ProxyDefaults()
    private_rules: bool = False
    linkerd: Place | None = None
    member_roll: Place | None = None

    @property
    def present(self) -> bool:
        return self.sign is not None


def created(obj: Object) -> str:
    """When an object was created, so that texts compare as times; empty: not known."""
    try:
        at = datetime.fromisoformat(string(obj.get("metadata", "creationTimestamp")))
        return at.astimezone(UTC).isoformat(timespec="seconds") if at.tzinfo is not None else ""
    except (ValueError, OverflowError):
        return ""


def mesh_settings(inventory: Inventory) -> MeshSettings:
    """How Istio is installed, as far as an inventory says."""
    found: MeshSettings | None = inventory.facts.get(MeshSettings)
    if found is None:
        found = inventory.facts[MeshSettings] = _settings(inventory)
    return found


@dataclass(slots=True)
class _Source:
    """Mesh configuration and chart values that one object states. ``final``: it is what istiod reads, not what it is
    made of."""

    place: Place
    mesh: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    revision: str | None = None
    tags: tuple[str, ...] = ()
    mesh_path: Path = ()
    values_path: Path = ()


def _settings(inventory: Inventory) -> MeshSettings:
    final, made_of = _config_maps(inventory), _installers(inventory)
    injectors = _injector_config_maps(inventory)
    sources = final or made_of
    value_sources = injectors or made_of
    webhooks = tuple(_webhooks(inventory))
    istiod = [(obj, path) for obj, path in _istiods(inventory)]
    control_plane = tuple(
        [source.place for source in made_of] + istiod + [source.place for source in final]
        or [webhook.place for webhook in webhooks[:1] if webhook.place is not None]
    )
    root, root_place = _root_namespace(sources, made_of, istiod)
    auto, auto_place = _auto_mtls(sources)
    discovery, discovery_place = _discovery(sources)
    revisions = {source.revision or DEFAULT_REVISION for source in (*final, *made_of)}
    revisions |= {tag for source in made_of for tag in source.tags}
    revisions |= {webhook.revision for webhook in webhooks if webhook.revision}
    policy, policy_place = _policy(injectors, made_of)
    return MeshSettings(
        sign=control_plane[0] if control_plane else _sign(inventory),
        control_plane=control_plane,
        root_namespace=root,
        root_place=root_place,
        trust_domain=_first(sources, "mesh", ("trustDomain",)) or "cluster.local",
        trust_domain_aliases=next(
            (tuple(map(string, found)) for s in sources if (found := items(s.mesh.get("trustDomainAliases")))), ()
        ),
        cluster_domain=_first(value_sources, "values", ("global", "proxy", "clusterDomain")) or "cluster.local",
        auto_mtls=auto,
        auto_mtls_place=auto_place,
        webhooks=webhooks,
        # A cluster has all its webhooks; those of a repository may be joined by revision tags that istioctl makes.
        webhooks_known=any(w.place is not None and w.place[0].get("metadata", "uid") for w in webhooks),
        revisions=frozenset(revisions),
        policy=policy,
        policy_place=policy_place,
        never_inject=tuple(_selectors(injectors, made_of, "neverInjectSelector")),
        always_inject=tuple(_selectors(injectors, made_of, "alwaysInjectSelector")),
        namespaces_by_default=any(
            _at(source.values, ("sidecarInjectorWebhook", "enableNamespacesByDefault")) is True
            for source in (*made_of, *injectors)
        ),
        discovery=discovery,
        discovery_place=discovery_place,
        ambient=_ambient(inventory, made_of),
        proxy=_proxy_defaults(sources, value_sources),
        private_rules=any("." in items(source.mesh.get("defaultDestinationRuleExportTo")) for source in sources),
        linkerd=_linkerd(inventory),
        member_roll=next(
            ((obj, ("kind",)) for obj in inventory.of_kind("ServiceMeshControlPlane", "maistra.io")),
            next(((obj, ("kind",)) for obj in inventory.of_kind("ServiceMeshMemberRoll", "maistra.io")), None),
        ),
    )


# --- where it is said ---


def _config_maps(inventory: Inventory) -> list[_Source]:
    """ConfigMaps ``istio`` and ``istio-<revision>``, whose key ``mesh`` istiod reads."""
    found = []
    for obj in inventory.of_kind("ConfigMap", ""):
        name = obj.ref.name
        text = mapping(obj.value.get("data")).get("mesh")
        if not isinstance(text, str) or not (name == "istio" or name.startswith("istio-")):
            continue
        revision = labels_of(obj.value).get(REVISION_LABEL) or name.removeprefix("istio").removeprefix("-")
        path: Path = ("data", "mesh")
        found.append(_Source((obj, path), mesh=_yaml(text), revision=revision or None, mesh_path=path))
    return found


def _injector_config_maps(inventory: Inventory) -> list[_Source]:
    """ConfigMaps ``istio-sidecar-injector``: the injector's configuration as ``mesh``, the values of its templates."""
    found = []
    for obj in inventory.of_kind("ConfigMap", ""):
        data = mapping(obj.value.get("data"))
        if not obj.ref.name.startswith("istio-sidecar-injector") or not isinstance(data.get("config"), str):
            continue
        place: Place = (obj, ("data", "config"))
        found.append(
            _Source(
                place,
                _yaml(data["config"]),
                _json(string(data.get("values"))),
                mesh_path=("data", "config"),
                values_path=("data", "values"),
            )
        )
    return found


def _installers(inventory: Inventory) -> list[_Source]:
    found: list[_Source] = []
    for obj in inventory.of_kind("IstioOperator", "install.istio.io"):
        spec = mapping(obj.value.get("spec"))
        if _at(spec, ("components", "pilot", "enabled")) is False or spec.get("profile") in ("empty", "remote"):
            # A gateway or the CNI plugin by itself: it may say how proxies behave, not that there is a control plane.
            continue
        values = mapping(spec.get("values"))
        mesh: Mapping[str, Any] = {**mapping(values.get("meshConfig")), **mapping(spec.get("meshConfig"))}
        at: Path = ("spec", "meshConfig") if "meshConfig" in spec else ("spec", "values", "meshConfig")
        revision = string(spec.get("revision")) or string(values.get("revision"))
        tags = tuple(filter(None, map(string, items(values.get("revisionTags")))))
        found.append(_Source((obj, ("spec",)), mesh, values, revision or None, tags, at, ("spec", "values")))
    for kind in ("Istio", "IstioRevision"):
        for obj in inventory.of_kind(kind, "sailoperator.io"):
            values = mapping(mapping(obj.value.get("spec")).get("values"))
            namespace = string(obj.get("spec", "namespace"))
            merged = _with_namespace(values, namespace)
            name = string(values.get("revision")) or obj.ref.name
            sail = None if name == DEFAULT_REVISION else name
            mesh = mapping(values.get("meshConfig"))
            at = ("spec", "values", "meshConfig")
            found.append(_Source((obj, ("spec",)), mesh, merged, sail, (), at, ("spec", "values")))
    for obj, path, values in _helm_values(inventory):
        tags = tuple(filter(None, map(string, items(values.get("revisionTags")))))
        of_chart = mapping(values.get("meshConfig"))
        named = string(values.get("revision")) or None
        found.append(_Source((obj, path), of_chart, values, named, tags, (*path, "meshConfig"), path))
    tags = tuple(obj.ref.name for obj in inventory.of_kind("IstioRevisionTag", "sailoperator.io"))
    if tags and found:
        found[0].tags = (*found[0].tags, *tags)
    return found


def _with_namespace(values: Mapping[str, Any], namespace: str) -> Mapping[str, Any]:
    if not namespace:
        return values
    return {**values, "global": {"istioNamespace": namespace, **mapping(values.get("global"))}}


def _helm_values(inventory: Inventory) -> Iterator[tuple[Object, Path, Mapping[str, Any]]]:
    """Values of the chart istiod in Flux's HelmRelease and Argo CD's Application. Paths lead to the values, or to the
    text that they stand in."""
    for obj in inventory.of_kind("HelmRelease"):
        if _chart(obj.get("spec", "chart", "spec", "chart")):
            yield obj, ("spec", "values"), mapping(obj.get("spec", "values"))
    for obj in inventory.of_kind("Application", "argoproj.io"):
        spec = mapping(obj.value.get("spec"))
        sources: list[tuple[Path, Any]] = [(("spec", "source"), spec.get("source"))]
        sources += [(("spec", "sources", n), source) for n, source in enumerate(items(spec.get("sources")))]
        for path, source in sources:
            if not _chart(mapping(source).get("chart")):
                continue
            helm = mapping(mapping(source).get("helm"))
            if isinstance(helm.get("valuesObject"), dict):
                yield obj, (*path, "helm", "valuesObject"), helm["valuesObject"]
            else:
                yield obj, (*path, "helm", "values"), _yaml(string(helm.get("values")))


def _chart(name: object) -> bool:
    return isinstance(name, str) and name.rpartition("/")[2] in ("istiod", "istio-discovery")


def _istiods(inventory: Inventory) -> Iterator[Place]:
    """The pods of istiod itself: a container that runs ``discovery``."""
    for obj in inventory.of_kind("Deployment", "apps"):
        for template in templates_of(obj):
            if any(
                container.name == "discovery" and "discovery" in items(container.spec.get("args"))
                for container in template.containers
            ):
                yield obj, ("metadata", "name")


def _webhooks(inventory: Inventory) -> Iterator[Webhook]:
    for obj in inventory.of_kind("MutatingWebhookConfiguration", "admissionregistration.k8s.io"):
        labels = labels_of(obj.value)
        revision = labels.get("istio.io/tag") or labels.get(REVISION_LABEL, "")
        for number, webhook in enumerate(items(obj.value.get("webhooks"))):
            webhook = mapping(webhook)
            if not string(webhook.get("name")).endswith(_WEBHOOK_SUFFIX):
                continue
            yield Webhook(
                revision,
                label_selector(webhook.get("namespaceSelector")),
                label_selector(webhook.get("objectSelector")),
                (obj, ("webhooks", number)),
            )


def _sign(inventory: Inventory) -> Place | None:
    """What shows that there is a mesh whose installation is not among the inputs."""
    for obj in inventory:
        group = obj.ref.group
        if group in ISTIO_GROUPS:
            return obj, ("kind",)
        if group == "" and obj.ref.kind == "Namespace":
            labels = labels_of(obj.value)
            for label in _ISTIO_SIGNS:
                if label in labels and labels[label] not in ("disabled", "none"):
                    return obj, ("metadata", "labels", label)
    for obj in inventory:
        for template in templates_of(obj):
            for field_name in ("labels", "annotations"):
                said = mapping(template.metadata.get(field_name))
                for label in _ISTIO_SIGNS:
                    if label in said and said[label] not in ("false", "none", "disabled"):
                        path: Path = (*template.path, "metadata", field_name, label)
                        return obj, path
    return None


def _linkerd(inventory: Inventory) -> Place | None:
    for obj in inventory:
        if obj.ref.group in LINKERD_GROUPS:
            return obj, ("kind",)
        annotations = mapping(mapping(obj.value.get("metadata")).get("annotations"))
        if obj.ref.kind == "Namespace" and annotations.get(LINKERD_INJECT) in ("enabled", "ingress"):
            return obj, ("metadata", "annotations", LINKERD_INJECT)
    return None


# --- what it says ---


def _root_namespace(
    sources: Sequence[_Source], made_of: Sequence[_Source], istiod: Sequence[Place]
) -> tuple[str, Place | None]:
    for source in sources:
        named = string(source.mesh.get("rootNamespace"))
        if named:
            path = (
                (*source.mesh_path, "rootNamespace") if source.mesh_path[-1:] == ("meshConfig",) else source.mesh_path
            )
            return named, (source.place[0], path)
    for source in made_of:
        named = string(_at(source.values, ("global", "istioNamespace")))
        if named:
            return named, (source.place[0], source.values_path)
    spaces = {namespace_of(obj) for obj, _ in istiod}
    if len(spaces) == 1 and not sources:
        # The charts are installed with the namespace of their release as the root.
        return spaces.pop(), istiod[0]
    return DEFAULT_ROOT, None


def _auto_mtls(sources: Sequence[_Source]) -> tuple[bool | None, Place | None]:
    said = {source.mesh.get("enableAutoMtls") is not False for source in sources}
    off = next((source for source in sources if source.mesh.get("enableAutoMtls") is False), None)
    if off is None:
        return True, None
    path = (*off.mesh_path, "enableAutoMtls") if off.mesh_path[-1:] == ("meshConfig",) else off.mesh_path
    return (None if len(said) > 1 else False), (off.place[0], path)


def _discovery(sources: Sequence[_Source]) -> tuple[tuple[Selector, ...] | None, Place | None]:
    for source in sources:
        selectors = tuple(label_selector(one) for one in items(source.mesh.get("discoverySelectors")))
        if selectors and len(sources) == 1:
            return selectors, (source.place[0], source.mesh_path)
    return None, None


def _policy(injectors: Sequence[_Source], made_of: Sequence[_Source]) -> tuple[str, Place | None]:
    """The injector's policy for pods that say nothing."""
    for source in injectors:
        policy = string(source.mesh.get("policy"))
        if policy:
            return policy, source.place
    for source in made_of:
        policy = string(_at(source.values, ("global", "proxy", "autoInject")))
        if policy:
            return policy, (source.place[0], source.values_path)
    return "enabled", None


def _selectors(injectors: Sequence[_Source], made_of: Sequence[_Source], name: str) -> Iterator[tuple[Selector, Place]]:
    for source in injectors:
        for one in items(source.mesh.get(name)):
            yield label_selector(one), source.place
    if not injectors:
        for source in made_of:
            for one in items(_at(source.values, ("sidecarInjectorWebhook", name))):
                yield label_selector(one), (source.place[0], source.values_path)


def _ambient(inventory: Inventory, made_of: Sequence[_Source]) -> bool | None:
    if any(obj.ref.name == "ztunnel" for obj in inventory.of_kind("DaemonSet", "apps")):
        return True
    if inventory.of_kind("ZTunnel", "sailoperator.io"):
        return True
    profiles = [source.place[0].get("spec", "profile") for source in made_of]
    profiles += [source.values.get("profile") for source in made_of]
    if any(isinstance(profile, str) and "ambient" in profile for profile in profiles):
        return True
    return False if made_of else None


#: Setting → its name in the values ``global.proxy``.
_PROXY_VALUES = {
    "include_inbound_ports": "includeInboundPorts",
    "exclude_inbound_ports": "excludeInboundPorts",
    "include_outbound_ports": "includeOutboundPorts",
    "exclude_outbound_ports": "excludeOutboundPorts",
    "include_ip_ranges": "includeIPRanges",
    "exclude_ip_ranges": "excludeIPRanges",
    "status_port": "statusPort",
}


def _proxy_defaults(sources: Sequence[_Source], value_sources: Sequence[_Source]) -> ProxyDefaults:
    usual = ProxyDefaults()
    found: dict[str, str] = {}
    places: list[tuple[str, Place]] = []
    source = next((one for one in value_sources if mapping(_at(one.values, ("global", "proxy")))), None)
    for setting, name in _PROXY_VALUES.items() if source is not None else ():
        assert source is not None
        value = _at(source.values, ("global", "proxy", name))
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value) != getattr(usual, setting):
            found[setting] = str(value)
            places.append((setting, _in_values(source, "global", "proxy", name)))
    for source in sources:
        mode = string(_at(source.mesh, ("defaultConfig", "interceptionMode")))
        if mode and mode != usual.interception_mode and "interception_mode" not in found:
            found["interception_mode"] = mode
            path: Path = source.mesh_path
            if isinstance(source.place[0].get(*path), dict):
                path = (*path, "defaultConfig", "interceptionMode")
            places.append(("interception_mode", (source.place[0], path)))
    return replace(usual, **found, places=tuple(places))


def _in_values(source: _Source, *steps: str) -> Place:
    """Where a value stands: in the object, or in a text of it."""
    obj = source.place[0]
    in_object = isinstance(obj.get(*source.values_path), dict)
    return obj, (*source.values_path, *steps) if in_object else source.values_path


def _first(sources: Sequence[_Source], of: str, path: tuple[str, ...]) -> str:
    for source in sources:
        found = string(_at(getattr(source, of), path))
        if found:
            return found
    return ""


def _at(value: Any, path: Sequence[str]) -> Any:
    for step in path:
        value = mapping(value).get(step)
    return value


def _yaml(text: str) -> Mapping[str, Any]:
    """A mapping that stands as YAML in a text; empty where there is none."""
    import yaml  # only a few trees have such a text

    try:
        return mapping(yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, ValueError, RecursionError, TypeError):
        return {}


def _json(text: str) -> Mapping[str, Any]:
    try:
        return mapping(json.loads(text))
    except (ValueError, RecursionError):
        return {}


# --- webhooks of the charts ---


def _requires(*requirements: Mapping[str, Any]) -> Selector:
    return label_selector({"matchExpressions": list(requirements)})


def _is(key: str, operator: str, *values: str) -> Mapping[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


_NOT_OPTED_OUT = _is(INJECT, "NotIn", "false")
_NO_REVISION = _is(REVISION_LABEL, "DoesNotExist")
_NO_INJECTION = _is(INJECTION_LABEL, "DoesNotExist")


def chart_webhooks(revision: str, *, namespaces_by_default: bool) -> tuple[Webhook, ...]:
    """The webhooks that the charts install for a revision or a tag (templates/mutatingwebhook.yaml)."""
    found = [
        Webhook(
            revision,
            _requires(_is(REVISION_LABEL, "In", revision), _NO_INJECTION),
            _requires(_NOT_OPTED_OUT),
        ),
        Webhook(
            revision,
            _requires(_NO_REVISION, _NO_INJECTION),
            _requires(_NOT_OPTED_OUT, _is(REVISION_LABEL, "In", revision)),
        ),
    ]
    if revision != DEFAULT_REVISION:
        return tuple(found)
    found.append(Webhook(revision, _requires(_is(INJECTION_LABEL, "In", "enabled")), _requires(_NOT_OPTED_OUT)))
    found.append(
        Webhook(revision, _requires(_NO_INJECTION, _NO_REVISION), _requires(_is(INJECT, "In", "true"), _NO_REVISION))
    )
    if namespaces_by_default:
        outside = _is(METADATA_NAME, "NotIn", *sorted(IGNORED_NAMESPACES))
        found.append(
            Webhook(
                revision,
                _requires(_NO_INJECTION, _NO_REVISION, outside),
                _requires(_is(INJECT, "DoesNotExist"), _NO_REVISION),
            )
        )
    return tuple(found)
