"""The memory page in a real headless Chromium: a server on loopback, and a driver for it."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from memkit.memory import Memory

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
INSTALL = "apt-get install --no-install-recommends chromium chromium-driver"
SIZES = {1280: 900, 390: 844}
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--force-color-profile=srgb",
)  # fmt: skip


def require_browser() -> None:
    """Skip if there is no Chromium, no driver or no Selenium."""
    pytest.importorskip("fastapi", reason="pip install 'memkit-llm[server]'")
    pytest.importorskip("selenium", reason="pip install --group outside")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip(f"there is no Chromium with its driver: {INSTALL}")


@contextmanager
def served(memory: Memory, user_id: str = "ann") -> Iterator[str]:
    """Serve the page as `memkit page` does; yield its address with the token."""
    import socket

    import uvicorn

    from memkit.server.page.local import local_app

    token = "test-token"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = uvicorn.Config(local_app(memory, user_id, token), log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/#token={token}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def browser(downloads: Path) -> Iterator[Any]:
    """Start a headless Chromium that saves files into a folder."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in _FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    """What a person does on the page."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver, self.address = driver, address

    def open(self, view: str = "timeline", *, width: int = 1280, theme: str = "light") -> None:
        """Open a view afresh, at a width and in a theme."""
        size = {"width": width, "height": SIZES[width], "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        media = [
            {"name": "prefers-color-scheme", "value": theme},
            # Selenium reads no text of what is still transparent
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
        self.driver.get("about:blank")
        self.driver.get(self.address)
        self.wait(lambda: self.all("nav.views a"))
        self.driver.execute_script("location.hash = arguments[0]", f"#/{view}")
        self.wait(lambda: self.one("nav.views [aria-current]").get_attribute("href").endswith(view))
        self.settle()

    def wait(self, condition: Callable[[], Any]) -> Any:
        """Wait until a condition is true; return its value."""
        from selenium.common.exceptions import (
            NoSuchElementException,
            StaleElementReferenceException,
        )
        from selenium.webdriver.support.ui import WebDriverWait

        ignored = [NoSuchElementException, StaleElementReferenceException]
        wait = WebDriverWait(self.driver, 30, poll_frequency=0.05, ignored_exceptions=ignored)
        return wait.until(lambda _: condition())

    def settle(self) -> None:
        """Wait until nothing is loading."""
        self.wait(lambda: not self.all("[aria-busy], .loading"))

    def all(self, selector: str) -> list[Any]:
        """Return the elements that match a selector."""
        return list(self.driver.find_elements("css selector", selector))

    def one(self, selector: str) -> Any:
        """Return the first element that matches a selector."""
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str = "main") -> str:
        """Return the visible text of an element."""
        return str(self.one(selector).text)

    def button(self, label: str, within: str = "body") -> Any:
        """Return the visible button with this text."""
        return self.wait(
            lambda: next(
                (item for item in self.all(f"{within} button") if item.text.strip() == label), None
            )
        )

    def click(self, label: str, within: str = "body") -> None:
        """Click on the button with this text."""
        self.driver.execute_script("arguments[0].click()", self.button(label, within))

    def press(self, *keys: str) -> None:
        """Press keys where the focus is."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def focused(self) -> str:
        """Return the text of the element that has the focus."""
        return str(self.run("return document.activeElement.textContent")).strip()

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page; return its result."""
        return self.driver.execute_script(script, *arguments)

    def messages(self) -> list[str]:
        """Return errors of scripts and violations of the policy since the last call."""
        logged = self.driver.get_log("browser")
        return [item["message"] for item in logged if item["level"] == "SEVERE"]

    def accessibility(self) -> list[str]:
        """Return what axe-core finds wrong in the page as it is."""
        spec = find_spec("axe_playwright_python")
        if spec is None or not spec.submodule_search_locations:
            pytest.skip("axe-core is missing: pip install --no-deps axe-playwright-python")
        source = (Path(spec.submodule_search_locations[0]) / "axe.min.js").read_text()
        # by the debugger, which the page's policy does not bind
        self.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": source})
        answer = self.driver.execute_cdp_cmd(
            "Runtime.evaluate",
            {"expression": "axe.run().then(JSON.stringify)", "awaitPromise": True,
             "returnByValue": True},
        )  # fmt: skip
        result = json.loads(answer["result"]["value"])
        return [
            f"{item['id']}: {node['target']} {node['failureSummary']}"
            for item in result["violations"]
            for node in item["nodes"]
        ]
