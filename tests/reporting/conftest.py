"""Golden reports: ``KUBEASSAY_UPDATE_GOLDEN=1 pytest tests/reporting`` writes them anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def golden() -> Callable[[str, bytes], None]:
    """Compares bytes with the file of that name under golden/."""

    def check(name: str, written: bytes) -> None:
        file = GOLDEN / name
        if os.environ.get("KUBEASSAY_UPDATE_GOLDEN"):
            file.write_bytes(written)
        assert file.is_file(), f"{name} is new: KUBEASSAY_UPDATE_GOLDEN=1 pytest tests/reporting writes it"
        agreed = file.read_bytes().decode("utf-8")
        assert written.decode("utf-8") == agreed, "KUBEASSAY_UPDATE_GOLDEN=1 writes it anew: read its change"

    return check
