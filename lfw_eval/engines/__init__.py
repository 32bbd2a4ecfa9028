"""Engines behind one contract, chosen by name; `registry` lists them."""
