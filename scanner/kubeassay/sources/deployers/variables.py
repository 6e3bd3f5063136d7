"""Build variables of Argo CD (``$ARGOCD_APP_NAME``), filled in as it does (types.go, Env.Envsubst: Go's os.Expand)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kubeassay.model import Path
from kubeassay.sources.deployers.model import UnfollowableError

#: Known only when Argo CD has fetched the repository.
_REVISIONS = frozenset({"ARGOCD_APP_REVISION", "ARGOCD_APP_REVISION_SHORT", "ARGOCD_APP_REVISION_SHORT_8"})
_SPECIAL = frozenset("*#$@!?-0123456789")


@dataclass(frozen=True, slots=True)
class BuildVariables:
    """The variables of one source. What is none of them is nothing, as for Argo CD."""

    values: Mapping[str, str]

    def expand(self, text: str, path: Path) -> str:
        """A text with its variables filled in. Raises UnfollowableError, at ``path``, where it has one whose value
        nobody knows before it is deployed."""
        made: list[str] = []
        position = 0
        while (dollar := text.find("$", position)) >= 0 and dollar + 1 < len(text):
            made.append(text[position:dollar])
            name, width = _name(text[dollar + 1 :])
            if name in _REVISIONS:
                raise UnfollowableError("values", f"${name} is known when it is deployed", path)
            if name == "$":
                made.append("$")
            elif name:
                made.append(self.values.get(name, ""))
            elif width == 0:
                # A dollar that no name follows stays.
                made.append("$")
            position = dollar + 1 + width
        made.append(text[position:])
        return "".join(made)


def _name(text: str) -> tuple[str, int]:
    """The name of the variable that a text begins with (behind the dollar), and how many characters it takes: Go's
    os.getShellName."""
    if text[0] == "{":
        if len(text) > 2 and text[1] in _SPECIAL and text[2] == "}":
            return text[1], 3
        end = text.find("}", 1)
        if end == 1:
            return "", 2
        return (text[1:end], end + 1) if end > 1 else ("", 1)
    if text[0] in _SPECIAL:
        return text[0], 1
    end = 0
    while end < len(text) and text[end].isascii() and (text[end].isalnum() or text[end] == "_"):
        end += 1
    return text[:end], end
