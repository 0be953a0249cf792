"""Every error the system raises on purpose, and how a client sees it.

CrofError
├── SetupError                   a machine or configuration is not fit to run (no HTTP status)
│   ├── CatalogError             models.yaml or the operator's override is wrong
│   ├── TiersError               tiers.yaml or the operator's override is wrong
│   └── RowRefused               the database answers, and does not take what is to be written
├── UnknownTier                  no tier has this name; the message lists those that there are (no HTTP status)
├── InvalidName                  an operator's name for a key or an account is not one (no HTTP status)
└── RequestError                 travels to the client: status, code, message, param
    ├── InvalidRequest      400  a field is missing, of the wrong type or out of range
    │   └── ContextLengthExceeded  the conversation leaves no room for an answer
    ├── MalformedRequest    400  these bytes are no HTTP request, or its body breaks off
    ├── InvalidKey          401  no API key, or not one of ours
    ├── AccountSuspended    403  the operator has suspended the key's account
    ├── AdminRequired       403  the key is valid, but no admin's
    ├── KeyTooNarrow        403  the key manages no key that may do more than itself
    ├── ModelNotAllowed     403  the key, or its tier, is not for this model
    ├── TierRequired        403  the key is not for this tier
    ├── NotFound            404  no such page, job, account or key
    │   ├── ModelNotFound   404  no such model; the message names the nearest
    │   └── NotOffered      404  OpenAI has it, and we do not; the message says what there is
    ├── MethodNotAllowed    405
    ├── RequestTimeout      408  the request itself took too long to arrive
    ├── IdempotencyMismatch 409  the idempotency key is that of another request
    ├── NameTaken           409  an account of this name is there already
    ├── KeyRevoked          409  a key that is revoked stays as it is
    ├── KeyExpired          409  so does one that has ended
    ├── LastAdminKey        409  without this key nobody could manage accounts
    ├── TooManyKeys         409  the account has as many keys as it may
    ├── BodyTooLarge        413
    ├── UnsupportedMedia    415
    ├── QueueFull           429  as many jobs of the tier wait for the model as may
    ├── RateLimited         429  the account asks for more than it may at once, or in a minute
    ├── QuotaExceeded       429  the account asks for more than it may have in a day
    ├── TooManyWrongKeys    429  too many wrong keys came from the client's address
    ├── HeadTooLarge        431
    ├── Cancelled           499  the client, or the operator, ended the job
    ├── EngineFailed        500  the engine broke while running the job
    ├── Interrupted         500  the worker died and the job cannot be continued
    ├── JobLost             500  Redis lost the job's record
    ├── ModelUnavailable    503  the model is known, but no worker serves it
    ├── TooManyClients      503  the gateway has as many as it takes
    ├── QueueUnreachable    503  Redis does not answer
    ├── GatewayStopping     503  this gateway ends before the job does
    ├── AccountsUnreachable 503  the database of accounts does not answer
    └── Timeout             504  the job did not end in its time
"""

import math
from typing import ClassVar, Self

from shared.messages import Failure


class CrofError(Exception):
    """Root of all errors raised on purpose."""


class SetupError(CrofError):
    """This machine or configuration cannot run the system; the message says what to change."""


class CatalogError(SetupError):
    """The catalogue is wrong; the message names file, entry and field."""


class TiersError(SetupError):
    """The tiers are wrong; the message names file, entry and field."""


class RowRefused(SetupError):
    """The database does not take what is to be written, whenever it is."""


class UnknownTier(CrofError):
    """No tier has this name."""


class InvalidName(CrofError):
    """The name for a key or an account is empty, too long, or cannot be shown."""


class RequestError(CrofError):
    """An error a client is told of. `param` names the field of the request at fault, if one is.

    `retry_after` is in seconds: when it is worth sending the request again as it is. `headers` go with the
    response.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    retry_after: int | None = None

    def __init__(self, message: str | None = None, *, param: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or self.code))
        self.param = param
        self.headers: dict[str, str] = {}

    def after(self, seconds: float) -> Self:
        """The same, where another try is worth it in so many seconds: whole ones are told, and never fewer."""
        self.retry_after = max(1, math.ceil(seconds))
        return self

    def failure(self) -> Failure:
        """This error as it travels: in a job's log, in a JSON body, in an `error` event."""
        return Failure(status=self.status, code=self.code, message=str(self), param=self.param)


class InvalidRequest(RequestError):
    """The request is malformed."""

    status = 400
    code = "invalid_request"


class ContextLengthExceeded(InvalidRequest):
    """The conversation is longer than the model's context. Send fewer or shorter messages."""

    code = "context_length_exceeded"


class MalformedRequest(RequestError):
    """This is no valid HTTP request."""

    status = 400
    code = "malformed_request"


class InvalidKey(RequestError):
    """This API key is unknown, revoked or has expired."""

    status = 401
    code = "invalid_key"


class AccountSuspended(RequestError):
    """This account is suspended."""

    status = 403
    code = "account_suspended"


class AdminRequired(RequestError):
    """This needs an admin's key."""

    status = 403
    code = "admin_required"


class KeyTooNarrow(RequestError):
    """Your API key manages no key that may do more than itself. Use one that may do as much."""

    status = 403
    code = "key_too_narrow"


class ModelNotAllowed(RequestError):
    """This API key may not use this model."""

    status = 403
    code = "model_not_allowed"


class TierRequired(RequestError):
    """This API key may not use this tier."""

    status = 403
    code = "tier_required"


class NotFound(RequestError):
    """There is nothing at this address. The API is described at /."""

    status = 404
    code = "not_found"


class ModelNotFound(NotFound):
    """The model is unknown. The models are listed at /v1/models."""

    code = "model_not_found"


class NotOffered(NotFound):
    """This part of OpenAI's API is not offered here."""

    code = "not_offered"


class MethodNotAllowed(RequestError):
    """This address does not take this method."""

    status = 405
    code = "method_not_allowed"


class RequestTimeout(RequestError):
    """The request took too long to arrive. Send it in one go, or over a faster connection."""

    status = 408
    code = "request_timeout"


class IdempotencyMismatch(RequestError):
    """This Idempotency-Key was used for another request. Use a new key for each request."""

    status = 409
    code = "idempotency_mismatch"


class NameTaken(RequestError):
    """There is an account of this name already."""

    status = 409
    code = "name_taken"


class KeyRevoked(RequestError):
    """This API key is revoked, for good. Make another."""

    status = 409
    code = "key_revoked"


class KeyExpired(RequestError):
    """This API key has ended, and is changed no more. Make another."""

    status = 409
    code = "key_expired"


class LastAdminKey(RequestError):
    """No other admin's key is valid, and stays so. Make one first, or add ?force=true."""

    status = 409
    code = "last_admin_key"


class TooManyKeys(RequestError):
    """The account has as many API keys as it may. Revoke one first."""

    status = 409
    code = "too_many_keys"


class BodyTooLarge(RequestError):
    """The request body is too large."""

    status = 413
    code = "body_too_large"


class UnsupportedMedia(RequestError):
    """The body must be JSON: send Content-Type: application/json."""

    status = 415
    code = "unsupported_media_type"


class QueueFull(RequestError):
    """Too many jobs wait for this model. Try again later."""

    status = 429
    code = "queue_full"
    retry_after = 2


class RateLimited(RequestError):
    """You ask for more at once, or in a minute, than your limits allow."""

    status = 429
    code = "rate_limit_exceeded"
    retry_after = 1


class QuotaExceeded(RequestError):
    """You ask for more in a day than your limits allow."""

    status = 429
    code = "quota_exceeded"
    retry_after = 60


class TooManyWrongKeys(RequestError):
    """Too many wrong API keys came from your address. Try again later, with a right one."""

    status = 429
    code = "too_many_wrong_keys"
    retry_after = 60


class HeadTooLarge(RequestError):
    """The request's address and headers are too large: 32 KB and 100 headers are taken."""

    status = 431
    code = "head_too_large"


class Cancelled(RequestError):
    """The job was cancelled."""

    status = 499
    code = "cancelled"


class EngineFailed(RequestError):
    """The engine failed while running the job."""

    code = "engine_failed"


class Interrupted(RequestError):
    """The worker stopped before the job's end, and it could not be continued. Send it again."""

    code = "interrupted"


class JobLost(RequestError):
    """The job's record was lost with the queue server's data. Send it again."""

    code = "job_lost"


class ModelUnavailable(RequestError):
    """No worker serves this model at the moment."""

    status = 503
    code = "model_unavailable"
    retry_after = 10


class TooManyClients(RequestError):
    """This gateway has as many clients as it takes. Try again later."""

    status = 503
    code = "too_many_clients"
    retry_after = 10


class QueueUnreachable(RequestError):
    """The queue server does not answer. Try again in a few seconds."""

    status = 503
    code = "queue_unreachable"
    retry_after = 5


class GatewayStopping(RequestError):
    """This gateway is about to stop. Send the request again; with its Idempotency-Key it is the same job."""

    status = 503
    code = "gateway_stopping"
    retry_after = 1


class AccountsUnreachable(RequestError):
    """The database of accounts does not answer. Try again in a few seconds."""

    status = 503
    code = "accounts_unreachable"
    retry_after = 5


class Timeout(RequestError):
    """The job did not end in its time."""

    status = 504
    code = "timeout"


class Relayed(RequestError):
    """A failure read from a job's log: keeps the status and code the worker gave it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message, param=failure.param)
        self._failure = failure
        if failure.code == ModelUnavailable.code:
            # The only one of those that say when to come again that is met in a log: of a job that waited in vain.
            self.retry_after = ModelUnavailable.retry_after

    def failure(self) -> Failure:
        return self._failure
