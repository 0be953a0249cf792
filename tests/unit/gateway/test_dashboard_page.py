"""The page /dashboard: where its key goes, and its colours. test_app_pages has what holds of each page."""

import re

from gateway.site import WEB
from tests.page import CSS, Page, contrast

HTML = Page("/dashboard").html
NAMES = sorted(set(re.findall(r'"/web/([^"]+)"', HTML)))
SCRIPTS = {name: (WEB / name).read_text("utf-8") for name in NAMES if name.endswith(".js")}
JS = "\n".join(SCRIPTS.values())
OWN_CSS = (WEB / "dashboard.css").read_text("utf-8")


def colours(css: str) -> list[dict[str, str]]:
    """Of the light theme and of the dark one."""
    light, dark = css.split("prefers-color-scheme: dark", 1)
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)) for part in (light, dark)]


def test_nothing_writes_to_the_document() -> None:
    assert [name for name, script in SCRIPTS.items() if ".write(" in script] == []


def test_the_key_is_in_no_address_and_in_the_session_alone() -> None:
    assert "localStorage" not in JS
    assert "document.cookie" not in JS
    assert [name for name, script in SCRIPTS.items() if "sessionStorage." in script] == ["lib/session.js"]
    assert [name for name, script in SCRIPTS.items() if re.search(r"\bfetch\(", script)] == ["lib/api.js"]


def test_all_scripts_are_named_and_there() -> None:
    assert all((WEB / name).is_file() for name in NAMES)
    for script in SCRIPTS.values():
        for imported in re.findall(r'from "\./([^"]+)"', script):
            assert any(name.endswith(imported) for name in SCRIPTS), imported


def test_series_stand_out_in_both_themes() -> None:
    for own, theme in zip(colours(OWN_CSS), colours(CSS), strict=True):
        series = [colour for name, colour in own.items() if re.fullmatch(r"s\d", name)]
        assert len(series) == len(set(series)) == 6
        assert all(contrast(colour, theme["raised"]) >= 3 for colour in series)


def test_other_colours_are_those_of_all_pages() -> None:
    known = set(re.findall(r"(--[\w-]+):", CSS + OWN_CSS))
    assert set(re.findall(r"var\((--[\w-]+)\)", OWN_CSS)) <= known
    assert all(re.fullmatch(r"s\d", name) for theme in colours(OWN_CSS) for name in theme)
