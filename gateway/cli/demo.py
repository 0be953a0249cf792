"""The key that `crofai up` makes for trying things out on this machine."""

from pathlib import Path

from gateway import secret_file
from gateway.secret_file import demo_key_file
from shared.accounts import Accounts
from shared.tiers import Tiers

NAME = "demo"


def demo_key(accounts: Accounts, data_dir: Path, tiers: Tiers) -> str:
    """The kept key if it is still valid, or else a new one.

    Its account, if that is new or its tier is gone, is of the best tier, so that every endpoint takes the key.
    """
    tier, file = tiers.best.id, demo_key_file(data_dir)
    for account in accounts.list_accounts(name=NAME):
        if not tiers.has(account.tier):
            accounts.change_account(account.id, tier=tier)
    if file.exists() and accounts.find(kept := file.read_text(errors="replace").strip()):
        return kept
    found = accounts.list_accounts(name=NAME)
    account = found[0] if found else accounts.create_account(NAME, tier)
    secret = accounts.add_key(account, NAME).secret
    secret_file.keep(file, secret)
    return secret
