import json
import subprocess
from pathlib import Path

import pytest
from recipes import small_training

from benchmarks.step_sides import PEERS_PYTHON, torch_network

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
COUNT = """
import json, torch, torch_step
generator, discriminator = torch_step.tutorial()
with torch.no_grad():
    made = torch_step.products(generator, torch.zeros(2, 100), None)
    judged = torch_step.products(discriminator, torch.zeros(2, 1, 28, 28), None)
print(json.dumps([made, judged, torch_step.operations_per_image(made, judged)]))
"""


@pytest.mark.skipif(not PEERS_PYTHON.exists(), reason="needs the peers' environment: make test-peers")
def test_the_operations_of_the_tutorials_network_equal_those_computed_by_hand():
    command = [str(PEERS_PYTHON), "-c", COUNT]
    done = subprocess.run(command, cwd=BENCHMARKS, capture_output=True, text=True, check=True)
    generator = [100 * 7 * 7 * 256, 49 * 25 * 256 * 128, 49 * 25 * 128 * 64, 196 * 25 * 64]
    discriminator = [196 * 25 * 64, 49 * 25 * 64 * 128, 49 * 128]
    forward = 1 * sum(generator) + 3 * sum(discriminator)
    by_weights = 1 * sum(generator) + 2 * sum(discriminator)
    by_inputs = sum(generator[1:]) + 2 * sum(discriminator[1:]) + sum(discriminator)
    assert json.loads(done.stdout) == [generator, discriminator, 2 * (forward + by_weights + by_inputs)]


def test_a_recipe_is_described_only_if_pytorchs_side_can_build_it():
    network = torch_network(small_training(generator_width=8, discriminator_width=4), (28, 28, 1), 10)
    assert (network["base"], network["classes"]) == (7, 10)
    assert network["generator_channels"] == [16, 8]
    assert network["discriminator_channels"] == [4, 8]
    assert torch_network(small_training(augment=["color"], augment_probability=0.5), (28, 28, 1), 0) is None
    assert torch_network(small_training(), (16, 16, 3), 0) is None
    assert torch_network(small_training(depth=2), (28, 28, 1), 0) is None
