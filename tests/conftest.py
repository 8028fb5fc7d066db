"""For every test: plans that it compiles are checked, and its memory is not clean.

For pages and pictures: a real Chromium.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from plans import watched

settings.register_profile("untimed", deadline=None)  # a busy machine is no fault
settings.load_profile("untimed")

CHROMIUM = shutil.which("chromium")
ENGINES = ("autograd", "autograd_in_python")


@pytest.fixture(autouse=True, scope="session")
def _watched() -> Iterator[None]:
    with watched(*[name for name in ENGINES if name in sys.modules]):
        yield


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="no playwright")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with api.sync_playwright() as running:
        found = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Open a page from a file; fail on any request beyond it, and on any complaint."""
    contexts, complaints = [], []

    def check(request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "about:")):
            complaints.append(f"request: {request.url}")

    def open_it(page: str, address: str = "", **options: Any) -> Any:
        path = tmp_path / "page.html"
        path.write_text(page, encoding="utf-8")
        context = browser.new_context(**{"reduced_motion": "reduce", **options})
        contexts.append(context)
        tab = context.new_page()
        tab.on("request", check)
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(path.as_uri() + address)
        return tab

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == []
