"""The only door to a host: one SSH connection each, and on it commands, the Docker API and etcd."""
