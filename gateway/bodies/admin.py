"""Bodies about accounts and keys, of admins and of others. A field of a change that is left out stays as it is."""

from typing import Any, ClassVar

from pydantic import Field, field_validator

from gateway.bodies.shapes import Body
from shared.key_format import LATEST, MOST_NAME
from shared.tiers import Limits

MOST_SCOPES = 1000  # models or tiers of one key


class NewAccount(Body):
    """Body of POST /v1/admin/accounts."""

    name: str = Field(min_length=1, max_length=MOST_NAME)
    tier: str


class AccountChange(Body):
    """Body of PATCH /v1/admin/accounts/{account_id}."""

    tier: str | None = None
    suspended: bool | None = None


class KeyFields(Body):
    """What a key is for; null takes a bound back. `expires` is in Unix seconds."""

    models: list[str] | None = Field(None, max_length=MOST_SCOPES)
    tiers: list[str] | None = Field(None, max_length=MOST_SCOPES)
    limits: Limits | None = None
    expires: float | None = Field(None, ge=0, le=LATEST)

    @field_validator("limits")
    @classmethod
    def _none_if_empty(cls, limits: Limits | None) -> Limits | None:
        """Without any it is no key with limits of its own, and should not be told to be one."""
        return limits if limits and limits.model_dump(exclude_none=True) else None

    @property
    def bounds(self) -> dict[str, Any]:
        """Those that are given."""
        return {name: getattr(self, name) for name in KeyFields.model_fields if name in self.model_fields_set}


class NewKey(KeyFields):
    """Body of POST /v1/admin/accounts/{account_id}/keys. The name is the account's, if none is given."""

    name: str | None = Field(None, min_length=1, max_length=MOST_NAME)
    admin: bool = False


class OwnKey(KeyFields):
    """Body of POST /v1/keys. A bound that is left out is that of the key with which it is asked for."""

    refused: ClassVar = {"admin": "is said by admins alone, at /v1/admin/accounts/{account_id}/keys"}

    name: str | None = Field(None, min_length=1, max_length=MOST_NAME)


class KeyChange(KeyFields):
    """Body of PATCH /v1/keys/{key_id} and of PATCH /v1/admin/keys/{key_id}: null takes a bound back."""

    takes_nulls: ClassVar = True

    name: str | None = Field(None, min_length=1, max_length=MOST_NAME)
