"""What writing one token event costs each streaming format, in microseconds; 15 are the most that we allow."""

import argparse
import time
from collections.abc import Callable

from pronto.core.events import Event, Started, Token
from pronto.wire.base import Encoder
from pronto.wire.openai.chat_reply import StreamedChat
from pronto.wire.openai.completion_reply import StreamedCompletion
from pronto.wire.openai.style import Style
from pronto.wire.text_reply import StreamedText, TextStyle

TOKENS = 20_000
STARTED = Started("0123456789abcdef", "echo", "cpu")
OPENAI = Style(id="chatcmpl-1", created=1_700_000_000, model="org/name", streams=True)
COUNTED = Style(id="chatcmpl-1", created=1_700_000_000, model="org/name", streams=True, usage=True, logprobs=0)
HF = TextStyle(is_list=True, streams=True, details=False, prefix="", characters=5)
FORMATS: dict[str, Callable[[], Encoder]] = {
    "hf": lambda: StreamedText(HF),
    "openai chat": lambda: StreamedChat(OPENAI),
    "openai chat, logprobs": lambda: StreamedChat(COUNTED),
    "openai completions": lambda: StreamedCompletion(OPENAI),
    "openai completions, logprobs": lambda: StreamedCompletion(COUNTED),
}


def measure(make: Callable[[], Encoder], tokens: list[Event]) -> float:
    """Microseconds for one token."""
    encoder = make()
    encoder.feed(STARTED)
    feed, began = encoder.feed, time.perf_counter()
    for token in tokens:
        feed(token)
    return (time.perf_counter() - began) * 1e6 / len(tokens)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=5)
    rounds = words.parse_args().rounds
    texts = (" the", " café", "\n", " \u201cquoted\u201d", " 😀")
    tokens: list[Event] = [Token(0, index, texts[index % len(texts)], -0.25) for index in range(TOKENS)]
    for name, make in FORMATS.items():
        best = min(measure(make, tokens) for _ in range(rounds))
        print(f"{name:30} {best:6.2f} µs")


if __name__ == "__main__":
    main()
