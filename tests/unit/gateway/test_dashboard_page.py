"""The page /dashboard: what can be said of its files without a browser."""

import re

from gateway.site import MENU, WEB, html
from tests.page import CSS, Tree

HTML = html("/dashboard")
NAMES = sorted(set(re.findall(r'"/web/([^"]+)"', HTML)))
SCRIPTS = {name: (WEB / name).read_text("utf-8") for name in NAMES if name.endswith(".js")}
JS = "\n".join(SCRIPTS.values())
OWN_CSS = (WEB / "dashboard.css").read_text("utf-8")
ROOT = Tree(HTML).root
IDS = [node.attrs["id"] for node in ROOT.all() if "id" in node.attrs]
MOST = 150_000  # bytes of scripts and style sheets


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def colours(css: str) -> list[dict[str, str]]:
    """Of the light theme and of the dark one."""
    light, dark = css.split("prefers-color-scheme: dark", 1)
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)) for part in (light, dark)]


def test_works_under_a_strict_content_security_policy() -> None:
    assert not list(ROOT.all("style"))
    for script in ROOT.all("script"):
        assert script.attrs["src"].startswith("/web/")
        assert not script.text.strip()
    for node in ROOT.all():
        assert not [name for name in node.attrs if name == "style" or name.startswith("on")], node.tag
    for name, script in SCRIPTS.items():
        for forbidden in (
            "eval(",
            "new Function",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            ".write(",
            "DOMParser",
        ):
            assert forbidden not in script, (name, forbidden)


def test_the_key_is_in_no_address_and_in_the_session_alone() -> None:
    assert "localStorage" not in JS
    assert "document.cookie" not in JS
    assert [name for name, script in SCRIPTS.items() if "sessionStorage." in script] == ["lib/session.js"]
    assert [name for name, script in SCRIPTS.items() if re.search(r"\bfetch\(", script)] == ["lib/api.js"]


def test_asks_no_other_host() -> None:
    sources = [node.attrs[name] for node in ROOT.all() for name in ("src", "href") if name in node.attrs]
    assert all(re.match(r"#|/(?!/)", source) for source in sources), sources
    for text in (HTML, OWN_CSS, JS.replace('"http://www.w3.org/2000/svg"', "")):
        assert not re.search(r"\b(?:https?|wss?)://|[\"'(]//\w", text)
    assert "url(" not in OWN_CSS
    assert "@import" not in OWN_CSS


def test_all_scripts_are_named_and_there() -> None:
    assert all((WEB / name).is_file() for name in NAMES)
    for script in SCRIPTS.values():
        for imported in re.findall(r'from "\./([^"]+)"', script):
            assert any(name.endswith(imported) for name in SCRIPTS), imported


def test_it_is_light() -> None:
    assert sum((WEB / name).stat().st_size for name in NAMES) <= MOST


def test_ids_are_there_once() -> None:
    assert len(IDS) == len(set(IDS))
    assert set(re.findall(r'byId\("([^"]+)"\)', JS)) <= set(IDS)
    for node in ROOT.all():
        for name in ("aria-describedby", "aria-labelledby", "aria-controls", "for"):
            assert set(node.attrs.get(name, "").split()) <= set(IDS), node


def test_each_field_has_a_label() -> None:
    labelled = {label.attrs["for"] for label in ROOT.all("label")}
    for tag in ("input", "select", "textarea"):
        assert {node.attrs["id"] for node in ROOT.all(tag)} <= labelled


def test_series_stand_out_in_both_themes() -> None:
    for own, theme in zip(colours(OWN_CSS), colours(CSS), strict=True):
        series = [colour for name, colour in own.items() if re.fullmatch(r"s\d", name)]
        assert len(series) == len(set(series)) == 6
        assert all(contrast(colour, theme["raised"]) >= 3 for colour in series)


def test_other_colours_are_those_of_all_pages() -> None:
    known = set(re.findall(r"(--[\w-]+):", CSS + OWN_CSS))
    assert set(re.findall(r"var\((--[\w-]+)\)", OWN_CSS)) <= known
    assert all(re.fullmatch(r"s\d", name) for theme in colours(OWN_CSS) for name in theme)


def test_it_leads_to_the_other_pages() -> None:
    links = [(link.attrs["href"], link.text) for nav in ROOT.all("nav") for link in nav.all("a")]
    assert links == list(MENU.items())
