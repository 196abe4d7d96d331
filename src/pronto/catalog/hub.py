"""The model Hub as a ModelSource: looks with a few small requests; downloading is a worker's job (engines/pull.py)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pronto.catalog.sources import MAX_DOCUMENT, Description, is_document, parse_document
from pronto.core.files import is_safe_name, served_files
from pronto.core.hub_faults import kind_of, sentence
from pronto.core.model import Source
from pronto.core.request import Pull

_TIMEOUT = 10.0  # seconds for one answer
_MAX_DOCUMENTS = 12  # a repository has fewer that matter


class HubFault(ValueError):
    """The Hub did not give what was asked for. `kind` is gated, missing or unreachable; the text is a sentence."""

    def __init__(self, text: str, kind: str) -> None:
        super().__init__(text)
        self.kind = kind


class Hub:
    """`endpoint` None: the Hub's own address. `token` None: nobody's, whatever this machine has saved."""

    def __init__(self, endpoint: str | None = None, token: str | None = None) -> None:
        self._endpoint, self._token = endpoint, token

    def describe(self, source: Source) -> Description:
        """Raises ValueError with a sentence: no network, gated, not found, ..."""
        from huggingface_hub import HfApi

        repo, revision = source.repo or "", source.revision or "main"
        try:
            api = HfApi(endpoint=self._endpoint, token=self._token or False)
            info = api.model_info(repo, revision=revision, files_metadata=True, timeout=_TIMEOUT)
            files = {item.rfilename: item.size or 0 for item in info.siblings or () if is_safe_name(item.rfilename)}
            documents = [name for name in files if is_document(name)][:_MAX_DOCUMENTS]
            commit = info.sha or ""
            config = {name: self._document(repo, commit, name, files[name]) for name in documents}
        except Exception as error:
            if type(error) is ValueError:  # a sentence of our own
                raise
            raise HubFault(sentence(error, repo, revision), kind_of(error)) from error
        return Description(
            files=files,
            bytes=sum(files[name] for name in served_files(files)),
            revision=commit,
            config=config,
            pipeline_tag=info.pipeline_tag,
            parameters=getattr(info.safetensors, "total", None),
        )

    def fetch(self, source: Source, home: Path) -> Pull | None:
        return Pull(
            repo=source.repo or "",
            revision=source.revision or "main",
            target=str(home),
            endpoint=self._endpoint,
            token=self._token,
        )

    def is_reachable(self, timeout: float = 3.0) -> bool:
        """Whether anything answers at the Hub's address."""
        from huggingface_hub import constants, get_session

        try:
            return bool(get_session().head(self._endpoint or constants.ENDPOINT, timeout=timeout).status_code < 500)
        except Exception:
            return False

    def _document(self, repo: str, commit: str, name: str, size: int) -> Mapping[str, Any]:
        from huggingface_hub import get_session, hf_hub_url, hf_raise_for_status

        if size > MAX_DOCUMENT:
            return parse_document(name, b" " * (MAX_DOCUMENT + 1))
        url = hf_hub_url(repo, name, revision=commit, endpoint=self._endpoint)
        headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        response = get_session().get(url, headers=headers, timeout=_TIMEOUT)
        hf_raise_for_status(response)
        return parse_document(name, response.content)
