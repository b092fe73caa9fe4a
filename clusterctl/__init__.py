"""clusterctl turns machines into a working multi-host Docker cluster, proves it, and takes it away."""

__version__ = "0.1.0"
