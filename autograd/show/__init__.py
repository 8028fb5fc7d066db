"""For people who look: drawings and explanations of a graph. The engine needs none."""
