"""The page /status: what can be said of its files without a browser."""

import re
from pathlib import Path

import pytest

from gateway.site import MENU, WEB, html
from tests.page import CSS, Tree, scripts

HTML = html("/status")
OWN_CSS = (WEB / "status.css").read_text("utf-8")
ROOT = Tree(HTML).root
SCRIPTS = scripts(ROOT)
JS = "".join(text for path, text in SCRIPTS.items() if path.name.startswith("status"))
MAX_BYTES = 150_000
IDS = [node.attrs["id"] for node in ROOT.all() if "id" in node.attrs]


def test_works_under_a_strict_content_security_policy() -> None:
    assert not list(ROOT.all("style"))
    for script in ROOT.all("script"):
        assert script.attrs["src"].startswith("/web/")
        assert not script.text.strip()
    for node in ROOT.all():
        assert not [name for name in node.attrs if name == "style" or name.startswith("on")], node.tag


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_nothing_becomes_html(path: Path) -> None:
    for forbidden in ("eval(", "new Function", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"):
        assert forbidden not in SCRIPTS[path], forbidden


def test_size() -> None:
    texts = (CSS, OWN_CSS, *SCRIPTS.values())
    assert sum(len(text.encode()) for text in texts) <= MAX_BYTES


def test_asks_no_other_host() -> None:
    sources = [node.attrs[name] for node in ROOT.all() for name in ("src", "href") if name in node.attrs]
    assert all(re.match(r"#|/(?!/)", source) for source in sources), sources
    assert re.findall(r"call\(.([^?$]*)", JS) == ["/v1/status"]
    assert "fetch(" not in JS
    for text in (HTML, JS, OWN_CSS):
        assert not re.search(r"\b(?:https?|wss?)://|[\"'(]//\w", text)
    assert "url(" not in OWN_CSS
    assert "@import" not in OWN_CSS


def test_it_names_all_its_files_and_no_others() -> None:
    """So that none is asked for only once another has come."""
    named = re.findall(r'"/web/([^"]+)"', HTML)
    files = [WEB / "style.css", WEB / "status.css", *SCRIPTS]
    assert sorted(named) == sorted(str(path.relative_to(WEB)) for path in files)


def test_ids_are_there_once() -> None:
    assert len(IDS) == len(set(IDS))
    assert set(re.findall(r'byId\("([^"]+)"\)', JS)) <= set(IDS)
    for node in ROOT.all():
        for name in ("aria-describedby", "aria-labelledby"):
            assert set(node.attrs.get(name, "").split()) <= set(IDS), node


def test_its_classes_are_styled() -> None:
    made = set(re.findall(r'class: "(\w+)"', JS)) | {"stale", "bad", "number", "sizes"}
    assert all(f".{name}" in CSS + OWN_CSS for name in made), made


def test_its_colours_are_those_of_all_pages() -> None:
    assert not re.search(r"#[0-9a-f]{3,8}\b", OWN_CSS)
    assert set(re.findall(r"var\((--[\w-]+)\)", OWN_CSS)) <= set(re.findall(r"(--[\w-]+):", CSS))


def test_it_leads_to_the_other_pages() -> None:
    links = [(link.attrs["href"], link.text) for nav in ROOT.all("nav") for link in nav.all("a")]
    assert links == list(MENU.items())
