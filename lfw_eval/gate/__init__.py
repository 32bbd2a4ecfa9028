"""Gates: whether a candidate is as good as a baseline, as far as its pairs and images can tell."""
