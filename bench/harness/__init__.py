"""Measures the claims of the project against reference programs and peers: see tools/bench."""
