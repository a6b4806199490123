import pytest

from gan_core.errors import InvalidInput
from gan_core.networks.shapes import check_shape


@pytest.mark.parametrize("shape", [(28, 32, 1), (48, 48, 1), (512, 512, 3), (32, 32, 4)])
def test_unsupported_shapes_are_refused(shape):
    with pytest.raises(InvalidInput, match=rf"Received: height={shape[0]}, width={shape[1]}, channels={shape[2]}$"):
        check_shape(shape)
