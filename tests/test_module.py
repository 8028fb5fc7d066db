"""Modules find, name, save and restore their parameters."""

import json
import os
import pickle
import random
import re
import struct
import threading
from copy import deepcopy

import pytest

from autograd import Value, softplus
from nn import MLP, Layer, Module, Neuron


class Holder(Module):
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


def bits(model):
    return [struct.pack("d", p.data) for p in model.parameters()]


@pytest.fixture
def model():
    return MLP(3, [4, 2], seed=1)


# ---- finding and naming --------------------------------------------------------------


def test_parameters_are_found_in_nested_containers_in_order():
    a, b, c, d = (Value(float(i)) for i in range(4))
    model = Holder(first=a, pair=(b, {"inner": [c]}), sub=Holder(last=d))
    assert model.parameters() == [0.0, 1.0, 2.0, 3.0]
    names = [name for name, _ in model.named_parameters()]
    assert names == ["first", "pair.0", "pair.1.inner.0", "sub.last"]


def test_parameters_in_numpy_object_arrays_are_found():
    np = pytest.importorskip("numpy")
    model = Holder(w=np.array([[Value(1.0), Value(2.0)]], dtype=object), x=np.ones(3))
    assert [name for name, _ in model.named_parameters()] == ["w.0.0", "w.0.1"]


def test_parameters_lists_a_shared_value_once_under_its_first_name():
    shared = Value(1.0)
    model = Holder(encoder=[shared], decoder=[shared, Value(2.0)])
    names = [name for name, _ in model.named_parameters()]
    assert names == ["encoder.0", "decoder.1"]


def test_parameters_leaves_out_computed_values_and_plain_numbers():
    w = Value(2.0)
    model = Holder(w=w, last=w * w, rate=0.1, name="w", nothing=None)
    assert [name for name, _ in model.named_parameters()] == ["w"]


def test_parameters_of_a_module_that_holds_itself_end():
    model = Holder(w=Value(1.0))
    model.parent, model.siblings = model, [model, model]
    assert len(model.parameters()) == 1


def test_parameters_of_a_deep_chain_of_modules_need_no_recursion():
    model = Holder(w=Value(1.0))
    for _ in range(5000):
        model = Holder(next=model)
    assert len(model.parameters()) == 1


def test_named_parameters_refuses_two_with_one_name():
    model = Holder(w={"a.b": Value(1.0), "a": {"b": Value(2.0)}})
    with pytest.raises(ValueError, match=r"Holder: .* 'w.a.b' names two; rename"):
        model.named_parameters()


def test_labels_group_by_neuron_before_the_last_dot(model):
    labels = [p.label for p in model.parameters()]
    first = [f"layers.0.neurons.0.{part}" for part in ("w0", "w1", "w2", "b")]
    assert labels[:4] == first
    assert labels[-1] == "layers.1.neurons.1.b"
    assert len({label.rpartition(".")[0] for label in labels}) == 4 + 2


def test_labels_of_matrices_keep_their_indices_apart():
    model = Holder(w=[[Value(1.0)] * 1, [Value(2.0), Value(3.0)]])
    model.label_parameters()
    assert [p.label for p in model.parameters()] == ["w0_0", "w1_0", "w1_1"]


def test_labels_of_lone_neurons_and_layers_start_at_themselves():
    assert [p.label for p in Neuron(1).parameters()] == ["w0", "b"]
    assert Layer(1, 2).neurons[1].b.label == "neurons.1.b"


def test_zero_grad_clears_what_backward_added(model):
    model([1.0, 2.0, 3.0])[0].backward()
    assert any(p.grad for p in model.parameters())
    model.zero_grad()
    assert not any(p.grad for p in model.parameters())


def test_zero_grad_follows_an_overridden_parameters():
    class Half(Holder):
        def parameters(self):
            return [self.trained]

    model = Half(trained=Value(1.0), frozen=Value(2.0))
    (model.trained * model.frozen).backward()
    model.zero_grad()
    assert (model.trained.grad, model.frozen.grad) == (0.0, 1.0)


def test_models_copy_and_pickle_with_their_own_parameters(model):
    for copy in (deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert bits(copy) == bits(model)
        assert not set(map(id, copy.parameters())) & set(map(id, model.parameters()))
        assert copy([1.0, 2.0, 3.0]) == model([1.0, 2.0, 3.0])


# ---- files ---------------------------------------------------------------------------


def test_save_and_load_restore_every_bit(tmp_path):
    rng = random.Random(0)
    hard = [-0.0, 5e-324, 1.7976931348623157e308, 0.1, 1 / 3, 2**53 + 1.0]
    hard += [struct.unpack("d", rng.randbytes(8))[0] for _ in range(500)]
    hard = [x for x in hard if x - x == 0.0]
    saved = Holder(w=[Value(x) for x in hard])
    fresh = Holder(w=[Value(7.0) for _ in hard])
    saved.save(tmp_path / "w.json")
    fresh.load(tmp_path / "w.json")
    assert bits(fresh) == bits(saved)


def test_save_writes_json_that_names_every_parameter(model, tmp_path):
    model.save(str(tmp_path / "w.json"))
    content = json.loads((tmp_path / "w.json").read_text())
    assert content["parameters"] == {n: p.data for n, p in model.named_parameters()}


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_save_refuses_a_parameter_that_is_not_finite(model, tmp_path, number):
    path = tmp_path / "w.json"
    model.save(path)
    before = path.read_bytes()
    model.layers[0].neurons[1].b.data = number
    with pytest.raises(ValueError, match=r"MLP.save: .*layers.0.neurons.1.b.* is "):
        model.save(path)
    assert path.read_bytes() == before


def test_save_that_fails_half_way_leaves_the_old_file_alone(
    model, tmp_path, monkeypatch
):
    path = tmp_path / "w.json"
    model.save(path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    model.layers[0].neurons[0].b.data = 5.0
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        model.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["w.json"]


def test_save_shows_readers_a_whole_file_at_every_moment(model, tmp_path):
    path = tmp_path / "w.json"
    model.save(path)
    names = [name for name, _ in model.named_parameters()]
    seen, done = [], threading.Event()

    def read():
        while not done.is_set():
            seen.append(list(json.loads(path.read_text())["parameters"]) == names)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(50):
        model.save(path)
    done.set()
    reader.join()
    assert seen and all(seen)


def test_save_through_a_link_keeps_the_link(model, tmp_path):
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    model.save(tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").is_file()


def test_save_into_a_missing_folder_names_it(model, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent/w.json' \(No such file"):
        model.save(tmp_path / "absent" / "w.json")


def test_load_refuses_a_file_cut_off_anywhere_and_changes_nothing(model, tmp_path):
    path = tmp_path / "w.json"
    MLP(3, [4, 2], seed=2).save(path)
    whole, before = path.read_bytes().rstrip(), bits(model)
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"MLP.load: path must be a file written"):
            model.load(path)
    assert bits(model) == before


@pytest.mark.parametrize(
    "content",
    [
        "[1, 2]",
        '"text"',
        '{"layers": 3}',
        '{"format": "scalar-autograd weights 1"}',
        '{"format": "scalar-autograd weights 1", "parameters": {"w": "0.5"}}',
        '{"format": "scalar-autograd weights 1", "parameters": {"w": true}}',
        '{"format": "scalar-autograd weights 1", "parameters": {"w": NaN}}',
        '{"format": "scalar-autograd weights 1", "parameters": {"w": 1e999}}',
        "[" * 100_000,
        "\x00\x80",
    ],
)
def test_load_refuses_a_foreign_file_and_changes_nothing(tmp_path, content):
    model = Holder(w=Value(3.0))
    (tmp_path / "w.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=r"Holder.load: .*; save the model again"):
        model.load(tmp_path / "w.json")
    assert model.w.data == 3.0


@pytest.mark.parametrize("nouts", [[4, 3], [4], [5, 2], [4, 2, 2]])
def test_load_refuses_another_shape_and_changes_nothing(model, tmp_path, nouts):
    MLP(3, nouts, seed=2).save(tmp_path / "w.json")
    before = bits(model)
    with pytest.raises(ValueError, match=r"hold the 26 parameter.*build the model"):
        model.load(tmp_path / "w.json")
    assert bits(model) == before


def test_load_of_a_missing_file_says_so(model, tmp_path):
    with pytest.raises(FileNotFoundError):
        model.load(tmp_path / "w.json")


# ---- activations, and formats --------------------------------------------------------


def test_save_keeps_activations_and_load_refuses_others(tmp_path):
    path = tmp_path / "w.json"
    MLP(2, [3, 1], "tanh", seed=1).save(path)
    other = MLP(2, [3, 1], "relu", seed=2)
    before = bits(other)
    told = r"MLP.load: .*'tanh' for all, where this one has 'relu'; build the model"
    with pytest.raises(ValueError, match=told):
        other.load(path)
    assert bits(other) == before
    same = MLP(2, [3, 1], "tanh", seed=2)
    same.load(path)
    assert bits(same) == bits(MLP(2, [3, 1], "tanh", seed=1))


def test_load_names_the_neuron_whose_activation_is_another(tmp_path):
    model = MLP(2, [2, 1], seed=1)
    model.save(tmp_path / "w.json")
    model.layers[0].neurons[1].activation = softplus
    told = "'relu' for layers.0.neurons.1, where this one has 'softplus'"
    with pytest.raises(ValueError, match=told):
        model.load(tmp_path / "w.json")


def test_activation_is_the_same_by_name_and_as_a_row(tmp_path):
    MLP(2, [2, 1], "softplus", seed=1).save(tmp_path / "w.json")
    model = MLP(2, [2, 1], softplus, seed=2)
    model.load(tmp_path / "w.json")
    assert bits(model) == bits(MLP(2, [2, 1], "softplus", seed=1))


def test_format_2_reads_format_1(tmp_path):
    model, path = MLP(2, [2, 1], "tanh", seed=1), tmp_path / "w.json"
    numbers = {name: p.data for name, p in model.named_parameters()}
    first = {"format": "scalar-autograd weights 1", "parameters": numbers}
    path.write_text(json.dumps(first))
    for activation in ("tanh", "relu"):  # which it does not say
        other = MLP(2, [2, 1], activation, seed=2)
        other.load(path)
        assert bits(other) == bits(model)


def test_file_of_a_later_format_is_refused_by_name(model, tmp_path):
    model.save(tmp_path / "w.json")
    text = (tmp_path / "w.json").read_text()
    assert '"scalar-autograd weights 2"' in text
    (tmp_path / "w.json").write_text(text.replace("weights 2", "weights 3"))
    with pytest.raises(
        ValueError, match="says format 'scalar-autograd weights 3', not"
    ):
        model.load(tmp_path / "w.json")


def test_file_that_lost_its_activations_is_of_another_model(tmp_path):
    path = tmp_path / "w.json"
    model = MLP(2, [2, 1], "tanh", seed=1)
    model.save(path)
    path.write_text(
        re.sub(r'"activations": {[^}]*}', '"activations": {}', path.read_text())
    )
    with pytest.raises(ValueError, match="but has None for .*, where this one has"):
        model.load(path)
    Holder(w=Value(3.0)).save(path)
    Holder(w=Value(1.0)).load(path)


@pytest.mark.parametrize("activations", ["3", '"relu"', "[]", "null"])
def test_file_whose_activations_are_no_table_is_refused(tmp_path, activations):
    text = (
        '{"format": "scalar-autograd weights 2", "parameters": {"w": 1.0}, '
        f'"activations": {activations}}}'
    )
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(ValueError, match="has no table of activations; save"):
        Holder(w=Value(3.0)).load(tmp_path / "w.json")
