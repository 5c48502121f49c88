"""Everything that writes or reads a model, a checkpoint or a buffer."""
