"""Texts that would be run if a page took them for HTML, and how it is seen that none was."""

from playwright.sync_api import Page

ATTACKS = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<svg/onload=alert(1)>",
    "<details open ontoggle=alert(1)>x</details>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<a href=javascript:alert(1)>x</a><base href=//evil.example>",
    "<meta http-equiv=refresh content=0;url=javascript:alert(1)>",
    "<style>@import 'javascript:alert(1)'</style>",
    "<form action=javascript:alert(1)><button autofocus onfocus=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](JaVa\tScRiPt:alert(1))",
    "[x](\x01javascript:alert(1)) [y](java\nscript:alert(1)) [z](&#106;avascript:alert(1))",
    "[x](<javascript:alert(1)>) [x](vbscript:alert(1)) [x](blob:https://evil.example/1) [x](file:///etc/passwd)",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "![x](javascript:alert(1)) ![x](data:image/svg+xml,<svg onload=alert(1)>)",
    "![x](https://evil.example/pixel.png)",
    '![x](x"onerror="alert(1)) ![" onerror="alert(1)](https://evil.example/x)',
    '[a](https://example.org/"onclick="alert(1) "title\\" onclick=\\"alert(1)")',
    "[<img src=x onerror=alert(1)>](https://example.org/<script>alert(1)</script>)",
    "[a]: javascript:alert(1)\n\n[a] [b][a]",
    '<javascript:alert(1)> <https://example.org/"onmouseover=alert(1)//>',
    'https://example.org/?a=<script>alert(1)</script>&b="onclick=alert(1)',
    '```"><img src=x onerror=alert(1)>\n</code></pre><script>alert(1)</script>\n```',
    "```html\n<script>alert(1)</script>\n<img src=x onerror=alert(1)>",
    "`<img src=x onerror=alert(1)>` ``</code><script>alert(1)</script>``",
    "| <img src=x onerror=alert(1)> | b |\n|---|---|\n| <script>alert(1)</script> | [x](javascript:alert(1)) |\n",
    "# <img src=x onerror=alert(1)>\n> <script>alert(1)</script>",
    "- <svg onload=alert(1)>\n1. [x](javascript:alert(1))",
    "**<b onclick=alert(1)>*_~~`<script>alert(1)</script>`~~_*</b>**",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#60;img src=x onerror=alert(1)&#62; \\<script\\>alert(1)",
    "<scr<script>ipt>alert(1)</scr</script>ipt> <!--><img src=x onerror=alert(1)>--> <![CDATA[<script>alert(1)]]>",
    "{{constructor.constructor('alert(1)')()}} ${alert(1)} <%= alert(1) %>",
    "\u202e<script>alert(1)</script>\u0000<img src=x onerror=alert(1)>\ufeff",
    "</textarea></option></select><script>alert(1)</script>",
]

WATCH = """
  window.executed = [];
  for (const name of ["alert", "confirm", "print"]) window[name] = () => executed.push(name);
  addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
    executed.push(`${violatedDirective} ${blockedURI}`));
"""
PROVOKE = """() => {
  for (const node of document.querySelectorAll("main *, dialog *")) {
    for (const name of ["mouseover", "focus", "toggle", "error", "load"]) node.dispatchEvent(new Event(name));
  }
}"""
STRANGE = """() => [...document.querySelectorAll("main *, dialog *")].flatMap((node) => [
  ...(/^(script|iframe|object|embed|base|meta|link|style|math|svg|video|audio|frame)$/i.test(node.localName)
    && !node.closest("#line, .chart") ? [node.outerHTML] : []),
  ...[...node.attributes].filter(({ name, value }) =>
    /^on|^srcdoc$|^formaction$|^action$/i.test(name) || /^\\s*(javascript|vbscript|data):/i.test(value))
    .map(({ name, value }) => `${node.localName} ${name}=${value}`),
  ...(node.localName === "a" && node.target && !/^(https?|mailto):$/.test(node.protocol) ? [node.href] : []),
])"""


def watch(page: Page) -> None:
    """Have the page note whatever is run; before it is there."""
    page.add_init_script(WATCH)


def executed(page: Page) -> list[str]:
    """What was run, now that all has been done to have it run; and what is in the page that might be."""
    page.evaluate(PROVOKE)
    page.wait_for_timeout(50)  # errors of pictures come later
    return [*page.evaluate("executed"), *page.evaluate(STRANGE)]
