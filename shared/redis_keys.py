"""Every Redis key and channel, with its type, owner and lifetime. No key name is written anywhere else,
but in scripts, which find out as they run whose keys they need: so all of them are on one server.

| name                          | type    | owner   | what, and how long                                          |
|-------------------------------|---------|---------|-------------------------------------------------------------|
| model.<model>[:p<n>]          | list    | kombu   | waiting Celery messages, one list a priority; until taken   |
| lease:<model>                 | hash    | worker  | messages delivered and not acknowledged, by delivery tag    |
| lease:<model>:index           | zset    | worker  | the same tags by the time their lease was last extended     |
| lease:<model>:mutex           | string  | kombu   | who sweeps expired leases; expires after 2 s                |
| _kombu.<table>.<queue>        | set     | kombu   | binding and binding_permanent: the queue itself; for ever   |
| pool:<model>                  | hash    | worker  | what each takes at once, or keeps; expires as its report    |
| fair:<model>                  | hash    | lines   | what fairness remembers; expires as waiting                 |
| ring:<model>:<tier>           | zset    | lines   | accounts in line, the next first; expires as waiting        |
| rested:<model>:<tier>         | zset    | lines   | accounts just served out, likewise; expires as waiting      |
| line:<model>:<tier>:<account> | zset    | lines   | ids of its jobs, in their order; expires as waiting         |
| waiting:<model>:<tier>        | zset    | lines   | ids of jobs in line, by deadline; expires after the last    |
| dispatched:<model>:<tier>     | zset    | lines   | ids of jobs in the queue or at workers; expires as waiting  |
| running:<scope>               | zset    | lines   | ids of an account's or key's jobs; expires as waiting       |
| limit:<scope>:<seconds>:<n>   | hash    | lines   | requests, units, images of window n; expires after it       |
| usage                         | stream  | lines   | rows of the ledger; until the database has them             |
| open:<model>                  | zset    | lines   | ids of jobs without an end, by deadline; expires as waiting |
| job:<id>                      | hash    | joblog  | state, attempt, reply_to, account …; expires after the job  |
| job:<id>:log                  | list    | joblog  | its chunks, JSON, number n at n - 1; expires as the job     |
| idem:<account>:<hash>         | string  | gateway | the job of an Idempotency-Key; expires after the job        |
| leaving                       | zset    | joblog  | jobs whose client may come back, by their end; until then   |
| dead                          | list    | joblog  | jobs given up, JSON, the newest first; until dropped        |
| recovery                      | string  | gateway | who looks for lost messages; expires before the next look   |
| usage:mutex                   | string  | gateway | who moves it there; expires after 10 s                      |
| usage:rejected                | list    | gateway | entries that are no usage, JSON; until dropped              |
| speeds:<model>                | hash    | gateway | of its streams, JSON by hour, and ever; for ever            |
| uptime:<model>                | hash    | gateway | of its canaries, counts by hour and day; expires after 91 d |
| canary                        | hash    | gateway | what came of each model's last canary, JSON; expires later  |
| canary:mutex                  | string  | gateway | who sends them; expires before the next                     |
| worker:<id>                   | string  | worker  | what a worker reports, JSON; expires when it stops          |
| workers                       | zset    | worker  | worker ids by their last report; swept by readers           |
| gw:<gateway>                  | channel | joblog  | frames for one gateway process                              |
| ctl:<model>                   | channel | gateway | ids of jobs to cancel, to all workers of a model            |
"""

WORKERS = "workers"
LEAVING = "leaving"
DEAD = "dead"
RECOVERY = "recovery"
USAGE = "usage"
USAGE_MUTEX = "usage:mutex"
USAGE_REJECTED = "usage:rejected"
CANARY = "canary"
CANARY_MUTEX = "canary:mutex"
PRIORITY_SEPARATOR = ":p"


def queue(model: str) -> str:
    return f"model.{model}"


def lease(model: str) -> str:
    return f"lease:{model}"


def lease_index(model: str) -> str:
    return f"lease:{model}:index"


def lease_mutex(model: str) -> str:
    return f"lease:{model}:mutex"


def pool(model: str) -> str:
    return f"pool:{model}"


def speeds(model: str) -> str:
    return f"speeds:{model}"


def uptime(model: str) -> str:
    return f"uptime:{model}"


def waiting(model: str, tier: str) -> str:
    return f"waiting:{model}:{tier}"


def dispatched(model: str, tier: str) -> str:
    return f"dispatched:{model}:{tier}"


def running(scope: str) -> str:
    return f"running:{scope}"


def limit(scope: str, seconds: int, number: int) -> str:
    return f"limit:{scope}:{seconds}:{number}"


def open_jobs(model: str) -> str:
    return f"open:{model}"


def idempotency(account: str, key: str) -> str:
    return f"idem:{account}:{key}"


def job(job_id: str) -> str:
    return f"job:{job_id}"


def log(job_id: str) -> str:
    return f"job:{job_id}:log"


def worker(worker_id: str) -> str:
    return f"worker:{worker_id}"


def gateway_channel(gateway_id: str) -> str:
    return f"gw:{gateway_id}"


def control_channel(model: str) -> str:
    return f"ctl:{model}"
