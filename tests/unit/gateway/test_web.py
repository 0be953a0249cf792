"""The documentation's pages: what can be said of them, and of their files, without a browser."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from gateway import connection, engineio, intake, sockets
from gateway.api.pages import pages_api
from gateway.manual import CHAPTERS, PARTS
from gateway.openapi import document
from gateway.remedies import REMEDIES
from gateway.site import LIMITS, MENU, PAGES, Site
from shared import errors
from shared.catalog import load_catalog
from shared.settings import Settings
from shared.tiers import load_tiers
from tests.page import CSS, DOCS, SHIPPED, WEB, Page, Tree, contrast, examples

DONATION = "https://buymeacoffee.com/crofai"
MOST_BYTES = 150_000
LANGUAGES = ("curl", "python", "javascript", "typescript")
FILLED = {
    "BASE_URL": "http://localhost:8000",
    "YOUR_KEY": "sk-crof-0",
    "CHAT_MODEL": "llama3",
    "IMAGE_MODEL": "stable_diffusion",
}
DESCRIBED = """
    X-API-Key Bearer literal_eval
    messages max_tokens temperature top_p top_k seed stop presence_penalty frequency_penalty
    prompt negative_prompt size steps guidance_scale
    start_stream context token chunk ENDOFMESSAGE usage error progress image b64_json
    X-Job-Id X-Resume-Within Last-Event-ID Idempotency-Key
    resume_within job piece number resume cancel
    image_generation.progress image_generation.completed
    X-Request-Id X-Request-Timeout Server-Timing waiting position
    max_completion_tokens reasoning_effort parallel_tool_calls structured_outputs
    stop_sequences count_tokens x-should-retry x-ratelimit- Retry-After uptime
"""
DOCS_CSS = (WEB / "docs.css").read_text("utf-8")
DOCS_JS = (WEB / "docs.js").read_text("utf-8")
WHOLE = " ".join(page.text for page in DOCS.values())
INDEX = DOCS["/"]

every_page = pytest.mark.parametrize("page", DOCS.values(), ids=DOCS)


def printed(language: str) -> dict[tuple[str, str], str]:
    return {
        (page, section): text for (page, section, name), text in examples(**FILLED).items() if name == language
    }


def error_classes(root: type[errors.RequestError] = errors.RequestError) -> Iterator[type[errors.RequestError]]:
    if root.__module__ == errors.__name__ and root is not errors.Relayed:
        yield root
        for leaf in root.__subclasses__():
            yield from error_classes(leaf)


# ---- the files


@every_page
def test_its_scripts_and_styles_are_light(page: Page) -> None:
    assert sum(path.stat().st_size for path in page.files) <= MOST_BYTES


@every_page
def test_the_modules_it_needs_come_without_waiting_for_each_other(page: Page) -> None:
    named = {node.attrs["href"] for node in page.root.all("link") if node.attrs["rel"] == "modulepreload"}
    needed = {f"/web/{path.relative_to(WEB)}" for path in page.files if path.suffix == ".js"}
    assert named | {"/web/docs.js"} == needed


@every_page
def test_it_works_under_a_strict_content_security_policy(page: Page) -> None:
    assert not list(page.root.all("style"))
    for script in page.root.all("script"):
        assert script.attrs["src"].startswith("/web/")
        assert not script.text.strip()
    for node in page.root.all():
        inline = [name for name in node.attrs if name == "style" or name.startswith("on")]
        assert not inline, f"<{node.tag} {inline}>"


@pytest.mark.parametrize("path", sorted(INDEX.files), ids=lambda path: path.name)
def test_nothing_becomes_html(path: Path) -> None:
    text = path.read_text("utf-8")
    for forbidden in (
        "eval(",
        "new Function",
        "import(",
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        ".write(",
    ):
        assert forbidden not in text, forbidden
    assert "url(" not in text
    assert "@import" not in text
    assert "localStorage" not in text
    assert "document.cookie" not in text


@every_page
def test_it_asks_no_other_host(page: Page) -> None:
    sources = [node.attrs[name] for node in page.root.all() for name in ("src", "href") if name in node.attrs]
    outside = [source for source in sources if not re.match(r"#|/(?!/)", source)]
    assert outside == ([DONATION] if page is INDEX else [])
    for text in (page.html.replace(DONATION, ""), DOCS_CSS, DOCS_JS):
        assert not re.search(r"\b(?:https?|wss?)://|[\"'(]//\w", text)
    assert re.findall(r'call\("([^"]*)"', DOCS_JS) == ["/v1/models"]


# ---- ids and names


@every_page
def test_ids_are_there_once(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    for node in page.root.all():
        for name in ("for", "aria-describedby", "aria-labelledby", "aria-controls"):
            assert set(node.attrs.get(name, "").split()) <= set(page.ids), node


def test_ids_in_the_script_exist() -> None:
    used = set(re.findall(r'byId\("([^"]+)"\)', DOCS_JS))
    assert {"key", "forget", "model-rows", "chapters"} <= used
    assert used <= set(INDEX.ids), used - set(INDEX.ids)
    everywhere = {"chapters", "announce"}
    for page in DOCS.values():
        assert everywhere <= set(page.ids)
        # What the first page alone has, the script looks for by its id.
        assert page is INDEX or not (used - everywhere - {"filled"}) & set(page.ids)


@every_page
def test_links_lead_somewhere(page: Page) -> None:
    served = {*PAGES, *MENU, "/v1/models", "/v1/status", "/openapi.json", "/llms.txt"}
    for link in set(page.links) - {DONATION}:
        address, _, anchor = link.partition("#")
        assert not address or address in served, link
        if anchor:
            assert anchor in DOCS[address or page.address].ids, link


@every_page
def test_it_leads_to_all_the_others(page: Page) -> None:
    menu, chapters, *_ = page.root.all("nav")
    assert [(link.attrs["href"], link.text) for link in menu.all("a")] == list(MENU.items())
    assert [link.attrs["href"] for link in chapters.all("a")] == list(DOCS)
    here = [link.attrs["href"] for link in chapters.all("a") if link.attrs.get("aria-current") == "page"]
    assert here == [page.address]
    marked = [link.attrs["aria-current"] for link in menu.all("a") if "aria-current" in link.attrs]
    assert marked == ["page" if page is INDEX else "true"]


def test_each_is_before_the_next() -> None:
    for before, after in zip(list(DOCS)[:-1], list(DOCS)[1:], strict=True):
        assert f'<a href="{before}" rel="prev">' in DOCS[after].html
        if before != "/":
            assert f'<a href="{after}" rel="next">' in DOCS[before].html


def test_the_first_page_leads_to_all_with_what_they_are() -> None:
    told = {
        entry.children[0].children[0].attrs["href"]: entry.children[1].text
        for entries in INDEX.root.all("dl")
        for entry in entries.children
    }
    assert {chapter.address: chapter.note for chapter in CHAPTERS}.items() <= told.items()
    assert {"/reference", "/llms.txt"} <= told.keys()
    assert DONATION in INDEX.links


@every_page
@pytest.mark.parametrize("tag", ["input", "select", "textarea"])
def test_fields_have_labels(page: Page, tag: str) -> None:
    labelled = {label.attrs["for"] for label in page.root.all("label")}
    assert all(node.attrs["id"] in labelled for node in page.root.all(tag))


def test_the_classes_of_the_script_are_styled() -> None:
    made = set(re.findall(r'class: "([a-z]+)"', DOCS_JS)) | {"copy", "stale", "none", "tabbed"}
    assert {"tabs", "alias", "state"} <= made
    assert all(f".{name}" in CSS + DOCS_CSS for name in made), made


def test_its_colours_are_those_of_all_pages() -> None:
    assert not re.search(r"#[0-9a-f]{3,8}\b", DOCS_CSS.replace("#filled", "").replace("#key", ""))
    assert set(re.findall(r"var\((--[\w-]+)\)", DOCS_CSS)) <= set(re.findall(r"(--[\w-]+):", CSS))


# ---- the examples


FOUR = [
    ("/", "first"),
    ("/docs/chat", "stream"),
    ("/docs/completions", "request"),
    ("/docs/messages", "request"),
    ("/docs/images", "request"),
    ("/docs/simple", "chat"),
    ("/docs/simple", "images"),
    ("/docs/models", "list"),
    ("/docs/usage", "sums"),
    ("/docs/keys", "account"),
    ("/docs/keys", "make"),
    ("/docs/jobs", "cancel"),
]


def test_requests_are_shown_in_four_languages() -> None:
    found = examples()
    for page, section in FOUR:
        assert all((page, section, language) in found for language in LANGUAGES), (page, section)
    for language in LANGUAGES[1:]:
        assert ("/docs/sockets", "prompt", language) in found
    for language in LANGUAGES[:3]:
        assert ("/docs/jobs", "resume", language) in found


@pytest.mark.parametrize("language", LANGUAGES)
def test_examples_are_filled_in(language: str) -> None:
    for (page, _), text in printed(language).items():
        assert FILLED["BASE_URL"] in text
        assert FILLED["YOUR_KEY"] in text or page == "/docs/models"
        assert "nahcrof" not in text
    assert all(name in DOCS_JS for name in FILLED)


def test_python_examples_compile() -> None:
    for text in printed("python").values():
        compile(text, "example", "exec", flags=ast.PyCF_ONLY_AST)


def test_curl_examples_send_json() -> None:
    for text in printed("curl").values():
        if body := re.search(r"-d '([^']*)'", text):
            assert {"messages", "prompt", "name"} & set(json.loads(body[1]))


def test_samples_are_json() -> None:
    samples = [
        node for page in DOCS.values() for node in page.root.all("figure") if node.attrs.get("class") == "sample"
    ]
    openais, anthropics = (json.loads(next(sample.all("code")).text)["error"] for sample in reversed(samples))
    assert set(openais) == {"code", "message", "type", "param"}
    assert set(anthropics) == {"message", "type"}


# ---- what they say


def test_every_error_is_in_the_table() -> None:
    rows = list(DOCS["/docs/errors"].find("error-rows").all("tr"))
    listed = [(int(row.children[0].text), row.children[1].text) for row in rows]
    assert len(listed) == len(set(listed))
    assert set(listed) == {(error.status, error.code) for error in error_classes()}
    assert [status for status, _ in listed] == sorted(status for status, _ in listed)
    for row in rows:
        assert len(row.children) == 5
        assert all(cell.text.strip() and not re.search("[{`]", cell.text) for cell in row.children)


def test_what_tells_when_to_come_again_is_worth_coming_again() -> None:
    assert set(REMEDIES) == set(error_classes())
    for error, remedy in REMEDIES.items():
        assert error.retry_after is None or remedy.again in ("Yes", "Later"), error


def test_every_address_is_described() -> None:
    """Those of admins are for operators, who have documents of their own."""
    described = {re.sub(r"\{\w+\}", "{}", address) for address in re.findall(r"/v1/[\w/{}]+", WHOLE)}
    offered = (path for path in document(600, ["free", "premium"])["paths"] if not path.startswith("/v1/admin"))
    missing = {path for path in offered if re.sub(r"\{\w+\}", "{}", path) not in described}
    assert not {path for path in missing if path.startswith("/v1/")}


def test_every_field_header_and_event_is_described() -> None:
    assert "||AI ERROR||" in WHOLE
    for name in DESCRIBED.split():
        assert name in WHOLE, name


def test_the_limits_are_those_of_the_code() -> None:
    said = DOCS["/docs/sockets"].text
    most_bytes = Settings.model_fields["max_body_bytes"].default
    assert f"{connection.MOST_PROMPTS} may wait" in said
    assert f"{connection.MOST_WAITING:,} characters" in said
    assert f"waits {sockets.KEY_WAIT:.0f} seconds" in said
    assert f"{sockets.MOST_WRONG_KEYS} wrong keys end the connection" in said
    assert f"{most_bytes:,} bytes, and a POST {engineio.MOST_PACKETS} packets" in said
    rows = {row.children[1].text: row.text for row in DOCS["/docs/errors"].find("error-rows").all("tr")}
    assert f"{intake.HEAD_TIME:.0f} seconds for its head" in rows["request_timeout"]
    assert f"{intake.MOST_HEAD:,} bytes, or {intake.MOST_HEADERS} headers" in rows["head_too_large"]


def test_the_limits_are_those_of_this_gateway(tmp_path: Path) -> None:
    operators = tmp_path / "tiers.yaml"
    operators.write_text("tiers: {gold: {description: For us., priority: 1, limits: {concurrent_jobs: 4321}}}")
    tiers = load_tiers(operators, load_catalog().models)
    site = Site(Settings.model_construct(max_body_bytes=7654321, most_wrong_keys=77, job_timeout=1234), tiers)
    limits, table = (Tree(site.html(address)).root.text for address in ("/docs/limits", "/docs/errors"))
    assert "7,654,321 bytes" in limits
    assert "77 a minute" in limits
    assert "For us." in limits
    assert "4,321" in limits
    assert "More than 77 wrong keys" in table
    assert "in its time: 1234 seconds" in table


def test_every_limit_of_every_tier_is_told() -> None:
    rows = {row.children[0].text: row.children[1:] for row in DOCS["/docs/limits"].find("tier-rows").all("tr")}
    for tier in load_tiers(None, load_catalog().models).all:
        for name, field in LIMITS.items():
            told = next(cell.text for cell in rows[name] if cell.attrs["data-tier"] == tier.id)
            assert told == f"{getattr(tier.limits, field):,}"
    assert list(LIMITS.values()) == list(type(tier.limits).model_fields)


# ---- for language models


def test_the_summary_has_its_form() -> None:
    """A title, what it is in a quotation, and sections of links, each with a note: as llmstxt.org has it."""
    title, rest = SHIPPED.summary().strip().split("\n", 1)
    assert title == "# crofai"
    about, *sections = re.split(r"^## ", rest, flags=re.MULTILINE)
    assert about.strip().startswith("> A public inference API")
    assert [section.split("\n")[0] for section in sections] == [*PARTS, "For programs", "Optional"]
    for section in sections:
        for line in filter(None, section.split("\n")[1:]):
            assert re.fullmatch(r"- \[[^\]]+\]\(/[^)]*\): \S.*", line), line


def test_the_summary_leads_to_all_pages() -> None:
    links = set(re.findall(r"\]\(([^)]+)\)", SHIPPED.summary()))
    assert set(DOCS) <= links
    assert links <= {*PAGES, "/v1/models", "/v1/status", "/openapi.json"}


def test_they_are_served() -> None:
    app = Flask("pages")
    app.register_blueprint(pages_api(SHIPPED))
    client = app.test_client()
    for address in DOCS:
        page = client.get(address)
        assert (page.status_code, page.mimetype) == (200, "text/html"), address
        again = client.get(address, headers={"If-None-Match": page.headers["ETag"]})
        assert again.status_code == 304
    summary = client.get("/llms.txt")
    assert (summary.status_code, summary.mimetype) == (200, "text/plain")
    assert client.get("/docs").location == "/"
    assert client.get("/docs/nothing").status_code == 404


# ---- colours


def themes() -> list[dict[str, str]]:
    """The light and the dark colours, each a map from name to #rrggbb."""
    return [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", CSS, re.S)
    ]


@pytest.mark.parametrize("theme", themes(), ids=["light", "dark"])
def test_contrast(theme: dict[str, str]) -> None:
    for ground in ("ground", "raised", "sunken"):
        for text in ("ink", "soft", "accent", "ready", "waiting", "bad", "string", "comment"):
            assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground)
        assert contrast(theme["edge"], theme[ground]) >= 3, ground
    assert contrast(theme["on-accent"], theme["accent"]) >= 4.5
