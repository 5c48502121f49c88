"""The one driver: how a run is made, evaluated on the way, logged, stopped, resumed and saved.

`masoft train`, studies and the benchmarks all train by `masoft.runs.driver`. Importing a module of this package that
only reads a run's folder does not import torch.
"""
