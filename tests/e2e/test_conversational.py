"""The old conversational task with a chat model: turns go in and come out, the model answers as to a chat."""

import json

import pytest

from tests.e2e.http import post

TURN = {"text": "And you?", "past_user_inputs": ["Hi"], "generated_responses": ["Hello."]}


@pytest.mark.parametrize("path", ["/models/tiny/llama", "/pipeline/conversational/tiny/llama"])
def test_a_turn_is_answered_with_the_conversation(server, path):
    body = {"inputs": TURN, "parameters": {"max_new_tokens": 5}}
    status, headers, said = post(server.url, path, body, server.token, x_wait_for_model="1")
    answer = json.loads(said)
    assert status == 200, answer
    assert answer["conversation"]["past_user_inputs"] == ["Hi", "And you?"]
    assert answer["conversation"]["generated_responses"] == ["Hello.", answer["generated_text"]]
    assert headers["x-compute-characters"] == str(len("HiHello.And you?"))


def test_a_turn_without_its_text_is_refused(server):
    status, _, said = post(server.url, "/pipeline/conversational/tiny/llama", {"inputs": {}}, server.token)
    assert (status, "text" in json.loads(said)["error"]) == (422, True)
