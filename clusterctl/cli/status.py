"""clusterctl status."""


def register(app):
    pass
