"""The same for a network, neuron by neuron: z and a forward, then δ back."""
