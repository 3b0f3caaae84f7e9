"""Deploys and load, on real processes: ``make load``."""
