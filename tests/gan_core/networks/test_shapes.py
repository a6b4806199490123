import pytest

from gan_core.errors import InvalidInput
from gan_core.networks.shapes import base, check_shape, halvings, widths


@pytest.mark.parametrize("shape", [(28, 8, 1), (48, 64, 1), (64, 1024, 3), (32, 32, 4)])
def test_unsupported_shapes_are_refused(shape):
    with pytest.raises(InvalidInput, match=rf"Received: height={shape[0]}, width={shape[1]}, channels={shape[2]}$"):
        check_shape("dcgan", shape)


@pytest.mark.parametrize(
    ("sides", "smallest"),
    [
        ((16, 16), (4, 4)),
        ((28, 28), (7, 7)),
        ((512, 512), (4, 4)),
        ((64, 256), (4, 16)),
        ((256, 64), (16, 4)),
        ((28, 64), (7, 16)),
        ((16, 512), (4, 128)),
    ],
)
def test_the_halvings_end_when_the_shorter_side_is_at_the_base(sides, smallest):
    shape = (*sides, 1)
    check_shape("dcgan", shape)
    assert base(shape) == smallest
    assert (smallest[0] << halvings(shape), smallest[1] << halvings(shape)) == sides
    assert len(widths(halvings(shape), 8, 2)) == halvings(shape) + 1


@pytest.mark.parametrize(("network", "symbols"), [("text", 0), ("dcgan", 27)])
def test_the_network_of_texts_is_for_texts_alone(network, symbols):
    with pytest.raises(InvalidInput, match=rf"must be text for texts.*Received: network='{network}'"):
        check_shape(network, (32, 1, 1) if symbols else (32, 32, 1), symbols)
    check_shape("text", (11, 1, 1), 27)
