"""What `crofai up` says once all is ready."""

import os
import shutil
import sys
from pathlib import Path

from gateway.cli.services import Pool


def banner(
    url: str, key: str, admins: Path | None, pools: list[Pool], seconds: dict[str, float], total: float
) -> str:
    """The address, a key, where the admin's is if it is good for something, a command that works as it stands, and
    how long each part took."""
    took = ", ".join(f"{name} {time:.1f} s" for name, time in seconds.items())
    lines = [
        "",
        f"crofai is ready at {url}",
        f"Your key for it: {key}",
        *([f"The admin's key is in {admins}"] if admins else []),
        *_example(url, key, pools),
        f"Started in {total:.1f} s: {took}.",
        "Ctrl-C stops it.",
        "",
    ]
    return "\n".join(lines)


def _example(url: str, key: str, pools: list[Pool]) -> list[str]:
    name = next((pool.model.id for pool in pools if pool.model.kind == "chat"), None)
    if name is None:
        return []
    question = '"messages":[{"role":"user","content":"What is the capital of France?"}]'
    return [
        "Try it:",
        "",
        f'  curl -N {url}/v1/chat/completions -H "Authorization: Bearer {key}" \\',
        f"""    -H "Content-Type: application/json" -d '{{"model":"{name}","stream":true,{question}}}'""",
        "",
        f"  {_command()} chat --model {name}",
        "",
    ]


def _command() -> str:
    """How to call `crofai` from where the user is."""
    ours = Path(sys.executable).with_name("crofai")
    if shutil.which("crofai") or not ours.exists():
        return "crofai"
    path = os.path.relpath(ours)
    return str(ours) if path.startswith("..") else path
