"""GET /v1/usage and /v1/usage/jobs: whose usage is told, and how."""

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway.admin_key import admin_key_file
from gateway.app import Gateway
from gateway.openapi import document
from shared.accounts import Accounts, NewKey
from shared.ledger import Ledger, UsageRow, day
from tests.factories import make_usage

COMPONENTS = document(600, ["premium", "free"])["components"]
MARCH = day("2026-03-01")
SPAN = "from=2026-03-01&to=2026-03-31"


def row(number: int, account: str, **changes: Any) -> UsageRow:
    admitted = MARCH + number * 43_200
    return make_usage(f"job_{number}", account=account, **{"created": admitted, "ended": admitted + 1} | changes)


class Api:
    def __init__(self, gateway: Gateway, data_dir: Path) -> None:
        self.client = gateway.app.test_client()
        url = f"sqlite:///{data_dir / 'crofai.db'}"
        self.ann: NewKey = Accounts(url).create_key("ann", "free")
        self.bob: NewKey = Accounts(url).create_key("bob", "free")
        self.admin = admin_key_file(data_dir).read_text().strip()
        mine = [row(number, self.ann.account) for number in range(5)]
        image = row(
            5, self.ann.account, model="i", kind="image", image_steps=8, images=1, begun=MARCH, first=MARCH
        )
        self.rows = [*mine, image, row(6, self.bob.account)]
        Ledger(url).record(self.rows)

    def get(self, query: str, key: str) -> tuple[int, Any]:
        response = self.client.get(f"/v1/usage{query}", headers={"X-API-Key": key})
        return response.status_code, response.get_json()


@pytest.fixture
def api(gateway: Gateway, data_dir: Path) -> Api:
    return Api(gateway, data_dir)


def described(name: str, value: Any) -> None:
    Draft202012Validator(COMPONENTS["schemas"][name] | {"components": COMPONENTS}).validate(value)


def test_ones_own_by_day_and_model(api: Api) -> None:
    status, told = api.get(f"?{SPAN}", api.ann.secret)
    assert status == 200
    described("UsageReport", told)
    assert (told["from"], told["to"]) == ("2026-03-01", "2026-03-31")
    assert [(each["day"], each["model"], each["requests"], each["units"]) for each in told["data"]] == [
        ("2026-03-01", "m", 2, 30),
        ("2026-03-02", "m", 2, 30),
        ("2026-03-03", "i", 1, 15),
        ("2026-03-03", "m", 1, 15),
    ]
    assert "account" not in told["data"][0]


def test_the_last_day_is_within(api: Api) -> None:
    [told] = api.get("?by=model&from=2026-03-02&to=2026-03-02", api.ann.secret)[1]["data"]
    assert (told["model"], told["requests"]) == ("m", 2)


def test_only_admins_see_others(api: Api) -> None:
    for query in ("by=account", f"account={api.bob.account}", "account=all"):
        status, told = api.get(f"?{SPAN}&{query}", api.ann.secret)
        assert (status, told["error"]["code"], told["error"]["param"]) == (403, "admin_required", "account")
        status, told = api.get(f"/jobs?{SPAN}&account={api.bob.account}", api.ann.secret)
        assert status == 403
    assert api.get(f"?{SPAN}&account={api.ann.account}", api.ann.secret)[0] == 200
    told = api.get(f"?{SPAN}&by=account", api.admin)[1]["data"]
    assert {each["account"]: each["requests"] for each in told} == {api.ann.account: 6, api.bob.account: 1}
    assert {each["account_name"] for each in told} == {"ann", "bob"}
    [told] = api.get(f"?{SPAN}&by=model&account={api.bob.account}", api.admin)[1]["data"]
    assert told["requests"] == 1
    assert api.get(f"?{SPAN}", api.admin)[1]["data"] == []


def test_as_a_table(api: Api) -> None:
    response = api.client.get(f"/v1/usage?{SPAN}&by=model&format=csv", headers={"X-API-Key": api.ann.secret})
    assert response.mimetype == "text/csv"
    assert response.text.splitlines() == [
        "model,requests,prompt_tokens,completion_tokens,image_steps,images,units",
        "i,1,10,5,8,1,15",
        "m,5,50,25,0,0,75",
    ]


def test_columns_of_a_table_have_one_order(api: Api) -> None:
    response = api.client.get(
        f"/v1/usage?{SPAN}&by=account,key,model,day&format=csv", headers={"X-API-Key": api.admin}
    )
    assert response.text.splitlines()[0] == (
        "day,model,key,key_name,account,account_name,"
        "requests,prompt_tokens,completion_tokens,image_steps,images,units"
    )


@pytest.mark.parametrize(
    ("query", "span"),
    [
        ("to=1970-01-01", ("1970-01-01", "1970-01-01")),
        ("to=9999-12-31", ("9999-12-02", "9999-12-31")),
        ("from=9999-12-31&to=9999-12-31", ("9999-12-31", "9999-12-31")),
        ("from=1970-01-01&to=1971-01-01", ("1970-01-01", "1971-01-01")),
    ],
)
def test_the_first_and_the_last_days_there_are(api: Api, query: str, span: tuple[str, str]) -> None:
    status, told = api.get(f"?{query}", api.ann.secret)
    assert (status, (told["from"], told["to"]), told["data"]) == (200, span, [])
    assert api.get(f"/jobs?{query}", api.ann.secret)[0] == 200


def test_job_by_job(api: Api) -> None:
    status, told = api.get(f"/jobs?{SPAN}&limit=4", api.ann.secret)
    assert status == 200
    described("UsageJobs", told)
    assert [each["id"] for each in told["data"]] == ["job_5", "job_4", "job_3", "job_2"]
    assert told["has_more"]
    rest = api.get(f"/jobs?{SPAN}&limit=4&after={told['last_id']}", api.ann.secret)[1]
    assert [each["id"] for each in rest["data"]] == ["job_1", "job_0"]
    assert not rest["has_more"]
    assert len(api.get(f"/jobs?{SPAN}&account=all", api.admin)[1]["data"]) == 7


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("?by=week", "by"),
        ("?by=day,day", "by"),
        ("?from=2026-13-01", "from"),
        ("?to=2026-1", "to"),
        ("?from=2026-03-02&to=2026-03-01", "from"),
        ("?from=2020-01-01&to=2026-03-01", "from"),
        ("?to=0001-01-01", "to"),
        ("?to=1969-12-31", "to"),
        ("?to=10000-01-01", "to"),
        ("?from=0001-01-01", "from"),
        ("?from=9999-12-31", "from"),
        ("/jobs?to=0001-01-01", "to"),
        ("/jobs?after=job_none", "after"),
        ("/jobs?after=job_6", "after"),
        ("?format=xml", "format"),
        ("?group=day", "group"),
        ("/jobs?limit=many", "limit"),
        ("/jobs?by=day", "by"),
    ],
)
def test_mistakes_name_the_field(api: Api, query: str, param: str) -> None:
    status, told = api.get(query, api.ann.secret)
    assert (status, told["error"]["param"]) == (400, param)


def test_a_key_is_needed(api: Api) -> None:
    assert api.client.get("/v1/usage").status_code == 401
    assert api.client.get("/v1/usage/jobs").status_code == 401
