"""The public API as the command line uses it: where the server is, which key to send, what went wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import httpx
import typer

from gateway.cli import instance
from gateway.cli.failures import CommandFailed, NotReady
from gateway.secret_file import demo_key_file
from shared.settings import Settings

AWAY = (502, 503, 504)
"""What a proxy answers while there is no gateway behind it."""

Url = Annotated[str | None, typer.Option(envvar="CROFAI_URL", help="The server; default: this machine's.")]
Key = Annotated[
    str | None, typer.Option(envvar="CROFAI_KEY", help="The API key; default: this machine's demo key.")
]


def base_url(settings: Settings) -> str:
    """The server that runs on this machine's data folder, or else the one that settings describe."""
    running = instance.running(settings.data_dir)
    return running.url if running else address(settings.host, settings.port)


def address(host: str, port: int) -> str:
    """The URL of a server that listens on this host and port. One that listens everywhere is also here."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def find_key(given: str | None, settings: Settings) -> str:
    """The key to send. Raises CommandFailed if there is none, or one that cannot be."""
    try:
        key = given or demo_key_file(settings.data_dir).read_text(errors="replace").strip()
    except OSError:
        raise CommandFailed(
            "no API key: give --key or CROFAI_KEY. Make one with: crofai keys create NAME"
        ) from None
    if not key.isascii() or not key.isprintable():
        raise CommandFailed("the API key holds characters that no key has; give it as it was printed: sk-crof-…")
    return key


def client(url: str, key: str | None = None, *, read_timeout: float = 10, timeout: float = 10) -> httpx.Client:
    """`read_timeout` is between two pieces of an answer, `timeout` for all else; in seconds."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with plain_errors(url):
        return httpx.Client(base_url=url, headers=headers, timeout=httpx.Timeout(timeout, read=read_timeout))


@contextmanager
def plain_errors(url: object) -> Iterator[None]:
    """Whatever goes wrong with the connection becomes one line."""
    try:
        yield
    except httpx.ConnectError:
        raise NotReady(f"no server answers at {url}. Start one with: crofai up") from None
    except httpx.TimeoutException:
        raise NotReady(f"the server at {url} took too long to answer. See: crofai models") from None
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
        raise CommandFailed(f"{url}: {error}") from None
    except httpx.TransportError as error:
        raise NotReady(f"{url}: the connection broke: {error or type(error).__name__}") from None
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise CommandFailed(f"{url}: {error or type(error).__name__}") from None


def check(response: httpx.Response) -> None:
    """Raise the error that a response holds, in the server's words."""
    if response.is_success:
        return
    response.read()
    try:
        fail(response.json()["error"], response.status_code, response.headers.get("Retry-After", ""))
    except (ValueError, KeyError, TypeError):
        status = response.status_code
        if status in AWAY:
            raise NotReady(f"{response.url}: answered {status}; no gateway is there now", status=status) from None
        raise CommandFailed(f"{response.url}: answered {status}; is it a crofai server?", status=status) from None


def fail(error: dict[str, Any], status: int, again: str = "") -> NoReturn:
    """Raise an error in OpenAI's shape; `again` is in how many seconds another try is worth it."""
    when = f" Try again in {again} s." if again.isdecimal() else ""
    message, code = f"{error['message']}{when} ({error['code']})", error["code"]
    if status in (429, 503) or code in ("model_unavailable", "queue_unreachable", "queue_full"):
        raise NotReady(message, code, status)
    raise CommandFailed(message, code, status)


def data(response: httpx.Response) -> Any:
    """The JSON of an answer. Raises CommandFailed for a refusal, and for what is no JSON."""
    check(response)
    try:
        return response.json()
    except ValueError:
        raise CommandFailed(f"{response.url}: answered no JSON; is it a crofai server?") from None
