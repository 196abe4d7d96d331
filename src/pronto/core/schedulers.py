"""How an image model takes its steps: the schedulers that a request can name, by class of diffusers or by short name.

An allow-list: a name is never looked up in a library. Which of them fit a model, its engine knows.
"""

from collections.abc import Mapping

import msgspec


class Scheduler(msgspec.Struct, frozen=True):
    """A class of diffusers, and what is set besides the model's own configuration."""

    name: str
    options: dict[str, bool | str] = {}


_KARRAS: dict[str, bool | str] = {"use_karras_sigmas": True}
_SDE: dict[str, bool | str] = {"algorithm_type": "sde-dpmsolver++"}

_SHORT: Mapping[str, Scheduler] = {
    "ddim": Scheduler("DDIMScheduler"),
    "ddpm": Scheduler("DDPMScheduler"),
    "pndm": Scheduler("PNDMScheduler"),
    "plms": Scheduler("PNDMScheduler"),
    "deis": Scheduler("DEISMultistepScheduler"),
    "euler": Scheduler("EulerDiscreteScheduler"),
    "euler_karras": Scheduler("EulerDiscreteScheduler", _KARRAS),
    "euler_a": Scheduler("EulerAncestralDiscreteScheduler"),
    "euler_ancestral": Scheduler("EulerAncestralDiscreteScheduler"),
    "heun": Scheduler("HeunDiscreteScheduler"),
    "lms": Scheduler("LMSDiscreteScheduler"),
    "lms_karras": Scheduler("LMSDiscreteScheduler", _KARRAS),
    "dpm2": Scheduler("KDPM2DiscreteScheduler"),
    "dpm2_a": Scheduler("KDPM2AncestralDiscreteScheduler"),
    "dpm": Scheduler("DPMSolverMultistepScheduler"),
    "dpm++_2m": Scheduler("DPMSolverMultistepScheduler"),
    "dpm++_2m_karras": Scheduler("DPMSolverMultistepScheduler", _KARRAS),
    "dpm++_2m_sde": Scheduler("DPMSolverMultistepScheduler", _SDE),
    "dpm++_2m_sde_karras": Scheduler("DPMSolverMultistepScheduler", _SDE | _KARRAS),
    "dpm++_2s": Scheduler("DPMSolverSinglestepScheduler"),
    "unipc": Scheduler("UniPCMultistepScheduler"),
    "lcm": Scheduler("LCMScheduler"),
    "tcd": Scheduler("TCDScheduler"),
    "flow_match_euler": Scheduler("FlowMatchEulerDiscreteScheduler"),
    "flow_match_heun": Scheduler("FlowMatchHeunDiscreteScheduler"),
}
SCHEDULERS: Mapping[str, Scheduler] = {**_SHORT, **{each.name: Scheduler(each.name) for each in _SHORT.values()}}

_BY_SPELLING = {_spelled.lower(): _spelled for _spelled in SCHEDULERS}


def find_scheduler(name: str) -> str | None:
    """The key of SCHEDULERS that is meant, whatever its case and with `-` or spaces for `_`; None: there is none."""
    spelled = name.strip().lower().replace("-", "_").replace(" ", "_").replace("dpmpp", "dpm++")
    return _BY_SPELLING.get(spelled) or _BY_SPELLING.get(f"{spelled}scheduler")


def names_of_schedulers() -> str:
    """The short ones, for messages."""
    return ", ".join(_SHORT)
