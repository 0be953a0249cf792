"""A real Chromium for the tests of the pages, what is wrong with a page, and pictures of it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

ROOT = Path(__file__).parents[2]
NAMES = [os.environ["CHROMIUM"]] if "CHROMIUM" in os.environ else ["chromium", "chromium-browser", "google-chrome"]
# Root may not have a sandbox, and nothing of a browser's own is to be fetched.
ARGS = """
--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync
""".split()

expect.set_options(timeout=20_000)  # milliseconds: its own five seconds are not many on a busy machine


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.fail(
            "no Chromium is installed; `make test` installs it where it can, CHROMIUM names another's path"
        )
    with sync_playwright() as running:
        launched = running.chromium.launch(executable_path=found, args=ARGS)
        yield launched
        launched.close()
