"""The endpoints about accounts, keys, tiers and usage: what they take, and what they answer."""

from typing import Any, get_args

from gateway.openapi.answers import COUNT, COUNT_OR_NULL, NUMBER, SECONDS, TEXT, list_of, object_of, or_null
from gateway.openapi.failures import Kind
from gateway.openapi.operations import Operation
from gateway.openapi.schemas import Schema, ref
from shared import errors
from shared.messages import EndState
from shared.messages import Kind as JobKind
from shared.registry import WorkerState
from shared.tiers import Limits

REFUSED: tuple[Kind, ...] = (errors.InvalidRequest, errors.AdminRequired)
SENT = (*REFUSED, errors.UnsupportedMedia)
POOLS = (errors.AdminRequired, errors.QueueUnreachable)
FOUND = (errors.AdminRequired, errors.NotFound)
PAGED = ("Limit", "AfterId")
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
SECONDS_TOLD: Schema = {"type": ["number", "null"], "description": "Seconds; null: of no job."}
SECONDS_OR_NULL: Schema = {"type": ["number", "null"], "description": "Seconds since 1970; null: never."}


def account_operations() -> list[Operation]:
    return [*_own(), *_usage(), *_accounts(), *_keys(), *_letters(), _plan()]


def account_schemas() -> dict[str, Schema]:
    """By name, the schemas of what is answered."""
    key, account = _key(), _account()
    return {
        "Account": account,
        "OwnAccount": account
        | {
            "description": "With what is used of its limits, and of those that the key has of its own.",
            "properties": account["properties"]
            | {"limits": _used(), "key_limits": or_null(_used()), "key": ref("Key")},
            "required": [*account["required"], "limits", "key_limits", "key"],
        },
        "Accounts": _page("Account"),
        "Key": key,
        "Keys": _page("Key"),
        "KeyMade": key
        | {
            "description": "With its secret, which is told only now.",
            "properties": key["properties"] | {"secret": TEXT},
            "required": [*key["required"], "secret"],
        },
        "Tier": _tier(),
        "DeadLetter": _letter(),
        "DeadLetters": _page("DeadLetter"),
        "DeadLetterRetried": object_of(
            "Its account finds the answer at `/v1/jobs/{job}`.",
            object={"const": "dead_letter.retried"},
            id=TEXT,
            job=TEXT,
        ),
        "DeadLetterDropped": object_of("", object={"const": "dead_letter.dropped"}, id=TEXT),
        "Plan": _plan_schema(),
        "Pool": _pool(),
        "Pools": object_of("", object={"const": "list"}, data=list_of(ref("Pool"))),
        "Tiers": object_of("", object={"const": "list"}, data=list_of(ref("Tier"))),
        "UsageSum": _sum(),
        "UsageReport": object_of(
            "", object={"const": "list"}, **{"from": TEXT, "to": TEXT}, data=list_of(ref("UsageSum"))
        ),
        "UsageJob": _job(),
        "UsageJobs": _page("UsageJob"),
    }


def _own() -> list[Operation]:
    """Of one's own account, by any key of it."""
    path, one = "/v1/keys", "/v1/keys/{key_id}"
    managed: tuple[Kind, ...] = (errors.InvalidRequest, errors.NotFound, errors.KeyTooNarrow, errors.LastAdminKey)
    sent = (errors.InvalidRequest, errors.UnsupportedMedia, errors.KeyTooNarrow)
    what = "A key manages those that may do no more than itself; one with limits of its own manages itself alone."
    return [
        Operation(
            "get",
            "/v1/account",
            "read_own_account",
            "Account",
            "Your account, and what is used of its limits",
            ref("OwnAccount"),
            (errors.InvalidRequest, errors.NotFound),
        ),
        Operation(
            "get",
            path,
            "list_own_keys",
            "Account",
            "Your account's keys, the oldest first",
            ref("Keys"),
            (errors.InvalidRequest,),
            parameters=PAGED,
        ),
        Operation(
            "post",
            path,
            "create_own_key",
            "Account",
            "Make a key for your account",
            ref("KeyMade"),
            (*sent, errors.NotFound, errors.TooManyKeys),
            "One that may do no more than the key with which it is asked for, and never an admin's.",
            body=ref("OwnKey"),
            examples={"one": {"name": "laptop", "limits": {"requests_per_minute": 10}}},
        ),
        Operation(
            "patch",
            one,
            "change_own_key",
            "Account",
            "Change what a key of your account is for",
            ref("Key"),
            (*managed, *sent, errors.KeyRevoked, errors.KeyExpired),
            what,
            body=ref("KeyChange"),
            examples={"one": {"name": "old laptop", "expires": 4e9}},
            parameters=("Force",),
        ),
        Operation(
            "delete",
            one,
            "revoke_own_key",
            "Account",
            "Make a key of your account invalid, for good",
            ref("Key"),
            managed,
            what,
            parameters=("Force",),
        ),
    ]


def _account() -> Schema:
    return object_of(
        "",
        id=TEXT,
        object={"const": "account"},
        name=TEXT,
        tier=TEXT,
        created=SECONDS,
        suspended=SECONDS_OR_NULL,
    )


def _used() -> Schema:
    """Of each limit, whether there is one or not."""
    one = object_of(
        "",
        limit=COUNT_OR_NULL | {"description": "Null: there is none."},
        used=COUNT | {"description": "Used or reserved."},
        resets={"type": ["number", "null"], "description": "In so many seconds; null: as jobs end."},
    )
    return object_of("", **dict.fromkeys(Limits.model_fields, one))


def _letters() -> list[Operation]:
    path, one = "/v1/admin/dead-letters", "/v1/admin/dead-letters/{letter_id}"
    queue: tuple[Kind, ...] = (*REFUSED, errors.QueueUnreachable)
    return [
        _admin(
            "get", path, "list_dead_letters", "Jobs that were given up, the newest first", "DeadLetters", queue
        ),
        _admin(
            "post",
            f"{one}/retry",
            "retry_dead_letter",
            "Run one again, at nobody's cost",
            "DeadLetterRetried",
            (*queue, errors.NotFound, errors.QueueFull),
        ),
        _admin("delete", one, "drop_dead_letter", "Forget one", "DeadLetterDropped", (*queue, errors.NotFound)),
    ]


def _letter() -> Schema:
    return object_of(
        "A job that was given up, without its request.",
        id=TEXT | {"description": "The job's."},
        object={"const": "dead_letter"},
        model=TEXT,
        kind={"enum": list(get_args(JobKind))},
        account=TEXT,
        tier=TEXT,
        created=SECONDS,
        died=SECONDS,
        reason=TEXT,
    )


def _plan() -> Operation:
    return Operation(
        "get",
        "/v1/admin/plan",
        "plan_replicas",
        "Admin",
        "Each model's replicas, planned from its usage",
        ref("Plan"),
        (*REFUSED, errors.NotFound, errors.QueueUnreachable, errors.Timeout),
        "Made from the ledger, as `crofai plan` makes it; nothing is changed. May be a minute old.",
        parameters=("Gpus", "Since", "Share", "Within", "ByHour"),
    )


def _plan_schema() -> Schema:
    return object_of(
        "`least_gpus` are held in the busiest hour at least; maxima overlap.",
        object={"const": "plan"},
        since=TEXT,
        gpus=COUNT,
        goal=object_of("", share=NUMBER, wait=NUMBER),
        least_gpus=COUNT,
        unplanned=list_of(TEXT),
        models=list_of(
            object_of(
                "Replicas: `min` stay, `max` there are at most. Another starts at `factor` of a full one's jobs.",
                model=TEXT,
                gpus=COUNT | {"description": "Of one replica."},
                promised={"type": "boolean"},
                startup=NUMBER | {"description": "Seconds."},
                requests=COUNT,
                late=COUNT,
                gpu_hours=NUMBER,
                peak=COUNT,
                reserved=COUNT,
                min=COUNT,
                max=COUNT,
                factor=NUMBER,
                by_hour={"type": ["array", "null"], "items": COUNT},
                why=TEXT,
            )
        ),
    )


def _accounts() -> list[Operation]:
    path, one = "/v1/admin/accounts", "/v1/admin/accounts/{account_id}"
    ann: Schema = {"name": "ann", "tier": "free"}
    return [
        _admin(
            "get", path, "list_accounts", "All accounts, the oldest first", "Accounts", REFUSED, more="AccountName"
        ),
        _admin(
            "post", path, "create_account", "Make one", "Account", (*SENT, errors.NameTaken), "NewAccount", ann
        ),
        _admin("get", one, "read_account", "One account", "Account", FOUND),
        _admin(
            "patch",
            one,
            "change_account",
            "Change its tier, or suspend it",
            "Account",
            (*SENT, errors.NotFound),
            "AccountChange",
            {"suspended": True},
        ),
        _admin(
            "get",
            f"{one}/keys",
            "list_account_keys",
            "Its keys, the oldest first",
            "Keys",
            (*REFUSED, errors.NotFound),
        ),
        _admin(
            "post",
            f"{one}/keys",
            "create_key",
            "Make a key for it",
            "KeyMade",
            (*SENT, errors.NotFound),
            "NewKey",
            {"name": "laptop", "models": ["smollm2-135m"], "limits": {"requests_per_minute": 10}},
        ),
    ]


def _pool() -> Schema:
    return object_of(
        "A model's workers and jobs: `open` are all without an end, `waiting` in line, and `running` at workers.",
        model=TEXT,
        workers=object_of("By their state.", **dict.fromkeys(get_args(WorkerState), COUNT)),
        capacity=COUNT | {"description": "Jobs that the ready workers take at once."},
        open=COUNT,
        waiting=COUNT,
        running=COUNT,
        tokens_per_second=NUMBER,
        ttft_seconds=object_of(
            "From admission to the first chunk, of the last ten minutes' jobs.",
            count=COUNT,
            p50=SECONDS_TOLD,
            p99=SECONDS_TOLD,
        ),
    )


def _keys() -> list[Operation]:
    one, found = "/v1/admin/keys/{key_id}", (*SENT, errors.NotFound)
    changed: Schema = {"tiers": ["free"], "expires": None}
    return [
        _admin("get", "/v1/admin/keys", "list_keys", "All keys, the oldest first", "Keys", REFUSED),
        _admin("get", one, "read_key", "One key", "Key", FOUND),
        _admin(
            "patch",
            one,
            "change_key",
            "Change what it is for",
            "Key",
            (*found, errors.KeyRevoked, errors.KeyExpired, errors.LastAdminKey),
            "KeyChange",
            changed,
            more="Force",
        ),
        _admin(
            "delete",
            one,
            "revoke_key",
            "Make it invalid, for good",
            "Key",
            (*REFUSED, errors.NotFound, errors.LastAdminKey),
            more="Force",
        ),
        _admin(
            "get", "/v1/admin/pools", "list_pools", "All models' workers and jobs", "Pools", POOLS, paged=False
        ),
        _admin("get", "/v1/admin/tiers", "list_tiers", "All tiers", "Tiers", REFUSED, paged=False),
    ]


def _admin(
    method: Any,
    path: str,
    name: str,
    summary: str,
    answer: str,
    fails: tuple[Kind, ...],
    body: str | None = None,
    example: Schema | None = None,
    *,
    paged: bool | None = None,
    more: str | None = None,
) -> Operation:
    listed = answer.endswith("s") if paged is None else paged
    return Operation(
        method,
        path,
        name,
        "Admin",
        summary,
        ref(answer),
        fails,
        body=ref(body) if body else None,
        examples={"one": example} if example else {},
        parameters=(*(PAGED if listed else ()), *([more] if more else [])),
    )


def _usage() -> list[Operation]:
    fails: tuple[Kind, ...] = (errors.InvalidRequest, errors.AdminRequired)
    return [
        Operation(
            "get",
            "/v1/usage",
            "sum_usage",
            "Usage",
            "What your account has used, summed up",
            ref("UsageReport"),
            fails,
            "By when jobs were admitted; a job is counted some seconds after its end. With `format=csv` it comes "
            "as a table. Admins may ask for other accounts.",
            parameters=("By", "From", "To", "AccountAsked", "Format"),
        ),
        Operation(
            "get",
            "/v1/usage/jobs",
            "list_usage",
            "Usage",
            "The same job by job, the newest first",
            ref("UsageJobs"),
            fails,
            parameters=("From", "To", "AccountAsked", *PAGED),
        ),
    ]


def _page(name: str) -> Schema:
    text: Schema = {"type": ["string", "null"]}
    return object_of(
        "",
        object={"const": "list"},
        data=list_of(ref(name)),
        first_id=text,
        last_id=text,
        has_more={"type": "boolean"},
    )


def _key() -> Schema:
    names = {"type": ["array", "null"], "items": TEXT}
    return object_of(
        "What a key is for, and whose it is. Null bounds nothing.",
        id=TEXT,
        object={"const": "key"},
        name=TEXT,
        account=TEXT,
        account_name=TEXT,
        tier=TEXT | {"description": "The account's."},
        admin={"type": "boolean"},
        models=names,
        tiers=names,
        limits=or_null(ref("Limits")),
        created=SECONDS,
        expires=SECONDS_OR_NULL,
        last_used=SECONDS_OR_NULL,
        revoked=SECONDS_OR_NULL,
    )


def _tier() -> Schema:
    return object_of(
        "Null bounds nothing.",
        id=TEXT,
        object={"const": "tier"},
        description=TEXT,
        priority=COUNT | {"description": "The lower is served first."},
        weight=COUNT,
        reserved=NUMBER,
        models={"type": ["array", "null"], "items": TEXT},
        image_size={"type": ["string", "null"]},
        image_steps=COUNT_OR_NULL,
        most_waiting=COUNT,
        longest_wait={"type": ["number", "null"]},
        limits=object_of("", **dict.fromkeys(Limits.model_fields, COUNT_OR_NULL)),
    )


COUNTS = {name: COUNT for name in ("prompt_tokens", "completion_tokens", "image_steps", "images", "units")}


def _sum() -> Schema:
    summed = object_of("Of one day, model, key or account, as was asked for.", requests=COUNT, **COUNTS)
    summed["properties"] |= dict.fromkeys(("day", "model", "key", "account"), TEXT)
    summed["properties"] |= dict.fromkeys(("key_name", "account_name"), TEXT_OR_NULL)
    return summed


def _job() -> Schema:
    return object_of(
        "What one job has used. `begun` and `first` are when it began and had its first chunk, if it ever did.",
        id=TEXT,
        object={"const": "usage.job"},
        account=TEXT,
        key=TEXT | {"description": "A key's id; `retry`, if the operator has had the job run again."},
        model=TEXT,
        tier=TEXT,
        kind={"enum": list(get_args(JobKind))},
        state={"enum": list(get_args(EndState))},
        **COUNTS,
        created=SECONDS,
        begun=SECONDS_OR_NULL,
        first=SECONDS_OR_NULL,
        ended=SECONDS,
        ttft_seconds=SECONDS_TOLD | {"description": "From admission to the first chunk; null: there was none."},
    )
