"""The page at /: what can be said of its three files without a browser."""

import ast
import json
import re
from collections.abc import Iterator

import pytest

from gateway import connection, engineio, intake, sockets
from shared import errors
from shared.settings import Settings
from tests.page import CSS, HTML, JS, ROOT, WEB, examples

DONATION = "https://buymeacoffee.com/crofai"
MAX_BYTES = 75_000
FILLED = {
    "BASE_URL": "http://localhost:8000",
    "YOUR_KEY": "sk-crof-0",
    "CHAT_MODEL": "llama3",
    "IMAGE_MODEL": "stable_diffusion",
}
DESCRIBED = """
    /v1/free/{model} /v1/premium/{model} /v1/chat/completions /v1/completions /v1/messages /v1/models
    X-API-Key Bearer literal_eval
    messages max_tokens temperature top_p top_k seed stop presence_penalty frequency_penalty
    prompt negative_prompt size steps guidance_scale
    start_stream context token chunk ENDOFMESSAGE usage error progress image b64_json
    /v1/jobs/{id} /v1/jobs/{id}/events X-Job-Id X-Resume-Within Last-Event-ID Idempotency-Key
    resume_within job piece number resume cancel
    /v1/images/generations image_generation.progress image_generation.completed
    X-Request-Id X-Request-Timeout Server-Timing waiting position
"""


IDS = [node.attrs["id"] for node in ROOT.all() if "id" in node.attrs]


def printed(language: str) -> list[str]:
    return [text for (_, name), text in examples(**FILLED).items() if name == language]


def error_classes(root: type[errors.RequestError] = errors.RequestError) -> Iterator[type[errors.RequestError]]:
    if root.__module__ == errors.__name__ and root is not errors.Relayed:
        yield root
        for leaf in root.__subclasses__():
            yield from error_classes(leaf)


# ---- the files


def test_size() -> None:
    files = [path for path in WEB.iterdir() if path.is_file()]
    assert {"index.html", "style.css", "app.js"} <= {path.name for path in files}
    assert sum(path.stat().st_size for path in files) < MAX_BYTES


def test_works_under_a_strict_content_security_policy() -> None:
    assert not list(ROOT.all("style"))
    for script in ROOT.all("script"):
        assert script.attrs.get("src", "").startswith("/web/")
        assert not script.text.strip()
    for node in ROOT.all():
        inline = [name for name in node.attrs if name == "style" or name.startswith("on")]
        assert not inline, f"<{node.tag} {inline}>"
    for forbidden in (
        "eval(",
        "new Function",
        "import(",
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        ".write(",
    ):
        assert forbidden not in JS, forbidden


def test_asks_no_other_host() -> None:
    sources = [node.attrs[name] for node in ROOT.all() for name in ("src", "href") if name in node.attrs]
    outside = [source for source in sources if not source.startswith(("#", "/web/", "/v1/", "/docs"))]
    assert outside == [DONATION]
    for text in (HTML.replace(DONATION, ""), CSS, JS):
        assert not re.search(r"\b(?:https?|wss?)://|[\"'(]//\w", text)
    assert "url(" not in CSS
    assert "@import" not in CSS
    assert all(path.startswith("/v1/") for path in re.findall(r'fetch\("([^"]*)"', JS))


def test_the_files_it_names_exist() -> None:
    named = re.findall(r'"/web/([^"]+)"', HTML)
    assert sorted(named) == ["app.js", "style.css"]
    assert all((WEB / name).is_file() for name in named)


# ---- ids and names


def test_ids_are_unique() -> None:
    assert len(IDS) == len(set(IDS))


def test_ids_in_the_script_exist() -> None:
    used = set(re.findall(r'byId\("([^"]+)"\)', JS)) | set(re.findall(r"for \(const id of \[([^\]]+)\]", JS))
    flat = {name for entry in used for name in (re.findall(r'"([^"]+)"', entry) or [entry])}
    assert {"model", "key", "prompt", "send", "stop", "ttft", "rate"} <= flat
    assert flat <= set(IDS), flat - set(IDS)


def test_anchors_and_references_lead_somewhere() -> None:
    for node in ROOT.all():
        for name in ("for", "aria-describedby", "aria-labelledby", "aria-controls"):
            assert set(node.attrs.get(name, "").split()) <= set(IDS), node
        if node.attrs.get("href", "").startswith("#"):
            assert node.attrs["href"][1:] in IDS, node


@pytest.mark.parametrize("tag", ["input", "select", "textarea"])
def test_fields_have_labels(tag: str) -> None:
    labelled = {label.attrs["for"] for label in ROOT.all("label")}
    assert all(node.attrs["id"] in labelled for node in ROOT.all(tag))


def test_the_answer_is_announced() -> None:
    transcript = next(node for node in ROOT.all() if node.attrs.get("id") == "transcript")
    assert transcript.attrs["aria-live"] == "polite"


def test_the_classes_of_the_script_are_styled() -> None:
    made = {name for names in re.findall(r'element\("\w+", "([a-z ]+)"', JS) for name in names.split()}
    assert made
    assert all(f".{name}" in CSS for name in made), made


def test_the_key_is_kept_in_the_tab_only() -> None:
    assert "sessionStorage" in JS
    assert "localStorage" not in JS
    assert "document.cookie" not in JS


# ---- the examples


@pytest.mark.parametrize("language", ["curl", "python", "javascript", "typescript"])
def test_examples_are_filled_in(language: str) -> None:
    found = printed(language)
    assert len(found) == 4
    for text in found:
        assert FILLED["BASE_URL"] in text
        assert FILLED["YOUR_KEY"] in text
        assert "nahcrof" not in text
    assert all(name in JS for name in FILLED)


def test_python_examples_compile() -> None:
    for text in printed("python"):
        compile(text, "example", "exec", flags=ast.PyCF_ONLY_AST)


def test_curl_examples_send_json() -> None:
    for text in printed("curl"):
        body = re.search(r"-d '([^']*)'", text)
        assert body
        assert {"messages", "prompt"} & set(json.loads(body[1]))


def test_the_error_sample_is_json() -> None:
    sample = next(node for node in ROOT.all("figure") if node.attrs.get("class") == "sample")
    assert set(json.loads(next(sample.all("code")).text)["error"]) == {"code", "message", "type", "param"}


# ---- what it says


def test_every_error_is_in_the_table() -> None:
    body = next(node for node in ROOT.all("tbody") if node.attrs.get("id") == "error-rows")
    listed = [(int(row.children[0].text), row.children[1].text) for row in body.all("tr")]
    assert len(listed) == len(set(listed))
    assert set(listed) == {(error.status, error.code) for error in error_classes()}
    for row in body.all("tr"):
        assert len(row.children) == 5
        assert all(cell.text.strip() for cell in row.children)


def test_every_address_and_event_is_described() -> None:
    text = ROOT.text
    assert "||AI ERROR||" in text
    for name in DESCRIBED.split():
        assert name in text, name


def test_the_limits_are_those_of_the_code() -> None:
    limits = next(node for node in ROOT.all("ul") if node.attrs.get("id") == "socket-limits").text
    most_bytes = Settings.model_fields["max_body_bytes"].default
    for said in (
        f"{connection.MOST_PROMPTS} may wait",
        f"{connection.MOST_WAITING:,} characters",
        f"waits {sockets.KEY_WAIT:.0f} seconds",
        f"{most_bytes:,} bytes",
        f"a POST {engineio.MOST_PACKETS} packets",
    ):
        assert said in " ".join(limits.split()), said
    assert sockets.MOST_WRONG_KEYS == 5
    assert "The fifth wrong key" in limits
    rows = {row.children[1].text: row.text for row in ROOT.all("tr") if len(row.children) == 5}
    assert f"{intake.HEAD_TIME:.0f} seconds for its head" in rows["request_timeout"]
    assert intake.SLOWEST == 1024
    assert f"{intake.MOST_HEAD // 1024} KB, or {intake.MOST_HEADERS} headers" in rows["head_too_large"]


# ---- colours


def themes() -> list[dict[str, str]]:
    """The light and the dark colours, each a map from name to #rrggbb."""
    return [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", CSS, re.S)
    ]


def luminance(colour: str) -> float:
    """Relative luminance, 0 to 1, as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", themes(), ids=["light", "dark"])
def test_contrast(theme: dict[str, str]) -> None:
    for ground in ("ground", "raised", "sunken"):
        for text in ("ink", "soft", "accent", "ready", "waiting", "bad", "string", "comment"):
            assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground)
        assert contrast(theme["edge"], theme[ground]) >= 3, ground
    assert contrast(theme["on-accent"], theme["accent"]) >= 4.5
