"""Pure builders of command lines, a file a tool. They return values; nothing runs here."""
