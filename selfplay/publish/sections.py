"""The sections that the card of a model and that of its data set have in common."""

from collections.abc import Iterable, Iterator

from selfplay.config.metrics import title
from selfplay.publish import markdown as md
from selfplay.publish.facts import RoundFacts, abandoned
from selfplay.publish.hub import MARK
from selfplay.publish.public import public_name, public_text
from selfplay.report.page_model import cell, listed, signed
from selfplay.report.run_data import triple
from selfplay.report.svg_primitives import say
from selfplay.store import Commit

NONE = say(None)
DEV, TEST = "eval/greedy_accuracy", "test/greedy_accuracy"
J, TPR, FPR = (f"collapse_quality/verifier_{name}" for name in ("youden_j", "tpr", "fpr"))
ACTIONS = {"continue": "went on", "warn": "warned", "roll_back": "rolled back", "stop": "stopped the run"}


def ranges(numbers: Iterable[int]) -> str:
    """Rounds in words: `round 0, rounds 2 to 5 and round 7`; "no other round" if there is none."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    joined = [f"{run[0]} {'to' if len(run) > 2 else 'and'} {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    return listed(f"round{'s' if ' ' in one else ''} {one}" for one in joined) or "no other round"


def lineage(facts: RoundFacts) -> str:
    """Every round of the run: where it started, whether it is part of what is published, and what the gate said."""
    mine = {commit.round for commit in facts.lineage}
    lost = {commit.round for commit in facts.commits if abandoned(commit)}
    others = {commit.round for commit in facts.commits} - mine - lost
    rows = [_round(commit, commit.round in mine) for commit in facts.commits]
    said = [
        f"Published: round {facts.number}, which comes from {ranges(mine - {facts.number})}.",
        f"The gate abandoned {ranges(lost)}; the column *part of it* says whether anything of that is published."
        if lost
        else "The gate abandoned no round.",
        f"Not part of it: {ranges(others)}." if others else "",
        f"The run was forked from {facts.forked_from}; rounds are counted anew." if facts.forked_from else "",
    ]
    heads = (
        "round",
        "parent",
        "part of it",
        "gate",
        "alarm level",
        "accepted attempts",
        "dev accuracy",
        "test accuracy",
    )
    note = (
        "Accuracies are greedy, with 95 % intervals. The gate compares rounds on the dev tasks alone. Alarm levels: 0 quiet, 1 something is "
        "bad in one round, 2 in two rounds or clearly, 3 a known wrong solution was accepted or level 2 came again."
    )
    return md.section("Rounds", " ".join(filter(None, said)), md.table(heads, rows), note, _reasons(facts))


def _round(commit: Commit, mine: bool) -> list[str]:
    row = commit.row()
    parent = NONE if commit.parent is None else str(commit.parent)
    kept = " (weights unchanged)" if row.get("train/weights_kept") else ""
    accepted = f"{row['data/accepted']} of {row['data/sampled']}" if "data/sampled" in row else NONE
    level = str(row.get("collapse_alarm/level", NONE))
    figures = [cell(row, DEV), cell(row, TEST)]
    return [f"{commit.round}{kept}", parent, "yes" if mine else "no", ACTIONS[commit.action], level, accepted, *figures]


def _reasons(facts: RoundFacts) -> str:
    return md.bullets(f"Round {c.round}: {md.text(public_text(c.reason))}." for c in facts.commits if c.reason.strip())


def verification(facts: RoundFacts) -> str:
    """Which verifiers decided, and their error rates as the audit of each round measured them."""
    judged = [f"{md.code(name)} on {count} accepted attempts" for name, count in sorted(facts.judged.items())]
    rows = []
    for number in facts.rounds:
        row = facts.commits[number].row()
        planted = row.get("collapse_quality/canary_wrong")
        canaries = f"{row['collapse_quality/canary_false_accepts']} of {planted}" if planted else NONE
        figures = [cell(row, key) for key in (J, TPR, FPR)]
        rows.append([str(number), *figures, str(row.get("collapse_quality/verifier_checked", NONE)), canaries])
    heads = (
        "round",
        "J = TPR - FPR",
        "true positive rate",
        "false positive rate",
        "judged again",
        "wrong canaries accepted",
    )
    how = (
        "Each round judges a part of its attempts again by a second check, and plants canaries: solutions known to be right or wrong. J is "
        "Youden's J of the verifiers, the true positive rate minus the false positive rate, with 95 % intervals; a dash is a figure that "
        "was not measured, not a zero."
    )
    return md.section(
        "Verification",
        _filter(facts, judged),
        how if rows else "",
        md.table(heads, rows) if rows else "",
        _unmeasured(facts),
    )


def _filter(facts: RoundFacts, judged: list[str]) -> str:
    if not facts.config.curate.verified_only:
        return (
            "**No filter.** This run is a control experiment (`curate.verified_only: false`): every complete attempt was accepted, right or "
            "wrong. The verdicts are recorded beside them."
        )
    verdicts = f" Verdicts: {listed(judged)}." if judged else ""
    told = f"An attempt was accepted only if its verifiers passed it.{verdicts}"
    judge = facts.config.judge
    return f"{told} A language model, {md.text(public_name(judge.backend.name))}, is the judge." if judge else told


def _unmeasured(facts: RoundFacts) -> str:
    """Why J is missing, where it is."""
    rows = [facts.commits[number].row() for number in facts.rounds]
    if not rows or all(J in row for row in rows) or not facts.config.curate.verified_only:
        return ""
    if any(FPR in row for row in rows if J not in row):
        return (
            "Where J is missing beside a false positive rate, the second check only adds to the first one (further test cases), so it can "
            "overturn no rejection and shows no true positive rate."
        )
    return "Where J is missing, no second check decided on enough attempts, so the error rates of the verifiers are unknown."


def screening(facts: RoundFacts) -> str:
    """What was searched for evaluation text and for personal data, and how much was dropped."""
    return md.section("Decontamination and privacy", _decontamination(facts), _privacy(facts))


def _decontamination(facts: RoundFacts) -> str:
    first, curate = facts.first.row(), facts.config.curate
    sets = [
        f"{first[f'{part}/greedy_accuracy_n']} {name} tasks"
        for part, name in (("eval", "dev"), ("test", "test"))
        if f"{part}/greedy_accuracy_n" in first
    ]
    held = f"this run's {listed(sets)}" if sets else "this run's held-out tasks"
    left_out = facts.total("data/tasks_filtered")
    if facts.config.tasks.templated:
        how = (
            f"The tasks are written from templates by a program, which keeps {held} apart by their content: {left_out} drawn tasks were left "
            "out because they are held out. Attempts were not searched for shared text, which templates share by design."
        )
    elif not curate.decontaminate.wanted:
        how = "Attempts were not searched for evaluation text (`curate.decontaminate: false`)."
    else:
        rules = ", ".join(md.code(rule) for rule in curate.decontaminate.wanted)
        how = (
            f"Prompt and solution of every attempt were compared with {held} by the rules {rules}; "
            f"{facts.total('data/dropped_contaminated')} of {facts.total('data/sampled')} attempts were dropped for it, and {left_out} drawn "
            "tasks were left out because they are held out."
        )
    return f"{how} No other benchmark was searched for."


def _privacy(facts: RoundFacts) -> str:
    if facts.config.curate.privacy == "off" or facts.config.tasks.templated:
        return "Attempts were not searched for personal data before training."
    return (
        f"Attempts with personal identifiers that have a pattern (e-mail addresses, telephone and account numbers, ...) were dropped before "
        f"training: {facts.total('data/dropped_privacy')}. Names in running text are not found, and this is no claim of compliance."
    )


def reproduction(facts: RoundFacts) -> str:
    """The command, the configuration, the seeds, the input files and the versions."""
    config, commit = facts.config, facts.commit
    versions = ", ".join(f"{name} {version}" for name, version in sorted(commit.versions.items()))
    files = [f"{md.code(name)}, sha256 {digest}" for name, digest in sorted(facts.files.items())]
    rounds = f" rounds={facts.number}" if facts.number != config.rounds else ""
    return md.section(
        "How to reproduce",
        f"```\nselfplay run {MARK}{rounds}\n```",
        f"`{MARK}` beside this card is the whole configuration, with paths shortened to names and without what concerns the machine. Its "
        f"seeds are `seed: {config.seed}` for training and `eval.seed: {config.eval.seed}` for the held-out tasks.",
        f"It reads these files, which are not part of this repository:\n\n{md.bullets(files)}" if files else "",
        f"Versions: {versions}. World size: {commit.world_size}. On the same kind of CPU the same versions and "
        "world size give the same bytes, as far as no server's replies are part of the run; on GPUs expect small differences.",
        "`selfplay` is the Python package that ran this and measured every figure on this card.",
    )


def results(facts: RoundFacts) -> str:
    """The round beside round 0, with the paired change."""
    samples = facts.config.eval.samples
    names = {
        TEST: title(TEST),
        DEV: title(DEV),
        "eval/pass_at_1": title("eval/pass_at_1"),
        "eval/pass_at_n": f"pass@{samples}",
        "collapse_quality/human_nll": "Loss on human solutions, nats per token (lower is better)",
    }
    now, then = facts.commit.row(), facts.first.row()
    rows = [
        [name, cell(then, key), cell(now, key), signed(*triple(now, f"{key}_delta")) if facts.number else NONE]
        for key, name in names.items()
        if key in now
    ]
    if not rows:
        return md.section("Results", "No accuracy of this round was measured.")
    count = {name: now.get(f"{part}/greedy_accuracy_n") for part, name in (("test", "test"), ("eval", "dev"))}
    sizes = listed([f"{number} {name} tasks" for name, number in count.items() if number])
    sampled = (
        f" pass@k is over {samples} samples per task at temperature 1, on a part of the dev tasks."
        if "eval/pass_at_1" in now
        else ""
    )
    note = (
        f"Measured on {sizes}, with 95 % intervals; the change is paired over tasks. No decision of the run read the test tasks. "
        f"Rounds are compared, and the best one is chosen, on the dev tasks, so the dev figures may be somewhat too good.{sampled}"
    )
    return md.section("Results", md.table(("figure", "round 0", f"round {facts.number}", "change"), rows), note)


def limits(facts: RoundFacts) -> Iterator[str]:
    """Known limits that hold for model and data alike."""
    row = facts.commit.row()
    yield "No person has read the attempts, and nobody has looked for bias, toxicity or unsafe content."
    if facts.refused:
        yield f"**The gate refused this round**: {md.text(public_text(facts.commit.reason))}."
    if facts.config.curate.verified_only:
        yield "A verifier can be wrong in the same way every time; a passed check is no proof (see Verification)."
    if blind := str(row.get("collapse_alarm/blind") or ""):
        yield f"What the collapse alarm could not judge in this round: {md.text(public_text(blind))}."
    fall = row.get("collapse_alarm/minimum_detectable_fall")
    if isinstance(fall, int | float):
        yield f"The dev set shows a lasting fall of the accuracy only from {fall:.3f} on; a smaller one may have gone unseen."
