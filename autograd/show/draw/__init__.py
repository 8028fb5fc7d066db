"""Pictures of graphs and of networks: cards and arrows, laid out by Graphviz."""
