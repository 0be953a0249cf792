"""Accounts whose tier the operator has taken out of the file since: nothing that they ask for is served."""

import logging

from shared.accounts import Accounts
from shared.tiers import Tiers

log = logging.getLogger(__name__)


def tell(accounts: Accounts, tiers: Tiers) -> None:
    """Say in the log that there are some, and what to do."""
    for tier, count, name in accounts.of_other_tiers({tier.id for tier in tiers.all}):
        log.warning(
            "there is no tier '%s' any more, but accounts of it: %d, such as '%s'. All that they ask for is "
            "refused. Bring it back in CROFAI_TIERS_FILE, or give each another: crofai accounts set '%s' --tier, "
            "and one of %s",
            tier,
            count,
            name,
            name,
            tiers.names,
        )
