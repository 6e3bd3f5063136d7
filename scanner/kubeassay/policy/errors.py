"""The one error of this layer."""

from __future__ import annotations


class PolicyError(ValueError):
    """A policy file, or a choice of policy, that cannot be used. The message names the file and, if known, the line."""
