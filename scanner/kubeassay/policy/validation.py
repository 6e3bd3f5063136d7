"""Validation of policy files against the published JSON Schemas, with the line of each mistake."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry, Resource
from yaml.cyaml import CSafeLoader

from kubeassay.policy.errors import PolicyError


class DaysAreTexts(CSafeLoader):
    """Exceptions state days, with quotes or without."""


DaysAreTexts.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in CSafeLoader.yaml_implicit_resolvers.items()
}


def schema(name: str) -> dict[str, Any]:
    """A published schema: rule, baseline, profile, exceptions, configuration, fleet; or control, which others name."""
    text = resources.files("kubeassay.policy").joinpath("schemas", f"{name}.schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def registry() -> Registry[Any]:
    """What a schema may name by its address: the published one that others have in common. Nothing is fetched."""
    control = Resource[Any].from_contents(schema("control"))
    return control @ Registry()


def validator_of(name: str) -> Draft202012Validator:
    """The validator of a published schema."""
    return Draft202012Validator(schema(name), registry=registry())


def text_of(path: Path) -> str:
    """The text of a policy file. Raises PolicyError."""
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise PolicyError(f"{path}: is not UTF-8 text: {error.reason}") from None


def validated(path: Path, schema_name: str) -> dict[str, Any]:
    """The document of a policy file that fits a schema.

    Raises PolicyError: ``FILE:LINE:COLUMN: message``, a line each for the first mistakes.
    """
    text = text_of(path)
    try:
        node = yaml.compose(text, Loader=CSafeLoader)
        document = yaml.load(text, Loader=DaysAreTexts if schema_name == "exceptions" else CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise PolicyError(f"{path}{where}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise PolicyError(f"{path}: {error}") from None
    except RecursionError:
        raise PolicyError(f"{path}: nested too deeply") from None
    errors = sorted(validator_of(schema_name).iter_errors(document), key=lambda error: list(map(str, error.path)))
    # An unknown field may be the very one that is missed: one mistake is told once.
    unknown = {tuple(error.absolute_path) for error in errors if error.validator == "additionalProperties"}
    errors = [error for error in errors if not (wants(error) and tuple(error.absolute_path) in unknown)]
    if errors:
        raise PolicyError("\n".join(_message(path, node, error) for error in errors[:10]))
    if schema_name == "rule":
        if document["metadata"]["id"] != path.stem:
            raise PolicyError(f"{path}: a rule file has the name of its rule: {document['metadata']['id']}.yaml")
        for name, parameter in document["spec"].get("parameters", {}).items():
            try:
                Draft202012Validator.check_schema(parameter.get("schema", {}))
            except SchemaError as error:
                raise PolicyError(f"{path}: parameter {name}: its schema is none: {error.message}") from None
    assert isinstance(document, dict)
    return document


def wants(error: ValidationError) -> list[str]:
    """The fields of which one is missed, where that is the mistake."""
    choices: Any = error.validator_value if error.validator == "anyOf" else ()
    if not all(isinstance(choice, dict) and choice.keys() == {"required"} for choice in choices):
        return []
    return list(dict.fromkeys(name for choice in choices for name in choice["required"]))


def mistake(path: Path, steps: Sequence[str | int], message: str) -> PolicyError:
    """The error of a mistake that no schema tells, at a value of a policy file: ``FILE:LINE:COLUMN: message``."""
    with path.open(encoding="utf-8-sig") as stream:
        node = _node_at(yaml.compose(stream, Loader=CSafeLoader), steps)
    return PolicyError(f"{path}{_place(node)}: {'.'.join(map(str, steps))}: {message}")


def _node_at(root: yaml.Node | None, steps: Iterable[str | int], unknown: str | None = None) -> yaml.Node | None:
    """The node of a value, or the nearest one above it; the key itself of an ``unknown`` field."""
    node = root
    for step in steps:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == str(step)), None)
            if pair is None:
                break
            node = pair[0] if step == unknown else pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
    return node


def _place(node: yaml.Node | None) -> str:
    return f":{node.start_mark.line + 1}:{node.start_mark.column + 1}" if node is not None else ""


def _message(path: Path, root: yaml.Node | None, error: ValidationError) -> str:
    unknown = None
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        unknown = next((key for key in error.instance if key not in known), None)
    node = _node_at(root, [*error.absolute_path, *([unknown] if unknown is not None else [])], unknown)
    field = ".".join(map(str, error.absolute_path))
    text = f"needs one of {', '.join(wants(error))}" if wants(error) else error.message
    if error.validator == "minProperties":
        text = "must not be empty"
    if unknown is not None:
        from kubeassay.policy.library import suggestion

        text = f"unknown field {unknown}{suggestion(str(unknown), known)}"
    return f"{path}{_place(node)}: {field + ': ' if field else ''}{text}"
