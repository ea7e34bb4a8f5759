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
from selfplay.models.base import PromptBatch
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


SLIDING = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 6}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama, all heads, tied": ("llama", {"num_key_value_heads": 4, "tie_word_embeddings": True}),
    "gpt2": ("gpt2", {}),
    "gpt_neox": ("gpt_neox", {}),
    "mistral": ("mistral", {"sliding_window": 6}),
    "mixtral": ("mixtral", {"sliding_window": None, **EXPERTS}),
    "phi": ("phi", {}),
    "phi3": ("phi3", {}),
    "qwen2, mixed": ("qwen2", {**SLIDING, "use_sliding_window": True}),
    "qwen3": ("qwen3", {"head_dim": 16}),
    "gemma": ("gemma", {"head_dim": 16}),
    "gemma2, caps": (
        "gemma2",
        {**SLIDING, "head_dim": 16, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0},
    ),
    "gemma3": ("gemma3_text", {**SLIDING, "head_dim": 16}),
    "gpt_oss, sinks": ("gpt_oss", {**SLIDING, "head_dim": 16, **EXPERTS}),
    "olmo2": ("olmo2", {}),
    "granite": ("granite", {"attention_multiplier": 0.3, "logits_scaling": 2.0}),
    "stablelm": ("stablelm", {}),
    "starcoder2": ("starcoder2", {"sliding_window": 6}),
    "smollm3": ("smollm3", {"no_rope_layers": [1, 0]}),
    "cohere": ("cohere", {"logit_scale": 0.5}),
}


def made_to_count(folder: Path) -> None:
    """Gives sinks and normalisations, which are fresh at 0 or 1, values that change what is written."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 1:
                weight.add_(torch.randn_like(weight) * 0.5)
    model.save_pretrained(folder)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_greedy_rows_of_any_length_equal_transformers_own_and_scores_its_logits(tmp_path: Path, name: str) -> None:
    kind, changes = ARCHITECTURES[name]
    folder = make_tiny(tmp_path, kind=kind, **changes)
    made_to_count(folder)
    with Embedded(folder, template="plain", device="cpu", dtype="fp32", batch_tokens=150) as opened:
        made = opened.complete(REQUESTS[1:4], n=1, sampling=GREEDY.model_copy(update={"max_new_tokens": 12}), seed=3)
        scores = opened.likelihood([row_of(c.prompt_ids or (), c.completion_ids or ()) for (c,) in made])
    for (completion,), found in zip(made, scores, strict=True):
        assert completion.prompt_ids is not None and completion.logprobs is not None
        assert completion.completion_ids == reference(folder, completion.prompt_ids, 12)
        assert found == pytest.approx(list(completion.logprobs), abs=1e-3)


def test_attention_that_changes_scores_in_a_way_of_its_own_is_refused() -> None:
    import torch

    from selfplay.models.transformers.attention import one_token_attention

    one = torch.ones(1, 2, 1, 4)
    with pytest.raises(ConfigError, match=r"asks for s_aux, which is not computed in this process; serve the model"):
        one_token_attention(torch.nn.Linear(1, 1), one, one, one, torch.zeros(1, 1, 1, 1), s_aux=torch.ones(2))


def test_queries_that_share_keys_give_what_sdpa_gives_with_the_keys_repeated() -> None:
    import torch

    from selfplay.models.transformers.attention import _packed

    torch.manual_seed(0)
    query, key, value = torch.randn(3, 6, 1, 8), torch.randn(3, 2, 5, 8), torch.randn(3, 2, 5, 8)
    mask = torch.zeros(3, 1, 1, 5).masked_fill_(torch.arange(5) > torch.tensor([4, 2, 0])[:, None, None, None], -1e9)
    wanted = torch.nn.functional.scaled_dot_product_attention(
        query, key.repeat_interleave(3, 1), value.repeat_interleave(3, 1), mask, scale=0.2
    )
    assert torch.allclose(_packed(query, key, value, mask, 0.2), wanted.transpose(1, 2), atol=1e-6)


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


# ---- batch after batch ----

FEW_ROWS = {"template": "plain", "device": "cpu", "dtype": "fp32", "batch_tokens": 32 * 110}
LONG_TAIL = Sampling(max_new_tokens=100)


def batches_of(requests: list[Request], size: int, n: int) -> list[PromptBatch]:
    return [PromptBatch(requests[i : i + size], n, seed=100 + i) for i in range(0, len(requests), size)]


def test_rows_of_a_finished_batch_are_refilled_with_the_next_and_each_holds_what_it_holds_alone(tiny: Path) -> None:
    batches = batches_of(REQUESTS, 4, 8)
    with (
        Embedded(tiny, refill_across=False, **FEW_ROWS) as alone,
        Embedded(tiny, refill_across=True, **FEW_ROWS) as across,
        Embedded(tiny, **FEW_ROWS) as endless,
    ):
        one_by_one = {id(b): ids_of(made) for b, made in alone.complete_each(batches, LONG_TAIL)}
        together = {id(b): ids_of(made) for b, made in across.complete_each(batches, LONG_TAIL)}
        endless.complete([r for b in batches for r in b.requests], n=8, sampling=LONG_TAIL, seed=0)
    assert together == one_by_one and len(together) == 6
    assert across.steps <= 1.15 * endless.steps < alone.steps


def test_batches_are_taken_when_rows_are_free_and_given_when_they_are_done(tiny: Path) -> None:
    taken: list[int] = []
    batches = batches_of(REQUESTS, 4, 8)

    def source() -> Iterator[PromptBatch]:
        for number, batch in enumerate(batches):
            taken.append(number)
            yield batch

    with Embedded(tiny, refill_across=True, **FEW_ROWS) as across:
        given = [(batches.index(batch), len(taken)) for batch, _ in across.complete_each(source(), LONG_TAIL)]
    assert sorted(number for number, _ in given) == list(range(6))
    assert given[0][1] < 6, "no batch waits for all to be taken"
    assert any(begun > number + 1 for number, begun in given), "the next was begun before the last was done"


def test_batch_of_prompts_without_room_is_given_too(tiny: Path) -> None:
    full = PromptBatch([Request(task_id="long", prompt="x" * 300)], 2, seed=0)
    with Embedded(tiny, refill_across=True, **FEW_ROWS) as across:
        for batches in ([full], [PromptBatch(REQUESTS[:2], 2, seed=1), full]):
            made = [group for _, groups in across.complete_each(batches, FREE) for group in groups]
            assert sum(c.completion_ids == () for group in made for c in group) == 2


# ---- adapters ----


def with_adapter(base: Path, folder: Path, targets: list[str]) -> Path:
    """A folder with an adapter whose weights change what the base writes."""
    import torch

    from selfplay.models.transformers import library

    model = library.load_model(base, device=torch.device("cpu"), dtype=torch.float32)
    torch.manual_seed(3)
    adapted = library.new_adapter(model, rank=4, alpha=8, dropout=0.0, targets=targets, rslora=False)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.copy_(torch.randn_like(weight) * 0.2)
    library.save_model(adapted, folder, base=base)
    return folder


def test_adapter_is_merged_for_sampling_and_says_what_it_says_beside_its_base(tiny: Path, tmp_path: Path) -> None:
    import torch

    from selfplay.models.transformers import library

    folder = with_adapter(tiny, tmp_path / "adapter", ["q_proj", "v_proj", "down_proj"])
    before = {f.name: f.read_bytes() for f in [*folder.iterdir(), *tiny.iterdir()] if f.is_file()}
    beside: Any = library.load_model(folder, device=torch.device("cpu"), dtype=torch.float32)
    with Embedded(folder, template="plain", device="cpu", dtype="fp32") as opened:
        names = {name for name, _ in opened.model.named_modules()}
        made = [c for (c,) in opened.complete(REQUESTS[:6], n=1, sampling=GREEDY, seed=0)]
        base_size = sum(p.numel() for p in beside.get_base_model().parameters() if not p.requires_grad)
        assert not any("lora" in name for name in names)
        assert sum(p.numel() for p in opened.model.parameters()) < base_size
    for one in made:
        given = torch.tensor([[*(one.prompt_ids or ()), *(one.completion_ids or ())]])
        with torch.no_grad():
            logits = beside(given).logits[0, len(one.prompt_ids or ()) - 1 : -1]
        assert logits.argmax(-1).tolist() == list(one.completion_ids or ())
    assert before == {f.name: f.read_bytes() for f in [*folder.iterdir(), *tiny.iterdir()] if f.is_file()}


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings")
def test_adapter_of_a_head_that_is_the_embedding_stays_beside_it(tmp_path: Path) -> None:
    base = make_tiny(tmp_path / "base", tie_word_embeddings=True)
    folder = with_adapter(base, tmp_path / "adapter", ["lm_head", "q_proj"])
    with Embedded(folder, template="plain", device="cpu", dtype="fp32") as opened:
        assert any("lora" in name for name, _ in opened.model.named_modules())
        (made,) = opened.complete(REQUESTS[3:4], n=1, sampling=GREEDY, seed=0)
        scores = opened.likelihood([row_of(made[0].prompt_ids or (), made[0].completion_ids or ())])
    assert scores[0] == pytest.approx(list(made[0].logprobs or ()), abs=1e-3)


# ---- scoring ----


def test_head_reads_the_places_before_labels_alone(student: Embedded) -> None:
    seen: list[int] = []
    head = student.model.get_output_embeddings()
    hook = head.register_forward_hook(lambda _, given, made: seen.append(made.shape[:-1].numel()))
    rows = [row_of(range(3, 60), range(3, 10 + i)) for i in range(5)]
    try:
        scored = student.entropies(rows)
    finally:
        hook.remove()
    assert seen == [sum(len(row.labels) - row.labels.count(-100) for row in rows)]
    assert [n for _, n, _ in scored] == [7, 8, 9, 10, 11]


def test_rows_are_scored_in_groups_that_fit_and_in_halves_where_memory_runs_out(
    student: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row_of(range(3, 20 + i), range(3, 30)) for i in range(9)]
    wanted = student.entropies(rows)
    whole, sizes = student._score, []

    def starved(members: Any, *, entropy: bool) -> Any:
        sizes.append(len(members))
        if len(members) > 2:
            raise MemoryError
        return whole(members, entropy=entropy)

    monkeypatch.setattr(student, "_score", starved)
    halved = student.entropies(rows)
    assert [one for found in halved for one in found] == pytest.approx(
        [one for found in wanted for one in found], abs=1e-4
    )
    assert sizes[:3] == [9, 4, 2]
    monkeypatch.setattr("selfplay.models.transformers.backend.SCORED_TOKENS", 100)
    assert [len(group) for group in student._score_groups(rows)] == [1, 1, 2, 2, 2, 1]


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
