"""The first admin's key: made when no other is valid, or handed in by CROFAI_ADMIN_KEY."""

import logging
from pathlib import Path

from gateway import secret_file
from gateway.secret_file import admin_key_file
from shared.admin_keys import AdminKeys
from shared.errors import SetupError
from shared.settings import Settings
from shared.tiers import Tiers

log = logging.getLogger(__name__)


def provide(admins: AdminKeys, settings: Settings, tiers: Tiers) -> None:
    """See that there is an admin's key. Of gateways that start at once, one makes it.

    Raises SetupError if it cannot be kept, or is not fit to be adopted.
    """
    if secret := settings.admin_key.get_secret_value():
        admins.adopt(tiers.best.id, secret)
        return
    file = admin_key_file(settings.data_dir)
    if admins.make(tiers.best.id, lambda secret: _keep(file, secret)):
        log.info("an admin's key was made: it is in %s", file.absolute())
    elif file.exists() and not is_valid(admins, file):
        log.warning(
            "the key in %s is no admin's key that is valid, and others are: set CROFAI_ADMIN_KEY to one of them "
            "for the commands, or write it into that file",
            file.absolute(),
        )


def is_valid(admins: AdminKeys, file: Path) -> bool:
    """Whether the key in this file, if there is one, is good for something."""
    try:
        return admins.is_valid(file.read_text(errors="replace").strip())
    except OSError:
        return False


def _keep(file: Path, secret: str) -> None:
    try:
        secret_file.keep(file, secret)
    except OSError as error:
        raise SetupError(
            f"the admin's key cannot be kept in {file}: {error.strerror}. Check CROFAI_DATA_DIR, or set "
            "CROFAI_ADMIN_KEY."
        ) from None
