"""Kubernetes minor versions, as Pod Security Admission names them (``v1.25``, ``1.25``, ``latest``)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(r"v?1\.(0|[1-9][0-9]{0,2})(?:\.[0-9]+)?(?:[-+].*)?\Z")


@dataclass(frozen=True, slots=True, order=True)
class KubernetesVersion:
    """A minor version of Kubernetes 1.x. Patch levels do not change any policy, so they are not kept."""

    minor: int

    @classmethod
    def parse(cls, text: str) -> KubernetesVersion:
        """Read ``1.25``, ``v1.25``, ``v1.25.3`` or ``latest`` (= the newest version known).

        Raises ValueError with a message for the user when the text is none of these.
        """
        if text == "latest":
            return NEWEST_KNOWN
        match = _FORM.match(text)
        if match is None:
            raise ValueError(f"{text!r} is not a Kubernetes version; expected 1.N, v1.N or latest")
        return cls(int(match.group(1)))

    def __str__(self) -> str:
        return f"1.{self.minor}"


OLDEST_KNOWN = KubernetesVersion(0)
#: The newest minor version whose Pod Security Standards were read (k8s.io/pod-security-admission v0.37.1).
#: A later one is judged by the newest known rules, as Pod Security Admission itself does.
NEWEST_KNOWN = KubernetesVersion(37)
