"""How a text-to-text model is told what to do with a text: language tokens, prefixes, its own settings of a task."""

from typing import Any

import msgspec

from pronto.core.errors import InvalidInput, Unsupported
from pronto.core.text_work import WriteText

SHOWN = 12  # languages in a message


class Told(msgspec.Struct, frozen=True):
    """`prefix` goes before the text, `settings` are generation parameters beneath the request's own."""

    prefix: str = ""
    settings: dict[str, Any] = {}
    source: str | None = None  # for the tokenizer


def tell(tokenizer: Any, model: Any, work: WriteText) -> Told:
    """Raises InvalidInput for languages that the model does not have."""
    asked = (work.source_language, work.target_language)
    if hasattr(tokenizer, "_build_translation_inputs"):
        return _by_token(tokenizer, model.generation_config, *asked)
    if hasattr(tokenizer, "supported_language_codes"):
        return _marian(tokenizer, *asked)
    known = getattr(model.config, "task_specific_params", None) or {}
    name = f"translation_{asked[0]}_to_{asked[1]}" if any(asked) else work.kind
    if any(asked) and name not in known:
        pairs = sorted(each.removeprefix("translation_") for each in known if each.startswith("translation_"))
        if not pairs:
            raise Unsupported("`tgt_lang`: this model has no languages to choose from.", "tgt_lang")
        raise InvalidInput(f"`src_lang` and `tgt_lang`: this model translates {_some(pairs)}.", "tgt_lang")
    settings = dict(known.get(name, {}))
    return Told(prefix=str(settings.pop("prefix", "") or ""), settings=settings)


def _by_token(tokenizer: Any, config: Any, source: str | None, target: str | None) -> Told:
    """Multilingual models: a token of the source before the text, and the target's as the first of the answer."""
    codes = languages_of(tokenizer)
    for field, language in (("src_lang", source), ("tgt_lang", target)):
        if language is not None and language not in codes:
            raise InvalidInput(
                f"`{field}` {language[:40]!r} is not a language of this model. It has {_some(codes)}.", field
            )
    target = target or getattr(tokenizer, "tgt_lang", None)
    if target in codes:
        return Told(settings={"forced_bos_token_id": _code_id(tokenizer, target)}, source=source)
    if getattr(config, "forced_bos_token_id", None) is None:
        raise InvalidInput(f"`tgt_lang` is missing. This model translates into {_some(codes)}.", "tgt_lang")
    return Told(source=source)


def code_ids(tokenizer: Any) -> list[int]:
    """The tokens that stand for languages; none for a tokenizer of one."""
    if not hasattr(tokenizer, "_build_translation_inputs"):
        return []
    return [_code_id(tokenizer, code) for code in languages_of(tokenizer)]


def _code_id(tokenizer: Any, code: str) -> int:
    is_m2m = hasattr(tokenizer, "get_lang_id")
    return int(tokenizer.get_lang_id(code) if is_m2m else tokenizer.convert_tokens_to_ids(code))


def languages_of(tokenizer: Any) -> list[str]:
    """Codes of a multilingual tokenizer, sorted."""
    known = getattr(tokenizer, "lang_code_to_token", None) or getattr(tokenizer, "lang_code_to_id", None)
    if known:
        return sorted(known)
    return sorted(token for token in tokenizer.all_special_tokens if not token.startswith("<"))


def _marian(tokenizer: Any, source: str | None, target: str | None) -> Told:
    """One pair of languages, or `>>code<<` before the text for one of several targets."""
    own = tokenizer.source_lang
    if source is not None and own and source != own:
        raise InvalidInput(f"`src_lang`: this model translates from {own}. Given: {source[:40]}", "src_lang")
    codes = sorted(code.strip("<>") for code in tokenizer.supported_language_codes)
    if target is None or (not codes and target == tokenizer.target_lang):
        return Told()
    if target not in codes:
        offered = _some(codes or [tokenizer.target_lang or "one language"])
        raise InvalidInput(f"`tgt_lang`: this model translates into {offered}. Given: {target[:40]}", "tgt_lang")
    return Told(prefix=f">>{target}<< ")


def _some(names: list[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
