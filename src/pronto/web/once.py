"""Forms that do something only once, however often they are sent: by a mark that the form carries. In memory."""

import secrets
from collections import OrderedDict

MOST = 10_000  # marks that are remembered; a form that is sent again comes soon


class Once:
    """A mark is new to `claim` once."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, None] = OrderedDict()

    def mark(self) -> str:
        """For a new form."""
        return secrets.token_urlsafe(16)

    def claim(self, mark: str) -> bool:
        """False for one that was sent before. A form without a mark is always new."""
        if not mark or len(mark) > 64:
            return True
        if mark in self._seen:
            return False
        self._seen[mark] = None
        if len(self._seen) > MOST:
            self._seen.popitem(last=False)
        return True
