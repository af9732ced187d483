"""Events made visible: one protocol, one file for each kind of output."""
