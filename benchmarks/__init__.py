"""Measurements of speed, always as ratios of methods that ran side by side: ``python -m benchmarks --help``."""
