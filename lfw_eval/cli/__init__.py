"""The command lfw-eval: one module per verb; the only place that knows options."""
