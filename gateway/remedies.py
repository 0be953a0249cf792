"""What clients are told to do about each error: its cause, the fix, and whether to send the request again.

Backticks stand around code. What is in braces is filled in from the gateway's settings and constants.
"""

from typing import Literal, NamedTuple

from gateway import intake
from shared import errors
from shared.errors import RequestError
from shared.settings import Settings


class Remedy(NamedTuple):
    """`again` says whether to send the same request once more: never, at once, a single time, or after a while."""

    cause: str
    fix: str
    again: Literal["No", "Yes", "Once", "Later"]


class Row(NamedTuple):
    """An error of the table."""

    status: int
    code: str
    cause: str
    fix: str
    again: str


def rows(settings: Settings) -> list[Row]:
    """All errors by their status, as this gateway makes them."""
    ordered = sorted(REMEDIES.items(), key=lambda entry: entry[0].status)
    return [
        Row(kind.status, kind.code, _filled(remedy.cause, settings), _filled(remedy.fix, settings), remedy.again)
        for kind, remedy in ordered
    ]


def _filled(text: str, settings: Settings) -> str:
    return text.format(settings=settings, intake=intake)


REMEDIES: dict[type[RequestError], Remedy] = {
    errors.InvalidRequest: Remedy(
        "A field is missing, of the wrong type or out of range.", "Correct the field that `param` names.", "No"
    ),
    errors.ContextLengthExceeded: Remedy(
        "The conversation is longer than the model’s context.", "Send fewer or shorter messages.", "No"
    ),
    errors.MalformedRequest: Remedy(
        "This is no valid HTTP, or the body breaks off. The connection is closed.",
        "Let an HTTP library make the request.",
        "No",
    ),
    errors.InvalidKey: Remedy(
        "There is no API key, or it is unknown, revoked or expired.",
        "Check the key, and its header, `token` or `start_stream`.",
        "No",
    ),
    errors.TierRequired: Remedy(
        "The key is not for the tier that the address names.", "Use `/v1/free`, or a key of that tier.", "No"
    ),
    errors.ModelNotAllowed: Remedy(
        "The key, or its tier, is not for this model.", "Choose another model, or another key.", "No"
    ),
    errors.AccountSuspended: Remedy("The operator has suspended the account.", "Ask the operator.", "No"),
    errors.AdminRequired: Remedy(
        "The address is for admins, and the key is none of theirs.", "Use an admin’s key.", "No"
    ),
    errors.KeyTooNarrow: Remedy(
        "The key manages no key that may do more than itself.", "Use a key that may do as much.", "No"
    ),
    errors.NotFound: Remedy(
        "There is nothing at this address; or no such job of your account, or not any more.",
        "Compare the address with these pages. A job whose record is gone has to be asked for anew.",
        "No",
    ),
    errors.ModelNotFound: Remedy(
        "No model has this name. The message gives the nearest.", "Take a name from `GET /v1/models`.", "No"
    ),
    errors.NotOffered: Remedy(
        "OpenAI has this address, and crofai has not.", "Use one that the message names.", "No"
    ),
    errors.MethodNotAllowed: Remedy(
        "The address does not take this method.", "Use the method that the message names, mostly POST.", "No"
    ),
    errors.RequestTimeout: Remedy(
        "The request took too long to arrive: {intake.HEAD_TIME:.0f} seconds for its head, or a body slower than "
        "{intake.SLOWEST} bytes a second.",
        "Send it in one go.",
        "Yes",
    ),
    errors.IdempotencyMismatch: Remedy(
        "Your `Idempotency-Key` was used for another request.", "Use a new key for each request.", "No"
    ),
    errors.NameTaken: Remedy(
        "There is an account of this name already.",
        "Choose another name, or make a key for that account.",
        "No",
    ),
    errors.KeyRevoked: Remedy("A key that is to be changed is revoked.", "Make another.", "No"),
    errors.KeyExpired: Remedy("A key that is to be changed has ended.", "Make another.", "No"),
    errors.LastAdminKey: Remedy(
        "Without this key nobody could manage accounts.",
        "Make another admin’s key first, or add `?force=true`.",
        "No",
    ),
    errors.TooManyKeys: Remedy("The account has as many keys as it may.", "Revoke one first.", "No"),
    errors.BodyTooLarge: Remedy(
        "The request body has more than {settings.max_body_bytes:,} bytes.",
        "Send fewer or shorter messages.",
        "No",
    ),
    errors.UnsupportedMedia: Remedy(
        "The body is not declared as JSON, or is compressed.", "Send `Content-Type: application/json`.", "No"
    ),
    errors.QueueFull: Remedy(
        "Too many jobs of your tier wait for this model.",
        "Wait for `Retry-After`, or choose another model.",
        "Later",
    ),
    errors.RateLimited: Remedy(
        "You ask for more at once, or in a minute, than you may.",
        "Wait for `Retry-After`. Without it, one request is too large: the message tells what to lower.",
        "Later",
    ),
    errors.QuotaExceeded: Remedy(
        "You ask for more than you may have in a day.", "As for `rate_limit_exceeded`.", "Later"
    ),
    errors.TooManyWrongKeys: Remedy(
        "More than {settings.most_wrong_keys} wrong keys came from your address in a minute.",
        "Wait for as long as `Retry-After` says, and send a right one.",
        "Later",
    ),
    errors.HeadTooLarge: Remedy(
        "The address and headers have more than {intake.MOST_HEAD:,} bytes, or {intake.MOST_HEADERS} headers.",
        "Send fewer or shorter headers.",
        "No",
    ),
    errors.Cancelled: Remedy("You, or the operator, ended the job.", "If it was not you, send it again.", "Yes"),
    errors.EngineFailed: Remedy(
        "The engine failed while it ran the job.",
        "Send it again. If it fails the same way, change the request.",
        "Once",
    ),
    errors.Interrupted: Remedy("The worker stopped, and the job could not be continued.", "Send it again.", "Yes"),
    errors.JobLost: Remedy("The job’s record was lost with the queue server’s data.", "Send it again.", "Yes"),
    errors.RequestError: Remedy(
        "A fault in the gateway itself.", "Send it again. If it stays, tell the operator.", "Once"
    ),
    errors.ModelUnavailable: Remedy(
        "No worker serves this model: the job was held for {settings.hold:g} seconds, or no time at all.",
        "Choose a model that is ready, or try again later.",
        "Later",
    ),
    errors.TooManyClients: Remedy("The gateway has as many clients as it takes.", "Try again later.", "Later"),
    errors.QueueUnreachable: Remedy("The queue server does not answer.", "Try again in a few seconds.", "Later"),
    errors.GatewayStopping: Remedy(
        "This gateway is about to stop.",
        "Send it again; with its `Idempotency-Key`, or by the job’s id, it goes on where it is.",
        "Yes",
    ),
    errors.AccountsUnreachable: Remedy(
        "The database of accounts does not answer.", "Try again in a few seconds.", "Later"
    ),
    errors.Timeout: Remedy(
        "The job did not end in its time: {settings.job_timeout:g} seconds, or what `X-Request-Timeout` said.",
        "Lower `max_tokens`, or try when it is quieter.",
        "Later",
    ),
}
