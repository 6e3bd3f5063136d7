"""The policy library: rules, baselines and profiles, read from their files.

Files that the user points at are validated against the published JSON Schemas, with the line of the mistake. The
bundled ones are validated by the tests, so that a scan does not spend time on it.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import yaml
from yaml.cyaml import CSafeLoader

from kubeassay import content
from kubeassay.analysis.facts import kinds_of
from kubeassay.checks.documented_object import bound_problem
from kubeassay.model import (
    SEVERITIES,
    Baseline,
    Control,
    Example,
    ExceptionPolicy,
    Parameter,
    Profile,
    Rule,
    RuleUse,
    Severity,
    Source,
    SubjectMatch,
)
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.parameters import parameter_problem

#: The rule that a control's expectations are uses of.
EXPECTATION = "documented-object"


def suggestion(word: str, known: Iterable[str]) -> str:
    """`` (did you mean …?)`` where a known word is near, else nothing."""
    words = list(known)
    # What was begun or cut short is meant before what only looks alike.
    near = sorted(k for k in words if k.startswith(word)) if len(word) > 2 else []
    near = near if len(near) == 1 else difflib.get_close_matches(word, words, n=1) or near[:1]
    return f" (did you mean {near[0]}?)" if near else ""


class _Rules(Mapping[str, Rule]):
    """Rules by id, sorted: bundled ones, each from the file of its name, and others."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files = {path.stem: path for path in _yaml_files(root)}
        self._read: dict[str, Rule] = {}

    def add(self, rule: Rule) -> None:
        self._read[rule.id] = rule

    def __getitem__(self, rule_id: str) -> Rule:
        rule = self._read.get(rule_id)
        if rule is None:
            path = self._files[rule_id]
            rule = self._read[rule_id] = rule_from(load_bundled(path), path.relative_to(self._root).as_posix())
        return rule

    def __contains__(self, rule_id: object) -> bool:
        return rule_id in self._files or rule_id in self._read

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._files.keys() | self._read.keys()))

    def __len__(self) -> int:
        return len(self._files.keys() | self._read.keys())


class Library:
    """All rules, baselines and profiles that a run may use.

    ``rule_folders`` and ``baseline_files`` are the user's; a rule of theirs may not take the id of another.
    """

    def __init__(
        self,
        rule_paths: Sequence[Path] = (),
        baseline_files: Sequence[Path] = (),
        baseline_documents: Iterable[tuple[Mapping[str, Any], str]] = (),
    ) -> None:
        """``baseline_documents``: (baseline as its file would state it, file that it comes from)."""
        self._rule_paths = tuple(rule_paths)
        self._baseline_documents = tuple(baseline_documents)
        self._baseline_files = tuple(baseline_files)
        self._own: set[str] = set()

    # --- rules ---

    @cached_property
    def rules(self) -> Mapping[str, Rule]:
        """Every rule by id, sorted. A bundled one is read when it is asked for: most runs need few of them."""
        rules = _Rules(content.folder("rules"))
        for given in self._rule_paths:
            files = [path for path in _yaml_files(given) if _may_be_rule(path)] if given.is_dir() else [given]
            if not files:
                raise PolicyError(f"{given}: no rule file in it")
            for path in files:
                rule = rule_from(load_valid(path, "rule"), path.as_posix())
                if rule.id in rules:
                    raise PolicyError(f"{path}: rule {rule.id} exists already ({rules[rule.id].file})")
                rules.add(rule)
                self._own.add(rule.id)
        return rules

    @property
    def own_rules(self) -> tuple[Rule, ...]:
        """The rules that the user gave, by id."""
        return tuple(rule for rule in self.rules.values() if rule.id in self._own) if self._rule_paths else ()

    def rule(self, rule_id: str) -> Rule:
        """The rule with an id. Raises PolicyError, with the nearest id, for an unknown one."""
        try:
            return self.rules[rule_id]
        except KeyError:
            raise PolicyError(f"unknown rule {rule_id}{suggestion(rule_id, self.rules)}") from None

    # --- baselines ---

    @cached_property
    def baselines(self) -> Mapping[str, Baseline]:
        """Every baseline by name, sorted."""
        baselines: dict[str, Baseline] = {}
        for path in sorted(content.folder("baselines").glob("*.yaml")):
            baseline = baseline_from(load_bundled(path), path.name)
            baselines[baseline.name] = baseline
        bundled = frozenset(baselines)
        given = ((load_valid(path, "baseline"), path.as_posix()) for path in self._baseline_files)
        for document, file in chain(given, self._baseline_documents):
            baseline = baseline_from(document, file)
            if baseline.name in baselines:
                raise PolicyError(f"{file}: baseline {baseline.name} exists already")
            baselines[baseline.name] = baseline
        for baseline in baselines.values():
            self._check_rules(baseline.controls, baseline.file, bundled=baseline.name in bundled)
        return dict(sorted(baselines.items()))

    def baseline(self, name: str) -> Baseline:
        """The baseline with a name. Raises PolicyError for an unknown one."""
        try:
            return self.baselines[name]
        except KeyError:
            raise PolicyError(f"unknown baseline {name}{suggestion(name, self.baselines)}") from None

    def _check_rules(self, controls: Iterable[Control], file: str, *, bundled: bool) -> None:
        """Raises PolicyError for rules that there are not, and, of the user's own files, for parameters that there are
        not and values that do not fit: those of bundled files are validated by the tests."""
        for control in controls:
            for use in control.rules:
                if bundled and use.rule in self.rules:
                    continue
                problem = self.problem_of(use)
                if problem is not None:
                    raise PolicyError(f"{file}: control {control.id}: {problem}")

    def problem_of(self, use: RuleUse) -> str | None:
        """Why a use of a rule is none: there is no such rule, or it takes no such value. None where nothing is."""
        if use.rule not in self.rules:
            return f"unknown rule {use.rule}{suggestion(use.rule, self.rules)}"
        known = {parameter.name: parameter for parameter in self.rules[use.rule].parameters}
        for name, value in use.parameters.items():
            if name not in known:
                return f"rule {use.rule} has no parameter {name}{suggestion(name, known)}"
            problem = parameter_problem(known[name].type, known[name].schema, value)
            if problem is None and use.rule == EXPECTATION and name == "fields":
                problem = next(filter(None, map(bound_problem, value)), None)
            if problem is not None:
                return f"rule {use.rule}: parameter {name}: {problem}"
        return None

    # --- profiles ---

    @cached_property
    def profile_names(self) -> tuple[str, ...]:
        """The names of the bundled profiles, sorted."""
        root = content.folder("baselines") / "profiles"
        return tuple(sorted(path.relative_to(root).with_suffix("").as_posix() for path in _yaml_files(root)))

    def profile(self, name: str) -> Profile:
        """A bundled profile by name, or one from a file (a path that ends in .yaml or .yml, or that has a ``/`` and
        exists). Raises PolicyError."""
        return self._profile(name, ())

    def _profile(self, name: str, seen: tuple[str, ...]) -> Profile:
        if name in seen:
            raise PolicyError(f"profile {name} extends itself ({' → '.join((*seen, name))})")
        path = Path(name)
        if name in self.profile_names:
            document = load_bundled(content.folder("baselines") / "profiles" / f"{name}.yaml")
            file, bundled = f"profiles/{name}.yaml", True
        elif name.endswith((".yaml", ".yml")) or path.is_file():
            document = load_valid(path, "profile")
            file, bundled = path.as_posix(), False
        else:
            near = suggestion(name, self.profile_names) or f"; there are {', '.join(self.profile_names)}"
            raise PolicyError(f"unknown profile {name}{near}")
        spec = document["spec"]
        controls: dict[tuple[str, str], Control] = {}
        baselines: dict[str, Baseline] = {}
        # What is not stated of the target is the first parent's: its clauses are meant for that version.
        first: Profile | None = None
        parents: list[Profile] = []
        for extended in spec.get("extends", ()):
            entry = {"profile": extended} if isinstance(extended, str) else extended
            parent = self._profile(entry["profile"], (*seen, name))
            first = first or parent
            parents.append(parent)
            kept = _without(parent, entry.get("exclude", ()), file)
            controls.update(((control.baseline, control.id), control) for control in kept)
            baselines.update((baseline.name, baseline) for baseline in parent.baselines)
        for entry in spec.get("baselines", ()):
            baseline = self.baseline(entry["name"])
            baselines[baseline.name] = baseline
            for control in self._chosen(baseline, entry, file, bundled=bundled):
                controls[control.baseline, control.id] = control
        own = _controls(spec.get("controls", ()), document["metadata"]["name"], Source(spec["title"]))
        self._check_rules(own, file, bundled=bundled)
        controls.update(((control.baseline, control.id), control) for control in own)
        check_control_ids(controls.values(), file)
        return Profile(
            name=document["metadata"]["name"],
            title=spec["title"],
            description=spec.get("description", ""),
            kubernetes_version=str(spec.get("kubernetesVersion", first.kubernetes_version if first else "latest")),
            controls=tuple(controls.values()),
            baselines=tuple(baselines.values()),
            environment=spec.get("environment", first.environment if first else ""),
            file=file,
            exceptions=_exception_policy(spec.get("exceptions", {}), parents),
        )

    def _chosen(self, baseline: Baseline, entry: Mapping[str, Any], file: str, *, bundled: bool) -> Iterator[Control]:
        levels, included, excluded = (set(entry.get(key, ())) for key in ("levels", "controls", "exclude"))
        ids = {control.id for control in baseline.controls}
        for name in sorted((included | excluded) - ids):
            raise PolicyError(f"{file}: baseline {baseline.name} has no control {name}{suggestion(name, ids)}")
        known_levels = {control.level for control in baseline.controls}
        for name in sorted(levels - known_levels):
            raise PolicyError(f"{file}: baseline {baseline.name} has no level {name}{suggestion(name, known_levels)}")
        severities: Mapping[str, Severity] = entry.get("severities", {})
        parameters: Mapping[str, Mapping[str, Any]] = entry.get("parameters", {})
        used = {use.rule for control in baseline.controls for use in control.rules}
        for name in [*severities, *parameters]:
            if name not in used and name not in ids:
                raise PolicyError(
                    f"{file}: baseline {baseline.name} has no control or rule {name}{suggestion(name, used | ids)}"
                )
        match = match_from(entry.get("match"))
        for control in baseline.controls:
            if levels and control.level not in levels:
                continue
            if (included and control.id not in included) or control.id in excluded:
                continue
            uses = tuple(
                replace(
                    use,
                    severity=severities.get(control.id)
                    or severities.get(use.rule)
                    or entry.get("severity")
                    or use.severity,
                    parameters={**use.parameters, **parameters.get(use.rule, {})},
                    match=match if use.match == SubjectMatch() else use.match,
                )
                for use in control.rules
            )
            chosen = replace(control, rules=uses)
            self._check_rules((chosen,), file, bundled=bundled)
            yield chosen


def _exception_policy(stated: Mapping[str, Any], parents: Sequence[Profile]) -> ExceptionPolicy:
    """What a profile demands of exceptions: what it states, else the strictest of what it extends."""
    required: Iterable[str] = (
        stated["required"]
        if "required" in stated
        else chain(ExceptionPolicy().required, *(parent.exceptions.required for parent in parents))
    )
    accepted = all(parent.exceptions.in_tree for parent in parents)
    in_tree = stated["inTree"] == "accepted" if "inTree" in stated else accepted
    return ExceptionPolicy(tuple(dict.fromkeys(required)), in_tree)


def _without(parent: Profile, excluded: Sequence[str], file: str) -> tuple[Control, ...]:
    """The controls of a profile that is extended, but for some. Raises PolicyError for an id that it does not have."""
    ids = {control.id for control in parent.controls}
    for name in excluded:
        if name not in ids:
            raise PolicyError(f"{file}: profile {parent.name} has no control {name}{suggestion(name, ids)}")
    return tuple(control for control in parent.controls if control.id not in excluded)


def check_control_ids(controls: Iterable[Control], file: str) -> None:
    """Findings name controls by id alone, so an id must not mean two. Raises PolicyError."""
    seen: dict[str, str] = {}
    for control in controls:
        if seen.setdefault(control.id, control.baseline) != control.baseline:
            raise PolicyError(
                f"{file}: {seen[control.id]} and {control.baseline} both have a control {control.id}; a profile that is"
                " to have another one excludes it from what it extends"
            )


def highest(severities: Iterable[Severity]) -> Severity:
    """The most severe of some severities (at least one)."""
    return min(severities, key=SEVERITIES.index)


def _yaml_files(folder: Path) -> Iterator[Path]:
    for directory, directories, names in os.walk(folder):
        directories.sort()
        for name in sorted(names):
            if name.endswith((".yaml", ".yml")):
                yield Path(directory, name)


def _may_be_rule(path: Path) -> bool:
    """Whether a file of a folder of rules is to be one: the baseline or profile beside them is not."""
    try:
        document = yaml.load(path.read_bytes(), Loader=CSafeLoader)
    except (OSError, ValueError, yaml.YAMLError):
        return True
    return not isinstance(document, dict) or document.get("kind") not in (
        "Baseline",
        "Profile",
        "Exceptions",
        "Configuration",
    )


def load_bundled(path: Path) -> dict[str, Any]:
    """The document of a bundled policy file."""
    with path.open("rb") as stream:
        loaded: dict[str, Any] = yaml.load(stream, Loader=CSafeLoader)
    return loaded


def load_valid(path: Path, schema: str) -> dict[str, Any]:
    """The document of a user's policy file, validated against a published schema. Raises PolicyError."""
    # Imported here: jsonschema takes longer to import than a small scan takes.
    from kubeassay.policy.validation import validated

    return validated(path, schema)


def rule_from(document: Mapping[str, Any], file: str) -> Rule:
    """A rule from its (valid) document."""
    spec = document["spec"]
    return Rule(
        id=document["metadata"]["id"],
        title=spec["title"],
        area=spec["area"],
        severity=spec["severity"],
        subject=spec["subject"],
        rationale=spec["rationale"].strip(),
        remediation=spec["remediation"].strip(),
        expression=spec.get("expression"),
        message_expression=spec.get("messageExpression"),
        field=spec.get("field"),
        needs=kinds_of(spec.get("needs", ())),
        needs_from=spec.get("needsFrom", ""),
        manifest_only=spec.get("manifestOnly", False),
        context=tuple(spec.get("context", ())),
        parameters=tuple(
            Parameter(name, p["type"], p.get("default"), p.get("description", "").strip(), p.get("schema", {}))
            for name, p in spec.get("parameters", {}).items()
        ),
        fix=dict(spec.get("fix", {}).get("set", {})),
        overrides=tuple(spec.get("overrides", ())),
        references=spec.get("references", {}),
        examples=tuple(_example(example) for example in spec.get("examples", ())),
        file=file,
    )


def _example(entry: Mapping[str, Any]) -> Example:
    outcome: Literal["fails", "passes"] = "fails" if "fails" in entry else "passes"
    return Example(outcome, entry[outcome], entry.get("parameters", {}))


def baseline_from(document: Mapping[str, Any], file: str) -> Baseline:
    """A baseline from its (valid) document."""
    spec = document["spec"]
    name = document["metadata"]["name"]
    standard = spec.get("standard", {})
    source = Source(document=standard.get("document", spec["title"]), url=standard.get("url", ""))
    return Baseline(
        name=name,
        title=spec["title"],
        area=spec["area"],
        description=spec.get("description", "").strip(),
        standard=source,
        controls=_controls(spec["controls"], name, source),
        file=file,
    )


def _controls(entries: Iterable[Mapping[str, Any]], baseline: str, standard: Source) -> tuple[Control, ...]:
    return tuple(_control(entry, baseline, standard) for entry in entries)


def _control(entry: Mapping[str, Any], baseline: str, standard: Source) -> Control:
    stated = entry.get("source", {})
    source = Source(
        document=stated.get("document", standard.document),
        section=stated.get("section", ""),
        url=stated.get("url", standard.url),
        file=stated.get("file", ""),
        line=stated.get("line", 0),
    )
    uses = [
        RuleUse(
            rule=use["id"],
            severity=use.get("severity"),
            parameters=use.get("parameters", {}),
            match=match_from(use.get("match")),
        )
        for use in entry.get("rules", ())
    ]
    uses += [_expectation(expected, source) for expected in entry.get("expectations", ())]
    return Control(entry["id"], entry["title"], baseline, source, tuple(uses), entry.get("level", ""))


def _expectation(entry: Mapping[str, Any], source: Source) -> RuleUse:
    """An expectation is a use of the rule that compares an object with what a document says of it."""
    document = {"name": source.document, "file": source.file, "line": source.line}
    parameters = {key: value for key, value in entry.items() if key != "severity"}
    return RuleUse(EXPECTATION, entry.get("severity"), {**parameters, "document": document})


def match_from(entry: Mapping[str, Any] | None) -> SubjectMatch:
    """What a ``match`` of a policy file means; everything where there is none."""
    if not entry:
        return SubjectMatch()
    return SubjectMatch(
        namespaces=tuple(entry.get("namespaces", ())),
        kinds=tuple(entry.get("kinds", ())),
        names=tuple(entry.get("names", ())),
        containers=tuple(entry.get("containers", ())),
        labels=tuple(sorted(entry.get("labels", {}).items())),
    )
