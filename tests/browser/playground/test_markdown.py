"""The playground: what models write, as the page shows it."""

import pytest
from playwright.sync_api import Browser

from tests.browser.playground.visit import page
from tests.cluster import Cluster

pytestmark = pytest.mark.browser

RENDERED = """async (source) => {
  const { Markdown } = await import("/web/lib/markdown.js");
  const [whole, grown] = [document.createElement("div"), document.createElement("div")];
  new Markdown(whole).append(source);
  const growing = new Markdown(grown);
  for (const character of source) growing.append(character);
  for (const button of [...whole.querySelectorAll("button"), ...grown.querySelectorAll("button")]) button.remove();
  return [whole.innerHTML, grown.innerHTML];
}"""
TIMED = """async (source) => {
  const { Markdown } = await import("/web/lib/markdown.js");
  const begun = performance.now();
  new Markdown(document.createElement("div")).append(source);
  return performance.now() - begun;
}"""


MARKDOWN = {
    "A **b** *c* `d*` ~~e~~ snake_case_name": (
        "<p>A <strong>b</strong> <em>c</em> <code>d*</code> <del>e</del> snake_case_name</p>"
    ),
    "# One\n\n#### Four\n": '<h4 data-level="1">One</h4><h4 data-level="4">Four</h4>',
    "a\nb\n\nc": "<p>a<br>b</p><p>c</p>",
    "- a\n  - b\n- c": "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>",
    "3. a\n4. b": '<ol start="3"><li>a</li><li>b</li></ol>',
    "1. a\n\n2. b": "<ol><li><p>a</p></li><li><p>b</p></li></ol>",
    "> a\n> b": "<blockquote><p>a<br>b</p></blockquote>",
    "a\n***b***": "<p>a<br><em><strong>b</strong></em></p>",
    "a\n\n---\n\nb": "<p>a</p><hr><p>b</p>",
    "```py\nif a < b:\n\n    pass\n```\nafter": (
        '<figure class="code"><figcaption><span>py</span></figcaption>'
        '<pre tabindex="0"><code>if a &lt; b:\n\n    pass</code></pre></figure><p>after</p>'
    ),
    "text\n| a | b |\n|---|--:|\n| 1 | 2 |\n\nc": (
        '<p>text</p><div class="scroll" tabindex="0" role="group" aria-label="Table"><table><thead><tr>'
        '<th scope="col">a</th><th data-align="right" scope="col">b</th></tr></thead><tbody><tr>'
        '<td>1</td><td data-align="right">2</td></tr></tbody></table></div><p>c</p>'
    ),
    "[a](https://example.org/x) https://example.org/y.": (
        '<p><a href="https://example.org/x" title="https://example.org/x" rel="noopener noreferrer" '
        'target="_blank">a</a> <a href="https://example.org/y" title="https://example.org/y" '
        'rel="noopener noreferrer" target="_blank">https://example.org/y</a>.</p>'
    ),
    "[a](ftp://example.org) \\*b\\* 2 * 3 * 4": "<p>[a](ftp://example.org) *b* 2 * 3 * 4</p>",
    "**kwargs and `*args`": "<p>**kwargs and <code>*args</code></p>",
    "In\n1986. A year": "<p>In<br>1986. A year</p>",
    "": "",
}


def test_markdown_is_the_same_however_it_comes(browser: Browser, served: Cluster) -> None:
    with page(browser, served) as shown:
        for source, html in MARKDOWN.items():
            whole, grown = shown.evaluate(RENDERED, source)
            assert whole == html, source
            assert grown == html, source


HOSTILE = [
    "*a _b " * 3000,
    "[" * 20_000,
    "[a](" * 4000,
    "`" * 9000 + " ``" * 3000,
    "> " * 5000,
    "- a " * 5000,
    "  - a\n" * 3000,
    "|" * 20_000 + "\n" + "|-" * 9999 + "\n",
    "|a" * 9000 + "\n" + "|-" * 9000 + "\n",
    "(" * 100 + "https://example.org/" + ")" * 19_000,
    "# " + " " * 100_000 + "x",
    "a" * 300_000,
]


@pytest.mark.parametrize("said", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_takes_long(browser: Browser, served: Cluster, said: str) -> None:
    with page(browser, served) as shown:
        assert shown.evaluate(TIMED, said) < 2000
