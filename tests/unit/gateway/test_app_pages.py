"""The pages /playground, /status and /dashboard: what can be said of the files of each without a browser."""

import re

import pytest

from gateway.site import MENU, WEB
from tests.page import CSS, Page, scripts

MAX_BYTES = 150_000
NAMESPACE = '"http://www.w3.org/2000/svg"'
NAMES = ("playground", "status", "dashboard")


class AppPage(Page):
    """One of them, with a style sheet of its own beside the common one."""

    def __init__(self, name: str) -> None:
        super().__init__(f"/{name}")
        self.own = WEB / f"{name}.css"
        self.css = self.own.read_text("utf-8")
        self.scripts = scripts(self.root)


PAGES = [AppPage(name) for name in NAMES]
every_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)


@every_page
def test_its_scripts_and_styles_are_light(page: AppPage) -> None:
    assert {WEB / "style.css", page.own} < page.files
    assert sum(path.stat().st_size for path in page.files) <= MAX_BYTES


@every_page
def test_it_works_under_a_strict_content_security_policy(page: AppPage) -> None:
    assert not list(page.root.all("style"))
    for script in page.root.all("script"):
        assert script.attrs["src"].startswith("/web/")
        assert not script.text.strip()
    for node in page.root.all():
        assert not [name for name in node.attrs if name == "style" or name.startswith("on")], node.tag


@every_page
def test_nothing_becomes_html(page: AppPage) -> None:
    for path, text in page.scripts.items():
        for forbidden in (
            "eval(",
            "new Function",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "DOMParser",
        ):
            assert forbidden not in text, (path.name, forbidden)


@every_page
def test_it_asks_no_other_host(page: AppPage) -> None:
    sources = [node.attrs[name] for node in page.root.all() for name in ("src", "href") if name in node.attrs]
    assert all(re.match(r"#|/(?!/)", source) for source in sources), sources
    for text in (page.html, page.css, *(text.replace(NAMESPACE, "") for text in page.scripts.values())):
        assert not re.search(r"\b(?:https?|wss?)://\w|[\"'(]//\w", text)
    assert "url(" not in page.css
    assert "@import" not in page.css


@every_page
def test_it_names_all_its_files_and_no_others(page: AppPage) -> None:
    """So that none is asked for only once another has come."""
    named = re.findall(r'"/web/([^"]+)"', page.html)
    assert sorted(named) == sorted(str(path.relative_to(WEB)) for path in page.files)


@every_page
def test_the_key_is_kept_in_the_tab_only(page: AppPage) -> None:
    text = "".join(page.scripts.values())
    assert "sessionStorage" in text
    assert "localStorage" not in text
    assert "document.cookie" not in text


@every_page
def test_ids_are_there_once(page: AppPage) -> None:
    assert len(page.ids) == len(set(page.ids))
    for node in page.root.all():
        for name in ("for", "aria-describedby", "aria-labelledby", "aria-controls"):
            assert set(node.attrs.get(name, "").split()) <= set(page.ids), node


@every_page
def test_ids_in_its_scripts_exist(page: AppPage) -> None:
    # What of the library announces is not called by /status, which has a line of news.
    asking = [text for path, text in page.scripts.items() if page.address != "/status" or path.parent == WEB]
    used = {name for text in asking for name in re.findall(r'byId\("([^"]+)"\)', text)}
    assert used <= set(page.ids), used - set(page.ids)


@every_page
@pytest.mark.parametrize("tag", ["input", "select", "textarea"])
def test_fields_have_labels(page: AppPage, tag: str) -> None:
    labelled = {label.attrs["for"] for label in page.root.all("label")}
    assert all(node.attrs["id"] in labelled for node in page.root.all(tag))


@every_page
def test_it_leads_to_the_other_pages(page: AppPage) -> None:
    links = [(link.attrs["href"], link.text) for nav in page.root.all("nav") for link in nav.all("a")]
    assert links == list(MENU.items())


@pytest.mark.parametrize("page", PAGES[:2], ids=NAMES[:2])
def test_its_colours_are_those_of_all_pages(page: AppPage) -> None:
    assert not re.search(r"#[0-9a-f]{3,8}\b", page.css)
    assert set(re.findall(r"var\((--[\w-]+)\)", page.css)) <= set(re.findall(r"(--[\w-]+):", CSS))
