"""The usage ledger, on SQLite and on PostgreSQL: once by job, summed up by day, model, key and account."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.accounts import Accounts
from shared.errors import InvalidRequest, SetupError
from shared.ledger import Ledger, UsageRow, day
from tests.factories import make_usage

NOON = day("2026-03-01") + 43_200
ALL = (0.0, 1e12)


def row(job: str, **changes: Any) -> UsageRow:
    moments = {"created": NOON, "begun": NOON + 1, "first": NOON + 2, "ended": NOON + 3}
    return make_usage(job, **moments | changes)


def test_what_is_recorded_is_read(ledger: Ledger) -> None:
    never_begun = row("job_2", state="cancelled", begun=None, first=None, units=2**40)
    ledger.record([row("job_1"), never_begun])
    assert ledger.rows("acc_a") == [never_begun, row("job_1")]


def test_a_job_is_recorded_once(ledger: Ledger) -> None:
    ledger.record([row("job_1"), row("job_1", units=99)])
    ledger.record([row("job_0"), row("job_1", units=99)])
    assert ledger.rows("acc_a") == [row("job_1"), row("job_0")]


def test_nothing_is_recorded_of_nothing(ledger: Ledger) -> None:
    ledger.record([])
    assert ledger.rows(None) == []
    assert ledger.report(None, *ALL, by=()) == []


def test_many_are_recorded_at_once_by_several(database_url: str, ledger: Ledger) -> None:
    rows = [row(f"job_{number}", created=NOON + number) for number in range(1501)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: ledger.record(rows), range(3)))
    [total] = ledger.report(None, *ALL, by=())
    assert (total.requests, total.units) == (len(rows), 15 * len(rows))


def test_all_or_none(ledger: Ledger) -> None:
    with pytest.raises(SetupError):
        ledger.record([*(row(f"job_{n}") for n in range(500)), row("bad", model=None)])
    assert ledger.rows(None) == []


def test_sums_by_day_and_model(ledger: Ledger) -> None:
    late = day("2026-03-02") - 0.5
    ledger.record(
        [
            row("job_1"),
            row("job_2", created=late, model="n", kind="image", image_steps=8, images=1, units=400),
            row("job_3", created=late + 1),
            row("job_4", created=late + 1, account="acc_b", key="key_2"),
        ]
    )
    found = ledger.report("acc_a", *ALL, by=("day", "model"))
    assert [(each.day, each.model, each.requests, each.units) for each in found] == [
        ("2026-03-01", "m", 1, 15),
        ("2026-03-01", "n", 1, 400),
        ("2026-03-02", "m", 1, 15),
    ]
    assert [
        (each.model, each.requests, each.image_steps) for each in ledger.report(None, *ALL, by=("model",))
    ] == [
        ("m", 3, 0),
        ("n", 1, 8),
    ]
    by_account = ledger.report(None, *ALL, by=("account", "key"))
    assert [(each.account, each.key, each.day, each.requests) for each in by_account] == [
        ("acc_a", "key_1", None, 3),
        ("acc_b", "key_2", None, 1),
    ]
    [march] = ledger.report(None, day("2026-03-02"), day("2026-03-03"), by=())
    assert (march.requests, march.prompt_tokens, march.completion_tokens, march.images) == (2, 20, 10, 0)


def test_rows_come_in_pages_the_newest_first(ledger: Ledger) -> None:
    rows = [row(f"job_{number}", created=NOON + number // 2) for number in range(7)]
    ledger.record([*rows, row("other", account="acc_b")])
    pages: list[UsageRow] = []
    while page := ledger.rows("acc_a", after=pages[-1].job if pages else None, limit=3):
        pages += page
    assert pages == rows[::-1]
    assert len(ledger.rows(None)) == 8
    assert ledger.rows("acc_a", since=NOON + 1, until=NOON + 2) == [rows[3], rows[2]]
    assert ledger.rows("acc_a", after=rows[3].job, since=NOON + 3) == []
    for job in ("job_none", "other"):
        with pytest.raises(InvalidRequest, match="after: "):
            ledger.rows("acc_a", after=job)


def test_sums_have_the_names_of_keys_and_accounts(database_url: str, ledger: Ledger) -> None:
    accounts = Accounts(database_url)
    ann = accounts.create_key("ann", "free")
    accounts.close()
    ledger.record([row("job_1", account=ann.account, key=ann.id), row("job_2", account="acc_z", key="retry")])
    found = ledger.report(None, *ALL, by=("account", "key"))
    told = {(each.account, each.account_name, each.key, each.key_name) for each in found}
    assert told == {(ann.account, "ann", ann.id, "ann"), ("acc_z", None, "retry", None)}
    assert [(each.account_name, each.key_name) for each in ledger.report(None, *ALL, by=())] == [(None, None)]


@pytest.mark.parametrize("text", ["", "2026-13-01", "yesterday", "2026-01-01T00:00"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not match|out of range|unconverted"):
        day(text)
