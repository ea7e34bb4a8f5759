"""The embedded student: exact ids, keyed draws that no batching changes, scores that agree with what was sampled."""

import gc
import json
import math
import shutil
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay.errors import ConfigError, DataError
from selfplay.models.encode import encode_completion, encode_prompt, row_of
from selfplay.models.transformers import TinyStudent
from selfplay.models.transformers.backend import Embedded
from selfplay.records import Completion, Message, Request, Sampling
from tests.support.tiny_models import make_tiny

REQUESTS = [Request(task_id=str(i), prompt="sort the list " * (i % 6) + str(i)) for i in range(24)]
GREEDY = Sampling(temperature=0, max_new_tokens=24)
FREE = Sampling(temperature=1.0, max_new_tokens=40)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def student(tiny: Path) -> Iterator[Embedded]:
    with Embedded(tiny, template="plain", device="cpu", dtype="fp32") as opened:
        yield opened


def ids_of(groups: list[list[Completion]]) -> list[list[tuple[int, ...] | None]]:
    return [[c.completion_ids for c in group] for group in groups]


def reference(folder: Path, prompt: tuple[int, ...], tokens: int) -> tuple[int, ...]:
    """What transformers' own generate writes for one prompt alone."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    given = torch.tensor([prompt])
    made = model.generate(given, attention_mask=torch.ones_like(given), max_new_tokens=tokens, do_sample=False)
    return tuple(made[0, len(prompt) :].tolist())


# ---- memory ----


def test_closed_it_gives_its_weights_back_at_once_even_out_of_a_cycle(tiny: Path) -> None:
    opened = Embedded(tiny, template="plain", device="cpu", dtype="fp32")
    opened.complete(REQUESTS[:2], n=1, sampling=GREEDY, seed=0)
    held = [weakref.ref(weight) for weight in opened.model.parameters()]
    opened.model.own = [opened.model]
    gc.disable()
    try:
        opened.close()
        assert held and not any(weight() is not None for weight in held)
        opened.close()
    finally:
        gc.enable()


# ---- text to ids ----


def test_plain_prompt_is_bos_and_the_text_as_it_stands(student: Embedded) -> None:
    ids = encode_prompt(student.tokenizer, Request(task_id="a", prompt="ab"), "plain")
    assert ids == [0, *student.tokenizer("ab", add_special_tokens=False)["input_ids"]]
    assert encode_completion(student.tokenizer, "ab") == [*ids[1:], 1]


def test_encoder_gives_the_ids_that_sampling_uses(tiny: Path, student: Embedded) -> None:
    encoder, request = TinyStudent(kind="tiny").encoder(tiny), Request(task_id="a", prompt="ab")
    assert encoder.prompt(request) == encode_prompt(student.tokenizer, request, "plain")
    assert encoder.completion("ab") == encode_completion(student.tokenizer, "ab")


def test_chat_prompt_uses_the_template_and_ends_where_the_reply_begins(tmp_path: Path) -> None:
    from selfplay.models.transformers.library import load_tokenizer

    tokenizer = load_tokenizer(make_tiny(tmp_path, chat=True))
    said = Request(task_id="a", messages=(Message(role="system", content="S"), Message(role="user", content="U")))
    assert tokenizer.decode(encode_prompt(tokenizer, said, "chat")) == "<system>S\n<user>U\n<assistant>"
    asked = encode_prompt(tokenizer, Request(task_id="a", prompt="P"), "chat")
    assert tokenizer.decode(asked) == "<user>P\n<assistant>"


def test_chat_without_a_chat_template_is_refused(student: Embedded) -> None:
    with pytest.raises(ConfigError, match=r"student\.template is chat.*use student\.template: plain"):
        encode_prompt(student.tokenizer, Request(task_id="a", prompt="P"), "chat")


def test_empty_prompt_without_bos_is_refused_by_name(tiny: Path) -> None:
    from selfplay.models.transformers.library import load_tokenizer

    tokenizer = load_tokenizer(tiny)
    tokenizer.bos_token = None
    with pytest.raises(DataError, match="task lonely: its prompt has no tokens"):
        encode_prompt(tokenizer, Request(task_id="lonely", prompt=""), "plain")


def test_row_takes_loss_on_the_completion_and_on_nothing_else() -> None:
    row = row_of([0, 5, 6], [7, 1], weight=0.5, kind="anchor", source="t")
    assert row.input_ids == (0, 5, 6, 7, 1) and row.labels == (-100, -100, -100, 7, 1)
    assert (row.weight, row.kind, row.source) == (0.5, "anchor", "t")


# ---- sampling ----


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("llama", {}),
        ("llama", {"num_key_value_heads": 4, "tie_word_embeddings": True}),
        ("gpt2", {}),
        ("mistral", {"sliding_window": 6}),
        (
            "qwen2",
            {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 6, "use_sliding_window": True},
        ),
    ],
)
def test_greedy_rows_of_any_length_equal_transformers_own(tmp_path: Path, kind: str, changes: dict[str, Any]) -> None:
    folder = make_tiny(tmp_path, kind=kind, **changes)
    with Embedded(folder, template="plain", device="cpu", dtype="fp32", batch_tokens=300) as opened:
        made = opened.complete(REQUESTS[:8], n=1, sampling=GREEDY, seed=3)
    for (completion,) in made:
        assert completion.prompt_ids is not None
        assert completion.completion_ids == reference(folder, completion.prompt_ids, 24)


@pytest.mark.parametrize("batch_tokens", [500, 3000])
def test_batch_size_changes_no_sampled_text(student: Embedded, tiny: Path, batch_tokens: int) -> None:
    whole = student.complete(REQUESTS, n=3, sampling=FREE, seed=1)
    with Embedded(tiny, template="plain", device="cpu", dtype="fp32", batch_tokens=batch_tokens) as narrow:
        assert ids_of(narrow.complete(REQUESTS, n=3, sampling=FREE, seed=1)) == ids_of(whole)


def test_draws_follow_the_seed_and_more_samples_keep_the_first_ones(student: Embedded) -> None:
    two, four = (student.complete(REQUESTS[:6], n=n, sampling=FREE, seed=1) for n in (2, 4))
    assert ids_of(two) == [group[:2] for group in ids_of(four)]
    assert ids_of(student.complete(REQUESTS[:6], n=2, sampling=FREE, seed=2)) != ids_of(two)
    assert len({ids for group in ids_of(four) for ids in group}) == 24


def test_sampled_frequencies_are_the_models_probabilities(student: Embedded) -> None:
    import torch

    sampling = Sampling(temperature=0.7, max_new_tokens=1)
    (group,) = student.complete(REQUESTS[:1], n=4000, sampling=sampling, seed=5)
    given = torch.tensor([group[0].prompt_ids])
    with torch.no_grad():
        expected = (student.model(given).logits[0, -1] / 0.7).softmax(-1) * 4000
    seen = torch.bincount(
        torch.tensor([c.completion_ids[0] for c in group if c.completion_ids]), minlength=len(expected)
    )
    often = expected >= 5
    rest = torch.stack([expected[~often].sum(), seen[~often].sum()])
    terms = [(e - s) ** 2 / e for e, s in zip(expected[often], seen[often], strict=True)] + [
        (rest[0] - rest[1]) ** 2 / rest[0]
    ]
    freedom = len(terms) - 1
    assert float(sum(terms)) < freedom + 4 * math.sqrt(2 * freedom)


def test_top_k_and_top_p_keep_the_likeliest_tokens_alone(student: Embedded) -> None:
    greedy = ids_of(student.complete(REQUESTS[:6], n=1, sampling=GREEDY, seed=0))
    for narrow in ({"top_k": 1}, {"top_p": 1e-6}):
        sampling = Sampling(temperature=1.0, max_new_tokens=24, **narrow)
        made = student.complete(REQUESTS[:6], n=1, sampling=sampling, seed=9)
        assert ids_of(made) == greedy
        assert all(c.logprobs == pytest.approx([0.0] * len(c.logprobs or ())) for (c,) in made)
    few = student.complete(REQUESTS[:1], n=400, sampling=Sampling(top_k=3, max_new_tokens=1), seed=9)
    assert len({c.completion_ids for c in few[0]}) == 3
    assert {round(math.exp(c.logprobs[0]), 6) for c in few[0] if c.logprobs} and sum(
        {c.completion_ids: math.exp(c.logprobs[0]) for c in few[0] if c.logprobs}.values()
    ) == pytest.approx(1.0, abs=1e-4)


def test_logprobs_equal_what_scoring_the_same_ids_gives(student: Embedded) -> None:
    made = [c for group in student.complete(REQUESTS, n=2, sampling=FREE, seed=4) for c in group]
    scores = student.likelihood([row_of(c.prompt_ids or (), c.completion_ids or ()) for c in made])
    for completion, found in zip(made, scores, strict=True):
        assert len(found) == len(completion.completion_ids or ())
        assert found == pytest.approx(list(completion.logprobs or ()), abs=1e-3), "token by token"


def test_end_token_stops_and_stays_in_the_ids_and_length_cuts(student: Embedded) -> None:
    made = [c for group in student.complete(REQUESTS, n=4, sampling=FREE, seed=6) for c in group]
    stopped = [c for c in made if c.finish_reason == "stop"]
    assert stopped and len(stopped) < len(made)
    assert all(c.completion_ids and c.completion_ids[-1] == 1 and "</s>" not in c.text for c in stopped)
    assert all(len(c.completion_ids or ()) == 40 for c in made if c.finish_reason == "length")


def test_stop_word_is_cut_from_the_text_and_kept_in_the_ids(student: Embedded) -> None:
    (free,) = student.complete(REQUESTS[3:4], n=1, sampling=GREEDY, seed=0)
    word = free[0].text[2:4]
    (cut,) = student.complete(REQUESTS[3:4], n=1, sampling=GREEDY.model_copy(update={"stop": (word,)}), seed=0)
    assert cut[0].finish_reason == "stop"
    assert cut[0].text == free[0].text[: free[0].text.index(word)]
    assert cut[0].completion_ids == (free[0].completion_ids or ())[: len(cut[0].completion_ids or ())]
    assert word in student.tokenizer.decode(cut[0].completion_ids)


def test_prompt_that_fills_the_model_comes_back_empty_and_the_others_are_served(student: Embedded) -> None:
    asked = [Request(task_id="long", prompt="x" * 300), REQUESTS[0], Request(task_id="edge", prompt="x" * 250)]
    long, short, edge = student.complete(asked, n=2, sampling=FREE, seed=0)
    assert [(c.text, c.completion_ids, c.finish_reason) for c in long] == [("", (), "length")] * 2
    assert all(c.completion_ids for c in short)
    assert all(1 <= len(c.completion_ids or ()) <= 256 - 251 for c in edge)


def test_no_requests_give_no_completions(student: Embedded) -> None:
    assert student.complete([], n=4, sampling=FREE, seed=0) == []


def test_rows_that_finish_are_replaced(student: Embedded, tiny: Path) -> None:
    with Embedded(tiny, template="plain", device="cpu", dtype="fp32", batch_tokens=1500) as narrow:
        narrow.complete(REQUESTS * 2, n=2, sampling=Sampling(max_new_tokens=100), seed=6)
        assert narrow.useful_row_steps / narrow.row_steps > 0.8


# ---- weights ----


def test_identity_is_of_the_weights_and_not_of_the_folder(tiny: Path, tmp_path: Path) -> None:
    from selfplay.models.transformers.library import identity_of

    shutil.copytree(tiny, tmp_path / "copy")
    assert identity_of(tmp_path / "copy") == identity_of(tiny)
    assert identity_of(make_tiny(tmp_path / "other", seed=1)) != identity_of(tiny)


def test_pointer_folder_stands_for_its_base(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text(json.dumps({"base": str(tiny), "revision": None}))
    with (
        Embedded(tmp_path, template="plain", device="cpu") as opened,
        Embedded(tiny, template="plain", device="cpu") as real,
    ):
        assert opened.identity == real.identity


def test_model_that_is_nowhere_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"model no-such/model: neither a folder here nor .* check the name"):
        Embedded("no-such/model", template="plain")


def test_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no weights there"):
        Embedded(tmp_path, template="plain")


def test_recurrent_architecture_is_refused_with_the_way_out(tmp_path: Path) -> None:
    folder = make_tiny(tmp_path, layer_types=["full_attention", "full_attention"])
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"layer_types": ["linear_attention", "full_attention"]}))
    with pytest.raises(ConfigError, match=r"linear.*http"):
        Embedded(folder, template="plain")


STARVED = """
import logging, resource, sys
logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(message)s")
from selfplay.models.transformers.backend import Embedded
from selfplay.records import Request, Sampling
requests = [Request(task_id=str(i), prompt="p" * 200) for i in range(128)]
given = dict(template="plain", device="cpu", dtype="fp32", threads=1)
with Embedded(sys.argv[1], batch_tokens=1700, **given) as frugal, Embedded(sys.argv[1], **given) as student:
    ask = lambda who: [c.completion_ids for g in who.complete(requests, n=1, sampling=Sampling(max_new_tokens=8), seed=1) for c in g]
    free = ask(frugal)  # in small batches: no large memory is left over for the next to use
    used = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmSize"))
    resource.setrlimit(resource.RLIMIT_AS, (used + 24 * 2**20, resource.RLIM_INFINITY))
    print("SAME" if ask(student) == free else "OTHER")
"""


@pytest.mark.prove
def test_out_of_memory_halves_the_batch_says_so_and_samples_the_same(tmp_path: Path) -> None:
    folder = make_tiny(tmp_path, num_hidden_layers=4, num_key_value_heads=4)
    done = subprocess.run([sys.executable, "-c", STARVED, str(folder)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "generation ran out of memory with 128 rows" in done.stdout or "with 256 rows" in done.stdout
    assert done.stdout.strip().endswith("SAME")
