"""The renderer of a terminal, and the parts of the screen that it paints."""
