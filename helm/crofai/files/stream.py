"""Ask a gateway for one short answer, or one picture: `python stream.py URL MODEL SECONDS`, with CROFAI_ADMIN_KEY.

A key is made for it and revoked in the end. Exits 0 once the answer is complete; says why not, otherwise.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

LIFE = 600  # seconds that the key is good for, should it not be revoked
NAMES = ("helm-test", "helm-test-2", "helm-test-3")


def main() -> int:
    url, model, seconds = sys.argv[1].rstrip("/"), sys.argv[2], float(sys.argv[3])
    account = key = None
    try:
        account = an_account(url, model)
        key = ask(
            f"{url}/v1/admin/accounts/{account}/keys", {"name": "helm-test", "expires": int(time.time()) + LIFE}
        )
        kind = ask(f"{url}/v1/models/{model}")["kind"]
        (picture if kind == "image" else stream)(url, model, key["secret"], seconds)
    except urllib.error.HTTPError as error:
        print(f"{error.url}: {error.code}: {error.read().decode(errors='replace')[:1000]}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"{url}: {error}", file=sys.stderr)
        return 1
    finally:
        if key:
            ask(f"{url}/v1/admin/keys/{key['id']}", method="DELETE")
    return 0


def an_account(url: str, model: str) -> str:
    """An account of the best tier that has the model; raises ValueError if there can be none.

    Accounts are not deleted, so each run takes the same: `helm-test`, or one with a number if that is suspended.
    """
    tier = best_tier(url, model)
    for name in NAMES:
        found = ask(f"{url}/v1/admin/accounts?name={name}")["data"]
        if not found:
            return ask(f"{url}/v1/admin/accounts", {"name": name, "tier": tier})["id"]
        account = found[0]
        if not account["suspended"]:
            if account["tier"] != tier:
                ask(f"{url}/v1/admin/accounts/{account['id']}", {"tier": tier}, "PATCH")
            return account["id"]
    raise ValueError(f"the accounts {', '.join(NAMES)} are suspended: resume one of them")


def best_tier(url: str, model: str) -> str:
    tiers = ask(f"{url}/v1/admin/tiers")["data"]
    fit = [tier for tier in tiers if tier["models"] is None or model in tier["models"]]
    if not fit:
        raise ValueError(f"no tier has {model}")
    return min(fit, key=lambda tier: tier["priority"])["id"]


def stream(url: str, model: str, key: str, seconds: float) -> None:
    """Raises ValueError if the stream does not end as it should."""
    began, chunks, text = time.monotonic(), 0, ""
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    body = {"model": model, "stream": True, "max_tokens": 32, "messages": messages}
    with post(f"{url}/v1/chat/completions", body, key, seconds) as answer:
        for line in answer:
            data = line.decode().strip().removeprefix("data: ")
            if data == "[DONE]":
                print(f"{model}: {chunks} chunks in {time.monotonic() - began:.1f} s: {text!r}")
                return
            if not line.startswith(b"data: "):
                continue
            chunk = json.loads(data)
            if "error" in chunk:
                raise ValueError(chunk["error"])
            chunks += 1
            text += "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
    raise ValueError(f"the stream ended after {chunks} chunks, without [DONE]")


def picture(url: str, model: str, key: str, seconds: float) -> None:
    began = time.monotonic()
    with post(f"{url}/v1/images/generations", {"model": model, "prompt": "a lighthouse"}, key, seconds) as answer:
        size = len(json.load(answer)["data"][0]["b64_json"])
    print(f"{model}: a picture of {size} bytes of base64 in {time.monotonic() - began:.1f} s")


def ask(url: str, body: dict | None = None, method: str | None = None) -> dict:
    with post(url, body, os.environ["CROFAI_ADMIN_KEY"], 30, method) as answer:
        return json.loads(answer.read() or "{}")


def post(url: str, body: dict | None, key: str, seconds: float, method: str | None = None):
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body is not None else None
    return urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=seconds)


if __name__ == "__main__":
    sys.exit(main())
