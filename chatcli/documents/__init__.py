"""Documents that answers are grounded on: finding, reading, splitting and indexing files, search, and citations."""
