"""Headless Chromium, and pages opened from disk in it. Without Chromium these tests are skipped, aloud."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import tools
from browser.page import Page, start
from kubeassay.model import Result
from kubeassay.reporting import RenderOptions
from kubeassay.reporting.html import to_html


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs a browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def driver() -> Iterator[Any]:
    """Chromium, one for all tests."""
    lacking = tools.missing()
    if lacking:
        pytest.skip(f"NO BROWSER: {', '.join(lacking)} missing; `make browser` installs what the tests need")
    with start() as chromium:
        yield chromium


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(driver: Any, tmp_path: Path) -> Iterator[OpenPage]:
    """Opens the page of a result: ``open_page(result, "#findings", dark=True, width=390)``. When the test is over, no
    page may have asked for anything but itself, nor complained."""
    opened: list[Page] = []

    def opening(result: Result, address: str = "", *, options: RenderOptions | None = None, **settings: Any) -> Page:
        file = tmp_path / "report.html"
        file.write_bytes(to_html(result, options).encode("utf-8", "replace"))
        page = Page(driver, file.as_uri())
        page.open(address, **settings)
        opened.append(page)
        return page

    yield opening
    for page in opened:
        assert page.requests() == []
        assert page.complaints() == []
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
