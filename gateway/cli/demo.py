"""The key that `crofai up` makes for trying things out on this machine."""

import os
from pathlib import Path

from shared.accounts import Accounts

NAME = "demo"


def demo_key_file(data_dir: Path) -> Path:
    return data_dir / "demo.key"


def demo_key(accounts: Accounts, data_dir: Path, tier: str) -> str:
    """The kept key if it is still valid, or else a new one. Its account, if that is new, is of this tier."""
    file = demo_key_file(data_dir)
    if file.exists() and accounts.find(kept := file.read_text(errors="replace").strip()):
        return kept
    found = accounts.list_accounts(name=NAME)
    account = found[0] if found else accounts.create_account(NAME, tier)
    secret = accounts.add_key(account, NAME).secret
    file.unlink(missing_ok=True)
    # Created with its mode: the secret is at no time readable by others.
    with open(file, "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as new:
        new.write(secret + "\n")
    return secret
