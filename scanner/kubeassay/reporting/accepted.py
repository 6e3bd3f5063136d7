"""The findings of today, to be accepted as they are: one a line, sorted, for a file that is kept with the manifests.

Of each finding it has the identity, and for people the rule, the object and the field. ``kubeassay scan --accepted
FILE`` reads it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping

from kubeassay.model import Result, identity
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.texts import inert_json

#: The exception of findings that such a file accepts.
ACCEPTED = "accepted"
_HEAD = '{"apiVersion": "kubeassay.dev/v1", "kind": "Accepted", "findings": ['


def write(result: Result, options: RenderOptions) -> Report:
    """Those that fail, and those that were accepted by such a file and are still there."""
    lines = sorted(
        json.dumps(
            {
                "rule": finding.rule,
                "object": str(finding.object),
                "path": finding.path,
                "fingerprint": identity(finding),
                # Of several environments those that have it, where not all do.
                **({"environments": finding.environments} if finding.environments else {}),
            },
            ensure_ascii=True,
        )
        for finding in result.findings
        if finding.outcome == "fail" or (finding.outcome == "excepted" and finding.exception == ACCEPTED)
    )
    text = ",\n".join(lines)
    return Report((inert_json((f"{_HEAD}\n{text}\n]}}\n" if lines else f"{_HEAD}]}}\n").encode("ascii")),))


def read(content: bytes) -> Mapping[tuple[str, str], list[tuple[str, ...]]]:
    """(rule, identity) → for each finding of it that is accepted, the environments that it was recorded for; empty for
    all. Raises ValueError for what is no such file."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON: {error}") from None
    if (
        not isinstance(document, dict)
        or document.get("apiVersion") != "kubeassay.dev/v1"
        or document.get("kind") != "Accepted"
        or not isinstance(document.get("findings"), list)
    ):
        raise ValueError("it is no list of accepted findings (kubeassay scan -o accepted=FILE writes one)")
    found: dict[tuple[str, str], list[tuple[str, ...]]] = defaultdict(list)
    for number, entry in enumerate(document["findings"], 1):
        if not isinstance(entry, dict) or not all(isinstance(entry.get(k), str) for k in ("rule", "fingerprint")):
            raise ValueError(f"finding {number} has no rule and fingerprint")
        names = entry.get("environments", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"finding {number} has environments that are no names")
        found[entry["rule"], entry["fingerprint"]].append(tuple(names))
    return found
