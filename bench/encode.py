"""What writing one token event costs each streaming format, in microseconds; 15 are the most that we allow."""

import argparse
import time
from collections.abc import Callable

from pronto.core.events import Event, Started, Token
from pronto.wire.anthropic.reply import MessageStyle, StreamedMessage
from pronto.wire.base import Encoder
from pronto.wire.ollama.reply import OllamaStyle, StreamedReply
from pronto.wire.openai.chat_reply import StreamedChat
from pronto.wire.openai.completion_reply import StreamedCompletion
from pronto.wire.openai.response_stream import ResponseStyle, StreamedResponse
from pronto.wire.openai.style import Style
from pronto.wire.text_reply import StreamedText, TextStyle
from report import log_row, table, verdict

MOST = 15  # microseconds for one token
TOKENS = 20_000
STARTED = Started("0123456789abcdef", "echo", "cpu")
OPENAI = Style(id="chatcmpl-1", created=1_700_000_000, model="org/name", streams=True)
COUNTED = Style(id="chatcmpl-1", created=1_700_000_000, model="org/name", streams=True, usage=True, logprobs=0)
HF = TextStyle(is_list=True, streams=True, details=False, prefix="", characters=5)
RESPONSE = ResponseStyle(id="resp_1", created=1_700_000_000, model="org/name", streams=True, facts=b'{"store":true}')
MESSAGE = MessageStyle(request_id="1", model="org/name", streams=True)
TURN = OllamaStyle(model="org/name", now=1_700_000_000, is_chat=True, streams=True)
FORMATS: dict[str, Callable[[], Encoder]] = {
    "hf": lambda: StreamedText(HF),
    "openai chat": lambda: StreamedChat(OPENAI),
    "openai chat, logprobs": lambda: StreamedChat(COUNTED),
    "openai completions": lambda: StreamedCompletion(OPENAI),
    "openai completions, logprobs": lambda: StreamedCompletion(COUNTED),
    "openai responses": lambda: StreamedResponse(RESPONSE),
    "anthropic": lambda: StreamedMessage(MESSAGE),
    "ollama": lambda: StreamedReply(TURN),
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
    best = {name: min(measure(make, tokens) for _ in range(rounds)) for name, make in FORMATS.items()}
    table((f"best of {rounds} rounds, µs a token", ""), list(best.items()))
    worst = max(best, key=lambda name: best[name])
    result = verdict(f"slowest format, {worst}, µs a token", best[worst], at_most=MOST)
    print("\n" + result)
    each = ", ".join(f"{name} {cost:.2f}" for name, cost in best.items())
    log_row("encode", f"bench/encode.py --rounds {rounds}", f"best of {rounds} rounds: {each}; {result}")


if __name__ == "__main__":
    main()
