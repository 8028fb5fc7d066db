"""Pages and moving pictures that step through a sweep, there and back."""
