"""What an engine may know of whoever asks: how their plan weighs, and a secret of their own. Never who they are."""

import hashlib

from pronto.core.identity import Caller
from pronto.core.plan import Plan
from pronto.core.request import Asker


class Askers:
    """`secret` is drawn at start: an engine's cached prompts do not outlive the gateway anyway."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of(self, caller: Caller, plan: Plan) -> Asker:
        """Whoever shares answers, an account or an organisation, shares the work on prompts, and nobody else."""
        digest = hashlib.blake2b(caller.tenant.encode(), key=self._secret, digest_size=16)
        return Asker(weight=plan.weight, salt=digest.hexdigest())
