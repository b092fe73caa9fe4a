"""The map from container to wire, read from what `ip` and `bridge` print."""
