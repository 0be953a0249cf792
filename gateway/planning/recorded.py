"""What the ledger has, as it is planned from: the pools that there are to be, and what came to them."""

from collections.abc import Collection, Mapping
from functools import partial

from gateway.planning.comparison import Week
from gateway.planning.demand import Usage, UsageError, monday
from gateway.planning.pools import Arrivals, pool, promised_models
from shared.catalog import Catalog
from shared.errors import ModelNotFound
from shared.tiers import Tiers


def recorded(
    found: Usage,
    running: Collection[str],
    catalog: Catalog,
    tiers: Tiers,
    gpus: int,
    *,
    promise: Collection[str] = (),
    startups: Mapping[str, float] | None = None,
) -> tuple[Week, list[str]]:
    """The pools of models that were used, are promised or have workers, and what came to them; and the names of
    those that were used and are no models any more. There is some usage. Raises UsageError."""
    used = found.arrivals(monday(found.begin()), partial(_id, catalog))
    promised = promised_models([tier.models for tier in tiers.all]) | set(promise)
    if not used.keys() & catalog.models.keys():
        raise UsageError("no model of the catalogue was used in that time")
    pools = {
        name: pool(model, promised=name in promised, startup=(startups or {}).get(name))
        for name, model in catalog.models.items()
        if name in used or name in promised or name in running
    }
    arrivals = {name: used.get(name, Arrivals([], [])) for name in pools}
    times = [time for each in used.values() for time in each.times]
    whole = Week(pools=pools, arrivals=arrivals, begin=min(times), end=max(times) + 1, gpus=gpus)
    return whole, sorted(used.keys() - catalog.models.keys())


def _id(catalog: Catalog, name: str) -> str:
    """A model's id by any name of it; of what is no model, the name."""
    try:
        return catalog.find(name).id
    except ModelNotFound:
        return name
