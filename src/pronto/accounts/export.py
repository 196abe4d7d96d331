"""Everything that is kept about one account, for whoever asks what it is. Digests of tokens are left out."""

from typing import Any

import msgspec

from pronto.store.base import Account, KeptTurn, Store, Token

ALL = 2**62  # rows: more than there can be


async def everything_about(store: Store, account: Account) -> dict[str, Any]:
    """As JSON values; times are Unix seconds, those of requests Unix microseconds. Raises StorageFailed."""
    organisations = await store.organisations.of(account.id)
    members = await store.organisations.members(account.id)
    found = {
        "account": account,
        "tokens": [_token(token) for token in await store.tokens.list(account.id)],
        "organisations": [{"name": org.name, "role": place.role} for place, org in organisations],
        "members": [{"name": one.name, "role": place.role} for place, one in members],
        "conversations": [_turn(turn) for turn in await store.conversations.of(account.id)],
        "usage": await store.ledger.totals(account_id=account.id),
        "requests": await store.ledger.rows(account_id=account.id, limit=ALL),
        "audit": await store.audit.list(subject=account.name, limit=ALL),
    }
    shown: dict[str, Any] = msgspec.to_builtins(found)
    return shown


def _token(token: Token) -> dict[str, Any]:
    return {name: getattr(token, name) for name in Token.__struct_fields__ if name != "digest"}


def _turn(turn: KeptTurn) -> dict[str, Any]:
    """Bodies are msgpack, written by the gateway."""
    content = msgspec.msgpack.decode(turn.body)
    return {"id": turn.id, "created": turn.created, "expires": turn.expires, "content": content}
