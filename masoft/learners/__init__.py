"""The updates: one file a family, as pieces in the order of the paper, without environment, logger or loop."""
