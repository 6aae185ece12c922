"""Tests of the documentation site in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.support.browser import browser, console, overflow, prefer, resize
from tests.support.processes import LOOPBACK, clean_environment

ROOT = Path(__file__).parents[2]


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as ``make docs`` does and return its folder."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    completed = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return folder / "build" / "site"


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with ThreadingHTTPServer((LOOPBACK, 0), partial(QuietHandler, directory=str(site))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{LOOPBACK}:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def driver() -> Iterator[Chrome]:
    with browser() as opened:
        yield opened


@pytest.mark.parametrize("width", [400, 1400])
def test_every_page_fits_the_screen_and_logs_nothing_to_the_console(
    driver: Chrome, site: Path, address: str, width: int
) -> None:
    resize(driver, width)
    problems = {}
    for page in sorted(site.rglob("*.html")):
        name = page.relative_to(site).as_posix()
        driver.get(f"{address}/{name}")
        problems[name] = (overflow(driver), console(driver))

    assert len(problems) > 10
    assert {name: problem for name, problem in problems.items() if problem != (0, [])} == {}


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    loaded = re.compile(r"""<(?:script|link|img|iframe)[^>]*?(?:src|href)=["']?(https?:)?//""")

    assert [page.name for page in site.rglob("*.html") if loaded.search(page.read_text(encoding="utf-8"))] == []


def test_page_follows_the_preferred_color_scheme(driver: Chrome, address: str) -> None:
    colors = {}
    for scheme in ("light", "dark"):
        prefer(driver, scheme)
        driver.get(f"{address}/index.html")
        body = driver.find_element(By.TAG_NAME, "body")
        colors[scheme] = (body.value_of_css_property("background-color"), body.value_of_css_property("color"))

    assert colors["light"] != colors["dark"]
    assert all(background != text for background, text in colors.values())
