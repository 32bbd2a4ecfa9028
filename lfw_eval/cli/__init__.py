"""The command lfw-eval: one file per verb, the only place that knows flags."""
