"""A page of a report in Chromium, as the tests use it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from browser import tools

_T = TypeVar("_T")
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


@contextlib.contextmanager
def start() -> Iterator[Any]:
    """Chromium with its driver, which tells of every request and everything in the console."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    found, driver = tools.chromium(), tools.driver()
    assert found is not None
    assert driver is not None
    options.binary_location = found
    for argument in _ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chromium = webdriver.Chrome(options=options, service=Service(driver))
    try:
        chromium.set_script_timeout(60)
        yield chromium
    finally:
        chromium.quit()


def eventually(ask: Callable[[], _T], expected: _T, seconds: float = 20) -> None:
    """Ask until the answer is what is expected: a page follows its address a moment after that has changed."""
    until = time.monotonic() + seconds
    answer = ask()
    while answer != expected and time.monotonic() < until:
        time.sleep(0.02)
        answer = ask()
    assert answer == expected


class Page:
    """One page from disk. ``seen``: the requests and complaints so far."""

    def __init__(self, driver: Any, url: str) -> None:
        self.driver = driver
        self.url = url
        self.seen: dict[str, list[str]] = {"requests": [], "complaints": []}

    def open(
        self,
        address: str = "",
        *,
        dark: bool = False,
        width: int = 1280,
        height: int = 900,
        script: bool = True,
        media: str = "screen",
    ) -> None:
        """Open it anew, as somebody with these settings."""
        cdp = self.driver.execute_cdp_cmd
        cdp(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        cdp("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})
        cdp("Emulation.setScriptExecutionDisabled", {"value": False})
        # Only the # differs from the page that is open: the browser would not load it again.
        self.driver.get("about:blank")
        self.logs()
        self.seen = {"requests": [], "complaints": []}
        cdp("Emulation.setScriptExecutionDisabled", {"value": not script})
        self.driver.get(self.url + address)

    def logs(self) -> None:
        """Take what the browser told since the last call."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"].partition("#")[0]
                if url not in (self.url, "about:blank"):
                    self.seen["requests"].append(url)
        self.seen["complaints"] += [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """What was asked for, besides the page itself."""
        self.logs()
        return self.seen["requests"]

    def complaints(self) -> list[str]:
        """What the console has: errors, and what the Content-Security-Policy forbade."""
        self.logs()
        return self.seen["complaints"]

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a script in the page."""
        return self.driver.execute_script(script, *arguments)

    @property
    def address(self) -> str:
        return str(self.run("return location.hash"))

    def text(self, selector: str) -> str:
        """The visible text of an element."""
        return str(self.run("return document.querySelector(arguments[0]).innerText", selector))

    def texts(self, selector: str) -> list[str]:
        """The visible texts of elements; nothing of those that are not shown."""
        found: list[str] = self.run(
            "return [...document.querySelectorAll(arguments[0])].map((each) => each.innerText).filter(Boolean)",
            selector,
        )
        return found

    def shown(self, selector: str) -> list[str]:
        """The ids of the elements that take space on the page."""
        found: list[str] = self.run(
            "return [...document.querySelectorAll(arguments[0])].filter((each) => each.getClientRects().length)"
            ".map((each) => each.id)",
            selector,
        )
        return found

    def click(self, selector: str) -> None:
        self._element(selector).click()

    def type(self, selector: str, text: str) -> None:
        self._element(selector).send_keys(text)

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a list."""
        from selenium.webdriver.support.select import Select

        Select(self._element(selector)).select_by_value(value)

    def press(self, *keys: str) -> None:
        """Press keys where the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def _element(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def findings(self) -> list[str]:
        """The fingerprints of the findings that are listed."""
        found: list[str] = self.run(
            "return [...document.querySelectorAll('.finding')].map((f) => f.dataset.fingerprint)"
        )
        return found

    def axe(self) -> list[str]:
        """The violations that axe-core finds, one a line."""
        self.run(tools.axe().read_text(encoding="utf-8"))
        # A rule's own colours count as they are shown: transitions are none here.
        found = self.driver.execute_async_script(
            "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then((result) => done("
            "result.violations.flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.html.slice(0, 160)} "
            "${node.failureSummary}`))), (error) => done([String(error)]));"
        )
        return list(found)
