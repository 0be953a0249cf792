"""`crofai image`: an image made of words, as a PNG file."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import api, choice, pictures
from gateway.cli.failures import CommandFailed
from gateway.cli.following import told_to_end
from gateway.cli.jobstream import SILENCE, checked_id
from gateway.cli.picture_files import Files
from gateway.cli.screen import Screen
from gateway.cli.teller import AsEvents, ForPeople, ForPrograms, Quiet, Teller, telling
from shared.settings import load_settings


def image(
    prompt: Annotated[list[str] | None, typer.Argument(help="What it is to show.", show_default=False)] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The file; of several, with a number each. Default: named by the prompt."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
    model: Annotated[str | None, choice.option("image")] = None,
    size: Annotated[str | None, typer.Option(help="Such as 512x512; default: the model's.")] = None,
    steps: Annotated[int | None, typer.Option(help="Of denoising; default: the model's.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same image.")] = None,
    n: Annotated[int | None, typer.Option("-n", help="How many.")] = None,
    negative: Annotated[str | None, typer.Option("--negative", help="What it is not to show.")] = None,
    guidance: Annotated[float | None, typer.Option(help="How closely the words are followed.")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="JOB", help="Keep the images of a request that was cut off.")
    ] = None,
    quiet: Quiet = False,
    as_json: AsEvents = False,
    url: api.Url = None,
    key: api.Key = None,
) -> None:
    """Make an image, and print where it is. Ctrl-C stops it."""
    teller: Teller = ForPrograms() if as_json else ForPeople(Screen(quiet=quiet))
    words = " ".join(prompt or []).strip()
    with telling(teller):
        if bool(words) == (resume is not None):
            raise CommandFailed('give words, as in: crofai image "a lighthouse", or --resume and a job')
        if resume is not None:
            checked_id(resume)
        files = Files(out, force) if out else Files.named_after(words or resume or "")
        settings = load_settings()
        base, secret = url or api.base_url(settings), api.find_key(key, settings)
        client = api.client(base, secret, read_timeout=SILENCE)
    with client, told_to_end():
        if resume is not None:
            pictures.resume(client, teller, resume, files)
            return
        with telling(teller):
            asked = model or choice.usual(client, "image")
        options = {"n": n, "size": size, "steps": steps, "seed": seed}
        more = {"negative_prompt": negative, "guidance_scale": guidance}
        pictures.make(client, teller, pictures.Request(asked, words, files, options | more))
