"""Words that many tasks share are no evidence of a leak; what one evaluation task has alone is, however often it comes."""

from pathlib import Path

import numpy as np
import pytest

from selfplay.config.curation import RULES, Decontaminate
from selfplay.config.load import load_config
from selfplay.curate import decontaminate
from selfplay.curate.eval_index import Protected
from selfplay.curate.screening import screen, screen_of
from selfplay.curate.templates import common_in_training, common_runs, runs_of, tasks_of, without_numbers
from selfplay.errors import ConfigError
from selfplay.phases.propose import too_many_filtered
from selfplay.records import Attempt, Task, Trace
from selfplay.textstats.words import words

HELD_OUT = [
    "A baker sells 24 rolls in the morning and three times as many after lunch. How many rolls does he sell on that day?",
    "The lift climbs 4 floors in a minute, and the stairs take twice as long. When does a guest on the stairs reach floor 12?",
    "Nina reads 15 pages of her novel each night and 40 on Sundays. In how many weeks has she read all 520 pages?",
]
TRAINING = [
    "Paul plants 9 rows of beans with 14 seeds each and a third of them never sprouts. How many bean plants grow?",
    "What is the volume of the largest ball that fits into a box whose sides are 8, 9 and 10 cm long?",
]
CHINESE = [
    "小华每天早上跑三公里，晚上再跑两公里，请问一个星期他一共跑多少公里？",
    "果园里有四十棵梨树和六十棵桃树，梨树比桃树少几分之几？",
    "一列火车从甲地开往乙地用了五小时，平均每小时行八十公里，两地相距多远？",
]
CHINESE_TRAINING = [
    "妈妈买回十二个橙子，吃掉三个后又送给邻居两个，还剩几个？",
    "一个正方体的棱长是六厘米，它的表面积是多少平方厘米？",
]

INSTRUCTIONS = [
    "Solve the following problem. Show every step of your work, and write the result after four hash signs on a line of its own.\n\n{}",
    "You are a patient teacher of mathematics. Explain your reasoning in short sentences and finish with the words The answer is.\n{}",
    "system: You are a careful assistant who always checks the arithmetic twice before writing anything down.\nuser: {}\nassistant:",
    "<|im_start|>system\nYou solve tasks of the kind that stand in school books "
    "and give one number as the result.<|im_end|>\n<|im_start|>user\n{}<|im_end|>",
    "### Instruction:\nRead the question below, think about it for as long as you need, "
    "then answer it with a single number.\n### Input:\n{}\n### Response:",
    "{}\n\nLet us think about this step by step, and put the final result inside \\boxed{{}} so that it can be found by a program.",
    "{} Do not use a calculator, give the result without units, and do not write anything after the result at all.",
    "Question: Tom has 3 red and 4 blue pens. How many pens has he in all?\nAnswer: He has 3 + 4 = 7 pens. #### 7\n\nQuestion: {}\nAnswer:",
    "Q: There are fifteen trees in the grove and workers plant six more today. How many trees are there? A: 21\nQ: Leah had 32 chocolates "
    "and her sister 42; they ate 35 of them. How many are left? A: 39\nQ: {} A:",
    "Write a Python function named solution that takes no arguments and returns the answer of this word problem as an integer: {}",
    "Return only a JSON object with the two keys reasoning and answer, and no text before or after it. The problem reads: {}",
    "[INST] <<SYS>> You are a helpful, respectful and honest assistant. "
    "Always answer as helpfully as possible, while being safe. <</SYS>> {} [/INST]",
    "Think inside <think> and </think>, then write the final result inside <answer> and </answer>. Nothing else is read by the grader. {}",
    "The following is a question from a mathematics contest for pupils of the seventh grade in the north of the country. {}",
    "Rewrite the question as one equation first. Then solve the equation for the unknown, and say what the unknown stands for. {}",
    "I will tip you 20 dollars for a perfect solution of the following exercise, so please take a deep breath first: {}",
    "Beantworte die folgende Aufgabe Schritt für Schritt und schreibe das Ergebnis am Ende allein in die letzte Zeile.\n{}",
    "Du bist ein geduldiger Lehrer und erklärst jeden Schritt so, dass ihn ein Kind der fünften Klasse verstehen kann. {}",
    "Résous le problème suivant en détaillant toutes les étapes, puis donne le résultat final entre deux accolades à la fin.\n{}",
    "Resuelve el siguiente problema paso a paso y escribe la respuesta final en la última línea después de la palabra Respuesta. {}",
    "Risolvi il seguente problema spiegando ogni passaggio e scrivi il risultato finale da solo sull'ultima riga del testo. {}",
    "Los het volgende vraagstuk stap voor stap op en schrijf het antwoord helemaal aan het einde op een eigen regel. {}",
    "Реши следующую задачу по шагам, объясни каждый шаг простыми словами и напиши ответ в последней строке без единиц. {}",
    "Rozwiąż następujące zadanie krok po kroku i zapisz końcowy wynik w ostatnim wierszu bez żadnych jednostek. {}",
    "Aşağıdaki problemi adım adım çöz, her adımı kısaca açıkla ve sonucu son satıra tek başına bir sayı olarak yaz. {}",
    "다음 문제를 단계별로 풀고 각 단계를 짧은 문장으로 설명한 다음 마지막 줄에 정답만 숫자로 적어 주세요. {}",
    "حل المسألة التالية خطوة بخطوة واشرح كل خطوة بجملة قصيرة ثم اكتب الجواب النهائي وحده في السطر الأخير. {}",
    "निम्नलिखित प्रश्न को चरण दर चरण हल करें और अंतिम उत्तर को आखिरी पंक्ति में केवल एक संख्या के रूप में लिखें। {}",
]
UNSPACED = [
    "请一步一步地思考下面的问题，写出完整的解题过程，并把最后的答案写在方框里面。\n{}",
    "你是一位耐心的数学老师，请用简短的句子解释每一个步骤，最后一行只写数字答案：{}",
    "問題を注意深く読み、途中の計算をすべて書いてから、最後の行に答えだけを数字で書いてください。\n{}",
    "系统：你是一个有用的助手，回答之前请先检查两遍计算结果。用户：{}助手：",
    "あなたは優秀な数学の先生です。生徒にもわかるように、順番に説明してください。質問：{}",
]
FORMS = [
    *((form, HELD_OUT, TRAINING) for form in INSTRUCTIONS),
    *((form, CHINESE, CHINESE_TRAINING) for form in UNSPACED),
]


def rules(text: str, rows: object) -> list[str]:
    return [hit.rule for hit in decontaminate.find([text], rows)]


@pytest.mark.parametrize(("form", "held_out", "training"), FORMS)
def test_shared_instruction_is_no_evidence_and_the_question_below_it_is(form, held_out, training):
    protected = [{"prompt": form.format(question)} for question in held_out]
    assert decontaminate.find([form.format(question) for question in training], protected) == []
    for of, question in enumerate(held_out):
        [hit] = decontaminate.find([form.format(question)], protected)
        assert (hit.rule, hit.of) == ("exact", of)
        assert [hit.of for hit in decontaminate.find([f"Other words first. {question}"], protected)] == [of]


@pytest.mark.parametrize("form", INSTRUCTIONS)
def test_two_evaluation_tasks_are_enough_to_know_an_instruction(form):
    protected = [form.format(question) for question in HELD_OUT[:2]]
    assert decontaminate.find([form.format(question) for question in TRAINING], protected) == []


def test_one_text_and_one_protected_task_are_compared_in_full():
    form = INSTRUCTIONS[0]
    assert rules(form.format(TRAINING[0]), [form.format(HELD_OUT[0])]) == ["half"]
    assert rules("请回答：" + CHINESE[0] + "谢谢", [CHINESE[0]]) == ["in_context"]


TEMPLATE = (
    "You are given an order from a small shop in our town. The customer, whose name is {}, wants to buy one {} and pays in cash. "
    "Write the reply of the shop to this order in exactly two friendly sentences, name the article, and thank the customer by name."
)
NAMES = ["Ann", "Bob", "Carla", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivo", "Jana", "Karl", "Lea"]
GOODS = ["lamp", "chair", "kettle", "rug", "vase", "clock", "shelf", "mirror"]


@pytest.mark.parametrize("count", [3, 12, 96])
def test_template_with_slots_is_found_with_its_own_slots_only(count):
    tasks = [TEMPLATE.format(name, good) for name in NAMES for good in GOODS][:count]
    assert rules(TEMPLATE.format("Zoe", "tent"), tasks) == []
    assert rules(TEMPLATE.format("Ann", "tent"), tasks) == []
    assert rules(tasks[2], tasks) == ["exact"]
    assert rules("Do this:\n" + tasks[1].upper() + "\nNow.", tasks) == ["spacing_case"]


def test_template_of_the_training_prompts_is_known_from_them():
    prompts = [TEMPLATE.format(name, "tent") for name in NAMES]
    alone = [TEMPLATE.format("Zoe", "lamp"), *HELD_OUT]
    assert rules(prompts[0], alone) == ["half"]
    known = Protected.of(alone, prompts)
    assert rules(prompts[0], known) == [] and rules(alone[0], known) == ["exact"]
    assert rules(prompts[0], Protected.of(alone, prompts[:3] * 20)) == ["half"]  # three prompts, however often
    assert rules(prompts[0], Protected.of(alone, prompts, common_training=20)) == ["half"]


def test_leak_that_stands_in_fifty_training_prompts_stays_a_leak():
    leaked = HELD_OUT[0]
    prompts = [
        f"Task {n} of chapter {NAMES[n % 12]}, {GOODS[n % 8]}: {leaked} Answer in a {GOODS[n % 7]}." for n in range(50)
    ]
    index = Protected.of(HELD_OUT, prompts)
    assert [hit.rule for hit in decontaminate.find(prompts, index)] == ["in_context"] * 50
    assert [hit.rule for hit in decontaminate.find(prompts, HELD_OUT)] == ["in_context"] * 50
    copies = [leaked.replace("24", "30")] * 50
    assert {hit.rule for hit in decontaminate.find(copies, Protected.of(HELD_OUT, copies))} == {"numbers"}


def test_task_that_stands_twice_among_the_evaluation_tasks_does_not_hide_itself():
    half = " ".join(HELD_OUT[0].split()[:13])
    for again in (HELD_OUT[0], HELD_OUT[0].replace("24", "36"), HELD_OUT[0].replace("baker", "cook")):
        hits = decontaminate.find([half], [*HELD_OUT, again])
        assert hits and hits[0].of == 0
    twice = [
        {"question": HELD_OUT[0], "answer": answer} for answer in ("He sells 96 rolls on it.", "Ninety-six rolls.")
    ]
    assert decontaminate.find([half], twice)


def test_paraphrases_among_the_evaluation_tasks_are_found_whole():
    words_of = ["A baker", "A cook", "One baker", "The cook", "Some baker"]
    family = [HELD_OUT[0].replace("A baker", start) for start in words_of]
    for task in family:
        assert "exact" in rules(task, family)
    assert rules("Read this: " + family[3], family) == ["in_context"]


def test_worked_example_in_every_prompt_may_be_trained_on():
    shown = (
        "Tom has 3 red pens and 4 blue pens in the left pocket of his grey coat. How many pens has he in that pocket?"
    )
    protected = [f"{shown}\n#### 7\n{question}" for question in HELD_OUT]
    assert rules(f"{shown}\nHe has 3 + 4 = 7 pens in it.", protected) == []


def test_system_message_in_a_field_of_its_own_is_no_evidence():
    system = "You are a careful assistant who always checks the arithmetic twice before writing anything down."
    rows = [{"system": system, "question": question} for question in HELD_OUT]
    assert rules(f"{system}\n{TRAINING[0]}", rows) == [] == rules(system, rows)
    assert rules(f"{system}\n{HELD_OUT[1]}", rows) == ["in_context"]


def test_short_answers_formulas_and_rows_of_numbers_are_no_evidence():
    for answer in (
        "42",
        "#### 1,234,567",
        "[1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233]",
        r"\frac{-b \pm \sqrt{b^2 - 4ac}}{2a}",
        "all of the above",
    ):
        rows = [{"question": question, "answer": answer} for question in HELD_OUT[:1]]
        assert rules(f"{TRAINING[0]}\nThe answer is {answer}", rows) == [], answer


def test_function_that_several_evaluation_tasks_share_is_no_evidence():
    helper = (
        "def is_prime(n):\n    if n < 2:\n        return False\n    for d in range(2, int(n ** 0.5) + 1):\n"
        "        if n % d == 0:\n            return False\n    return True\n"
    )
    own = [
        f"def task_{k}(items):\n    return [x ** {k} + {k} for x in items if is_prime(x) and x % {k} == 1][::{k}]\n"
        for k in (3, 5, 7)
    ]
    rows = [{"canonical_solution": f"{helper}\n{code}"} for code in own]
    assert rules(helper + "\nprint(is_prime(7))", rows) == []
    assert rules(own[1].replace("items", "xs"), rows) == ["code_renamed"]


def test_evaluation_tasks_of_numbers_alone_are_compared_whole():
    rows = [f"{a} + {b} = ?" for a in range(5) for b in range(5)]
    assert rules("3 + 4 = ?", rows) == ["exact"] and rules("33 + 4 = ?", rows) == []


def test_tasks_and_runs_are_counted():
    assert tasks_of([(b"a", "1"), (b"a", "2"), (b"b", "")]) == [0, 0, 1]
    assert tasks_of([(b"a", "1"), (b"a", "2"), (b"a", "3"), (b"a", "3")]) == [0, 1, 2, 2]
    block = words(["one two three four five six", "a b c", "", "one two three four five six 7 seven"])
    hashes, offsets, _ = without_numbers(block)
    runs, owners = runs_of(hashes, offsets)
    assert owners.tolist() == [0, 3, 3] and runs[0] == runs[1]
    questions = [hashes[offsets[i] : offsets[i + 1]] for i in (0, 3)]
    common, same = common_runs(runs, np.array([0, 1, 1]), 2, questions)
    assert common.tolist() == [] and same == [0, 0]  # one task in two wordings
    assert common_in_training(["one two three four five six"] * 9 + ["x " * 9], np.sort(runs), 1).tolist() == [runs[0]]
    assert common_in_training([], np.sort(runs), 1).tolist() == []


def traced(name: str, prompt: str, text: str) -> Trace:
    return Trace(
        task=Task(id=name, prompt=prompt, check={"type": "math"}),
        attempt=Attempt(task_id=name, attempt=0, round=1, text=text),
    )


@pytest.mark.parametrize("form", INSTRUCTIONS[:10])
def test_run_whose_prompts_share_an_instruction_keeps_its_attempts(form):
    held_out = [Task(id=f"dev/{n}", prompt=form.format(q), check={"type": "math"}) for n, q in enumerate(HELD_OUT)]
    pool = [Task(id=f"t/{n}", prompt=form.format(q), check={"type": "math"}) for n, q in enumerate(TRAINING)]
    flag = screen_of(False, Decontaminate(), "off", held_out, pool)
    traces = [traced(task.id, task.prompt, f"Let me see. {form.format('')} So it is 12. #### 12") for task in pool]
    assert flag(traces).flags == {}
    found = flag([*traces, traced("t/9", pool[0].prompt, HELD_OUT[2])])
    assert list(found.flags.values()) == ["contaminated"]
    [note] = found.notes.values()
    assert "held_out task dev/2" in note and "rule " in note and "characters " in note and "Nina reads" in note


def test_screen_is_none_where_no_rule_is_left():
    assert screen_of(False, Decontaminate.model_validate(False), "off", [], []) is None
    assert screen_of("arithmetic", Decontaminate(), "drop", [], []) is None


def test_leak_rules_of_the_config_reach_the_screen():
    held_out = [Task(id=f"dev/{n}", prompt=q, check={"type": "math"}) for n, q in enumerate(HELD_OUT)]
    traces = [traced("t", HELD_OUT[0].replace("24", "8"), "x")]
    assert screen_of(False, Decontaminate(), "off", held_out, [])(traces).flags
    assert not screen_of(False, Decontaminate(rules=("exact", "half", "code")), "off", held_out, [])(traces).flags


def test_a_switch_or_a_list_in_the_config_says_which_rules_count():
    assert Decontaminate().wanted == RULES and Decontaminate.model_validate(True) == Decontaminate()
    assert Decontaminate.model_validate(False).wanted == ()
    assert Decontaminate(rules=("code", "exact")).wanted == ("exact", "code_exact", "code_renamed")


def test_unknown_rule_in_the_config_is_refused_with_a_suggestion(tmp_path: Path):
    path = tmp_path / "run.yaml"
    body = (
        "propose: {tasks_per_round: 4}\ntasks: {source: arithmetic}\nstudent: {kind: tiny}\n"
        "train: {steps: 1, start: continue}\ncurate:\n  decontaminate: %s\n"
    )
    path.write_text(body % "{rules: [exact, in_contxt]}")
    with pytest.raises(ConfigError, match=r"run.yaml:\d+.*'in_contxt'.*did you mean 'in_context'"):
        load_config(path)
    path.write_text(body % "sometimes")
    with pytest.raises(ConfigError, match=r"'sometimes'.*write true, false"):
        load_config(path)
    path.write_text(body % "{common_tasks: 1}")
    with pytest.raises(ConfigError, match="common_tasks"):
        load_config(path)
    path.write_text(body % "false")
    assert load_config(path).config.curate.decontaminate.wanted == ()
    assert load_config(path, ["curate.decontaminate=true"]).config.curate.decontaminate == Decontaminate()


def test_note_on_a_leak_names_rule_task_and_characters():
    found = screen([traced("t1", f"Now: {HELD_OUT[1]}", "12")], {"dev": [{"id": "d7", "question": HELD_OUT[1]}]})
    [(name, note)] = found.notes.items()
    assert name == "r1/t1/0"
    assert note.startswith("rule in_context, dev task d7, characters 5 to ") and "'The lift climbs" in note


def test_draws_that_are_mostly_refused_are_said():
    assert too_many_filtered(10, 10) == ""
    said = too_many_filtered(10, 11)
    assert said.startswith("11 of 21 drawn tasks were filtered out") and "propose.tasks_per_round" in said
