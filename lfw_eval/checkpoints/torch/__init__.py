"""Networks that PyTorch wrote, read without it."""
