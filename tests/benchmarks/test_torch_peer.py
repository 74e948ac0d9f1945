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
STEPS = 4


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
        dropout=0.0,
    )
    train = dataclasses.replace(paper.train, learning_rate=1e-3)
    data = dataclasses.replace(paper.data, photo_size=(45, 69))
    return dataclasses.replace(paper, model=model, data=data, train=train)


def photos(config):
    shape = (len(LABELS), *config.data.photo_size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def our_model(config):
    return make_model(config.model, num_classes=2, mean_color=(torch_peer.MEAN_COLOR,) * 3)


def our_state(config):
    return init_state(
        our_model(config),
        make_optimizer(config.train),
        photo_size=config.data.photo_size,
        num_channels=3,
        seed=0,
    )


@pytest.fixture(scope="module")
def ours():
    """Weights, the first gradient, and the losses of some steps of ours."""
    config = tiny()
    model, optimizer = our_model(config), make_optimizer(config.train)

    @jax.jit
    def first():
        leaves, structure = jax.tree.flatten(our_state(config).params)
        keys = jax.random.split(jax.random.key(3), len(leaves))
        # So that no layer is zero, and the crops are of different places.
        noisy = [
            leaf + 0.02 * jax.random.normal(key, leaf.shape)
            for leaf, key in zip(leaves, keys, strict=True)
        ]
        params = jax.tree.unflatten(structure, noisy)
        return params, optimizer.init(params)

    def loss(params):
        logits, _, _ = model.apply({"params": params}, photos(config), train=True)
        return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.asarray(LABELS)).mean()

    @jax.jit
    def step(params, opt_state):
        value, gradient = jax.value_and_grad(loss)(params)
        updates, opt_state = optimizer.update(gradient, opt_state)
        return value, gradient, optax.apply_updates(params, updates), opt_state

    params, opt_state = start, _ = first()
    losses, gradients = [], []
    for _ in range(STEPS):
        value, gradient, params, opt_state = step(params, opt_state)
        losses.append(float(value))
        gradients.append(gradient)
    return start, gradients[0], losses


def theirs(params, layout):
    """Their network with our weights, and our photos in their order."""
    config = tiny()
    network = torch_peer.STNClassifier(config, num_classes=2)
    network.load_state_dict(torch_peer.as_torch(network, params))
    network = network.to(memory_format=torch_peer.memory_format(layout))
    return network, torch_peer.to_tensor(photos(config), layout=layout, device="cpu")


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_loss_and_gradients_are_ours(ours, layout):
    params, gradient, losses = ours
    network, tensor = theirs(params, layout)
    loss = torch.nn.functional.cross_entropy(network(tensor), torch.tensor(LABELS))
    loss.backward()
    assert loss.item() == pytest.approx(losses[0], rel=1e-5)
    wanted = torch_peer.as_torch(network, gradient)
    found = dict(network.named_parameters())
    assert found.keys() == wanted.keys()
    for name, want in wanted.items():
        size = float(want.abs().max())
        assert size > 0, name
        torch.testing.assert_close(found[name].grad, want, rtol=0, atol=1e-4 * size)


def test_steps_are_ours(ours):
    params, _, losses = ours
    network, tensor = theirs(params, "contiguous")
    step = torch_peer.make_step(network, tiny(), precision="float32", compiled=False)
    found = [step(tensor, torch.tensor(LABELS)).item() for _ in range(STEPS)]
    assert losses[-1] < 0.99 * losses[0]
    assert found == pytest.approx(losses, rel=1e-3)


def test_the_papers_network_has_as_many_weights():
    state = jax.eval_shape(lambda: our_state(get_config()))
    with torch.device("meta"):
        network = torch_peer.STNClassifier(get_config(), num_classes=2)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == sum(leaf.size for leaf in jax.tree.leaves(state.params))
    assert count > 135_700_000


def test_the_network_starts_as_ours_does():
    fresh = torch_peer.STNClassifier(tiny(), num_classes=2)
    with torch.no_grad():
        theta = fresh.transformer.localization(torch.rand(3, 3, 15, 23))
    np.testing.assert_array_equal(theta, np.tile(np.eye(2, 3), (3, 1, 1)))
    start = torch_peer.as_torch(fresh, jax.jit(lambda: our_state(tiny()).params)())
    for name in ("classifier.Dense_0.weight", "classifier.Conv_2.weight"):
        ratio = fresh.get_parameter(name).std() / start[name].std()
        assert ratio.item() == pytest.approx(1, abs=0.15), name
