"""The layers that a tensor is quantised for."""

from hypothesis import given
from hypothesis import strategies as st

from calibration.placement import Placement


def test_through_pooling_concatenation_and_sums(network):
    served = Placement(network).served()
    for name, layers in served.items():
        assert layers, name
    assert len(served["joined"]) == 1
    assert served["left_r"] == served["right_r"] == served["joined"]
    # The pooled tensor is read by both branches, and added to what "up" makes.
    assert len(served["pool"]) == 3
    assert set(served["stem_r"]) == {"left_bn", "right_bn", "up_scaled"}


@given(st.data())
def test_with_all_of_them_skipped_it_is_not_quantised(network, data):
    served = Placement(network).served()
    name = data.draw(st.sampled_from(sorted(served)))
    after = Placement(network, skip=served[name]).served()
    assert name not in after
    # Whatever else is left is quantised for the same layers, but those.
    for other, layers in after.items():
        assert set(layers) <= set(served[other]) - set(served[name])
