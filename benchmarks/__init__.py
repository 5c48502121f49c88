"""Measurements, never assertions: ``python -m benchmarks`` for the learner's speed, ``envs.py`` for environments."""
