"""How single Docker daemons become one cluster. One file a store."""
