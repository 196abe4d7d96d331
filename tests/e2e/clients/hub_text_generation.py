"""Runs inside the virtual environment of one huggingface_hub version; prints what the client made of each answer.

Arguments: the model as this version names it (an id with HF_INFERENCE_ENDPOINT set, or a URL), an unknown model,
the URL of a slow model on a server that has room for one request, and the tokens for the two servers.
"""

import json
import sys
import threading
import time

import huggingface_hub
from huggingface_hub import InferenceClient

model, unknown, slow, token, slow_token = sys.argv[1:6]
old = huggingface_hub.__version__.startswith("0.")
stop_name = "stop_sequences" if old else "stop"


def fail(call):
    try:
        call()
    except Exception as error:
        cause, status = error, None
        while cause is not None and status is None:
            status = getattr(getattr(cause, "response", None), "status_code", None)
            cause = cause.__cause__ or cause.__context__
        return {"class": type(error).__name__, "status": status, "message": str(error)}
    return {"class": None}


def details_of(out):
    details = out.details
    return {
        "text": out.generated_text,
        "finish_reason": str(getattr(details.finish_reason, "value", details.finish_reason)),
        "generated_tokens": details.generated_tokens,
        "seed": details.seed,
        "tokens": [[t.id, t.text, t.logprob, t.special] for t in details.tokens],
        "prefill": len(details.prefill),
    }


client = InferenceClient(model=model, token=token, timeout=60)
fresh = InferenceClient(model=model, token=token, timeout=60)
fresh.headers["x-use-cache"] = "0"
report = {"version": huggingface_hub.__version__}

report["plain"] = client.text_generation("def hello", max_new_tokens=12)
report["plain_again"] = fresh.text_generation("def hello", max_new_tokens=12)
report["default_length"] = details_of(client.text_generation("one two", details=True))
report["details"] = details_of(client.text_generation("def hello", max_new_tokens=12, details=True))
report["full_text"] = client.text_generation("def hello", max_new_tokens=12, return_full_text=True)
report["stream"] = list(client.text_generation("def hello", max_new_tokens=12, stream=True))
frames = list(client.text_generation("def hello", max_new_tokens=12, stream=True, details=True))
report["stream_details"] = {
    "count": len(frames),
    "final_text": frames[-1].generated_text,
    "finish_reason": str(getattr(frames[-1].details.finish_reason, "value", frames[-1].details.finish_reason)),
    "generated_tokens": frames[-1].details.generated_tokens,
    "logprobs": [frame.token.logprob for frame in frames],
}
everything = {
    "do_sample": True,
    "max_new_tokens": 9,
    "temperature": 0.8,
    "top_k": 40,
    "top_p": 0.9,
    "typical_p": 0.95,
    "repetition_penalty": 1.1,
    "seed": 7,
    "truncate": 5,
    "watermark": False,
    "return_full_text": False,
    "details": True,
    stop_name: ["@@never@@"],
}
report["everything"] = details_of(client.text_generation("a b c d e f g h", **everything))
report["best_of"] = details_of(client.text_generation("x", do_sample=True, best_of=2, max_new_tokens=5, details=True))
report["sampled_kept"] = [client.text_generation("s", do_sample=True, max_new_tokens=16) for _ in range(2)]
report["sampled_fresh"] = [fresh.text_generation("s", do_sample=True, max_new_tokens=16) for _ in range(2)]
report["stopped"] = details_of(
    client.text_generation("def hello", max_new_tokens=12, details=True, **{stop_name: [report["plain"][3:6]]})
)

report["too_long"] = fail(lambda: client.text_generation("x", max_new_tokens=4000))
report["bad_value"] = fail(lambda: client.text_generation("x", temperature=-1.0))
report["stream_too_long"] = fail(lambda: list(client.text_generation("x", max_new_tokens=4000, stream=True)))
report["refused"] = fail(lambda: client.text_generation("x", top_n_tokens=3, details=True))
report["unknown"] = fail(lambda: InferenceClient(model=unknown, token=token).text_generation("x"))
report["bad_token"] = fail(lambda: InferenceClient(model=model, token="hf_wrong").text_generation("x"))

busy = InferenceClient(model=slow, token=slow_token, timeout=60)
busy.headers["x-use-cache"] = "0"
first = threading.Thread(target=lambda: busy.text_generation("hold", max_new_tokens=4))
first.start()
time.sleep(0.5)  # the slow model takes two seconds for an answer
report["overloaded"] = fail(lambda: busy.text_generation("more", max_new_tokens=4))
first.join()
print(json.dumps(report))
