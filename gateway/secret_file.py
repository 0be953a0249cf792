"""Files with a key, which nobody else may read, and where they are."""

import os
from pathlib import Path


def admin_key_file(data_dir: Path) -> Path:
    return data_dir / "admin.key"


def demo_key_file(data_dir: Path) -> Path:
    return data_dir / "demo.key"


def keep(file: Path, secret: str) -> None:
    """Write the file, or replace it whole. Raises OSError."""
    new = file.with_name(f"{file.name}.{os.getpid()}")
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new.unlink(missing_ok=True)
    # Created with its mode: the secret is at no time readable by others.
    with open(new, "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as text:
        text.write(secret + "\n")
    new.replace(file)
