"""The likelihood of given token ids by a vLLM server (`prompt_logprobs`), and the tokens that end a reply."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from selfplay.errors import ConfigError, OutageError
from selfplay.models.base import Encoder
from selfplay.models.vllm import calls
from selfplay.models.vllm.replica import Replica
from selfplay.models.vllm.weights import Held
from selfplay.records import Row

AT_ONCE = 16
"""Rows that are scored at once."""


def end_tokens(weights: Held, encoder: Encoder) -> list[int]:
    """Ids that end a reply: the tokenizer's end token, and all of the model's generation config, as in this process."""
    file = weights.base / "generation_config.json"
    given: Any = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id") if file.is_file() else None
    ids = given if isinstance(given, list) else [given]
    return sorted({int(one) for one in [*ids, encoder.completion("x")[-1]] if one is not None})


def likelihood(replica: Replica, weights: Held, rows: Sequence[Row]) -> list[list[float]]:
    """See `Scorer.likelihood`. A server that dies over it is started again once. Raises OutageError where it dies again.

    A server that takes adapters scores one row at a time: vLLM 0.32 dies (on a CPU) over two in one batch, since its adapter of the head
    counts one token a request.
    """
    for last in (False, True):
        score = partial(_scored, name=replica.holding(weights), url=replica.url)
        try:
            with ThreadPoolExecutor(1 if replica.takes_adapters else AT_ONCE) as pool:
                return list(pool.map(score, rows))
        except calls.Refused as refusal:
            if replica.up:
                raise ConfigError(
                    f"{replica.url}{refusal}; raise max_model_len, if a text is too long for it"
                ) from None
            if last:
                raise OutageError(
                    f"{replica.url}{refusal}; run the same command again.{replica.end_of_log()}"
                ) from None
    raise AssertionError("unreachable")


def _scored(row: Row, *, url: str, name: str) -> list[float]:
    body = {"model": name, "prompt": list(row.input_ids), "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
    reply = calls.post(url, "/v1/completions", body)
    given = reply["choices"][0]["prompt_logprobs"]
    if len(given) != len(row.input_ids):
        raise calls.Refused(f"/v1/completions gave {len(given)} log-probabilities for {len(row.input_ids)} tokens")
    labelled = [at for at, label in enumerate(row.labels) if label != -100 and at > 0]
    return [float(given[at][str(row.input_ids[at])]["logprob"]) for at in labelled]
