"""Runs an exported folder: greedy answers through Pronto's own engine, and the chances it gives to a text.

Knows the engine's seam and OpenVINO; knows nothing of what is asked.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy

from pronto.core.events import Finish, FinishReason, Token
from pronto.core.model import EngineSettings, Model, Source
from pronto.core.request import InferenceRequest, TextGeneration, TokenPrompt
from pronto.core.tasks import Task
from pronto.engines.base import Device, Failed
from pronto.engines.openvino_llm import OpenVinoEngine

_WINDOW, _STRIDE = 1024, 512  # tokens; every token but a file's first has 512 before it, or all there are


def greedy(folder: Path, prompts: Sequence[Sequence[int]], new: int, threads: int = 2) -> list[str]:
    """The text that the engine continues each prompt with, up to `new` tokens. Raises ValueError."""
    engine = OpenVinoEngine()
    engine.load(_model(folder), Device(threads=threads), lambda step: frozenset())
    texts = [""] * len(prompts)
    for id, ids in enumerate(prompts):
        work = TextGeneration(prompt=TokenPrompt(list(ids)), max_new_tokens=new)
        engine.add(id, InferenceRequest(id=str(id), model="demo", task=Task.TEXT_GENERATION, work=work))
    going = set(range(len(prompts)))
    while going:
        for id, event in engine.step():
            if isinstance(event, Failed):
                raise ValueError(f"Prompt {id} failed: {event.message}")
            if isinstance(event, Token) and not event.special:
                texts[id] += event.text
            if isinstance(event, Finish):
                assert event.reason in (FinishReason.EOS, FinishReason.LENGTH)
                going.discard(id)
    return texts


class Scorer:
    """The exported graph itself, for the chances of given tokens; computes in f32."""

    def __init__(self, folder: Path, threads: int = 2) -> None:
        import openvino

        options: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        graph = openvino.Core().compile_model(folder / "openvino_model.xml", "CPU", options)
        self._request = graph.create_infer_request()

    def nats(self, ids: Sequence[int]) -> numpy.ndarray:
        """-log P of every token but the first, shape (len(ids) - 1,)."""
        row = numpy.array(ids, dtype=numpy.int64)
        found = numpy.empty(len(row) - 1)
        scored = 0
        for start in range(0, len(row) - 1, _STRIDE):
            window = row[start : start + _WINDOW]
            losses = self._window(window)
            new = start + len(window) - 1 - scored
            found[scored : scored + new] = losses[len(losses) - new :]
            scored += new
            if scored == len(found):
                break
        return found

    def _window(self, ids: numpy.ndarray) -> numpy.ndarray:
        length = len(ids)
        self._request.reset_state()
        self._request.infer(
            {
                "input_ids": ids[None],
                "attention_mask": numpy.ones((1, length), dtype=numpy.int64),
                "position_ids": numpy.arange(length, dtype=numpy.int64)[None],
                "beam_idx": numpy.zeros(1, dtype=numpy.int32),
            }
        )
        logits = self._request.get_output_tensor(0).data[0, :-1]
        highest = logits.max(axis=1, keepdims=True)
        total = numpy.log(numpy.exp(logits - highest).sum(axis=1)) + highest[:, 0]
        return total - logits[numpy.arange(length - 1), ids[1:]]


def _model(folder: Path) -> Model:
    return Model(
        id="demo/tiny-coder",
        task=Task.TEXT_GENERATION,
        engine="openvino",
        source=Source(folder=str(folder)),
        revision="demo",
        exported=str(folder.resolve()),
        settings=EngineSettings(slots=16),
    )
