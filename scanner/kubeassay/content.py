"""Where the bundled content is: the rules, baselines and report templates.

In a wheel they are inside the package (``kubeassay/content/``); in a checkout they are its top-level folders, so a new
rule file is seen at once.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGED = Path(__file__).parent / "content"
_CHECKOUT = Path(__file__).parent.parent.parent


def folder(name: str) -> Path:
    """The folder ``rules``, ``baselines`` or ``reports``. Raises FileNotFoundError where the installation lacks it."""
    for parent in (_PACKAGED, _CHECKOUT):
        candidate = parent / name
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"the folder {name!r} of kubeassay is missing; the installation is incomplete")
