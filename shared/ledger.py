"""The usage ledger: one row for each job that has ended, in SQL, once by the job's id."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, get_args

import msgspec
import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite

from shared.account_tables import ACCOUNTS, KEYS
from shared.messages import EndState, Kind
from shared.sql import Tables, page

By = Literal["day", "model", "key", "account"]
"""What usage is summed up by."""

NAMED: dict[str, sql.Table] = {"key": KEYS, "account": ACCOUNTS}
"""What has a name, beside its id."""

COUNTS = ("prompt_tokens", "completion_tokens", "image_steps", "images", "units")
RECENT = 10_000


Text = Annotated[str, msgspec.Meta(pattern=r"\A[^\0]{1,200}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Moment = Annotated[float, msgspec.Meta(ge=0, le=1e11)]
"""What both databases take; msgspec holds against it what is decoded."""


CANARIES = "canary"
"""The account of gateways' own requests, and its key: nobody has asked for them."""


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one job used. Times are Unix seconds: when it was admitted, begun, had its first chunk, and ended.

    `begun` and `first` are None if that never was; only streams have a `first`. `tier` is the one that it was
    served at; `units` are what the catalogue's price makes of the other counts.
    """

    job: Text
    account: Text
    key: Text
    model: Text
    tier: Text
    kind: Kind
    state: EndState
    prompt_tokens: Count
    completion_tokens: Count
    image_steps: Count
    images: Count
    units: Count
    created: Moment
    begun: Moment | None = None
    first: Moment | None = None
    ended: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """What the jobs of one day (of UTC, as 2026-01-31), model, key or account used; None is of all together.

    Names are those that key and account have now; None if there is none of this id.
    """

    day: str | None
    model: str | None
    key: str | None
    key_name: str | None
    account: str | None
    account_name: str | None
    requests: int
    prompt_tokens: int
    completion_tokens: int
    image_steps: int
    images: int
    units: int


class Ledger(Tables):
    """All usage. Several processes may use one database; SetupError says that it cannot be used.

    Spans of time are from `since` until just before `until`, in Unix seconds, by when jobs were admitted.
    """

    def record(self, rows: Sequence[UsageRow]) -> None:
        """Write all of them or none; those of jobs that are there already change nothing."""
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        # Of rows of one job in one statement, PostgreSQL would complain: the first is as good as any.
        once = list({row.job: msgspec.structs.asdict(row) for row in reversed(rows)}.values())
        # A statement with its values in it is compiled anew each time, which takes longer than to carry it out.
        statement = insert(_usage).on_conflict_do_nothing(index_elements=["job"])
        if once:
            with self._database.begin() as connection:
                connection.execute(statement, once)

    def report(self, account: str | None, since: float, until: float, by: Sequence[By]) -> list[Sum]:
        """Sums of one account's jobs, or of all, by these in this order; the oldest day first."""
        groups = {name: self._group(name).label(name) for name in get_args(By) if name in by}
        sums = [sql.func.count().label("requests")]
        sums += [sql.cast(sql.func.sum(_usage.c[name]), sql.BigInteger).label(name) for name in COUNTS]
        query = sql.select(*groups.values(), *sums).where(*_of(account), *_span(since, until))
        summed = query.group_by(*groups.values()).subquery()
        named: sql.FromClause = summed
        for name in NAMED.keys() & by:
            named = named.outerjoin(NAMED[name], NAMED[name].c.id == summed.c[name])
        names = [NAMED[name].c.name.label(f"{name}_name") for name in NAMED.keys() & by]
        query = sql.select(*summed.c, *names).select_from(named).order_by(*(summed.c[name] for name in by))
        with self._database.begin() as connection:
            rows = [dict(row._mapping) for row in connection.execute(query)]
        missing: dict[str, Any] = dict.fromkeys((*get_args(By), *(f"{name}_name" for name in NAMED)))
        # Without groups there is always one sum, of nothing if need be.
        return [Sum(**missing | row) for row in rows if row["requests"]]

    def rows(
        self,
        account: str | None,
        since: float = 0,
        until: float | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> list[UsageRow]:
        """One account's jobs, or all, the newest first, from the one on that follows the job `after`.

        Raises InvalidRequest if none of them is that.
        """
        query = sql.select(_usage).where(*_of(account))
        span = _span(since, time.time() + 1 if until is None else until)
        place = (_usage.c.created, _usage.c.job)
        with self._database.begin() as connection:
            rows = page(connection, query, *place, after, limit, within=span, newest_first=True)
        return [UsageRow(**row._mapping) for row in rows]

    def firsts(self, since: float) -> dict[str, list[float]]:
        """By model, how many seconds after its admission each of the last jobs had its first chunk: of those that
        were admitted since then, RECENT of all at most."""
        query = sql.select(_usage.c.model, _usage.c.first - _usage.c.created)
        query = query.where(_usage.c.created >= since, _usage.c.first.is_not(None))
        found: dict[str, list[float]] = {}
        with self._database.begin() as connection:
            for model, seconds in connection.execute(query.order_by(_usage.c.created.desc()).limit(RECENT)):
                found.setdefault(model, []).append(seconds)
        return found

    def _group(self, name: By) -> sql.ColumnElement[str]:
        if name != "day":
            return _usage.c[name]
        if self._database.is_sqlite:
            return sql.func.date(_usage.c.created, "unixepoch")
        return sql.func.to_char(sql.func.timezone("UTC", sql.func.to_timestamp(_usage.c.created)), "YYYY-MM-DD")


_metadata = sql.MetaData()
_usage = sql.Table(
    "usage",
    _metadata,
    sql.Column("job", sql.String, primary_key=True),
    *(sql.Column(name, sql.String, nullable=False) for name in "account key model tier kind state".split()),
    *(sql.Column(name, sql.BigInteger, nullable=False) for name in COUNTS),
    sql.Column("created", sql.Double, nullable=False),
    sql.Column("begun", sql.Double),
    sql.Column("first", sql.Double),
    sql.Column("ended", sql.Double, nullable=False),
)


def _of(account: str | None) -> list[sql.ColumnElement[bool]]:
    return [] if account is None else [_usage.c.account == account]


def _span(since: float, until: float) -> list[sql.ColumnElement[bool]]:
    return [_usage.c.created >= since, _usage.c.created < until]


def day(text: str) -> float:
    """When a day of UTC, as 2026-01-31, begins, in Unix seconds. Raises ValueError."""
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
