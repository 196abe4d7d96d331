"""What is asked, once decoded: frozen, fully typed, and without any trace of the wire it came over."""

import msgspec

from pronto.core.audio_work import AudioWork
from pronto.core.image_work import ImageWork
from pronto.core.media import Media
from pronto.core.table_work import TableWork
from pronto.core.tasks import Task
from pronto.core.text_work import TextWork
from pronto.core.vector_work import VectorWork
from pronto.core.vision_work import VisionWork


class TextPrompt(msgspec.Struct, frozen=True, tag="text"):
    """A prompt as a string; special tokens written in it count as such, and `<s>` at its start is not doubled."""

    text: str


class TokenPrompt(msgspec.Struct, frozen=True, tag="tokens"):
    """A prompt as token ids, ready for the engine."""

    ids: list[int]


class CalledTool(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool in an earlier message; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


class Picture(msgspec.Struct, frozen=True):
    """An image in a message; it stands before the character `at` of the message's content."""

    media: Media
    at: int = 0


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a conversation. `role` is system, user, assistant or tool."""

    role: str
    content: str = ""
    pictures: tuple[Picture, ...] = ()  # in their order
    tool_calls: tuple[CalledTool, ...] = ()  # of an assistant
    tool_call_id: str | None = None  # which call a tool's message answers
    name: str | None = None


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function that the model may call; `parameters` is a JSON schema as JSON text."""

    name: str
    description: str = ""
    parameters: str = '{"type":"object","properties":{}}'


class ChatPrompt(msgspec.Struct, frozen=True, kw_only=True, tag="chat"):
    """A conversation, to be rendered by the model's own template."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"  # auto | none | required (one of them) | named (the one in `tool_name`)
    tool_name: str | None = None
    parallel_tools: bool = True  # whether one answer may call several
    plain: str | None = None  # the text to continue where the model has no template; None: that is an error

    @property
    def has_pictures(self) -> bool:
        return any(message.pictures for message in self.messages)


class InfillPrompt(msgspec.Struct, frozen=True, kw_only=True, tag="infill"):
    """Text with a hole that the model fills, by its own infill tokens."""

    prefix: str
    suffix: str


Prompt = TextPrompt | TokenPrompt | ChatPrompt | InfillPrompt


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How the next token is chosen. The defaults are the neutral values: they change nothing."""

    do_sample: bool = False  # False: greedy, the most likely token
    temperature: float = 1.0  # > 0
    top_k: int = 0  # 0: off
    top_p: float = 1.0  # (0, 1]; 1: off
    min_p: float = 0.0  # [0, 1); 0: off
    typical_p: float = 1.0  # (0, 1]; 1: off
    repetition_penalty: float = 1.0  # > 0, over prompt and output (CTRL's)
    frequency_penalty: float = 0.0  # [-2, 2], OpenAI's
    presence_penalty: float = 0.0  # [-2, 2], OpenAI's
    seed: int | None = None  # None until the gateway has chosen one for a sampled request


class Grammar(msgspec.Struct, frozen=True):
    """A shape that the output must have. `kind` is `json_schema` (value: the schema as JSON text) or `regex`."""

    kind: str
    value: str


class Thinking(msgspec.Struct, frozen=True):
    """The tags around a model's reasoning. `is_open`: the prompt ends inside of it."""

    begin: str
    end: str
    is_open: bool = False


class TextGeneration(msgspec.Struct, frozen=True, kw_only=True, tag="text-generation"):
    """Continue a prompt."""

    prompt: Prompt
    max_new_tokens: int | None = None  # None: the rest of the context, capped by the plan
    sampling: Sampling = Sampling()
    stop: tuple[str, ...] = ()  # matched on text, across tokens
    keep_stop: bool = True  # whether the text ends with the stop string that ended it
    truncate: int | None = None  # keep this many of the last prompt tokens
    choices: int = 1  # independent continuations (`n`, `best_of`); choice i uses seed + i
    logprobs: bool = False  # of the chosen tokens
    top_logprobs: int = 0  # alternatives per token
    prompt_logprobs: bool = False
    grammar: Grammar | None = None
    adapter: str | None = None  # as the client names it; from preparation on, the folder of its files
    watermark: bool = False
    # Sampling parameters (temperature, top_p, top_k) that the client left to the model's generation_config.
    unset: tuple[str, ...] = ()
    # What preparation finds out; clients cannot set it.
    stop_ids: tuple[int, ...] = ()  # tokens that end the answer besides the model's own, and are no part of it
    tool_style: str | None = None  # how the answer writes tool calls, a name in engines/text/tools.py; None: not at all
    thinking: Thinking | None = None  # how the answer marks its reasoning; None: not at all
    images: tuple[Media, ...] = ()  # of a conversation that has become a text, in the order of their places in it


class Prepare(msgspec.Struct, frozen=True, kw_only=True, tag="prepare"):
    """Ask the preparation process to turn `work` into token ids. `folder` holds the tokenizer's files."""

    folder: str
    engine: str
    context: int  # tokens, prompt and output together
    work: TextGeneration
    chat_template: str | None = None  # of the catalog entry; None: the tokenizer's own
    system_prompt: str | None = None  # for conversations that bring none
    as_text: bool = False  # a conversation is wanted as text, too: its engine has a tokenizer of its own


class Tokenize(msgspec.Struct, frozen=True, kw_only=True, tag="tokenize"):
    """Ask for a prompt's tokens alone; nothing is generated. The gateway fills in all but the prompt."""

    prompt: Prompt
    folder: str = ""
    engine: str = ""
    chat_template: str | None = None
    system_prompt: str | None = None


class CheckGrammar(msgspec.Struct, frozen=True, kw_only=True, tag="check-grammar"):
    """Ask a killable child whether the engine compiles this grammar, and how fast."""

    grammar: Grammar


class Export(msgspec.Struct, frozen=True, kw_only=True, tag="export"):
    """Turn a folder of safetensors into what an engine loads; `target` appears atomically when it is whole."""

    folder: str
    target: str
    weights: str  # int8 | fp16 | int4
    adapter: str | None = None  # a folder of PEFT's files, to be added into the weights


class Pull(msgspec.Struct, frozen=True, kw_only=True, tag="pull"):
    """Download a repository: `target/<commit>` appears atomically when it is whole.

    A revision that is no commit is pinned to one when the download begins: `target/pinned.json` says which.
    """

    repo: str
    revision: str  # a commit, branch or tag
    target: str
    endpoint: str | None = None  # None: the Hub's own address
    token: str | None = None  # of the Hub, for gated repositories
    limit_bytes: int | None = None  # more is refused before anything is downloaded
    convert: bool = False  # True: pickled weights are turned into safetensors where there are no others


InternalWork = Prepare | CheckGrammar | Export | Pull
TaskWork = (
    TextWork | TableWork | VectorWork | ImageWork | AudioWork | VisionWork
)  # each says what it is expected to take
Work = TextGeneration | Tokenize | TaskWork | InternalWork


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How the request wants to be treated, apart from what it asks."""

    use_cache: bool | None = None  # None: the dialect's default has not been overridden
    cache_sampled: bool = False  # the dialect's default for sampled requests without a seed
    wait_for_model: bool = False
    load_model: bool = True  # False: refuse rather than start a load
    timeout: float | None = None  # seconds the client is willing to wait in all


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine may know of whoever asks. The gateway fills it in; clients cannot set it."""

    weight: float = 1.0  # of the plan: the larger goes first where the engine must choose
    salt: str = ""  # work on prompts is shared between requests of the same salt only


class InferenceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request to one model. `id` is the request id that the client sees."""

    id: str
    model: str  # as the client wrote it: the catalog resolves aliases
    task: Task
    work: Work
    options: Options = Options()
    files: dict[str, str] = {}  # paths of media that are too large for a message, by their digest
    asker: Asker = Asker()


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """The place of a request in a conversation that the server keeps."""

    id: str  # under which the answer is kept
    previous: str | None = None  # the turn that it goes on from
    is_kept: bool = True
    instructions: int = 0  # leading messages that belong to this turn alone
    style: bytes = b""  # the dialect's own, for writing the answer again; opaque to everybody else


def used_parameters(work: TextGeneration) -> frozenset[str]:
    """Names of the parameters that are set to something other than their neutral value, in the HF spelling."""
    sampling = work.sampling
    used = {name for name in sampling.__struct_fields__ if getattr(sampling, name) != getattr(_NEUTRAL, name)}
    if work.grammar is not None:
        used.add("grammar")
    if work.adapter is not None:
        used.add("adapter_id")
    if work.watermark:
        used.add("watermark")
    if work.top_logprobs:
        used.add("top_n_tokens")
    if work.prompt_logprobs:
        used.add("decoder_input_details")
    return frozenset(used)


_NEUTRAL = Sampling()
