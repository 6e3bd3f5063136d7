"""Values that know which source states them, and patches of them as Kustomize applies these.

Strategic merge patches are those of kyaml (v0.21.1, yaml/merge2 and yaml/walk): lists that Kubernetes merges by a key
are merged for Kubernetes' own kinds, with the patch's members first; every other list is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from kubeassay.analysis.declared import identity, merge_keys
from kubeassay.model import Location, Object, Path


@dataclass(frozen=True, slots=True)
class Origin:
    """A place in a source file. ``said``: what it does, as a sentence without a capital. ``own``: whether it is the
    object's own file or a patch, and not a field of a kustomization that changes many objects."""

    obj: Object
    path: Path
    said: str
    own: bool = True

    def below(self, step: str | int) -> Origin:
        return Origin(self.obj, (*self.path, step), self.said, self.own)

    def locate(self, more: Path = (), *, key: bool = False) -> Location:
        return self.obj.locate((*self.path, *more), key=key)


@dataclass(slots=True)
class Node:
    """A value: a scalar, or a mapping of nodes, or a list of nodes. ``doubt``: what may have changed it since.
    ``removed``: keys of a mapping that were taken away, and by what."""

    value: Any
    origin: Origin
    doubt: Origin | None = None
    removed: dict[str, Origin] = field(default_factory=dict)


class CannotApplyError(Exception):
    """A patch that is not reproduced here; what it does to an object is not known."""


def node_of(value: Any, origin: Origin) -> Node:
    """The nodes of a value as a source states it."""
    if isinstance(value, dict):
        return Node({key: node_of(child, origin.below(key)) for key, child in value.items()}, origin)
    if isinstance(value, list):
        return Node([node_of(child, origin.below(number)) for number, child in enumerate(value)], origin)
    return Node(value, origin)


def copy_of(node: Node) -> Node:
    value = node.value
    if isinstance(value, dict):
        value = {key: copy_of(child) for key, child in value.items()}
    elif isinstance(value, list):
        value = [copy_of(child) for child in value]
    return Node(value, node.origin, node.doubt, dict(node.removed))


def plain(node: Node) -> Any:
    """The value without its places."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def doubt(node: Node, by: Origin) -> None:
    """Say of a value and all below that something may have changed it."""
    node.doubt = by
    children: Any = node.value
    if isinstance(children, dict):
        children = children.values()
    elif not isinstance(children, list):
        return
    for child in children:
        doubt(child, by)


def at(node: Node | None, path: Path) -> Node | None:
    for step in path:
        if node is None:
            return None
        if isinstance(step, str):
            node = node.value.get(step) if isinstance(node.value, dict) else None
        else:
            found = isinstance(node.value, list) and -1 < step < len(node.value)
            node = node.value[step] if found and node is not None else None
    return node


def everywhere(node: Node, steps: tuple[str, ...], create: Origin | None = None) -> Iterator[Node]:
    """The mappings at a path of keys, in each member of the lists on it, as a field specification means them.
    ``create``: of what a mapping is made where there is none; behind a list nothing is made."""
    if isinstance(node.value, list):
        for child in node.value:
            yield from everywhere(child, steps, create)
        return
    if not isinstance(node.value, dict):
        return
    if not steps:
        yield node
        return
    child = node.value.get(steps[0])
    if child is None or child.value is None:
        if create is None:
            return
        child = node.value[steps[0]] = Node({}, create)
        node.removed.pop(steps[0], None)
    yield from everywhere(child, steps[1:], create)


# Strategic merge patches.


def merge(node: Node, patch: Any, origin: Origin, *, by_key: bool, path: Path = ()) -> bool:
    """Apply a strategic merge patch to a mapping; False where the patch deletes it. ``by_key``: whether the object is
    of a kind of which Kubernetes says how lists are merged. Raises CannotApplyError."""
    directive = patch.get("$patch")
    if directive == "delete":
        return False
    if directive == "replace":
        made = node_of({key: value for key, value in patch.items() if key != "$patch"}, origin)
        node.removed.update({key: origin for key in node.value if key not in made.value})
        node.value, node.origin, node.doubt = made.value, made.origin, None
        return True
    if directive not in (None, "merge"):
        raise CannotApplyError(f"$patch: {directive}")
    for key, value in patch.items():
        if key == "$patch":
            continue
        if key.startswith("$"):
            raise CannotApplyError(key)
        here = origin.below(key)
        existing = node.value.get(key)
        if value is None:
            if node.value.pop(key, None) is not None:
                node.removed[key] = here
            continue
        node.removed.pop(key, None)
        if isinstance(value, dict):
            if existing is None or not isinstance(existing.value, dict):
                existing = Node({}, here)
                if not merge(existing, value, here, by_key=by_key, path=(*path, key)):
                    node.value.pop(key, None)
                    node.removed[key] = here
                    continue
                node.value[key] = existing
            elif not merge(existing, value, here, by_key=by_key, path=(*path, key)):
                del node.value[key]
                node.removed[key] = here
        elif isinstance(value, list):
            _merge_list(node, key, value, here, by_key=by_key, path=(*path, key))
        else:
            node.value[key] = Node(value, here)
    return True


def _merge_list(parent: Node, key: str, patch: list[Any], origin: Origin, *, by_key: bool, path: Path) -> None:
    existing = parent.value.get(key)
    old = existing.value if existing is not None and isinstance(existing.value, list) else []
    directives = [member.get("$patch") for member in patch if isinstance(member, dict)]
    if "replace" in directives:
        members = [
            node_of(member, origin.below(number))
            for number, member in enumerate(patch)
            if not (isinstance(member, dict) and "$patch" in member)
        ]
        parent.value[key] = Node(members, origin)
        return
    keys = merge_keys(path, patch) if by_key else ()
    values = [plain(member) for member in old]
    if not keys or (values and merge_keys(path, values) != keys):
        if any(directive is not None for directive in directives) or key == "finalizers":
            raise CannotApplyError(f"the list {key}")
        parent.value[key] = node_of(patch, origin)
        return
    left = {identity(value, keys): member for value, member in zip(values, old, strict=True)}
    merged: list[Node] = []
    for number, member in enumerate(patch):
        here = origin.below(number)
        found = left.pop(identity(member, keys), None)
        if found is None:
            if member.get("$patch") == "delete":
                continue
            found = Node({}, here)
        if merge(found, member, here, by_key=by_key, path=(*path, number)):
            merged.append(found)
    # The patch's members come first (kyaml, MergeOptionsListPrepend).
    result = [*merged, *left.values()]
    if existing is None or not isinstance(existing.value, list):
        parent.value[key] = Node(result, origin)
    else:
        existing.value = result


# JSON patches (RFC 6902).


def apply_operations(root: Node, operations: list[Any], origin: Origin) -> None:
    """Apply a JSON patch. Raises CannotApplyError where an operation does not fit, as Kustomize fails there."""
    for number, operation in enumerate(operations):
        here = origin.below(number)
        if not isinstance(operation, dict):
            raise CannotApplyError("an operation")
        name, pointer = operation.get("op"), operation.get("path")
        if not isinstance(pointer, str):
            raise CannotApplyError("an operation without a path")
        if name in ("add", "replace"):
            _put(root, pointer, node_of(operation.get("value"), here.below("value")), insert=name == "add")
        elif name == "remove":
            _take(root, pointer, here)
        elif name in ("move", "copy"):
            source = operation.get("from")
            if not isinstance(source, str):
                raise CannotApplyError("an operation without a source")
            taken = _take(root, source, here) if name == "move" else copy_of(_found(root, source))
            _put(root, pointer, taken, insert=True)
        elif name != "test":
            raise CannotApplyError("an operation")


def _steps(pointer: str) -> list[str]:
    if not pointer.startswith("/"):
        raise CannotApplyError("a path that does not begin with /")
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")]


def _child(node: Node, step: str) -> Node:
    if isinstance(node.value, dict) and step in node.value:
        child: Node = node.value[step]
        return child
    if isinstance(node.value, list):
        member: Node = node.value[_index(node, step)]
        return member
    raise CannotApplyError("a path that leads nowhere")


def _index(node: Node, step: str) -> int:
    digits = step.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 9:
        raise CannotApplyError("an index that is no number")
    number = int(step)
    number = number + len(node.value) if number < 0 else number
    if not 0 <= number < len(node.value):
        raise CannotApplyError("an index beyond the list")
    return number


def _parent(root: Node, pointer: str) -> tuple[Node, str]:
    steps = _steps(pointer)
    node = root
    for step in steps[:-1]:
        node = _child(node, step)
    return node, steps[-1]


def _found(root: Node, pointer: str) -> Node:
    parent, last = _parent(root, pointer)
    return _child(parent, last)


def _put(root: Node, pointer: str, node: Node, *, insert: bool) -> None:
    parent, last = _parent(root, pointer)
    if isinstance(parent.value, dict):
        parent.value[last] = node
        parent.removed.pop(last, None)
    elif isinstance(parent.value, list):
        if insert and (last == "-" or last == str(len(parent.value))):
            parent.value.append(node)
        elif insert:
            parent.value.insert(_index(parent, last), node)
        else:
            parent.value[_index(parent, last)] = node
    else:
        raise CannotApplyError("a path below a scalar")


def _take(root: Node, pointer: str, by: Origin) -> Node:
    parent, last = _parent(root, pointer)
    if isinstance(parent.value, list):
        taken: Node = parent.value.pop(_index(parent, last))
        return taken
    taken = _child(parent, last)
    del parent.value[last]
    parent.removed[last] = by
    return taken


def changed(node: Node, fields: tuple[str, ...], change: Callable[[Node], None]) -> None:
    """Call ``change`` for each mapping in the lists of these names, at any depth."""
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            changed(child, fields, change)
            if key in fields and isinstance(child.value, list):
                for member in child.value:
                    if isinstance(member.value, dict):
                        change(member)
    elif isinstance(node.value, list):
        for member in node.value:
            changed(member, fields, change)
