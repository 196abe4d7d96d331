"""What a deployment has for requests, and what of it one tenant may take, so that a newcomer finds the rest.

Pure: no clock, no queue.
"""

import math

import msgspec

from pronto.engines.base import Capabilities
from pronto.fleet.shares import Share

FAIR_SHARE = 0.75  # of the slots: the most that one tenant holds
UNREAD_SHARE = 0.25  # of a step's tokens: the most that one tenant's prompts before their first token take


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What one request takes. `tokens` of the KV cache; `cost` in priced tokens, as expected."""

    share: Share
    prompt_tokens: int
    slots: int
    tokens: int
    cost: float


class Room:
    """Slots, tokens of the KV cache, and the next steps of the engine.

    An engine reads prompts in the order of their arrival. A tenant that gets many slots at once would put all its
    prompts before a newcomer's, so only so many of them may be unread while others are about. Alone, it is not held up:
    reading many prompts in one step is quicker.
    """

    def __init__(self, capabilities: Capabilities) -> None:
        self.slots = self.free_slots = max(1, capabilities.slots)
        self.tenant_slots = max(1, int(self.slots * FAIR_SHARE))
        self._free_tokens = capabilities.kv_tokens or math.inf
        self._most_unread = capabilities.step_tokens * UNREAD_SHARE or math.inf
        self._held: dict[str, int] = {}  # slots by tenant
        self._unread: dict[str, int] = {}  # prompt tokens by tenant

    def fits(self, need: Need) -> bool:
        """Whether there is room for it now."""
        return need.slots <= self.free_slots and need.tokens <= self._free_tokens

    def allows(self, need: Need, *, is_alone: bool) -> bool:
        """Whether its tenant may have it now. One that holds nothing may have any; `is_alone`: nobody else is about."""
        tenant = need.share.tenant
        held = self._held.get(tenant)
        if held is None:
            return True
        unread = self._unread.get(tenant)
        return held + need.slots <= self.tenant_slots and (
            is_alone or unread is None or unread + need.prompt_tokens <= self._most_unread
        )

    def take(self, need: Need) -> None:
        tenant = need.share.tenant
        self.free_slots -= need.slots
        self._free_tokens -= need.tokens
        self._held[tenant] = self._held.get(tenant, 0) + need.slots
        self._unread[tenant] = self._unread.get(tenant, 0) + need.prompt_tokens

    def read(self, need: Need) -> None:
        """Its prompt has been read: the first token is there, or there will be none. Once for each."""
        _lower(self._unread, need.share.tenant, need.prompt_tokens)

    def give_back(self, need: Need) -> None:
        self.free_slots += need.slots
        self._free_tokens += need.tokens
        _lower(self._held, need.share.tenant, need.slots)


def _lower(amounts: dict[str, int], tenant: str, amount: int) -> None:
    left = amounts.get(tenant, 0) - amount
    if left > 0:
        amounts[tenant] = left
    else:  # not known any more either, where requests of no tokens came before
        amounts.pop(tenant, None)
