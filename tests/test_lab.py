"""The laboratory: what it records, what it tells, and its page in a real Chromium.

`python tests/test_lab.py` writes the committed page anew, notebooks/xor_lab.html.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from math import inf, isclose, nan
from pathlib import Path
from typing import Any

import pytest

from autograd import Value, why
from nn import (
    MLP,
    SGD,
    Module,
    backprop_table,
    binary_cross_entropy,
    fit,
    lab,
)
from nn.laboratory import Lab, Training, dataset
from nn.laboratory.choices import ACTIVATIONS, COSTS, DATA
from nn.laboratory.numbers import in_two, packed, unpacked
from nn.laboratory.page import ALONE, FRAME_HEIGHT, page_size
from nn.laboratory.record import frame_length, frame_steps
from nn.laboratory.surprises import parameter_names, surprise

ROOT = Path(__file__).resolve().parent.parent
COMMITTED = ROOT / "notebooks" / "xor_lab.html"
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1200, "height": 800}


def quiet(*args: Any, **options: Any) -> Lab:
    return lab(*args, progress=False, **options)


def committed() -> Lab:
    """What the committed page holds."""
    return (
        quiet(["squared error", "cross-entropy", "hinge"], [0.3, 0.03, 1.0, 3.0])
        + quiet(["squared error on a sigmoid", "cross-entropy"], 1.0, start="sure")
        + quiet("squared error on a sigmoid", 1.0)
        + quiet("cross-entropy", 1.0, start="equal")
        + quiet("squared error", [0.03, 0.3], activation="relu", seed=7)
        + quiet("cross-entropy", 1.0, data=["moons", "circles"])
        + quiet("cross-entropy", 1.0, activation=["tanh", "sigmoid"], depth=3)
        + quiet("cross-entropy", 1.0, width=1)
        + quiet("cross-entropy", 1.0, activation="relu")
    )


@pytest.fixture(scope="module")
def small() -> Lab:
    """Two costs and two rates, one of them too large, and one choice for each kind."""
    return (
        quiet(["squared error", "cross-entropy"], [0.3, 1.0], steps=60)
        + quiet("squared error on a sigmoid", 1.0, start="sure", steps=60)
        + quiet("squared error", 0.3, activation="relu", seed=7, steps=60)
        + quiet("cross-entropy", 1.0, start="equal", steps=60)
        + quiet("cross-entropy", 1.0, data="circles", steps=30, frames=8)
        + quiet("cross-entropy", 1.0, activation="sigmoid", depth=3, steps=60)
    )


def content_of(page: str) -> Any:
    found = re.search(r'json" id="content">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


# ---- numbers -------------------------------------------------------------------------


NUMBERS = [
    0.0, 1.0, -1.0, 0.1, 9999.4, 9999.5, 99999.0, 1e4, 0.00012345, 0.000012345, -2 / 3,
    123456.0, 5e-324, -2.5e-310, 1.7e308, -1e-5, 1e21, 1e-7, 123.45, 2.5e15,
]  # fmt: skip


def test_packed_numbers_keep_four_digits_of_any_float() -> None:
    assert unpacked(packed(NUMBERS)) == [float(f"{x:.3e}") for x in NUMBERS]
    found = unpacked(packed([inf, -inf, nan]))
    assert found[:2] == [inf, -inf] and found[2] != found[2]


def test_number_in_two_has_eight_digits() -> None:
    for x in (2 / 3, -1e-9 / 7, 123456.789):
        assert isclose(sum(unpacked(packed(in_two(x)))), x, rel_tol=1e-7)


# ---- what may be chosen --------------------------------------------------------------


@pytest.mark.parametrize(
    "options, said",
    [
        ({"cost": "cross entropy"}, r"^lab: cost must be a name it knows.*'cross-entr"),
        (
            {"cost": 3},
            r"^lab: cost must be .*, but is 3; known are 'squar",
        ),
        ({"data": "moon"}, r"did you mean 'moons'\?"),
        ({"activation": "gelu"}, r"^lab: activation must be .*; (known|did you)"),
        ({"start": []}, r"^lab: start must name at least one choice"),
        ({"rate": 0.0}, r"^lab: rate must be a finite number above 0, but is 0.0"),
        ({"rate": [0.1, nan]}, r"^lab: rate must be a finite number above 0.*nan"),
        ({"rate": "fast"}, r"^lab: rate must be a finite number above 0"),
        ({"depth": -1}, r"^lab: depth must be a whole number from 0 to 6, but is -1"),
        ({"width": 9}, r"^lab: width must be a whole number from 1 to 8, but is 9"),
        ({"width": 2.5}, r"^lab: width must be a whole number"),
        ({"seed": True}, r"^lab: seed must be a whole number"),
        ({"steps": 0}, r"^lab: steps must be a whole number from 1 to 5000, but is 0"),
        ({"frames": 1}, r"^lab: frames must be a whole number from 2 to 200, but is 1"),
        ({"seed": range(401)}, r"at most 400 trainings and 10 MB, but would hold 3609"),
        (
            {"seed": range(40), "depth": 6, "width": 8, "frames": 200},
            r"but would hold 360 and \d+\.\d MB; shorten the longest list",
        ),
    ],
)
def test_wrong_choices_are_refused_before_any_training(
    options: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "nn.laboratory.page.train", lambda *args: pytest.fail("it trained")
    )
    with pytest.raises(ValueError, match=said):
        lab(**options)


def test_lists_are_combined_and_the_size_is_said_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = lab(["hinge", "hinge"], [0.1, 0.2], seed=range(3), steps=3)
    assert len(found.trainings) == 6
    assert repr(found) == "Lab(6 trainings, 24 frames)"
    said = re.match(
        r"lab: 6 trainings of up to 3 steps, a page of at most (\d+) kB",
        capsys.readouterr().err,
    )
    assert said and len(found.html.encode()) <= 1000 * (int(said[1]) + 1)


def test_page_is_not_larger_than_was_said(small: Lab) -> None:
    for training in small.trainings:
        alone = Lab([training])
        size = page_size([training.choice], training.steps, len(training.frames))
        assert len(alone.html.encode()) <= size


def test_labs_add_up_and_each_choice_is_there_once() -> None:
    a = quiet("hinge", [0.1, 0.2], steps=2)
    b = quiet("hinge", [0.2, 0.3], steps=2)
    assert [t.choice.rate for t in (a + b).trainings] == [0.1, 0.2, 0.3]
    with pytest.raises(TypeError):
        a + 1  # type: ignore[operator]


def test_dataset_has_two_classes_and_is_refused_by_name() -> None:
    for name in DATA:
        points, targets = dataset(name)
        assert sorted({*targets}) == [0, 1] and len(points) == len(targets)
        data = DATA[name]()
        assert all(data.low < x < data.high for point in points for x in point)
        assert len({*data.watched}) == 4
        assert {targets[p] for p in data.watched} == {0, 1}
    with pytest.raises(ValueError, match=r"^dataset: name must .*mean 'spiral'\?"):
        dataset("spirals")


# ---- what is recorded ----------------------------------------------------------------


def gradients(model: Module) -> list[float]:
    return [p.grad for p in model.parameters()]


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("data", ["xor", "moons"])
def test_training_is_what_fit_does(cost: str, data: str) -> None:
    (training,) = quiet(cost, 0.3, data=data, steps=12).trainings
    model = MLP(2, [4, 1], "tanh", seed=0)
    xs, ts = dataset(data)
    sgd = SGD(model.parameters(), lr=0.3)
    history = fit(model, xs, ts, COSTS[cost].loss, sgd, epochs=12, progress=False)
    assert training.losses[:-1] == history.loss
    assert training.path[-1] == [p.data for p in model.parameters()]


def test_frame_has_the_numbers_of_the_engine(small: Lab) -> None:
    for training in small.trainings:
        choice = training.choice
        for frame in training.frames[:: max(1, len(training.frames) // 3)]:
            model = training.model(frame.step)
            loss = choice.loss(model)
            loss.backward()
            assert frame.loss == loss.data == training.losses[frame.step]
            assert frame.gradient == gradients(model)
            for row, p in zip(frame.pulls, choice.points.watched):
                model = training.model(frame.step)
                choice.share(model, p).backward()
                assert row == gradients(model)
            outputs = [
                model(choice.points.points[p]).data for p in choice.points.watched
            ]
            assert [row[-1] for row in frame.z] == outputs


def test_pulls_of_all_points_add_up_to_the_gradient(small: Lab) -> None:
    for training in small.trainings[:4]:
        for frame in training.frames:
            for total, *pulls in zip(frame.gradient, *frame.pulls):
                size = sum(map(abs, pulls))
                assert isclose(sum(pulls), total, abs_tol=1e-14 * size)


def test_deltas_are_those_of_the_textbook() -> None:
    (training,) = quiet("cross-entropy", 0.5, depth=2, width=3, steps=5).trainings
    names = parameter_names([2, 3, 3, 1])
    biases = [i for i, name in enumerate(names) if name.startswith("b")]
    frame, data = training.frames[-1], training.choice.points
    model = training.model(frame.step)
    for p, pulls in zip(data.watched, frame.pulls):
        table = backprop_table(
            model, data.points[p], data.targets[p], binary_cross_entropy
        )
        deltas = [
            n.delta / 4 for layer in reversed(table.layers) for n in layer.neurons
        ]
        assert [pulls[i] for i in biases] == pytest.approx(deltas, rel=1e-12)


@pytest.mark.parametrize("depth, width", [(0, 1), (1, 8), (3, 2)])
@pytest.mark.parametrize("data", DATA)
def test_frame_is_as_long_as_is_said(depth: int, width: int, data: str) -> None:
    (training,) = quiet(
        "hinge", 0.1, data=data, depth=depth, width=width, steps=1
    ).trainings
    assert frame_length(training.choice) == len(training.frames[0].numbers)


def test_frames_begin_close_and_end_at_the_last_step() -> None:
    for last, frames in ((300, 40), (39, 40), (40, 40), (5, 2), (1, 200), (5000, 200)):
        steps = frame_steps(last, frames)
        assert steps[0] == 0 and steps[-1] == last and len(steps) <= frames
        assert steps == sorted({*steps})
    assert len(frame_steps(300, 40)) == 40


def test_training_that_diverges_ends_there() -> None:
    (training,) = quiet("squared error", 3.0).trainings
    assert training.diverged and training.losses[-1] > 1e6 and training.last < 10
    assert [frame.step for frame in training.frames] == [*range(training.last + 1)]


def test_training_that_overflows_ends_before_what_is_not_finite() -> None:
    (training,) = quiet("squared error", 1e200).trainings
    assert training.diverged and training.last >= 1
    assert all(w - w == 0 for row in training.path for w in row)


def test_start_is_as_it_is_called() -> None:
    assert {*quiet("hinge", 0.1, start="equal", steps=1).trainings[0].path[0]} == {0.5}
    sure, drawn = (
        quiet("hinge", 0.1, start=start, steps=1).trainings[0].path[0]
        for start in ("sure", "random")
    )
    assert sure[:-1] == drawn[:-1] and sure[-1] == 20.0


# ---- surprises -----------------------------------------------------------------------


def of_kind(found: Lab, kind: str) -> tuple[int, Training]:
    for i, training in enumerate(found.trainings):
        surprised = surprise(training)
        if surprised and surprised.kind == kind:
            return i, training
    raise AssertionError(f"no training with {kind}")


KINDS = ["γ too large", "saturation", "dead relus", "equal weights", "vanishing δ"]


def test_every_surprise_is_found_and_no_other(small: Lab) -> None:
    found = [surprise(training) for training in small.trainings]
    kinds = [s.kind if s else "" for s in found]
    assert kinds == [
        "", "γ too large", "", "", "saturation", "dead relus", "equal weights", "",
        "vanishing δ",
    ]  # fmt: skip
    for s in filter(None, found):
        assert len({*s.options}) == 3 and 0 <= s.answer < 3
        assert s.question.endswith("?")


def test_too_large_a_rate_is_told_with_the_numbers_of_the_run(small: Lab) -> None:
    _, training = of_kind(small, "γ too large")
    told = surprise(training)
    assert told
    first, last = training.losses[0], training.losses[-1]
    assert told.said[0] == (
        f"L is {first:.4g} at step 0 and {last:.4g} at step {training.last}."
    )
    assert f"from L = {first:.4g} to {training.losses[1]:.4g}" in "".join(told.said)


def labelled(training: Training, step: int) -> tuple[Value, MLP]:
    model = training.model(step)
    for p, name in zip(
        model.parameters(), parameter_names([2, *training.choice.nouts])
    ):
        p.label = name
    loss = training.choice.loss(model)
    loss.label = "L"
    return loss, model


def test_saturation_and_dead_relus_are_told_in_the_words_of_why(small: Lab) -> None:
    _, training = of_kind(small, "saturation")
    told = surprise(training)
    loss, model = labelled(training, 0)
    lines = why(loss, model.layers[-1].neurons[0].b).lines
    assert told and lines == told.said[1 : 1 + len(lines)]
    assert lines[1].startswith("1. saturated: sigmoid(")
    assert lines[0].startswith("∂L/∂b₂ = ") and "tiny" in lines[0]
    _, training = of_kind(small, "dead relus")
    told = surprise(training)
    loss, model = labelled(training, training.last)
    lines = why(loss, model.layers[0].neurons[0].b).lines
    assert told and lines == told.said[1 : 1 + len(lines)]
    assert lines[0].startswith("∂L/∂b₁[0] = 0: no path from L to b₁[0] is open")
    assert lines[1].startswith("1. off: relu(")


def test_equal_weights_are_told_with_what_they_become(small: Lab) -> None:
    _, training = of_kind(small, "equal weights")
    told = surprise(training)
    neuron = training.model(training.last).layers[0].neurons[3]
    w, u = (x.data for x in neuron.w)
    assert told and f"w = {w:.4g}, {u:.4g} and b = {neuron.b.data:.4g}" in told.said[0]


def test_dead_are_only_those_that_are_off_at_every_point(small: Lab) -> None:
    _, training = of_kind(small, "dead relus")
    told = surprise(training)
    off = [
        max(row[k] for row in training.frames[-1].z) <= 0
        for k in range(training.choice.width)
    ]
    assert told and f"{sum(off)} of 4 relus are dead" in told.said[0]


# ---- the code to check ---------------------------------------------------------------


@pytest.mark.parametrize("at", range(9))
def test_code_on_the_page_prints_the_loss_of_the_page(small: Lab, at: int) -> None:
    training = small.trainings[at]
    frame = training.frames[min(3, len(training.frames) - 1)]
    code = training.choice.code.replace("STEP", str(frame.step))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == f"{frame.loss:.4g}\n", done.stderr


# ---- the page as text ----------------------------------------------------------------


def test_page_refers_to_nothing_outside_and_is_the_same_every_time(small: Lab) -> None:
    page = small.html
    assert not re.findall(r"(?:src|href)=\"(?!data:|#|\$)", page)
    assert not re.findall(r"@import|url\(|fetch\(|XMLHttp|WebSocket", page)
    assert [*{*re.findall(r"\w+://[^\"]*", page)}] == ["http://www.w3.org/2000/svg"]
    again = quiet(["squared error", "cross-entropy"], [0.3, 1.0], steps=60)
    assert again.html == Lab(small.trainings[:4]).html


def test_page_has_the_colours_of_the_player() -> None:
    def colours(folder: str, name: str) -> list[str]:
        (path,) = (ROOT / folder).rglob(name)
        return re.findall(r"--\w+: #\w+", path.read_text(encoding="utf-8"))

    assert colours("nn", "page.css") == colours("autograd/show", "player.css")


def test_save_writes_the_page(small: Lab, tmp_path: Path) -> None:
    path = tmp_path / "lab.html"
    assert small.save(path) == str(path)
    assert path.read_text(encoding="utf-8") == small.html
    with pytest.raises(OSError, match=r"^lab: path must name a file that can be "):
        small.save(tmp_path / "no such folder" / "lab.html")


def test_committed_page_is_small_and_what_the_code_makes() -> None:
    page = COMMITTED.read_text(encoding="utf-8")
    content = content_of(page)
    assert len(page.encode()) < 1_000_000
    assert len(content["trainings"]) <= 24
    assert max(len(t["steps"]) for t in content["trainings"]) <= 40
    kinds = {t["surprise"]["kind"] for t in content["trainings"] if t["surprise"]}
    assert kinds == {*KINDS}
    fresh = quiet("hinge", 0.3)
    old, new = re.compile(r'id="content">.*?</script>', re.S), 'id="content"></script>'
    title = old.sub(new, fresh.html)
    assert old.sub(new, page) == title, "run python tests/test_lab.py"
    (made,) = content_of(fresh.html)["trainings"]
    (kept,) = [t for t in content["trainings"] if t["code"] == made["code"]]
    assert kept["steps"] == made["steps"]
    for part in ("frames", "curve"):
        found, wanted = unpacked(kept[part]), unpacked(made[part])
        assert found == pytest.approx(wanted, rel=2e-3, abs=1e-9)


# ---- the page in a browser: numbers --------------------------------------------------


def four(x: float) -> str:
    return f"{x + 0.0:.4g}"


def status(tab: Any) -> str:
    return str(tab.locator("#status").inner_text())


def step_of(tab: Any) -> int:
    found = re.match(r"Step (\d+) of", status(tab))
    assert found
    return int(found[1])


def test_script_writes_numbers_as_python_does(open_page: Any, small: Lab) -> None:
    tab = open_page(small.html)
    numbers = [x for x in NUMBERS if x < 1e308]
    text = packed(numbers)
    shown = tab.evaluate(f"unpack({text!r}, 0, {len(numbers)}).map(x => shown(x))")
    assert shown == [four(x) for x in numbers]
    assert tab.evaluate(f"unpack({packed([inf, -inf, nan])!r}, 0, 3).map(shown)") == [
        "inf", "-inf", "nan"
    ]  # fmt: skip


def test_every_recorded_number_is_the_engines_to_four_digits(
    open_page: Any, small: Lab
) -> None:
    tab = open_page(small.html)
    told = tab.evaluate(
        "trainings.map((training, t) => training.steps.map((_, frame) => {"
        "const r = recorded(t, frame), all = rows => rows.map(row => row.map(shown));"
        "return [r.step, shown(r.loss), r.right, r.weights.map(shown),"
        "r.gradient.map(shown), all(r.pulls), all(r.z), all(r.a)]; }))"
    )
    for training, frames in zip(small.trainings, told):
        assert len(training.frames) == len(frames)
        for frame, (step, loss, right, weights, gradient, *rows) in zip(
            training.frames, frames
        ):
            assert (step, loss, right) == (frame.step, four(frame.loss), frame.right)
            assert weights == [*map(four, frame.weights)]
            assert gradient == [*map(four, frame.gradient)]
            for row, wanted in zip(rows, (frame.pulls, frame.z, frame.a)):
                assert row == [[*map(four, numbers)] for numbers in wanted]


def test_page_prints_the_numbers_of_the_engine(open_page: Any, small: Lab) -> None:
    tab = open_page(small.html)
    for t in (0, 2, 7):
        training = small.trainings[t]
        names = parameter_names([2, *training.choice.nouts])
        biases = [i for i, name in enumerate(names) if name.startswith("b")]
        for f in (0, len(training.frames) // 2, len(training.frames) - 1):
            frame = training.frames[f]
            tab.evaluate(f"open({t}, '', {f})")
            all_points = len(training.choice.points.points)
            assert status(tab) == (
                f"Step {frame.step} of {training.last} · loss L = {four(frame.loss)} · "
                f"{frame.right} of {all_points} right"
            )
            for p in range(4):
                tab.locator(f"#point-{p}").check(force=True)
                shown = tab.locator(".card.op").evaluate_all(
                    "cards => cards.map(card => [...card.querySelectorAll('.value')]"
                    ".map(text => text.textContent))"
                )
                wanted = zip(frame.a[p], (frame.pulls[p][i] for i in biases))
                assert shown == [[four(a), four(delta)] for a, delta in wanted]
            for i in (1, len(names) - 1):
                tab.locator("#weight").select_option(str(i))
                numbers = tab.locator(".bar span:last-child").all_inner_texts()
                assert numbers == [
                    *(four(row[i]) for row in frame.pulls), four(frame.gradient[i])
                ]  # fmt: skip
                said = tab.locator("#bars p").inner_text()
                assert said.startswith(f"{names[i]} = {four(frame.weights[i])}.")


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_formula_of_the_script_is_the_engines(
    open_page: Any, activation: str
) -> None:
    found = quiet("hinge", 0.3, activation=activation, depth=2, width=3, steps=4)
    (training,) = found.trainings
    tab = open_page(found.html)
    for f, frame in enumerate(training.frames):
        for p, x in enumerate(training.choice.points.points):
            call = f"forward(recorded(0, {f}).exact, [2, 3, 3, 1], {activation!r}, {x})"
            assert tab.evaluate(call + ".flat()") == pytest.approx(
                frame.a[p], rel=1e-6, abs=1e-6
            )


@pytest.mark.parametrize("t", [0, 2, 7])
def test_map_of_the_plane_is_what_the_model_answers(
    open_page: Any, small: Lab, t: int
) -> None:
    training, size = small.trainings[t], 12
    data, threshold = training.choice.points, COSTS[training.choice.cost].threshold
    tab = open_page(small.html)
    last = len(training.frames) - 1
    score = f"grid(recorded({t}, {last}).exact, opened({t}).widths, 'tanh', "
    maps = tab.evaluate(score + f"{data.low}, {data.high}, {size}).map(m => [...m])")
    model = training.model(training.last)
    for row in range(size):
        for column in range(size):
            x = data.low + (data.high - data.low) * (column + 0.5) / size
            y = data.high - (data.high - data.low) * (row + 0.5) / size
            z = model([x, y]).data
            assert maps[-1][row * size + column] == pytest.approx(z, rel=1e-5, abs=1e-5)
    tab.evaluate(f"open({t}, '', {last})")
    drawn = tab.evaluate("[...viewed().scores].map(x => x > 0)")
    size = 60
    for i in range(0, size * size, 97):
        x = data.low + (data.high - data.low) * (i % size + 0.5) / size
        y = data.high - (data.high - data.low) * (i // size + 0.5) / size
        score_here = model([x, y]).data - threshold
        if abs(score_here) > 1e-4:
            assert drawn[i] == (score_here > 0)


# ---- the page in a browser: every control --------------------------------------------


def test_buttons_keys_and_slider_go_through_the_frames(
    open_page: Any, small: Lab
) -> None:
    steps = [frame.step for frame in small.trainings[0].frames]
    tab = open_page(small.html)
    assert step_of(tab) == 0 and tab.locator("#back").is_disabled()
    for control, wanted in (("next", 1), ("next", 2), ("back", 1), ("last", -1)):
        tab.locator(f"#{control}").click()
        assert step_of(tab) == steps[wanted]
    assert tab.locator("#next").is_disabled()
    tab.locator("#first").click()
    for focus in ("body", "#slider", "#net", "#panel", "#pass"):
        tab.locator(focus).focus()
        for key, wanted in (
            ("ArrowRight", 1), ("End", -1), ("ArrowLeft", -2), ("Home", 0),
        ):  # fmt: skip
            tab.keyboard.press(key)
            assert step_of(tab) == steps[wanted], (focus, key)
    tab.locator("#slider").fill("17")
    assert step_of(tab) == steps[17]
    spoken = tab.locator("#slider").get_attribute("aria-valuetext")
    loss = small.trainings[0].frames[17].loss
    assert spoken == f"step {steps[17]}, loss {four(loss)}"


def test_play_runs_to_the_end_pauses_and_begins_anew(
    open_page: Any, small: Lab
) -> None:
    steps = [frame.step for frame in small.trainings[0].frames]
    tab = open_page(small.html)
    tab.clock.install(time=0)
    tab.reload()
    tab.clock.pause_at(60)
    tab.locator("#run").click()
    assert tab.locator("#run").inner_text() == "Pause"
    tab.clock.run_for(3 * 160 + 50)
    assert step_of(tab) == steps[3]
    tab.locator("#net").press(" ")
    tab.clock.run_for(2000)
    assert (step_of(tab), tab.locator("#run").inner_text()) == (steps[3], "Play")
    tab.locator("#net").press(" ")
    tab.clock.run_for(20_000)
    assert (step_of(tab), tab.locator("#run").inner_text()) == (steps[-1], "Play")
    tab.locator("#run").click()
    assert step_of(tab) == 0


def test_choice_switches_at_once_and_keeps_the_step(open_page: Any, small: Lab) -> None:
    tab = open_page(small.html)
    tab.locator("#slider").fill("20")
    step = step_of(tab)
    tab.locator("#cost-1").check(force=True)
    assert tab.locator("#cost-1").is_checked() and step_of(tab) == step
    wanted = small.trainings[2].frames[20].loss
    assert f"loss L = {four(wanted)}" in status(tab)
    tab.locator("#cost-1").press("ArrowLeft")  # a radio's own key: no frame moves
    assert tab.locator("#cost-0").is_checked() and step_of(tab) == step


def test_choice_that_was_not_trained_leads_to_the_nearest_and_says_so(
    open_page: Any, small: Lab
) -> None:
    tab = open_page(small.html)
    far = tab.locator(".chip.far span").all_inner_texts()
    assert "circles" in far and "cross-entropy" not in far
    tab.locator("#data-1").check(force=True)
    said = tab.locator("#panel").inner_text()
    assert "no such training; the nearest one has also cost function: cross" in said
    assert "learning rate γ: 1" in said and "of 24 right" in status(tab)
    tab.locator("#next").click()
    assert "no such training" not in tab.locator("#panel").inner_text()


def test_choice_of_many_is_a_slider(open_page: Any) -> None:
    found = quiet("hinge", 0.3, seed=range(8), steps=5)
    tab = open_page(found.html)
    slider = tab.locator("#seed-slider")
    slider.fill("6")
    assert f"L = {four(found.trainings[6].losses[0])}" in status(tab)
    slider.press("ArrowRight")
    assert f"L = {four(found.trainings[7].losses[0])}" in status(tab)
    assert slider.get_attribute("aria-valuetext") == "7"
    assert tab.evaluate("document.activeElement.id") == "seed-slider"
    assert "cost function: hinge" in tab.locator("#choices .only").inner_text()


def factor(x: float) -> str:
    return f"({four(x)})" if x < 0 else four(x)


def test_sums_of_a_pass_are_told_with_their_terms(open_page: Any, small: Lab) -> None:
    tab = open_page(small.html, "#training=0&frame=10")
    frame = small.trainings[0].frames[10]
    tab.keyboard.press(".")
    tab.keyboard.press(".")
    w, u, b = map(factor, frame.weights[:3])
    wanted = f"uppermost neuron: {w} · 0 + {u} · 1 + {b} ≈ {four(frame.z[1][0])}"
    assert wanted in tab.locator("#panel").inner_text()
    tab.keyboard.press(".")
    terms = zip(frame.weights[12:16], frame.a[1])
    wanted = " + ".join(f"{factor(w)} · {factor(a)}" for w, a in terms)
    assert wanted in tab.locator("#panel").inner_text()


def shown_rows(tab: Any) -> list[str]:
    return list(tab.locator(".card .value").all_text_contents())


def test_one_pass_goes_forward_and_then_back(open_page: Any, small: Lab) -> None:
    tab = open_page(small.html, "#training=0&frame=10")
    frame = small.trainings[0].frames[10]
    parts = []
    for _ in range(7):
        tab.locator("#after").click()
        dashes = [text == "–" for text in shown_rows(tab)]
        lit = tab.locator(".card.lit").count()
        running = tab.locator(".edge.running").count()
        words = tab.locator("#panel").inner_text()
        parts.append((sum(dashes), lit, running, words.split("\n")[0][:20]))
    assert [part[:3] for part in parts] == [
        (11, 0, 0), (7, 4, 8), (6, 1, 4), (5, 1, 0), (4, 1, 0), (0, 4, 4), (0, 0, 0)
    ]  # fmt: skip
    assert [part[3] for part in parts] == [
        "The inputs: x = (0, ", "Forward: numbers run", "Forward: numbers run",
        "How wrong is it?", "Backward: the error ", "… and runs back alon",
        "Each weight's gradie",
    ]  # fmt: skip
    tab.keyboard.press(",")
    deltas = ", ".join(four(frame.pulls[1][i]) for i in (2, 5, 8, 11))
    said = tab.locator("#panel").inner_text()
    assert f"δ₁ = (W₂ᵀδ₂) ⊙ tanh′(z₁) = [{deltas}]" in said
    assert (
        f"uppermost neuron: {factor(frame.weights[12])} · {factor(frame.pulls[1][16])}"
        f" · tanh′({four(frame.z[1][0])}) ≈ {four(frame.pulls[1][2])}"
    ) in said
    tab.locator("#before").click()
    assert (
        f"δ₂ = ∂L/∂z₂ = {four(frame.pulls[1][16])}"
        in tab.locator("#panel").inner_text()
    )
    tab.locator("#next").click()
    assert "–" not in shown_rows(tab)


def test_last_part_of_a_pass_shows_gradients_on_the_lines(
    open_page: Any, small: Lab
) -> None:
    tab = open_page(small.html, "#training=0&frame=10")
    frame = small.trainings[0].frames[10]
    biases = {2, 5, 8, 11, 16}
    for numbers in (frame.weights, frame.pulls[1]):
        labels = tab.locator(".edge").evaluate_all(
            "all => all.filter(edge => edge.dataset.weight)"
            ".map(edge => [Number(edge.dataset.weight),"
            " edge.querySelector('text').textContent])"
        )
        assert sorted(labels) == [
            [i, four(x)] for i, x in enumerate(numbers) if i not in biases
        ]
        tab.keyboard.press(",")


def test_pass_plays_by_button_and_key_and_sends_dots_if_motion_is_liked(
    open_page: Any, small: Lab
) -> None:
    for motion, dots in (("reduce", False), ("no-preference", True)):
        tab = open_page(small.html, reduced_motion=motion)
        tab.locator("#pass").click()
        seen = [tab.locator(".dot").count()]
        tab.locator(".edge.running").first.wait_for(state="attached")
        seen.append(tab.locator(".dot").count())
        assert (max(seen) > 0) == dots
        tab.keyboard.press("p")
        assert tab.locator(".passing").count() == 0


def test_point_is_chosen_by_chip_and_on_the_map(open_page: Any, small: Lab) -> None:
    tab = open_page(small.html, "#training=0&frame=39")
    frame = small.trainings[0].frames[39]
    output = tab.locator(".card.op .value").nth(8)
    box = tab.locator("#map").bounding_box()
    for p, (x, y) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        tab.locator("#map").click(
            position={
                "x": box["width"] * (x + 0.5) / 2, "y": box["height"] * (1.5 - y) / 2
            }
        )  # fmt: skip
        assert tab.locator(f"#point-{p}").is_checked()
        assert output.text_content() == four(frame.a[p][-1])


def test_weight_is_chosen_by_list_line_and_card(open_page: Any, small: Lab) -> None:
    tab = open_page(small.html, "#training=0&frame=20")
    names = parameter_names([2, 4, 1])
    options = tab.locator("#weight option").all_inner_texts()
    assert options == names
    tab.locator("#weight").select_option(label="b₁[2]")
    assert tab.locator("#bars p").inner_text().startswith("b₁[2] = ")
    tab.locator(".edge[data-weight='13'] .hit").dispatch_event("click")
    assert tab.locator("#weight").input_value() == "13"
    assert tab.locator(".edge.chosen").count() == 1
    tab.locator(".card.op").nth(4).click()
    assert tab.locator("#bars p").inner_text().startswith("b₂ = ")


def test_curves_show_every_step_and_lead_there(open_page: Any, small: Lab) -> None:
    tab = open_page(small.html, "#training=0&frame=39", viewport=DESK)
    training = small.trainings[0]
    path = tab.locator("#loss .curve:not(.ahead)").get_attribute("d")
    assert len(re.findall("[ML]", path)) == training.last + 1
    assert tab.locator("#sizes .curve:not(.ahead)").count() == 2
    told = tab.locator("#sizes").get_attribute("aria-label")
    sizes = training.sizes[training.last]
    assert f"layer 1: {four(sizes[0])}, layer 2: {four(sizes[1])}" in told
    box = tab.locator("#loss").bounding_box()
    tab.locator("#loss").click(
        position={"x": 40 + (box["width"] - 46) / 2, "y": box["height"] / 2}
    )
    assert abs(step_of(tab) - training.last / 2) <= 2


def test_code_to_check_names_the_step_that_is_shown(open_page: Any, small: Lab) -> None:
    tab = open_page(small.html, "#training=0&frame=20")
    tab.locator("#check summary").click()
    step = small.trainings[0].frames[20].step
    assert f"epochs={step} + 1," in tab.locator("#code").inner_text()


def test_address_opens_a_frame_and_follows(open_page: Any, small: Lab) -> None:
    tab = open_page(small.html, "#training=2&frame=5")
    assert f"L = {four(small.trainings[2].frames[5].loss)}" in status(tab)
    tab.locator("#next").click()
    tab.wait_for_url("**#training=2&frame=6")
    tab.goto(tab.url.replace("training=2", "training=99"))
    assert "Before you play" in tab.locator("#panel").inner_text()


# ---- the page in a browser: surprises ------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_surprise_asks_first_and_tells_why_afterwards(
    open_page: Any, small: Lab, kind: str
) -> None:
    t, training = of_kind(small, kind)
    told = surprise(training)
    assert told
    tab = open_page(small.html, "#training=0&frame=30")
    tab.locator(f"#surprise-{kind.replace(' ', '-')}").click()
    panel = tab.locator("#panel")
    assert told.question in panel.inner_text() and step_of_hidden(tab)
    for control in ("next", "last", "run", "slider"):
        assert tab.locator(f"#{control}").is_disabled()
    tab.keyboard.press("End")
    assert step_of_hidden(tab) and tab.locator(".curve.ahead").count() == 0
    assert f"step {training.last}" not in tab.locator("#loss").text_content()
    assert tab.locator("#panel button").all_inner_texts() == [*told.options]
    wrong = (told.answer + 1) % 3
    tab.locator(f"#answer-{wrong}").click()
    said = panel.inner_text()
    assert step_of(tab) == training.last  # motion is not liked here: the end at once
    head = told.options[told.answer]
    assert f"You said “{told.options[wrong]}”: but {head[0].lower()}{head[1:]}." in said
    for line in told.said:
        assert " ".join(line.split()) in " ".join(said.split())
    tab.locator("#compare").click()
    shown = tab.evaluate("state.t")
    assert shown != t and small.trainings[shown].learned


def step_of_hidden(tab: Any) -> bool:
    return status(tab).startswith("Step 0 of … ")


def test_right_answer_plays_and_is_told_at_the_end(open_page: Any, small: Lab) -> None:
    _, training = of_kind(small, "saturation")
    told = surprise(training)
    assert told
    tab = open_page(small.html, reduced_motion="no-preference")
    tab.locator("#surprise-saturation").click()
    tab.locator(f"#answer-{told.answer}").click()
    assert tab.locator("#run").inner_text() == "Pause"
    assert "Watch the loss" in tab.locator("#panel").inner_text()
    tab.locator("#end").click()
    assert "saturation. You were right: it " in tab.locator("#panel").inner_text()
    tab.locator("#first").click()
    assert "You were right" in tab.locator("#panel").inner_text()


# ---- the page in a browser: sizes and schemes ----------------------------------------


@pytest.mark.parametrize("viewport", [DESK, {"width": 800, "height": 700}, PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_its_width_and_is_legible(
    open_page: Any, small: Lab, viewport: dict[str, int], scheme: str
) -> None:
    tab = open_page(small.html, viewport=viewport, color_scheme=scheme)
    for t in range(len(small.trainings)):
        tab.evaluate(f"open({t})")
        wide = tab.evaluate("document.documentElement.scrollWidth")
        assert wide <= viewport["width"]
        letters = tab.locator(".card .value").evaluate_all(
            "all => all.map(text => text.getBoundingClientRect().height)"
        )
        assert min(letters) > 7.5
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_page_needs_no_scrolling_at_1000_pixels(open_page: Any) -> None:
    size = {"width": 1000, "height": FRAME_HEIGHT}
    tab = open_page(COMMITTED.read_text(encoding="utf-8"), viewport=size)
    assert tab.evaluate("document.documentElement.scrollHeight") <= FRAME_HEIGHT


@pytest.mark.parametrize("width", [590, 700, 1000])
@pytest.mark.parametrize("depth", [1, 3])
def test_one_training_beside_sliders_needs_no_scrolling(
    open_page: Any, width: int, depth: int
) -> None:
    """A notebook in a window of 1000 pixels leaves a frame of 590 beside sliders."""
    found = quiet("cross-entropy", 0.3, depth=depth)
    assert f"height:{ALONE}px" in found._repr_html_()
    tab = open_page(found.html, viewport={"width": width, "height": ALONE})
    assert tab.evaluate("document.documentElement.scrollHeight") <= ALONE
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_text_of_cards_stays_inside_them(open_page: Any, small: Lab) -> None:
    for t in (0, 8):
        tab = open_page(small.html, f"#training={t}", viewport=DESK)
        tab.evaluate("answered.set(8, 0)")
        tab.keyboard.press("End")
        outside = tab.locator(".card").evaluate_all(
            "cards => cards.filter(card => {"
            "const box = card.querySelector('.rule').getBoundingClientRect();"
            "return [...card.querySelectorAll('text')].some(text => {"
            "const inner = text.getBoundingClientRect();"
            "return inner.left < box.left - 1 || inner.right > box.right + 1"
            " || inner.top < box.top - 2 || inner.bottom > box.bottom + 2; }); })"
            ".length"
        )
        assert outside == 0


def test_every_control_is_reached_by_the_tab_key(open_page: Any, small: Lab) -> None:
    tab = open_page(small.html, "#training=0&frame=5")
    seen = []
    for _ in range(60):
        tab.keyboard.press("Tab")
        seen.append(tab.evaluate("document.activeElement.id"))
    for wanted in (
        "cost-0", "rate-0", "surprise-saturation", "first", "back", "run", "next",
        "last", "slider", "pass", "before", "after", "point-1", "weight",
    ):  # fmt: skip
        assert wanted in seen, wanted


def test_page_prints_without_its_controls(open_page: Any, small: Lab) -> None:
    tab = open_page(small.html, "#training=0&frame=20")
    tab.emulate_media(media="print")
    for hidden in ("#run", "#slider", "footer", ".surprises"):
        assert not tab.locator(hidden).is_visible()
    for kept in ("#net svg", "#map", "#loss", "#bars", "#status"):
        assert tab.locator(kept).is_visible()


def test_notebook_gets_a_sandboxed_frame_that_plays(open_page: Any, small: Lab) -> None:
    tab = open_page(f"<body theme=dark>{small._repr_html_()}</body>")
    frame = tab.frame_locator("iframe")
    frame.locator("#next").click()
    assert re.match("Step 1 of", frame.locator("#status").inner_text())
    frame.locator("#net").press("End")
    last = small.trainings[0].last
    assert re.match(f"Step {last} of", frame.locator("#status").inner_text())


def test_committed_page_opens_and_plays(open_page: Any) -> None:
    page = COMMITTED.read_text(encoding="utf-8")
    count = len(content_of(page)["trainings"])
    tab = open_page(page)
    assert tab.locator("h1").inner_text() == "The XOR laboratory"
    assert {*tab.locator(".surprises button").all_inner_texts()} == {*KINDS}
    for t in range(count):
        tab.evaluate(f"answered.set({t}, 0); open({t}, '', 0)")
        tab.keyboard.press("End")
        assert "nan" not in tab.locator("body").inner_text().lower().split()


if __name__ == "__main__":
    print(committed().save(COMMITTED))
