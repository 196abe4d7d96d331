"""Changes the rate and the speed of sound, piece by piece so that long recordings take little memory. Needs SciPy."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

MAX_TERM = 4000  # of the ratio of two rates: odd rates are met to 0.0001 %, without a filter of millions of taps
WINDOW = 0.04  # seconds that are moved as one when the speed changes: about two periods of a low voice


def resampled(blocks: Iterable[Any], source: int, target: int) -> Iterator[Any]:
    """Blocks of float32 samples at `target` Hz, out of blocks at `source` Hz; the seams between blocks are not heard.

    The same as resampling the whole: each piece is computed with as much of its neighbours as the filter sees.
    """
    import numpy as np
    from scipy.signal import resample_poly

    ratio = Fraction(target, source).limit_denominator(MAX_TERM)
    up, down = max(1, ratio.numerator), ratio.denominator
    if up == down:
        yield from blocks
        return
    # In samples of the source, a multiple of `down`: half of the filter, which has 10 zero crossings on each side.
    margin = down * -(-(10 * max(up, down) // up + 2) // down)
    edge = margin * up // down
    held = np.zeros(margin, np.float32)
    for block in blocks:
        held = np.concatenate((held, block))
        whole = (len(held) - 2 * margin) // down * down
        if whole > 0:
            made = resample_poly(held[: whole + 2 * margin], up, down)
            yield made[edge : edge + whole * up // down].astype(np.float32)
            held = held[whole:]
    rest = len(held) - margin
    if rest > 0:
        made = resample_poly(np.concatenate((held, np.zeros(margin, np.float32))), up, down)
        yield made[edge : edge + -(-rest * up // down)].astype(np.float32)


def resample(samples: Any, source: int, target: int) -> Any:
    """All of it at once."""
    import numpy as np

    parts = list(resampled([samples], source, target))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def stretch(samples: Any, rate: int, speed: float) -> Any:
    """As if spoken at `speed` times the pace, at the same pitch (WSOLA: windows laid where they fit best)."""
    import numpy as np

    window = int(rate * WINDOW) // 2 * 2
    hop, reach = window // 2, window // 4
    if speed == 1.0 or len(samples) < 2 * window:
        return samples
    fade = np.hanning(window + 1)[:window].astype(np.float32)
    count = int((len(samples) - window) / (hop * speed))
    padded = np.concatenate((samples, np.zeros(window + 2 * reach, np.float32)))
    out = np.zeros(count * hop + window, np.float32)
    out[:window] = padded[:window] * fade
    out[:hop] = padded[:hop]  # nothing fades in at the very start
    last = 0
    for step in range(1, count):
        expected = padded[last + hop : last + hop + window]  # what would follow without a change of pace
        low = max(0, int(step * hop * speed) - reach)
        fits = np.correlate(padded[low : low + window + 2 * reach], expected, "valid")
        last = low + int(np.argmax(fits))
        out[step * hop : step * hop + window] += padded[last : last + window] * fade
    return out[: count * hop]
