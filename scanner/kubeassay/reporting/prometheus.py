"""Prometheus' text format, for the textfile collector of node_exporter.

Every series has the labels ``target`` and ``profile``, so that the files of several audits can lie in one folder: the
collector refuses two series of one name and equal labels. There is a series for each severity, outcome and control,
zero where nothing was found, so that an alert sees a value and not an absence. The number of series is bounded:
namespaces and reasons beyond the first :data:`NAMESPACE_LIMIT` and :data:`REASON_LIMIT` are counted together, areas and
controls are those of the profile. Samples have no time stamps, which the collector refuses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from kubeassay.model import SEVERITIES, Finding, Result
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.statements import RANK, is_complete
from kubeassay.reporting.texts import printable, shorten

#: Namespaces with series of their own: those with the most severe findings. The others are one, :data:`OTHERS`.
NAMESPACE_LIMIT = 100
#: Reasons with series of their own: the most frequent. The tool itself has some twenty.
REASON_LIMIT = 50
#: Areas with series of their own, in the order of their names. The bundled rules have fifteen.
AREA_LIMIT = 50
#: Controls with series of their own, in the profile's order.
CONTROL_LIMIT = 2_000
#: Environments with series of their own, in the order of the result.
ENVIRONMENT_LIMIT = 100
#: No namespace has such a name.
OTHERS = "(others)"
#: Kubernetes has no longer names.
LABEL_LIMIT = 253

_Labels = dict[str, str]


def write(result: Result, options: RenderOptions) -> Report:
    lines = list(_lines(result, options))
    return Report((("\n".join(lines) + "\n").encode("utf-8"),))


def _lines(result: Result, options: RenderOptions) -> Iterator[str]:
    summary = result.summary
    own = {"target": result.target.name, "profile": result.profile.name}

    def gauge(name: str, about: str, samples: Iterable[tuple[_Labels, int]]) -> Iterator[str]:
        yield f"# HELP kubeassay_{name} {about}"
        yield f"# TYPE kubeassay_{name} gauge"
        for labels, value in samples:
            written = ",".join(f'{key}="{_escaped(text)}"' for key, text in (own | labels).items())
            yield f"kubeassay_{name}{{{written}}} {value}"

    def single(name: str, about: str, value: int) -> Iterator[str]:
        return gauge(name, about, [({}, value)])

    yield from gauge(
        "info",
        "What judged, and by what. Always 1.",
        [({"version": result.tool_version, "kind": result.target.kind, "kubernetes": result.kubernetes_version}, 1)],
    )
    yield from single(
        "complete",
        "Whether everything was read and judged: 1, else 0. Zero findings say nothing then.",
        int(is_complete(result)),
    )
    if options.time is not None:
        yield from single("run_timestamp_seconds", "When the run was, in seconds since 1970.", options.time)
    yield from single("objects", "Objects that were read.", summary.objects)
    yield from single("files", "Files that were read.", summary.files)
    failing = [finding for finding in result.findings if finding.outcome == "fail"]
    yield from gauge("findings", "Failing findings by severity and area.", _by_area(result, failing))
    yield from gauge(
        "namespace_findings",
        "Failing findings by namespace and severity; an empty namespace is none, or of the whole cluster.",
        _by_namespace(failing),
    )
    yield from gauge("control_outcomes", "Pairs of rule and subject of each control by outcome.", _by_control(result))
    yield from single("passed", "Pairs of rule and subject that comply.", summary.passed)
    yield from single("excepted_findings", "Findings that an exception accepts.", summary.excepted)
    yield from single(
        "not_evaluated_subjects", "Pairs of rule and subject that were not judged.", summary.not_evaluated
    )
    reasons = Counter(_label(entry.reason) for entry in result.not_evaluated)
    yield from gauge(
        "not_evaluated",
        "What was not judged, by reason.",
        (({"reason": reason}, number) for reason, number in _bounded(reasons, REASON_LIMIT)),
    )
    yield from single("read_errors", "Files, or parts of them, that could not be read.", len(result.errors))
    drift = result.drift
    if drift is not None:
        counts = {
            "missing": drift.missing,
            "changed": drift.changed,
            "undeclared": drift.undeclared,
            "not-compared": drift.not_compared,
        }
        yield from gauge(
            "drift",
            "In what the cluster is not what its manifests declare.",
            (({"difference": name}, len(of)) for name, of in counts.items()),
        )
    if result.environments:
        yield from gauge(
            "environment_findings",
            "Failing findings of each environment by severity; several environments may have one finding.",
            _by_environment(result),
        )
        yield from single("environment_differences", "Objects that not all environments have.", len(result.differences))
    skipped = Counter(_label(entry.reason) for entry in result.skipped)
    yield from gauge(
        "skipped_files",
        "Files and documents that hold nothing to judge as they are, by reason.",
        (({"reason": reason}, number) for reason, number in _bounded(skipped, REASON_LIMIT)),
    )


def _by_area(result: Result, failing: Iterable[Finding]) -> Iterator[tuple[_Labels, int]]:
    areas = {_label(rule.area) for rule in result.rules.values()} | {_label(finding.area) for finding in failing}
    known = set(sorted(areas)[:AREA_LIMIT])
    counts: Counter[tuple[str, str]] = Counter()
    for finding in failing:
        counts[_or_others(finding.area, known), finding.severity] += 1
    for area in (*sorted(known - {OTHERS}), *([OTHERS] if areas - known or OTHERS in known else [])):
        for severity in SEVERITIES:
            yield {"area": area, "severity": severity}, counts[area, severity]


def _by_namespace(failing: Iterable[Finding]) -> Iterator[tuple[_Labels, int]]:
    weights: dict[str, list[int]] = {}
    for finding in failing:
        weights.setdefault(_label(finding.object.namespace or ""), [0] * len(SEVERITIES))[RANK[finding.severity]] += 1
    worst = sorted(weights, key=lambda name: ([-number for number in weights[name]], name))
    counts: dict[str, list[int]] = {}
    for number, name in enumerate(worst):
        shown = name if number < NAMESPACE_LIMIT else OTHERS
        counts[shown] = [a + b for a, b in zip(counts.get(shown, [0] * len(SEVERITIES)), weights[name], strict=True)]
    for name in sorted(counts):
        for severity, number in zip(SEVERITIES, counts[name], strict=True):
            yield {"namespace": name, "severity": severity}, number


def _by_environment(result: Result) -> Iterator[tuple[_Labels, int]]:
    counts: dict[str, Counter[str]] = {}
    for environment in result.environments:
        name = _label(environment.name)
        shown = name if name in counts or len(counts) < ENVIRONMENT_LIMIT else OTHERS
        counts.setdefault(shown, Counter()).update(environment.summary.by_severity)
    for name, numbers in counts.items():
        for severity in SEVERITIES:
            yield {"environment": name, "severity": severity}, numbers[severity]


def _by_control(result: Result) -> Iterator[tuple[_Labels, int]]:
    # Of two controls with equal labels (long or unprintable ids), the first: two equal series are refused.
    controls = {(_label(control.baseline), _label(control.id)): control for control in reversed(result.controls)}
    shown = list(reversed(controls.items()))
    for (baseline, name), control in shown[:CONTROL_LIMIT]:
        counts = result.summary.by_control.get(control.id)
        for outcome, number in (
            ("fail", counts.fail if counts else 0),
            ("pass", counts.passed if counts else 0),
            ("not-evaluated", counts.not_evaluated if counts else 0),
            ("excepted", counts.excepted if counts else 0),
        ):
            yield {"baseline": baseline, "control": name, "outcome": outcome}, number


def _bounded(counts: Counter[str], limit: int) -> Iterator[tuple[str, int]]:
    kept = sorted(counts, key=lambda name: (-counts[name], name))
    bounded = {name: counts[name] for name in kept[:limit]}
    if kept[limit:]:
        bounded[OTHERS] = bounded.get(OTHERS, 0) + sum(counts[name] for name in kept[limit:])
    yield from sorted(bounded.items())


def _or_others(text: str, known: set[str]) -> str:
    label = _label(text)
    return label if label in known else OTHERS


def _label(text: str) -> str:
    """The text as it stands in a label: values that are equal there are counted together."""
    return shorten(printable(text), LABEL_LIMIT)


def _escaped(text: str) -> str:
    return _label(text).replace("\\", r"\\").replace('"', r"\"")
