"""Stored credentials are sealed for one account: what encrypts them, and what each is bound to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from shared.errors import SettingError, UnreadableCredentialError
from shared.providers.spec import BASE_URL

if TYPE_CHECKING:
    from collections.abc import Mapping

Binding = dict[str, str]


class Sealer(Protocol):
    """Encrypts a text for one place. `binding` names that place and has to be the same when it is opened."""

    def seal(self, text: str, binding: Mapping[str, str]) -> bytes:
        """Return the text encrypted.

        Raises:
            SettingError: there is no key, or it may not be used.
        """

    def open(self, sealed: bytes, binding: Mapping[str, str]) -> str:
        """Return the text that `seal` was given.

        Raises:
            UnreadableCredentialError: the key is another one or gone, or the binding differs.
            SettingError: the key may not be used.
        """


class NoSealer:
    """Where no key is set up: nothing can be stored, and nothing that was can be read."""

    _SENTENCE = "Credentials cannot be stored here: CREDENTIALS_KEY is not set; deploy the template, which makes it."

    def seal(self, _text: str, _binding: Mapping[str, str]) -> bytes:
        """Refuse; see `Sealer.seal`."""
        raise SettingError(self._SENTENCE)

    def open(self, _sealed: bytes, _binding: Mapping[str, str]) -> str:
        """Refuse; see `Sealer.open`."""
        raise UnreadableCredentialError(self._SENTENCE)


def binding(account_id: int, provider: str, options: Mapping[str, str]) -> Binding:
    """Return what a credential is bound to: the account, its provider, and where it would be sent.

    Whoever can write the table but not seal can so neither move a credential nor have it sent elsewhere.
    """
    address = {BASE_URL: options[BASE_URL]} if BASE_URL in options else {}
    return {"account": str(account_id), "provider": provider, **address}
