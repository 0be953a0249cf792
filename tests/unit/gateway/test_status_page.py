"""The page /status: what it asks, and what its scripts make. test_app_pages has what holds of each page."""

import re

from gateway.site import WEB
from tests.page import CSS, Page, scripts

JS = "".join(text for path, text in scripts(Page("/status").root).items() if path.name.startswith("status"))
OWN_CSS = (WEB / "status.css").read_text("utf-8")


def test_it_asks_for_the_status_alone() -> None:
    assert re.findall(r"call\(.([^?$]*)", JS) == ["/v1/status"]
    assert "fetch(" not in JS


def test_its_classes_are_styled() -> None:
    made = set(re.findall(r'class: "(\w+)"', JS)) | {"stale", "bad", "number", "sizes"}
    assert all(f".{name}" in CSS + OWN_CSS for name in made), made
