"""The network that torch runs in the benchmarks is ours: as many weights, the same function."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs.derm import get_config
from stn_jax.models import make_model
from stn_jax.training.state import init_state, make_optimizer

torch = pytest.importorskip("torch")
from benchmarks import torch_peer  # noqa: E402

LABELS = np.array([0, 1, 1])


def tiny():
    """The paper's experiment, narrow and small; sides are odd so that the pools round down."""
    paper = get_config()
    model = dataclasses.replace(
        paper.model,
        crop_size=(22, 35),
        channels=((4, 4), (6,), (8, 8)),
        dense=(16, 10),
        localization_channels=(4, 5),
        localization_units=7,
        view_shrink=3,
    )
    data = dataclasses.replace(paper.data, photo_size=(45, 69))
    return dataclasses.replace(paper, model=model, data=data)


def ours(config):
    """Our network, and weights at which no layer is zero and the crops differ."""
    mean_color = (torch_peer.MEAN_COLOR,) * 3
    model = make_model(config.model, num_classes=2, mean_color=mean_color)
    state = init_state(
        model,
        make_optimizer(config.train),
        photo_size=config.data.photo_size,
        num_channels=3,
        seed=0,
    )
    leaves, structure = jax.tree.flatten(state.params)
    keys = jax.random.split(jax.random.key(3), len(leaves))
    noisy = [
        leaf + 0.02 * jax.random.normal(key, leaf.shape)
        for leaf, key in zip(leaves, keys, strict=True)
    ]
    return model, jax.tree.unflatten(structure, noisy)


def theirs(config, params, layout):
    network = torch_peer.STNClassifier(config, num_classes=2)
    network.load_state_dict(torch_peer.as_torch(network, params))
    return network.to(memory_format=torch_peer.memory_format(layout))


def photos(config):
    shape = (len(LABELS), *config.data.photo_size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_loss_and_gradients_are_ours(layout):
    config = tiny()
    model, params = ours(config)

    def loss(params):
        logits, _, _ = model.apply({"params": params}, photos(config), train=False)
        return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.asarray(LABELS)).mean()

    value, gradient = jax.value_and_grad(loss)(params)
    network = theirs(config, params, layout).eval()
    tensor = torch_peer.to_tensor(photos(config), layout=layout, device="cpu")
    their_loss = torch.nn.functional.cross_entropy(network(tensor), torch.tensor(LABELS))
    their_loss.backward()
    assert their_loss.item() == pytest.approx(float(value), rel=1e-5)
    wanted = torch_peer.as_torch(network, gradient)
    found = dict(network.named_parameters())
    assert found.keys() == wanted.keys()
    for name, want in wanted.items():
        size = want.abs().max()
        assert size > 0, name
        torch.testing.assert_close(found[name].grad, want, rtol=0, atol=1e-4 * float(size))


def test_the_papers_network_has_as_many_weights():
    config = get_config()
    model = make_model(config.model, num_classes=2, mean_color=(torch_peer.MEAN_COLOR,) * 3)
    state = jax.eval_shape(
        lambda: init_state(
            model,
            make_optimizer(config.train),
            photo_size=config.data.photo_size,
            num_channels=3,
            seed=0,
        )
    )
    with torch.device("meta"):
        network = torch_peer.STNClassifier(config, num_classes=2)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == sum(leaf.size for leaf in jax.tree.leaves(state.params))
    assert count > 135_700_000


def test_a_step_is_one_of_adam_at_the_papers_rate():
    config = dataclasses.replace(tiny(), model=dataclasses.replace(tiny().model, dropout=0.0))
    _, params = ours(config)
    network = theirs(config, params, "contiguous")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    step = torch_peer.make_step(network, config, precision="float32", compiled=False)
    tensor = torch_peer.to_tensor(photos(config), layout="contiguous", device="cpu")
    first = step(tensor, torch.tensor(LABELS))
    # Adam's first step is the rate along the gradient's signs, except where the gradient is tiny.
    for name, value in network.state_dict().items():
        moved = (value - before[name]).abs().max().item()
        assert moved == pytest.approx(config.train.learning_rate, rel=0.1), name
    assert step(tensor, torch.tensor(LABELS)) < first
