"""Networks that TensorFlow wrote, read without it."""
