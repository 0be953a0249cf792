"""`crofai tiers`: what accounts may be."""

import json

from gateway.cli import tables
from gateway.cli.admin import AsJson, Url, connect

COLUMNS = ("requests_per_minute", "requests_per_day", "units_per_minute", "units_per_day", "concurrent_jobs")


def tiers(as_json: AsJson = False, url: Url = None) -> None:
    """List the tiers and their limits; CROFAI_TIERS_FILE changes them."""
    with connect(url) as admin:
        found = admin.get("/v1/admin/tiers")["data"]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    tables.show(
        (
            "tier",
            "priority",
            "reserved",
            "models",
            *(name.replace("_per_", "/").replace("_", " ") for name in COLUMNS),
        ),
        (
            (
                tier["id"],
                str(tier["priority"]),
                f"{tier['reserved']:.0%}",
                "all" if tier["models"] is None else ",".join(tier["models"]),
                *("-" if tier["limits"][name] is None else f"{tier['limits'][name]:,}" for name in COLUMNS),
            )
            for tier in sorted(found, key=lambda tier: int(tier["priority"]))
        ),
    )
