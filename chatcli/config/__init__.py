"""What the user chose: settings, keys, trust, and the files that hold them."""
