"""The calibrator beside a genuine TensorRT 8.6, on the crops that it was fed."""

from calibration_parity import parity


def test_thresholds_are_those_of_tensorrt(real_data, golden, facenet):
    comparison, _ = parity(golden, real_data / "lfw.tgz")
    assert comparison["tensors"] == 447
    assert comparison["named tensors of the cache that the network lacks"] == 0
    assert abs(comparison["median ratio"] - 1) < 1e-6
    # On the processor of the committed result these are 0.980 and 0.996.
    assert comparison["share within 0.01 %"] > 0.9
    assert comparison["share within 3 %"] > 0.97
    assert len(comparison["boxes rounded the other way"]) == 4
