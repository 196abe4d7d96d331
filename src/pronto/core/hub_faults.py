"""What can go wrong between this machine and the model Hub, as sentences. Pure: knows errors by their names only."""

_BY_NAME = {
    "GatedRepoError": "{repo} is gated. Please accept its licence on the Hub, and set `hub_token` to a token of that "
    "account.",
    "RepositoryNotFoundError": "The Hub has no repository {repo}, or it is private: then `hub_token` must be a token "
    "that may read it.",
    "RevisionNotFoundError": "{repo} has no revision {revision}. Please check the name of the branch, tag or commit.",
    "OfflineModeIsEnabled": "The Hub is switched off here (HF_HUB_OFFLINE). Please unset that and try again.",
}
_BY_STATUS = {
    401: "The Hub does not take this `hub_token`. Please check it.",
    403: "The Hub does not let this `hub_token` read {repo}. Please check its rights.",
    404: "The Hub has no {repo} at revision {revision}. Please check the name.",
    429: "The Hub says that this machine asks too often. Please try again in some minutes.",
}


def kind_of(error: Exception) -> str:
    """`gated`: a licence or a right is missing; `missing`: there is no such thing; else `unreachable`."""
    names = [kind.__name__ for kind in type(error).__mro__]
    status = getattr(getattr(error, "response", None), "status_code", None)
    if "GatedRepoError" in names or status == 403:
        return "gated"
    # To the Hub, a repository that may not be read is one that is not there, also when it says 401.
    if "RepositoryNotFoundError" in names or "RevisionNotFoundError" in names or status in (401, 404):
        return "missing"
    return "unreachable"


def sentence(error: Exception, repo: str, revision: str) -> str:
    """What went wrong with `repo` at `revision`, and what to do. `error` is one of huggingface_hub's or httpx's."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    # From the class itself upwards: a gated repository is to huggingface_hub also one that is not found.
    text = next((_BY_NAME[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _BY_NAME), None)
    if text is None and isinstance(status, int):
        text = _BY_STATUS.get(
            status, f"The Hub answered with an error ({status}) for {{repo}}. Please try again later."
        )
    if text is None:
        text = (
            "The Hub cannot be reached, so {repo} cannot be fetched. Please check the network and `hub_endpoint`, or "
            "add the model from a folder: pronto models add ID --source FOLDER."
        )
    return text.format(repo=repo, revision=revision)
