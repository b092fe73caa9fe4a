"""One report, many faces: what is shown of a lab, as values. Printing is `clusterctl.cli`'s."""
