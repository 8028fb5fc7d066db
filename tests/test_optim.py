"""Optimizers make the steps of their papers, and none from a broken gradient."""

from copy import deepcopy
from math import inf, nan, sqrt

import pytest
from interrupts import interrupted_everywhere

from autograd import Value, value
from nn import MLP, SGD, Adam, compiled, module, optim

OPTIMIZERS = [SGD, Adam]


def steps(optimizer, w, gradients):
    """Feed given gradients; the parameter after each step."""
    path = []
    for g in gradients:
        w.grad = g
        optimizer.step()
        path.append(w.data)
    return path


def test_sgd_moves_against_the_gradient():
    w = Value(1.0)
    assert steps(SGD([w], lr=0.5), w, [2.0, -4.0]) == [0.0, 2.0]


def test_sgd_with_momentum_follows_its_recurrence():
    w = Value(0.0)
    path = steps(SGD([w], lr=0.5, momentum=0.5), w, [1.0, 1.0, 0.0])
    assert path == [-0.5, -0.5 - 0.75, -0.5 - 0.75 - 0.375]


def test_sgd_with_weight_decay_shrinks_the_weight():
    w = Value(2.0)
    assert steps(SGD([w], lr=0.5, weight_decay=0.25), w, [0.0, 1.0]) == [
        1.75,
        1.75 - 0.5 * (1.0 + 0.25 * 1.75),
    ]


def test_adam_makes_first_steps_as_by_hand():
    w = Value(1.0)
    first, second = steps(Adam([w], lr=0.1), w, [2.0, -1.0])
    assert first == pytest.approx(1.0 - 0.1 * 2.0 / (2.0 + 1e-8), rel=1e-14)
    m = (0.9 * 0.2 - 0.1 * 1.0) / (1 - 0.9**2)
    v = (0.999 * 0.004 + 0.001 * 1.0) / (1 - 0.999**2)
    assert second == pytest.approx(first - 0.1 * m / (sqrt(v) + 1e-8), rel=1e-12)


def test_adam_steps_do_not_depend_on_the_scale_of_the_gradient():
    small, large = Value(0.0), Value(0.0)
    gradients = [1.0, 3.0, -2.0, 0.5]
    path = steps(Adam([small], lr=0.1), small, gradients)
    scaled = steps(Adam([large], lr=0.1), large, [1e6 * g for g in gradients])
    assert scaled == pytest.approx(path, rel=1e-6)


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_optimizer_finds_the_bottom_of_a_bowl(make):
    x, y = Value(3.0), Value(-2.0)
    optimizer = make([x, y], lr=0.05)
    for _ in range(500):
        optimizer.zero_grad()
        ((x - 1) ** 2 + 4 * (y + 0.5) ** 2).backward()
        optimizer.step()
    assert (x.data, y.data) == pytest.approx((1.0, -0.5), abs=1e-4)


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_optimizer_moves_a_shared_parameter_once(make):
    once, twice = Value(1.0), Value(1.0)
    once.grad = twice.grad = 0.5
    make([once], lr=0.1).step()
    make([twice, twice], lr=0.1).step()
    assert once.data == twice.data


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_optimizer_uses_an_lr_assigned_between_steps(make):
    w = Value(0.0)
    optimizer = make([w], lr=0.1)
    (first,) = steps(optimizer, w, [1.0])
    optimizer.lr = 0.2
    (second,) = steps(optimizer, w, [1.0])
    assert second - first == pytest.approx(2 * first)


@pytest.mark.parametrize("make", OPTIMIZERS)
@pytest.mark.parametrize("broken", [nan, inf, -inf])
def test_step_with_a_broken_gradient_raises_and_moves_nothing(make, broken):
    model = MLP(2, [2, 1], seed=0)
    optimizer = make(model.parameters(), lr=0.1)
    state = {k: repr(v) for k, v in vars(optimizer).items() if k != "params"}
    before = [p.data for p in model.parameters()]
    for p in model.parameters():
        p.grad = 1.0
    model.layers[1].neurons[0].b.grad = broken
    with pytest.raises(FloatingPointError, match=r"step: .*layers.1.neurons.0.b is "):
        optimizer.step()
    assert [p.data for p in model.parameters()] == before
    assert state == {k: repr(v) for k, v in vars(optimizer).items() if k != "params"}


@pytest.mark.parametrize(
    "make, lr, what", [(SGD, 1e200, "moved parameter"), (Adam, 0.1, "mean squared")]
)
def test_step_that_overflows_raises_and_moves_nothing(make, lr, what):
    w, x = Value(1.0), Value(2.0)
    optimizer = make([w, x], lr=lr)
    w.grad, x.grad = 1.0, 1e200
    with pytest.raises(
        FloatingPointError, match=f"every {what}.* of parameter 1 is -?inf"
    ):
        optimizer.step()
    assert (w.data, x.data) == (1.0, 2.0)


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_steps_of_lists_and_arrays_are_equal_and_mix(make):
    np = pytest.importorskip("numpy")
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(6, 50)) * 10.0 ** rng.integers(-9, 9, 50)
    lists, mixed = (make([Value(w) for w in gradients[0]], lr=0.1) for _ in range(2))
    weights = gradients[0].tolist()
    for k, g in enumerate(gradients):
        as_now = list if k % 3 else np.array
        found = mixed.moved(as_now(weights), as_now(g.tolist()))
        weights = lists.moved(weights, g.tolist())
        assert weights == list(found)
        assert type(weights[0]) is float


@pytest.mark.parametrize("make", OPTIMIZERS)
@pytest.mark.parametrize("broken", [nan, inf, -inf])
def test_step_of_arrays_refuses_a_broken_gradient_and_keeps_its_state(make, broken):
    np = pytest.importorskip("numpy")
    optimizer = make([Value(1.0), Value(2.0, label="second")], lr=0.1)
    state = repr(vars(optimizer))
    with pytest.raises(FloatingPointError, match="every gradient .* of second is"):
        optimizer.moved(np.ones(2), np.array([1.0, broken]))
    assert repr(vars(optimizer)) == state


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_zero_grad_clears_the_parameters(make):
    w = Value(1.0)
    w.grad = 3.0
    make([w], lr=0.1).zero_grad()
    assert w.grad == 0.0


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_optimizer_without_parameters_is_refused(make):
    with pytest.raises(ValueError, match="params must hold at least one .*; pass"):
        make([], lr=0.1)


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_optimizer_of_computed_values_is_refused(make):
    w = Value(1.0)
    for wrong in (w * 2, 1.0, [w]):
        with pytest.raises(TypeError, match="params must be leaf Values, but one is"):
            make([w, wrong], lr=0.1)


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_optimizer_given_the_model_asks_for_its_parameters(make):
    with pytest.raises(TypeError, match=r"but one is MLP\(.*pass model.parameters\(\)"):
        make(MLP(1, [1]), lr=0.1)


@pytest.mark.parametrize("make", OPTIMIZERS)
@pytest.mark.parametrize("lr", [0.0, -0.1, inf, nan, "0.1", None])
def test_optimizer_refuses_an_lr_that_is_not_above_zero(make, lr):
    with pytest.raises(ValueError, match="lr must be above 0 and finite, but is"):
        make([Value(1.0)], lr=lr)


@pytest.mark.parametrize(
    "make, wrong",
    [
        (SGD, {"momentum": 1.0}),
        (SGD, {"momentum": -0.1}),
        (SGD, {"weight_decay": -1e-4}),
        (SGD, {"weight_decay": inf}),
        (Adam, {"betas": (1.0, 0.999)}),
        (Adam, {"betas": (0.9, -0.1)}),
        (Adam, {"eps": 0.0}),
    ],
)
def test_optimizer_refuses_hyperparameters_out_of_range(make, wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=rf"^{make.__name__}: {name}.* must be "):
        make([Value(1.0)], lr=0.1, **wrong)


# ---- interrupts ----------------------------------------------------------------------

MAKERS = [
    lambda params: SGD(params, lr=0.5, momentum=0.5),
    lambda params: Adam(params, lr=0.25),
]


def stepped(make, made, n=2):
    """Steps of a new optimizer; `made` has it and its parameters from the start."""
    params = [Value(1.0), Value(-2.0), Value(3.0)]
    made.clear()
    made[:] = params, make(params)
    for _ in range(n):
        for p in params:
            p.grad = 1.0 + p.data
        made[1].step()


def state(made):
    params, optimizer = made
    sums = [list(getattr(optimizer, name, ())) for name in "mv"]
    return [p.data for p in params], sums, getattr(optimizer, "t", 0)


@pytest.mark.parametrize("make", MAKERS)
def test_interrupted_step_is_a_whole_one_or_none(make):
    made, whole = [], []
    for n in range(3):
        stepped(make, made, n)
        whole.append(state(made))
    files = optim.__file__, value.__file__
    for _ in interrupted_everywhere(lambda: stepped(make, made), *files):
        if made:
            assert state(made) in whole


@pytest.mark.parametrize("make", MAKERS)
def test_interrupted_step_on_arrays_is_a_whole_one_or_none(make):
    np = pytest.importorskip("numpy")
    step = object.__new__(compiled.Compiled)

    def begin():
        step.optimizer = make([Value(1.0), Value(-2.0)])
        step.on_arrays, step.weights = True, np.array([1.0, -2.0])

    def found():
        optimizer = step.optimizer
        sums = [np.array(getattr(optimizer, name, 0.0)).tolist() for name in "mv"]
        return step.weights.tolist(), sums, getattr(optimizer, "t", 0)

    begin()
    whole = [found()]
    step.step(np.array([0.5, 0.25]))
    whole.append(found())
    begin()
    files = optim.__file__, compiled.__file__
    work = lambda: step.step(np.array([0.5, 0.25]))  # noqa: E731
    for _ in interrupted_everywhere(work, *files):
        assert found() in whole
        begin()


def test_interrupted_assignment_is_made_to_its_end():
    values = [Value(1.0), Value(2.0), Value(3.0)]

    def work():
        for v in values:
            v.data = 0.0
        module.give_all(values, "data", [4.0, 5.0, 6.0])

    for _ in interrupted_everywhere(work, module.__file__):
        assert [v.data for v in values] in ([0.0, 0.0, 0.0], [4.0, 5.0, 6.0])


# ---- what is noticed -----------------------------------------------------------------


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_step_of_an_optimizer_whose_model_was_copied_is_noticed(kind):
    model = MLP(2, [2, 1], seed=0)
    optimizer = kind(model.parameters(), lr=0.1)
    trained = deepcopy(model)
    for _ in range(2):
        optimizer.zero_grad()
        trained([1.0, 2.0]).backward()
        with pytest.warns(RuntimeWarning, match="none has; .* anew for a copy") as seen:
            optimizer.step()
        assert seen[0].filename == __file__


def test_step_without_a_sweep_is_noticed_and_one_with_it_is_not():
    w = Value(1.0)
    with pytest.warns(RuntimeWarning, match=r"SGD.step: .* call backward\(\) first"):
        SGD([w], lr=0.1).step()
    for optimizer in (SGD([w], lr=0.1), Adam([w, Value(2.0)])):
        (w * w).backward()
        optimizer.step()
        optimizer.zero_grad()
        assert w.grad == 0.0 and w.reached
        optimizer.step()


def test_zero_grad_leaves_what_no_sweep_has_reached():
    w, unused = Value(1.0), Value(2.0)
    optimizer = SGD([w, unused], lr=0.1)
    (w * w).backward()
    optimizer.zero_grad()
    assert (w.grad, unused.grad) == (0.0, 0.0)
    assert w.reached and not unused.reached
