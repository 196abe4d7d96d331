"""Trains the demo model for a given time; resumes where it stopped.

    python -m training.demo.train --work FOLDER --minutes 65

Reads what prepare.py wrote to FOLDER; writes checkpoint.pt every two minutes, curve.tsv, curve.png and model/.
"""

import argparse
import errno
import math
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.demo.model import Llama, Shape, publish

SEED = 20
BLOCK = 1024  # tokens; what is shuffled, and the context of the last part
_SHORT = 512  # tokens of context before it
_LONG_FROM = 0.85  # of the time
_WARMUP = 0.02  # of the time
_FLOOR = 0.01  # of the highest learning rate, at the end
_KEEP_EVERY = 120.0  # seconds between checkpoints
_HELD_OUT_BLOCKS = 12
_RATE_MATRICES, _RATE_OTHERS = 5e-3, 3e-3


@dataclass
class Progress:
    """Where a run stands; times in seconds since the epoch."""

    started: float
    until: float
    step: int = 0
    tokens: int = 0
    saved: float = 0.0  # when the checkpoint was written
    curve: list[tuple[float, int, float, float]] = field(default_factory=list)  # minutes, tokens, loss, held-out or nan

    def resumed(self, now: float) -> "Progress":
        """The same run with its clock set forward by the time for which it did not run."""
        pause = now - self.saved if self.saved else 0.0
        return replace(self, started=self.started + pause, until=self.until + pause)

    def fraction(self, now: float) -> float:
        return min(1.0, max(0.0, (now - self.started) / max(1.0, self.until - self.started)))


def rate(fraction: float) -> float:
    """The learning rate's share of its highest: a short rise, then half a cosine, by the time that has passed."""
    if fraction < _WARMUP:
        return max(fraction / _WARMUP, 0.02)
    passed = (fraction - _WARMUP) / (1 - _WARMUP)
    return _FLOOR + (1 - _FLOOR) * 0.5 * (1 + math.cos(math.pi * passed))


def optimizers(model: Llama) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings and norms."""
    matrices = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "layers." in name]
    others = [weight for name, weight in model.named_parameters() if weight.ndim != 2 or "layers." not in name]
    return [
        torch.optim.Muon(matrices, lr=_RATE_MATRICES, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=_RATE_OTHERS, betas=(0.9, 0.95), weight_decay=0.0),
    ]


class Blocks:
    """The training tokens in blocks, shuffled anew each time round."""

    def __init__(self, tokens: numpy.ndarray) -> None:
        self._tokens = tokens
        self._count = (len(tokens) - 1) // BLOCK
        self._round, self._order = -1, numpy.empty(0, dtype=numpy.int64)

    def batch(self, position: int, blocks: int, context: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets, each (rows, context), for blocks position.. of the endless order."""
        rows = [self._block(position + i) for i in range(blocks)]
        ids = torch.from_numpy(numpy.stack(rows).astype(numpy.int64))
        return ids[:, :-1].reshape(-1, context), ids[:, 1:].reshape(-1, context)

    def _block(self, position: int) -> numpy.ndarray:
        turn, index = divmod(position, self._count)
        if turn != self._round:
            self._round, self._order = turn, numpy.random.default_rng([SEED, turn]).permutation(self._count)
        start = int(self._order[index]) * BLOCK
        return self._tokens[start : start + BLOCK + 1]


class Training:
    """A model, its optimizers, and where they stand."""

    def __init__(self, work: Path, shape: Shape, device: torch.device, blocks: int, is_compiled: bool) -> None:
        torch.manual_seed(SEED)
        self.work, self.device, self.blocks = work, device, blocks
        self.data = Blocks(numpy.load(work / "train.npy", mmap_mode="r"))
        self.held_out = numpy.load(work / "held_out.npy", mmap_mode="r")
        self.model = Llama(shape).to(device)
        self.optimizers = optimizers(self.model)
        self.quick_loss = torch.compile(self.loss, dynamic=False) if is_compiled else self.loss

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Mean nats per token."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            logits = self.model(ids)
        return functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())

    def step(self, progress: Progress, now: float) -> float:
        fraction = progress.fraction(now)
        context = BLOCK if fraction >= _LONG_FROM else _SHORT
        ids, targets = self.data.batch(progress.step * self.blocks, self.blocks, context)
        loss = self.quick_loss(ids.to(self.device), targets.to(self.device))
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer, highest in zip(self.optimizers, (_RATE_MATRICES, _RATE_OTHERS), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = highest * rate(fraction)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        progress.step += 1
        progress.tokens += ids.numel()
        return float(loss.detach())

    @torch.no_grad()
    def held_out_loss(self) -> float:
        """Mean nats per token on the same few blocks each time."""
        count = min(_HELD_OUT_BLOCKS, (len(self.held_out) - 1) // BLOCK)
        losses = []
        for start in range(0, count * BLOCK, BLOCK):
            row = torch.from_numpy(self.held_out[start : start + BLOCK + 1].astype(numpy.int64))[None].to(self.device)
            losses.append(float(self.loss(row[:, :-1], row[:, 1:])))
        return sum(losses) / len(losses)

    def save(self, progress: Progress) -> None:
        """Write the checkpoint whole or not at all."""
        progress.saved = time.time()
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "progress": asdict(progress),
            "shape": asdict(self.model.shape),
        }
        part = self.work / "checkpoint.part"
        try:
            with part.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.work / "checkpoint.pt")
        except (OSError, RuntimeError):
            part.unlink(missing_ok=True)
            raise

    def resume(self) -> Progress | None:
        path = self.work / "checkpoint.pt"
        if not path.exists():
            return None
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        kept_progress = state["progress"]
        progress = Progress(**{**kept_progress, "curve": [tuple(point) for point in kept_progress["curve"]]})
        return progress.resumed(time.time())


def train(training: Training, progress: Progress) -> None:
    """Step until the deadline or a SIGTERM; keeps checkpoints and the curve on the way."""
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    kept = shown = time.time()
    tokens_then, mean = progress.tokens, math.nan
    while not stop and (now := time.time()) < progress.until:
        loss = training.step(progress, now)
        mean = loss if math.isnan(mean) else 0.95 * mean + 0.05 * loss
        if (now := time.time()) - shown >= 10:
            speed = (progress.tokens - tokens_then) / (now - shown)
            shown, tokens_then = now, progress.tokens
            _show(progress, mean, speed)
        if now - kept >= _KEEP_EVERY:
            kept = now
            _keep(training, progress, mean)
    _keep(training, progress, mean)
    publish(training.model, training.work / "model")
    draw(progress, training.work / "curve.png")


def run(training: Training, progress: Progress) -> int:
    """Train; returns the process's exit code: 0 at the end or after a SIGTERM, 3 when the disk is full."""
    try:
        train(training, progress)
    except (OSError, RuntimeError) as error:
        # torch reports a failed write of its own archive as a RuntimeError; the cause is the one before it.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError) or cause.errno != errno.ENOSPC:
            raise
        print(f"The disk is full ({cause}). The last checkpoint stands: make room and start again.", file=sys.stderr)
        return 3
    return 0


def _show(progress: Progress, loss: float, speed: float) -> None:
    done = 100 * progress.fraction(time.time())
    print(
        f"{done:5.1f} %  step {progress.step}  {progress.tokens:,} tokens  loss {loss:.3f}  {speed:,.0f} tokens/s",
        flush=True,
    )


def _keep(training: Training, progress: Progress, loss: float) -> None:
    held_out = training.held_out_loss()
    minutes = (time.time() - progress.started) / 60
    progress.curve.append((minutes, progress.tokens, loss, held_out))
    print(f"kept at step {progress.step}: loss {loss:.3f}, held out {held_out:.3f}", flush=True)
    training.save(progress)
    lines = [
        "minutes\ttokens\tloss\theld_out",
        *(
            "\t".join(f"{value:.5g}" if isinstance(value, float) else str(value) for value in point)
            for point in progress.curve
        ),
    ]
    (training.work / "curve.tsv").write_text("\n".join(lines) + "\n")


def draw(progress: Progress, path: Path) -> None:
    """The loss curve as a PNG of 800 x 500 points; needs Pillow only."""
    from PIL import Image, ImageDraw

    width, height, edge = 800, 500, 50
    image = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(image)
    if len(progress.curve) >= 2:
        last = progress.curve[-1][1]
        values = [value for _, _, *losses in progress.curve for value in losses if not math.isnan(value)]
        low, high = math.floor(min(values)), math.ceil(max(values))
        for tick in range(low, high + 1):
            y = height - edge - (tick - low) / (high - low) * (height - 2 * edge)
            pen.line((edge, y, width - edge, y), fill="#dddddd")
            pen.text((edge - 20, y - 6), str(tick), fill="black")
        for column, colour in ((2, "#2060c0"), (3, "#c04020")):
            pen.line(
                [
                    (
                        edge + point[1] / last * (width - 2 * edge),
                        height - edge - (point[column] - low) / (high - low) * (height - 2 * edge),
                    )
                    for point in progress.curve
                ],
                fill=colour,
                width=2,
            )
        pen.text((edge, 15), "nats per token: blue training, red held out", fill="black")
        pen.text((width - edge - 130, height - 35), f"{last:,} tokens", fill="black")
    image.save(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=65.0, help="of wall-clock time, pauses between runs left out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--blocks", type=int, default=4, help=f"of {BLOCK} tokens in a step")
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    training = Training(arguments.work, Shape(), device, arguments.blocks, arguments.compile)
    now = time.time()
    progress = training.resume() or Progress(started=now, until=now + 60 * arguments.minutes)
    print(f"{sum(weight.numel() for weight in training.model.parameters()):,} parameters on {device}", flush=True)
    return run(training, progress)


if __name__ == "__main__":
    sys.exit(main())
