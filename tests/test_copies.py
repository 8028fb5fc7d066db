"""Copies and pickles of graphs: what was linked stays linked, at a linear cost."""

from __future__ import annotations

import copy
import gc
import io
import itertools
import multiprocessing
import pickle
import random
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import autograd
from autograd import Value, copies, jit, vmap
from autograd.compiled.paths import Path
from autograd.value import require_current, topological
from nn import MLP, SGD, mse

Copier = Callable[[Any], Any]


def pickled(x: Any, protocol: int = pickle.DEFAULT_PROTOCOL) -> Any:
    return pickle.loads(pickle.dumps(x, protocol))


def pickled_in_python(x: Any, protocol: int = pickle.DEFAULT_PROTOCOL) -> Any:
    """By the pickler that pickle has in Python."""
    file = io.BytesIO()
    pickle._Pickler(file, protocol).dump(x)  # type: ignore[attr-defined]
    return pickle._loads(file.getvalue())  # type: ignore[attr-defined]


COPIERS: list[Copier] = [copy.deepcopy, pickled, pickled_in_python]
each_copier = pytest.mark.parametrize("copier", COPIERS, ids=lambda f: f.__name__)


def two_in_a_row() -> tuple[Value, Value]:
    h = Value(3.0, label="x") * 2.0
    return h, h.sin()


# ---- links ---------------------------------------------------------------------------


@each_copier
def test_copies_of_a_node_and_of_its_operand_are_linked(copier: Copier) -> None:
    h, y = copier(two_in_a_row())
    assert y.parents == (h,) and y.parents[0] is h
    y.backward()
    assert h.grad == y.partials[0] and h.args[0].grad == 2.0 * h.grad


@each_copier
def test_copies_are_linked_where_the_result_comes_first(copier: Copier) -> None:
    h, y = two_in_a_row()
    y, (x, again), h = copier((y, [h.args[0], y], h))
    assert y.args[0] is h and h.args[0] is x and again is y


@each_copier
def test_copies_are_linked_through_sets_keys_and_objects(copier: Copier) -> None:
    h, y = two_in_a_row()
    found = copier({"set": {y}, h: "a key", "error": ValueError(y, h)})
    (twin,) = found["set"]
    assert found[twin.args[0]] == "a key"
    assert found["error"].args == (twin, twin.args[0])


@each_copier
def test_model_is_copied_together_with_its_loss(copier: Copier) -> None:
    model = MLP(2, [3, 1], activation="tanh", seed=1)
    output = model([0.5, -1.0])
    loss = mse([output], [0.0])
    twin, twin_loss, twin_output = copier((model, loss, output))
    twin_loss.backward()
    assert not any(ours.reached for ours in model.parameters())
    loss.backward()
    for theirs, ours in zip(twin.parameters(), model.parameters(), strict=True):
        assert theirs is not ours and theirs.grad == ours.grad
    assert any(node is twin_output for node in topological(twin_loss))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dump", [pickled, pickled_in_python])
def test_every_protocol_keeps_links(dump: Any, protocol: int) -> None:
    h, y = dump(two_in_a_row(), protocol)
    assert y.args[0] is h and h.args[0].label == "x"


def test_two_dumps_of_one_pickler_are_linked_by_one_unpickler() -> None:
    h, y = two_in_a_row()
    file = io.BytesIO()
    pickler = pickle.Pickler(file)
    pickler.dump(h)
    pickler.dump(y)
    file.seek(0)
    unpickler = pickle.Unpickler(file)
    h, y = unpickler.load(), unpickler.load()
    assert y.args[0] is h


def test_persistent_id_stands_for_a_leaf_or_a_node() -> None:
    h, y = two_in_a_row()
    x = h.args[0]
    for kept in (x, h):
        file = io.BytesIO()
        pickler = pickle.Pickler(file)
        pickler.persistent_id = lambda item, kept=kept: "kept" if item is kept else None
        pickler.dump([y, h])
        file.seek(0)
        unpickler = pickle.Unpickler(file)
        unpickler.persistent_load = lambda name, kept=kept: kept
        twin, twin_h = unpickler.load()
        assert twin is not y and twin.args[0] is twin_h
        assert kept in (twin_h, twin_h.args[0])


def test_cloudpickle_keeps_links() -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    h, y = two_in_a_row()
    f = pickle.loads(cloudpickle.dumps(lambda: (h, y)))
    assert f()[1].args[0] is f()[0]


def test_another_process_gets_and_gives_linked_copies() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        h, y = pool.apply(copy.deepcopy, (two_in_a_row(),))
    assert y.args[0] is h and h.args[0].label == "x"


def test_memo_of_deepcopy_may_say_what_to_keep() -> None:
    h, y = two_in_a_row()
    assert copy.deepcopy(y, {id(h): h}).args[0] is h
    x = h.args[0]
    assert copy.deepcopy([y, h], {id(x): x})[0].args[0].args[0] is x


# ---- a leaf assigned meanwhile -------------------------------------------------------


def is_current(node: Value) -> bool:
    try:
        require_current(node, "test")
    except ValueError:
        return False
    return True


@each_copier
def test_each_copy_is_as_stale_as_what_it_was_made_of(copier: Copier) -> None:
    x = Value(2.0)
    stale = x * x
    x.data = 3.0
    both = stale + x * 5.0
    stale, both = copier((stale, both))
    assert [is_current(node) for node in (stale, both, both.args[1])] == [
        False,
        True,
        True,
    ]
    assert both.args[0] is stale


@each_copier
def test_result_assigned_under_stays_stale_alone(copier: Copier) -> None:
    x = Value(2.0)
    y = x * x
    x.data = 3.0
    assert not is_current(copier(y))
    assert not is_current(copier([y, x * 1.0])[0])
    assert not is_current(copier([x * 1.0, y])[1])


def test_shallow_copy_of_what_is_stale_is_refused() -> None:
    x = Value(2.0, label="x")
    y = x * x
    x.data = 3.0
    with pytest.raises(ValueError, match="copy: the graph must be .* 'x' was assigned"):
        copy.copy(y)
    assert copy.copy(x * x).args == (x, x)


def test_shallow_copy_shares_operands() -> None:
    h, y = two_in_a_row()
    y.label = "y"
    y.backward()
    twin = copy.copy(y)
    assert (twin.args[0], twin.label, twin.grad) == (h, "y", 1.0) and twin is not y


# ---- cost ----------------------------------------------------------------------------


def braid(n: int) -> list[Value]:
    """Values of which each is made of the one before and of one far before."""
    made = [Value(1.0)]
    for k in range(n):
        made.append(made[-1] * made[k // 2])
    return made


def count_reductions(job: Callable[[], Any]) -> int:
    """How many Values are told to pickle, or looked at for a copy."""
    calls = 0
    original = copies._kept

    def counted(x: Value) -> Any:
        nonlocal calls
        calls += 1
        return original(x)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copies, "_kept", counted)
        job()
    return calls


@each_copier
def test_list_of_nodes_is_copied_at_a_linear_cost(copier: Copier) -> None:
    for values in (braid(2000), braid(2000)[::-1], [braid(2000)[-1]] * 9):
        assert count_reductions(lambda values=values: copier(values)) == 2001


@pytest.mark.parametrize("order", ["oldest first", "newest first", "any"])
def test_pickle_of_a_list_of_nodes_is_linear_in_size(order: str) -> None:
    def size(n: int) -> int:
        values = braid(n)
        if order == "newest first":
            values.reverse()
        if order == "any":
            random.Random(1).shuffle(values)
        return len(pickle.dumps(values))

    assert size(2000) < 2.1 * size(1000) < 250_000


def test_history_enters_nothing_that_was_given() -> None:
    values = braid(2000)
    entered = 0

    class Given(set):  # type: ignore[type-arg]
        def __contains__(self, key: object) -> bool:
            nonlocal entered
            entered += 1
            return super().__contains__(key)

    given = Given()
    for x in values[1:]:
        given |= {id(item) for item in copies._history(x, given)}
    assert entered <= 2 * 2000


@pytest.mark.parametrize("in_python", [False, True])
def test_other_pickles_on_the_way_cost_no_links_and_no_depth(in_python: bool) -> None:
    """A pickler that is kept, and one that pickles everything by itself as well."""
    values = braid(1200)
    kept = pickle.Pickler(io.BytesIO())
    kept.dump(values[-1])
    base: Any = pickle._Pickler if in_python else pickle.Pickler  # type: ignore[attr-defined]

    class Nested(base):  # type: ignore[misc]
        turns = 0

        def persistent_id(self, item: Any) -> None:
            self.turns += 1
            if self.turns % 1499 == 0:
                assert pickle.loads(pickle.dumps(values[-1])).data == 1.0

    file = io.BytesIO()
    Nested(file).dump(values)
    twins = pickle.loads(file.getvalue())
    for k, twin in enumerate(twins[1:]):
        assert twin.args[0] is twins[k] and twin.args[1] is twins[k // 2]
    kept.dump(values)


def test_threads_pickle_the_same_graph_at_once() -> None:
    values = braid(300)
    texts: list[bytes] = []
    start = threading.Barrier(4)

    def job() -> None:
        start.wait()
        for _ in range(10):
            texts.append(pickle.dumps(values))

    threads = [threading.Thread(target=job) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 40 and len(set(texts)) == 1
    twins = pickle.loads(texts[0])
    assert all(twin.args[0] is twins[k] for k, twin in enumerate(twins[1:]))


def test_nothing_is_kept_after_a_pickle_or_a_copy() -> None:
    ledgers: list[Any] = []

    class Probe:
        def __reduce__(self) -> Any:
            ledgers.append(weakref.ref(copies._ledger()))
            return int, ()

    class Mark(autograd.Primitive):
        """A row that can be seen to go."""

    def job() -> Any:
        h, y = two_in_a_row()
        pickle.dumps([h, y, Probe()])
        assert ledgers.pop()() is None
        row = Mark("row", lambda x: x, 1.0)
        copy.deepcopy([row(h), y])
        return weakref.ref(row)

    gone = job()
    gc.collect()
    assert gone() is None


# ---- whole programs ------------------------------------------------------------------


OPERATIONS: list[Callable[[Any, Any], Value]] = [
    lambda x, y: x * y,
    lambda x, y: x + 1.5,
    lambda x, y: autograd.maximum(x, y),
    lambda x, y: autograd.where(x > 0.0, x, y.sin()),
    lambda x, y: x.relu(),
    lambda x, y: autograd.logsumexp([x, y, 0.5]),
    lambda x, y: autograd.stop_gradient(x) - y,
]


def random_graph(chance: random.Random) -> list[Value]:
    """Leaves and results: selects, constants, sweeps, leaves assigned on the way."""
    made = [Value(chance.uniform(-2, 2), label=f"x{k}") for k in range(3)]
    for _ in range(chance.randint(1, 25)):
        operation = chance.choice(OPERATIONS)
        made.append(operation(chance.choice(made), chance.choice(made)))
        if chance.random() < 0.1:
            made[chance.randrange(3)].data = chance.uniform(-2, 2)
        if chance.random() < 0.1:
            made[-1].backward()
    return made


def told(x: Value) -> Any:
    return x.op, x.data.hex(), x.label, x.reached, x.grad, x.partials


@each_copier
def test_copies_of_random_graphs_are_the_same_graphs(copier: Copier) -> None:
    for seed in range(150):
        chance = random.Random(seed)
        made = random_graph(chance)
        chosen = chance.sample(made, chance.randint(1, min(5, len(made))))
        pairs = list(zip(chosen, copier(chosen), strict=True))
        twin_of = dict(pairs)
        for x, twin in pairs:  # which grows meanwhile
            assert told(x) == told(twin) and x is not twin
            assert is_current(x) or not is_current(twin)
            for arg, twin_arg in zip(x.args, twin.args, strict=True):
                if not isinstance(arg, Value):
                    assert arg == twin_arg
                elif arg in twin_of:
                    assert twin_of[arg] is twin_arg
                else:
                    twin_of[arg] = twin_arg
                    pairs.append((arg, twin_arg))
        assert len(set(twin_of.values())) == len(twin_of)


@each_copier
def test_copies_of_random_results_are_swept_to_the_same_bits(copier: Copier) -> None:
    for seed in range(150):
        made = random_graph(random.Random(seed))
        twin = copier(made[-1])
        order, twins = topological(made[-1], whole=True), topological(twin, whole=True)
        assert [is_current(x) for x in order] == [is_current(x) for x in twins]
        made[-1].backward()
        twin.backward()
        assert [*map(told, order)] == [*map(told, twins)]


def test_identity_of_what_is_met_twice_needs_no_memo_of_ours() -> None:
    """Copies within containers of containers, in every order of a few."""
    h, y = two_in_a_row()
    z = y * h
    for order in itertools.permutations([h, y, z]):
        twins = dict(zip(order, pickled([list(order)])[0], strict=True))
        assert twins[z].args == (twins[y], twins[h])
        assert twins[z].args[0] is twins[y] and twins[y].args[0] is twins[h]


# ---- versions ------------------------------------------------------------------------


def written_by(version: str, x: Any, monkeypatch: pytest.MonkeyPatch) -> bytes:
    with monkeypatch.context() as patch:
        patch.setattr(autograd, "__version__", version)
        return pickle.dumps(x)


def of_two(x: Any) -> Any:
    return x * x if x > 0 else -x


@pytest.mark.parametrize("what", ["leaf", "graph", "list", "model", "optimizer"])
def test_pickle_of_another_version_is_refused_by_name(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, model = Value(2.0), MLP(1, [1], seed=0)
    kinds: dict[str, Any] = {
        "leaf": x,
        "graph": (x * x).sin(),
        "list": [x, x * x],
        "model": model,
        "optimizer": SGD(model.parameters(), lr=0.1),
    }
    told = r"a Value must be of this version .*, but is of '9\.9'; make it anew"
    with pytest.raises(ValueError, match=told):
        pickle.loads(written_by("9.9", kinds[what], monkeypatch))
    assert type(pickled(kinds[what])) is type(kinds[what])


@pytest.mark.parametrize("transform", [jit, vmap])
def test_compiled_function_of_another_version_is_refused_before_it_is_read(
    transform: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    f = transform(of_two)
    f([1.0]) if transform is vmap else f(1.0)
    written = written_by("9.9", f, monkeypatch)
    monkeypatch.setattr(Path, "__setstate__", None)  # nothing of it is looked at
    with pytest.raises(ValueError, match="a compiled function must be of this version"):
        pickle.loads(written)


def test_deepcopy_asks_for_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autograd, "__version__", "9.9")
    assert copy.deepcopy(Value(2.0) * 3.0).data == 6.0
